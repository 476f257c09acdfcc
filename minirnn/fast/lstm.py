"""The LSTM in JAX: the gate arithmetic of one step (L1-L7). Its derivative comes from JAX.

The scan over time and the products with Wx and Wh are in :mod:`minirnn.fast.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.equations import numbered
from minirnn.fast import engine
from minirnn.fast.activations import tanh_blocks
from minirnn.params import LSTM_GATES, LSTMGates, LSTMParams, LSTMState, init_lstm


def update(zx, zh, state, extra, note=engine.unnoted):
    """The gates of one step, elementwise. zx, zh (B, 4H), state.h and state.c (B, H) -> y (B, H), state."""
    # One tanh serves all four gates, since sigma(z) = 1/2 + tanh(z / 2) / 2.
    t_i, t_f, t_g, t_o = tanh_blocks(zx + zh, (0.5, 0.5, 1.0, 0.5))  # (B, H) each, order i f g o  L1
    i = note("i", 0.5 + 0.5 * t_i)  # L2
    f = note("f", 0.5 + 0.5 * t_f)  # L3
    g = note("g", t_g)  # L4
    o = note("o", 0.5 + 0.5 * t_o)  # L5
    c = note("c", f * state.c + i * g)  # L6
    tanh_c = note("tanh_c", jnp.tanh(c))
    h = o * tanh_c  # L7
    return h, LSTMState(h, c)


CELL = engine.Cell(update, LSTMGates, len(LSTM_GATES), LSTMState, adds=True)

init = init_lstm


def initial_state(params: LSTMParams, batch_size: int) -> LSTMState:
    """Zero state: h and c (B, H), in the dtype of the weights."""
    return engine.initial_state(CELL, params, batch_size)


@numbered("L1-L7")
def step(params: LSTMParams, x, state: LSTMState):
    """One LSTM step. x (B, D), state.h and state.c (B, H) -> y (B, H), state."""
    return engine.step(CELL, params, x, state)


@numbered("L1-L7")
def forward(params: LSTMParams, xs, state: LSTMState | None = None, lengths=None):
    """An LSTM over a sequence. xs (T, B, D) -> ys (T, B, H), final state.

    Arguments, masking and errors: :func:`minirnn.fast.engine.forward`.

    >>> params = init(0, input_size=3, hidden_size=2)
    >>> ys, state = forward(params, jnp.ones((5, 4, 3)))
    >>> ys.shape, state.c.shape
    ((5, 4, 2), (4, 2))
    """
    return engine.forward(CELL, params, xs, state, lengths)


def gates(params: LSTMParams, xs, state: LSTMState | None = None, lengths=None) -> LSTMGates:
    """Every named intermediate over time: i, f, g, o, c and tanh_c, each (T, B, H), zero on padding."""
    return engine.gates(CELL, params, xs, state, lengths)
