"""The calendar of a frequency: its season, and cyclic features of a timestamp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

YEAR = 365.2425  # mean days of a year


class Unit(NamedTuple):
    """One kind of step: its name, its mean length in days, steps in its season, default window and horizon."""

    name: str
    days: float
    season: int
    window: int
    horizon: int


# The season is what a naive forecaster would repeat: a day of hours, a week of days, a year of months.
_UNITS = {
    "s": Unit("second", 1 / 86400, 86400, 72, 24),
    "min": Unit("minute", 1 / 1440, 1440, 72, 24),
    "h": Unit("hour", 1 / 24, 24, 72, 24),
    "B": Unit("business day", 1.4, 5, 30, 5),
    "D": Unit("day", 1.0, 7, 30, 7),
    "W": Unit("week", 7.0, 52, 52, 8),
    "M": Unit("month", YEAR / 12, 12, 24, 12),
    "Q": Unit("quarter", YEAR / 4, 4, 16, 4),
    "Y": Unit("year", YEAR, 1, 24, 5),
}


@dataclass(frozen=True)
class Cycle:
    """One cycle of the calendar: its name, its length in days, and how many of its harmonics make sense."""

    name: str
    days: float
    harmonics: int


def unit_of(frequency: str) -> tuple[Unit, int]:
    """The kind of step and how many of it one step takes.

    >>> [(unit.name, n) for unit, n in map(unit_of, ("W-SAT", "15min", "BME", "QS-JAN"))]
    [('week', 1), ('minute', 15), ('month', 1), ('quarter', 1)]
    """
    offset = to_offset(frequency)
    code = offset.rule_code.split("-")[0]
    if code not in _UNITS:
        # What is left are months, quarters and years, at their start or end, on business days (B, C) or twice (S).
        code = {"bh": "h", "cbh": "h", "C": "B"}.get(code) or code.lstrip("CBS")[:1]
    return _UNITS.get(code, Unit("step", 1.0, 1, 24, 5)), offset.n


def season_length(frequency: str) -> int:
    """Steps in the season: 24 hours, 7 days, 52 weeks, 12 months, 4 quarters.

    1 where there is no season (years), or where it is not a whole number of steps.

    >>> [season_length(f) for f in ("h", "D", "W-SAT", "BMS", "YS", "15min", "2D", "5h")]
    [24, 7, 52, 12, 1, 96, 1, 1]
    """
    unit, n = unit_of(frequency)
    return unit.season // n if unit.season % n == 0 else 1


def default_horizon(frequency: str) -> int:
    """Steps ahead where the user names none: a day of hours, a week of days, a year of months, five years.

    Of steps shorter than an hour: the longest of a day, an hour, a minute that is at most 96 steps.

    >>> [default_horizon(f) for f in ("h", "D", "MS", "15min", "5min", "10s")]
    [24, 7, 12, 96, 12, 6]
    """
    unit, n = unit_of(frequency)
    if n == 1 and unit.days >= 1 / 24:
        return unit.horizon
    spans = (round(days / (n * unit.days)) for days in (1, 1 / 24, 1 / 1440))
    return next((steps for steps in spans if 2 <= steps <= 96), unit.horizon)


def default_window(frequency: str, horizon: int) -> int:
    """Rows that a forecast reads where the user names none: at least twice the horizon."""
    return max(2 * horizon, unit_of(frequency)[0].window)


def step_days(frequency: str) -> float:
    """Mean length of a step in days."""
    unit, n = unit_of(frequency)
    return n * unit.days


def steps_in_words(count: int, frequency: str) -> str:
    """``"7 days"``, ``"1 month"``; ``"4 steps of 15 minutes"`` where a step is several units.

    >>> steps_in_words(7, "D"), steps_in_words(4, "15min")
    ('7 days', '4 steps of 15 minutes')
    """
    unit, n = unit_of(frequency)
    if n == 1:
        return f"{count} {unit.name}{'s' if count != 1 else ''}"
    return f"{count} step{'s' if count != 1 else ''} of {n} {unit.name}s"


def cycles(frequency: str) -> tuple[Cycle, ...]:
    """The cycles that this frequency can resolve: at least two steps long, a step shorter than half the cycle.

    >>> [cycle.name for cycle in cycles("h")], [cycle.name for cycle in cycles("MS")]
    (['year', 'week', 'day'], ['year'])
    """
    step = step_days(frequency)
    every = (("year", YEAR, 4), ("week", 7.0, 3), ("day", 1.0, 4))
    return tuple(
        Cycle(name, days, min(most, int(days / step / 2 + 1e-9))) for name, days, most in every if days / step > 2
    )


def phases(index: pd.DatetimeIndex, cycle: Cycle) -> np.ndarray:
    """Position of each timestamp within the cycle, from 0 to 1, (rows,)."""
    day = ((index - index.normalize()) / pd.Timedelta(days=1)).to_numpy(np.float64)
    if cycle.name == "day":
        return day
    if cycle.name == "week":
        return (index.day_of_week.to_numpy() + day) / 7
    year = np.where(index.is_leap_year, 366, 365)
    return (index.day_of_year.to_numpy() - 1 + day) / year


def harmonics(index: pd.DatetimeIndex, cycle: Cycle, count: int = 1) -> np.ndarray:
    """Sin and cos of 1 to ``count`` times the phase, (rows, 2 count)."""
    angle = 2 * np.pi * phases(index, cycle)[:, None] * np.arange(1, count + 1)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def calendar_features(index: pd.DatetimeIndex, frequency: str) -> pd.DataFrame:
    """Sin and cos of every cycle that the frequency resolves; no columns where there is none (years).

    >>> calendar_features(pd.date_range("2024-01-01", periods=2, freq="D"), "D").round(2)
                year_sin  year_cos  week_sin  week_cos
    2024-01-01      0.00       1.0      0.00      1.00
    2024-01-02      0.02       1.0      0.78      0.62
    """
    columns = {}
    for cycle in cycles(frequency):
        sin, cos = harmonics(index, cycle).T
        columns[f"{cycle.name}_sin"], columns[f"{cycle.name}_cos"] = sin, cos
    return pd.DataFrame(columns, index=index)
