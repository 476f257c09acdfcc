"""One recurrent layer of a network, in NumPy: one or two directions, recurrent dropout, learned initial state.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import Array, Directions, Recurrent, RecurrentParams, map_state
from minirnn.readable.cells import CELLS


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    layer: Recurrent
    params: RecurrentParams
    learned: bool  # whether the walk began at the learned initial state
    lengths: Array | None
    caches: tuple[Any, ...]  # a cell's cache for each direction


def reverse(xs, lengths):
    """Turns each sequence around within its length: xs (T, B, ...) -> the same shape; padding stays where it is.

    >>> reverse(np.array([[1, 5], [2, 6], [3, 0]]), np.array([3, 2]))
    array([[3, 6],
           [2, 5],
           [1, 0]])
    """
    T, B = xs.shape[:2]
    if lengths is None:
        return xs[::-1]
    t, lengths = np.arange(T)[:, None], np.asarray(lengths).astype(int)
    return xs[np.where(t < lengths, lengths - 1 - t, t), np.arange(B)]


def dropout_scale(key, shape, rate, dtype):
    """0 where a unit is dropped, 1 / (1 - rate) where it is kept; the same bits as in the other half."""
    kept = random.dropout_mask(random.bits(key, shape), rate)
    return np.where(kept, 1 / (1 - rate), 0).astype(dtype)


def forward(layer: Recurrent, params: RecurrentParams, xs, state=None, lengths=None, dropout_key=None):
    """Inputs xs (T, B, D) -> ys (T, B, width), final state, cache.

    Args:
      layer: the description.
      params: weights.
      xs: time-major inputs.
      state: initial state, ``Directions`` of states if the layer is bidirectional; None stands for the learned one, or
        for zeros.
      lengths: integers (B,), or None.
      dropout_key: uint32 (2,), or None for no recurrent dropout.
    """
    cell, B = CELLS[layer.cell], xs.shape[1]
    directions = params.weights if layer.bidirectional else (params.weights,)
    learned = state is None and params.learns_initial_state
    if learned:
        state = _map_directions(lambda s: np.broadcast_to(s, (B, s.shape[-1])), layer, params.initial)
    states = (None,) * len(directions) if state is None else state if layer.bidirectional else (state,)
    outputs, finals, caches = [], [], []
    for index, (weights, start) in enumerate(zip(directions, states)):
        scale = None
        if layer.recurrent_dropout and dropout_key is not None:
            key = random.fold_in(dropout_key, index)
            scale = dropout_scale(key, (B, layer.hidden_size), layer.recurrent_dropout, weights.Wh.real.dtype)
        options = layer.options if scale is None else {**layer.options, "recurrent_scale": scale}
        read = xs if index == 0 else reverse(xs, lengths)
        ys, final, cache = cell.forward(weights, read, start, lengths, **options)
        outputs.append(ys if index == 0 else reverse(ys, lengths))  # aligned in time
        finals.append(final)
        caches.append(cache)
    cache = Cache(layer, params, learned, lengths, tuple(caches))
    if not layer.bidirectional:
        return outputs[0], finals[0], cache
    if layer.merge == "concat":
        merged = np.concatenate(outputs, axis=-1)  # (T, B, 2H)
    else:
        merged = (outputs[0] + outputs[1]) * (1.0 if layer.merge == "sum" else 0.5)  # (T, B, H)
    return merged, Directions(*finals), cache


def backward(dys, dstate, cache: Cache):
    """Gradients dys (T, B, width), dstate (like the state, or None) -> dparams, dxs (T, B, D), dstate0."""
    layer, params, learned, lengths, caches = cache
    cell = CELLS[layer.cell]
    if not layer.bidirectional:
        dweights, dxs, dstate0 = cell.backward(dys, dstate, caches[0])
    else:
        if layer.merge == "concat":
            dforward, dbackward = np.split(dys, 2, axis=-1)
        else:
            dforward = dbackward = dys * (1.0 if layer.merge == "sum" else 0.5)
        first, second = (None, None) if dstate is None else dstate
        dw_forward, dxs_forward, ds_forward = cell.backward(dforward, first, caches[0])
        dw_backward, dxs_backward, ds_backward = cell.backward(reverse(dbackward, lengths), second, caches[1])
        dweights, dstate0 = Directions(dw_forward, dw_backward), Directions(ds_forward, ds_backward)
        dxs = dxs_forward + reverse(dxs_backward, lengths)
    dinitial = _map_directions(lambda d: d.sum(axis=0), layer, dstate0)  # every sequence began at the same state
    if not params.learns_initial_state:
        dinitial = ()
    elif not learned:
        dinitial = _map_directions(np.zeros_like, layer, params.initial)
    return RecurrentParams(dweights, dinitial), dxs, dstate0


def _map_directions(function, layer: Recurrent, state):
    """Applies ``function`` to every array of a layer's state."""
    if layer.bidirectional:
        return Directions(*(map_state(function, part) for part in state))
    return map_state(function, state)
