"""An LSTM with a single state, in JAX: one step (S1-S7). Its derivative comes from JAX.

How it differs from the published LSTM, and what that does, stands in :mod:`minirnn.readable.lstm_single_state`.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, jnp.ones((5, 4, 3)))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.fast import engine
from minirnn.fast.activations import tanh_blocks
from minirnn.fast.contract import contract
from minirnn.params import LSTM_GATES, LSTMParams, LSTMSingleStateGates, init_lstm


def update(zx, zh, state, extra, note=engine.unnoted):
    """The gates of one step, elementwise. zx, zh (B, 4H), state (B, H) -> y (B, H), state."""
    # One tanh serves all four gates, since sigma(z) = 1/2 + tanh(z / 2) / 2.
    t_i, t_f, t_g, t_o = tanh_blocks(zx + zh, (0.5, 0.5, 1.0, 0.5))  # (B, H) each, order i f g o  S1
    i = note("i", 0.5 + 0.5 * t_i)  # S2
    f = note("f", 0.5 + 0.5 * t_f)  # S3
    g = note("g", t_g)  # S4
    o = note("o", 0.5 + 0.5 * t_o)  # S5
    h = note("h", f * state + i * g)  # S6
    tanh_h = note("tanh_h", jnp.tanh(h))
    y = o * tanh_h  # S7
    return y, h


CELL = engine.Cell(update, LSTMSingleStateGates, len(LSTM_GATES), adds=True, params=LSTMParams)

init = init_lstm
initial_state, step, forward, gates = contract(__name__, CELL, "S1-S7")
