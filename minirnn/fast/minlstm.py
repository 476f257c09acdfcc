"""The minLSTM in JAX: its coefficients (N1-N7). Their derivatives come from JAX.

An LSTM without output gate whose gates do not read h, and whose forget and input gates are divided by their sum:
``h = f/(f+i) h' + i/(f+i) n`` is linear in h, and its steps can be computed in parallel (Feng et al. 2024, in the form
without logarithms: the candidate n is linear). The scan over time and the product with Wx are in
:mod:`minirnn.fast.linear`.

Where f and i both underflow, f / (f + i) would be 0 / 0. So the quotient is computed as sigma(rho) with
rho = log(f) - log(i), and the logarithms come straight from the pre-activations.

>>> params = init(0, input_size=3, hidden_size=2)
>>> ys, state = forward(params, jnp.ones((5, 4, 3)))
>>> ys.shape, state.shape
((5, 4, 2), (4, 2))

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from minirnn.fast import linear
from minirnn.fast.activations import sigmoid
from minirnn.fast.contract import contract
from minirnn.fast.engine import unnoted
from minirnn.params import MINLSTM_GATES, MinLSTMGates, MinLSTMParams, init_minlstm


def coefficients(zx, note=unnoted):
    """The coefficients of ``h = a h' + u``, elementwise. zx (..., 3H) -> a, u (..., H)."""
    zx_f, zx_i, zx_n = jnp.split(zx, 3, axis=-1)  # (..., H) each, order f i n  N1
    log_f, log_i = jax.nn.log_sigmoid(zx_f), jax.nn.log_sigmoid(zx_i)
    n = note("n", zx_n)  # N4
    if note is not unnoted:  # somebody looks at the gates themselves, or disturbs them
        f = note("f", jnp.exp(log_f))  # N2
        i = note("i", jnp.exp(log_i))  # N3
        log_f, log_i = jnp.log(f), jnp.log(i)
    rho = log_f - log_i  # N5
    a = sigmoid(rho)  # N6: f / (f + i)
    u = sigmoid(-rho) * n  # N7: sigmoid(-rho) is i / (f + i)
    return a, u


CELL = linear.Cell(coefficients, MinLSTMGates, len(MINLSTM_GATES), params=MinLSTMParams)

init = init_minlstm
initial_state, step, forward, gates = contract(__name__, CELL, "N1-N7, H1")
