"""The vanilla RNN in JAX: one step (R1-R2). Its derivative comes from JAX.

The scan over time and the products with Wx and Wh are in :mod:`minirnn.fast.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import functools

from minirnn.equations import numbered
from minirnn.fast import engine
from minirnn.fast.activations import ACTIVATIONS
from minirnn.params import RNNGates, RNNParams, init_rnn


def update(zx, zh, state, extra, note=engine.unnoted, activation="tanh"):
    """One step, elementwise. zx, zh (B, H), state (B, H) -> y (B, H), state."""
    phi = ACTIVATIONS[activation]
    z = zx + zh  # R1
    h = note("h", phi(z))  # R2
    return h, h


@functools.cache
def _cell(activation: str) -> engine.Cell:
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
    return engine.Cell(functools.partial(update, activation=activation), RNNGates, 1, adds=True)


init = init_rnn


def initial_state(params: RNNParams, batch_size: int):
    """Zero state: h (B, H), in the dtype of the weights."""
    return engine.initial_state(_cell("tanh"), params, batch_size)


@numbered("R1-R2")
def step(params: RNNParams, x, state, *, activation: str = "tanh"):
    """One RNN step. x (B, D), state (B, H) -> y (B, H), state. ``activation``: tanh, relu or sigmoid."""
    return engine.step(_cell(activation), params, x, state)


@numbered("R1-R2")
def forward(params: RNNParams, xs, state=None, lengths=None, *, activation: str = "tanh"):
    """An RNN over a sequence. xs (T, B, D) -> ys (T, B, H), final state (B, H).

    ``activation``: tanh, relu or sigmoid. Other arguments, masking, errors: :func:`minirnn.fast.engine.forward`.

    >>> params = init(0, input_size=3, hidden_size=2)
    >>> import jax.numpy as jnp
    >>> ys, state = forward(params, jnp.ones((5, 4, 3)))
    >>> ys.shape, state.shape
    ((5, 4, 2), (4, 2))
    """
    return engine.forward(_cell(activation), params, xs, state, lengths)


def gates(params: RNNParams, xs, state=None, lengths=None, *, activation: str = "tanh") -> RNNGates:
    """Every named intermediate over time: h (T, B, H), zero on padding."""
    return engine.gates(_cell(activation), params, xs, state, lengths)
