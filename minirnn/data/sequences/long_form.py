"""Labelled sequences of numbers from a long file: a row for each step, sequences of any lengths."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from minirnn.data.cells import NAMELESS, Cells, cells_of, full, named, naming, without_row_numbers
from minirnn.data.opening import title_of
from minirnn.data.sequences.labelled import LARGEST, Form, Labelled
from minirnn.data.sequences.parting import numbered_groups
from minirnn.data.words import DataError, count, listed, quoted


def read_sequences(
    path: str | os.PathLike[str],
    series: str,
    label: str | None,
    columns: str | Iterable[str] | None = None,
    date_column: str | None = None,
    missing: Iterable[object] = (),
) -> Labelled:
    """Sequences of numbers and their labels from a long file: a row for each step, of sequences of any lengths.

    The rows of a sequence are taken in the order of the file, or of their dates if there are any. Missing numbers stay
    missing. The sequences have times, the last one of each, if no two of them overlap in time.

    Args:
        path: UTF-8 text with a header (CSV and its kin) or JSON lines, packed by gzip or not.
        series: the column that tells the sequences apart.
        label: the column of labels, one and the same in all rows of a sequence; None where there are none to learn
            from: labels are then empty.
        columns: those to read; by default all others that hold numbers.
        date_column: the column with times; by default the first one that holds dates, if any does.
        missing: numbers or texts that stand for a missing number.

    Raises:
        DataError: the file cannot be used; one line names the file, the line and what to do.
    """
    path = Path(path)
    with naming(path):
        cells = cells_of(path)
        notes: list[str] = []
        for name, what in ((series, "series"), (label, "label"), (date_column, "date")):
            if name is not None:
                named(cells, name, what)
        names = full(cells, series, "name of the sequence")
        labels = [""] * len(names) if label is None else full(cells, label, "label")
        rows, bounds = _rows_of_sequences(names)
        first = rows[bounds[:-1]]
        _refuse_two_labels(labels, names, rows, bounds, cells.lines)
        date, times = _times(cells, series, label, date_column, columns, notes)
        if times is not None:
            rows = _in_time(rows, bounds, times, names, cells.lines)
        wanted = (columns,) if isinstance(columns, str) else None if columns is None else tuple(columns)
        features = _features(cells, wanted, {series, label, date}, missing, notes)
        values = np.column_stack(list(features.values())).astype(np.float32)[rows]
        absent = np.isnan(values)
        if absent.any():
            line = cells.lines[int(rows[absent.any(axis=1)].min())]
            total = f"{count(int(absent.sum()), 'cell')} of {absent.size:,}"
            notes.append(f"No number in {total} (first line {line}): they stay missing.")
        sequences = [values[start:stop] for start, stop in itertools.pairwise(bounds)]
        # Without labels a place is what answers are written beside: the bare name.
        places = [
            names[row] if label is None else f"the sequence {names[row]!r} (line {cells.lines[row]})" for row in first
        ]
        return Labelled(
            [labels[row] for row in first],
            places,
            sequences,
            columns=tuple(features),
            times=None if times is None else _ends(times[rows], bounds, notes),
            title=title_of(path),
            notes=tuple(notes),
            form=None if label is None else Form("sequences", label, series, tuple(features)),
        )


def _rows_of_sequences(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the first sequence, then those of the second, ... and the bounds (sequences + 1,) between them."""
    codes = numbered_groups(names)
    return np.argsort(codes, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(codes))])


def _refuse_two_labels(labels: list[str], names: list[str], rows: np.ndarray, bounds: np.ndarray, lines) -> None:
    for start, stop in itertools.pairwise(bounds):
        first = rows[start]
        for row in rows[start:stop]:
            if labels[row] != labels[first]:
                raise DataError(
                    f"line {lines[row]}: the sequence {names[row]!r} has the label {quoted(labels[row])} here but "
                    f"{quoted(labels[first])} in line {lines[first]}: give all rows of a sequence one label"
                )


