"""Columns: cells to numbers, which columns can be used, and which one is the target."""

import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from minirnn.data.table import DataError, Place, count, listed, quoted, suggestion

MISSING_TEXTS = frozenset(["", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "-", "?"])
"""The usual spellings of a missing value, in lower case."""
LARGEST = 1e100
"""Values beyond this, in either direction, are refused."""

_TRUTH = {"true": 1.0, "false": 0.0}
_DRESSED = re.compile(r"[$€£¥]?\s*([+-]?\d[\d,]*(?:\.\d+)?)\s*(%|[$€£¥]|[A-Za-z°µ][\w°µ/·^]*)?")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?")
_CALENDAR = ("year", "month", "day", "weekday", "hour", "minute")


def to_numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The cells as float64 (NaN where missing), and True where a cell is neither a number nor missing."""
    if types.is_complex_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    if types.is_numeric_dtype(column.dtype):  # booleans count as 0 and 1
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values, np.zeros(len(column), dtype=bool)
    cells = [cell.strip() if isinstance(cell, str) else cell for cell in column.astype(object)]
    missing = np.array([_is_missing(cell) for cell in cells], dtype=bool)
    cells = [_TRUTH.get(cell.lower(), cell) if isinstance(cell, str) else cell for cell in cells]
    known = pd.Series([None if m else cell for cell, m in zip(cells, missing)], dtype=object)
    values = pd.to_numeric(known, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values, np.isnan(values) & ~missing


def _is_missing(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.lower() in MISSING_TEXTS
    return cell is None or cell is pd.NA or cell is pd.NaT or cell != cell  # NaN differs from itself


def numeric_columns(frame: pd.DataFrame, target: str | None, place: Place, notes: list[str]) -> dict[str, np.ndarray]:
    """The columns that hold numbers. Text columns are left out and noted; half-numeric ones are errors.

    Args:
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
    text: list[str] = []  # for each column of text: where its first bad cell is, and what to do
    left_out, empty, odd = [], [], []
    for name in frame.columns:
        values, bad = to_numbers(frame[name])
        right = int((~np.isnan(values)).sum())
        first = int(np.argmax(bad)) if bad.any() else 0
        cell = frame[name].iloc[first]
        bare = _bare(cell)
        if bad.any() and (name == target or right > bad.sum()):
            what = "the target" if name == target else "the column"
            others = [other for other in _mostly_numeric(frame) if other != name]
            if right > bad.sum():
                advice = "correct that cell or leave it empty"
            elif bare:
                advice = f"write bare numbers like {bare}"
            else:
                advice = f"the columns with numbers are {listed(others)}" if others else "add one with numbers"
            raise DataError(f"{place(first)}: {what} {name!r} should hold numbers but holds {quoted(cell)}: {advice}")
        _refuse_beyond(name, values, place)
        if bad.any():
            advice = f"write bare numbers like {bare}" if bare else "add a column with numbers to forecast"
            text.append(f"{place(first)}: {name!r} holds {quoted(cell)}: {advice}")
            kind = f"text such as {quoted(cell)}; {advice}" if bare else "text, not numbers"
            left_out.append(f"Left out {name!r}: it holds {kind}.")
        elif right == 0 and name != target:
            empty.append(name)
        else:
            found[name] = values
            odd += _code_notes(name, values, place)
    if not found:
        text.sort(key=lambda message: "bare numbers" not in message)
        shown = text[0] if text else "add the column to forecast"
        raise DataError(f"no column holds numbers besides the dates; {shown}")
    notes += left_out
    notes += [f"Left out {name!r}: it is empty." for name in empty]
    notes += odd
    return found


def _bare(cell: Any) -> str:
    """The number in a cell such as "45.1 kWh", "$45" or "1,234.50" as it should be written, or an empty text."""
    match = _DRESSED.fullmatch(str(cell).strip())
    if match is None:
        return ""
    grouped = re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", match[1])
    return match[1].replace(",", "" if grouped else ".")


def _refuse_beyond(name: str, values: np.ndarray, place: Place) -> None:
    beyond = np.abs(values) > LARGEST
    if beyond.any():
        first = int(np.argmax(beyond))
        fault = "is infinite" if np.isinf(values[first]) else f"holds {values[first]:g}, beyond {LARGEST:g}"
        raise DataError(f"{place(first)}: the column {name!r} {fault}: correct that cell or leave it empty")


def _code_notes(name: str, values: np.ndarray, place: Place) -> list[str]:
    """A note for each value such as -9999 that lies so far from the others that it may stand for a missing one."""
    known = values[~np.isnan(values)]
    if not known.size:
        return []
    far = np.abs(known - np.median(known))
    notes = []
    for value in np.unique(known[far > 20 * 1.4826 * np.median(far)]):
        if re.fullmatch(r"-?99+", f"{value:.0f}") and value == round(value):
            rows = np.flatnonzero(values == value)
            notes.append(
                f"{name!r} holds {value:.0f} in {count(rows.size, 'row')} (first {place(int(rows[0]))}), far from its "
                "other values; it was taken as a number: leave the cell empty if it stands for a missing value."
            )
    return notes


def several_in_one(frame: pd.DataFrame) -> str:
    """Why most times of the rows repeat: which column holds the clock or tells series apart, and what to do."""
    if frame.index.duplicated(keep=False).mean() <= 0.5:
        return ""
    for name in frame.columns:
        cells = frame[name].dropna()
        is_hour = types.is_numeric_dtype(cells.dtype) and name.lower() in ("hour", "time")
        if is_hour or (len(cells) and all(_CLOCK.fullmatch(str(cell).strip()) for cell in cells)):
            return (
                f"the date and the clock stand in two columns (the clock is {name!r}): "
                "join them into one column with times such as 2012-01-31 13:00"
            )
    for name in frame.columns:
        cells = frame[name].astype(str)
        distinct = sorted(set(cells))
        once = not pd.DataFrame({"time": frame.index, "cell": cells.to_numpy()}).duplicated().any()
        if once and 2 <= len(distinct) <= len(frame) / 2 and not types.is_numeric_dtype(frame[name].dtype):
            return (
                f"the file seems to hold several series, {len(distinct):,} by the column {name!r} "
                f"({listed(distinct, 3)}): keep the rows of one, or give each a column of its own"
            )
    return ""


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
        target = ([name for name in moving if not _only_counts(name, frame[name])] or moving)[-1]
        if len(moving) > 1:
            last = "the last column with numbers"
            if target != moving[-1]:
                last += " that does not only count rows or name a part of the date"
            others = listed(name for name in moving if name != target)
            notes.append(f"The target is {target!r}, {last}; name it to forecast another: {others}.")
    return frame[moving], target


def _only_counts(name: str, values: pd.Series) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ... (in either order of time) or a part of the date by name."""
    steps = np.diff(values.to_numpy())
    counts = len(steps) > 1 and values.min() in (0.0, 1.0) and abs(steps[0]) == 1 and (steps == steps[0]).all()
    return bool(counts) or name.lower() in _CALENDAR
