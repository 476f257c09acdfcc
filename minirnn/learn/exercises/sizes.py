"""The sizes of the arrays that an answer is tried with: all different, and others in every probe.

An array that is turned round then has another shape, and a size that is written into an answer is found out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Sizes(NamedTuple):
    """Time steps, batch, inputs, hidden units."""

    T: int
    B: int
    D: int
    H: int


def draw(rng: np.random.Generator) -> Sizes:
    """Sizes from 3 to 7, all different; T is at least 5, so that a mistake can show itself over time."""
    T = int(rng.integers(5, 8))
    B, D, H = (int(size) for size in rng.permutation([size for size in range(3, 8) if size != T])[:3])
    return Sizes(T, B, D, H)


def lengths(rng: np.random.Generator, T: int, B: int) -> np.ndarray:
    """Lengths of the sequences of a batch: 0 and T are among them, and something between."""
    return rng.permutation([0, T, *rng.integers(1, T, B - 2)])
