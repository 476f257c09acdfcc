"""The rows that a model reads, as plain arrays: one or many series, with the rows ahead of each already laid out.

A Table becomes one of these when a model is fitted or asked; a stream builds them row by row. No pandas is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minirnn.data import calendar

if TYPE_CHECKING:
    from minirnn.data.table import Table


@dataclass(frozen=True, eq=False)
class Series:
    """Rows of all series, one below the other, ``horizon`` rows longer than what is known of each.

    Args:
      values: (rows, C) the columns of the model; NaN where nothing is known, and in the rows ahead unless a column is
        known ahead.
      bounds: (series + 1,) the rows of series k are bounds[k] : bounds[k + 1].
      last: (series,) the last row in which a target is known.
      times: (rows,) datetime64[us]; integers where rows are only counted.
      which: (series,) the number of each series in the model's training, -1 for one that is new.
    """

    values: np.ndarray
    bounds: np.ndarray
    last: np.ndarray
    times: np.ndarray
    which: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(series,) how many rows of each there are up to the last known one."""
        return self.last - self.bounds[:-1] + 1

    def some(self, chosen: np.ndarray) -> Series:
        """The chosen series (series,) alone."""
        lengths = np.diff(self.bounds)
        rows = np.repeat(chosen, lengths)
        bounds = np.concatenate([[0], np.cumsum(lengths[chosen])])
        last = bounds[:-1] + (self.known - 1)[chosen]
        return Series(self.values[rows], bounds, last, self.times[rows], self.which[chosen])

    @property
    def of_rows(self) -> np.ndarray:
        """(rows,) the series of each row."""
        return np.repeat(np.arange(len(self.which)), np.diff(self.bounds))

    def first(self, rows: np.ndarray) -> np.ndarray:
        """The first row of the series that each of these rows belongs to."""
        return self.bounds[np.searchsorted(self.bounds, rows, side="right") - 1]

    def origins(self, least: int, start: np.ndarray, stop: np.ndarray, horizon: int) -> np.ndarray:
        """The origins whose rows ahead all lie in ``start[k] .. stop[k] - 1``, ``least`` rows up to them."""
        parts = []
        for first, begin, end in zip(self.bounds, start, stop):
            parts.append(np.arange(max(begin - 1, first + least - 1), end - horizon))
        return np.concatenate([np.empty(0, np.int64), *parts])


def in_time(series: Series, origins: np.ndarray) -> np.ndarray:
    """The origins of all series in the order of their times."""
    return origins[np.argsort(series.times[origins], kind="stable")]


def lay_out(
    values: np.ndarray,
    bounds: np.ndarray,
    last: np.ndarray,
    starts: np.ndarray,
    frequency: str | None,
    horizon: int,
    which: np.ndarray,
) -> Series:
    """Adds rows for the steps ahead of each series, and the times of all rows.

    Args:
      values: (rows, C) with known columns of the rows ahead, if there are any, below each series.
      bounds: (series + 1,).
      last: (series,) the last row in which a target is known.
      starts: (series,) the time of each first row.
      frequency: pandas alias, or None.
      horizon: rows ahead.
      which: as in :class:`Series`.
    """
    parts, times, ends, lasts = [], [], [0], []
    for first, end, known, start in zip(bounds[:-1], bounds[1:], last, starts):
        rows = values[first : min(end, known + 1 + horizon)]
        missing = known + 1 + horizon - first - len(rows)
        parts.append(np.concatenate([rows, np.full((missing, values.shape[1]), np.nan)]))
        lasts.append(ends[-1] + known - first)
        ends.append(ends[-1] + len(parts[-1]))
        ahead = calendar.later(start, len(parts[-1]) - 1, frequency)
        times.append(np.concatenate([np.atleast_1d(start).astype(ahead.dtype), ahead]))
    return Series(np.concatenate(parts), np.array(ends), np.array(lasts), np.concatenate(times), np.asarray(which))


def of_table(table: Table, horizon: int, names: tuple[str, ...] | None = None) -> Series:
    """The rows of a table; ``names`` are the series of the training, None where these are they."""
    known = {name: k for k, name in enumerate(table.names if names is None else names)}
    which = np.array([known.get(name, -1) for name in table.names])
    return lay_out(table.values, table.bounds, table.last_known, table.starts, table.frequency, horizon, which)
