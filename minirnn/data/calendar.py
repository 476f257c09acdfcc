"""The calendar of a frequency: its season, and cyclic features of a timestamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

YEAR = 365.2425  # mean days of a year
# Frequency of the year's harmonics, day of the week, and hour of the day, for each kind of step.
_SEASONS = {"h": 24, "min": 1440, "s": 86400, "B": 5, "D": 7, "W": 52, "MS": 12, "ME": 12, "QS": 4, "QE": 4}


@dataclass(frozen=True)
class Cycle:
    """One cycle of the calendar: its name, its length in days, and how many of its harmonics make sense."""

    name: str
    days: float
    harmonics: int


def base(frequency: str) -> tuple[str, int]:
    """The kind of step and how many of it one step takes: ``"W-SAT"`` -> (W, 1), ``"15min"`` -> (min, 15)."""
    offset = to_offset(frequency)
    return offset.rule_code.split("-")[0], offset.n


def season_length(frequency: str) -> int:
    """Steps in the season that a naive forecaster would repeat: 24 hours, 7 days, 52 weeks, 12 months, 4 quarters.

    1 where no such season exists (years), or where a step is longer than the season.

    >>> [season_length(f) for f in ("h", "D", "W-SAT", "MS", "YS", "15min")]
    [24, 7, 52, 12, 1, 96]
    """
    kind, n = base(frequency)
    return max(1, _SEASONS.get(kind, 1) // n)


# Kind of step -> (window, horizon) that a forecast takes when nothing else is said.
_DEFAULTS = {"min": (120, 60), "h": (72, 24), "D": (30, 7), "B": (30, 5), "W": (52, 8), "M": (24, 12), "Q": (16, 4)}


def default_horizon(frequency: str) -> int:
    """Steps ahead where the user names none: a day of hours, a week of days, a year of months, five years."""
    kind, _ = base(frequency)
    return _DEFAULTS.get(kind, _DEFAULTS.get(kind[0].upper(), (24, 5)))[1]


def default_window(frequency: str, horizon: int) -> int:
    """Rows that a forecast reads where the user names none: at least twice the horizon."""
    kind, _ = base(frequency)
    return max(2 * horizon, _DEFAULTS.get(kind, _DEFAULTS.get(kind[0].upper(), (24, 5)))[0])


def step_days(frequency: str) -> float:
    """Mean length of a step in days."""
    kind, n = base(frequency)
    length = {"h": 1 / 24, "min": 1 / 1440, "s": 1 / 86400, "B": 1.4, "D": 1.0, "W": 7.0}.get(kind)
    if length is None:
        length = YEAR / {"M": 12, "Q": 4, "Y": 1}.get(kind[0].upper(), 1)
    return n * length


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
