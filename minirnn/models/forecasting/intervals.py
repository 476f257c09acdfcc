"""Distributions of forecasts, and intervals that cover what they say.

A forecast is a curve: values at fixed levels, that is at fixed normal scores, joined by straight lines and drawn on
beyond the ends. Where the truth of a validation row lies on the curve is its score. If the curves were right the scores
were normal; the intervals take the quantiles of the scores that were seen instead (split-conformal prediction: Vovk et
al. 2005; with such scores Chernozhukov et al. 2021, arXiv 1909.07889). They cover as stated if what comes is like the
validation rows, whatever the shape of the errors.

Dimension letters: n windows, N rows ahead, C targets, Q levels.
"""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MOST = 2000  # scores that are kept of each step
ENOUGH = 39  # the fewest scores that have a rank for both ends of an interval of 95 %


def normal_scores(levels) -> np.ndarray:
    """The quantiles of the standard normal distribution.

    >>> normal_scores((0.025, 0.5)).round(2)
    array([-1.96,  0.  ])
    """
    return _normal_scores(tuple(levels))


@functools.lru_cache(maxsize=64)
def _normal_scores(levels: tuple[float, ...]) -> np.ndarray:
    found = np.array([NormalDist().inv_cdf(level) for level in levels])
    found.flags.writeable = False  # every later call gets the same
    return found


def score(truth: np.ndarray, values: np.ndarray, levels) -> np.ndarray:
    """Where the truth (...) lies on the curve with these ascending values (..., Q) at the levels (Q,).

    >>> score(np.array([0.0, 3.0]), np.array([[-1.0, 1.0], [-1.0, 1.0]]), (0.5 - 0.3413447, 0.5 + 0.3413447)).round(3)
    array([0., 3.])
    """
    z = normal_scores(levels)
    i = np.clip((truth[..., None] > values).sum(axis=-1) - 1, 0, len(z) - 2)
    low, high = (np.take_along_axis(values, (i + k)[..., None], axis=-1)[..., 0] for k in (0, 1))
    width = np.maximum(high - low, 1e-12)
    return z[i] + (truth - low) / width * (z[i + 1] - z[i])


def at_score(wanted: np.ndarray, values: np.ndarray, levels) -> np.ndarray:
    """The curves' values (...) at scores that broadcast to them; values (..., Q) at the levels (Q,)."""
    z = normal_scores(levels)
    wanted = np.broadcast_to(wanted, values.shape[:-1])
    i = np.clip(np.searchsorted(z, wanted) - 1, 0, len(z) - 2)
    low, high = (np.take_along_axis(values, (i + k)[..., None], axis=-1)[..., 0] for k in (0, 1))
    return low + (wanted - z[i]) / (z[i + 1] - z[i]) * (high - low)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The scores of forecasts whose truth is known.

    Args:
      scores: (n, N, C) of the validation rows, NaN where the truth is not known.
      later: (m, N, C) of the rows after them, test rows and those of updates, the latest last. Nothing was chosen by
        these, so that they are the more honest ones: what was chosen on the validation rows looks a little too good
        there. A backtest of the test rows does without them.
    """

    scores: np.ndarray
    later: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> Calibration:
        """By the validation rows alone."""
        return cls(scores, scores[:0])

    @property
    def every(self) -> np.ndarray:
        """The latest scores, ``MOST`` at most."""
        return np.concatenate([self.scores, self.later])[-MOST:]

    def quantile(self, level: float) -> np.ndarray:
        """The score below which this share of forecasts will lie (N, C).

        With n scores it is the one of rank (n + 1) level, which is what makes the coverage exact. A step with fewer
        than ``ENOUGH`` scores takes those of all steps together. Where the scores are too few for a rank it is the
        outermost one, or that of the normal distribution where it is further out. It rises with the level, so that
        wider intervals hold narrower ones.
        """
        scores = self.every
        steps, targets = scores.shape[1:]
        result = np.empty((steps, targets))
        for c in range(targets):
            pooled = _ranked(_sorted(scores[:, :, c]), level)
            for h in range(steps):
                own = _sorted(scores[:, h, c])
                result[h, c] = _ranked(own, level) if len(own) >= ENOUGH else pooled
        return result

    def quantiles(self, values: np.ndarray, known_levels, levels) -> dict[float, np.ndarray]:
        """Quantile level -> values (n, N, C) of curves, for each of these levels."""
        return {level: at_score(self.quantile(level), values, known_levels) for level in levels}

    def intervals(self, values: np.ndarray, known_levels, levels) -> dict[float, np.ndarray]:
        """Quantile level -> values (n, N, C), for the ends of the intervals of these levels, such as (0.8, 0.95)."""
        return self.quantiles(values, known_levels, ends_of(levels))

    def rolling(self, scores: np.ndarray, when: np.ndarray, levels) -> dict[float, np.ndarray]:
        """Quantiles of the scores as known at each origin: of validation rows, and of forecasts whose truth had come.

        Args:
          scores: (n, N, C) of the forecasts themselves, NaN where the truth is not known.
          when: (n,) the step at which each forecast was made.
          levels: of the intervals.

        Returns:
          Quantile level -> scores (n, N, C).
        """
        wanted = ends_of(levels)
        result = {end: np.empty(scores.shape) for end in wanted}
        order = np.argsort(when, kind="stable")
        n, steps, targets = scores.shape
        for c in range(targets):
            together = _sorted(self.scores[:, :, c])
            own = [_sorted(self.scores[:, h, c]) for h in range(steps)]
            arrived = [0] * steps  # forecasts whose truth h + 1 steps later has come
            for time in np.unique(when):
                for h in range(steps):
                    while arrived[h] < n and when[order[arrived[h]]] + h + 1 <= time:
                        found = scores[order[arrived[h]], h, c]
                        if not np.isnan(found):
                            bisect.insort(own[h], found)
                            bisect.insort(together, found)
                        arrived[h] += 1
                now = when == time
                for end in wanted:
                    pooled = _ranked(together, end)
                    result[end][now, :, c] = [_ranked(each, end) if len(each) >= ENOUGH else pooled for each in own]
        return result

    def extended(self, scores: np.ndarray) -> Calibration:
        """With scores of later rows, the latest last; the oldest leave."""
        return Calibration(self.scores, np.concatenate([self.later, scores])[-MOST:])


def ends(level: float) -> tuple[float, float]:
    """The quantile levels at the ends of an interval.

    >>> ends(0.8)
    (0.1, 0.9)
    """
    return round((1 - level) / 2, 10), round((1 + level) / 2, 10)


def ends_of(levels) -> list[float]:
    """Those of several intervals, in order."""
    return sorted({end for level in levels for end in ends(level)})


def _sorted(scores: np.ndarray) -> list[float]:
    return sorted(scores[~np.isnan(scores)].tolist())


def _ranked(ordered: list[float], level: float) -> float:
    """The score of the rank that covers this share, of scores in ascending order."""
    normal, count = NormalDist().inv_cdf(level), len(ordered)
    if not count:
        return normal
    below = level < 0.5  # counted from the other side
    rank = math.ceil((count + 1) * (1 - level if below else level) - 1e-9)
    found = ordered[count - min(rank, count)] if below else ordered[min(rank, count) - 1]
    if rank > count:
        return min(found, normal) if below else max(found, normal)
    return found
