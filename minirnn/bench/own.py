"""minirnn's own entry: a cell of :mod:`minirnn.fast` with a dense head, trained like its JAX peers.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from minirnn.bench.task import Batches, Shape, TrainRun


class Start(NamedTuple):
    """The weights that a run starts from, as NumPy arrays."""

    layer: Any  # the parameters of the cell
    W: np.ndarray  # (H, 1) the head's weights
    b: np.ndarray  # (1,) the head's bias


def start(cell: str, shape: Shape, seed: int = 0) -> Start:
    """Fresh weights: the cell's own initialiser, and a head of variance 1/H."""
    _, _, D, H = shape
    rng = np.random.default_rng(seed)
    layer = _module(cell).init(rng, D, H, np.float32)
    W = rng.standard_normal((H, 1), dtype=np.float32) / np.sqrt(np.float32(H))
    return Start(layer, W, np.zeros(1, np.float32))


def build(cell: str, shape: Shape, batches: Batches, weights: Start | None = None) -> TrainRun:
    """A run of minirnn.fast on these minibatches; ``weights`` defaults to ``start(cell, shape)``."""
    from minirnn.bench.scan import mean_squared_error, scan_train

    module = _module(cell)

    def loss(params: Start, xs, ys):
        hs, _ = module.forward(params.layer, xs)  # (T, B, H)
        return mean_squared_error(hs[-1] @ params.W + params.b, ys)

    return scan_train(loss, start(cell, shape) if weights is None else weights, batches)


def _module(cell: str):
    return importlib.import_module(f"minirnn.fast.{cell}")
