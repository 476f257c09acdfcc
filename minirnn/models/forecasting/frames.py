"""Forecasts as data frames, and what is asked of the rows that a caller hands over."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from minirnn.data.words import listed, plain_time
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting.intervals import ends
from minirnn.models.forecasting.series import Series

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table
    from minirnn.models.forecasting.fitted import Fitted


def check_levels(levels) -> tuple[float, ...]:
    """Levels of intervals, between 0 and 1."""
    levels = tuple(levels) if isinstance(levels, Iterable) and not isinstance(levels, str) else (levels,)
    for level in levels:
        if not isinstance(level, int | float | np.number) or not 0 < level < 1:
            raise ParameterError(f"levels are shares of the truth that intervals cover, between 0 and 1; got {level!r}")
    return tuple(sorted({float(level) for level in levels}))


def percent(level: float) -> str:
    """The level in column names.

    >>> percent(0.8), percent(0.975)
    ('80', '97.5')
    """
    return f"{100 * level:.10g}"


def time_of(series: Series, row: int) -> str:
    """The time of a row in words."""
    import pandas as pd

    time = series.times[row]
    return plain_time(pd.Timestamp(time)) if series.times.dtype.kind == "M" else str(time)


def names_of(frame) -> list[str]:
    """The columns of a frame or Series, as text; of anything else none."""
    import pandas as pd

    if isinstance(frame, pd.Series):
        return ["value" if frame.name is None else str(frame.name)]
    return [str(name) for name in frame.columns] if isinstance(frame, pd.DataFrame) else []


def in_order(table: Table, columns: tuple[str, ...]) -> Table:
    """The table with exactly these columns, in this order."""
    if table.columns == columns:
        return table
    return dataclasses.replace(
        table, values=table.values[:, [table.columns.index(name) for name in columns]], columns=columns
    )


def some_names(names: tuple[str, ...], chosen: np.ndarray) -> str:
    """The chosen series in words: how many, and the first of them."""
    found = [name for name, one in zip(names, chosen) if one]
    return f"{len(found):,} series ({listed(found, 3)})"


def some_series(table: Table, chosen: np.ndarray) -> Table:
    """The table with the chosen series (series,) alone."""
    lengths = np.diff(table.bounds)
    return dataclasses.replace(
        table,
        values=table.values[np.repeat(chosen, lengths)],
        names=tuple(name for name, one in zip(table.names, chosen) if one),
        bounds=np.concatenate([[0], np.cumsum(lengths[chosen])]),
        starts=table.starts[chosen],
        statics=table.statics[chosen],
    )


def recent(series: Series, fitted: Fitted) -> Series:
    """The last rows of each series that forecasts read, back to those they are filled from; and the rows ahead."""
    imputer, margin = fitted.encoder.imputer, 0 if fitted.outliers is None else fitted.outliers.reach
    firsts = series.bounds[:-1]
    starts = np.maximum(firsts, series.last - fitted.reach + 1)
    # What is filled from a row that is clipped depends on the rows before it, too.
    starts = np.maximum(firsts, imputer.sources(series.values, series.bounds, starts) - margin)
    stops = series.last + 1 + fitted.steps
    rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops)])
    bounds = np.concatenate([[0], np.cumsum(stops - starts)])
    return Series(series.values[rows], bounds, bounds[1:] - 1 - fitted.steps, series.times[rows], series.which)


def unknown_ahead(series: Series, names: tuple[str, ...], columns: tuple[int, ...]) -> list[str]:
    """Sentences about columns that are known ahead, in general, and not in these rows ahead."""
    lines = []
    for name, column in zip(names, columns):
        parts = [series.values[last + 1 : end, column] for last, end in zip(series.last, series.bounds[1:])]
        ahead = np.concatenate(parts)
        unknown = int(np.isnan(ahead).sum())
        if unknown:
            lines.append(
                f"{name!r} has no value in {unknown:,} of the {len(ahead):,} rows ahead: it is filled as missing "
                "values are; give these rows with it"
            )
    return lines


def forecast_frame(
    mean: np.ndarray,
    quantiles: dict[float, np.ndarray],
    levels: tuple[float, ...],
    series: Series,
    names: tuple[str, ...],
    targets: tuple[str, ...],
    horizon: int,
    index_name: str,
    several: bool,
) -> pd.DataFrame:
    """One forecast for each series: mean (n, N, C), and quantiles of this shape by level.

    ``several`` says that the model knows more than one: then they are named, even where one is forecast.
    """
    import pandas as pd

    rows = series.last[:, None] + np.arange(1, horizon + 1)
    n, N, C = mean.shape
    times = np.repeat(series.times[rows][:, None, :], C, axis=1).reshape(-1)  # series, then targets, then steps

    def column(values):
        return values.transpose(0, 2, 1).reshape(-1)

    columns: dict[str, np.ndarray] = {}
    if several:
        columns["series"] = np.repeat(np.array(names, object), C * N)
    if C > 1:
        columns["target"] = np.tile(np.repeat(np.array(targets, object), N), n)
    columns["mean"] = column(mean)
    for level in levels:
        for side, end in zip(("lower", "upper"), ends(level)):
            columns[f"{side}_{percent(level)}"] = column(quantiles[end])
    index = pd.DatetimeIndex(times) if times.dtype.kind == "M" else pd.Index(times)
    return pd.DataFrame(columns, index=index.rename(index_name or None))
