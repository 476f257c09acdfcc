"""From rows to what the network reads, and from what it says back to the unit of the target.

What is fitted here (fillings, scales, the calendar's share) is fitted on training rows alone. Everything is NumPy.

Dimension letters: n windows, R rows that are read, W rows of the window, N rows ahead, C targets, D inputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.data import calendar, imputing
from minirnn.data.imputing import Filled, Imputer
from minirnn.data.rows import means, training_part
from minirnn.data.scaling import Scaler
from minirnn.models.forecasting.reference import Reference
from minirnn.models.forecasting.series import Series


@dataclass(frozen=True)
class Plan:
    """What a forecast is measured from; chosen by :mod:`minirnn.models.forecasting.choosing`.

    Args:
      log: whether the logarithm of the targets is forecast.
      harmonics: of each of the calendar's cycles, how many make up a season that is fixed; () for none.
      season: rows of a season that moves with the rows; 1 for none.
      gamma: of :class:`Reference`.
      seasons: of :class:`Reference`.
      alpha: of :class:`Reference`.
      revert: whether the level itself is an input, so that a forecast can return to what is usual.
      linear_calendar: whether the linear part reads the calendar.
      linear_others: whether it reads the other columns.
      linear_whole: whether it reads everything in every row, as of files of format 1, instead of this choice.
    """

    log: bool = False
    harmonics: tuple[int, ...] = ()
    season: int = 1
    gamma: float = 0.0
    seasons: int = 4
    alpha: float = 1.0
    revert: bool = False
    linear_calendar: bool = True
    linear_others: bool = True
    linear_whole: bool = False

    def reference(self, window: int, horizon: int) -> Reference:
        """The reference of windows of this length."""
        return Reference(window, horizon, self.alpha, self.season, self.gamma, self.seasons)


class Prepared(NamedTuple):
    """Rows ready to be cut into windows."""

    series: Series
    targets: Filled  # (rows, C) scaled, without the calendar's share
    others: Filled  # (rows, P) the other columns, scaled
    usual: np.ndarray  # (rows, C) the calendar's share, scaled
    plain: np.ndarray  # (rows, F) what needs no filling: calendar, then masks, then statics
    known: np.ndarray  # (rows, C) where a target is in the data


@dataclass(frozen=True, eq=False)
class Encoder:
    """How rows become inputs. Channels of the inputs, in this order: deviations of each target, its level if the plan
    reverts, the other columns, those known ahead ``leads`` rows earlier, calendar, masks, statics.

    Args:
      plan: what is measured from what.
      window: W.
      horizon: N.
      targets: C, the first so many columns.
      ahead: numbers of the columns that are known ahead.
      frequency: pandas alias, or None.
      imputer: of all columns.
      scaler: of all columns, after the logarithm.
      floor: (series, C) below it no logarithm is taken.
      usual: (series + 1, F, C) the calendar's share of each target; the last entry is for series that are new.
      masked: numbers of the columns that have a mask channel.
      statics: (series, Q) what each series is, as numbers.
      spread: (C,) of the deviations of training windows.
      level: (2, C) mean and spread of the levels of training windows.
    """

    plan: Plan
    window: int
    horizon: int
    targets: int
    ahead: tuple[int, ...]
    frequency: str | None
    imputer: Imputer
    scaler: Scaler
    floor: np.ndarray
    usual: np.ndarray
    masked: tuple[int, ...]
    statics: np.ndarray
    spread: np.ndarray
    level: np.ndarray

    # ------------------------------------------------------------ fitting

    @classmethod
    def fit(
        cls,
        plan: Plan,
        series: Series,
        stop: np.ndarray,
        *,
        window: int,
        horizon: int,
        targets: int,
        ahead: tuple[int, ...],
        frequency: str | None,
        imputer: Imputer,
        statics: np.ndarray | None = None,
    ) -> Encoder:
        """From the rows before ``stop[k]`` of each series k."""
        known = ~np.isnan(series.values)
        training = np.arange(len(known)) < np.repeat(stop, np.diff(series.bounds))
        masked = tuple(int(c) for c in np.flatnonzero((~known & training[:, None]).any(axis=0)))
        count = len(series.which)
        encoder = cls(
            plan,
            window,
            horizon,
            targets,
            ahead,
            frequency,
            imputer,
            Scaler(np.zeros((count, known.shape[1])), np.ones((count, known.shape[1]))),
            _floor(series, stop, targets),
            np.zeros((count + 1, 0, targets)),
            masked,
            np.zeros((count, 0)) if statics is None else statics,
            np.ones(targets),
            np.stack([np.zeros(targets), np.ones(targets)]),
        )
        values = encoder._logarithms(np.where(known, series.values, np.nan), series)
        encoder = dataclasses.replace(encoder, scaler=Scaler.fit(values, series.bounds, stop))
        encoder = encoder._with_usual(series, stop)
        prepared = encoder.prepare(series)
        start = series.bounds[:-1]
        origins = series.origins(encoder.reference.least, start, stop, horizon)
        if not len(origins):
            return encoder
        chosen = origins[np.linspace(0, len(origins) - 1, min(len(origins), 20_000)).astype(np.int64)]
        deviations, _, level = encoder.measure(prepared, chosen)
        spread, wide = deviations.std(axis=(0, 1)), level.std(axis=0)
        return dataclasses.replace(
            encoder,
            spread=np.where(spread > 0, spread, 1.0),
            level=np.stack([level.mean(axis=0), np.where(wide > 0, wide, 1.0)]),
        )

    def _with_usual(self, series: Series, stop: np.ndarray) -> Encoder:
        """The calendar's share of each target, by least squares on the known training rows of each series."""
        if not any(self.plan.harmonics):
            return self
        design, C = self._harmonics(series.times), self.targets
        scaled = self.scaler.transform(self._logarithms(series.values, series), series.of_rows)[:, :C]
        found = np.zeros((len(series.which) + 1, design.shape[1], C))
        for k, (first, end) in enumerate(zip(series.bounds[:-1], stop)):
            for c in range(C):
                rows = first + np.flatnonzero(~np.isnan(scaled[first:end, c]))
                if len(rows) >= 2 * design.shape[1]:
                    found[k, :, c] = np.linalg.lstsq(design[rows], scaled[rows, c], rcond=None)[0]
        found[-1] = found[:-1].mean(axis=0)
        return dataclasses.replace(self, usual=found)

    # ------------------------------------------------------------ rows

    @property
    def reference(self) -> Reference:
        """What windows are measured from."""
        return self.plan.reference(self.window, self.horizon)

    @property
    def leads(self) -> tuple[int, ...]:
        """How many rows earlier the columns known ahead are shown, so that all rows ahead are seen."""
        return tuple(range(self.horizon, 0, -self.window)) if self.ahead else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The calendar's channels."""
        return calendar.calendar_features(np.empty(0, "datetime64[us]"), self.frequency).names

    def _harmonics(self, times: np.ndarray) -> np.ndarray:
        """(rows, 1 + F): ones, then the harmonics of the plan."""
        cycles = calendar.cycles(self.frequency)
        parts = [calendar.harmonics(times, cycle, n) for cycle, n in zip(cycles, self.plan.harmonics) if n]
        return np.concatenate([np.ones((len(times), 1)), *parts], axis=1)

    def _logarithms(self, values: np.ndarray, series: Series) -> np.ndarray:
        if not self.plan.log:
            return values
        logs = np.log(np.maximum(values[:, : self.targets], self.floors(series)[series.of_rows]))
        return np.concatenate([logs, values[:, self.targets :]], axis=1)

    def floors(self, series: Series) -> np.ndarray:
        """(series, C) below what no logarithm is taken; of a new series from its own rows."""
        floor = self.floor[series.which]
        new = series.which < 0
        if new.any():
            floor = np.where(new[:, None], _floor(series, series.last + 1, self.targets), floor)
        return floor

    def fillings(self, series: Series) -> Imputer:
        """The imputer of these series; what stands before the first value of a new one is the mean of its own rows."""
        fallback = self.imputer.fallback[series.which]
        new = series.which < 0
        if new.any():
            own, counts = means(*training_part(series.values, series.bounds, series.last + 1))
            own = np.where(counts > 0, own, self.imputer.fallback.mean(axis=0))
            fallback = np.where(new[:, None], own, fallback)
        return dataclasses.replace(self.imputer, fallback=fallback)

    def scales(self, series: Series) -> Scaler:
        """Mean and spread of each of these series; of a new one from its own rows."""
        if (series.which >= 0).all():
            return Scaler(self.scaler.mean[series.which], self.scaler.std[series.which])
        own = Scaler.fit(self._logarithms(series.values, series), series.bounds, series.last + 1)
        trained = (series.which >= 0)[:, None]
        return Scaler(
            np.where(trained, self.scaler.mean[series.which], own.mean),
            np.where(trained, self.scaler.std[series.which], own.std),
        )

    def settled(self, series: Series, statics: np.ndarray | None = None) -> Encoder:
        """The same for parts of these series: what a new one is scaled and filled by is told from all of its rows."""
        own = np.where((series.which >= 0)[:, None], self.statics[series.which], 0.0) if statics is None else statics
        return dataclasses.replace(
            self,
            imputer=self.fillings(series),
            scaler=self.scales(series),
            floor=self.floors(series),
            usual=np.concatenate([self.usual[series.which], self.usual[-1:]]),
            statics=own,
        )

    def prepare(self, series: Series, statics: np.ndarray | None = None) -> Prepared:
        """Fills, scales and sets apart; reads no row later than each row itself, but for ``between`` (see imputing)."""
        C, rows = self.targets, series.of_rows
        known = ~np.isnan(series.values)
        filled = self.fillings(series).transform(series.values, series.bounds)
        scaler = self.scales(series)

        def scaled(values):
            return scaler.transform(self._logarithms(values, series), rows)

        carried, between = scaled(filled.carried), scaled(filled.between)
        usual = np.zeros((len(rows), C))
        if any(self.plan.harmonics):
            usual = np.einsum("rf,rfc->rc", self._harmonics(series.times), self.usual[series.which][rows])
        times = series.times
        features = calendar.calendar_features(times, self.frequency).values
        masks = (~known[:, self.masked]).astype(float)
        # Of a new series nothing is known: zeros, the mean of every number.
        own = np.where((series.which >= 0)[:, None], self.statics[series.which], 0.0) if statics is None else statics
        plain = np.concatenate([features, masks, own[rows]], axis=1)
        return Prepared(
            series,
            Filled(carried[:, :C] - usual, between[:, :C] - usual, filled.known[:, :C]),
            Filled(carried[:, C:], between[:, C:], filled.known[:, C:]),
            usual,
            plain,
            known[:, :C],
        )

    # ------------------------------------------------------------ windows

    def measure(self, prepared: Prepared, origins: np.ndarray):
        """Deviations (n, W, C) of windows from the reference, the reference ahead (n, N, C), and the level (n, C)."""
        R, C = self.reference.reach, self.targets
        first = prepared.series.first(origins)
        available = self.reference.readable(origins - first + 1)
        deviations = np.empty((len(origins), self.window, C))
        ahead, level = np.empty((len(origins), self.horizon, C)), np.empty((len(origins), C))
        for rows in np.unique(available):
            chosen = np.flatnonzero(available == rows)
            maps, o = self.reference.maps(int(rows)), origins[chosen]
            read = np.maximum(o[:, None] + np.arange(1 - R, 1), first[chosen][:, None])  # what is absent weighs nothing
            z = imputing.at(prepared.targets, read, o)  # (k, R, C)
            deviations[chosen] = np.einsum("krc,rw->kwc", z, maps.deviations, optimize=True)
            ahead[chosen] = np.einsum("krc,rn->knc", z, maps.ahead, optimize=True)
            level[chosen] = np.einsum("krc,r->kc", z, maps.level)
        return deviations, ahead, level

    def base(self, prepared: Prepared, origins: np.ndarray, measured=None) -> np.ndarray:
        """The reference of the rows ahead with the calendar's share (n, N, C), scaled.

        ``measured`` is what :meth:`measure` gave for these origins, if it has been asked.
        """
        measured = self.measure(prepared, origins) if measured is None else measured
        return measured[1] + prepared.usual[self._ahead(origins)]

    def _ahead(self, origins):
        return origins[:, None] + np.arange(1, self.horizon + 1)

    def inputs(self, prepared: Prepared, origins: np.ndarray, measured=None) -> np.ndarray:
        """What the network reads (n, W, D), float32; ``measured`` as in :meth:`base`."""
        origins = np.asarray(origins)
        deviations, _, level = self.measure(prepared, origins) if measured is None else measured
        rows = origins[:, None] + np.arange(1 - self.window, 1)
        parts = [deviations / self.spread]
        if self.plan.revert:
            standard = (level - self.level[0]) / self.level[1]
            parts.append(np.broadcast_to(standard[:, None], (len(origins), self.window, self.targets)))
        parts.append(imputing.at(prepared.others, rows, origins))
        known_ahead = [c - self.targets for c in self.ahead]
        parts += [prepared.others.carried[rows + lead][..., known_ahead] for lead in self.leads]
        parts.append(prepared.plain[rows])
        return np.concatenate(parts, axis=2).astype(np.float32)

    def ahead_features(self, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
        """What is known of the rows ahead (n, N, F): calendar and the columns known ahead, float32."""
        rows = self._ahead(np.asarray(origins))
        known_ahead = [c - self.targets for c in self.ahead]
        parts = [prepared.plain[rows][..., : len(self.names)], prepared.others.carried[rows][..., known_ahead]]
        return np.concatenate(parts, axis=2).astype(np.float32)

    def truth(self, prepared: Prepared, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scaled targets ahead (n, N, C), and where they are known."""
        rows = self._ahead(origins)
        return (prepared.targets.carried + prepared.usual)[rows], prepared.known[rows]

    def rescale(self, values: np.ndarray, series: Series, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, N, C) in the unit of the targets, scaled: the reverse of :meth:`unscale`."""
        which = np.searchsorted(series.bounds, origins, side="right") - 1
        scaler = self.scales(series)
        plain = np.log(values) if self.plan.log else values
        C = self.targets
        return (plain - scaler.mean[which][:, None, :C]) / scaler.std[which][:, None, :C]

    def unscale(self, values: np.ndarray, series: Series, origins: np.ndarray) -> np.ndarray:
        """Scaled forecasts (n, N, C) or (n, N, C, Q) in the unit of the targets."""
        which = np.searchsorted(series.bounds, origins, side="right") - 1
        scaler = self.scales(series)
        shape = (len(origins), 1, self.targets, *[1] * (values.ndim - 3))
        mean = scaler.mean[which][:, : self.targets].reshape(shape)
        std = scaler.std[which][:, : self.targets].reshape(shape)
        plain = values * std + mean
        return np.exp(np.minimum(plain, 700.0)) if self.plan.log else plain

    # ------------------------------------------------------------ channels

    def channels(self) -> dict[str, tuple[int, ...]]:
        """Kind of channel -> its numbers, in the order of the inputs."""
        C, others = self.targets, len(self.imputer.methods) - self.targets
        sizes = {
            "deviations": C,
            "level": C if self.plan.revert else 0,
            "others": others,
            "leads": len(self.leads) * len(self.ahead),
            "calendar": len(self.names),
            "masks": len(self.masked),
            "statics": self.statics.shape[1],
        }
        ends = np.cumsum([0, *sizes.values()])
        return {name: tuple(range(a, b)) for name, a, b in zip(sizes, ends[:-1], ends[1:])}

    def linear_inputs(self, target: int) -> np.ndarray:
        """Which of the W * D numbers of a window the linear part of a target reads."""
        channels = self.channels()
        D = sum(map(len, channels.values()))
        if self.plan.linear_whole:
            return np.arange(self.window * D)
        every = [channels["deviations"][target]]
        last = [*channels["masks"], *channels["statics"]]
        if self.plan.linear_others:
            every = [*channels["deviations"], *channels["others"], *channels["leads"]]
        if self.plan.revert:
            last = [*(channels["level"] if self.plan.linear_others else channels["level"][target : target + 1]), *last]
        if self.plan.linear_calendar:
            last = [*last, *channels["calendar"]]
        rows = np.arange(self.window)[:, None] * D
        return np.sort(np.concatenate([(rows + every).ravel(), (self.window - 1) * D + np.array(last, int)]))


def _floor(series: Series, stop: np.ndarray, targets: int) -> np.ndarray:
    """(series, C) a tenth of the least positive training value: later values below it count as it in a logarithm."""
    floor = np.ones((len(stop), targets))
    for k, (first, end) in enumerate(zip(series.bounds[:-1], stop)):
        values = series.values[first:end, :targets]
        least = np.where(values > 0, values, np.inf).min(axis=0, initial=np.inf)
        floor[k] = np.where(np.isfinite(least), least / 10, 1.0)
    return floor
