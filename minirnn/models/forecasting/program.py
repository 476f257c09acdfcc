"""The forecast of one window as a JAX function of its raw rows: for gradients with respect to them, and for export.

What :class:`Fitted` computes with NumPy for many windows at once is written here for a single one, from the rows in the
unit of the columns to the mean and the ends of the intervals. ``jax.vmap`` makes a batch of it.

Dimension letters: R rows up to the origin, W rows of the window, N rows ahead, C targets, P other columns, A columns
known ahead, M masked columns, D inputs, K members, Q levels of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from minirnn.data import calendar, imputing
from minirnn.data.calendar import Cycle
from minirnn.fast import horizons, losses
from minirnn.models.forecasting.encoder import Encoder
from minirnn.models.forecasting.fitted import Fitted
from minirnn.models.forecasting.intervals import ends_of, normal_scores
from minirnn.models.forecasting.series import Series
from minirnn.params import QUANTILES, Direct


class Place(NamedTuple):
    """What is particular to one series."""

    mean: Any  # (C+P,) of each column, after the logarithm
    std: Any  # (C+P,)
    floor: Any  # (C,) below it no logarithm is taken
    statics: Any  # (S,)
    usual: tuple[Any, ...]  # the calendar's share (F, C) of the network's encoder, then of each base


class Window(NamedTuple):
    """What a forecast reads. Values are raw, or scaled by :meth:`Program.scaled`."""

    values: Any  # (R, C+P) without gaps, as they can be known at the origin
    lead: Any  # (R+N, A) the columns known ahead, without gaps
    missing: Any  # (R, M) 1 where a value of a masked column had to be filled
    days: Any  # (R+N,) int32, days since 1970-01-01
    seconds: Any  # (R+N,) of the day
    place: Place


# ---------------------------------------------------------------- rows to windows, NumPy


def places(fitted: Fitted, series: Series, statics: np.ndarray | None = None) -> Place:
    """The places of all series, stacked: every array has the series in front."""
    encoder, which = fitted.encoder, series.which
    scaler, trained = encoder.scales(series), (which >= 0)[:, None]
    return Place(
        scaler.mean,
        scaler.std,
        encoder.floors(series),
        np.where(trained, encoder.statics[which], 0.0) if statics is None else statics,
        tuple(each.usual[which] for each in (encoder, *(base.encoder for base in fitted.bases))),
    )


def windows(
    fitted: Fitted, series: Series, origins: np.ndarray, rows: int, statics: np.ndarray | None = None
) -> Window:
    """The windows of these origins, stacked: every array has the window in front. Each needs ``rows`` rows."""
    encoder = fitted.encoder
    series = fitted.read(series)
    filled = encoder.fillings(series).transform(series.values, series.bounds)
    read = origins[:, None] + np.arange(1 - rows, 1)
    longer = origins[:, None] + np.arange(1 - rows, 1 + encoder.horizon)
    k = np.searchsorted(series.bounds, origins, side="right") - 1
    days, seconds = clock(series.times)
    return Window(
        imputing.at(filled, read, origins),
        filled.carried[longer][..., list(encoder.ahead)],
        np.isnan(series.values)[read][..., list(encoder.masked)].astype(float),
        days[longer],
        seconds[longer],
        map_arrays(lambda each: each[k], places(fitted, series, statics)),
    )


def map_arrays(function, *trees):
    """The function of every array of windows or places."""
    return jax.tree.map(function, *trees)


def clock(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Times -> days since 1970-01-01, int32, and seconds of the day; zeros where rows are only counted.

    >>> clock(np.array(["1970-01-02T01:00", "1969-12-31T00:00"], "datetime64[us]"))
    (array([ 1, -1], dtype=int32), array([3600.,    0.]))
    """
    if times.dtype.kind != "M":
        return np.zeros(len(times), np.int32), np.zeros(len(times))
    days = times.astype("datetime64[D]")
    return days.astype(np.int64).astype(np.int32), (times - days) / np.timedelta64(1, "s")


# ---------------------------------------------------------------- windows to forecasts, JAX


