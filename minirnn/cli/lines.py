"""Rows as they come in, line by line: CSV or JSON lines, without pandas."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from minirnn.cli import UsageError

MISSING = frozenset(["", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "-", "?"])
LARGEST = 1e100  # values beyond this, in either direction, are refused


class Wanted(NamedTuple):
    """What is read of a line: its time, its series, and numbers.

    Args:
      time: the column of times; empty where rows are only counted.
      series: the column that tells series apart, or None.
      columns: the columns of numbers.
      optional: those of them that may be absent.
    """

    time: str
    series: str | None
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()


class Row(NamedTuple):
    """One line."""

    time: np.datetime64 | None
    series: str | None
    values: np.ndarray  # (columns,) NaN where missing


def rows(lines: Iterable[str], wanted: Wanted, columns: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """The number of each line, and its Row, or the UsageError that says what is wrong with it.

    The first line of a CSV names the columns, unless they are given. Lines that begin with a brace are JSON objects.
    """
    delimiter = ","
    for number, line in enumerate(lines, 1):
        line = line.strip("\ufeff\r\n")
        if not line.strip():
            continue
        try:
            if line.lstrip().startswith("{"):
                yield number, _row(_object(line), wanted, ",")
                continue
            if columns is None:
                delimiter = max(",;\t", key=line.count)
                columns = _header(line, delimiter, wanted)
                continue
            if any("\udc80" <= letter <= "\udcff" for letter in line):  # how Python hands such bytes over
                raise UsageError("the line holds bytes that are not UTF-8")
            cells = next(csv.reader([line], delimiter=delimiter))
            if len(cells) != len(columns):
                raise UsageError(f"{len(cells)} cells; expected {len(columns)}: {', '.join(columns)[:200]}")
            yield number, _row(dict(zip(columns, cells)), wanted, delimiter)
        except UsageError as error:
            if columns is None and not line.lstrip().startswith("{"):
                raise UsageError(f"line {number}: {error}") from None  # without a header nothing else can be read
            yield number, error


def _header(line: str, delimiter: str, wanted: Wanted) -> list[str]:
    columns = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    for name in (wanted.time, wanted.series or "", *wanted.columns):
        if name and name not in columns and name not in wanted.optional:
            raise UsageError(
                f"the header lacks the column {name!r}; expected {', '.join(_names(wanted))}: give a header, or "
                "--columns"
            )
        if columns.count(name) > 1:
            raise UsageError(f"the header has the column {name!r} twice")
    return columns


def _names(wanted: Wanted) -> list[str]:
    return [name for name in (wanted.time, wanted.series or "", *wanted.columns) if name]


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("neither a row of the CSV nor a JSON object") from None
    if not isinstance(found, dict):
        raise UsageError("expected a JSON object with a key for each column")
    return found


def _row(cells: Mapping[str, Any], wanted: Wanted, delimiter: str) -> Row:
    for name in _names(wanted):
        if name not in cells and name not in wanted.optional:
            raise UsageError(f"the column {name!r} is missing; expected {', '.join(_names(wanted))}")
    time = _time(cells[wanted.time], wanted.time) if wanted.time else None
    series = None if wanted.series is None else str(cells[wanted.series]).strip()
    values = np.array([_number(cells.get(name), name, delimiter) for name in wanted.columns])
    return Row(time, series, values)


def _time(cell: Any, name: str) -> np.datetime64:
    text = str(cell).strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text[:40]!r} in {name!r} is no time; expected year first, such as 2024-03-01 or 2024-03-01 13:00"
        ) from None
    if time.tzinfo is not None:  # as where files are read: converted to UTC
        time = time.replace(tzinfo=None) - (time.utcoffset() or 0 * (time - time))
    return np.datetime64(time, "us")


def _number(cell: Any, name: str, delimiter: str) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return float("nan")
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str) and delimiter == ";":
        text = text.replace(",", ".")
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        value = float("inf")
    if not abs(value) <= LARGEST and value == value:
        raise UsageError(
            f"{str(cell)[:40]!r} in {name!r} is no finite number; leave the cell empty where it is missing"
        )
    return value
