"""Who wins, by how much, whether that is more than chance, and whether a forecast is the last value in disguise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

DRAWS = 2_000
DRAW = 1 << 20  # blocks that are drawn at once
LEAST = 12  # origins below which a bootstrap says nothing
STILL = 0.05  # a forecast that moves less than this part of what the truth moves is the last value
UNRELATED = 0.2  # correlation of its moves with those of the truth below which it knows nothing of them


class Interval(NamedTuple):
    """The 95 % interval of a skill."""

    low: float
    high: float

    @property
    def chance(self) -> bool:
        """Whether no difference at all lies within it."""
        return self.low <= 0 <= self.high


def skill_interval(own: np.ndarray, other: np.ndarray, when: np.ndarray, horizon: int) -> Interval | None:
    """How far 1 - Σ own / Σ other could be a matter of which origins the test part happens to hold.

    A moving-block bootstrap (Künsch 1989) of the paired errors: blocks of neighbouring origins are drawn with
    replacement, the same for both forecasts and for all series, and the skill is computed anew 2,000 times. A block is
    as long as the horizon, within which errors depend on each other, and at least the cube root of the number of
    origins; the ends are joined. The interval is approximate, and optimistic where there are few blocks.

    Args:
      own: (n,) sums of absolute errors of the network, one for each origin.
      other: the same of the other forecast.
      when: (n,) the time of each origin; those of one time (several series) are drawn together.
      horizon: steps ahead.

    Returns:
      The interval; None for fewer than 12 times, or where the other forecast makes no error.
    """
    times, place = np.unique(when, return_inverse=True)
    n = len(times)
    if n < LEAST or not np.sum(other) > 0:
        return None
    sums = np.stack([np.bincount(place, each, minlength=n) for each in (own, other)])  # (2, n)
    block = min(max(horizon, math.ceil(n ** (1 / 3))), n // 4)
    running = np.concatenate([np.zeros((2, 1)), np.cumsum(np.concatenate([sums, sums[:, :block]], axis=1), 1)], axis=1)
    blocks = running[:, block : block + n] - running[:, :n]  # (2, n): the sum of the block that starts at each origin
    rng, skills, count = np.random.default_rng(0), [], -(-n // block)
    at_once = max(DRAW // count, 1)
    for draws in range(0, DRAWS, at_once):
        chosen = rng.integers(n, size=(min(at_once, DRAWS - draws), count))
        own_sum, other_sum = blocks[0][chosen].sum(axis=1), blocks[1][chosen].sum(axis=1)
        skills.append(np.where(other_sum > 0, 1 - own_sum / np.where(other_sum > 0, other_sum, 1), 0.0))
    return Interval(*(float(each) for each in np.quantile(np.concatenate(skills), (0.025, 0.975))))


def shifted(actual: np.ndarray, forecast: np.ndarray, last: np.ndarray, mask: np.ndarray) -> bool:
    """Whether a forecast is merely the last known value, drawn to the right.

    Compares the moves away from the value at the origin: those that were forecast and those that came. It is, if the
    forecast hardly moves (on average less than 5 % of what the truth moves), or if it moves less than the truth does
    and its moves have nothing to do with those of the truth (correlation, around no move, below 0.2).

    Args:
      actual: (...) the truth, in units in which all series and targets are comparable.
      forecast: of the same shape.
      last: the value at the origin, broadcasting to that shape.
      mask: True where a point counts.
    """
    if not np.any(mask):
        return False
    last = np.broadcast_to(last, np.shape(actual))[mask]
    came, said = actual[mask] - last, forecast[mask] - last
    moved, said_to_move = np.abs(came).sum(), np.abs(said).sum()
    if said_to_move <= STILL * moved:
        return True
    if said_to_move >= moved:
        return False
    correlation = float(said @ came) / math.sqrt(float(said @ said) * float(came @ came))
    return correlation < UNRELATED