@dataclass(frozen=True, eq=False)
class Program:
    """The forecast of a fitted model.

    Args:
      fitted: the model; its arrays become constants.
      dtype: of the arithmetic.
    """

    fitted: Fitted
    dtype: Any = np.float32

    def mean(self, window: Window):
        """The forecast (N, C)."""
        return self.mean_of(self.scaled(window))

    def mean_of(self, window: Window):
        """The forecast (N, C) of a scaled window."""
        return self._unscale(self._members(window)[0], window.place).mean(axis=0)

    def forecast(self, window: Window, levels: tuple[float, ...]) -> tuple[Any, dict[float, Any]]:
        """The forecast (N, C), and the ends (N, C) of the intervals of these levels by their quantile level."""
        window = self.scaled(window)
        means, raw = self._members(window, spread=True)
        scale = self._constant(self.fitted.scale)
        offsets = (scale[..., None] * self._spread(raw)).mean(axis=0)  # (N, C, Q)
        values = means.mean(axis=0)[..., None] + offsets
        quantiles = {end: self._at(self.fitted.calibration.quantile(end), values) for end in ends_of(levels)}
        return (
            self._unscale(means, window.place).mean(axis=0),
            {end: self._unscale(value, window.place) for end, value in quantiles.items()},
        )

    # ------------------------------------------------------------ scales

    def scaled(self, window: Window) -> Window:
        """The window with its logarithms taken and scaled."""
        encoder, place = self.fitted.encoder, window.place
        C = encoder.targets
        values = jnp.asarray(window.values, self.dtype)
        if encoder.plan.log:
            logs = jnp.log(jnp.maximum(values[:, :C], jnp.asarray(place.floor, self.dtype)))
            values = jnp.concatenate([logs, values[:, C:]], axis=1)
        mean, std = (jnp.asarray(part, self.dtype) for part in (place.mean, place.std))
        ahead = np.array(encoder.ahead, int)
        lead = (jnp.asarray(window.lead, self.dtype) - mean[ahead]) / std[ahead]
        return window._replace(values=(values - mean) / std, lead=lead)

    def _unscale(self, values, place):
        """Scaled (..., C) in the unit of the targets."""
        C = self.fitted.encoder.targets
        plain = values * jnp.asarray(place.std, self.dtype)[:C] + jnp.asarray(place.mean, self.dtype)[:C]
        return jnp.exp(jnp.minimum(plain, 700.0)) if self.fitted.encoder.plan.log else plain

    # ------------------------------------------------------------ the parts of the forecast

    def _members(self, window, spread: bool = False):
        """Means of the members (K, N, C), scaled, and their raw numbers (K, N, C, P)."""
        fitted = self.fitted
        base: Any = 0.0
        for each, usual in zip(fitted.bases, window.place.usual[1:]):
            inputs, reference = self._encode(each.encoder, window, usual)
            parts = [
                inputs.reshape(-1)[each.encoder.linear_inputs(c)] @ self._constant(ridge.coefficients)
                + self._constant(ridge.intercept)
                for c, ridge in enumerate(each.linear)
            ]
            base = base + each.weight * (reference + jnp.stack(parts, axis=1))
        if not (fitted.share or spread):  # the network's mean would be multiplied by zero
            return base[None], None
        raw = self._network(window)
        return base + fitted.share * self._constant(fitted.scale) * raw[..., 0], raw

    def _network(self, window):
        """Raw numbers of the members (K, N, C, P)."""
        fitted, encoder = self.fitted, self.fitted.encoder
        inputs, _ = self._encode(encoder, window, window.place.usual[0])
        ahead = jnp.zeros((encoder.horizon, 0), self.dtype)
        if not isinstance(fitted.description.horizon, Direct):
            R = len(window.values)
            ahead = jnp.concatenate([self._calendar(window)[R:], window.lead[R:]], axis=1)
        stacked = jax.tree.map(lambda *leaves: self._constant(np.stack(leaves)), *fitted.members)

        def member(params):
            raw = horizons.forward(fitted.description.horizon, params, inputs[:, None], ahead[:, None])
            return raw.reshape(encoder.horizon, encoder.targets, fitted.description.numbers)

        return jax.vmap(member)(stacked)

    def _encode(self, encoder: Encoder, window, usual):
        """What the network reads (W, D), and the reference of the rows ahead (N, C); as ``Encoder.inputs``."""
        R, C, W = len(window.values), encoder.targets, encoder.window
        share = jnp.zeros((R + encoder.horizon, C), self.dtype)
        if any(encoder.plan.harmonics):
            share = self._harmonics(encoder, window) @ jnp.asarray(usual, self.dtype)
        reach = min(R, encoder.reference.reach)
        maps = [self._constant(each[-reach:]) for each in encoder.reference.maps(reach)]
        z = (window.values[:, :C] - share[:R])[-reach:]  # (reach, C)
        deviations, reference, level = (each.T @ z for each in maps)
        parts = [deviations / self._constant(encoder.spread)]
        if encoder.plan.revert:
            standard = (level - self._constant(encoder.level[0])) / self._constant(encoder.level[1])
            parts.append(jnp.broadcast_to(standard, (W, C)))
        parts.append(window.values[-W:, C:])
        parts += [window.lead[R - W + lead : R + lead] for lead in encoder.leads]
        statics = jnp.asarray(window.place.statics, self.dtype)
        parts += [
            self._calendar(window)[R - W : R],
            jnp.asarray(window.missing, self.dtype)[-W:],
            jnp.broadcast_to(statics, (W, len(statics))),
        ]
        return jnp.concatenate(parts, axis=1), reference + share[R:]

    def _spread(self, raw):
        """How far the curve lies from the mean (K, N, C, Q), in the network's unit; as ``fitted.spread``."""
        z = self._constant(normal_scores(QUANTILES))
        match self.fitted.description.likelihood:
            case "quantiles":
                return losses.monotone_quantiles(raw[..., 1:]) - raw[..., :1]
            case "gaussian":
                return losses.gaussian_parameters(raw)[1][..., None] * z
            case "student":
                return losses.student_t_parameters(raw)[1][..., None] * z
        return jnp.broadcast_to(z, (*raw.shape[:-1], len(z)))

    def _at(self, wanted: np.ndarray, values):
        """The curves (N, C, Q) at these scores (N, C); as ``intervals.at_score``. Scores and segments are constants."""
        z = normal_scores(QUANTILES)
        i = np.clip(np.searchsorted(z, wanted) - 1, 0, len(z) - 2)
        low, high = (jnp.take_along_axis(values, (i + k)[..., None], axis=-1)[..., 0] for k in (0, 1))
        return low + self._constant((wanted - z[i]) / (z[i + 1] - z[i])) * (high - low)

    # ------------------------------------------------------------ the calendar

    def _harmonics(self, encoder: Encoder, window):
        """(R+N, F): ones, then the harmonics of the plan."""
        cycles = calendar.cycles(encoder.frequency)
        parts = [self._waves(window, cycle, n) for cycle, n in zip(cycles, encoder.plan.harmonics) if n]
        return jnp.concatenate([jnp.ones((len(window.days), 1), self.dtype), *parts], axis=1)

    def _calendar(self, window):
        """The calendar's channels (R+N, F)."""
        parts = [self._waves(window, cycle, 1) for cycle in calendar.cycles(self.fitted.encoder.frequency)]
        return jnp.concatenate([jnp.zeros((len(window.days), 0), self.dtype), *parts], axis=1)

    def _waves(self, window, cycle: Cycle, count: int):
        """As ``calendar.harmonics``."""
        angle = 2 * np.pi * self._phase(window, cycle)[:, None] * jnp.arange(1, count + 1, dtype=self.dtype)
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)

    def _phase(self, window, cycle: Cycle):
        """Position in the cycle from 0 to 1 (R+N,); as ``calendar.phases``, from whole numbers, so that it is exact."""
        days = jnp.asarray(window.days, jnp.int32)
        day = jnp.asarray(window.seconds, self.dtype) / 86400
        if cycle.name == "day":
            return day
        if cycle.name == "week":
            return ((days + 3) % 7 + day) / 7  # 1970-01-01 was a Thursday
        year = _year(days)
        first, end = _new_year(year), _new_year(year + 1)
        return ((days - first).astype(self.dtype) + day) / (end - first).astype(self.dtype)

    def _constant(self, array):
        return jnp.asarray(array, self.dtype)


def _year(days):
    """The Gregorian year of days since 1970-01-01; the years begin in March here, so that a leap day ends one."""
    shifted = days + 719_468  # since 0000-03-01
    era = shifted // 146_097  # of 400 years
    day = shifted - era * 146_097
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    in_year = day - (365 * year + year // 4 - year // 100)
    return year + 400 * era + (in_year >= 306)  # January and February belong to the next one


def _new_year(year):
    """The first of January of a year in days since 1970-01-01."""
    before = year - 1
    return 365 * before + before // 4 - before // 100 + before // 400 - 719_162
