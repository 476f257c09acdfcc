"""Columns: cells to numbers, which columns can be used, and which one is the target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from minirnn.data.roles import KINDS, Request
from minirnn.data.words import DataError, Place, count, listed, quoted

MISSING_TEXTS = frozenset(["", "na", "n/a", "#n/a", "nan", "<na>", "null", "none", "-", "?"])
"""The usual spellings of a missing value, in lower case."""
LARGEST = 1e100
"""Values beyond this, in either direction, are refused."""

_TRUTH = {"true": 1.0, "false": 0.0}
_DRESSED = re.compile(r"[$€£¥]?\s*([+-]?\d[\d,]*(?:\.\d+)?)\s*(%|[$€£¥]|[A-Za-z°µ][\w°µ/·^]*)?")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?")
_CALENDAR = ("year", "month", "day", "weekday", "hour", "minute")


def to_numbers(column: pd.Series, codes: Iterable[object] = ()) -> tuple[np.ndarray, np.ndarray]:
    """The cells as float64 (NaN where missing), and True where a cell is neither a number nor missing.

    Args:
        column: numbers or text.
        codes: numbers and texts that stand for a missing value; numbers are compared as numbers.
    """
    nothing = np.zeros(len(column), dtype=bool)
    if types.is_complex_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    texts = MISSING_TEXTS.union(str(code).strip().lower() for code in codes)
    if types.is_numeric_dtype(column.dtype):  # booleans count as 0 and 1
        values, bad = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True), nothing
    else:
        cells = column.astype(object)
        values = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        bad = nothing
        unread = np.flatnonzero(np.isnan(values))
        for row, cell in zip(unread, cells.iloc[unread]):  # only what is not plainly a number costs time
            number = _number(cell, texts)
            values[row], bad[row] = (np.nan, True) if number is None else (number, False)
    for code in codes:
        values[values == _as_number(code)] = np.nan
    return values, bad


def _number(cell: Any, missing: frozenset[str]) -> float | None:
    """The number in a cell that no quick parser took: NaN for a missing one, None for anything else."""
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in missing:
            return np.nan
        if text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        found = pd.to_numeric(text, errors="coerce") if text != cell else np.nan
        return None if np.isnan(found) else float(found)
    return np.nan if cell is None or cell is pd.NA or cell is pd.NaT or cell != cell else None  # NaN is not itself


def _as_number(code: object) -> float:
    """A code that is a number as one, any other as NaN, which equals nothing."""
    try:
        return float(str(code).strip())
    except ValueError:
        return np.nan


def numeric_columns(
    columns: Mapping[str, pd.Series], asked: Request, place: Place, notes: list[str]
) -> dict[str, np.ndarray]:
    """The columns that hold numbers. Text columns are left out and noted; half-numeric ones are errors.

    Args:
        columns: name -> cells, numbers or text, in the order of the source.
        asked: the columns that were named, in whichever role, hold numbers or end in an error; static ones and that
            of the series are left aside. The others are looked at where the request leaves something to choose.
        place: row position -> where it stands, for messages.
        notes: receives a sentence for each column that is left out.

    Returns:
        Column name -> float64 values, NaN where missing.

    Raises:
        DataError: no column holds numbers; a named column holds text; a cell of a numeric column is text or infinite.
    """
    found: dict[str, np.ndarray] = {}
    text: list[str] = []  # for each column of text: where its first bad cell is, and what to do
    left_out, empty, odd = [], [], []
    named = asked.roles_of_names()
    open_choice = asked.target is None or asked.past is None
    for name, cells in columns.items():
        role = named.get(name)
        if role in ("static", "series") or (role is None and not open_choice):
            continue
        values, bad = to_numbers(cells, asked.missing)
        right = int((~np.isnan(values)).sum())
        first = int(np.argmax(bad)) if bad.any() else 0
        cell = cells.iloc[first] if len(cells) else ""
        bare = _bare(cell)
        if bad.any() and (role is not None or right > bad.sum()):
            others = [other for other in _mostly_numeric(columns, asked) if other != name]
            if right > bad.sum():
                advice = "correct that cell or leave it empty"
            elif bare:
                advice = f"write bare numbers like {bare}"
            else:
                advice = f"the columns with numbers are {listed(others)}" if others else "add one with numbers"
            what = KINDS[role] if role else "the column"
            raise DataError(f"{place(first)}: {what} {name!r} should hold numbers but holds {quoted(cell)}: {advice}")
        refuse_beyond(name, values, place)
        if bad.any():
            advice = f"write bare numbers like {bare}" if bare else "add a column with numbers to forecast"
            text.append(f"{place(first)}: {name!r} holds {quoted(cell)}: {advice}")
            kind = f"text such as {quoted(cell)}; {advice}" if bare else "text, not numbers"
            left_out.append(f"Left out {name!r}: it holds {kind}.")
        elif right == 0 and role is None:
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


def refuse_beyond(name: str, values: np.ndarray, place: Place, largest: float = LARGEST) -> None:
    """Refuses values that are infinite or larger than `largest` in either direction.

    Raises:
        DataError: the first of them.
    """
    beyond = np.abs(values) > largest
    if beyond.any():
        first = int(np.argmax(beyond))
        fault = "is infinite" if np.isinf(values[first]) else f"holds {values[first]:g}, beyond {largest:g}"
        raise DataError(f"{place(first)}: the column {name!r} {fault}: correct that cell or leave it empty")


def _code_notes(name: str, values: np.ndarray, place: Place) -> list[str]:
    """A note for each value such as -9999 that lies so far from the others that it may stand for a missing one."""
    known = values[~np.isnan(values)]
    if not known.size:
        return []
    far = np.abs(known - np.median(known))
    far_values = known[far > 20 * 1.4826 * np.median(far)]
    nines = far_values[(np.abs(far_values) >= 99) & (far_values == np.round(far_values))]
    notes = []
    for value in np.unique(nines):
        if re.fullmatch(r"-?99+", f"{value:.0f}"):
            rows = np.flatnonzero(values == value)
            notes.append(
                f"{name!r} holds {value:.0f} in {count(rows.size, 'row')} (first {place(int(rows[0]))}), far from its "
                "other values; it was taken as a number: leave the cell empty if it stands for a missing value, "
                f'or say missing=["{value:.0f}"].'
            )
    return notes


def several_in_one(columns: Mapping[str, pd.Series], times: pd.DatetimeIndex) -> str:
    """Why most times of the rows repeat: which column holds the clock or tells series apart, and what to do."""
    if times.duplicated(keep=False).mean() <= 0.5:
        return ""
    for name, column in columns.items():
        cells = column.dropna()
        is_hour = name.lower() in ("hour", "time") and not to_numbers(cells)[1].any()
        if is_hour or (len(cells) and all(_CLOCK.fullmatch(str(cell).strip()) for cell in cells)):
            return (
                f"the date and the clock stand in two columns (the clock is {name!r}): "
                "join them into one column with times such as 2012-01-31 13:00"
            )
    # A column of text tells series apart sooner than one of numbers; of these, only whole ones do at all.
    for wanted in ("text", "whole"):
        for name, column in columns.items():
            values, bad = to_numbers(column)
            kind = "text" if bad.any() else "whole" if (values == np.round(values)).all() else "numbers"
            distinct = sorted(set(column.astype(str)))
            once = not pd.DataFrame({"time": times, "cell": column.astype(str).to_numpy()}).duplicated().any()
            if kind == wanted and once and 2 <= len(distinct) <= len(column) / 2:
                return (
                    f"the rows seem to hold several series, {len(distinct):,} by the column {name!r} "
                    f"({listed(distinct, 3)}): say series={name!r} (--series {name}), keep the rows of one, "
                    "or give each a column of its own"
                )
    return ""


def _mostly_numeric(columns: Mapping[str, pd.Series], asked: Request) -> list[str]:
    names = []
    for name, cells in columns.items():
        values, bad = to_numbers(cells, asked.missing)
        if (~np.isnan(values)).sum() > bad.sum():
            names.append(name)
    return names


def choose(numbers: dict[str, np.ndarray], asked: Request, notes: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The targets and the past columns: those asked for; else the last column that moves, and all others that do.

    Raises:
        DataError: a target, or every column, is constant.
    """
    named = asked.roles_of_names()
    fitted = asked.frequency is not None  # rows for a fitted model may all be alike
    still = [] if fitted else [name for name, values in numbers.items() if _is_constant(values)]
    free = [name for name in numbers if name not in named]
    moving = [name for name in free if name not in still]
    target = asked.target
    if target is None and not moving:
        if not free:
            raise DataError("no column is left to forecast: every column with numbers has another role")
        target = (free[-1],)
    for name in target or ():
        if name in still:
            known = numbers[name][~np.isnan(numbers[name])]
            raise DataError(
                f"the target {name!r} is {known[0]:g} in all {count(len(known), 'row')}: there is nothing to forecast"
            )
    notes += [
        f"{KINDS[named[name]].capitalize()} {name!r} is empty: it can tell a model nothing."
        for name in (*(asked.past or ()), *asked.future)
        if np.isnan(numbers[name]).all()
    ]
    for name in still:
        if name not in named:
            notes.append(f"Left out {name!r}: it never changes.")
        else:
            notes.append(f"{KINDS[named[name]].capitalize()} {name!r} never changes: it can tell a model nothing.")
    if target is None:
        target = (([name for name in moving if not _only_counts(name, numbers[name])] or moving)[-1],)
        if len(moving) > 1:
            last = "the last column with numbers"
            if target[0] != moving[-1]:
                last += " that does not only count rows or name a part of the date"
            others = listed(name for name in moving if name != target[0])
            notes.append(f"The target is {target[0]!r}, {last}; name it to forecast another: {others}.")
    past = tuple(name for name in moving if name not in target) if asked.past is None else asked.past
    return target, past


def _is_constant(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return bool(known.size and (known == known[0]).all())


def _only_counts(name: str, values: np.ndarray) -> bool:
    """Whether a column is 0, 1, 2, ... or 1, 2, 3, ... (in either order of time) or a part of the date by name."""
    steps = np.diff(values)
    counts = len(steps) > 1 and np.nanmin(values) in (0.0, 1.0) and abs(steps[0]) == 1 and (steps == steps[0]).all()
    return bool(counts) or name.lower() in _CALENDAR
