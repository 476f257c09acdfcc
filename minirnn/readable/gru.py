"""The GRU that resets after the product, in NumPy: one step forward (G1-G5) and backward (G6-G15), by hand.

The time loop and the products with Wx and Wh are in :mod:`minirnn.readable.engine`.
The update gate z is that of Chung et al. 2014 (arXiv 1412.3555): ``h = (1 - z) h' + z n``. Cho et al. 2014, PyTorch,
Keras and flax have the opposite gate, ``h = z h' + (1 - z) n``; negating the z columns of Wx, Wh and b turns one into
the other exactly.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import GRU_GATES, GRUGates, GRUParams, init_gru
from minirnn.readable import engine
from minirnn.readable.activations import blocks, sigmoid
from minirnn.readable.contract import contract


def update(zx, zh, state, extra):
    """The gates of one step, elementwise. zx, zh (B, 3H), state (B, H), b_hn (H,) -> y (B, H), state, gates."""
    r, z, _ = blocks(sigmoid(zx + zh), 3)  # (B, H) each, order r z n: one call is quicker than two  G1, G2, G3
    zx_n, zh_n = blocks(zx, 3)[2], blocks(zh, 3)[2]
    n = np.tanh(zx_n + r * (zh_n + extra["b_hn"]))  # G4
    h = (1 - z) * state + z * n  # G5
    return h, h, GRUGates(r, z, n)


def update_backward(dy, dstate, gates, zh, state, extra):
    """The gradients of one step's gates. dy, dstate (B, H) -> dzx, dzh (B, 3H), dstate_prev (B, H).

    ``dstate`` comes from step t+1, ``state`` is the one before this step. Also returns the gradients of the
    elementwise parameters and of the named intermediates.
    """
    r, z, n = gates
    zh_n = blocks(zh, 3)[2]
    dh = dy + dstate  # G6
    dz = dh * (n - state)  # G7
    dn = dh * z  # G8
    dzx_n = dn * (1 - n**2)  # G9
    dzh_n = dzx_n * r  # G10
    dr = dzx_n * (zh_n + extra["b_hn"])  # G11
    dzx_r = dr * r * (1 - r)  # G12
    dzx_z = dz * z * (1 - z)  # G13
    dzx = np.concatenate([dzx_r, dzx_z, dzx_n], axis=-1)  # (B, 3H)
    dzh = np.concatenate([dzx_r, dzx_z, dzh_n], axis=-1)  # (B, 3H)
    dh_prev = dh * (1 - z)  # G15, its elementwise part
    return dzx, dzh, dh_prev, {"b_hn": dzh_n}, GRUGates(dr, dz, dn)  # b_hn: G14


CELL = engine.Cell(update, update_backward, GRUGates, len(GRU_GATES), params=GRUParams)

init = init_gru
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "G1-G5", "G6-G15, P2-P5"
)
