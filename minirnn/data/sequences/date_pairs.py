"""Generated pairs: dates as people write them, and the same dates as 1979-05-03."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np

from minirnn.data.sequences.pairs import Pairs
from minirnn.data.words import DataError

YEARS = (1900, 2100)
"""The first and the last year."""

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _month(d: date) -> str:
    return _MONTHS[d.month - 1]


def _short(d: date) -> str:
    return _month(d)[:3]


def _weekday(d: date) -> str:
    return _WEEKDAYS[d.weekday()]


def _nth(d: date) -> str:
    ending = "th" if 11 <= d.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(d.day % 10, "th")
    return f"{d.day}{ending}"


FORMATS: tuple[Callable[[date], str], ...] = (
    lambda d: f"{d.day} {_month(d)} {d.year}",
    lambda d: f"{d.day:02} {_month(d)} {d.year}",
    lambda d: f"{d.day} {_month(d).lower()} {d.year}",
    lambda d: f"{d.day}. {_month(d)} {d.year}",
    lambda d: f"{_month(d)} {d.day}, {d.year}",
    lambda d: f"{_month(d).lower()} {_nth(d)}, {d.year}",
    lambda d: f"{_nth(d)} of {_month(d)} {d.year}",
    lambda d: f"the {_nth(d)} of {_month(d).lower()}, {d.year}",
    lambda d: f"{_weekday(d)}, {d.day} {_month(d)} {d.year}",
    lambda d: f"{_weekday(d)}, {_month(d)} {d.day}, {d.year}",
    lambda d: f"{_weekday(d)[:3].lower()} {d.day} {_short(d).lower()} {d.year}",
    lambda d: f"{d.day}-{_short(d)}-{d.year}",
    lambda d: f"{_short(d)} {d.day} {d.year}",
    lambda d: f"{_short(d).upper()} {d.day:02}, {d.year}",
    lambda d: f"{d.year} {_month(d)} {d.day}",
    lambda d: f"{d.year}/{d.month:02}/{d.day:02}",
    lambda d: f"{d.day}.{d.month}.{d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
)
"""The ways to write a date. No text means two dates: the month is a word; or, in figures, the order is year/month/day
with strokes and day.month.year with points. The year has four figures."""


def dates(n: int, seed: int = 0) -> Pairs:
    """`n` pairs of a date as people write it and its ISO form, all sources different, of the years 1900 to 2100.

    A date occurs in several ways of writing; `split(pairs, by="both")` keeps all of them in one part, so that not only
    the texts of the test part but its dates are unseen.

    Args:
        n: number of pairs.
        seed: of the choice of dates and formats.

    Raises:
        DataError: there are not so many different texts.

    >>> pairs = dates(1000, seed=1)
    >>> len(set(pairs.sources)), all(len(target) == 10 for target in pairs.targets)
    (1000, True)
    """
    first = date(YEARS[0], 1, 1)
    days = (date(YEARS[1], 12, 31) - first).days + 1
    if n < 1:
        raise DataError(f"n is {n}: at least one pair was expected")
    found: dict[str, str] = {}
    for choice in np.random.default_rng(seed).permutation(days * len(FORMATS)).tolist():
        day = first + timedelta(days=choice // len(FORMATS))
        found[FORMATS[choice % len(FORMATS)](day)] = day.isoformat()  # in May, short and long forms coincide
        if len(found) == n:
            break
    else:
        raise DataError(f"n is {n:,}: there are only {len(found):,} different texts of dates")
    notes = (f"Generated: dates from {YEARS[0]} to {YEARS[1]} in {len(FORMATS)} ways of writing.",)
    return Pairs(
        list(found),
        list(found.values()),
        [f"generated pair {k}" for k in range(n)],
        ("date", "ISO date"),
        "Dates",
        notes,
    )
