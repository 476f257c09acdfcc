"""The GRU that resets before the product, in JAX: one step (B1-B6). Its derivative comes from JAX.

How it differs from the other GRU stands in :mod:`minirnn.readable.gru_reset_before`.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, jnp.ones((5, 4, 3)))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.fast import engine
from minirnn.fast.activations import sigmoid
from minirnn.fast.contract import contract
from minirnn.params import GRU_GATES, GRUGates, GRUResetBeforeParams, init_gru_reset_before


def update(zx, zh, state, extra, note, second):
    """The gates of one step. zx (B, 3H), zh (B, 2H), state (B, H), second(u) = u Wh_n -> y (B, H), state."""
    zx_r, zx_z, zx_n = jnp.split(zx, 3, axis=-1)  # (B, H) each, order r z n  B1
    zh_r, zh_z = jnp.split(zh, 2, axis=-1)  # (B, H) each  B1
    r = note("r", sigmoid(zx_r + zh_r))  # B2
    z = note("z", sigmoid(zx_z + zh_z))  # B3
    u = r * state  # B4
    n = note("n", jnp.tanh(zx_n + second(u)))  # B5
    h = (1 - z) * state + z * n  # B6
    return h, h


CELL = engine.Cell(update, GRUGates, len(GRU_GATES), adds=True, second=True, params=GRUResetBeforeParams)

init = init_gru_reset_before
initial_state, step, forward, gates = contract(__name__, CELL, "B1-B6")
