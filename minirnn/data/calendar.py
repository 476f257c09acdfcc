"""The calendar of a frequency: its season, the times that follow, and cyclic features of a timestamp. NumPy only.

A frequency is a pandas alias, or None for rows without times: these have no season and no features. Times are arrays
of datetime64, or whatever ``np.asarray`` makes one of (a DatetimeIndex).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from minirnn.data.frequency import DAYS, YEAR, later, parse, weekday

__all__ = [
    "YEAR",
    "CalendarFeatures",
    "Cycle",
    "Unit",
    "calendar_features",
    "cycles",
    "default_horizon",
    "default_window",
    "harmonics",
    "later",
    "phases",
    "season_length",
    "step_days",
    "steps_in_words",
    "unit_of",
]


class Unit(NamedTuple):
    """One kind of step: its name, its mean length in days, steps in its season, default window and horizon."""

    name: str
    days: float
    season: int
    window: int
    horizon: int


# The season is what a naive forecaster would repeat: a day of hours, a week of days, a year of months.
_UNITS = {
    "us": Unit("microsecond", DAYS["us"], 1, 72, 24),
    "ms": Unit("millisecond", DAYS["ms"], 1, 72, 24),
    "s": Unit("second", DAYS["s"], 86400, 72, 24),
    "min": Unit("minute", DAYS["min"], 1440, 72, 24),
    "h": Unit("hour", DAYS["h"], 24, 72, 24),
    "bh": Unit("business hour", DAYS["bh"], 8, 72, 8),
    "B": Unit("business day", DAYS["B"], 5, 30, 5),
    "D": Unit("day", DAYS["D"], 7, 30, 7),
    "W": Unit("week", DAYS["W"], 52, 52, 8),
    "M": Unit("month", DAYS["M"], 12, 24, 12),
    "Q": Unit("quarter", DAYS["Q"], 4, 16, 4),
    "Y": Unit("year", DAYS["Y"], 1, 24, 5),
}
_ROW = Unit("row", float("nan"), 1, 24, 5)  # no times: no length either, and what is compared with NaN is no cycle


@dataclass(frozen=True)
class Cycle:
    """One cycle of the calendar: its name, its length in days, and how many of its harmonics make sense."""

    name: str
    days: float
    harmonics: int


def unit_of(frequency: str | None) -> tuple[Unit, int]:
    """The kind of step and how many of it one step takes.

    >>> [(unit.name, n) for unit, n in map(unit_of, ("W-SAT", "15min", "BME", "QS-JAN", None))]
    [('week', 1), ('minute', 15), ('month', 1), ('quarter', 1), ('row', 1)]

    Raises:
      ValueError: the frequency is not known.
    """
    if frequency is None:
        return _ROW, 1
    parts = parse(frequency)
    return _UNITS[parts.unit], parts.units


def season_length(frequency: str | None) -> int:
    """Steps in the season: 24 hours, 7 days, 52 weeks, 12 months, 4 quarters. Whether the values repeat with it, and
    whether another lag repeats better, ``season.guess_season`` finds out.

    1 where there is no season (years), or where it is not a whole number of steps.

    >>> [season_length(f) for f in ("h", "D", "W-SAT", "BMS", "YS", "15min", "2D", "5h", None)]
    [24, 7, 52, 12, 1, 96, 1, 1, 1]
    """
    unit, n = unit_of(frequency)
    return unit.season // n if unit.season % n == 0 else 1


def default_horizon(frequency: str | None) -> int:
    """Steps ahead where the user names none: a day of hours, a week of days, a year of months, five years.

    Of steps shorter than an hour: the longest of a day, an hour, a minute that is at most 96 steps.

    >>> [default_horizon(f) for f in ("h", "D", "MS", "15min", "5min", "10s")]
    [24, 7, 12, 96, 12, 6]
    """
    unit, n = unit_of(frequency)
    if n == 1 and not unit.days < 1 / 24:  # rows without times too
        return unit.horizon
    spans = (round(days / (n * unit.days)) for days in (1, 1 / 24, 1 / 1440))
    return next((steps for steps in spans if 2 <= steps <= 96), unit.horizon)


def default_window(frequency: str | None, horizon: int) -> int:
    """Rows that a forecast reads where the user names none: at least twice the horizon."""
    return max(2 * horizon, unit_of(frequency)[0].window)


def step_days(frequency: str | None) -> float:
    """Mean length of a step in days; NaN where rows have no times."""
    unit, n = unit_of(frequency)
    return n * unit.days


def steps_in_words(count: int, frequency: str | None) -> str:
    """``"7 days"``, ``"1 month"``; ``"4 steps of 15 minutes"`` where a step is several units.

    >>> steps_in_words(7, "D"), steps_in_words(4, "15min")
    ('7 days', '4 steps of 15 minutes')
    """
    unit, n = unit_of(frequency)
    if n == 1:
        return f"{count} {unit.name}{'s' if count != 1 else ''}"
    return f"{count} step{'s' if count != 1 else ''} of {n} {unit.name}s"


def cycles(frequency: str | None) -> tuple[Cycle, ...]:
    """The cycles that this frequency can resolve: at least two steps long, a step shorter than half the cycle.

    >>> [cycle.name for cycle in cycles("h")], [cycle.name for cycle in cycles("MS")]
    (['year', 'week', 'day'], ['year'])
    """
    step = step_days(frequency)
    every = (("year", YEAR, 4), ("week", 7.0, 3), ("day", 1.0, 4))
    return tuple(
        Cycle(name, days, min(most, int(days / step / 2 + 1e-9))) for name, days, most in every if days / step > 2
    )


def phases(times: npt.ArrayLike, cycle: Cycle) -> np.ndarray:
    """Position of each time within the cycle, from 0 to 1, (rows,).

    >>> phases(np.array(["2024-01-03T12:00"], "datetime64[s]"), Cycle("week", 7.0, 3)) * 7
    array([2.5])
    """
    times = np.asarray(times)
    days = times.astype("datetime64[D]")
    day = (times - days) / np.timedelta64(1, "D")
    if cycle.name == "day":
        return day
    if cycle.name == "week":
        return (weekday(days) + day) / 7
    year = days.astype("datetime64[Y]")
    first, end = year.astype("datetime64[D]"), (year + 1).astype("datetime64[D]")
    return ((days - first).astype(np.int64) + day) / (end - first).astype(np.int64)


def harmonics(times: npt.ArrayLike, cycle: Cycle, count: int = 1) -> np.ndarray:
    """Sin and cos of 1 to ``count`` times the phase, (rows, 2 count)."""
    angle = 2 * np.pi * phases(times, cycle)[:, None] * np.arange(1, count + 1)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


class CalendarFeatures(NamedTuple):
    """Features of times: their names, F of them, and their values (rows, F)."""

    names: tuple[str, ...]
    values: np.ndarray


def calendar_features(times: npt.ArrayLike, frequency: str | None) -> CalendarFeatures:
    """Sin and cos of every cycle that the frequency resolves; no columns where there is none (years, rows).

    >>> names, values = calendar_features(np.array(["2024-01-01", "2024-01-02"], "datetime64[D]"), "D")
    >>> names
    ('year_sin', 'year_cos', 'week_sin', 'week_cos')
    >>> values.round(2)
    array([[0.  , 1.  , 0.  , 1.  ],
           [0.02, 1.  , 0.78, 0.62]])
    """
    times, resolved = np.asarray(times), cycles(frequency)
    names = tuple(f"{cycle.name}_{wave}" for cycle in resolved for wave in ("sin", "cos"))
    values = np.concatenate([np.empty((len(times), 0)), *(harmonics(times, cycle) for cycle in resolved)], axis=1)
    return CalendarFeatures(names, values)
