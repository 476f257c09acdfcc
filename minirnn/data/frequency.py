"""Frequencies by their pandas aliases, and the times that follow a time, in NumPy alone.

A saved model forecasts without pandas, whose import takes longer than a stream may take to start. Times are
datetime64[us], so that they may lie outside the years 1677 to 2262.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_FIXED = {
    "us": np.timedelta64(1, "us"),
    "ms": np.timedelta64(1000, "us"),
    "s": np.timedelta64(10**6, "us"),
    "min": np.timedelta64(60 * 10**6, "us"),
    "h": np.timedelta64(3600 * 10**6, "us"),
    "D": np.timedelta64(86400 * 10**6, "us"),
}
YEAR = 365.2425
"""Mean days of a year."""
DAYS = {
    "us": 1 / 86400e6,
    "ms": 1 / 86400e3,
    "s": 1 / 86400,
    "min": 1 / 1440,
    "h": 1 / 24,
    "bh": 7 / 40,
    "D": 1.0,
    "B": 7 / 5,
    "W": 7.0,
    "M": YEAR / 12,
    "Q": YEAR / 4,
    "Y": YEAR,
}
"""The mean length of each unit in days."""
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# The names before pandas 2.2.
_OLD = {"H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "BH": "bh", "M": "ME", "Q": "QE", "A": "YE", "Y": "YE"}
_OLD |= {"AS": "YS", "BM": "BME", "BQ": "BQE", "BA": "BYE", "BY": "BYE", "BAS": "BYS"}
_OPENS, _BUSINESS_DAY = 9 * _FIXED["h"], 8 * _FIXED["h"]  # business hours are 9:00 to 17:00
_LONGEST = 1000
"""The most years in one step: what is longer is no frequency, and would overflow."""


class Frequency(NamedTuple):
    """A pandas alias in its parts.

    Args:
      units: how many units one step takes.
      unit: us, ms, s, min, h, bh (business hour), D, B (business day), W, M, Q or Y.
      edge: of months, quarters and years: S (first day), E (last day), BS and BE (business days), N (nth weekday).
      anchor: the weekday of a week (Monday is 0), the month of a quarter or year (January is 0).
      week: which of the month's weekdays (0 to 3) where the edge is N; the anchor is the weekday then.
    """

    units: int
    unit: str
    edge: str = ""
    anchor: int = 0
    week: int = 0


@lru_cache(maxsize=256)
def parse(alias: str) -> Frequency:
    """The parts of a pandas alias, new ("15min", "W-SAT", "BME", "QS-JAN", "WOM-3FRI") or old ("T", "BM", "A-DEC").

    >>> parse("2W-SUN"), parse("BQE-FEB")
    (Frequency(units=2, unit='W', edge='', anchor=6, week=0), Frequency(units=1, unit='Q', edge='BE', anchor=1, week=0))

    Raises:
      ValueError: no such frequency, or none that this library can count in.
    """
    found = re.fullmatch(r"([0-9]{0,18})([A-Za-z]+)(?:-([0-9A-Z]+))?", alias) if isinstance(alias, str) else None
    parts = None
    if found:
        count = int(found[1] or 1)
        parts = _parts(_OLD.get(found[2], found[2]), found[3])
    if parts is None or not count:
        raise ValueError(
            f"the frequency {str(alias)[:40]!r} is not known; expected a pandas alias such as "
            "'h', '15min', 'D', 'B', 'W-SUN', 'MS', 'QE-DEC' or 'YS', with microseconds ('us') as the shortest"
        )
    if count * DAYS[parts.unit] > _LONGEST * YEAR:
        raise ValueError(f"the frequency {alias!r} is a step of more than {_LONGEST} years; expected a shorter one")
    return parts._replace(units=count)


def _parts(code: str, suffix: str | None) -> Frequency | None:
    """The frequency of a code and what follows its hyphen, or None if there is none such."""
    if code in (*_FIXED, "bh", "B"):
        return None if suffix else Frequency(1, code)
    if code == "W":
        return _anchored(Frequency(1, "W"), suffix or "SUN", _WEEKDAYS)
    if code == "WOM":
        if not suffix or suffix[0] not in "1234":
            return None
        return _anchored(Frequency(1, "M", "N", week=int(suffix[0]) - 1), suffix[1:], _WEEKDAYS)
    found = re.fullmatch(r"(B?)([MQY])([SE])", code)
    if found is None:
        return None
    frequency = Frequency(1, found[2], found[1] + found[3])
    if found[2] == "M":
        return None if suffix else frequency
    return _anchored(frequency, suffix or ("JAN" if found[3] == "S" else "DEC"), _MONTH_NAMES)


def _anchored(frequency: Frequency, name: str, names: tuple[str, ...]) -> Frequency | None:
    return frequency._replace(anchor=names.index(name)) if name in names else None


def later(time, steps: int, frequency: str | None) -> np.ndarray:
    """The times that follow a time on the grid of a frequency, (steps,) datetime64[us].

    ``pandas.date_range(time, periods=steps + 1, freq=frequency)[1:]``: a time that is not on the grid is first moved
    forward onto it. Without a frequency rows are counted, (steps,) int64.

    >>> later(np.datetime64("2024-01-31"), 2, "ME").astype("datetime64[D]"), later(9, 2, None)
    (array(['2024-02-29', '2024-03-31'], dtype='datetime64[D]'), array([10, 11]))
    """
    if frequency is None:
        return int(time) + np.arange(1, steps + 1)
    parts = parse(frequency)
    time = np.datetime64(time, "us")
    ahead = parts.units * np.arange(1, steps + 1)  # units
    if parts.unit in _FIXED:
        return time + ahead * _FIXED[parts.unit]
    if parts.unit == "bh":
        return _later_business_hours(time, ahead)
    day = time.astype("datetime64[D]")
    if parts.unit == "B":
        days = np.busday_offset(day, ahead, roll="forward")
    elif parts.unit == "W":
        days = day + (parts.anchor - weekday(day)) % 7 + 7 * ahead
    else:
        days = _later_months(day, ahead, parts)
    return days.astype("datetime64[us]") + (time - day)


def weekday(days: np.ndarray) -> np.ndarray:
    """The weekday of each datetime64[D]; Monday is 0.

    >>> weekday(np.array(["2024-01-01", "1969-12-28"], "datetime64[D]"))
    array([0, 6])
    """
    return (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _later_months(day: np.datetime64, ahead: np.ndarray, parts: Frequency) -> np.ndarray:
    length = _MONTHS[parts.unit]
    number = day.astype("datetime64[M]").astype(np.int64)  # months since January 1970
    start = number + ((parts.anchor if parts.edge != "N" else 0) - number) % length
    if _day_in_month(start, parts) < day:
        start += length
    return _day_in_month(start + length * ahead, parts)


def _day_in_month(number: np.ndarray, parts: Frequency) -> np.ndarray:
    """The day of the frequency in each month, given as months since January 1970."""
    month = np.asarray(number).astype("datetime64[M]")
    if parts.edge in ("E", "BE"):
        days = (month + 1).astype("datetime64[D]") - 1
        return days if parts.edge == "E" else np.busday_offset(days, 0, roll="backward")
    days = month.astype("datetime64[D]")
    if parts.edge == "N":
        return days + (parts.anchor - weekday(days)) % 7 + 7 * parts.week
    return days if parts.edge == "S" else np.busday_offset(days, 0, roll="forward")


def _later_business_hours(time: np.datetime64, ahead: np.ndarray) -> np.ndarray:
    day = time.astype("datetime64[D]")
    worked = np.clip(time - day - _OPENS, 0 * _OPENS, _BUSINESS_DAY) if np.is_busday(day) else 0 * _OPENS
    worked = worked + ahead * _FIXED["h"]
    days = np.busday_offset(day, worked // _BUSINESS_DAY, roll="forward")
    return days.astype("datetime64[us]") + _OPENS + worked % _BUSINESS_DAY
