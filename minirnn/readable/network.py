"""A stack of recurrent layers and a dense head on the last valid step, in NumPy, forward and backward.

Dimension letters: T time steps, B batch, D input size, H hidden size, O output size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.params import Array, DenseParams, Network, NetworkParams, check_states
from minirnn.params import init_network as _init_network
from minirnn.readable import gru, lstm, mingru, minlstm, rnn

CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "mingru": mingru, "minlstm": minlstm}


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    network: Network
    layers: list[Any]  # a cell's cache for each layer
    last: Array  # (B,) index of each sequence's last valid step; -1 where the length is 0
    h: Array  # (B, H) what the head read
    head: DenseParams


def init(rng, network: Network, input_size: int, dtype=np.float32) -> NetworkParams:
    """Fresh weights: each layer's and the head's, drawn in that order from one generator."""
    return _init_network(rng, network, input_size, dtype)


def forward(network: Network, params: NetworkParams, xs, state=None, lengths=None, dropout_key=None):
    """Xs (T, B, D) -> outputs (B, O), final state of each layer (a tuple), cache.

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
    cell, xs = CELLS[network.cell], np.asarray(xs)
    check_states(state, params.layers)
    states, caches = [], []
    for index, layer in enumerate(params.layers):
        xs, final, cache = cell.forward(layer, xs, None if state is None else state[index], lengths)
        states.append(final)
        caches.append(cache)
    T, B, _ = xs.shape
    last = np.full(B, T - 1) if lengths is None else np.asarray(lengths).astype(int) - 1
    # Where there is no last step the head reads zeros.
    h = np.where((last < 0)[:, None], 0, xs[last, np.arange(B)]) if T else np.zeros(xs.shape[1:], xs.dtype)  # (B, H)
    outputs = h @ params.head.W + params.head.b  # (B, O)
    return outputs, tuple(states), Cache(network, caches, last, h, params.head)


def backward(doutputs, dstate, cache: Cache):
    """Doutputs (B, O), dstate (a tuple or None) -> dparams, dxs (T, B, D), dstate0 (a tuple)."""
    cell = CELLS[cache.network.cell]
    head = DenseParams(W=cache.h.T @ doutputs, b=doutputs.sum(axis=0))
    dh = np.where((cache.last < 0)[:, None], 0, doutputs @ cache.head.W.T)  # (B, H)
    T, (B, H) = len(cache.layers[-1].xs), dh.shape
    dys = np.zeros((T, B, H), dh.dtype)
    if T:
        dys[cache.last, np.arange(B)] = dh  # only the step that the head read
    dlayers: list[Any] = []
    dstates: list[Any] = []
    for index in reversed(range(len(cache.layers))):
        dlayer, dys, dstate0 = cell.backward(dys, None if dstate is None else dstate[index], cache.layers[index])
        dlayers.insert(0, dlayer)
        dstates.insert(0, dstate0)
    return NetworkParams(tuple(dlayers), head), dys, tuple(dstates)
