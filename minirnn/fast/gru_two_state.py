"""A GRU with two states, in JAX: one step (T1-T6). Its derivative comes from JAX.

How it differs from the published GRU, and what that does, stands in :mod:`minirnn.readable.gru_two_state`.

>>> import numpy as np
>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.h.shape, state.c.shape
((5, 4, 2), (4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

from minirnn.fast import engine
from minirnn.fast.activations import tanh_blocks
from minirnn.fast.contract import contract
from minirnn.params import GRU_TWO_STATE_GATES, GRUTwoState, GRUTwoStateGates, GRUTwoStateParams, init_gru_two_state


def update(zx, zh, state, extra, note=engine.unnoted):
    """The gates of one step, elementwise. zx, zh (B, 3H), state.h and state.c (B, H) -> y (B, H), state."""
    # One tanh serves all gates, since sigma(z) = 1/2 + tanh(z / 2) / 2.
    t_r, t_z, t_c = tanh_blocks(zx + zh, (0.5, 0.5, 1.0))  # (B, H) each, order r z c  T1
    r = note("r", 0.5 + 0.5 * t_r)  # T2
    z = note("z", 0.5 + 0.5 * t_z)  # T3
    n = note("n", t_c)  # T4
    c = note("c", z * state.c + (1 - z) * n)  # T5
    h = r * state.h + (1 - r) * c  # T6
    return h, GRUTwoState(h, c)


CELL = engine.Cell(update, GRUTwoStateGates, len(GRU_TWO_STATE_GATES), GRUTwoState, adds=True, params=GRUTwoStateParams)

init = init_gru_two_state
initial_state, step, forward, gates = contract(__name__, CELL, "T1-T6")
