"""A network in NumPy: layers on top of each other and a dense head, forward and backward.

What a layer does stands in :mod:`minirnn.readable.layers` and :mod:`minirnn.readable.recurrent`; here they are put
together, and padding is kept at zero between them.

Dimension letters: T time steps, B batch, D input size, O output size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import (
    Array,
    AttentionHeadParams,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    Network,
    NetworkParams,
    Recurrent,
    Residual,
    check_inputs,
    check_lengths,
    check_states,
    check_weights,
    init_network,
)
from minirnn.readable import layers, recurrent

init = init_network


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    network: Network
    mask: Array | None  # (T, B, 1), True on real steps; None where every step is real
    layers: list[Any]  # a cache for each layer
    read: Any
    head: Any


def forward(network: Network, params: NetworkParams, xs, state=None, lengths=None, dropout_key=None):
    """Inputs xs (T, B, D) -> outputs (B, O), final state of each layer (a tuple), cache.

    Args:
      network: the description.
      params: weights.
      xs: time-major inputs; symbols (T, B) for a network that begins with an Embedding.
      state: initial state of each layer, as this function returns it (the empty tuple for a layer without one); None
        stands for zeros, or for the learned states.
      lengths: integers (B,); past its length a sequence counts for nothing.
      dropout_key: an integer or a key of :mod:`minirnn.random`; the same key drops the same units in both halves. None
        drops nothing.

    Returns:
      Outputs (B, O), or (T, B, O), zero on padding, if the head reads every step; the final states; the cache.

    Raises:
      ValueError: a shape does not fit; the message names T, B and D.
    """
    xs = np.asarray(xs)
    check_inputs(network, xs)
    check_states(state, network.layers)
    T, B = xs.shape[:2]
    mask = None
    if lengths is not None:
        lengths = np.asarray(lengths)
        check_lengths(lengths, T, B)
        mask = (np.arange(T)[:, None] < lengths)[:, :, None]  # (T, B, 1)
        xs = np.where(mask[:, :, 0] if xs.ndim == 2 else mask, xs, 0).astype(xs.dtype)
    ys, states, caches = forward_layers(network.layers, params.layers, xs, state, lengths, mask, as_key(dropout_key))
    lengths = np.full(B, T) if lengths is None else lengths
    read: Any = None
    if network.read == "last":
        ys, read = layers.last_step(ys, lengths)
    elif network.read == "mean":
        ys, read = layers.mean_over_steps(ys, lengths)
    elif network.read == "ends":
        ys, read = layers.both_ends(ys, lengths)
    elif network.read == "attention":
        ys, read = layers.attended(params.head.query, ys, None if mask is None else mask[:, :, 0])
    outputs, head = layers.dense(params.head, ys)
    outputs = _masked(outputs, mask) if network.read == "steps" else outputs
    return outputs, states, Cache(network, mask, caches, read, head)


def as_key(dropout_key):
    """A key of :mod:`minirnn.random` from an integer or from such a key; None stays None."""
    if "key<" in str(getattr(dropout_key, "dtype", "")):
        raise TypeError("dropout_key is a typed key of jax.random; expected an integer or jax.random.key_data(key)")
    return random.key(dropout_key) if dropout_key is not None and np.ndim(dropout_key) == 0 else dropout_key


def backward(doutputs, dstate, cache: Cache):
    """The gradients: doutputs like the outputs, dstate (a tuple like the state, or None) -> dparams, dxs, dstate0.

    ``dxs`` (T, B, D) is None for symbols.
    """
    network, mask, caches, read, head = cache
    doutputs, shape = np.asarray(doutputs), head[-1].shape
    if doutputs.shape != shape:
        raise ValueError(f"doutputs has shape {doutputs.shape}; expected {shape}, the shape of the outputs")
    check_states(dstate, network.layers, "dstate")
    dhead, dys = layers.dense_backward(_masked(doutputs, mask) if network.read == "steps" else doutputs, head)
    if network.read == "last":
        dys = layers.last_step_backward(dys, read)
    elif network.read == "mean":
        dys = layers.mean_over_steps_backward(dys, read)
    elif network.read == "ends":
        dys = layers.both_ends_backward(dys, read)
    elif network.read == "attention":
        dquery, dys = layers.attended_backward(dys, read)
        dhead = AttentionHeadParams(dquery, *dhead)
    dlayers, dxs, dstate0 = backward_layers(network.layers, dys, dstate, mask, caches)
    return NetworkParams(dlayers, dhead), dxs, dstate0


def _masked(ys, mask):
    return ys if mask is None else np.where(mask, ys, 0)


def forward_layers(descriptions, params, xs, state=None, lengths=None, mask=None, key=None):
    """Layers on top of each other; outputs (T, B, width), zero on padding, states, caches."""
    check_weights(params, descriptions)
    states: list[Any] = []
    caches: list[Any] = []
    for index, (layer, weights) in enumerate(zip(descriptions, params)):
        start = None if state is None else state[index]
        layer_key = None if key is None else random.fold_in(key, index)
        final: Any = ()
        cache: Any = None
        match layer:
            case Embedding():
                xs, cache = layers.embedding(weights, xs)
            case Convolution():
                xs, cache = layers.convolution(weights, xs, layer.padding, layer.activation)
            case Recurrent():
                xs, final, cache = recurrent.forward(layer, weights, xs, start, lengths, layer_key)
            case Dropout() if layer_key is not None and layer.rate:
                scale = recurrent.dropout_scale(layer_key, xs.shape[1:], layer.rate, xs.real.dtype)
                xs, cache = layers.dropout(xs, scale)
            case LayerNorm():
                xs, cache = layers.layer_norm(weights, xs, layer.epsilon)
            case Dense():
                xs, cache = layers.dense(weights, xs, layer.activation)
            case Residual():
                inner, final, cache = forward_layers(layer.layers, weights, xs, start, lengths, mask, layer_key)
                xs = xs + inner
        xs = _masked(xs, mask)
        states.append(final)
        caches.append(cache)
    return xs, tuple(states), caches


def backward_layers(descriptions, dys, dstate, mask, caches):
    """The gradients of layers on top of each other, from the last to the first."""
    dparams: list[Any] = []
    dstates: list[Any] = []
    for index, layer in reversed(list(enumerate(descriptions))):
        dfinal = None if dstate is None else dstate[index]
        dys = _masked(dys, mask)
        dweights: Any = ()
        dstart: Any = ()
        match layer:
            case Embedding():
                dweights, dys = layers.embedding_backward(dys, caches[index]), None
            case Convolution():
                dweights, dys = layers.convolution_backward(dys, caches[index])
            case Recurrent():
                dweights, dys, dstart = recurrent.backward(dys, dfinal, caches[index])
            case Dropout() if caches[index] is not None:
                dys = layers.dropout_backward(dys, caches[index])
            case LayerNorm():
                dweights, dys = layers.layer_norm_backward(dys, caches[index])
            case Dense():
                dweights, dys = layers.dense_backward(dys, caches[index])
            case Residual():
                dweights, dinner, dstart = backward_layers(layer.layers, dys, dfinal, mask, caches[index])
                dys = dys + dinner
        dparams.insert(0, dweights)
        dstates.insert(0, dstart)
    return tuple(dparams), None if dys is None else _masked(dys, mask), tuple(dstates)
