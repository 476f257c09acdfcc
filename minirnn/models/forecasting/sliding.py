"""The forecast at the newest row, from what the last forecast left: a window that slides, or a state that is carried.

Everything before the network is linear in the rows that are read, so the references and ridge regressions of all bases
become one matrix for each kind of row; the members of the network are walked through side by side. NumPy only.

Dimension letters: R rows that are read, W rows of the window, N rows ahead, C targets, D inputs, A columns known ahead,
E inputs beside targets, Q points of a curve.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.models.forecasting import intervals, rows, stateful, stepping
from minirnn.models.forecasting.encoder import Encoder
from minirnn.models.forecasting.fitted import Fitted, spread
from minirnn.models.forecasting.series import Series
from minirnn.params import QUANTILES, Direct


class Forecast(NamedTuple):
    """The rows ahead, in the unit of the targets."""

    mean: np.ndarray  # (N, C)
    quantiles: dict[float, np.ndarray]  # level -> (N, C)
    curve: np.ndarray  # (C, Q) of the next row, scaled


class RowsAhead:
    """The columns that are known ahead, by time, as far as they have been told."""

    def __init__(self, columns: int):
        self._nothing = np.full(columns, np.nan)
        self._rows: dict[int, np.ndarray] = {}

    def tell(self, times: np.ndarray, values: np.ndarray) -> None:
        """Times (n,) as numbers, values (n, A)."""
        for time, row in zip(times.astype(np.int64).tolist(), values):
            self._rows[time] = np.asarray(row, float)

    def of(self, time) -> np.ndarray | None:
        """The values (A,) of a time, if they have been told."""
        return self._rows.get(int(time.astype(np.int64))) if self._rows else None

    def forget(self, times: np.ndarray) -> None:
        """Times that have come: they need not be kept."""
        if self._rows:
            for time in times.astype(np.int64).tolist():
                self._rows.pop(time, None)

    def at(self, times: np.ndarray) -> np.ndarray:
        """(n, A) of these times, NaN where nothing has been told."""
        if not self._rows:
            return np.tile(self._nothing, (len(times), 1))
        return np.array([self._rows.get(time, self._nothing) for time in times.astype(np.int64).tolist()])


class _Maps(NamedTuple):
    """Linear maps of the rows that are read, the oldest first."""

    available: int
    targets: np.ndarray  # (R·C, N·C) of the scaled targets, to the mean of the bases
    usual: list[np.ndarray]  # (R·C, N·C) of each calendar's share
    rest: np.ndarray  # (W·E, N·C) of what the inputs hold beside targets
    constant: np.ndarray  # (N·C,)
    deviations: np.ndarray  # (R', W) of the network's own encoder
    level: np.ndarray  # (R',)


class Sliding:
    """The forecasts of a stream; arguments as of :class:`minirnn.models.forecasting.streaming.Stream`.

    Args:
      fitted: the forecast.
      series: rows to go on from.
      k: which of these series.
      ends: quantile levels that are wanted.
      ahead: the columns that are known ahead.
      history: whether to go on from the known rows of ``series``.
      start: the time of the first row, where there is no history.
    """

    def __init__(self, fitted: Fitted, series: Series, k: int, ends: list[float], ahead: RowsAhead, history, start):
        self.fitted, self._told = fitted, ahead
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
        self._ends = _Ends(fitted, ends)
        self._maps: _Maps | None = None

    @property
    def next_time(self):
        """The time of the row that comes next."""
        return self.rows.next_time

    @property
    def last_time(self):
        """The time of the newest row, None before the first."""
        return self.rows.times[self.rows.end - 1] if self.rows.end else None

    def times_ahead(self) -> np.ndarray:
        """(N,) the times of the rows ahead."""
        return self.rows.ahead_times()

    def extend(self, values: np.ndarray) -> None:
        """More rows (n, columns); where the state is carried the network takes a step for each."""
        for row in values:
            self.rows.push(row)
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

    def forecast(self) -> Forecast | None:
        """At the newest row; None while too few rows are known."""
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
        offsets = fitted.scale[..., None] * spread(fitted.description, raw).sum(axis=0)  # (N, C, Q)
        values = (mean.sum(axis=0)[..., None] + offsets) / len(mean)
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
        return self.rows.ahead(self._told.at(self.rows.ahead_times()))

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
