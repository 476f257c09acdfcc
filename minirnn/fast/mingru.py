"""The minGRU in JAX: its coefficients (M1-M5). Their derivatives come from JAX.

A GRU without reset gate whose gates do not read h: ``h = (1 - z) h' + z n`` is then linear in h, and its steps can be
computed in parallel (Feng et al. 2024, in the form without logarithms: the candidate n is linear).
The scan over time and the product with Wx are in :mod:`minirnn.fast.linear`.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, jnp.ones((5, 4, 3)))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.fast import linear
from minirnn.fast.activations import sigmoid
from minirnn.fast.contract import contract
from minirnn.fast.engine import unnoted
from minirnn.params import MINGRU_GATES, MinGRUGates, MinGRUParams, init_mingru


def coefficients(zx, note=unnoted):
    """The coefficients of ``h = a h' + u``, elementwise. zx (..., 2H) -> a, u (..., H)."""
    zx_z, zx_n = jnp.split(zx, 2, axis=-1)  # (..., H) each, order z n  M1
    z = note("z", sigmoid(zx_z))  # M2
    n = note("n", zx_n)  # M3
    a = 1 - z  # M4
    u = z * n  # M5
    return a, u


CELL = linear.Cell(coefficients, MinGRUGates, len(MINGRU_GATES), params=MinGRUParams)

init = init_mingru
initial_state, step, forward, gates = contract(__name__, CELL, "M1-M5, H1")
