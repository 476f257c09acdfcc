"""Missing values: three ways to fill them, the choice between them on training rows, and what a window may read.

Of each missing value there are two fillings. `carried` reads rows up to its own. `between` may be the straight line to
the next known value, which a window may read only if that value lies in the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minirnn.data.rows import means, series_of, training_part
from minirnn.data.words import count

if TYPE_CHECKING:
    from minirnn.data.table import Table

METHODS = ("last", "linear", "seasonal")
"""The simplest first: of methods that err alike the first is taken."""
_TRIALS = 60  # artificial gaps of a column
_WORDS = {
    "last": "with the last known value",
    "linear": "on the line between the known values beside them, or with the last one while the next is not known",
    "seasonal": "with the value of the season before",
}


class Filled(NamedTuple):
    """Rows without missing values.

    Args:
        carried: (rows, C) each value reads rows up to its own only.
        between: (rows, C) between two known values the straight line, where that is the method; else as carried.
        known: (rows, C) int64, the last known row at or before each row; -1 before the first of the series.
    """

    carried: np.ndarray
    between: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, eq=False)
class Imputer:
    """How the missing values of each column are filled.

    Args:
        methods: (C,) of `METHODS`, for each column.
        fallback: (series, C) what stands before the first known value: the mean of the training rows.
        season: rows of a season; below 2 there is none.
    """

    methods: tuple[str, ...]
    fallback: np.ndarray
    season: int

    @classmethod
    def fit(
        cls, values: np.ndarray, bounds: np.ndarray, stop: np.ndarray, season: int, method: str | None = None
    ) -> Imputer:
        """Chooses for each column the method that errs least on gaps cut into the training rows.

        The gaps are as long as those that occur there, evenly spread over the rows that are known; the error is the
        mean absolute one, in units of each series' mean absolute deviation. Without gaps the method is "last".

        Args:
            values: (rows, C), NaN where missing.
            bounds: (series + 1,) the rows of series k are bounds[k] : bounds[k + 1].
            stop: (series,) the row after the last training row of each series; no other row is read.
            season: rows of a season; 1 where there is none.
            method: of `METHODS`, for all columns; None chooses.

        Raises:
            ValueError: an unknown method.

        >>> y = np.array([1.0, 2.0, 3.0, np.nan, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])[:, None]
        >>> imputer = Imputer.fit(y, np.array([0, 10]), np.array([10]), season=1)
        >>> imputer.methods, imputer.transform(y, np.array([0, 10])).between[3]
        (('linear',), array([4.]))
        """
        if method is not None and method not in METHODS:
            raise ValueError(f"unknown method {method!r} to fill missing values; expected one of {', '.join(METHODS)}")
        rows, parts = training_part(values, bounds, stop)
        fallback, _ = means(rows, parts)
        if method is not None:
            methods = (method,) * rows.shape[1]
        else:
            methods = tuple(_choose(column, parts, season) for column in rows.T)
        return cls(methods, fallback, int(season))

    def transform(self, values: np.ndarray, bounds: np.ndarray, series: np.ndarray | None = None) -> Filled:
        """Fills every missing value.

        Args:
            values: (rows, C), NaN where missing.
            bounds: of the series in them.
            series: (series,) which fitted series each one is; None: the same, in the same order.
        """
        fallback = self.fallback if series is None else self.fallback[series]
        first = np.repeat(np.asarray(bounds)[:-1], np.diff(bounds))
        start = np.repeat(fallback, np.diff(bounds), axis=0)
        carried, between, known = np.empty_like(values), np.empty_like(values), np.empty(values.shape, np.int64)
        for c, method in enumerate(self.methods):
            known[:, c] = _last_known(values[:, c], first)
            carried[:, c] = _carried(values[:, c], known[:, c], first, start[:, c], method, self.season)
            between[:, c] = carried[:, c]
            if method == "linear":
                between[:, c] = _lines(values[:, c], known[:, c], bounds, carried[:, c])
        return Filled(carried, between, known)

    def sources(self, values: np.ndarray, bounds: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The first row that is read where these rows, or any after them, are filled: (n,), not after ``rows`` (n,).

        Args:
            values: (rows, C), NaN where missing.
            bounds: of the series in them.
            rows: of any series; they may come in any order.
        """
        first = np.repeat(np.asarray(bounds)[:-1], np.diff(bounds))
        start = first[rows]
        result = np.array(rows)
        for y, method in zip(values.T, self.methods):
            known = _last_known(y, first)[rows]
            result = np.where(known >= 0, np.minimum(known, result), result)
            if method == "seasonal" and self.season > 1:
                same = _last_of_phase(y, self.season)
                for back in range(1, self.season + 1):  # a row of each phase
                    row = rows - back
                    found = same[np.maximum(row, 0)]
                    result = np.where((row >= start) & (found >= start), np.minimum(found, result), result)
        return result

    def notes(self, table: Table) -> list[str]:
        """What is filled in the table, how much, from when on and how, in plain sentences."""
        found = []
        last = np.repeat(table.last_known, np.diff(table.bounds))
        inside = np.arange(len(table.values)) <= last
        first = np.repeat(table.bounds[:-1], np.diff(table.bounds))
        for c, (name, method) in enumerate(zip(table.columns, self.methods)):
            ahead = name in table.roles.future
            missing = np.isnan(table.values[:, c]) & (inside | ahead)
            early = missing & (_last_known(table.values[:, c], first) < 0)
            if (missing & ~early).any():
                number = int((missing & ~early).sum())
                verb = "was" if number == 1 else "were"
                where = table.where(int(np.argmax(missing & ~early)))
                found.append(
                    f"{count(number, 'missing value')} of {name!r} {verb} filled {_WORDS[method]} (first {where})."
                )
            if early.any():
                where = table.where(int(np.argmax(early)))
                steps = count(int(early.sum()), "step")
                found.append(
                    f"{name!r} has no value yet at {steps} (first {where}): the mean of the training rows stands there."
                )
        return found


