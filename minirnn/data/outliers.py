"""Outliers: values far from what the rows before them suggest; reported, and clipped only on request."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minirnn.data.rows import training_part
from minirnn.data.words import count

if TYPE_CHECKING:
    from minirnn.data.table import Table

DEVIATIONS = 6.0
"""The robust standard deviations beyond which a value is an outlier."""

_NEAR = 9  # rows of the rolling median
_SEASONS = 3  # values of the seasonal median
_LEAST = 20  # residuals from which limits can be told
_BLOCK = 1 << 17  # rows whose medians are taken at once


@dataclass(frozen=True, eq=False)
class Outliers:
    """Limits for the residual of a value from the median of known values before it.

    The median is that of the nine rows before, or of the same phase of the three seasons before, whichever leaves the
    smaller residuals. A residual is far if it lies beyond six robust standard deviations (1.4826 times the median
    absolute deviation) and beyond three times the 95th percentile of the absolute deviations: a column whose values are
    often far out, as rain is, is no column of outliers.

    Args:
        low: (series, C) the least residual; -inf where there is too little to judge by.
        high: (series, C) the largest.
        seasonal: (C,) True where the median is that of the season.
        season: rows of a season.
    """

    low: np.ndarray
    high: np.ndarray
    seasonal: np.ndarray
    season: int

    @classmethod
    def fit(cls, values: np.ndarray, bounds: np.ndarray, stop: np.ndarray, season: int) -> Outliers:
        """From the training rows alone.

        Args:
            values: (rows, C), NaN where missing.
            bounds: (series + 1,) the rows of series k are bounds[k] : bounds[k + 1].
            stop: (series,) the row after the last training row of each series.
            season: rows of a season; 1 where there is none.

        >>> y = np.sin(np.arange(60.0))[:, None]
        >>> y[40] = 50.0
        >>> outliers = Outliers.fit(y, np.array([0, 60]), np.array([60]), season=1)
        >>> np.flatnonzero(outliers.flags(y, np.array([0, 60]))[:, 0])
        array([40])
        """
        rows, parts = training_part(values, bounds, stop)
        shape = (len(parts) - 1, rows.shape[1])
        low, high, seasonal = np.full(shape, -np.inf), np.full(shape, np.inf), np.zeros(shape[1], dtype=bool)
        for c, y in enumerate(rows.T):
            kinds = [_limits(y - _medians(y, parts, near), parts) for near in (None, season)[: 2 if season > 1 else 1]]
            sizes = [np.mean(size[np.isfinite(size)]) if np.isfinite(size).any() else np.inf for _, _, size in kinds]
            best = int(np.argmin(sizes))
            low[:, c], high[:, c], _ = kinds[best]
            seasonal[c] = best == 1
        return cls(low, high, seasonal, int(season))

    def flags(self, values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """(rows, C) True where a value is an outlier."""
        low, high = self._bands(values, bounds)
        return (values < low) | (values > high)

    def clip(self, values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """The values (rows, C) with every outlier moved to its limit, which rows before its own decide."""
        low, high = self._bands(values, bounds)
        return np.where(values < low, low, np.where(values > high, high, values))

    @property
    def reach(self) -> int:
        """The rows before a value that its limits read."""
        return max(_NEAR, _SEASONS * self.season if self.seasonal.any() else 0)

    def of(self, which: np.ndarray) -> Outliers:
        """The limits of these series (k,); of -1, a new one, there are none."""
        known = (which >= 0)[:, None]
        low, high = np.where(known, self.low[which], -np.inf), np.where(known, self.high[which], np.inf)
        return dataclasses.replace(self, low=low, high=high)

    def notes(self, table: Table, clipped: bool = False) -> list[str]:
        """How many outliers each column of the table has, and the first; nothing where there are none."""
        found = []
        flags = self.flags(table.values, table.bounds)
        for c in np.flatnonzero(flags.any(axis=0)):
            row = int(np.argmax(flags[:, c]))
            found.append(
                f"{table.columns[c]!r} holds {count(int(flags[:, c].sum()), 'outlier')} (first {table.where(row)}: "
                f"{table.values[row, c]:g}), beyond {DEVIATIONS:g} robust standard deviations of the training rows; "
                f"{'clipped to them' if clipped else 'left as found'}."
            )
        return found

    def _bands(self, values: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest value (rows, C) that is no outlier."""
        low, high = (np.repeat(limit, np.diff(bounds), axis=0) for limit in (self.low, self.high))
        for c, y in enumerate(values.T):
            centre = _medians(y, np.asarray(bounds), self.season if self.seasonal[c] else None)
            # Without a median there is nothing to judge by.
            low[:, c] = np.where(np.isnan(centre), -np.inf, centre + low[:, c])
            high[:, c] = np.where(np.isnan(centre), np.inf, centre + high[:, c])
        return low, high


def _medians(y: np.ndarray, bounds: np.ndarray, season: int | None) -> np.ndarray:
    """(rows,) the median of the known values before each row of its series: of the last rows, or of the same phase.

    NaN where most of them are missing.
    """
    offsets = np.arange(1, _NEAR + 1) if season is None else season * np.arange(1, _SEASONS + 1)
    first = np.repeat(bounds[:-1], np.diff(bounds))
    result = np.empty(len(y))
    for begin in range(0, len(y), _BLOCK):
        rows = np.arange(begin, min(begin + _BLOCK, len(y)))
        back = rows[:, None] - offsets
        near = np.sort(np.where(back >= first[rows, None], y[np.maximum(back, 0)], np.nan), axis=1)  # NaN is last
        known = len(offsets) - np.isnan(near).sum(axis=1)
        middle = [
            np.take_along_axis(near, np.maximum(at, 0)[:, None], 1)[:, 0] for at in ((known - 1) // 2, known // 2)
        ]
        result[rows] = np.where(2 * known > len(offsets), middle[0] + (middle[1] - middle[0]) / 2, np.nan)
    return result


def _limits(residuals: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least and largest residual (series,) that is no outlier, and the robust spread of each series."""
    low, high, size = (np.full(len(bounds) - 1, value) for value in (-np.inf, np.inf, np.inf))
    for k in range(len(bounds) - 1):
        known = residuals[bounds[k] : bounds[k + 1]]
        known = known[~np.isnan(known)]
        if len(known) < _LEAST:
            continue
        middle = np.median(known)
        far = np.sort(np.abs(known - middle))
        limit = max(DEVIATIONS * 1.4826 * np.median(far), 3 * far[int(0.95 * (len(far) - 1))])
        size[k] = far[int(0.95 * (len(far) - 1))]
        if limit > 0:  # most residuals are equal: there is no spread to judge by
            low[k], high[k] = middle - limit, middle + limit
    return low, high, size
