"""The last rows of a series, filled and scaled one by one as :class:`Encoder` does to all at once. NumPy only.

Dimension letters: L rows that are kept, N rows ahead, C targets, P other columns, A columns known ahead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.data import calendar
from minirnn.models.forecasting.encoder import Encoder
from minirnn.models.forecasting.series import Series

ROOM = 1024  # rows that are laid out at a time


class RecentRows:
    """A buffer whose last rows are what ``imputing.at`` gives at the newest of them.

    Args:
      encoder: whose fillings and scales are taken; its calendar's share is left in.
      which: the number of the series in the training.
      usual: (F, C) of each fixed season that is wanted, and the encoder that it belongs to.
      keep: rows that are needed up to the newest one.
      start: the time of the first row, or its number.
      exact: whether rows may be dropped at all; the buffer then holds ``keep`` rows at least.
    """

    def __init__(self, encoder: Encoder, which: int, usuals: list[tuple[Encoder, np.ndarray]], keep: int, start):
        self.encoder, self.which, self.usuals, self.keep = encoder, which, usuals, keep
        columns, self.horizon = len(encoder.imputer.methods), encoder.horizon
        self.size = keep + self.horizon + ROOM
        self.scaled = np.zeros((self.size, columns))  # as they can be known at the newest row
        self.carried = np.zeros((self.size, columns))  # each from rows up to its own
        self.masks = np.zeros((self.size, len(encoder.masked)))
        self.fallback = encoder.imputer.fallback[which]
        self.floor = encoder.floor[which]
        self.mean, self.std = encoder.scaler.mean[which], encoder.scaler.std[which]
        self.masked = np.array(encoder.masked, int)
        season = encoder.imputer.season
        self.season = season if season >= 2 else 1
        self.phases = np.full((self.season, columns), np.nan)  # the last known value of each phase
        self.last = np.full(columns, np.nan)  # the last known values
        self.since = np.zeros(columns, np.int64)  # rows since then
        self.seasonal = np.array([method == "seasonal" and season >= 2 for method in encoder.imputer.methods])
        self.linear = np.array([method == "linear" for method in encoder.imputer.methods])
        self.count = 0  # rows so far
        self.end = 0  # rows in the buffer
        self._lay_out(start)

    def _lay_out(self, start) -> None:
        """The times of all rows of the buffer, and what follows from them."""
        ahead = calendar.later(start, self.size - 1, self.encoder.frequency)
        self.times = np.concatenate([np.atleast_1d(start).astype(ahead.dtype), ahead])
        self.features = calendar.calendar_features(self.times, self.encoder.frequency).values
        self.usual = [encoder._harmonics(self.times) @ usual for encoder, usual in self.usuals]  # (L, C) each

    @property
    def next_time(self):
        """The time of the row that comes next."""
        return self.times[self.end]

    def ahead_times(self) -> np.ndarray:
        """(N,) the times of the rows ahead."""
        return self.times[self.end : self.end + self.horizon]

    def _scale(self, values: np.ndarray) -> np.ndarray:
        """Filled values (..., columns) -> scaled ones, without taking the calendar's share away."""
        if self.encoder.plan.log:
            C = self.encoder.targets
            values = values.copy()
            values[..., :C] = np.log(np.maximum(values[..., :C], self.floor))
        return (values - self.mean) / self.std

    def push(self, values: np.ndarray) -> None:
        """One more row (columns,), NaN where nothing is known."""
        if self.end + self.horizon >= self.size:
            self._move()
        known = ~np.isnan(values)
        self.since += 1
        self._close_gaps(values, known)
        phase = self.count % self.season
        if known.all():
            self.last, self.phases[phase], filled = values.copy(), values, values
            self.since[:] = 0
        else:
            filled = self._fill(values, known, phase)
        self.scaled[self.end] = self.carried[self.end] = self._scale(filled)
        self.masks[self.end] = ~known[self.masked]
        self.end += 1
        self.count += 1

    def _fill(self, values, known, phase) -> np.ndarray:
        """A row that is not known whole."""
        self.last = np.where(known, values, self.last)
        self.since[known] = 0
        self.phases[phase] = np.where(known, values, self.phases[phase])
        filled = np.where(np.isnan(self.last), self.fallback, self.last)
        if self.season > 1:
            same = self.phases[phase]
            filled = np.where(self.seasonal & ~np.isnan(same), same, filled)
        return filled

    def _close_gaps(self, values, known) -> None:
        """The rows between the last known value of a column and this one come to lie on the line between them."""
        closed = self.linear & known & (self.since > 1)
        if not closed.any():
            return
        for c in np.flatnonzero(closed & ~np.isnan(self.last)):
            gap = int(self.since[c])
            steps = np.arange(max(1, gap - self.end), gap)
            filled = np.tile(self.fallback, (len(steps), 1))
            share = steps / gap
            filled[:, c] = (1 - share) * self.last[c] + share * values[c]
            self.scaled[self.end - gap + steps, c] = self._scale(filled)[:, c]

    def ahead(self, plan: np.ndarray) -> np.ndarray:
        """What columns known ahead are in the rows ahead (N, A), scaled; plan (N, A), NaN where it says nothing."""
        columns = list(self.encoder.ahead)
        last, phases = self.last[columns], self.phases[:, columns].copy()
        filled = np.empty_like(plan)
        for n, values in enumerate(plan):
            phase, known = (self.count + n) % self.season, ~np.isnan(values)
            last = np.where(known, values, last)
            phases[phase] = np.where(known, values, phases[phase])
            same = phases[phase]
            now = np.where(self.seasonal[columns] & ~np.isnan(same), same, last)
            filled[n] = np.where(np.isnan(last), self.fallback[columns], now)
        every = np.tile(self.fallback, (len(plan), 1))
        every[:, columns] = filled
        return self._scale(every)[:, columns]

    def _move(self) -> None:
        """Makes room: the rows that are still read go to the front."""
        first = self.end - self.keep
        for array in (self.scaled, self.carried, self.masks):
            array[: self.keep] = array[first : self.end].copy()
        self.end = self.keep
        self._lay_out(self.times[first])


def of_series(encoder: Encoder, series: Series, k: int, usuals: Any, keep: int) -> RecentRows:
    """A buffer that has read the known rows of one of these series."""
    first, last = int(series.bounds[k]), int(series.last[k])
    rows = RecentRows(encoder, int(series.which[k]), usuals, keep, series.times[first])
    for values in series.values[first : last + 1]:
        rows.push(values)
    return rows
