"""The door for CSV files: bytes to text to cells to columns; every fault ends in a one-line DataError."""

import csv
import io
import os
import re
from pathlib import Path

import pandas as pd

from minirnn.data.columns import MISSING_TEXTS
from minirnn.data.dates import find_date_column, parse_dates
from minirnn.data.preparing import prepare, prepare_rows
from minirnn.data.table import DataError, Table, count, listed, quoted

__all__ = ["DataError", "Table", "prepare", "read_csv"]

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?(0|[1-9]\d{0,2}(\.\d{3})*)")
_VALUE = re.compile(r"[+-]?\d+([.,]\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_NAMELESS = re.compile(r"column \d+")
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"


def read_csv(path: str | os.PathLike[str], target: str | None = None, date_column: str | None = None) -> Table:
    """Read a time series from a CSV file and bring it to a regular grid of times.

    The delimiter (comma, semicolon, tab), a decimal comma, the date column, the order of day and month, and
    the frequency are found from the contents; what was decided or repaired is said in the notes.

    Args:
        path: a UTF-8 text file with one header line.
        target: the column to forecast; by default the only, or else the last, column with numbers.
        date_column: the column with the times; by default the first that holds dates.

    Returns:
        A Table. Missing values are carried forward only.

    Raises:
        DataError: the file cannot be used as it is; one line names the file, the place and what to do.

    >>> from minirnn.data.embedded import path_of
    >>> table = read_csv(path_of("co2"))
    >>> table.target, table.frequency, len(table.frame)
    ('co2', 'W-SAT', 2284)
    >>> table.notes
    ("59 missing values of 'co2' were filled with the last known value (first 1958-05-10).",)
    """
    path = Path(path)
    try:
        return _read(path, target, date_column)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (csv.Error, ValueError, OverflowError) as error:
        # Nothing known ends here; but whatever a parser says of a strange file is still said in one line.
        raise DataError(f"{path}: cannot be read as a table: {error}") from None


def _read(path: Path, target: str | None, date_column: str | None) -> Table:
    text = _text(path)
    delimiter = _delimiter(text)
    names, columns, lines = _columns(text, delimiter)
    notes: list[str] = []
    position = find_date_column(names, columns, date_column)
    times, date_notes = parse_dates(names[position], columns[position], lines)
    if target == names[position]:
        raise DataError(f"the target {target!r} is the date column: name a column with numbers")
    cells = {name: column for i, (name, column) in enumerate(zip(names, columns)) if i != position}
    if delimiter == ";":
        cells = _decimal_commas(cells, lines, notes)
    cells = _without_row_numbers(cells, notes)
    nameless = _NAMELESS.fullmatch(names[position]) and "date" not in names
    index = times.rename("date" if nameless else names[position])
    frame = pd.DataFrame(cells, index=index, dtype=object)

    def place(row: int) -> str:
        return f"line {lines[row]}"

    return prepare_rows(frame, target, place, path.stem, {}, date_notes + notes)


def _text(path: Path) -> str:
    if path.is_dir():
        raise DataError("is a folder, not a CSV file: name a file in it")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError("there is no such file: check the path") from None
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}") from None
    if not data.strip():
        raise DataError("the file is empty: a header line and rows of data were expected")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the text is UTF-16: save it as UTF-8")
    if b"\0" in data or data.startswith((_ZIP, _GZIP)):
        kind = {_ZIP: " (a workbook or zip archive)", _GZIP: " (gzip)"}
        raise DataError(f"the file is binary{kind.get(data[:4], kind.get(data[:2], ''))}: save or unpack it as CSV")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text: save the file as UTF-8"
        ) from None


def _delimiter(text: str) -> str:
    """The delimiter under which the first lines have the same number of fields, and the most of them."""
    lines = [line for line in text.splitlines()[:50] if line.strip()][:20]
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best


