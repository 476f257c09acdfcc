"""Rows to a regular grid of times, one series below the other: order, repeated rows, where a series starts, gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from minirnn.data.columns import several_in_one
from minirnn.data.steps import find_steps, given_steps, in_words, inferred
from minirnn.data.table import Roles
from minirnn.data.words import DataError, Place, count, in_series, listed, plain_time

MOST_MISSING = 0.3
"""The largest share of target values that may be missing."""
MOST_IRREGULAR = 0.05
"""The largest share of rows that may lie between the steps of the frequency."""


@dataclass(frozen=True)
class Rows:
    """Rows in order of series and time, with gaps still.

    Args:
        values: (rows, columns): targets, then past, then future.
        codes: (rows,) the series of each row, not falling.
        stamps: (rows,) its time, datetime64[us], or its position.
        source: (rows,) where it stood in the source.
        names: of the series.
        roles: of the columns.
        place: position in the source -> words.
    """

    values: np.ndarray
    codes: np.ndarray
    stamps: np.ndarray
    source: np.ndarray
    names: tuple[str, ...]
    roles: Roles
    place: Place

    def take(self, chosen: np.ndarray) -> Rows:
        """The rows at these positions, or where this mask is True."""
        if chosen.dtype == bool and chosen.all():
            return self
        parts = {name: getattr(self, name)[chosen] for name in ("values", "codes", "stamps", "source")}
        return replace(self, **parts)

    def where(self, row: int) -> str:
        """The time of a row in words, and its series."""
        return time_in_words(self.stamps[row]) + in_series(self.names[self.codes[row]])

    @property
    def follows(self) -> np.ndarray:
        """(rows,) True where the row before belongs to the same series."""
        return np.concatenate([[False], self.codes[1:] == self.codes[:-1]])


def time_in_words(stamp: np.datetime64 | np.integer) -> str:
    """A time of the rows as messages show it."""
    return plain_time(pd.Timestamp(stamp) if isinstance(stamp, np.datetime64) else int(stamp))


def in_order(rows: Rows, others: Mapping[str, pd.Series], cells: Mapping[str, pd.Series], notes: list[str]) -> Rows:
    """The rows sorted by series and time, without exact repetitions.

    Args:
        rows: as they stand in the source.
        others: the columns of the source that are not among the values, by which rows differ, too.
        cells: all the columns of the source, to say why times repeat.
        notes: receives a sentence for each repair.

    Raises:
        DataError: two rows of a series with the same time differ.
    """
    by_series = np.argsort(rows.codes, kind="stable") if len(rows.names) > 1 else np.arange(len(rows.codes))
    grouped = rows.take(by_series) if len(rows.names) > 1 else rows
    back = grouped.follows[1:] & (grouped.stamps[1:] < grouped.stamps[:-1])
    if back.any():
        later = int(grouped.source[1:][back].min())
        notes.append(f"The rows were not in order of time (first at {rows.place(later)}); they were sorted.")
        grouped = grouped.take(np.lexsort((grouped.stamps, grouped.codes)))
    again = grouped.follows & np.concatenate([[False], grouped.stamps[1:] == grouped.stamps[:-1]])
    if not again.any():
        return grouped
    repeated = np.flatnonzero(again)
    first_of_group = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))[repeated]
    a, b = grouped.values[repeated], grouped.values[first_of_group]
    same = ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)
    for column in others.values():
        own, other = (column.iloc[grouped.source[at]].astype(object) for at in (repeated, first_of_group))
        same &= (own.to_numpy() == other.to_numpy()) | (own.isna().to_numpy() & other.isna().to_numpy())
    if not same.all():
        row, first = repeated[np.argmin(same)], first_of_group[np.argmin(same)]
        advice = "" if len(rows.names) > 1 else several_in_one(cells, pd.DatetimeIndex(rows.stamps))
        raise DataError(
            f"{rows.place(int(grouped.source[first]))} and {rows.place(int(grouped.source[row]))} "
            f"have the same time {grouped.where(int(row))} but "
            + (advice or "different values: keep one of them, or average them")
        )
    notes.append(
        f"Dropped {count(len(repeated), 'row')} that repeated another exactly "
        f"(first {rows.place(int(grouped.source[repeated].min()))})."
    )
    return grouped.take(~again)


def between_known(rows: Rows, notes: list[str], word: str = "row") -> np.ndarray:
    """(rows,) True from the first known target of each series on, to the last one or the last of the known future.

    Raises:
        DataError: a series without a known target.
    """
    targets = listed(rows.roles.target, 3)
    those = f"the target {targets}" if len(rows.roles.target) == 1 else f"every target of {targets}"
    known = ~np.isnan(rows.values[:, : len(rows.roles.target)]).all(axis=1)
    first = np.full(len(rows.names), -1)
    last, end = first.copy(), first.copy()
    at = np.flatnonzero(known)
    first[rows.codes[at[::-1]]], last[rows.codes[at]] = at[::-1], at  # of several, the last one written stays
    if (first < 0).any():
        empty = int(np.argmax(first < 0))
        held = count(int((rows.codes == empty).sum()), "row")
        raise DataError(f"{those} is missing in all {held}{in_series(rows.names[empty])}")
    ahead = known
    if rows.roles.future:
        ahead = known | ~np.isnan(rows.values[:, -len(rows.roles.future) :]).all(axis=1)
    at = np.flatnonzero(ahead)
    end[rows.codes[at]] = at
    end = np.maximum(end, last)
    index = np.arange(len(known))
    early, late = index < first[rows.codes], index > end[rows.codes]
    if early.any():
        k = int(rows.codes[np.argmax(early)])
        dropped = count(int(early.sum()), word)
        if len(rows.names) > 1:
            notes.append(f"Dropped {dropped} before {those} starts (first in {rows.names[k]!r}).")
        elif word == "row":
            notes.append(f"Dropped the first {dropped}: {those} starts at {time_in_words(rows.stamps[first[k]])}.")
        else:
            notes.append(f"Dropped {dropped} before {those} starts.")
    if late.any():
        row = int(np.argmax(late))
        dropped = count(int(late.sum()), word)
        if len(rows.names) > 1:
            notes.append(f"Dropped {dropped} after {those} ends (first in {rows.names[rows.codes[row]]!r}).")
        elif word == "row":
            notes.append(
                f"Dropped the last {dropped}, from {time_in_words(rows.stamps[row])} on: {those} has no value there."
            )
        else:
            notes.append(f"Dropped {dropped} after {those} ends.")
    return ~(early | late)


@dataclass(frozen=True)
class Grid:
    """The regular rows: values (rows, C) with NaN at steps that were absent, bounds, starts, and the frequency."""

    values: np.ndarray
    bounds: np.ndarray
    starts: np.ndarray
    frequency: str | None


def to_grid(rows: Rows, frequency: str | None, notes: list[str]) -> Grid:
    """Every series on every step of the one frequency.

    Args:
        rows: sorted; each series starts with a known target.
        frequency: of a fitted model, whose rows may be few or full of holes; None finds it out.
        notes: receives a sentence for each repair.

    Raises:
        DataError: one row only; times that fit no frequency; series of different steps; too many missing targets.
    """
    counts = np.bincount(rows.codes, minlength=len(rows.names))
    if frequency is None and counts.min() < 2:
        short = rows.names[int(np.argmin(counts))]
        raise DataError(
            f"the target {rows.roles.target[0]!r}{in_series(short)} has only one value: a series needs at least two"
        )
    if not np.issubdtype(rows.stamps.dtype, np.datetime64):
        alias, grid, positions = None, None, rows.stamps
    else:
        alias, grid, positions, rows = _on_grid(rows, frequency, notes)
    first = np.searchsorted(rows.codes, np.arange(len(rows.names)))
    last = np.searchsorted(rows.codes, np.arange(len(rows.names)), side="right") - 1
    spans = positions[last] - positions[first] + 1
    if frequency is None:
        _check_steps(rows, positions, alias)
        _check_missing(rows, positions, first, alias)
    bounds = np.concatenate([[0], np.cumsum(spans)]).astype(np.int64)
    values = np.full((bounds[-1], rows.values.shape[1]), np.nan)
    values[(bounds[:-1] - positions[first])[rows.codes] + positions] = rows.values
    absent = int(bounds[-1]) - len(positions)
    if absent and grid is not None:
        row = int(np.argmax(np.concatenate([[False], np.diff(positions) > 1]) & rows.follows))
        where = time_in_words(grid[positions[row - 1] + 1]) + in_series(rows.names[rows.codes[row]])
        notes.append(f"Inserted {count(absent, 'missing step')} of {alias!r} (first {where}).")
    starts = positions[first] if grid is None else grid[positions[first]]
    return Grid(values, bounds, starts, alias)


def _on_grid(rows: Rows, frequency: str | None, notes: list[str]) -> tuple[str, np.ndarray, np.ndarray, Rows]:
    """The alias of the frequency, its times, the position there of each row, and the rows that have one."""
    # All series share the grid that the union of their times stands on.
    stamps, inverse = np.unique(rows.stamps, return_inverse=True)
    union = pd.DatetimeIndex(stamps)
    try:
        found = find_steps(union, notes) if frequency is None else given_steps(union, frequency, notes)
    except DataError as error:
        raise _unlike(rows) or error from None
    times = found.times
    if len(stamps) > 1:
        # A mistyped year would make a grid of millions of steps; refuse before it is built.
        steps, numbers = np.unique(np.diff(stamps), return_counts=True)
        usual = steps[np.argmax(numbers)]
        if frequency is not None:
            usual = ((found.start + found.offset) - found.start).to_timedelta64()
        if (stamps[-1] - stamps[0]) / usual > 40 * len(stamps):
            gap = int(np.argmax(np.diff(stamps))) + 1
            row = int(np.argmax(inverse == gap))
            raise DataError(f"{rows.place(int(rows.source[row]))}: {_far(stamps, gap, usual)}")
    calendar = pd.date_range(found.start, times[-1], freq=found.offset)
    # The same quarters can be named QE-FEB and QE-NOV: the name is the one the grid has without gaps.
    offset = found.offset if frequency is not None else inferred(calendar) or found.offset
    calendar = pd.date_range(calendar[0], calendar[-1], freq=offset).as_unit("us")
    positions = calendar.get_indexer(times)[inverse]
    off = positions < 0
    if off.any():
        held = np.bincount(rows.codes, minlength=len(rows.names))
        share = np.bincount(rows.codes[off], minlength=len(rows.names)) / held
        if share.max() > MOST_IRREGULAR:
            mine = rows.codes == np.argmax(share > MOST_IRREGULAR)
            raise _unlike(rows) or _irregular(rows.take(mine), off[mine], offset.freqstr)
        notes.append(
            f"Dropped {count(int(off.sum()), 'row')} between the regular steps of {offset.freqstr!r} "
            f"(first {rows.place(int(rows.source[np.argmax(off)]))})."
        )
        positions, rows = positions[~off], rows.take(~off)
        # When the first row was dropped the target may be missing again: a series starts with a known one.
        kept = between_known(rows, notes, "step")
        positions, rows = positions[kept], rows.take(kept)
    return offset.freqstr, calendar.to_numpy(), positions.astype(np.int64), rows


def _far(stamps: np.ndarray, gap: int, usual: np.timedelta64) -> str:
    return (
        f"{time_in_words(stamps[gap])} comes {in_words(stamps[gap] - stamps[gap - 1])} after the time "
        f"before it, where the usual step is {in_words(usual)}: correct the time, "
        "or bring the rows to a regular step first"
    )


def _irregular(rows: Rows, off: np.ndarray, alias: str) -> DataError:
    """More than a few rows of one series lie between the steps: where it breaks first."""
    steps = pd.Series(rows.stamps).diff()
    usual = steps.mode().iloc[0] if len(steps) > 1 else pd.Timedelta(0)
    near = off | np.concatenate([[False], off[:-1]])
    breaks = np.flatnonzero(near & (steps != usual).to_numpy() & (np.arange(len(off)) > 0))
    first = int(breaks[0]) if breaks.size else int(np.argmax(off))
    what = f"{time_in_words(rows.stamps[first])} lies between the steps of {alias!r}"
    if len(rows.names) > 1:
        what += ", the step of all series together"
    if breaks.size:
        what = (
            f"{time_in_words(rows.stamps[first])} comes {in_words(steps[first])} after the time before it, "
            f"where the usual step is {in_words(usual)}"
        )
    return DataError(
        f"{rows.place(int(rows.source[first]))}: {what} ({int(off.sum()):,} of "
        f"{count(len(off), 'row')}{in_series(rows.names[rows.codes[0]])} "
        "lie between the steps): bring the rows to a regular step first, for instance by daily means"
    )


def _unlike(rows: Rows) -> DataError | None:
    """The error for series whose usual steps differ, or None where they are alike."""
    first: tuple[str, np.timedelta64] | None = None
    bounds = np.searchsorted(rows.codes, np.arange(len(rows.names) + 1))
    for k, name in enumerate(rows.names):
        steps, numbers = np.unique(np.diff(rows.stamps[bounds[k] : bounds[k + 1]]), return_counts=True)
        if not len(steps):
            continue
        usual = steps[np.argmax(numbers)]
        if first is None:
            first = (name, usual)
        # Months differ in length: only steps that differ by half are another frequency.
        elif not 2 / 3 < usual / first[1] < 3 / 2:
            return DataError(
                f"the series do not share one frequency: the usual step is {in_words(first[1])} in {first[0]!r} "
                f"but {in_words(usual)} in {name!r}: bring them to one step first, or forecast them apart"
            )
    return None


def _check_steps(rows: Rows, positions: np.ndarray, alias: str | None) -> None:
    """Of several series each one steps mostly by one step of the common frequency."""
    if len(rows.names) == 1 or alias is None:
        return
    inner = np.flatnonzero(rows.follows)
    ones = np.bincount(rows.codes[inner][positions[inner] - positions[inner - 1] == 1], minlength=len(rows.names))
    steps = np.bincount(rows.codes[inner], minlength=len(rows.names))
    if (2 * ones < steps).any():
        k = int(np.argmax(2 * ones < steps))
        raise _unlike(rows) or DataError(
            f"only {ones[k]:,} of {count(int(steps[k]), 'step')} of the series {rows.names[k]!r} are single steps of "
            f"{alias!r}, which all the series together have: bring them to one step first, or forecast them apart"
        )


def _check_missing(rows: Rows, positions: np.ndarray, first: np.ndarray, alias: str | None) -> None:
    """No target of any series is missing at too many of its steps, up to the last known one."""
    targets = ~np.isnan(rows.values[:, : len(rows.roles.target)])
    known = np.flatnonzero(targets.any(axis=1))
    last = first.copy()
    last[rows.codes[known]] = known
    steps = positions[last] - positions[first] + 1
    absent = steps - (last - first + 1)
    for name, column in zip(rows.roles.target, targets.T):
        missing = steps - np.bincount(rows.codes[column], minlength=len(rows.names))
        if (missing > MOST_MISSING * steps).any():
            k = int(np.argmax(missing > MOST_MISSING * steps))
            kind = f" of {alias!r}" if alias else ""
            rows_absent = f" ({count(int(absent[k]), 'row is', 'rows are')} absent)" if alias else ""
            raise DataError(
                f"the target {name!r} is missing at {missing[k]:,} of {count(int(steps[k]), 'step')}{kind}"
                f"{in_series(rows.names[k])}{rows_absent}, more than {MOST_MISSING:.0%}: "
                "complete the data, or bring it to a longer step first"
            )
