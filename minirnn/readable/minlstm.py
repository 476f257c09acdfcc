"""The minLSTM in NumPy: its coefficients (N1-N7) and their gradients (N8-N12), by hand.

An LSTM without output gate whose gates do not read h, and whose forget and input gates are divided by their sum:
``h = f/(f+i) h' + i/(f+i) n`` is linear in h, and its steps can be computed in parallel (Feng et al. 2024, in the form
without logarithms: the candidate n is linear). The time loop and the product with Wx are in
:mod:`minirnn.readable.linear`.

Where f and i both underflow, f / (f + i) would be 0 / 0. So the quotient is computed as sigma(rho) with
rho = log(f) - log(i), and the logarithms come straight from the pre-activations. The gradients too go through rho:
none of them divides by a gate. (The gradients of f and i themselves, which ``gate_gradients`` returns, do: they grow
without bound as both gates vanish.)

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state, cache = forward(params, np.ones((5, 4, 3), np.float32))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import MINLSTM_GATES, MinLSTMGates, MinLSTMParams, init_minlstm
from minirnn.readable import linear
from minirnn.readable.activations import log_sigmoid, sigmoid
from minirnn.readable.contract import contract


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


CELL = linear.Cell(coefficients, coefficients_backward, MinLSTMGates, len(MINLSTM_GATES), params=MinLSTMParams)

init = init_minlstm
initial_state, step, step_backward, forward, backward, gates, gate_gradients = contract(
    __name__, CELL, "N1-N7, H1", "H2-H5, N8-N12, P2, P3, P5"
)
