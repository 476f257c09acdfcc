"""What is to be fitted: the rows as they will be read, the parts that they are cut into, and the sizes of windows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.data import calendar
from minirnn.data.imputing import Imputer
from minirnn.data.outliers import Outliers
from minirnn.data.season import guess_season
from minirnn.data.words import DataError
from minirnn.models import fitting
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import frames, parts, settings, statics
from minirnn.models.forecasting.choosing import Setting
from minirnn.models.forecasting.encoder import Encoder
from minirnn.models.forecasting.parts import Parts
from minirnn.models.forecasting.series import Series, of_table
from minirnn.models.forecasting.statics import Column
from minirnn.models.parameters import plain

if TYPE_CHECKING:
    from minirnn.data.table import Table


@dataclass(frozen=True)
class Job:
    """What is to be fitted.

    Args:
      series: the rows.
      parts: which of them train, validate, test.
      settings: the parameters of the Forecaster.
      window: W.
      horizon: N.
      season: rows of the season.
      targets: C.
      ahead: numbers of the columns that are known ahead.
      frequency: pandas alias, or None.
      imputer: of the columns.
      statics: (series, Q).
      names: of the series.
      outliers: the limits that the rows were clipped to; None where they are as they came.
      static_columns: how ``statics`` were made of texts and numbers.
    """

    series: Series
    parts: Parts
    settings: dict[str, Any]
    window: int
    horizon: int
    season: int
    targets: int
    ahead: tuple[int, ...]
    frequency: str | None
    imputer: Imputer
    statics: np.ndarray
    names: tuple[str, ...]
    outliers: Outliers | None = None
    static_columns: tuple[Column, ...] = ()

    def setting(self, stop: np.ndarray) -> Setting:
        """What the choice of a reference may see: the rows before ``stop``."""
        return Setting(
            self.series,
            stop,
            self.window,
            self.horizon,
            self.targets,
            self.ahead,
            self.frequency,
            self.imputer,
            self.season,
        )

    def encoder(self, plan, stop: np.ndarray) -> Encoder:
        """The encoder of a plan, fitted on the rows before ``stop``."""
        return Encoder.fit(
            plan,
            self.series,
            stop,
            window=self.window,
            horizon=self.horizon,
            targets=self.targets,
            ahead=self.ahead,
            frequency=self.frequency,
            imputer=self.imputer,
            statics=self.statics,
        )


class Sizes(NamedTuple):
    """Window, horizon, the parts that they allow, and sentences about what had to give."""

    window: int
    horizon: int
    parts: Parts
    notes: tuple[str, ...]


def sizes(parameters: dict[str, Any], table: Table, start=None) -> Sizes:
    """Window, horizon and parts; what the user did not choose shrinks where the rows are too few for it.

    Args:
      parameters: of the Forecaster.
      table: the rows.
      start: the first time of the test part; None goes by ``test_fraction``.

    Raises:
      DataError: the rows are too few.
    """
    horizon = parameters["horizon"] or calendar.default_horizon(table.frequency)
    window = parameters["window"] or calendar.default_window(table.frequency, horizon)
    held, tested = parameters["validation_fraction"], parameters["test_fraction"]
    first = (window, horizon)
    while True:
        rows = of_table(table, horizon)
        try:
            if start is None:
                found = parts.split(rows, table.frequency, window, horizon, held, tested)
            else:
                found = parts.until(rows, start, held / (1 - tested), window, horizon)
        except DataError:
            if parameters["window"] is None and window > max(horizon, 2):
                window = max(horizon, window // 2, 2)
            elif parameters["horizon"] is None and horizon > 1:
                horizon //= 2
            else:
                raise
            continue
        if (window, horizon) == first:
            return Sizes(window, horizon, found, ())
        note = (
            f"{int(np.diff(table.bounds).max())} rows are too few for window {first[0]} and horizon {first[1]}: "
            f"took window {window} and horizon {horizon}."
        )
        return Sizes(window, horizon, found, (note,))


def make(parameters: dict[str, Any], table: Table, start=None) -> tuple[Table, Job, tuple[str, ...]]:
    """The job of these parameters on a table.

    Args:
      parameters: of the Forecaster.
      table: the rows.
      start: the first time of the test part; None goes by ``test_fraction``.

    Returns:
      The table without the series that are too short to learn from, the job, and what was decided in sentences.

    Raises:
      DataError: the rows cannot be used.
      ParameterError: a parameter is out of its range.
    """
    settings.check(parameters)
    table, left_out = _usable(parameters, table, start)
    window, horizon, cut, notes = sizes(parameters, table, start)
    rows = of_table(table, horizon)
    if parameters["transform"] == "log":
        _check_logarithm(rows, cut, table)
    season = parameters["season"]
    if season is None:
        longest = max(range(table.series), key=lambda k: cut.train[k] - cut.first[k])
        season = guess_season(rows.values[cut.first[longest] : cut.train[longest], 0], table.frequency)
    clips = parameters["clip_outliers"]
    outliers = Outliers.fit(rows.values, rows.bounds, cut.train, season)
    if clips:
        rows = dataclasses.replace(rows, values=outliers.clip(rows.values, rows.bounds))
    method = None if parameters["impute"] == "auto" else parameters["impute"]
    imputer = Imputer.fit(rows.values, rows.bounds, cut.train, season, method)
    columns = statics.fit(table.statics)
    job = Job(
        series=rows,
        parts=cut,
        settings={name: plain(value) for name, value in parameters.items()},
        window=window,
        horizon=horizon,
        season=season,
        targets=len(table.roles.target),
        ahead=tuple(table.columns.index(name) for name in table.roles.future),
        frequency=table.frequency,
        imputer=imputer,
        statics=statics.encode(columns, table.statics),
        names=table.names,
        outliers=outliers if clips else None,
        static_columns=columns,
    )
    _check_observed(job, table)
    return table, job, (*left_out, *notes, *outliers.notes(table, clips), *imputer.notes(table))


def batch_shape(parameters: dict[str, Any], table: Table) -> tuple[int, int, int, int]:
    """What one batch of the training will be: windows, time steps, inputs and hidden units (B, T, D, H).

    Raises:
      DataError: the rows cannot be used.
      ParameterError: a parameter is out of its range.
    """
    settings.check(parameters)
    window, horizon, cut, _ = sizes(parameters, table)
    windows = int(np.maximum(cut.train - cut.first - window - horizon + 1, 0).sum())
    features = len(calendar.calendar_features(np.empty(0, "datetime64[us]"), table.frequency).names)
    segment = parameters["segment"]
    steps = window if segment is None else -(-window // segment)
    batch = min(parameters["batch_size"], max(windows, 1))
    return batch, steps, len(table.columns) + features, parameters["hidden_size"]


def mesh(parameters: dict[str, Any], table: Table, count: int | None) -> Any:
    """The devices that train, None for one: see :func:`minirnn.models.fitting.mesh`."""
    return fitting.mesh(parameters["backend"], lambda: batch_shape(parameters, table), count)


def _usable(parameters: dict[str, Any], table: Table, start) -> tuple[Table, tuple[str, ...]]:
    """The table without the series that have too few training rows to be scaled by, and a sentence about them."""
    notes: tuple[str, ...] = ()
    while True:
        window, _, found, _ = sizes(parameters, table, start)
        enough = found.train - found.first >= window
        if enough.all():
            return table, notes
        if not enough.any():
            raise DataError(
                f"none of the {table.series} series has {window} rows for training; give more rows, or a smaller window"
            )
        names = frames.some_names(table.names, ~enough)
        notes += (f"{names} left out: fewer than {window} rows before the validation part.",)
        table = frames.some_series(table, enough)


def _check_logarithm(rows: Series, cut: Parts, table: Table) -> None:
    """Refuses logarithms of what has none, in the rows that are learned from."""
    learned = np.arange(len(rows.values)) < np.repeat(cut.validation, np.diff(rows.bounds))
    bad = np.argwhere(learned[:, None] & (rows.values[:, : len(table.roles.target)] <= 0))
    if len(bad):
        row, c = bad[0]
        raise ParameterError(
            f"transform='log' needs targets above 0; {table.roles.target[c]!r} is {rows.values[row, c]:g} on "
            f"{frames.time_of(rows, row)}: take 'auto' or 'none'"
        )


def _check_observed(job: Job, table: Table) -> None:
    """Refuses a part most of whose target values had to be filled: it could neither teach nor judge."""
    known = ~np.isnan(job.series.values[:, : job.targets])
    for name in ("train", "validation", "test"):
        start, stop = job.parts.of(name)
        inside = np.concatenate([np.arange(a, b) for a, b in zip(start, stop)] or [np.empty(0, int)])
        for c, target in enumerate(table.roles.target):
            seen = int(known[inside, c].sum())
            if len(inside) and 2 * seen < len(inside):
                begin, end = (frames.time_of(job.series, row) for row in (inside[0], inside[-1]))
                raise DataError(
                    f"the {name} part ({begin} to {end}) holds only {seen} of {len(inside)} values of {target!r}; "
                    "give rows with more values there, or other fractions"
                )
