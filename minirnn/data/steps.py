"""The frequency of times: pandas' own inference, the most common step, months on a fixed day."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import BaseOffset

from minirnn.data.words import DataError, count

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


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
    offset = inferred(times)
    if offset is not None:
        return Steps(offset, times, times[0])
    # Spans are taken in NumPy: a pandas Timedelta of some versions ends at 292 years.
    stamps = times.to_numpy()
    steps, numbers = np.unique(np.diff(stamps), return_counts=True)
    step = pd.Timedelta(steps[np.argmax(numbers)])
    day = pd.Timedelta(days=1)
    if step >= 28 * day:
        calendar = calendar_steps(times, notes)
        if calendar is not None:
            return calendar
    if numbers.max() < numbers.sum() / 2:
        raise DataError(
            f"the times have no regular step: the most common, {in_words(step)}, is {numbers.max():,} of "
            f"{count(int(numbers.sum()), 'step')}, the median is {in_words(pd.Series(times).diff().median())}: "
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


def given_steps(times: pd.DatetimeIndex, frequency: str, notes: list[str]) -> Steps:
    """The frequency of a fitted model on the times of new rows, however few they are.

    Raises:
        DataError: it is no frequency, or no time stands on a step of it.
    """
    try:
        offset = to_offset(frequency)
    except ValueError:
        raise DataError(f"{frequency!r} is no frequency: use an alias of pandas such as 'D', 'h' or 'MS'") from None
    for moved in (times, pd.DatetimeIndex(times - pd.to_timedelta(times.day - 1, unit="D")).as_unit(times.unit)):
        on = [time for time in moved[:1000] if offset.is_on_offset(time)]
        if on:
            if moved is not times:
                notes.append("The times were moved to the first of their months, as those of the fitted rows were.")
            return Steps(offset, moved, on[0])
    raise DataError(f"no time stands on a step of {frequency!r}, the frequency asked for: the first is {times[0]}")


def inferred(times: pd.DatetimeIndex) -> BaseOffset | None:
    """The frequency that pandas sees in times without a gap, or None."""
    if len(times) < 3:
        return None
    with warnings.catch_warnings():
        # pandas 3 announces that it will return an offset in place of its name; both are taken here.
        warnings.simplefilter("ignore")
        alias = pd.infer_freq(times)
    return None if alias is None else to_offset(alias)


def calendar_steps(times: pd.DatetimeIndex, notes: list[str]) -> Steps | None:
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
        return calendar_steps(moved.as_unit(times.unit), notes)
    return None


def in_words(step: pd.Timedelta | np.timedelta64) -> str:
    """A step between two times in words: "1 day", "7 days", "0:15:00"."""
    return str(pd.Timedelta(step).to_pytimedelta()).removesuffix(", 0:00:00")
