"""The door for files: bytes to text to cells to columns; every fault ends in a one-line DataError."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from minirnn.data.cells import DELIMITERS, NAMELESS, columns_of, delimiter_of, without_row_numbers
from minirnn.data.dates import find_date_column, parse_dates
from minirnn.data.decimals import decimal_commas, refuse_grouped
from minirnn.data.opening import check_is_file, is_parquet, text_of, title_of
from minirnn.data.preparing import Names, Source, of_frame, prepare, prepare_rows
from minirnn.data.roles import Request, request
from minirnn.data.table import Table
from minirnn.data.words import DataError, count, listed, plain_time, quoted

__all__ = ["DataError", "Table", "prepare", "read", "read_csv"]


def read(
    path: str | os.PathLike[str],
    target: Names = None,
    *,
    past: Names = None,
    future: Names = None,
    static: Names = None,
    series: str | None = None,
    date_column: str | None = None,
    missing: object = (),
    frequency: str | None = None,
) -> Table:
    """Read time series from a CSV file (also gzipped) or a parquet file, and bring them to a regular grid of times.

    The delimiter (comma, semicolon, tab, vertical bar), a decimal comma, the date column, the order of day and month,
    and the frequency are found from the contents; what was found, decided or repaired is said in the notes.

    Args:
        path: a UTF-8 text file with one header line, packed by gzip or not; or a parquet file (needs pyarrow).
        target: the column or columns to forecast; by default the only, or else the last, column with numbers.
        past: columns that are known up to now only; by default all other columns with numbers.
        future: columns that are known ahead. Rows after the last target are kept where these have values.
        static: columns that are constant within a series, numbers or text.
        series: the column that tells the series of a long file apart.
        date_column: the column with the times; by default the first that holds dates.
        missing: numbers or texts that stand for a missing value, such as "-9999".
        frequency: of rows for a model that is fitted already; they may then be few, constant or full of gaps.

    Returns:
        A Table. Missing values stay missing (see `Imputer`).

    Raises:
        DataError: the file cannot be used as it is; one line names the file, the place and what to do.

    >>> from minirnn.data.embedded import path_of
    >>> table = read(path_of("co2"))
    >>> table.target, table.frequency, len(table.values)
    ('co2', 'W-SAT', 2284)
    >>> table.notes
    ("The column 'date' holds the times, from 1958-03-29 to 2001-12-29 in steps of 'W-SAT' (2,284 rows).",)
    """
    path = Path(path)
    return _read(_parquet if is_parquet(path) else _csv, path, locals())


def read_csv(
    path: str | os.PathLike[str],
    target: Names = None,
    *,
    past: Names = None,
    future: Names = None,
    static: Names = None,
    series: str | None = None,
    date_column: str | None = None,
    missing: object = (),
    frequency: str | None = None,
) -> Table:
    """Read a file as `read` does, as CSV whatever its name."""
    return _read(_csv, Path(path), locals())


def source_of(path: Path, date_column: str | None, asked: Request) -> Source:
    """The rows of a file as they come, for those who make something else than a Table of them.

    Raises:
        DataError: the file holds no rows with times.
    """
    check_is_file(path)
    return (_parquet if is_parquet(path) else _csv)(path, date_column, asked)


def _read(kind: Callable[[Path, str | None, Request], Source], path: Path, options: dict) -> Table:
    """The source of one kind made a Table; every message starts with the file."""
    roles = {name: options[name] for name in ("target", "past", "future", "static", "series", "missing", "frequency")}
    try:
        asked = request(**roles)
        check_is_file(path)
        table = prepare_rows(kind(path, options["date_column"], asked), asked)
        return replace(table, notes=(*_found(table), *table.notes))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (csv.Error, ValueError, OverflowError) as error:
        # Nothing known ends here; but whatever a parser says of a strange file is still said in one line.
        raise DataError(f"{path}: cannot be read as a table: {error}") from None


def _found(table: Table) -> list[str]:
    """What the file turned out to be, in sentences."""
    last = max(table.times(k)[-1] for k in range(table.series))
    span = f"from {plain_time(pd.Timestamp(table.starts.min()))} to {plain_time(last)} in steps of {table.frequency!r}"
    rows = count(len(table.values), "row")
    size = (
        f"{count(table.series, 'series', 'series')} by {table.series_column!r}, {rows}" if table.series_column else rows
    )
    notes = [f"The column {table.date_column!r} holds the times, {span} ({size})."]
    roles = table.roles
    words = {"known up to now only": roles.past, "known ahead": roles.future, "of each series": roles.static}
    shown = [f"{listed(names, 8)} ({word})" for word, names in words.items() if names]
    if shown:
        notes.append(f"To forecast {listed(roles.target, 8)}, these columns are read too: {'; '.join(shown)}.")
    return notes


# text ---------------------------------------------------------------------------------------------


def _csv(path: Path, date_column: str | None, asked: Request) -> Source:
    data = text_of(path)
    delimiter = delimiter_of(data)
    names, columns, lines = columns_of(data, delimiter)
    if len(names) == 1:
        raise DataError(
            f"there is only one column, {quoted(names[0])}: a date column and a column with numbers "
            "are needed, with commas, semicolons, tabs or vertical bars between them"
        )
    notes: list[str] = []
    if delimiter != ",":
        notes.append(f"The delimiter is the {DELIMITERS[delimiter]}.")
    commas, points = b"," in data, b"." in data
    del data
    position = find_date_column(names, columns, date_column, asked.series)
    times, date_notes = parse_dates(names[position], columns[position], lines)
    date = names[position]
    columns[position] = []
    nameless = NAMELESS.fullmatch(date) and "date" not in names
    asked.check([name for name in names if name != date], date)
    cells = {name: column for i, (name, column) in enumerate(zip(names, columns)) if i != position}
    del columns
    before = len(notes)
    if delimiter != "," and commas:
        cells = decimal_commas(cells, lines, notes)
    if delimiter == ";" and points and len(notes) == before:
        refuse_grouped(cells, lines)
    cells = without_row_numbers(cells, notes)
    frame = {}
    for name in list(cells):
        frame[name] = pd.Series(cells.pop(name), dtype=object)

    def place(row: int) -> str:
        return f"line {lines[row]}"

    return Source(frame, times, "date" if nameless else date, place, title_of(path), {}, date_notes + notes)


# parquet ------------------------------------------------------------------------------------------


def _parquet(path: Path, date_column: str | None, asked: Request) -> Source:
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise DataError(
            "parquet files need the package pyarrow: pip install pyarrow, or save the table as CSV"
        ) from None
    except Exception as error:  # each engine has errors of its own
        raise DataError(f"cannot be read as parquet: {error}") from None
    notes: list[str] = []
    if frame.index.name is not None and not isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    dated = isinstance(frame.index, pd.DatetimeIndex | pd.PeriodIndex)
    times_there = any(pd.api.types.is_datetime64_any_dtype(kind) for kind in frame.dtypes)
    if date_column is not None or not (dated or times_there):
        text = [["" if pd.isna(cell) else str(cell) for cell in frame.iloc[:, i]] for i in range(len(names))]
        position = find_date_column(names, text, date_column, asked.series)
        if pd.api.types.is_datetime64_any_dtype(frame.dtypes.iloc[position]):
            index = pd.DatetimeIndex(frame.iloc[:, position])
        else:
            index, notes = parse_dates(names[position], text[position], range(len(frame)), "row")
        frame = frame.drop(columns=frame.columns[position]).set_axis(index.rename(names[position]), axis=0)
    source = of_frame(frame)
    source.notes[:0] = notes
    source.title = title_of(path)
    return source