def at(filled: Filled, rows: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """Windows as they can be known at their origins: nothing after the origin is read for rows up to it.

    Rows after the origin, which only columns known ahead have a use for, are carried from values up to their own.

    Args:
        filled: what `Imputer.transform` gave.
        rows: (n, W) the rows of each window.
        origins: (n,) the last known row of each window.

    Returns:
        (n, W, C).

    >>> y = np.array([1.0, np.nan, 3.0, np.nan, 5.0])[:, None]
    >>> filled = Imputer(("linear",), np.zeros((1, 1)), 1).transform(y, np.array([0, 5]))
    >>> at(filled, np.array([[1, 2, 3], [2, 3, 4]]), np.array([3, 4]))[:, :, 0]
    array([[2., 3., 3.],
           [3., 4., 5.]])
    """
    closed = rows[:, :, None] <= filled.known[origins][:, None, :]  # (n, W, C): a known value follows by then
    return np.where(closed, filled.between[rows], filled.carried[rows])


# one column ---------------------------------------------------------------------------------------


def _last_known(y: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(rows,) the last row with a value at or before each, -1 before the first of its series."""
    known = np.maximum.accumulate(np.where(np.isnan(y), -1, np.arange(len(y))))
    return np.where(known < first, -1, known)


def _carried(
    y: np.ndarray, known: np.ndarray, first: np.ndarray, fallback: np.ndarray, method: str, season: int
) -> np.ndarray:
    filled = np.where(known < 0, fallback, y[known])
    if method != "seasonal" or season < 2:
        return filled
    same = _last_of_phase(y, season)
    return np.where(same < first, filled, y[same])


def _last_of_phase(y: np.ndarray, season: int) -> np.ndarray:
    """(rows,) the last row of the same phase with a value at or before each, of whichever series; -1 for none."""
    lines = -(-len(y) // season)  # down the columns of the rows laid out in lines of one season
    same = np.full(lines * season, -1)
    same[: len(y)] = np.where(np.isnan(y), -1, np.arange(len(y)))
    return np.maximum.accumulate(same.reshape(lines, season), axis=0).ravel()[: len(y)]


def _lines(y: np.ndarray, known: np.ndarray, bounds: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """The line from the last known value to the next of the same series; as carried where one of them is absent."""
    end = np.repeat(np.asarray(bounds)[1:], np.diff(bounds))
    coming = np.where(np.isnan(y), len(y), np.arange(len(y)))
    coming = np.minimum.accumulate(coming[::-1])[::-1]
    inner = np.flatnonzero(np.isnan(y) & (known >= 0) & (coming < end))
    left, right = known[inner], coming[inner]
    share = (inner - left) / (right - left)
    result = carried.copy()
    result[inner] = (1 - share) * y[left] + share * y[right]
    return result


def _choose(y: np.ndarray, bounds: np.ndarray, season: int) -> str:
    lengths = _gap_lengths(y, bounds)
    if not len(lengths):
        return METHODS[0]
    cut = _cut(y, bounds, lengths)
    if not len(cut):
        return METHODS[0]
    first = np.repeat(bounds[:-1], np.diff(bounds))
    mean, _ = means(y[:, None], bounds)
    spread, _ = means(np.abs(y - np.repeat(mean[:, 0], np.diff(bounds)))[:, None], bounds)
    spread = np.where(spread > 0, spread, 1.0)[:, 0][series_of(bounds)[cut]]
    rest = y.copy()
    rest[cut] = np.nan
    known = _last_known(rest, first)
    fallback = np.repeat(mean[:, 0], np.diff(bounds))
    errors = []
    for method in METHODS if season > 1 else METHODS[:2]:
        guess = _carried(rest, known, first, fallback, method, season)
        if method == "linear":
            guess = _lines(rest, known, bounds, guess)
        errors.append(np.mean(np.abs(guess[cut] - y[cut]) / spread))
    return METHODS[int(np.argmin(errors))]


def _gap_lengths(y: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The lengths of the gaps after the first known value of each series."""
    first = np.repeat(bounds[:-1], np.diff(bounds))
    gap = np.isnan(y) & (_last_known(y, first) >= 0)
    before = np.concatenate([[False], gap[:-1]])
    starts = np.flatnonzero(gap & (~before | (first == np.arange(len(y)))))
    after = np.concatenate([gap[1:], [False]])
    ends = np.flatnonzero(gap & (~after | (np.append(first[1:], len(y)) == np.arange(1, len(y) + 1))))
    return ends - starts + 1


def _cut(y: np.ndarray, bounds: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The rows of artificial gaps, at most a fifth of the known ones; each gap lies between two known rows."""
    trials = np.resize(lengths, min(_TRIALS, max(len(lengths), 20)))
    known = ~np.isnan(y)
    # How many rows up to and with this one are known without a break, within the series.
    index = np.arange(len(y))
    first = np.repeat(bounds[:-1], np.diff(bounds))
    broken = np.maximum.accumulate(np.where(known, -1, index))
    run = index - np.maximum(broken, first - 1)
    budget, free = known.sum() // 5, 0
    cut: list[np.ndarray] = []
    for trial, length in enumerate(trials):
        length = int(min(length, run.max() - 2, budget))
        if length < 1:
            break
        # The row `end` follows the gap and is known; so is the row before it, which no gap before may have cut.
        wanted = max(trial * len(y) // len(trials), free + length + 1 if cut else 0)
        fits = run[wanted:] >= length + 2
        if not fits.any():
            break
        end = wanted + int(np.argmax(fits))
        cut.append(np.arange(end - length, end))
        free, budget = end, budget - length
    return np.concatenate(cut) if cut else np.empty(0, np.int64)
