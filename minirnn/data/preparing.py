"""The door for data frames and arrays: the same checks and repairs for every source, ending in a Table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api import types

from minirnn.data.columns import choose, numeric_columns, to_numbers
from minirnn.data.regular import Rows, between_known, in_order, to_grid
from minirnn.data.roles import Request, request
from minirnn.data.table import Roles, Table
from minirnn.data.words import DataError, Place, count, listed, plain_time, quoted

Names = str | Iterable[str] | None


def prepare(
    data: pd.DataFrame | pd.Series | np.ndarray,
    target: Names = None,
    *,
    past: Names = None,
    future: Names = None,
    static: Names = None,
    series: str | None = None,
    title: str | None = None,
    units: Mapping[str, str] | None = None,
    missing: object = (),
    frequency: str | None = None,
) -> Table:
    """Check a frame or an array and bring it to a regular grid of times; the data itself is not changed.

    Args:
        data: columns over a DatetimeIndex or PeriodIndex, in any order, or with one column of times; a Series is a
            frame of one column. An array (rows,) or (rows, columns) has no times: its columns are called "value", or
            "column 1", "column 2" and so on.
        target: the column or columns to forecast; by default the only, or else the last, column with numbers.
        past: columns that are known up to now only; by default all other columns with numbers.
        future: columns that are known ahead. Rows after the last target are kept where these have values.
        static: columns that are constant within a series, numbers or text.
        series: the column that tells the series of a long frame apart.
        title: what to call the data; by default `data.attrs["title"]` or "data".
        units: column -> unit; by default `data.attrs["units"]`.
        missing: numbers or texts that stand for a missing value, such as -9999.
        frequency: of rows for a model that is fitted already; they may then be few, constant or full of gaps.

    Returns:
        A Table; its notes say what was decided or repaired. Missing values stay missing (see `Imputer`).

    Raises:
        DataError: the data cannot be used as it is; the message says where and what to do.

    >>> import pandas as pd
    >>> days = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"])
    >>> table = prepare(pd.DataFrame({"load": [1.0, 2.0, 4.0, 5.0]}, index=days))
    >>> table.frame["load"].tolist()
    [1.0, 2.0, nan, 4.0, 5.0]
    >>> table.notes[0]
    "Inserted 1 missing step of 'D' (first 2024-01-03)."
    """
    asked = request(target, past, future, static, series, missing, frequency)
    source = _of_array(data) if isinstance(data, np.ndarray) else of_frame(data)
    attrs = {} if isinstance(data, np.ndarray) else data.attrs
    source.title = str(title or attrs.get("title", "data"))
    source.units = attrs.get("units", {}) if units is None else units
    return prepare_rows(source, asked)


@dataclass
class Source:
    """Rows as they come: cells of numbers or text, in the order of the source, over times without a zone.

    Args:
        columns: name -> cells.
        times: of the rows, or None where rows are only counted.
        date_column: what the times are called.
        place: row position -> where it stands, for messages.
        title: what the data is called.
        units: column -> unit.
        notes: what was found out so far.
    """

    columns: dict[str, pd.Series]
    times: pd.DatetimeIndex | None
    date_column: str
    place: Place
    title: str = "data"
    units: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _of_array(data: np.ndarray) -> Source:
    if data.ndim not in (1, 2):
        raise DataError(f"an array of shape (rows,) or (rows, columns) was expected, not {data.shape}")
    columns = data[:, None] if data.ndim == 1 else data
    names = ["value"] if columns.shape[1] == 1 else [f"column {i + 1}" for i in range(columns.shape[1])]
    cells = {name: pd.Series(columns[:, i]) for i, name in enumerate(names)}
    return Source(cells, None, "", lambda row: f"row {row}")


def of_frame(data: pd.DataFrame | pd.Series) -> Source:
    """The rows of a frame, whose times are its index or one of its columns.

    Raises:
        DataError: it is no frame, has no times, or names columns twice.
    """
    if isinstance(data, pd.Series):
        data = data.to_frame("value" if data.name is None else data.name)
    if not isinstance(data, pd.DataFrame):
        raise DataError(f"a pandas DataFrame, a Series or a NumPy array was expected, not {type(data).__name__}")
    if isinstance(data.columns, pd.MultiIndex):
        raise DataError("the columns have several levels: join their names into one, such as 'sensor_1'")
    names = [str(name) for name in data.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{count(len(twice), 'column name')} used twice ({listed(twice)}): rename one")
    notes: list[str] = []
    index, position = data.index, None
    if not isinstance(index, pd.DatetimeIndex | pd.PeriodIndex):
        position = _column_of_times(data)
        index = pd.Index(data.iloc[:, position])
    times = _naive_times(index, notes)

    def place(row: int) -> str:
        return f"row {row} ({plain_time(times[row])})"

    cells = {name: data.iloc[:, i] for i, name in enumerate(names) if i != position}
    return Source(cells, times, str(index.name or "date"), place, notes=notes)


def _column_of_times(data: pd.DataFrame) -> int:
    """The first column that holds times, for a frame whose index does not."""
    for i in range(data.shape[1]):
        if types.is_datetime64_any_dtype(data.dtypes.iloc[i]) or isinstance(data.dtypes.iloc[i], pd.PeriodDtype):
            return i
    raise DataError(
        f"the frame needs times as its index (a DatetimeIndex), not {type(data.index).__name__}, or a column of times: "
        "use frame.set_index(pandas.to_datetime(frame['date']))"
    )


def prepare_rows(source: Source, asked: Request) -> Table:
    """Every source ends here."""
    notes, place = source.notes, source.place
    rows = len(next(iter(source.columns.values()), ()))
    if not rows:
        raise DataError("there are no rows")
    asked.check(list(source.columns), source.date_column)
    codes, names = _series(source, asked)
    stamps = _stamps(source, codes, len(names))
    numeric = numeric_columns(source.columns, asked, place, notes)
    # Rows that differ only in a column of text are not the same row.
    text = {name: cells for name, cells in source.columns.items() if name not in numeric and name != asked.series}
    _refuse_one_row(rows, asked)
    target, past = choose(numeric, asked, notes)
    roles = Roles(target, past, asked.future, asked.static)
    columns = (*target, *past, *roles.future)
    found = Rows(
        np.column_stack([numeric[name] for name in columns]), codes, stamps, np.arange(rows), names, roles, place
    )
    apart = {name: pd.Series(numeric[name]) for name in numeric if name not in columns}
    numeric.clear()
    found = in_order(found, text | apart, source.columns, notes)
    _refuse_one_row(len(found.codes), asked)
    found = found.take(between_known(found, notes))
    grid = to_grid(found, asked.frequency, notes)
    return Table(
        values=grid.values,
        columns=columns,
        roles=roles,
        names=names,
        bounds=grid.bounds,
        starts=grid.starts,
        statics=_statics(source, asked, codes, names),
        frequency=grid.frequency,
        date_column=source.date_column if grid.frequency is not None else "",
        series_column=asked.series,
        title=source.title,
        units={name: str(source.units[name]) for name in columns if name in source.units},
        notes=tuple(notes),
    )


def _refuse_one_row(rows: int, asked: Request) -> None:
    if rows < 2 and asked.frequency is None:
        raise DataError("there is only one row: a series needs at least two times")


def _series(source: Source, asked: Request) -> tuple[np.ndarray, tuple[str, ...]]:
    """The series of each row (rows,), and their names in order of first appearance."""
    if asked.series is None:
        return np.zeros(len(next(iter(source.columns.values()))), dtype=np.int64), ("",)
    cells = source.columns[asked.series]
    try:
        codes, found = pd.factorize(cells)
    except TypeError:  # lists and the like
        raise DataError(
            f"{source.place(0)}: the series column {asked.series!r} should hold names but holds {quoted(cells.iloc[0])}"
        ) from None
    names = [_name(cell) for cell in found]
    if (codes < 0).any() or "" in names:
        row = int(np.argmax((codes < 0) | np.isin(codes, [k for k, name in enumerate(names) if not name])))
        raise DataError(
            f"{source.place(row)}: the series column {asked.series!r} is empty: name the series or drop the row"
        )
    if len(set(names)) < len(names):
        codes, again = pd.factorize(np.array(names, dtype=object)[codes])  # 1 and "1" are one series
        names = list(again)
    return codes.astype(np.int64), tuple(names)


def _name(cell: object) -> str:
    """A series' name: numbers as they are written without a fraction of zero."""
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return " ".join(str(cell).split())


