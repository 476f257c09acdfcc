"""Windows: for each origin t the rows t-W+1 .. t as input and the rows t+1 .. t+N as target."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def inputs_at(values: np.ndarray, origins: np.ndarray, window: int) -> np.ndarray:
    """Values (rows, D) -> inputs (len(origins), W, D); the last row of each is its origin.

    >>> inputs_at(np.arange(5.0)[:, None], np.array([2, 4]), window=3)[:, :, 0]
    array([[0., 1., 2.],
           [2., 3., 4.]])
    """
    return values[origins[:, None] + np.arange(1 - window, 1)]


def targets_at(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """Values (rows, ...) -> targets (len(origins), N, ...): the rows after each origin.

    >>> targets_at(np.arange(5.0), np.array([1, 2]), horizon=2)
    array([[2., 3.],
           [3., 4.]])
    """
    return values[origins[:, None] + np.arange(1, horizon + 1)]


class Windows:
    """An array of windows that are cut out when they are read: no copy of all of them is ever held.

    It stands in for an array (n, ...) wherever rows are taken out of one by their numbers.

    Args:
      origins: (n,) the last known row of each window.
      read: origins (k,) -> windows (k, ...), float32.

    >>> windows = Windows(np.array([2, 3, 4]), lambda o: inputs_at(np.arange(5.0)[:, None], o, 2).astype(np.float32))
    >>> windows.shape, windows[1:][:, :, 0].tolist()
    ((3, 2, 1), [[2.0, 3.0], [3.0, 4.0]])
    """

    def __init__(self, origins: np.ndarray, read: Callable[[np.ndarray], np.ndarray]):
        self.origins, self.read = np.asarray(origins), read
        self.shape = (len(self.origins), *read(self.origins[:1]).shape[1:])
        self.dtype = np.dtype(np.float32)
        self.ndim = len(self.shape)
        self.nbytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, index) -> np.ndarray:
        return self.read(self.origins[index])

    def take(self, index, axis: int = 0, out=None, mode: str = "raise") -> np.ndarray:
        """What ``np.take`` calls."""
        return self[np.asarray(index).ravel()].reshape(*np.shape(index), *self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.read(self.origins).astype(self.dtype if dtype is None else dtype, copy=False)
