"""The season that a naive forecaster would repeat: the calendar's where the values do repeat with it, else none.

How well values repeat after k rows is told by S(k), the mean of (y_t - y_(t-k))^2 once a straight line is taken out:
S(k) = 2 var (1 - r(k)) with r the autocorrelation, but defined for random walks too. Repeating a season of m rows has
the error S(m); the last value, used 1 to m-1 rows ahead, has the mean of S(1) to S(m-1). The gain of a season is the
share of squared error by which S(m) lies below that mean, and below the mean of S(m+1) to S(2m-1) too: an
autocorrelation peak, not a slope. A random walk has S(k) = k S(1), so a season loses there; in white noise S is level.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from minirnn.data.calendar import YEAR, step_days, unit_of

LEAST_GAIN = 0.1
"""The share of the squared error that a season has to save: less is not worth a longer memory."""
FALSE_ALARMS = 0.01
"""How often noise may be given a season, over all lags that are tried."""


def guess_season(y: np.ndarray, frequency: str | None, longest: int | None = None) -> int:
    """The number of rows after which the values repeat, 1 if they do not; for a naive forecast, MASE, imputation.

    Tried are the calendar's cycles that are whole numbers of steps (hours: 24, 168, 8766; days: 7, 365); rows without
    times, years, and steps below a second have none: there every lag up to a third of the rows is tried. The shortest
    season that clearly repeats is taken; a longer one only where it repeats clearly better.

    >>> day, rng = np.sin(np.arange(600) * 2 * np.pi / 24), np.random.default_rng(0)
    >>> guess_season(day, "h"), guess_season(day, None), guess_season(rng.normal(size=600), "h")
    (24, 24, 1)

    Args:
      y: training values (rows,), regular in time; NaN where unknown.
      frequency: a pandas alias, None for rows without times.
      longest: the most rows of a season that the caller can use.

    Returns:
      Rows in a season. At least two whole seasons of rows support it.
    """
    y = np.asarray(y, np.float64)
    free = unit_of(frequency)[0].season == 1
    most = min(len(y) // (3 if free else 2), len(y) if longest is None else longest)
    # A lag of 2 has no lags before it but 1: an alternating noise would seem to repeat.
    lags = np.arange(3, most + 1) if free else np.array([m for m in _of_calendar(frequency) if m <= most], int)
    values, known = _level(y)
    if not len(lags) or not values.any():
        return 1
    repeats = _repeats(values, known, 2 * int(lags[-1]))
    gains = _gains(repeats, lags)
    sure = NormalDist().inv_cdf(1 - FALSE_ALARMS / len(lags))

    def clear(gain: float, lag: int) -> bool:
        return gain > LEAST_GAIN and gain > sure * _spread(values, known, lag)

    season = 1
    for position in _hills(lags, gains) if free else range(len(lags)):
        lag = int(lags[position])
        better = 1.0 if season == 1 else 1 - repeats.error[lag] / repeats.error[season]
        if clear(min(gains[position], better), lag):
            season = lag
    return _length(repeats, lags, season) if free and season > 1 else season


def _of_calendar(frequency: str | None) -> list[int]:
    """Steps in a day, a week and a year, or in the fewest of them that are a whole number of steps; ascending.

    >>> _of_calendar("h"), _of_calendar("B"), _of_calendar("W-SAT"), _of_calendar("5h")
    ([24, 168, 8766], [5, 261], [52], [24, 67, 1753])
    """
    unit, count = unit_of(frequency)
    found = {unit.season // count} if unit.season % count == 0 else set()  # business hours: a day has 8
    for days in (1.0, 7.0, YEAR):
        steps = days / step_days(frequency)
        # A hundredth of a cycle off is near enough to repeat: 365 days are no whole year either.
        whole = (round(k * steps) for k in range(1, 8) if abs(k * steps - round(k * steps)) <= 0.01 * steps)
        if steps > 1.5:
            found.add(next(whole, 1))
    return sorted(found - {1})


def _level(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (rows,) without their straight line, of size about 1, zero where unknown; and which are known."""
    known = np.isfinite(y)
    if not known.any():
        return np.zeros_like(y), known
    values = np.where(known, y, 0.0)
    values = values / np.maximum(np.abs(values).max(), np.finfo(float).tiny)  # squares of it stay finite
    rows = np.arange(len(y)) / len(y)
    rows = np.where(known, rows - rows[known].mean(), 0.0)
    values = np.where(known, values - values[known].mean(), 0.0)
    values = values - rows * (rows @ values) / np.maximum(rows @ rows, 1e-300)
    # One wrong value must not decide: what lies far out counts as far, not as how far.
    middle = np.median(values[known])
    far = 8 * np.median(np.abs(values[known] - middle))
    if far > 0:
        values = np.where(known, np.clip(values, middle - far, middle + far), 0.0)
    size = np.sqrt(np.mean(values[known] ** 2))
    # A straight line leaves rounding errors, and these repeat as all periodic rounding does.
    return (values / size if size > 1e-12 else np.zeros_like(y)), known


