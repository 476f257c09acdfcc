"""An LSTM with a single state, in NumPy: one step forward (S1-S7) and backward (S8-S17), by hand.

The published LSTM carries two things from step to step: the memory c, and the output h = o tanh(c). This one carries
the memory alone, called h here, and shows y = o tanh(h) to the next layer only. Two things follow. The gates read the
whole memory, so that the output gate no longer decides what the network itself sees at the next step: closing it hides
a memory from the reader, not from the gates. And h, which enters the product h Wh, is not bounded by 1: a sum over many
steps can drive the gates into saturation, where gradients vanish.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import LSTM_GATES, LSTMParams, LSTMSingleStateGates, init_lstm
from minirnn.readable import engine
from minirnn.readable.activations import activate, sigmoid
from minirnn.readable.contract import contract


def update(zx, zh, state, extra):
    """The gates of one step, elementwise. zx, zh (B, 4H), state (B, H) -> y (B, H), state, gates."""
    z = zx + zh  # (B, 4H), order i f g o  S1
    i, f, g, o = activate(z, sigmoid, sigmoid, np.tanh, sigmoid)  # (B, H) each  S2, S3, S4, S5
    h = f * state + i * g  # S6
    tanh_h = np.tanh(h)
    y = o * tanh_h  # S7
    return y, h, LSTMSingleStateGates(i, f, g, o, h, tanh_h)


def update_backward(dy, dstate, gates, zh, state, extra):
    """The gradients of one step's gates. dy, dstate (B, H) -> dzx, dzh (B, 4H), dstate_prev (B, H).

    ``dstate`` comes from step t+1, ``state`` is the one before this step. Also returns the gradients of the
    elementwise parameters (none) and of the named intermediates.
    """
    i, f, g, o, h, tanh_h = gates
    do = dy * tanh_h  # S8
    dtanh_h = dy * o
    dh = dstate + dtanh_h * (1 - tanh_h**2)  # S9
    di = dh * g  # S10
    df = dh * state  # S11
    dg = dh * i  # S12
    dz = np.concatenate(
        [
            di * i * (1 - i),  # S13
            df * f * (1 - f),  # S14
            dg * (1 - g**2),  # S15
            do * o * (1 - o),  # S16
        ],
        axis=-1,
    )  # (B, 4H)
    dh_prev = dh * f  # S17, its elementwise part
    return dz, dz, dh_prev, {}, LSTMSingleStateGates(di, df, dg, do, dh, dtanh_h)


CELL = engine.Cell(update, update_backward, LSTMSingleStateGates, len(LSTM_GATES), adds=True, params=LSTMParams)

init = init_lstm
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "S1-S7", "S8-S17, P2-P5"
)
