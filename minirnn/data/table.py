"""What the rest of minirnn receives from a data source: a Table, one or many regular series of one frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minirnn.data.words import DataError, Place, count, listed, plain_time, quoted, suggestion

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DataError", "Place", "Roles", "Table", "count", "listed", "plain_time", "quoted", "suggestion"]


@dataclass(frozen=True)
class Roles:
    """What each column is for; no column has two roles.

    Args:
        target: the columns to forecast.
        past: numbers that are known up to now only.
        future: numbers that are known ahead: plans, holidays, forecasts of others.
        static: what a series is, constant within it: numbers or text.
    """

    target: tuple[str, ...]
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Table:
    """One or many regular series of one frequency, ready to be split, filled, scaled and cut into windows.

    A series starts at the first row where a target is known. It ends at the last such row, or later, where columns of
    the role `future` have values: that is the known future.

    Args:
        values: (rows, columns) float64, NaN where the source holds no value; all series one below the other.
        columns: of values: the targets, then the past columns, then the future ones.
        roles: what each column is for.
        names: of the series, in the order of their first rows in the source; `("",)` for a single unnamed one.
        bounds: (series + 1,) int64; the rows of series k are bounds[k] : bounds[k + 1].
        starts: (series,) datetime64[us], the time of each first row; int64 positions where the frequency is None.
        statics: a row for each series (index `names`), a column for each of `roles.static`.
        frequency: the pandas alias of the step, e.g. "D", "W-SAT", "MS"; None where rows have no times.
        date_column: the name of the column (or index) that held the times; empty where there are none.
        series_column: the name of the column that tells the series apart, or None.
        title: what the data is called in reports.
        units: column -> unit, for the columns whose unit is known.
        notes: one plain sentence for each thing that was found out, decided or repaired on the way in.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    roles: Roles
    names: tuple[str, ...]
    bounds: np.ndarray
    starts: np.ndarray
    statics: pd.DataFrame
    frequency: str | None
    date_column: str
    series_column: str | None
    title: str
    units: dict[str, str]
    notes: tuple[str, ...]

    @property
    def series(self) -> int:
        """The number of series."""
        return len(self.names)

    @property
    def target(self) -> str:
        """The first target."""
        return self.roles.target[0]

    @property
    def last_known(self) -> np.ndarray:
        """(series,) the last row of each series in which a target is known; rows after it are the known future."""
        known = ~np.isnan(self.values[:, : len(self.roles.target)]).all(axis=1)
        return np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))[self.bounds[1:] - 1]

    def rows_of(self, k: int) -> slice:
        """The rows of series k."""
        return slice(int(self.bounds[k]), int(self.bounds[k + 1]))

    def times(self, k: int = 0) -> pd.Index:
        """The times of the rows of series k; their positions in the source where there are no times."""
        import pandas as pd

        rows = int(self.bounds[k + 1] - self.bounds[k])
        if self.frequency is None:
            return pd.RangeIndex(int(self.starts[k]), int(self.starts[k]) + rows)
        times = pd.date_range(pd.Timestamp(self.starts[k]), periods=rows, freq=self.frequency)
        return times.as_unit("us").rename(self.date_column)

    def where(self, row: int) -> str:
        """A row in words: its time, and its series where there are several."""
        k = int(np.searchsorted(self.bounds, row, side="right")) - 1
        time = plain_time(self.times(k)[row - int(self.bounds[k])])
        return f"{time} of the series {self.names[k]!r}" if self.series > 1 else time

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the only series as a frame over its times, NaN where the source holds no value.

        Raises:
            DataError: there are several series.
        """
        import pandas as pd

        if self.series > 1:
            raise DataError(
                f"there are {self.series:,} series, {listed(self.names, 3)}: a single frame holds one of them; "
                "use values[rows_of(k)] and times(k)"
            )
        return pd.DataFrame(self.values.copy(), index=self.times(0), columns=list(self.columns))

    @property
    def observed(self) -> pd.DataFrame:
        """Which values of the only series its source holds: booleans in the shape of `frame`."""
        return self.frame.notna()