class _Repeats(NamedTuple):
    """S(k) by lag k, from 0: the error (lags,), NaN without a pair; sums of squares and pairs from lag 1 to k."""

    error: np.ndarray
    squares: np.ndarray
    pairs: np.ndarray


def _correlate(first: np.ndarray, second: np.ndarray, lags: int) -> np.ndarray:
    """Sum of first_t second_(t-k) over t, for k from 0 to lags: (lags + 1,)."""
    size = 1 << (len(first) + lags).bit_length()
    product = np.fft.rfft(first, size) * np.conj(np.fft.rfft(second, size))
    return np.fft.irfft(product, size)[: lags + 1]


def _repeats(values: np.ndarray, known: np.ndarray, lags: int) -> _Repeats:
    there = known.astype(np.float64)
    pairs = np.round(_correlate(there, there, lags))
    # (y_t - y_(t-k))^2 over the pairs of which both values are known
    squares = _correlate(values**2, there, lags) + _correlate(there, values**2, lags)
    squares = np.where(pairs > 0, np.maximum(squares - 2 * _correlate(values, values, lags), 0.0), 0.0)
    error = np.where(pairs > 0, squares / np.maximum(pairs, 1), np.nan)
    squares[0] = pairs[0] = 0.0
    return _Repeats(error, np.cumsum(squares), np.cumsum(pairs))


def _gains(repeats: _Repeats, lags: np.ndarray) -> np.ndarray:
    """1 - S(m) / the smaller of the means of S before and after m, for each lag m; minus infinity if unknown."""
    error, squares, pairs = repeats

    def mean(first, last):  # of S over the lags first to last, by pairs
        count = pairs[last] - pairs[first - 1]
        return np.where(count > 0, (squares[last] - squares[first - 1]) / np.maximum(count, 1), np.nan)

    around = np.minimum(mean(1 + 0 * lags, lags - 1), mean(lags + 1, 2 * lags - 1))
    there = (around > 0) & np.isfinite(error[lags])
    return np.where(there, 1 - np.where(there, error[lags], 0.0) / np.where(there, around, 1.0), -np.inf)


def _spread(values: np.ndarray, known: np.ndarray, lag: int) -> float:
    """The standard error of a gain at a lag, after Bartlett: from what is left when the season is repeated.

    Noise that remembers has fewer independent pairs than rows: (1 + 2 sum of r(k)^2) / pairs with the autocorrelations
    r of y_t - y_(t-m). Those of a random walk stay high for m rows, so hardly anything can be clear there.
    """
    both = (known[lag:] & known[:-lag]).astype(np.float64)
    left = values[lag:] - values[:-lag]
    left = (left - np.sum(left * both) / max(np.sum(both), 1.0)) * both  # a steady drift is no memory
    pairs = _correlate(both, both, lag - 1)
    covariance = _correlate(left, left, lag - 1) / np.maximum(pairs, 1.0)
    r = covariance[1:] / covariance[0] if covariance[0] > 1e-20 else np.zeros(lag - 1)
    return float(np.sqrt((1 + 2 * np.sum(r**2)) / max(np.sum(both), 1.0)))


def _hills(lags: np.ndarray, gains: np.ndarray) -> list[int]:
    """Where any lag may be the season: the tops of the first hill half as high as the highest, and of the highest.

    Multiples of a season repeat as well as the season, so the highest hill may be one of them by chance. A hill ends a
    quarter past its first lag: the gain of a sine, cos(2 pi k / m), is above a half from 5/6 m on.
    """
    if not gains.max() > 0:
        return []
    first = int(np.argmax(gains >= gains.max() / 2))
    return sorted({first + int(np.argmax(gains[first : first + lags[first] // 4 + 1])), int(np.argmax(gains))})


def _length(repeats: _Repeats, lags: np.ndarray, season: int) -> int:
    """The lag within an eighth of the season that repeats best once and twice: an error of it is doubled then."""
    near = lags[np.abs(lags - season) <= season // 8]
    both = repeats.error[near] + repeats.error[2 * near]
    return int(near[np.argmin(np.where(np.isnan(both), np.inf, both))])
