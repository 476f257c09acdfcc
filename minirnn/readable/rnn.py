"""The vanilla RNN in NumPy: one step forward (R1-R2) and backward (R3-R4), by hand.

The time loop and the products with Wx and Wh are in :mod:`minirnn.readable.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import functools

from minirnn.params import RNNGates, RNNParams, init_rnn
from minirnn.readable import engine
from minirnn.readable.activations import ACTIVATIONS
from minirnn.readable.contract import contract


def update(zx, zh, state, extra, activation="tanh"):
    """One step, elementwise. zx, zh (B, H), state (B, H) -> y (B, H), state, gates."""
    phi, _ = ACTIVATIONS[activation]
    z = zx + zh  # R1
    h = phi(z)  # R2
    return h, h, RNNGates(h)


def update_backward(dy, dstate, gates, zh, state, extra, activation="tanh"):
    """The gradients of one step. dy, dstate (B, H) -> dzx, dzh (B, H), dstate_prev, and those of named quantities.

    The derivative of phi is written in terms of its output h: 1 - h² for tanh, h (1 - h) for sigma, [h > 0] for relu.
    """
    _, dphi = ACTIVATIONS[activation]
    dh = dy + dstate  # R3
    dz = dh * dphi(gates.h)  # R4
    return dz, dz, 0.0, {}, RNNGates(dh)


@functools.cache
def cell(activation: str = "tanh") -> engine.Cell:
    """The cell with one activation: tanh, relu or sigmoid."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    forwards = functools.partial(update, activation=activation)
    backwards = functools.partial(update_backward, activation=activation)
    return engine.Cell(forwards, backwards, RNNGates, 1, adds=True, params=RNNParams)


init = init_rnn
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, cell, "R1-R2", "R3-R4, P1-P5"
)
