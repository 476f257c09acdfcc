"""One row in, one forecast out: the forecast of :class:`Fitted` at the newest row, and whether that row is a fault.

Everything before the network is linear in the rows that are read, so the references and ridge regressions of all bases
become one matrix for each kind of row; the members of the network are walked through side by side. NumPy only.

Dimension letters: R rows that are read, W rows of the window, N rows ahead, C targets, D inputs, A columns known ahead.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.data import calendar
from minirnn.models.forecasting import intervals, rows, stateful, stepping
from minirnn.models.forecasting.encoder import Encoder
from minirnn.models.forecasting.fitted import Fitted, spread
from minirnn.models.forecasting.series import Series
from minirnn.models.forecasting.settings import ParameterError
from minirnn.params import QUANTILES, Direct

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


class Forecast(NamedTuple):
    """The rows ahead, in the unit of the targets."""

    mean: np.ndarray  # (N, C)
    quantiles: dict[float, np.ndarray]  # level -> (N, C)
    curve: np.ndarray  # (C, Q) of the next row, scaled


class _Maps(NamedTuple):
    """Linear maps of the rows that are read, the oldest first."""

    available: int
    targets: np.ndarray  # (R·C, N·C) of the scaled targets, to the mean of the bases
    usual: list[np.ndarray]  # (R·C, N·C) of each calendar's share
    rest: np.ndarray  # (W·E, N·C) of what the inputs hold beside targets
    constant: np.ndarray  # (N·C,)
    deviations: np.ndarray  # (R', W) of the network's own encoder
    level: np.ndarray  # (R',)


class Stream:
    """The sliding window: every forecast is that of ``Fitted.forecast`` at the newest row, to rounding.

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
        self.fitted, self.levels = fitted, levels
        encoders = [fitted.encoder, *(base.encoder for base in fitted.bases)]
        self.reach = max(encoder.reference.reach for encoder in encoders)
        self.least = max(encoder.reference.least for encoder in encoders)
        groups: dict[object, Encoder] = {}
        which = int(series.which[k])
        for encoder in encoders:
            if any(encoder.plan.harmonics):
                groups.setdefault(_calendar(encoder), encoder)
        self._groups = list(groups)
        own = _calendar(fitted.encoder)
        self._own = None if own is None else self._groups.index(own)
        self._weights = [sum(b.weight for b in fitted.bases if _calendar(b.encoder) == key) for key in groups]
        usuals = [(encoder, encoder.usual[which]) for encoder in groups.values()]
        if history:
            self.rows = rows.of_series(fitted.encoder, series, k, usuals, self.reach)
        else:
            self.rows = rows.RecentRows(fitted.encoder, which, usuals, self.reach, start)
        self.statics = fitted.encoder.statics[which]
        self._repeated = np.tile(self.statics, (fitted.encoder.window, 1))  # (W, Q)
        self.scale, self.offset = (
            figures[which, : fitted.encoder.targets]
            for figures in (fitted.encoder.scaler.std, fitted.encoder.scaler.mean)
        )
        network = fitted.description.horizon
        self._members: Any = None
        if isinstance(network, Direct) and network.network.read == "last" and stepping.steps_alone(network.network):
            self._members = stepping.stack(network.network, fitted.members)
        self._states: tuple[stepping.State, ...] = ()
        self._outputs = np.empty(0)
        if fitted.carried is not None and history:
            self._outputs, self._states = stateful.newest(fitted, self._members, series, k)
        elif fitted.carried is not None:
            self._states = stepping.initial(self._members)
        ends = {*levels, alarm}
        self._ends = _Ends(fitted, sorted({round(e, 10) for level in ends for e in ((1 - level) / 2, (1 + level) / 2)}))
        self._alarm = tuple(
            fitted.calibration.quantile(round(end, 10))[0] for end in ((1 - alarm) / 2, (1 + alarm) / 2)
        )
        self._plan: dict[int, np.ndarray] = {}
        self._maps: _Maps | None = None
        self._next = self._forecast()

    @property
    def next_time(self):
        """The time that the next row has to have."""
        return self.rows.next_time

    def plan(self, times: np.ndarray, values: np.ndarray) -> None:
        """Tells the columns known ahead: times (n,), values (n, A) in the order of the model's columns."""
        for time, row in zip(np.asarray(times).astype(self.rows.times.dtype).astype(np.int64).tolist(), values):
            self._plan[time] = np.asarray(row, float)

    def push(self, values) -> Step | None:
        """The next row (columns,) of the series, NaN where nothing is known; None while too few rows are known."""
        values = np.asarray(values, float)
        encoder = self.fitted.encoder
        time, truth = self.rows.next_time, values[: encoder.targets].copy()
        planned = self._plan.pop(int(time.astype(np.int64)), None) if self._plan else None
        if planned is not None:
            columns = list(encoder.ahead)
            values = values.copy()
            values[columns] = np.where(np.isnan(values[columns]), planned, values[columns])
        score, anomaly = self._judge(truth)
        self._read(values)
        self._next = self._forecast()
        if self._next is None:
            return None
        return Step(time, truth, score, anomaly, self.rows.ahead_times(), self._next.mean, self._next.quantiles)

    def _read(self, values: np.ndarray) -> None:
        """One more row; where the state is carried the network takes its step."""
        self.rows.push(values)
        if self.fitted.carried is not None:
            self._outputs, self._states = stepping.walk(self._members, self._row()[None], self._states)

    def _row(self) -> np.ndarray:
        """What a network that carries its state reads of the newest row (D,), float32."""
        encoder, now = self.fitted.encoder, self.rows.end - 1
        targets = self.rows.carried[now, : encoder.targets]
        if self._own is not None:
            targets = targets - self.rows.usual[self._own][now]
        parts = [targets, self.rows.carried[now, encoder.targets :]]
        if encoder.leads:
            ahead = self._ahead()
            parts += [ahead[lead - 1] for lead in encoder.leads]
        parts += [self.rows.features[now], self.rows.masks[now], self.statics]
        return np.concatenate(parts).astype(np.float32)

    def until(self, time) -> int:
        """How many rows are missing before a row of this time.

        Raises:
          ParameterError: the time is not later than the last row's, lies between two rows, or far ahead.
        """
        expected, frequency = self.next_time, self.fitted.encoder.frequency
        if time == expected:
            return 0
        said = f"the next row is due at {plain(expected)}" if frequency else f"the next row is {expected}"
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
        nothing = np.full(len(self.fitted.encoder.imputer.methods), np.nan)
        for _ in range(missing):
            time = int(self.rows.next_time.astype(np.int64)) if self._plan else 0
            values = nothing.copy()
            if time in self._plan:
                values[list(self.fitted.encoder.ahead)] = self._plan.pop(time)
            self._read(values)
        if missing:
            self._next = self._forecast()

    # ------------------------------------------------------------ the forecast

    def _forecast(self) -> Forecast | None:
        available = min(self.rows.end, self.reach)
        if available < self.least:
            return None
        if self._maps is None or self._maps.available != available:
            self._maps = _maps(self.fitted, self._groups, available)
        fitted, encoder, maps, N = self.fitted, self.fitted.encoder, self._maps, self.fitted.encoder.horizon
        C, end = encoder.targets, self.rows.end
        targets = self.rows.scaled[end - available : end, :C]
        rest = self._rest()
        base = targets.ravel() @ maps.targets + rest.astype(np.float64).ravel() @ maps.rest + maps.constant
        for usual, of_rows in zip(self.rows.usual, maps.usual):
            base -= usual[end - available : end].ravel() @ of_rows
        base = base.reshape(N, C) + self._usual_ahead()
        raw = self._split(self._outputs) if fitted.carried is not None else self._network(self._inputs(targets, rest))
        mean = base + fitted.share * fitted.scale * raw[..., 0]  # (K, N, C)
        offsets = fitted.scale[..., None] * spread(fitted.description, raw)  # (K, N, C, Q)
        values = (mean[..., None] + offsets).sum(axis=0) / len(mean)  # (N, C, Q)
        ends = self._unscale(self._ends.at(values))
        # The mean of the members is taken in the unit of the targets, as a forecast of several is.
        return Forecast(self._unscale(mean).sum(axis=0) / len(mean), dict(zip(self._ends.levels, ends)), values[0])

    def _unscale(self, values):
        plain = values * self.scale + self.offset
        return np.exp(np.minimum(plain, 700.0)) if self.fitted.encoder.plan.log else plain

    def _usual_ahead(self):
        end, N, total = self.rows.end, self.fitted.encoder.horizon, 0.0
        for weight, usual in zip(self._weights, self.rows.usual):
            total = total + weight * usual[end : end + N]
        return total

    def _rest(self) -> np.ndarray:
        """What the inputs hold beside deviations and levels (W, E), float32."""
        encoder, end = self.fitted.encoder, self.rows.end
        W, C = encoder.window, encoder.targets
        window = slice(end - W, end)
        parts = [self.rows.scaled[window, C:]]
        if encoder.leads:
            known = np.concatenate([self.rows.carried[window][:, list(encoder.ahead)], self._ahead()])  # (W + N, A)
            parts += [known[lead : lead + W] for lead in encoder.leads]
        parts += [self.rows.features[window], self.rows.masks[window], self._repeated]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def _ahead(self) -> np.ndarray:
        times = self.rows.ahead_times().astype(np.int64).tolist() if self._plan else ()
        nothing = np.full(len(self.fitted.encoder.ahead), np.nan)
        plan = [self._plan.get(time, nothing) for time in times] or [nothing] * self.fitted.encoder.horizon
        return self.rows.ahead(np.array(plan))

    def _inputs(self, targets: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """What the network reads (W, D), float32."""
        encoder, maps = self.fitted.encoder, self._maps
        assert maps is not None
        z = targets
        if self._own is not None:
            z = z - self.rows.usual[self._own][self.rows.end - len(z) : self.rows.end]
        z = z[len(z) - len(maps.level) :]
        parts = [(maps.deviations.T @ z / encoder.spread).astype(np.float32)]
        if encoder.plan.revert:
            standard = (maps.level @ z - encoder.level[0]) / encoder.level[1]
            parts.append(np.broadcast_to(standard.astype(np.float32), (encoder.window, encoder.targets)))
        return np.concatenate([*parts, rest], axis=1)

    def _split(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs (K, 1, O) -> (K, N, C, P)."""
        encoder = self.fitted.encoder
        return outputs.reshape(len(outputs), encoder.horizon, encoder.targets, -1).astype(np.float64)

    def _network(self, inputs: np.ndarray) -> np.ndarray:
        """Raw numbers of the members (K, N, C, P)."""
        fitted, encoder = self.fitted, self.fitted.encoder
        if self._members is not None:
            return self._split(stepping.walk(self._members, inputs)[0])
        from minirnn.readable import forecasting as half

        ahead = np.zeros((encoder.horizon, 0), np.float32)
        if not isinstance(fitted.description.horizon, Direct):
            end = self.rows.end
            features = self.rows.features[end : end + encoder.horizon]
            ahead = np.concatenate([features, self._ahead()], axis=1).astype(np.float32)
        state = half.start(half.make_optimizer(1e-3, 1.0), fitted.members)
        return np.asarray(half.predict(fitted.description, state, inputs[None], ahead[None]), np.float64)[:, 0]

    # ------------------------------------------------------------ faults

    def _judge(self, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the truth lies on the forecast of it, and whether outside its interval; NaN and False where unknown."""
        known = ~np.isnan(truth)
        if self._next is None:
            return np.full(len(truth), np.nan), np.zeros(len(truth), bool)
        encoder = self.fitted.encoder
        value = np.where(known, truth, 0.0)
        if encoder.plan.log:
            value = np.log(np.maximum(value, encoder.floor[self.rows.which]))
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
    if model.fitted_.recursion is not None:
        raise ParameterError(
            "a model with strategy='recursive' feeds forecasts back row by row; a stream needs strategy='direct' or "
            "'seq2seq'"
        )
    if model.fitted_.outliers is not None:
        raise ParameterError("a model with clip_outliers=True clips rows by those around them; a stream cannot do that")
    if not model.fitted_.calibrated:
        raise ParameterError("the model has no calibrated intervals (file format 1); fit and save it again to stream")
    if not history and start is None and model.frequency_ is not None:
        raise ParameterError("a stream without history needs the time of its first row; pass start")
    start = 0 if start is None else start if model.frequency_ is None else np.datetime64(start, "us")
    return Stream(model.fitted_, model.recent_, k, levels=levels, alarm=alarm, history=history, start=start)


def _calendar(encoder: Encoder) -> object:
    """What tells fixed seasons apart; None where there is none."""
    return (encoder.plan.harmonics, encoder.usual.tobytes()) if any(encoder.plan.harmonics) else None


class _Ends:
    """The ends of intervals: where on a curve they lie is the same at every row, so it is looked up once."""

    def __init__(self, fitted: Fitted, levels: list[float]):
        self.levels = levels
        z = intervals.normal_scores(QUANTILES)
        wanted = np.stack([fitted.calibration.quantile(level) for level in levels])  # (E, N, C)
        self._low = np.clip(np.searchsorted(z, wanted) - 1, 0, len(z) - 2)
        self._share = (wanted - z[self._low]) / (z[self._low + 1] - z[self._low])
        size = np.arange(wanted[0].size).reshape(wanted[0].shape) * len(z)
        self._low = self._low + size  # places in the flat curves

    def at(self, values: np.ndarray) -> np.ndarray:
        """Curves (N, C, Q) -> ends (E, N, C)."""
        flat = values.ravel()
        low, high = flat[self._low], flat[self._low + 1]
        return low + self._share * (high - low)


def _maps(fitted: Fitted, groups: list[object], available: int) -> _Maps:
    """The bases' references and regressions as one map for each kind of row, where so many rows are there."""
    own = fitted.encoder
    N, C, W = own.horizon, own.targets, own.window
    E = sum(len(numbers) for kind, numbers in own.channels().items() if kind not in ("deviations", "level"))
    targets = np.zeros((available, C, N, C))
    usual = [np.zeros((available, C, N, C)) for _ in groups]
    rest: np.ndarray = np.zeros((W, E, N, C))
    constant: np.ndarray = np.zeros((N, C))
    for base in fitted.bases:
        encoder = base.encoder
        maps = encoder.reference.maps(available)
        channels = encoder.channels()
        D = sum(map(len, channels.values()))
        found = np.zeros((len(maps.level), C, N, C))
        for c, ridge in enumerate(base.linear):
            flat = np.zeros((W * D, N))
            flat[encoder.linear_inputs(c)] = ridge.coefficients
            K = flat.reshape(W, D, N)
            constant[:, c] += base.weight * ridge.intercept
            found[:, c, :, c] += maps.ahead
            for j in range(C):
                found[:, j, :, c] += maps.deviations @ (K[:, channels["deviations"][j]] / encoder.spread[j])
            for j, channel in enumerate(channels["level"]):
                weights = K[:, channel].sum(axis=0) / encoder.level[1][j]  # (N,)
                found[:, j, :, c] += np.outer(maps.level, weights)
                constant[:, c] -= base.weight * encoder.level[0][j] * weights
            rest[:, :, :, c] += base.weight * K[:, D - E :]
        # Maps of fewer rows than are there leave the oldest out; absent rows weigh nothing and are cut off.
        found = base.weight * found[-min(available, len(found)) :]
        targets[available - len(found) :] += found
        key = _calendar(encoder)
        if key is not None:
            usual[groups.index(key)][available - len(found) :] += found
    maps = own.reference.maps(available)
    read = min(available, len(maps.level))
    return _Maps(
        available,
        targets.reshape(available * C, N * C),
        [each.reshape(available * C, N * C) for each in usual],
        rest.reshape(W * E, N * C),
        constant.ravel(),
        maps.deviations[-read:],
        maps.level[-read:],
    )
