"""Distributions of forecasts, and intervals that cover what they say.

A forecast is a curve: values at fixed levels, that is at fixed normal scores, joined by straight lines and drawn on
beyond the ends. Where the truth of a validation row lies on the curve is its score. If the curves were right the scores
were normal; the intervals take the quantiles of the scores that were seen instead (split-conformal prediction: Vovk et
al. 2005; with such scores Chernozhukov et al. 2021, arXiv 1909.07889). They cover as stated if what comes is like the
validation rows, whatever the shape of the errors.

Dimension letters: n windows, N rows ahead, C targets, Q levels.
"""

from __future__ import annotations

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
    return np.array([NormalDist().inv_cdf(level) for level in levels])


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
    """The scores of the validation rows.

    Args:
      scores: (n, N, C), NaN where the truth is not known.
    """

    scores: np.ndarray

    def quantile(self, level: float) -> np.ndarray:
        """The score below which this share of forecasts will lie (N, C).

        With n scores it is the one of rank (n + 1) level, which is what makes the coverage exact. A step with fewer than
        ``ENOUGH`` scores takes those of all steps together. Where the scores are too few for a rank it is the outermost
        one, or that of the normal distribution where it is further out. It rises with the level, so that wider
        intervals hold narrower ones.
        """
        steps, targets = self.scores.shape[1:]
        result = np.empty((steps, targets))
        for c in range(targets):
            together = self.scores[:, :, c]
            pooled = _ranked(together[~np.isnan(together)], level)
            for h in range(steps):
                own = self.scores[:, h, c]
                own = own[~np.isnan(own)]
                result[h, c] = _ranked(own, level) if len(own) >= ENOUGH else pooled
        return result

    def intervals(self, values: np.ndarray, known_levels, levels) -> dict[float, np.ndarray]:
        """Quantile level -> values (n, N, C), for the ends of the intervals of these levels, such as (0.8, 0.95)."""
        ends = sorted({round(end, 10) for level in levels for end in ((1 - level) / 2, (1 + level) / 2)})
        return {end: at_score(self.quantile(end), values, known_levels) for end in ends}

    def extended(self, scores: np.ndarray) -> Calibration:
        """With more scores, the latest last; the oldest leave."""
        return Calibration(np.concatenate([self.scores, scores])[-MOST:])


def _ranked(scores: np.ndarray, level: float) -> float:
    """The score of the rank that covers this share."""
    normal = NormalDist().inv_cdf(level)
    if not len(scores):
        return normal
    below = level < 0.5  # counted from the other side
    ordered = np.sort(-scores if below else scores)
    rank = math.ceil((len(scores) + 1) * (1 - level if below else level) - 1e-9)
    found = float(ordered[min(rank, len(scores)) - 1])
    if rank > len(scores):
        found = max(found, abs(normal))
    return -found if below else found
