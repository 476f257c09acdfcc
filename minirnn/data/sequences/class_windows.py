"""A class for each row of a series, to be told from the rows before it: windows of numbers with labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from minirnn.data.cells import naming
from minirnn.data.preparing import Names, Source, of_frame, prepare_rows
from minirnn.data.reading import source_of
from minirnn.data.roles import request
from minirnn.data.sequences.labelled import LARGEST, Form, Labelled
from minirnn.data.table import Table
from minirnn.data.windows import inputs_at
from minirnn.data.words import DataError, count, in_series, listed, plain_time, quoted, suggestion

__all__ = ["read_latest", "read_windows", "windows"]


def windows(frame: pd.DataFrame, label: str, window: int, columns: Names = None, series: str | None = None) -> Labelled:
    """The rows t-window .. t-1 as a sequence for each row t with a class; row t itself is not read.

    A row holds its numbers, and its class as a column for each class, 1 or 0 (all 0 where it has none). Steps that
    the source lacks are rows without numbers (NaN) and without a class. The examples have times, so that they are
    split by time; a window may reach back into an earlier part, whose classes are known by then.

    Args:
        frame: over a DatetimeIndex or with a column of times, as `minirnn.data.prepare` takes it.
        label: the column of classes.
        window: the number of rows W >= 1.
        columns: those with numbers to read; by default all.
        series: the column that tells the series of a long frame apart.

    Returns:
        Labelled, its sequences (W, D).

    Raises:
        DataError: the frame cannot be used as it is; the message says where and what to do.

    >>> from minirnn.data import load
    >>> weather = windows(load("seattle_weather"), "weather", window=7)
    >>> len(weather), weather.sequences[0].shape, weather.places[0], weather.labels[0]
    (1454, (7, 9), '2012-01-08', 'sun')
    >>> weather.columns[3:6]
    ('wind', 'weather=drizzle', 'weather=fog')
    """
    source = of_frame(frame)
    source.title = str(frame.attrs.get("title", "data"))
    return _windows(source, label, window, columns, series)


def read_windows(
    path: str | os.PathLike[str],
    label: str,
    window: int,
    columns: Names = None,
    series: str | None = None,
    date_column: str | None = None,
) -> Labelled:
    """What `windows` makes of a frame, from a file as `minirnn.data.read` takes it.

    Raises:
        DataError: the file cannot be used; one line names the file, the place and what to do.
    """
    path = Path(path)
    with naming(path):
        asked = request(None, columns, None, None, series, ())
        return _windows(source_of(path, date_column, asked), label, window, columns, series)


def read_latest(
    path: str | os.PathLike[str], form: Form, classes: Sequence[str], date_column: str | None = None
) -> tuple[list[np.ndarray], list[str], tuple[str, ...]]:
    """The last rows of each series of a file, as `read_windows` reads the rows before one with a class.

    Args:
        path: of the file; its label column holds the classes of the rows, as far as they are known.
        form: of the windows of the training.
        classes: of the training.
        date_column: the column of times; by default the first one that holds dates.

    Returns:
        A sequence (W, D) for each series; where it comes from; what was decided or repaired.

    Raises:
        DataError: the file cannot be used; one line names the file, the place and what to do.
    """
    path = Path(path)
    with naming(path):
        source = source_of(path, date_column, request(None, form.columns, None, None, form.series, ()))
        asked = request(form.label, form.columns, None, None, form.series, (), form.frequency)
        _coded(source, form.label, _cells(source, form.label), classes)
        table = prepare_rows(source, asked)
        rows, _ = _rows(table, classes)
        sequences, places = [], []
        for k in range(table.series):
            first, stop = table.bounds[k], table.bounds[k + 1]
            if stop - first < form.window:
                raise DataError(
                    f"{count(int(stop - first), 'row')}{in_series(table.names[k])}: the model reads the last "
                    f"{form.window}; give more rows"
                )
            sequences.append(rows[stop - form.window : stop])
            places.append(f"after {plain_time(table.times(k)[-1])}{in_series(table.names[k])}")
        return sequences, places, table.notes


def _windows(source: Source, label: str, window: int, columns: Names, series: str | None) -> Labelled:
    if not isinstance(window, int | np.integer) or window < 1:
        raise DataError(f"window is {window!r}: a number of rows from 1 on was expected")
    classes = _classes(source, label)
    asked = request(label, columns, None, None, series, ())
    table = prepare_rows(source, asked)  # the only target is the label, as numbers
    codes = table.values[:, 0]
    rows, known = _rows(table, classes)
    origins, times, places = [], [], []
    for k in range(table.series):
        at = np.arange(table.bounds[k] + window, table.bounds[k + 1])
        at = at[~np.isnan(codes[at])]
        at = at[inputs_at(known, at - 1, window).any(axis=1)]
        series_times = table.times(k)[at - table.bounds[k]]
        origins.append(at)
        times.append(series_times.to_numpy())
        places += [plain_time(time) + in_series(table.names[k]) for time in series_times]
    at = np.concatenate(origins)
    if not at.size:
        raise DataError(
            f"window {window} needs more than {count(window, 'row')} before a row with a label, but there "
            f"are {len(rows):,}: give more data, or a smaller window"
        )
    return Labelled(
        [classes[int(code)] for code in codes[at]],
        places,
        list(inputs_at(rows, at - 1, window)),
        columns=(*table.columns[1:], *(f"{label}={name}" for name in classes)),
        times=np.concatenate(times).astype("datetime64[us]"),
        title=table.title,
        notes=(*table.notes, _told(table, label, window, len(at))),
        form=Form("windows", label, series, table.columns[1:], int(window), table.frequency),
    )


def _rows(table: Table, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What a step of a window holds (rows, D), and whether anything is known of it (rows,)."""
    codes, numbers = table.values[:, 0], table.values[:, 1:]
    for row, column in np.argwhere(np.abs(numbers) > LARGEST)[:1]:
        raise DataError(f"{table.where(row)}: {table.columns[1 + column]!r} is beyond {LARGEST:g}: correct that cell")
    rows = np.column_stack([numbers, codes[:, None] == np.arange(len(classes))]).astype(np.float32)
    return rows, (codes >= 0) | ~np.isnan(numbers).all(axis=1) if numbers.size else codes >= 0


