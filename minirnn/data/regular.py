"""Rows to a regular grid of times: order, repeated rows, the frequency, gaps, and filling forward."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset

from minirnn.data.columns import several_in_one
from minirnn.data.table import DataError, Place, count, plain_time

MOST_MISSING = 0.3
"""The largest share of target values that may be missing."""
MOST_IRREGULAR = 0.05
"""The largest share of rows that may lie between the steps of the frequency."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def in_order(frame: pd.DataFrame, place: Place, notes: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows sorted by time and without exact repetitions, and the position each one had in the source.

    Raises:
        DataError: two rows with the same time differ.
    """
    rows = np.arange(len(frame))
    if not frame.index.is_monotonic_increasing:
        later = int(np.flatnonzero(np.diff(frame.index.to_numpy()) < np.timedelta64(0, "ns"))[0]) + 1
        notes.append(f"The rows were not in order of time (first at {place(later)}); they were sorted.")
        rows = np.argsort(frame.index.to_numpy(), kind="stable")
        frame = frame.iloc[rows]
    repeated = frame.index.duplicated()
    if not repeated.any():
        return frame, rows
    drop = np.zeros(len(frame), dtype=bool)
    shared = np.flatnonzero(frame.index.duplicated(keep=False))
    for _, group in pd.Series(shared).groupby(frame.index[shared].to_numpy()):
        same = frame.iloc[group]
        again = same.duplicated().to_numpy()
        if not again[1:].all():
            other = group.iloc[int(np.flatnonzero(~again)[1])]
            first = rows[group.iloc[0]]
            raise DataError(
                f"{place(first)} and {place(rows[other])} have the same time {plain_time(same.index[0])} but "
                + (several_in_one(frame) or "different values: keep one of them, or average them")
            )
        drop[group.iloc[1:]] = True
    first = rows[np.flatnonzero(drop)].min()
    notes.append(f"Dropped {count(int(drop.sum()), 'row')} that repeated another exactly (first {place(first)}).")
    return frame[~drop], rows[~drop]


@dataclass(frozen=True)
class Steps:
    """A frequency, and the times moved onto it where they stand on a fixed day of each month."""

    offset: BaseOffset
    times: pd.DatetimeIndex
    start: pd.Timestamp


def find_steps(times: pd.DatetimeIndex, notes: list[str]) -> Steps:
    """The frequency of sorted, distinct times: pandas' own inference, else the most common step.

    Args:
        times: at least two times, sorted and distinct.
        notes: receives a sentence when the times had to be moved.

    Raises:
        DataError: no step makes up half of the steps.
    """
    offset = _inferred(times)
    if offset is not None:
        return Steps(offset, times, times[0])
    # Spans are taken in NumPy: a pandas Timedelta of some versions ends at 292 years.
    stamps = times.to_numpy()
    steps, numbers = np.unique(np.diff(stamps), return_counts=True)
    step = pd.Timedelta(steps[np.argmax(numbers)])
    day = pd.Timedelta(days=1)
    if step >= 28 * day:
        calendar = _calendar_steps(times, notes)
        if calendar is not None:
            return calendar
    if numbers.max() < numbers.sum() / 2:
        raise DataError(
            f"the times have no regular step: the most common, {_step(step)}, is {numbers.max():,} of "
            f"{count(int(numbers.sum()), 'step')}, the median is {_step(pd.Series(times).diff().median())}: "
            "resample first, for instance to daily means"
        )
    if step == day and stamps[-1] - stamps[0] > np.timedelta64(6, "D") and not (times.day_of_week > 4).any():
        return Steps(to_offset("B"), times, times[0])
    # The grid passes through as many times as possible, so that one odd first row does not shift the others.
    _, inverse, numbers = np.unique(
        (stamps - stamps[0]) % step.to_timedelta64(), return_inverse=True, return_counts=True
    )
    start = times[int(np.flatnonzero(inverse == np.argmax(numbers))[0])]
    if step % (7 * day) == pd.Timedelta(0):
        weekday = start.day_name()[:3].upper()
        return Steps(to_offset(f"{step // (7 * day)}W-{weekday}"), times, start)
    if step % day == pd.Timedelta(0):
        return Steps(to_offset(f"{step // day}D"), times, start)
    return Steps(to_offset(step), times, start)


def _inferred(times: pd.DatetimeIndex) -> BaseOffset | None:
    """The frequency that pandas sees in times without a gap, or None."""
    if len(times) < 3:
        return None
    with warnings.catch_warnings():
        # pandas 3 announces that it will return an offset in place of its name; both are taken here.
        warnings.simplefilter("ignore")
        alias = pd.infer_freq(times)
    return None if alias is None else to_offset(alias)


def _calendar_steps(times: pd.DatetimeIndex, notes: list[str]) -> Steps | None:
    """Months, quarters or years: on the first or last (business) day, or on a fixed day, which is moved."""
    number = times.year.to_numpy() * 12 + times.month.to_numpy()
    lengths, counts = np.unique(np.diff(number), return_counts=True)
    months = int(lengths[np.argmax(counts)])
    clock = times - times.normalize()
    if months < 1 or clock.nunique() > 1:
        return None
    for edge in ("S", "E", "BS", "BE"):
        business, letter = ("B", edge[1]) if len(edge) == 2 else ("", edge)
        anchor = _MONTHS[times[0].month - 1]
        alias = {
            1: f"{business}M{letter}",
            3: f"{business}Q{letter}-{anchor}",
            12: f"{business}Y{letter}-{anchor}",
        }
        offset = to_offset(alias.get(months, f"{months}{business}M{letter}"))
        on_edge = to_offset(f"{business}M{letter}")
        if all(on_edge.is_on_offset(time) for time in times):
            return Steps(offset, times, times[0])
    if len(set(times.day)) == 1:
        moved = times - pd.to_timedelta(times.day - 1, unit="D")
        notes.append(f"The times are on day {times[0].day} of the month; they were moved to the first.")
        return _calendar_steps(moved.as_unit(times.unit), notes)
    return None


def to_grid(frame: pd.DataFrame, target: str, rows: np.ndarray, place: Place, notes: list[str]) -> pd.DataFrame:
    """The frame on every step of its frequency, NaN where a step was absent.

    Args:
        frame: sorted by time, no time twice.
        target: the column whose missing values are limited.
        rows: the position of each row in the source.
        place: position -> where the row stands, for messages.
        notes: receives a sentence for each repair.

    Raises:
        DataError: one row only; times that fit no frequency; too many missing target values.
    """
    if len(frame) < 2:
        raise DataError(f"the target {target!r} has only one value: a series needs at least two")
    found = find_steps(pd.DatetimeIndex(frame.index), notes)
    times = found.times
    steps = pd.Series(frame.index).diff()
    usual = steps.mode().iloc[0]
    # A mistyped year would make a grid of millions of steps; refuse before it is built.
    stamps = times.to_numpy()
    if (stamps[-1] - stamps[0]) / usual.to_timedelta64() > 40 * len(times):
        far = int(np.argmax(np.diff(stamps))) + 1
        raise DataError(
            f"{place(rows[far])}: {plain_time(times[far])} comes {_step(steps[far])} after the time "
            f"before it, where the usual step is {_step(usual)}: correct the time, "
            "or bring the rows to a regular step first"
        )
    grid = pd.date_range(found.start, times[-1], freq=found.offset)
    # The same quarters can be named QE-FEB and QE-NOV: the name is the one the grid has without gaps.
    offset = _inferred(grid) or found.offset
    grid = pd.date_range(grid[0], grid[-1], freq=offset).as_unit(times.unit)
    alias = offset.freqstr
    off = np.flatnonzero(~times.isin(grid))
    if off.size > MOST_IRREGULAR * len(times):
        near = np.isin(np.arange(len(times)), np.concatenate([off, off + 1]))
        breaks = np.flatnonzero(near & (steps != usual).to_numpy() & (np.arange(len(times)) > 0))
        first = int(breaks[0]) if breaks.size else max(int(off[0]), 1)
        raise DataError(
            f"{place(rows[first])}: {plain_time(times[first])} comes {_step(steps[first])} after the time "
            f"before it, where the usual step is {_step(usual)} ({off.size:,} of {count(len(times), 'row')} "
            "lie between the steps): bring the rows to a regular step first, for instance by daily means"
        )
    if off.size:
        notes.append(
            f"Dropped {count(int(off.size), 'row')} between the regular steps of {alias!r} "
            f"(first {place(rows[off[0]])})."
        )
    values = frame.set_axis(times, axis=0)
    result = values.reindex(grid)
    result.index.name = frame.index.name
    # When the first row was dropped the target may be missing again; it must not be filled from later rows.
    known = np.flatnonzero(result[target].notna())
    begin, end = (int(known[0]), int(known[-1]) + 1) if known.size else (0, len(grid))
    if begin:
        notes.append(f"Dropped {count(begin, 'step')} before the target {target!r} starts.")
    if end < len(grid):
        notes.append(f"Dropped {count(len(grid) - end, 'step')} after the target {target!r} ends.")
    result, grid = result.iloc[begin:end], grid[begin:end]
    absent = np.flatnonzero(~grid.isin(times))
    if absent.size:
        notes.append(
            f"Inserted {count(int(absent.size), 'missing step')} of {alias!r} (first {plain_time(grid[absent[0]])})."
        )
    missing = int(result[target].isna().sum())
    if missing > MOST_MISSING * len(result):
        raise DataError(
            f"the target {target!r} is missing at {missing:,} of {count(len(result), 'step')} of {alias!r} "
            f"({count(int(absent.size), 'row is', 'rows are')} absent), more than {MOST_MISSING:.0%}: "
            "complete the data, or bring it to a longer step first"
        )
    return result


def _step(step: pd.Timedelta) -> str:
    """A step between two times in words: "1 day", "7 days", "0:15:00"."""
    return str(step.to_pytimedelta()).removesuffix(", 0:00:00")