def _columns(text: str, delimiter: str) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the cells of each column without surrounding blanks, and the line of each row."""
    # newline="" leaves line ends as they are, so that lines are counted as an editor counts them.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    line = header_line = 1
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if any(fields) and not names:
                names, header_line = fields, line
                _check_header(names, line, delimiter)
            elif any(fields):
                while len(fields) > len(names) and not fields[-1]:
                    fields.pop()  # trailing delimiters carry nothing
                if len(fields) != len(names):
                    raise DataError(
                        f"line {line}: {count(len(fields), 'field')} where the header has {len(names)} "
                        f"(the delimiter is the {_DELIMITERS[delimiter]}): add or remove delimiters"
                    )
                rows.append(fields)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {line}: {error}: check the quotation marks") from None
    if not rows:
        raise DataError("there is a header but no rows of data")
    columns = [list(column) for column in zip(*rows)]
    kept = [i for i, name in enumerate(names) if name or any(columns[i])]
    if len(kept) == 1:
        raise DataError(
            f"there is only one column, {quoted(names[kept[0]])}: a date column and a column with numbers "
            "are needed, with commas, semicolons or tabs between them"
        )
    names = [name or f"column {i + 1}" for i, name in enumerate(names)]
    twice = sorted({names[i] for i in kept if [names[j] for j in kept].count(names[i]) > 1})
    if twice:
        raise DataError(f"line {header_line}: the header names {listed(twice)} twice: rename one of them")
    return [names[i] for i in kept], [columns[i] for i in kept], lines


def _check_header(names: list[str], line: int, delimiter: str) -> None:
    if all(_VALUE.fullmatch(name) for name in names if name):
        raise DataError(f"line {line}: {quoted(delimiter.join(names))} looks like data: put column names above it")


def _decimal_commas(cells: dict[str, list[str]], lines: list[int], notes: list[str]) -> dict[str, list[str]]:
    """Numbers such as 1.234,5 rewritten as 1234.5, if the file has any; never a mixture of both ways."""
    comma = _first_match(cells, _DECIMAL_COMMA)
    if comma is None:
        _refuse_grouped(cells, lines)
        return cells
    point = _first_match(cells, _DECIMAL_POINT)
    if point is not None:
        (name, row), (other, other_row) = comma, point
        raise DataError(
            f"line {lines[row]}: {quoted(cells[name][row])} has a decimal comma but line {lines[other_row]}: "
            f"{quoted(cells[other][other_row])} a decimal point: write all the numbers one way"
        )
    notes.append(f"Commas in numbers were read as decimal commas (first in line {lines[comma[1]]}).")

    def with_point(cell: str) -> str:
        return cell.replace(".", "").replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell

    return {name: [with_point(cell) for cell in column] for name, column in cells.items()}


def _refuse_grouped(cells: dict[str, list[str]], lines: list[int]) -> None:
    """Stop at a column whose points may all part thousands: 45.000 is 45000 to some and 45 to others.

    A number such as 1.5 or 0.125 anywhere in the file settles that its points part decimals.
    """
    cells_with_point = (cell for column in cells.values() for cell in column if _DECIMAL_POINT.fullmatch(cell))
    if not all(_GROUPED.fullmatch(cell) for cell in cells_with_point):
        return
    for name, column in cells.items():
        known = [cell for cell in column if cell.lower() not in MISSING_TEXTS]
        if all(_GROUPED.fullmatch(cell) for cell in known) and any("." in cell for cell in known):
            row = next(row for row, cell in enumerate(column) if "." in cell)
            whole, decimals = column[row].rsplit(".", 1)
            whole = whole.replace(".", "")
            raise DataError(
                f"line {lines[row]}: {quoted(column[row])} in {name!r} is ambiguous, its point may part thousands or "
                f"decimals: write {whole}{decimals} if it means thousands, {whole},{decimals} if it means decimals"
            )


def _first_match(cells: dict[str, list[str]], pattern: re.Pattern[str]) -> tuple[str, int] | None:
    for name, column in cells.items():
        for row, cell in enumerate(column):
            if pattern.fullmatch(cell):
                return name, row
    return None


def _without_row_numbers(cells: dict[str, list[str]], notes: list[str]) -> dict[str, list[str]]:
    """The cells without a nameless column that only counts its rows, as pandas and R write them."""
    kept = {}
    for name, column in cells.items():
        counts = _NAMELESS.fullmatch(name) and column[0] in ("0", "1")
        if counts and column == [str(i + int(column[0])) for i in range(len(column))]:
            notes.append(f"Left out the nameless {name}: it only counts the rows.")
        else:
            kept[name] = column
    return kept