def _told(table: Table, label: str, window: int, examples: int) -> str:
    held = f", with {listed(table.columns[1:], 8)}" if len(table.columns) > 1 else ""
    return (
        f"{count(examples, 'example')}: {label!r} of a row from the {count(window, 'row')} before it{held} and "
        f"{label!r}; the row itself is not read."
    )


def _cells(source: Source, label: str) -> list[str]:
    """The classes of the rows as texts, empty where there is none.

    Raises:
        DataError: there is no such column.
    """
    if label not in source.columns:
        if label == source.date_column:
            raise DataError(f"the label column {label!r} is the date column: name a column of classes")
        names = list(source.columns)
        raise DataError(
            f"there is no label column {label!r}; {suggestion(label, names)}the columns are {listed(names)}"
        )
    return _texts(source.columns[label])


def _coded(source: Source, label: str, cells: list[str], classes: Sequence[str]) -> None:
    """In the source, the label's cells are replaced by their positions among the classes (NaN where empty).

    Raises:
        DataError: a cell holds none of the classes.
    """
    positions: dict[str, float] = {name: float(k) for k, name in enumerate(classes)}
    for row, cell in enumerate(cells):
        if cell and cell not in positions:
            raise DataError(
                f"{source.place(row)}: {quoted(cell)} in {label!r} is none of the classes; "
                f"{suggestion(cell, classes)}they are {listed(classes)}"
            )
    codes = pd.Series([positions.get(cell, np.nan) for cell in cells], dtype=np.float64)
    source.columns = {name: codes if name == label else column for name, column in source.columns.items()}


def _classes(source: Source, label: str) -> list[str]:
    """The classes, sorted; in the source, the label's cells are replaced by their positions (NaN where empty).

    Raises:
        DataError: there is no such column, or it does not hold classes.
    """
    cells = _cells(source, label)
    classes = sorted(set(cells) - {""})
    held = len(cells) - cells.count("")
    if len(classes) < 2:
        what = f"is {classes[0]!r} in all {count(held, 'row')}" if classes else "is empty"
        raise DataError(f"the label column {label!r} {what}: at least two classes are needed")
    if len(classes) > 20 and len(classes) > held / 5:
        raise DataError(
            f"the label column {label!r} holds {len(classes):,} different values in {count(held, 'row')}, such as "
            f"{listed(classes, 3)}: name a column of classes that occur again and again"
        )
    _coded(source, label, cells, classes)
    return classes


def _texts(cells: Iterable[Any]) -> list[str]:
    """Cells as labels: whole numbers without a fraction, missing ones empty."""
    found = []
    for cell in cells:
        if isinstance(cell, float | np.floating) and float(cell).is_integer():
            cell = int(cell)
        found.append("" if cell is None or pd.isna(cell) else " ".join(str(cell).split()))
    return found
