"""The GRU that resets before the product, in NumPy: one step forward (B1-B6) and backward (B7-B15), by hand.

The reset gate multiplies h *before* it enters the product of the candidate; in :mod:`minirnn.readable.gru` it
multiplies the product. The candidate therefore has to wait for r: two products one after the other in every step,
which is why cuDNN, PyTorch and Keras by default compute the other kind. Keras with ``reset_after=False``, haiku and the
textbook d2l compute this one (Keras and d2l with the opposite z, that of Cho et al.: ``h = z h' + (1 - z) n``).

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import GRU_GATES, GRUGates, GRUResetBeforeParams, init_gru_reset_before
from minirnn.readable import engine
from minirnn.readable.activations import blocks, sigmoid
from minirnn.readable.contract import contract


def update(zx, zh, state, extra, second):
    """The gates of one step. zx (B, 3H), zh (B, 2H), state (B, H), second(u) = u Wh_n -> y (B, H), state, gates."""
    zx_r, zx_z, zx_n = blocks(zx, 3)  # (B, H) each, order r z n  B1
    zh_r, zh_z = blocks(zh, 2)  # (B, H) each  B1
    r = sigmoid(zx_r + zh_r)  # B2
    z = sigmoid(zx_z + zh_z)  # B3
    u = r * state  # B4
    n = np.tanh(zx_n + second(u))  # B5
    h = (1 - z) * state + z * n  # B6
    return h, h, GRUGates(r, z, n)


def update_backward(dy, dstate, gates, zh, state, extra, second_backward):
    """The gradients of one step's gates. dy, dstate (B, H) -> dzx, dzh (B, 3H), dstate_prev (B, H).

    ``dstate`` comes from step t+1, ``state`` is the one before this step. Also returns the gradients of the
    elementwise parameters (none) and of the named intermediates.
    """
    r, z, n = gates
    dh = dy + dstate  # B7
    dz = dh * (n - state)  # B8
    dn = dh * z  # B9
    dz_n = dn * (1 - n**2)  # B10
    du = second_backward(dz_n)  # B11
    dr = du * state  # B12
    dz_r = dr * r * (1 - r)  # B13
    dz_z = dz * z * (1 - z)  # B14
    dh_prev = dh * (1 - z) + du * r  # B15, without its product
    da = np.concatenate([dz_r, dz_z, dz_n], axis=-1)  # (B, 3H)
    return da, da, dh_prev, {}, GRUGates(dr, dz, dn)


CELL = engine.Cell(update, update_backward, GRUGates, len(GRU_GATES), second=True, params=GRUResetBeforeParams)

init = init_gru_reset_before
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "B1-B6", "B7-B15, P2, P3, P5-P6"
)
