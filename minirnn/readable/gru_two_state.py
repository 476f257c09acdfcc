"""A GRU with two states, in NumPy: one step forward (T1-T6) and backward (T7-T16), by hand.

It keeps a memory c beside h, as an LSTM does: z decides how much of c stays, r how much of h. The published GRU has one
state; there r acts inside the candidate and z between the old h and the candidate. Here r never resets what the
candidate reads, so that the cell cannot forget inside it. A change of the input goes through two means one after the
other, n -> c -> h: with both gates half open a quarter of it arrives in h in the first step, a half after two. So h
lags behind c, and the gates, which read h and not c, see the late one.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.h.shape, state.c.shape
((5, 4, 2), (4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import GRU_TWO_STATE_GATES, GRUTwoState, GRUTwoStateGates, GRUTwoStateParams, init_gru_two_state
from minirnn.readable import engine
from minirnn.readable.activations import activate, sigmoid
from minirnn.readable.contract import contract


def update(zx, zh, state, extra):
    """The gates of one step, elementwise. zx, zh (B, 3H), state.h and state.c (B, H) -> y (B, H), state, gates."""
    a = zx + zh  # (B, 3H), order r z c  T1
    r, z, n = activate(a, sigmoid, sigmoid, np.tanh)  # (B, H) each  T2, T3, T4
    c = z * state.c + (1 - z) * n  # T5
    h = r * state.h + (1 - r) * c  # T6
    return h, GRUTwoState(h, c), GRUTwoStateGates(r, z, n, c)


def update_backward(dy, dstate, gates, zh, state, extra):
    """The gradients of one step's gates. dy, dstate.h, dstate.c (B, H) -> dzx, dzh (B, 3H), dstate_prev.

    ``dstate`` comes from step t+1, ``state`` is the one before this step. Also returns the gradients of the
    elementwise parameters (none) and of the named intermediates.
    """
    r, z, n, c = gates
    dh = dy + dstate.h  # T7
    dr = dh * (state.h - c)  # T8
    dc = dstate.c + dh * (1 - r)  # T9
    dz = dc * (state.c - n)  # T10
    dn = dc * (1 - z)  # T11
    da = np.concatenate(
        [
            dr * r * (1 - r),  # T12
            dz * z * (1 - z),  # T13
            dn * (1 - n**2),  # T14
        ],
        axis=-1,
    )  # (B, 3H)
    dc_prev = dc * z  # T15
    dh_prev = dh * r  # T16, its elementwise part
    return da, da, GRUTwoState(dh_prev, dc_prev), {}, GRUTwoStateGates(dr, dz, dn, dc)


CELL = engine.Cell(
    update,
    update_backward,
    GRUTwoStateGates,
    len(GRU_TWO_STATE_GATES),
    GRUTwoState,
    adds=True,
    params=GRUTwoStateParams,
)

init = init_gru_two_state
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "T1-T6", "T7-T16, P2-P5"
)
