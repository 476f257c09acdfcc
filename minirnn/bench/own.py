"""minirnn's own entry: a cell of :mod:`minirnn.fast` with a dense head, trained like its JAX peers.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.bench.task import Shape

if TYPE_CHECKING:
    from minirnn.bench.scan import Model


class Start(NamedTuple):
    """The weights that a run starts from, as NumPy arrays."""

    layer: Any  # the parameters of the cell
    W: np.ndarray  # (H, 1) the head's weights
    b: np.ndarray  # (1,) the head's bias


def start(cell: str, shape: Shape, seed: int = 0) -> Start:
    """Fresh weights: the cell's own initialiser, and a head of variance 1/H."""
    _, _, D, H = shape
    rng = np.random.default_rng(seed)
    layer = module(cell).init(rng, D, H, np.float32)
    W = rng.standard_normal((H, 1), dtype=np.float32) / np.sqrt(np.float32(H))
    return Start(layer, W, np.zeros(1, np.float32))


def build(cell: str, shape: Shape, weights: Start | None = None, **options: Any) -> Model:
    """The model; ``weights`` defaults to ``start(cell, shape)``, ``options`` go to the cell's ``forward``."""
    from minirnn.bench.scan import Model, mean_squared_error

    forward = module(cell).forward

    def loss(params: Start, xs, ys):
        hs, _ = forward(params.layer, xs, **options)  # (T, B, H)
        return mean_squared_error(hs[-1] @ params.W + params.b, ys)

    return Model(loss, start(cell, shape) if weights is None else weights)


def module(cell: str):
    """The cell's module in the JAX half."""
    return importlib.import_module(f"minirnn.fast.{cell}")


def compiler_options() -> dict[str, Any]:
    """What minirnn compiles its own functions with on this platform."""
    from minirnn.fast import platforms

    return dict(platforms.compiler_options())