def _stamps(source: Source, codes: np.ndarray, series: int) -> np.ndarray:
    """The time of each row, datetime64[us]; without times its position within its series."""
    if source.times is not None:
        times = source.times.as_unit("us")
        fine = np.flatnonzero(times != source.times)
        if fine.size:
            raise DataError(
                f"{source.place(int(fine[0]))}: {source.times[fine[0]]} is finer than a microsecond: round the times"
            )
        return times.to_numpy()
    if series == 1:
        return np.arange(len(codes), dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], np.arange(series))
    positions = np.empty(len(codes), dtype=np.int64)
    positions[order] = np.arange(len(codes)) - first[codes[order]]
    return positions


def _statics(source: Source, asked: Request, codes: np.ndarray, names: tuple[str, ...]) -> pd.DataFrame:
    """A row for each series, a column for each static column: numbers where all its cells are, else text."""
    found = {}
    for name in asked.static:
        cells = source.columns[name]
        values, bad = to_numbers(cells, asked.missing)
        if bad.any():
            text = cells.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
            held, empty = text.to_numpy(), (text == "").to_numpy()
        else:
            held, empty = values, np.isnan(values)
        known = np.flatnonzero(~empty)
        first = np.full(len(names), -1)
        first[codes[known[::-1]]] = known[::-1]
        differs = known[held[known] != held[first[codes[known]]]]
        if differs.size:
            row = int(differs[0])
            of = f" of the series {names[codes[row]]!r}" if names != ("",) else ""
            raise DataError(
                f"{source.place(row)}: the static column {name!r} changes within the rows{of}, from "
                f"{held[first[codes[row]]]!s} to {held[row]!s}: a column that changes is past or future"
            )
        nothing = "" if bad.any() else np.nan
        found[name] = [held[row] if row >= 0 else nothing for row in first]
        if (first < 0).any():
            source.notes.append(f"{name!r} is missing for {count(int((first < 0).sum()), 'series', 'series')}.")
    return pd.DataFrame(found, index=pd.Index(names, name=asked.series, dtype=object))


def _naive_times(index: pd.Index, notes: list[str]) -> pd.DatetimeIndex:
    """The index as times without a zone; periods count from their start."""
    if isinstance(index, pd.PeriodIndex):
        notes.append("The index holds periods; each was taken at its start.")
        index = index.to_timestamp(how="start")
    times = pd.DatetimeIndex(index)
    if times.hasnans:
        raise DataError(f"row {int(np.argmax(times.isna()))}: the time is missing: add it or drop the row")
    if times.tz is not None:
        local = times.tz_localize(None)
        if (local == local.normalize()).all():
            notes.append(f"The times are midnights in {times.tz}; their local dates were kept.")
            return local
        notes.append(f"The times were converted from {times.tz} to UTC.")
        times = times.tz_convert("UTC").tz_localize(None)
    return times