def _times(cells: Cells, series: str, label: str | None, date_column: str | None, columns, notes: list[str]):
    """The date column and the times of the rows; (None, None) where no column holds dates."""
    from minirnn.data.dates import find_date_column, is_time_name, parse_dates

    date = date_column
    if date is None:
        chosen = () if columns is None else (columns,) if isinstance(columns, str) else tuple(columns)
        # Bare numbers such as 1998 may be years or a measurement: only the name of the column tells.
        maybe = [
            k
            for k, name in enumerate(cells.names)
            if name not in (series, label, *chosen)
            and (is_time_name(name) or not all(cell.isdecimal() for cell in cells.columns[k]))
        ]
        try:
            date = cells.names[
                maybe[find_date_column([cells.names[k] for k in maybe], [cells.columns[k] for k in maybe])]
            ]
        except DataError:
            return None, None
    times, found = parse_dates(date, cells.columns[cells.names.index(date)], cells.lines)
    notes += found
    notes.append(f"The column {date!r} holds the times: the rows of each sequence are in their order.")
    return date, times.as_unit("us").to_numpy()


def _in_time(rows: np.ndarray, bounds: np.ndarray, times: np.ndarray, names: list[str], lines) -> np.ndarray:
    """The rows with those of each sequence in the order of time."""
    codes = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    rows = rows[np.lexsort((times[rows], codes))]
    same = np.flatnonzero((codes[1:] == codes[:-1]) & (times[rows][1:] == times[rows][:-1]))
    if same.size:
        one, other = sorted((rows[same[0]], rows[same[0] + 1]))
        raise DataError(
            f"line {lines[other]}: the sequence {names[one]!r} has the time {str(times[one])[:19]} in line "
            f"{lines[one]} already: keep one of these rows"
        )
    return rows


def _ends(times: np.ndarray, bounds: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """The last time of each sequence, from the times of the rows in order; None where sequences overlap."""
    starts, ends = times[bounds[:-1]], times[bounds[1:] - 1]
    order = np.argsort(starts, kind="stable")
    if (ends[order][:-1] >= starts[order][1:]).any():
        notes.append("Sequences overlap in time: they can be split by chance only.")
        return None
    return ends


def _features(
    cells: Cells, wanted: tuple[str, ...] | None, others: set[str | None], missing, notes: list[str]
) -> dict[str, np.ndarray]:
    """Name -> float64 (rows,) of the columns to read."""
    import pandas as pd

    from minirnn.data.columns import refuse_beyond, to_numbers
    from minirnn.data.decimals import decimal_commas, refuse_grouped

    for name in wanted or ():
        named(cells, name, "numeric")
        if name in others:
            raise DataError(f"the column {name!r} tells sequences apart, or holds labels or dates: it is no number")
    chosen = {n: column for n, column in zip(cells.names, cells.columns) if n not in others and n in (wanted or (n,))}
    chosen = chosen if wanted else without_row_numbers(chosen, notes)
    if cells.delimiter not in (",", ""):
        before = len(notes)
        chosen = decimal_commas(chosen, cells.lines, notes)
        if cells.delimiter == ";" and len(notes) == before:
            refuse_grouped(chosen, cells.lines)

    def place(row: int) -> str:
        return f"line {cells.lines[row]}"

    found: dict[str, np.ndarray] = {}
    for name in wanted or chosen:
        values, bad = to_numbers(pd.Series(chosen[name], dtype=object), missing)
        first = int(np.argmax(bad))
        right = int((~np.isnan(values)).sum())
        if bad.any() and (wanted or right > bad.sum()):
            advice = "correct that cell or leave it empty" if right > bad.sum() else "leave the column out"
            raise DataError(
                f"{place(first)}: the column {name!r} should hold numbers but holds {quoted(chosen[name][first])}: "
                f"{advice}"
            )
        if bad.any() or (not right and not wanted):
            kind = f"text such as {quoted(chosen[name][first])}" if bad.any() else "nothing"
            notes.append(f"Left out {name if NAMELESS.fullmatch(name) else repr(name)}: it holds {kind}.")
            continue
        refuse_beyond(name, values, place, LARGEST)
        found[name] = values
    if not found:
        raise DataError(
            f"no column holds numbers; the columns are {listed(cells.names)}: add one, or write bare numbers in them"
        )
    return found
