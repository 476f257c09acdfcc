"""The minLSTM in NumPy: its coefficients (N1-N7) and their gradients (N8-N12), by hand.

An LSTM without output gate whose gates do not read h, and whose forget and input gates are divided by their sum:
``h = f/(f+i) h' + i/(f+i) n`` is linear in h, and its steps can be computed in parallel (Feng et al. 2024, in the form
without logarithms: the candidate n is linear). The time loop and the product with Wx are in
:mod:`minirnn.readable.linear`.

Where f and i both underflow, f / (f + i) would be 0 / 0. So the quotient is computed as sigma(rho) with
rho = log(f) - log(i), and the logarithms come straight from the pre-activations. The gradients too go through rho:
none of them divides by a gate.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.equations import numbered
from minirnn.params import MINLSTM_GATES, MinLSTMGates, MinLSTMParams, init_minlstm
from minirnn.readable import linear
from minirnn.readable.activations import log_sigmoid, sigmoid


def coefficients(zx):
    """The coefficients of ``h = a h' + u``, elementwise. zx (..., 3H) -> a, u (..., H), gates."""
    zx_f, zx_i, zx_n = np.split(zx, 3, axis=-1)  # (..., H) each, order f i n  N1
    log_f, log_i = log_sigmoid(zx_f), log_sigmoid(zx_i)
    f = np.exp(log_f)  # N2
    i = np.exp(log_i)  # N3
    n = zx_n  # N4
    rho = log_f - log_i  # N5
    a = sigmoid(rho)  # N6: f / (f + i)
    u = sigmoid(-rho) * n  # N7: sigmoid(-rho) is i / (f + i)
    return a, u, MinLSTMGates(f, i, n)


def coefficients_backward(da, du, a, gates):
    """The gradients of the gates. da, du, a (..., H) -> dzx (..., 3H), and those of the named intermediates."""
    f, i, n = gates
    dn = du * (1 - a)  # N8
    drho = (da - du * n) * a * (1 - a)  # N9
    dzx_f = drho * (1 - f)  # N10
    dzx_i = -drho * (1 - i)  # N11
    dzx_n = dn  # N12
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # at a gate that underflowed: not finite
        dgates = MinLSTMGates(drho / f, -drho / i, dn)
    return np.concatenate([dzx_f, dzx_i, dzx_n], axis=-1), dgates


CELL = linear.Cell(coefficients, coefficients_backward, MinLSTMGates, len(MINLSTM_GATES))

init = init_minlstm


def initial_state(params: MinLSTMParams, batch_size: int):
    """Zero state: h (B, H), in the dtype of the weights."""
    return linear.initial_state(CELL, params, batch_size)


@numbered("N1-N7, H1")
def step(params: MinLSTMParams, x, state):
    """One minLSTM step. x (B, D), state (B, H) -> y (B, H), state, cache."""
    return linear.step(CELL, params, x, state)


@numbered("H2-H5, N8-N12, P2, P3, P5")
def step_backward(dy, dstate, cache):
    """The gradients of one minLSTM step. dy, dstate (B, H) -> dparams, dx (B, D), dstate_prev (B, H)."""
    return linear.step_backward(dy, dstate, cache)


@numbered("N1-N7, H1")
def forward(params: MinLSTMParams, xs, state=None, lengths=None):
    """A minLSTM over a sequence. xs (T, B, D) -> ys (T, B, H), final state (B, H), cache.

    Arguments, masking and errors: :func:`minirnn.readable.engine.forward`.

    >>> params = init(0, input_size=3, hidden_size=2)
    >>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
    >>> ys.shape, state.shape
    ((5, 4, 2), (4, 2))
    """
    return linear.forward(CELL, params, xs, state, lengths)


@numbered("H2-H5, N8-N12, P2, P3, P5")
def backward(dys, dstate, cache):
    """Backpropagation through time. dys (T, B, H), dstate -> dparams, dxs (T, B, D), dstate0.

    ``dys`` excludes what flows between the steps; see :func:`minirnn.readable.engine.backward`.
    """
    return linear.backward(dys, dstate, cache)


def gates(params: MinLSTMParams, xs, state=None, lengths=None) -> MinLSTMGates:
    """Every named intermediate over time: f, i and n, each (T, B, H), zero on padding."""
    return linear.gates(CELL, params, xs, state, lengths)


def gate_gradients(dys, dstate, cache) -> MinLSTMGates:
    """The gradient with respect to each of :func:`gates`, each (T, B, H); arguments as in :func:`backward`.

    Those of f and i grow without bound as both gates vanish; :func:`backward` does not use them.
    """
    return linear.gate_gradients(dys, dstate, cache)
