"""The GRU that resets after the product, in JAX: one step (G1-G5). Its derivative comes from JAX.

The scan over time and the products with Wx and Wh are in :mod:`minirnn.fast.engine`.
The update gate z is that of Chung et al. 2014 (arXiv 1412.3555): ``h = (1 - z) h' + z n``. Cho et al. 2014, PyTorch,
Keras and flax have the opposite gate, ``h = z h' + (1 - z) n``; negating the z columns of Wx, Wh and b turns one into
the other exactly.

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
from minirnn.params import GRU_GATES, GRUGates, GRUParams, init_gru


def update(zx, zh, state, extra, note=engine.unnoted):
    """The gates of one step, elementwise. zx, zh (B, 3H), state (B, H), b_hn (H,) -> y (B, H), state."""
    zx_r, zx_z, zx_n = jnp.split(zx, 3, axis=-1)  # (B, H) each, order r z n  G1
    zh_r, zh_z, zh_n = jnp.split(zh, 3, axis=-1)  # (B, H) each  G1
    r = note("r", sigmoid(zx_r + zh_r))  # G2
    z = note("z", sigmoid(zx_z + zh_z))  # G3
    n = note("n", jnp.tanh(zx_n + r * (zh_n + extra["b_hn"])))  # G4
    h = (1 - z) * state + z * n  # G5
    return h, h


CELL = engine.Cell(update, GRUGates, len(GRU_GATES), adds=True, apart=1, params=GRUParams)

init = init_gru
initial_state, step, forward, gates = contract(__name__, CELL, "G1-G5")
