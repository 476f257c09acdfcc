"""What a window is measured from: a level and a season, read off the rows themselves.

A network that forecasts levels has to learn them, and loses them when they drift. Here every window is given as
deviations from a reference that moves with the rows, and the forecast is the reference plus what is learned. The
reference is a linear map of the last rows, as of exponential smoothing (Holt 1957, Winters 1960) cut off after some
seasons: so it is undone exactly, and a forecast depends on the last ``reach`` rows alone.

Dimension letters: R rows that are read (the reach), W rows of the window, N rows ahead, m rows of a season.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Maps(NamedTuple):
    """Linear maps of the last R rows, the oldest first."""

    deviations: np.ndarray  # (R, W) the window's rows as deviations from the reference
    ahead: np.ndarray  # (R, N) the reference of the rows ahead
    level: np.ndarray  # (R,) the level alone


@dataclass(frozen=True)
class Reference:
    """A level, an exponentially weighted mean, and a season, the mean deviation of the same place in past seasons.

    Args:
      window: W, rows that the network reads.
      horizon: N.
      alpha: weight of the newest row in the level, each older one weighing 1 - alpha of the next; 1: the last value.
      season: m; 1 for none.
      gamma: the same weight for seasons; 0 is their plain mean, 1 takes the last season as it was.
      seasons: how many are read.

    >>> Reference(window=3, horizon=2, alpha=1.0).maps(3).ahead.T @ np.array([5.0, 7.0, 6.0])
    array([6., 6.])
    >>> seasonal = Reference(window=4, horizon=3, alpha=1.0, season=2, gamma=1.0, seasons=1)
    >>> seasonal.maps(4).ahead.T @ np.array([1.0, 9.0, 3.0, 11.0])  # the season goes on from the last value
    array([ 4., 11.,  4.])
    """

    window: int
    horizon: int
    alpha: float = 1.0
    season: int = 1
    gamma: float = 0.0
    seasons: int = 4

    @property
    def reach(self) -> int:
        """R, the rows that the forecast depends on."""
        return self.window if self.season <= 1 else max(self.window, (self.seasons + 1) * self.season)

    @property
    def least(self) -> int:
        """The rows without which there is no reference: a window, and two seasons."""
        return self.window if self.season <= 1 else max(self.window, 2 * self.season)

    def readable(self, available):
        """How many rows are read where so many exist (a number or an array): all of the reach, or whole seasons.

        A map belongs to each number of rows: of a season of 168 rows there would be hundreds of them.
        """
        whole = np.maximum(available // self.season * self.season, self.least)
        return np.where(available >= self.reach, self.reach, whole)

    def maps(self, available: int) -> Maps:
        """The maps where only the last ``available`` rows exist; weights of absent rows go to the others."""
        if available < self.least:
            raise ValueError(f"{available} rows; the reference reads at least {self.least}")
        return _maps(self, int(self.readable(available)))

    def read(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows z (r, ...) up to the origin -> deviations (W, ...), reference ahead (N, ...), level (...)."""
        last, m = len(z) - 1, self.season
        window, ahead = np.arange(last - self.window + 1, last + 1), np.arange(last + 1, last + 1 + self.horizon)
        season = self._season(z) if m > 1 else np.zeros((1, *z.shape[1:]))

        def of(rows):  # the season of the last m rows, repeated in both directions
            return season[(rows - last - 1) % m]

        rows = np.arange(max(last + 1 - self.window, 0), last + 1)
        weights = _weights(self.alpha, len(rows))[::-1]
        level = np.tensordot(weights, z[rows] - of(rows), 1)
        return z[window] - level - of(window), level + of(ahead), level

    def _season(self, z):
        """The season of the last m rows (m, ...), of mean zero."""
        m = self.season
        sums = np.cumsum(np.concatenate([np.zeros((1, *z.shape[1:])), z]), axis=0)
        means = (sums[m:] - sums[:-m]) / m  # of the m rows up to rows m-1, m, ...
        centred = z - np.concatenate([np.repeat(means[:1], m - 1, axis=0), means])
        count = min(self.seasons, len(z) // m)
        weights = _weights(self.gamma, count)
        season = sum(w * centred[len(z) - (j + 1) * m : len(z) - j * m] for j, w in enumerate(weights))
        return season - season.mean(axis=0)


def _weights(rate: float, count: int) -> np.ndarray:
    """(1 - rate)^j for j = 0, 1, ..., of sum one: the newest first."""
    weights = (1 - rate) ** np.arange(count, dtype=float)
    return weights / weights.sum()


@functools.lru_cache(maxsize=256)
def _maps(reference: Reference, available: int) -> Maps:
    """The map of a linear function is what it makes of the unit vectors."""
    read = reference.read(np.eye(available))
    absent = reference.reach - available
    deviations, ahead, level = (np.pad(each.T, [(absent, 0)] + [(0, 0)] * (each.ndim - 1)) for each in read)
    return Maps(deviations, ahead, level)
