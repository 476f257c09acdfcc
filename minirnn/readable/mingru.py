"""The minGRU in NumPy: its coefficients (M1-M5) and their gradients (M6-M9), by hand.

A GRU without reset gate whose gates do not read h: ``h = (1 - z) h' + z n`` is then linear in h, and its steps can be
computed in parallel (Feng et al. 2024, in the form without logarithms: the candidate n is linear).
The time loop and the product with Wx are in :mod:`minirnn.readable.linear`.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import MINGRU_GATES, MinGRUGates, MinGRUParams, init_mingru
from minirnn.readable import linear
from minirnn.readable.activations import sigmoid
from minirnn.readable.contract import contract


def coefficients(zx):
    """The coefficients of ``h = a h' + u``, elementwise. zx (..., 2H) -> a, u (..., H), gates."""
    zx_z, zx_n = np.split(zx, 2, axis=-1)  # (..., H) each, order z n  M1
    z = sigmoid(zx_z)  # M2
    n = zx_n  # M3
    a = 1 - z  # M4
    u = z * n  # M5
    return a, u, MinGRUGates(z, n)


def coefficients_backward(da, du, a, gates):
    """The gradients of the gates. da, du, a (..., H) -> dzx (..., 2H), and those of the named intermediates."""
    z, n = gates
    dz = du * n - da  # M6
    dn = du * z  # M7
    dzx_z = dz * z * (1 - z)  # M8
    dzx_n = dn  # M9
    return np.concatenate([dzx_z, dzx_n], axis=-1), MinGRUGates(dz, dn)


CELL = linear.Cell(coefficients, coefficients_backward, MinGRUGates, len(MINGRU_GATES), params=MinGRUParams)

init = init_mingru
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "M1-M5, H1", "H2-H5, M6-M9, P2, P3, P5"
)
