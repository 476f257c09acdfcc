"""The door for data frames: the same checks and repairs for every source, ending in a Table."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from minirnn.data.columns import choose_target, numeric_columns
from minirnn.data.regular import in_order, to_grid
from minirnn.data.table import DataError, Place, Table, count, listed, plain_time


def prepare(
    frame: pd.DataFrame | pd.Series,
    target: str | None = None,
    *,
    title: str | None = None,
    units: Mapping[str, str] | None = None,
) -> Table:
    """Check a data frame and bring it to a regular grid of times; the frame itself is not changed.

    Args:
        frame: columns over a DatetimeIndex or PeriodIndex, in any order; a Series is a frame of one column.
        target: the column to forecast; by default the only, or else the last, column with numbers.
        title: what to call the series; by default `frame.attrs["title"]` or "data".
        units: column -> unit; by default `frame.attrs["units"]`.

    Returns:
        A Table; its notes say what was decided or repaired. Missing values are carried forward only.

    Raises:
        DataError: the data cannot be used as it is; the message says where and what to do.

    >>> import pandas as pd
    >>> days = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"])
    >>> table = prepare(pd.DataFrame({"load": [1.0, 2.0, 4.0, 5.0]}, index=days))
    >>> table.frame["load"].tolist()
    [1.0, 2.0, 2.0, 4.0, 5.0]
    >>> table.notes[0]
    "Inserted 1 missing step of 'D' (first 2024-01-03)."
    """
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a pandas DataFrame was expected, not {type(frame).__name__}")
    notes: list[str] = []
    times = _naive_times(frame.index, notes)
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError("the columns have several levels: join their names into one, such as 'sensor_1'")

    def place(row: int) -> str:
        return f"row {row} ({plain_time(times[row])})"

    attrs = frame.attrs
    known = attrs.get("units", {}) if units is None else units
    frame = frame.set_axis(times, axis=0).set_axis([str(name) for name in frame.columns], axis=1)
    return prepare_rows(frame, target, place, title or attrs.get("title", "data"), known, notes)


def prepare_rows(
    frame: pd.DataFrame,
    target: str | None,
    place: Place,
    title: str,
    units: Mapping[str, str],
    notes: Sequence[str],
) -> Table:
    """Every source ends here: cells of numbers or text, in source order, over times without a zone."""
    found = list(notes)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise DataError(f"{count(len(set(twice)), 'column name')} used twice ({listed(set(twice))}): rename one")
    if not len(frame):
        raise DataError("there are no rows")
    frame = frame.set_axis(_microseconds(pd.DatetimeIndex(frame.index)), axis=0)
    numeric = numeric_columns(frame, target, place, found)
    # Text columns stay until repeated rows are judged: rows that differ only in text are not the same row.
    whole = frame.copy()
    for name, values in numeric.items():
        whole[name] = values
    whole, rows = in_order(whole, place, found)
    if len(whole) < 2:
        raise DataError("there is only one row: a series needs at least two times")
    numbers = whole[list(numeric)].astype(np.float64)
    numbers, chosen = choose_target(numbers, target, found)
    numbers, rows = _where_target(numbers, chosen, rows, found)
    regular = to_grid(numbers, chosen, rows, place, found)
    observed = regular.notna()
    filled = fill_forward(regular, found)
    frequency = pd.DatetimeIndex(filled.index).freqstr
    return Table(
        frame=filled,
        observed=observed,
        date_column=str(frame.index.name or "date"),
        frequency=str(frequency),
        target=chosen,
        title=str(title),
        units={name: str(units[name]) for name in filled.columns if name in units},
        notes=tuple(found),
    )


def _where_target(
    frame: pd.DataFrame, target: str, rows: np.ndarray, notes: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows from the first known target value to the last: nothing is known before it, nor carried past the end."""
    known = frame[target].notna().to_numpy()
    if not known.any():
        raise DataError(f"the target {target!r} is missing in all {count(len(frame), 'row')}")
    first = int(np.argmax(known))
    if first:
        notes.append(
            f"Dropped the first {count(first, 'row')}: the target {target!r} starts "
            f"at {plain_time(frame.index[first])}."
        )
    end = len(known) - int(np.argmax(known[::-1]))
    if end < len(known):
        notes.append(
            f"Dropped the last {count(len(known) - end, 'row')}, from {plain_time(frame.index[end])} on: "
            f"the target {target!r} has no value there."
        )
    return frame.iloc[first:end], rows[first:end]


def fill_forward(frame: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Each missing value replaced by the last one before it: nothing that comes later can reach back.

    Only a column that starts with missing values takes its first known value there; that is noted.
    """
    filled = frame.ffill()
    for name in frame.columns:
        missing = np.flatnonzero(frame[name].isna())
        late = filled[name].isna()
        carried = missing[int(late.sum()) :]  # those at the start are the first of the missing ones
        if carried.size:
            verb = "was" if carried.size == 1 else "were"
            notes.append(
                f"{count(int(carried.size), 'missing value')} of {name!r} {verb} filled with the last known "
                f"value (first {plain_time(frame.index[carried[0]])})."
            )
        if late.any():
            first = int(np.argmax(frame[name].notna()))
            notes.append(
                f"{name!r} starts only at {plain_time(frame.index[first])}; "
                f"the {count(first, 'step')} before it got its first value."
            )
            filled[name] = filled[name].fillna(frame[name].iloc[first])
    return filled


def _microseconds(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The times in one unit whatever their source, one that also holds centuries; finer times are left alone."""
    coarse = times.as_unit("us")
    return coarse if (coarse == times).all() else times


def _naive_times(index: pd.Index, notes: list[str]) -> pd.DatetimeIndex:
    """The index as times without a zone; periods count from their start."""
    if isinstance(index, pd.PeriodIndex):
        notes.append("The index holds periods; each was taken at its start.")
        index = index.to_timestamp(how="start")
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(
            f"the frame needs times as its index (a DatetimeIndex), not {type(index).__name__}: "
            "use frame.set_index(pandas.to_datetime(frame['date']))"
        )
    if index.hasnans:
        raise DataError(f"row {int(np.argmax(index.isna()))}: the time is missing: add it or drop the row")
    if index.tz is not None:
        local = index.tz_localize(None)
        if (local == local.normalize()).all():
            notes.append(f"The times are midnights in {index.tz}; their local dates were kept.")
            return local
        notes.append(f"The times were converted from {index.tz} to UTC.")
        index = index.tz_convert("UTC").tz_localize(None)
    return index
