"""The task that every library runs: one recurrent layer with a dense head, on the same minibatches.

The layer reads the whole sequence, the output of its last step goes through a dense layer to one number, the loss is
the mean squared error. float32 throughout, the input product included for everyone. Three passes of it are timed:

  forward            the loss of one minibatch
  forward_backward   and its gradient with respect to all parameters
  train_step         and an Adam update

Dimension letters: K minibatches, T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Shape = tuple[int, int, int, int]  # (B, T, D, H)

CELLS = ("lstm", "gru", "rnn")
PASSES = ("forward", "forward_backward", "train_step")
MEASURES = (*PASSES, "step", "compile", "growth", "memory", "fit", "text")
LEARNING_RATE = 1e-3
# (B, T, D, H): middling; wide; weather by the hour; tiny, where dispatch counts; one long sequence; a language model's;
# a large batch of short sequences; a few long ones.
SHAPES: tuple[Shape, ...] = (
    (32, 100, 16, 64),
    (64, 128, 64, 256),
    (64, 96, 7, 128),
    (32, 24, 1, 32),
    (1, 1000, 16, 128),
    (20, 35, 200, 200),
    (128, 48, 8, 64),
    (8, 512, 32, 128),
)
QUICK_SHAPES: tuple[Shape, ...] = (SHAPES[0], SHAPES[3])


class Batches(NamedTuple):
    """The minibatches, the same numbers for everyone."""

    xs: np.ndarray  # (K, T, B, D)
    ys: np.ndarray  # (K, B, 1)


def _nothing() -> None:
    """What a run prepares that has nothing to prepare."""


@dataclass(frozen=True)
class Run:
    """A pass over K minibatches by one library, ready to be called again and again.

    Args:
      call: runs them, waits until they are done, returns the loss of the last one.
      prepare: compiles; may run beside others in a thread of its own. Without it the first call compiles.
      parameters: how many numbers the network holds.
      note: where its task differs from the others', in a few words.
      threads: how many it runs on, where that was chosen for this run.
    """

    call: Callable[[], float]
    prepare: Callable[[], None] = _nothing
    parameters: int = 0
    note: str = ""
    threads: int | None = None

    def __call__(self) -> float:
        """Runs the K minibatches; the loss of the last one."""
        return self.call()


def minibatches(shape: Shape, seconds: float = 0.1) -> int:
    """K for one shape: about ``seconds`` of training per call on two cores, between 1 and 64.

    >>> minibatches((32, 24, 1, 32)), minibatches((64, 128, 64, 256))
    (64, 1)
    """
    B, T, D, H = shape
    # An LSTM's products, forward and backward, at 150 GFLOP/s, and 8 µs for each turn of the loop.
    one = 6 * T * B * (D + H) * 4 * H / 150e9 + T * 8e-6
    return min(max(round(seconds / one), 1), 64)


def make_batches(shape: Shape, count: int, seed: int = 0) -> Batches:
    """Normal inputs (K, T, B, D); the target (K, B, 1) is the mean of the last input. K: ``count``."""
    B, T, D, _ = shape
    xs = np.random.default_rng(seed).standard_normal((count, T, B, D), dtype=np.float32)
    return Batches(xs, xs[:, -1].mean(axis=-1, keepdims=True))
