"""The task that every library runs: K train steps of one recurrent layer with a dense head.

A train step is forward, backward and Adam update on one minibatch: one recurrent layer over the whole sequence, the
output of the last step through a dense layer to one number, mean squared error, gradient with respect to all
parameters. float32 throughout.

Dimension letters: K minibatches, T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, int, int, int]  # (B, T, D, H)

CELLS = ("lstm", "gru", "rnn")
LEARNING_RATE = 1e-3


class Batches(NamedTuple):
    """The minibatches, the same numbers for everyone."""

    xs: np.ndarray  # (K, T, B, D)
    ys: np.ndarray  # (K, B, 1)


@dataclass(frozen=True)
class TrainRun:
    """K train steps of one library, ready to be called again and again; each call goes on training.

    Args:
      call: runs the K steps, waits until they are done, returns the loss of the last one (before its update).
      parameters: how many numbers it trains.
      note: where its task differs from the others', in a few words.
      threads: how many it runs on, where that was chosen for this run.
      model: the library's own model object, where it has one that trains in place.
    """

    call: Callable[[], float]
    parameters: int
    note: str = ""
    threads: int | None = None
    model: Any = None

    def __call__(self) -> float:
        """Runs the K steps; the loss of the last one."""
        return self.call()


def minibatches(shape: Shape) -> int:
    """K for one shape: about a quarter of a second of work per call on two cores, between 4 and 64.

    >>> minibatches((32, 24, 1, 32)), minibatches((64, 128, 64, 256))
    (64, 4)
    """
    B, T, D, H = shape
    # An LSTM's products, forward and backward, at 150 GFLOP/s, and 8 µs for each turn of the loop.
    seconds = 6 * T * B * (D + H) * 4 * H / 150e9 + T * 8e-6
    return min(max(round(0.25 / seconds), 4), 64)


def make_batches(shape: Shape, count: int | None = None, seed: int = 0) -> Batches:
    """Normal inputs (K, T, B, D); the target (K, B, 1) is the mean of the last input. K: ``minibatches(shape)``."""
    B, T, D, _ = shape
    K = minibatches(shape) if count is None else count
    xs = np.random.default_rng(seed).standard_normal((K, T, B, D), dtype=np.float32)
    return Batches(xs, xs[:, -1].mean(axis=-1, keepdims=True))
