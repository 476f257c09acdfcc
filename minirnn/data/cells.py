"""Text to cells: delimited text and JSON lines, with the line on which each row begins. Needs no pandas."""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.data.opening import text_of
from minirnn.data.words import DataError, count, listed, quoted, suggestion

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
"""The delimiters that are looked for, and what they are called."""

NAMELESS = re.compile(r"column \d+")
"""What a column without a name is called."""

_VALUE = re.compile(r"[+-]?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_CHUNK = 1 << 15  # rows that are held as lists of fields before they become columns
_SHARED = 1 << 17  # distinct cells of a column that are looked up to be kept once


class Cells(NamedTuple):
    """The columns of a text file, as text without surrounding blanks; a cell without a value is empty."""

    names: list[str]
    columns: list[list[str]]  # of each name, the cell of each row
    lines: array[int]  # where each row begins
    delimiter: str  # empty for JSON lines


def cells_of(path: Path, *, literal_tabs: bool = False) -> Cells:
    """The cells of a file: CSV and its kin with one header line, or JSON lines (an object on each line).

    Args:
        path: UTF-8, packed by gzip or not.
        literal_tabs: quotation marks in a file with tabs are letters like others, as in most files of sentences.

    Raises:
        DataError: the file holds no such text.
    """
    data = text_of(path)
    if is_json_lines(data):
        return _of_objects(data)
    delimiter = delimiter_of(data)
    return Cells(*columns_of(data, delimiter, quotes=not (literal_tabs and delimiter == "\t")), delimiter)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets every message about the contents of a file start with the file.

    Raises:
        DataError: what the block raised, and whatever a parser says of a strange file, in one line.
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (csv.Error, ValueError, OverflowError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def named(cells: Cells, name: str | None, what: str) -> str:
    """The column of that name, or, without one, the column called `what` in any case.

    Raises:
        DataError: there is no such column.
    """
    found = name if name is not None else next((own for own in cells.names if own.lower() == what), what)
    if found in cells.names:
        return found
    shown = listed(cells.names)
    if name is None:
        raise DataError(f"there is no column {what!r}; the columns are {shown}: say which of them holds the {what}")
    raise DataError(f"there is no {what} column {name!r}; {suggestion(name, cells.names)}the columns are {shown}")


def full(cells: Cells, name: str, what: str) -> list[str]:
    """The cells of a column in which none may be empty.

    Raises:
        DataError: one is.
    """
    column = cells.columns[cells.names.index(name)]
    empty = [row for row, cell in enumerate(column) if not cell]
    if empty:
        more = f" (and {count(len(empty) - 1, 'line')} more)" if len(empty) > 1 else ""
        raise DataError(
            f"line {cells.lines[empty[0]]}: the {what} is empty in {name!r}{more}: fill it in or delete the line"
        )
    return column


# delimited text -----------------------------------------------------------------------------------


def delimiter_of(data: bytes) -> str:
    """The delimiter under which the first lines have the same number of fields, and the most of them."""
    lines = [line for line in data[:200_000].decode("utf-8-sig", errors="ignore").splitlines()[:50] if line.strip()]
    lines = lines[:20] if len(data) <= 200_000 or len(lines) > 20 else lines[:-1] or lines
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS if lines else ():
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best


class _Quoted(csv.excel):
    """Cells in quotation marks may hold anything."""

    strict = True


class _Literal(_Quoted):
    """Quotation marks are letters like others."""

    quoting = csv.QUOTE_NONE


def rows_of(data: bytes, delimiter: str, quotes: bool = True) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row, blank rows too, and the line on which it begins.

    Raises:
        DataError: quotation marks do not match.
    """
    # newline="" leaves line ends as they are, so that lines are counted as an editor counts them.
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
    dialect = _Quoted if quotes else _Literal
    reader = csv.reader(text, dialect, delimiter=delimiter)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {line}: {error}: check the quotation marks") from None


def columns_of(data: bytes, delimiter: str, quotes: bool = True) -> tuple[list[str], list[list[str]], array[int]]:
    """The header, the cells of each column without surrounding blanks, and the line of each row.

    Raises:
        DataError: there is no header, there are no rows, or a row has not as many cells as the header.
    """
    names: list[str] = []
    columns = _Columns()
    rows: list[list[str]] = []
    lines = array("q")
    header_line = 1
    width = 0
    for line, fields in rows_of(data, delimiter, quotes):
        if not names:
            fields = [field.strip() for field in fields]
            if any(fields):
                names, header_line = fields, line
                _check_header(names, line, delimiter)
                columns.start(len(names))
                width = len(names)
        elif any(map(str.strip, fields)):
            while len(fields) > width and not fields[-1].strip():
                fields.pop()  # trailing delimiters carry nothing
            if len(fields) != width:
                raise DataError(
                    f"line {line}: {count(len(fields), 'field')} where the header has {len(names)} "
                    f"(the delimiter is the {DELIMITERS[delimiter]}): add or remove delimiters"
                )
            rows.append(fields)
            lines.append(line)
            if len(rows) == _CHUNK:
                columns.take(rows)
    if not lines:
        raise DataError("there is a header but no rows of data")
    columns.take(rows)
    cells = columns.cells
    kept = [i for i, name in enumerate(names) if name or any(cells[i])]
    names = [name or f"column {i + 1}" for i, name in enumerate(names)]
    twice = sorted({names[i] for i in kept if [names[j] for j in kept].count(names[i]) > 1})
    if twice:
        raise DataError(f"line {header_line}: the header names {listed(twice)} twice: rename one of them")
    return [names[i] for i in kept], [cells[i] for i in kept], lines


class _Columns:
    """Rows of fields as columns of cells, a chunk at a time; cells that occur again are kept once."""

    def start(self, width: int) -> None:
        """No rows yet, and so many columns."""
        self.cells: list[list[str]] = [[] for _ in range(width)]
        self.known: list[dict[str, str] | None] = [{} for _ in range(width)]

    def take(self, rows: list[list[str]]) -> None:
        """Moves the fields of the rows into the columns."""
        for i, part in enumerate(zip(*rows)):
            known = self.known[i]
            stripped = map(str.strip, part)
            if known is None:
                self.cells[i] += stripped
                continue
            self.cells[i] += [known.setdefault(cell, cell) for cell in stripped]
            if len(known) > _SHARED:
                self.known[i] = None
        rows.clear()


def _check_header(names: list[str], line: int, delimiter: str) -> None:
    if all(_VALUE.fullmatch(name) for name in names if name):
        raise DataError(f"line {line}: {quoted(delimiter.join(names))} looks like data: put column names above it")


def without_row_numbers(cells: dict[str, list[str]], notes: list[str]) -> dict[str, list[str]]:
    """The cells without a nameless column that only counts its rows, as pandas and R write them."""
    kept = {}
    for name, column in cells.items():
        counts = NAMELESS.fullmatch(name) and column[0] in ("0", "1")
        if counts and column == [str(i + int(column[0])) for i in range(len(column))]:
            notes.append(f"Left out the nameless {name}: it only counts the rows.")
        else:
            kept[name] = column
    return kept


# JSON lines ---------------------------------------------------------------------------------------


def is_json_lines(data: bytes) -> bool:
    """Whether the first line that is not blank begins as a JSON object does, or holds nothing but JSON."""
    start = data[:200_000].decode("utf-8-sig", errors="ignore").lstrip()
    return re.match(r'\{\s*("|\})', start) is not None or re.match(r"\[\s*(\{|\Z)", start) is not None


def objects_of(data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The object of each line that is not blank, and the number of the line.

    Raises:
        DataError: a line holds anything else.
    """
    for number, line in enumerate(data.decode("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = getattr(error, "msg", "too deep")
            raise DataError(f"line {number}: not a JSON object ({what}): write one object on each line") from None
        if not isinstance(found, dict):
            raise DataError(f"line {number}: {quoted(line.strip())} is not a JSON object: write one on each line")
        yield number, found


def plain(value: Any, name: str, line: int) -> str:
    """A value of a JSON object as a cell: text as it is, null as an empty cell.

    Raises:
        DataError: it is a list or an object.
    """
    if isinstance(value, dict | list):
        raise DataError(f"line {line}: {name!r} holds {quoted(json.dumps(value))}: text or a number was expected")
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _of_objects(data: bytes) -> Cells:
    """JSON lines as columns: all keys in the order in which they first appear, empty where a line lacks one."""
    columns: dict[str, list[str]] = {}
    lines = array("q")
    for number, found in objects_of(data):
        for name in found:
            columns.setdefault(name, [""] * len(lines))
        for name, column in columns.items():
            column.append(plain(found.get(name), name, number))
        lines.append(number)
    return Cells(list(columns), list(columns.values()), lines, "")
