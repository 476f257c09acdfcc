"""The LSTM in JAX: the gate arithmetic of one step (L1-L7). Its derivative comes from JAX.

The scan over time and the products with Wx and Wh are in :mod:`minirnn.fast.engine`.

PyTorch's ``nn.LSTM`` computes the same, with weights transposed and two biases that add up to ``b``.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, jnp.ones((5, 4, 3)))
>>> ys.shape, state.h.shape, state.c.shape
((5, 4, 2), (4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.fast import engine
from minirnn.fast.activations import tanh_blocks
from minirnn.fast.contract import contract
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


CELL = engine.Cell(update, LSTMGates, len(LSTM_GATES), LSTMState, adds=True, params=LSTMParams)

init = init_lstm
initial_state, step, forward, gates = contract(__name__, CELL, "L1-L7")
