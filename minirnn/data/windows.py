"""Windows: for each origin t the rows t-W+1 .. t as input and the rows t+1 .. t+N as target."""

from __future__ import annotations

import numpy as np


def inputs_at(values: np.ndarray, origins: np.ndarray, window: int) -> np.ndarray:
    """Values (rows, D) -> inputs (len(origins), W, D); the last row of each is its origin.

    >>> inputs_at(np.arange(5.0)[:, None], np.array([2, 4]), window=3)[:, :, 0]
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    return values[origins[:, None] + np.arange(1 - window, 1)]


def targets_at(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """Values (rows,) -> targets (len(origins), N): the rows after each origin.

    >>> targets_at(np.arange(5.0), np.array([1, 2]), horizon=2)
    array([[2., 3.],
           [3., 4.]])
    """
    return values[origins[:, None] + np.arange(1, horizon + 1)]
