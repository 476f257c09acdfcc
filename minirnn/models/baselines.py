"""The forecasts that a network has to beat. Each gives (origins, horizon) values in the unit of the target.

An origin t is the last row that is known. Nothing here looks at rows after the origin; what is fitted is fitted on the
training rows, and what is chosen is chosen on the validation rows; exponential smoothing and ARIMA, which choose by a
criterion, are fitted on both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.models import arima, smoothing
from minirnn.models.climatology import Climatology
from minirnn.models.context import Context, Fit, Unsuitable
from minirnn.models.linear import Linear

TITLES = {
    "last_value": "last value",
    "seasonal_naive": "seasonal naive",
    "drift": "drift",
    "mean": "mean",
    "climatology": "climatology",
    "linear": "linear",
    "smoothing": "exponential smoothing",
    "arima": "ARIMA",
}


def last_value(y: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The value at the origin, at every step ahead (persistence, random walk).

    >>> last_value(np.array([1.0, 4.0, 9.0]), np.array([1, 2]), horizon=2)
    array([[4., 4.],
           [9., 9.]])
    """
    return np.repeat(y[origins][:, None], horizon, axis=1)


def seasonal_naive(y: np.ndarray, origins: np.ndarray, horizon: int, season: int, first=0) -> np.ndarray:
    """The last known value of the same place in the season; before a whole season is known, the last value.

    ``first`` is the first row of the series, or of the series of each origin (n,).

    >>> seasonal_naive(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3]), horizon=3, season=2)
    array([[3., 4., 3.]])
    """
    steps = np.arange(1, horizon + 1)
    back = season * np.ceil(steps / season).astype(int) - steps  # rows before the origin
    rows = origins[:, None] - back
    first = np.broadcast_to(first, np.shape(origins))[:, None]
    return np.where(rows >= first, y[np.maximum(rows, 0)], y[origins][:, None])


def drift(y: np.ndarray, origins: np.ndarray, horizon: int, first=0) -> np.ndarray:
    """The line through the first known value and the one at the origin, drawn on.

    ``first`` is the row of that first value, or that of each origin (n,).

    >>> drift(np.array([1.0, 2.0, 5.0]), np.array([2]), horizon=2)
    array([[7., 9.]])
    """
    first = np.minimum(np.broadcast_to(first, np.shape(origins)), origins)
    slope = (y[origins] - y[first]) / np.maximum(origins - first, 1)
    return y[origins][:, None] + slope[:, None] * np.arange(1, horizon + 1)


def mean(y: np.ndarray, origins: np.ndarray, horizon: int, first=0, known: np.ndarray | None = None) -> np.ndarray:
    """The mean of all known values from ``first`` up to the origin, at every step ahead.

    >>> mean(np.array([1.0, 2.0, 6.0]), np.array([1, 2]), horizon=1)
    array([[1.5],
           [3. ]])
    """
    known = np.ones(len(y), bool) if known is None else known
    first = np.broadcast_to(first, np.shape(origins))
    middle = y[0]  # sums of differences from it lose fewer digits
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, y - middle, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    count = counts[origins + 1] - counts[first]
    means = middle + (sums[origins + 1] - sums[first]) / np.maximum(count, 1)
    return np.repeat(np.where(count > 0, means, y[origins])[:, None], horizon, axis=1)


@dataclass(frozen=True)
class Rule:
    """A forecast that has nothing to fit: a function of the context and the origins."""

    function: Callable[[Context, np.ndarray], np.ndarray]

    def forecast(self, context: Context, origins: np.ndarray) -> np.ndarray:
        """(n, horizon)."""
        return self.function(context, origins)

    def refit(self, context: Context) -> Rule:
        """Itself."""
        return self


def _first_known(context, origins):
    """The first known row of the series of each origin; the first row of all where none is known."""
    firsts = []
    for start, end in zip(context.bounds[:-1], context.bounds[1:]):
        firsts.append(start + (int(np.argmax(context.known[start:end])) if end > start else 0))
    return np.array(firsts)[context.series_of(origins)]


# Every rule is independent of what it may be fitted on, hence a function of no context that gives it.
def _rule(function) -> Fit:
    return lambda context: Rule(function)


BASELINES: dict[str, Fit] = {
    "last_value": _rule(lambda c, o: last_value(c.y, o, c.horizon)),
    "seasonal_naive": _rule(lambda c, o: seasonal_naive(c.y, o, c.horizon, c.season, c.starts(o))),
    "drift": _rule(lambda c, o: drift(c.y, o, c.horizon, _first_known(c, o))),
    "mean": _rule(lambda c, o: mean(c.y, o, c.horizon, c.starts(o), c.known)),
    "climatology": Climatology.fit,
    "linear": Linear.fit,
    "smoothing": smoothing.fit,
    "arima": arima.fit,
}


class Comparison(NamedTuple):
    """Forecasts by name, each (n, horizon, C), and one sentence for each reason why some are left out."""

    forecasts: dict[str, np.ndarray]
    notes: tuple[str, ...]


def compare(
    contexts: Sequence[Context], origins: np.ndarray, *, refit: bool = False, names: Sequence[str] = tuple(BASELINES)
) -> Comparison:
    """Every forecast from every origin.

    Args:
      contexts: one for each target, over the same rows.
      origins: (n,) absolute rows, the last known ones; the ``horizon`` rows after each lie in its series.
      refit: fit anew at every origin, on all rows up to it; what was chosen before the test part stays chosen.
      names: of the forecasts, keys of ``BASELINES``.

    Returns:
      A Comparison; a forecast that suits one of the targets only is left out.
    """
    forecasts: dict[str, np.ndarray] = {}
    reasons: dict[str, list[str]] = {}
    for name in names:
        try:
            parts = [_rolling(BASELINES[name], context, origins, refit) for context in contexts]
        except Unsuitable as reason:
            reasons.setdefault(str(reason), []).append(TITLES[name])
            continue
        forecasts[name] = np.stack(parts, axis=2)
    notes = []
    for why, titles in reasons.items():
        verb = "is" if len(titles) == 1 else "are"
        notes.append(f"{' and '.join(titles)} {verb} left out: {why}.")
    return Comparison(forecasts, tuple(note[0].upper() + note[1:] for note in notes))


def _rolling(fit, context, origins, refit) -> np.ndarray:
    predictor = fit(context)
    if not refit or isinstance(predictor, Rule):
        return predictor.forecast(context, origins)
    result = np.empty((len(origins), context.horizon))
    times = context.times[origins]
    for time in np.unique(times):  # all series that have an origin at this time, together
        now, chosen = context.until(time), times == time
        result[chosen] = predictor.refit(now).forecast(now, origins[chosen])
    return result
