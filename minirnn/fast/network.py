"""A stack of recurrent layers and a dense head on the last valid step, in JAX.

Dimension letters: T time steps, B batch, D input size, H hidden size, O output size.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from minirnn.fast import gru, lstm, mingru, minlstm, rnn
from minirnn.params import Network, NetworkParams, check_states
from minirnn.params import init_network as _init_network

CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "mingru": mingru, "minlstm": minlstm}


def init(rng, network: Network, input_size: int, dtype=np.float32) -> NetworkParams:
    """Fresh weights: each layer's and the head's, drawn in that order from one generator."""
    return _init_network(rng, network, input_size, dtype)


def forward(network: Network, params: NetworkParams, xs, state=None, lengths=None, dropout_key=None):
    """Xs (T, B, D) -> outputs (B, O), final state of each layer (a tuple).

    Args:
      network: the description.
      params: weights.
      xs: time-major inputs.
      state: initial state of each layer; None stands for zeros.
      lengths: integers (B,); the head reads step ``lengths - 1``, and zeros where the length is 0.
      dropout_key: no layer of this network drops units; only None is accepted.
    """
    if dropout_key is not None:
        raise ValueError("dropout_key was given, but no layer of this network drops units")
    cell, xs = CELLS[network.cell], jnp.asarray(xs)
    check_states(state, params.layers)
    states = []
    for index, layer in enumerate(params.layers):
        xs, final = cell.forward(layer, xs, None if state is None else state[index], lengths)
        states.append(final)
    T, B, _ = xs.shape
    last = jnp.full(B, T - 1) if lengths is None else jnp.asarray(lengths).astype(int) - 1
    # Where there is no last step the head reads zeros.
    h = jnp.where((last < 0)[:, None], 0, xs[last, jnp.arange(B)]) if T else jnp.zeros(xs.shape[1:], xs.dtype)  # (B, H)
    outputs = h @ params.head.W + params.head.b  # (B, O)
    return outputs, tuple(states)
