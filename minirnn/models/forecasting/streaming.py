"""One row in, one forecast out: the forecast of :class:`Fitted` at the newest row, and whether that row is a fault.

Most forecasts follow from one another (``sliding``); models that clip rows or feed forecasts back are asked anew after
every row. NumPy only.

Dimension letters: N rows ahead, C targets, A columns known ahead, Q points of a curve.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.data import calendar
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import frames, intervals
from minirnn.models.forecasting.fitted import Fitted
from minirnn.models.forecasting.series import Series, lay_out
from minirnn.models.forecasting.sliding import Forecast, RowsAhead, Sliding
from minirnn.params import QUANTILES

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster

_SCORES: list[float] = intervals.normal_scores(QUANTILES).tolist()
FARTHEST = 100_000  # rows that may be missing in a row


class Step(NamedTuple):
    """What is said when a row has been read."""

    time: object  # of the row: datetime64[us], or its number
    values: np.ndarray  # (C,) the targets in it, NaN where missing
    score: np.ndarray  # (C,) where they lie on the forecast made one row before: 0 its middle, +-1.96 its 95 % ends
    anomaly: np.ndarray  # (C,) whether they lie outside the interval of the alarm's level
    times: np.ndarray  # (N,) of the rows ahead
    mean: np.ndarray  # (N, C)
    quantiles: dict[float, np.ndarray]  # level -> (N, C)


class Asking:
    """The forecasts of a stream whose model is asked anew after every row; arguments as of :class:`Sliding`."""

    def __init__(self, fitted: Fitted, series: Series, k: int, ends: list[float], ahead: RowsAhead, history, start):
        self.fitted, self._ends, self._told = fitted, ends, ahead
        self.least, self._which = fitted.least, series.which[[k]]
        first, last = int(series.bounds[k]), int(series.last[k]) + 1
        self._start = series.times[first] if history else start
        self._values = series.values[first:last] if history else series.values[:0]
        self._lay_out()

    def _lay_out(self) -> None:
        count, encoder = len(self._values), self.fitted.encoder
        bounds, last = np.array([0, count]), np.array([count - 1])
        start = np.atleast_1d(self._start)
        rows = lay_out(self._values, bounds, last, start, encoder.frequency, self.fitted.steps, self._which)
        if count > 2 * self.fitted.reach:  # what no forecast reads any more
            rows = frames.recent(rows, self.fitted)
            self._values, self._start = rows.values[: rows.last[0] + 1], rows.times[0]
        self._rows = rows

    @property
    def next_time(self):
        """The time of the row that comes next."""
        return self._rows.times[len(self._values)]

    @property
    def last_time(self):
        """The time of the newest row, None before the first."""
        return self._rows.times[len(self._values) - 1] if len(self._values) else None

    def times_ahead(self) -> np.ndarray:
        """(N,) the times of the rows ahead."""
        return self._rows.times[len(self._values) :]

    def extend(self, values: np.ndarray) -> None:
        """More rows (n, columns)."""
        self._values = np.concatenate([self._values, values])
        self._lay_out()

    def forecast(self) -> Forecast | None:
        """At the newest row; None while too few rows are known."""
        if len(self._values) < self.least:
            return None
        fitted, columns = self.fitted, list(self.fitted.encoder.ahead)
        self._rows.values[len(self._values) :, columns] = self._told.at(self.times_ahead())
        rows = fitted.prepare(self._rows)
        means, curves = fitted.curves(rows, self._rows.last, "readable")
        mean, quantiles = fitted.in_units(means, curves, self._rows, self._rows.last, self._ends)
        return Forecast(mean.mean(axis=0)[0], {end: each[0] for end, each in quantiles.items()}, curves[0, 0])


class Stream:
    """Row by row: every forecast is that of ``Fitted.forecast`` at the newest row, to rounding.

    Args:
      fitted: the forecast.
      series: rows to go on from, those that the model keeps.
      k: which of these series.
      levels: of the intervals that are given.
      alarm: the level of the interval outside of which a row counts as an anomaly. Of ordinary rows a share of
        1 - alarm lies outside.
      history: whether to go on from the known rows of ``series``; otherwise the stream starts anew, says nothing until
        it has read ``least`` rows, and takes its first time from ``start``.
      start: the time of the first row, where there is no history.
    """

    def __init__(
        self,
        fitted: Fitted,
        series: Series,
        k: int = 0,
        *,
        levels: tuple[float, ...] = (0.8, 0.95),
        alarm: float = 0.95,
        history: bool = True,
        start=None,
    ):
        self.fitted = fitted
        self._ahead = RowsAhead(len(fitted.encoder.ahead))
        if history:  # what the rows that the model keeps say of those ahead
            later = slice(int(series.last[k]) + 1, int(series.bounds[k + 1]))
            self._ahead.tell(series.times[later], series.values[later][:, list(fitted.encoder.ahead)])
        ends = {end for level in {*levels, alarm} for end in intervals.ends(level)}
        plain_rows = fitted.recursion is None and fitted.outliers is None
        source: Any = Sliding if plain_rows else Asking
        self._source: Sliding | Asking = source(fitted, series, k, sorted(ends), self._ahead, history, start)
        self.least = self._source.least
        self.which = int(series.which[k])
        C, scaler = fitted.encoder.targets, fitted.encoder.scaler
        self.scale, self.offset = scaler.std[self.which, :C], scaler.mean[self.which, :C]
        self._alarm = tuple(fitted.calibration.quantile(end)[0] for end in intervals.ends(alarm))
        self._next: Forecast | None = None
        self._stale = True  # whether what is known ahead has changed since the last forecast

    @property
    def next_time(self):
        """The time that the next row has to have."""
        return self._source.next_time

    def plan(self, times: np.ndarray, values: np.ndarray) -> None:
        """Tells the columns known ahead: times (n,), values (n, A) in the order of the model's columns."""
        self._ahead.tell(np.asarray(times).astype(np.asarray(self.next_time).dtype), values)
        self._stale = True

    def push(self, values) -> Step | None:
        """The next row (columns,) of the series, NaN where nothing is known; None while too few rows are known."""
        values, encoder = np.asarray(values, float), self.fitted.encoder
        columns = len(encoder.imputer.methods)
        if values.shape != (columns,) or np.isinf(values).any():
            raise ParameterError(
                f"a row holds {columns} finite numbers, NaN for those that are missing; got {values.tolist()}"
            )
        time, truth = self.next_time, values[: encoder.targets].copy()
        planned = self._ahead.of(time)
        if planned is not None:
            later = list(encoder.ahead)
            values = values.copy()
            values[later] = np.where(np.isnan(values[later]), planned, values[later])
        score, anomaly = self._judge(truth)
        self._source.extend(values[None])
        if planned is not None:
            self._ahead.forget(np.atleast_1d(time))
        self._next, self._stale = self._source.forecast(), False
        if self._next is None:
            return None
        return Step(time, truth, score, anomaly, self._source.times_ahead(), self._next.mean, self._next.quantiles)

    def until(self, time) -> int:
        """How many rows are missing before a row of this time.

        Raises:
          ParameterError: the time is not later than the last row's, lies between two rows, or far ahead.
        """
        expected, frequency = self.next_time, self.fitted.encoder.frequency
        if time == expected:
            return 0
        said = f"the next row is due at {plain(expected)}" if frequency else f"the next row is {expected}"
        if self._source.last_time is not None and self._source.last_time < time < expected:
            raise ParameterError(f"{plain(time)} lies between two rows: rows are {frequency} apart, and {said}")
        if time < expected:
            raise ParameterError(f"{plain(time)} is known already, {said}; leave such rows out, or start anew")
        steps = time - expected if frequency is None else (time - expected) / np.timedelta64(1, "D")
        length = 1.0 if frequency is None else calendar.step_days(frequency)
        if steps / length > FARTHEST:
            raise ParameterError(f"{plain(time)} lies more than {FARTHEST:,} rows ahead: {said}; start anew")
        grid = calendar.later(expected, int(steps / length * 1.5) + 400, frequency)
        missing = int(np.searchsorted(grid, time))
        if missing == len(grid) or grid[missing] != time:
            raise ParameterError(f"{plain(time)} lies between two rows: rows are {frequency} apart, and {said}")
        return missing + 1

    def skip(self, missing: int) -> None:
        """So many rows are missing: they are filled as any missing values."""
        if not missing:
            return
        values = np.full((missing, len(self.fitted.encoder.imputer.methods)), np.nan)
        times = calendar.later(self.next_time, missing - 1, self.fitted.encoder.frequency)
        times = np.concatenate([np.atleast_1d(self.next_time).astype(times.dtype), times])
        values[:, list(self.fitted.encoder.ahead)] = self._ahead.at(times)
        self._source.extend(values)
        self._ahead.forget(times)
        self._stale = True

    # ------------------------------------------------------------ faults

    def _judge(self, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the truth lies on the forecast of it, and whether outside its interval; NaN and False where unknown."""
        if self._stale:
            self._next = self._source.forecast()
        known = ~np.isnan(truth)
        if self._next is None:
            return np.full(len(truth), np.nan), np.zeros(len(truth), bool)
        encoder = self.fitted.encoder
        value = np.where(known, truth, 0.0)
        if encoder.plan.log:
            value = np.log(np.maximum(value, encoder.floor[self.which]))
        value = (value - self.offset) / self.scale
        score = np.array([_score(one, curve) for one, curve in zip(value.tolist(), self._next.curve.tolist())])
        below, above = self._alarm
        return np.where(known, score, np.nan), known & ((score < below) | (score > above))


def _score(truth: float, curve: list[float]) -> float:
    """As :func:`intervals.score`, of one number: a tenth of its time."""
    i = min(max(bisect.bisect_left(curve, truth) - 1, 0), len(curve) - 2)
    low, high = _SCORES[i], _SCORES[i + 1]
    return low + (truth - curve[i]) / max(curve[i + 1] - curve[i], 1e-12) * (high - low)


def plain(time, clock: bool = False) -> str:
    """A time as people write it, with the clock where it is not midnight, or always.

    >>> plain(np.datetime64("2024-01-01T13:00", "us")), plain(np.datetime64("2024-01-01", "us")), plain(7)
    ('2024-01-01 13:00:00', '2024-01-01', '7')
    """
    if not isinstance(time, np.datetime64):
        return str(time)
    day, second = time.astype("datetime64[D]"), time.astype("datetime64[s]")
    if day == time and not clock:
        return str(day)
    return str(second if second == time else time).replace("T", " ")


def open_stream(model: Forecaster, k: int, levels, alarm: float, history: bool, start) -> Stream:
    """The stream of the k-th of the series that a model keeps."""
    if not model.fitted_.calibrated:
        raise ParameterError("the model has no calibrated intervals (file format 1); fit and save it again to stream")
    if not history and start is None and model.frequency_ is not None:
        raise ParameterError("a stream without history needs the time of its first row; pass start")
    start = 0 if start is None else start if model.frequency_ is None else np.datetime64(start, "us")
    return Stream(model.fitted_, model.recent_, k, levels=levels, alarm=alarm, history=history, start=start)
