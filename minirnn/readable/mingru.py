"""The minGRU in NumPy: its coefficients (M1-M5) and their gradients (M6-M9), by hand.

A GRU without reset gate whose gates do not read h: ``h = (1 - z) h' + z n`` is then linear in h, and its steps can be
computed in parallel (Feng et al. 2024, in the form without logarithms: the candidate n is linear).
The time loop and the product with Wx are in :mod:`minirnn.readable.linear`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.equations import numbered
from minirnn.params import MINGRU_GATES, MinGRUGates, MinGRUParams, init_mingru
from minirnn.readable import linear
from minirnn.readable.activations import sigmoid


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


CELL = linear.Cell(coefficients, coefficients_backward, MinGRUGates, len(MINGRU_GATES))

init = init_mingru


def initial_state(params: MinGRUParams, batch_size: int):
    """Zero state: h (B, H), in the dtype of the weights."""
    return linear.initial_state(CELL, params, batch_size)


@numbered("M1-M5, H1")
def step(params: MinGRUParams, x, state):
    """One minGRU step. x (B, D), state (B, H) -> y (B, H), state, cache."""
    return linear.step(CELL, params, x, state)


@numbered("H2-H5, M6-M9, P2, P3, P5")
def step_backward(dy, dstate, cache):
    """The gradients of one minGRU step. dy, dstate (B, H) -> dparams, dx (B, D), dstate_prev (B, H)."""
    return linear.step_backward(dy, dstate, cache)


@numbered("M1-M5, H1")
def forward(params: MinGRUParams, xs, state=None, lengths=None):
    """A minGRU over a sequence. xs (T, B, D) -> ys (T, B, H), final state (B, H), cache.

    Arguments, masking and errors: :func:`minirnn.readable.engine.forward`.

    >>> params = init(0, input_size=3, hidden_size=2)
    >>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
    >>> ys.shape, state.shape
    ((5, 4, 2), (4, 2))
    """
    return linear.forward(CELL, params, xs, state, lengths)


@numbered("H2-H5, M6-M9, P2, P3, P5")
def backward(dys, dstate, cache):
    """Backpropagation through time. dys (T, B, H), dstate -> dparams, dxs (T, B, D), dstate0.

    ``dys`` excludes what flows between the steps; see :func:`minirnn.readable.engine.backward`.
    """
    return linear.backward(dys, dstate, cache)


def gates(params: MinGRUParams, xs, state=None, lengths=None) -> MinGRUGates:
    """Every named intermediate over time: z and n, each (T, B, H), zero on padding."""
    return linear.gates(CELL, params, xs, state, lengths)


def gate_gradients(dys, dstate, cache) -> MinGRUGates:
    """The gradient with respect to each of :func:`gates`, each (T, B, H); arguments as in :func:`backward`."""
    return linear.gate_gradients(dys, dstate, cache)
