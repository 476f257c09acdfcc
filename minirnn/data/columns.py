"""Columns: cells to numbers, which columns can be used, and which one is the target."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from minirnn.data.table import DataError, Place, count, listed, quoted, suggestion

MISSING_TEXTS = frozenset(["", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "-", "?"])
"""The usual spellings of a missing value, in lower case."""


def to_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The cells as float64 (NaN where missing), and True where a cell is neither a number nor missing."""
    if types.is_complex_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    if types.is_numeric_dtype(column.dtype):  # booleans count as 0 and 1
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values, np.zeros(len(column), dtype=bool)
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in column.astype(object)]
    missing = np.array([_is_missing(cell) for cell in cells], dtype=bool)
    known = pd.Series([None if m else cell for cell, m in zip(cells, missing)], dtype=object)
    values = pd.to_numeric(known, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values, np.isnan(values) & ~missing


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.lower() in MISSING_TEXTS
    return cell is None or cell is pd.NA or cell is pd.NaT or cell != cell  # NaN differs from itself


def numeric_columns(frame: pd.DataFrame, target: str | None, place: Place, notes: list[str]) -> dict[str, np.ndarray]:
    """The columns that hold numbers. Text columns are left out and noted; half-numeric ones are errors.

    Arguments:
        frame: columns of cells, numbers or text, in the order of the source.
        target: the column asked for, or None.
        place: row position -> where it stands, for messages.
        notes: receives a sentence for each column that is left out.

    Returns:
        Column name -> float64 values, NaN where missing.

    Raises:
        DataError: no column holds numbers; the target does not exist or holds text; a cell of a numeric
            column is text or infinite.
    """
    if target is not None and target not in frame.columns:
        raise DataError(
            f"there is no column {target!r} to forecast; {suggestion(target, frame.columns)}"
            f"the columns with numbers are {listed(_mostly_numeric(frame))}"
        )
    found = {}
    text, empty = [], []
    for name in frame.columns:
        values, bad = to_numbers(frame[name])
        right = int((~np.isnan(values)).sum())
        if bad.any() and (name == target or right > bad.sum()):
            first = int(np.flatnonzero(bad)[0])
            cell = quoted(frame[name].iloc[first])
            what = "the target" if name == target else "the column"
            if right > bad.sum():
                advice = "correct that cell or leave it empty"
            else:
                others = [other for other in _mostly_numeric(frame) if other != name]
                advice = f"the columns with numbers are {listed(others)}" if others else "add one with numbers"
            raise DataError(f"{place(first)}: {what} {name!r} should hold numbers but holds {cell}: {advice}")
        if np.isinf(values).any():
            first = int(np.flatnonzero(np.isinf(values))[0])
            raise DataError(f"{place(first)}: the column {name!r} is infinite: correct that cell or leave it empty")
        if bad.any():
            text.append(name)
        elif right == 0 and name != target:
            empty.append(name)
        else:
            found[name] = values
    if not found:
        held = f"; {listed(text)} hold text" if len(text) > 1 else f"; {text[0]!r} holds text" if text else ""
        raise DataError(f"no column holds numbers besides the dates{held}: add the column to forecast")
    notes += [f"Left out {name!r}: it holds text, not numbers." for name in text]
    notes += [f"Left out {name!r}: it is empty." for name in empty]
    return found


def _mostly_numeric(frame: pd.DataFrame) -> list[str]:
    names = []
    for name in frame.columns:
        values, bad = to_numbers(frame[name])
        if (~np.isnan(values)).sum() > bad.sum():
            names.append(name)
    return names


def choose_target(frame: pd.DataFrame, target: str | None, notes: list[str]) -> tuple[pd.DataFrame, str]:
    """The frame without its constant columns, and the target: the one asked for, or the last that is left.

    Raises:
        DataError: the target, or every column, is constant.
    """
    constant = [name for name in frame.columns if frame[name].nunique() == 1]
    moving = [name for name in frame.columns if name not in constant]
    if target is None and not moving:
        target = constant[-1]
    if target in constant:
        value = frame[target].dropna().iloc[0]
        rows = count(int(frame[target].notna().sum()), "row")
        raise DataError(f"the target {target!r} is {value:g} in all {rows}: there is nothing to forecast")
    notes += [f"Left out {name!r}: it never changes." for name in constant]
    if target is None:
        target = moving[-1]
        if len(moving) > 1:
            notes.append(
                f"The target is {target!r}, the last column with numbers; "
                f"name it to forecast another: {listed(moving[:-1])}."
            )
    return frame[moving], target
