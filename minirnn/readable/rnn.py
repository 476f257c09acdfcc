"""The vanilla RNN in NumPy: one step forward (R1-R2) and backward (R3-R4), by hand.

The time loop and the products with Wx and Wh are in :mod:`minirnn.readable.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import functools

import numpy as np

from minirnn.equations import numbered
from minirnn.params import RNNGates, RNNParams, init_rnn
from minirnn.readable import engine
from minirnn.readable.activations import ACTIVATIONS


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
    return dz, dz, np.zeros_like(dh), {}, RNNGates(dh)


@functools.cache
def _cell(activation: str) -> engine.Cell:
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    forwards = functools.partial(update, activation=activation)
    backwards = functools.partial(update_backward, activation=activation)
    return engine.Cell(forwards, backwards, RNNGates, 1)


init = init_rnn


def initial_state(params: RNNParams, batch_size: int):
    """Zero state: h (B, H), in the dtype of the weights."""
    return engine.initial_state(_cell("tanh"), params, batch_size)


@numbered("R1-R2")
def step(params: RNNParams, x, state, *, activation: str = "tanh"):
    """One RNN step. x (B, D), state (B, H) -> y (B, H), state, cache. ``activation``: tanh, relu or sigmoid."""
    return engine.step(_cell(activation), params, x, state)


@numbered("R3-R4, P1-P5")
def step_backward(dy, dstate, cache):
    """The gradients of one RNN step. dy, dstate (B, H) -> dparams, dx (B, D), dstate_prev (B, H)."""
    return engine.step_backward(dy, dstate, cache)


@numbered("R1-R2")
def forward(params: RNNParams, xs, state=None, lengths=None, *, activation: str = "tanh"):
    """An RNN over a sequence. xs (T, B, D) -> ys (T, B, H), final state (B, H), cache.

    ``activation``: tanh, relu or sigmoid. Other arguments, masking, errors: :func:`minirnn.readable.engine.forward`.

    >>> params = init(0, input_size=3, hidden_size=2)
    >>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
    >>> ys.shape, state.shape
    ((5, 4, 2), (4, 2))
    """
    return engine.forward(_cell(activation), params, xs, state, lengths)


@numbered("R3-R4, P1-P5")
def backward(dys, dstate, cache):
    """Backpropagation through time. dys (T, B, H), dstate -> dparams, dxs (T, B, D), dstate0.

    ``dys`` excludes what flows between the steps; see :func:`minirnn.readable.engine.backward`.
    """
    return engine.backward(dys, dstate, cache)


def gates(params: RNNParams, xs, state=None, lengths=None, *, activation: str = "tanh") -> RNNGates:
    """Every named intermediate over time: h (T, B, H), zero on padding."""
    return engine.gates(_cell(activation), params, xs, state, lengths)


def gate_gradients(dys, dstate, cache) -> RNNGates:
    """The gradient with respect to each of :func:`gates`, each (T, B, H); arguments as in :func:`backward`."""
    return engine.gate_gradients(dys, dstate, cache)
