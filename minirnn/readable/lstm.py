"""The LSTM in NumPy: the gate arithmetic of one step forward (L1-L7) and backward (L8-L18), by hand.

The time loop and the products with Wx and Wh are in :mod:`minirnn.readable.engine`.

PyTorch's ``nn.LSTM`` computes the same, with weights transposed and two biases that add up to ``b``.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.h.shape, state.c.shape
((5, 4, 2), (4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import LSTM_GATES, LSTMGates, LSTMParams, LSTMState, init_lstm
from minirnn.readable import engine
from minirnn.readable.activations import activate, sigmoid
from minirnn.readable.contract import contract


def update(zx, zh, state, extra):
    """The gates of one step, elementwise. zx, zh (B, 4H), state.h and state.c (B, H) -> y (B, H), state, gates."""
    z = zx + zh  # (B, 4H), order i f g o  L1
    i, f, g, o = activate(z, sigmoid, sigmoid, np.tanh, sigmoid)  # (B, H) each  L2, L3, L4, L5
    c = f * state.c + i * g  # L6
    tanh_c = np.tanh(c)
    h = o * tanh_c  # L7
    return h, LSTMState(h, c), LSTMGates(i, f, g, o, c, tanh_c)


def update_backward(dy, dstate, gates, zh, state, extra):
    """The gradients of one step's gates. dy (B, H), dstate.h and dstate.c (B, H) -> dzx, dzh (B, 4H), dstate_prev.

    ``dstate`` comes from step t+1, ``state`` is the one before this step. Also returns the gradients of the
    elementwise parameters (none) and of the named intermediates.
    """
    i, f, g, o, c, tanh_c = gates
    dh = dy + dstate.h  # L8
    do = dh * tanh_c  # L9
    dtanh_c = dh * o
    dc = dstate.c + dtanh_c * (1 - tanh_c**2)  # L10
    di = dc * g  # L11
    df = dc * state.c  # L12
    dg = dc * i  # L13
    dz = np.concatenate(
        [
            di * i * (1 - i),  # L14
            df * f * (1 - f),  # L15
            dg * (1 - g**2),  # L16
            do * o * (1 - o),  # L17
        ],
        axis=-1,
    )  # (B, 4H)
    dc_prev = dc * f  # L18
    # h enters this step only through z: nothing of dh passes elementwise.
    return dz, dz, LSTMState(0.0, dc_prev), {}, LSTMGates(di, df, dg, do, dc, dtanh_c)


CELL = engine.Cell(update, update_backward, LSTMGates, len(LSTM_GATES), LSTMState, adds=True, params=LSTMParams)

init = init_lstm
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "L1-L7", "L8-L18, P1-P5"
)
