"""Numbers as text: decimal commas to points, and points that may part thousands."""

from __future__ import annotations

import re
from array import array

from minirnn.data.columns import MISSING_TEXTS
from minirnn.data.words import DataError, quoted

_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_GROUPED = re.compile(r"[+-]?(0|[1-9]\d{0,2}(\.\d{3})*)")

Cells = dict[str, list[str]]


def decimal_commas(cells: Cells, lines: array[int], notes: list[str]) -> Cells:
    """Numbers such as 1.234,5 rewritten as 1234.5, if the file has any; never a mixture of both ways.

    Raises:
        DataError: some numbers have a decimal comma and others a decimal point.
    """
    comma = _first_match(cells, _DECIMAL_COMMA, ",")
    if comma is None:
        return cells
    point = _first_match(cells, _DECIMAL_POINT, ".")
    if point is not None:
        (name, row), (other, other_row) = comma, point
        raise DataError(
            f"line {lines[row]}: {quoted(cells[name][row])} has a decimal comma but line {lines[other_row]}: "
            f"{quoted(cells[other][other_row])} a decimal point: write all the numbers one way"
        )
    notes.append(f"Commas in numbers were read as decimal commas (first in line {lines[comma[1]]}).")

    def with_point(cell: str) -> str:
        return cell.replace(".", "").replace(",", ".") if "," in cell and _DECIMAL_COMMA.fullmatch(cell) else cell

    return {name: [with_point(cell) for cell in column] for name, column in cells.items()}


def refuse_grouped(cells: Cells, lines: array[int]) -> None:
    """Stop at a column whose points may all part thousands: 45.000 is 45000 to some and 45 to others.

    A number such as 1.5 or 0.125 anywhere in the file settles that its points part decimals.

    Raises:
        DataError: such a column is there.
    """
    dotted = (cell for column in cells.values() for cell in column if "." in cell)
    if not all(_GROUPED.fullmatch(cell) for cell in dotted if _DECIMAL_POINT.fullmatch(cell)):
        return
    for name, column in cells.items():
        row = next((row for row, cell in enumerate(column) if "." in cell), None)
        if row is None or not all(_GROUPED.fullmatch(cell) or cell.lower() in MISSING_TEXTS for cell in column):
            continue
        whole, decimals = column[row].rsplit(".", 1)
        whole = whole.replace(".", "")
        raise DataError(
            f"line {lines[row]}: {quoted(column[row])} in {name!r} is ambiguous, its point may part thousands or "
            f"decimals: write {whole}{decimals} if it means thousands, {whole},{decimals} if it means decimals"
        )


def _first_match(cells: Cells, pattern: re.Pattern[str], sign: str) -> tuple[str, int] | None:
    for name, column in cells.items():
        for row, cell in enumerate(column):
            if sign in cell and pattern.fullmatch(cell):
                return name, row
    return None
