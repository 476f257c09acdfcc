"""The vanilla RNN in JAX: one step (R1-R2). Its derivative comes from JAX.

The scan over time and the products with Wx and Wh are in :mod:`minirnn.fast.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import functools

from minirnn.fast import engine
from minirnn.fast.activations import ACTIVATIONS
from minirnn.fast.contract import contract
from minirnn.params import RNNGates, RNNParams, init_rnn


def update(zx, zh, state, extra, note=engine.unnoted, activation="tanh"):
    """One step, elementwise. zx, zh (B, H), state (B, H) -> y (B, H), state."""
    phi = ACTIVATIONS[activation]
    z = zx + zh  # R1
    h = note("h", phi(z))  # R2
    return h, h


@functools.cache
def cell(activation: str = "tanh") -> engine.Cell:
    """The cell with one activation: tanh, relu or sigmoid."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    return engine.Cell(functools.partial(update, activation=activation), RNNGates, 1, adds=True, params=RNNParams)


init = init_rnn
initial_state, step, forward, gates = contract(__name__, cell, "R1-R2")
