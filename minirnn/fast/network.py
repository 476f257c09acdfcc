"""A network in JAX: layers on top of each other and a dense head.

What a layer does stands in :mod:`minirnn.fast.layers` and :mod:`minirnn.fast.recurrent`; here they are put together,
and padding is kept at zero between them.

Dimension letters: T time steps, B batch, D input size, O output size.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from minirnn import random
from minirnn.fast import layers, recurrent
from minirnn.params import (
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
    check_vocabulary,
    check_weights,
    init_network,
)

init = init_network


def forward(network: Network, params: NetworkParams, xs, state=None, lengths=None, dropout_key=None):
    """Inputs xs (T, B, D) -> outputs (B, O), final state of each layer (a tuple).

    Args:
      network: the description.
      params: weights.
      xs: time-major inputs; symbols (T, B) for a network that begins with an Embedding.
      state: initial state of each layer, as this function returns it (the empty tuple for a layer without one); None
        stands for zeros, or for the learned states.
      lengths: integers (B,); past its length a sequence counts for nothing.
      dropout_key: an integer, a key of ``jax.random`` or of :mod:`minirnn.random`; the same key drops the same units in
        both halves. None drops nothing. Training needs a new key for every update: fold the update's number into one
        (``random.fold_in`` of minirnn and of JAX give the same).

    Returns:
      Outputs (B, O), or (T, B, O), zero on padding, if the head reads every step; the final states.

    Raises:
      ValueError: a shape does not fit; the message names T, B and D.
    """
    traced_xs = isinstance(xs, jax.core.Tracer)
    xs = jnp.asarray(xs)
    check_inputs(network, xs)
    check_states(state, network.layers)
    params = jax.tree.map(jnp.asarray, params)  # init gives NumPy arrays, which a traced index cannot read
    T, B = xs.shape[:2]
    mask = None
    if lengths is not None:
        traced = isinstance(lengths, jax.core.Tracer)
        lengths = lengths if traced else np.asarray(lengths)
        check_lengths(lengths, T, B, values=not traced)
        lengths = jnp.clip(lengths, 0, T).astype(int) if traced else lengths.astype(int)
        mask = (jnp.arange(T)[:, None] < jnp.asarray(lengths))[:, :, None]  # (T, B, 1)
        xs = jnp.where(mask[:, :, 0] if xs.ndim == 2 else mask, xs, 0)
    if xs.ndim == 2 and not (traced_xs or isinstance(xs, jax.core.Tracer)):
        check_vocabulary(xs, network.layers[0].vocabulary_size)
    ys, states = forward_layers(network.layers, params.layers, xs, state, lengths, mask, as_key(dropout_key))
    lengths = np.full(B, T) if lengths is None else lengths
    if network.read == "last":
        ys = layers.last_step(ys, lengths)
    elif network.read == "mean":
        ys = layers.mean_over_steps(ys, lengths)
    elif network.read == "ends":
        ys = layers.both_ends(ys, lengths)
    elif network.read == "attention":
        ys = layers.attended(params.head.query, ys, None if mask is None else mask[:, :, 0])
    outputs = layers.dense(params.head, ys)
    return _masked(outputs, mask) if network.read == "steps" else outputs, states


def as_key(dropout_key):
    """A typed key of ``jax.random`` from an integer or from a key of either kind; None and a RowsKey stay."""
    if dropout_key is None or isinstance(dropout_key, recurrent.RowsKey):
        return dropout_key
    if isinstance(dropout_key, int | np.integer):
        dropout_key = random.key(int(dropout_key))
    dropout_key = jnp.asarray(dropout_key)
    if jnp.issubdtype(dropout_key.dtype, jax.dtypes.prng_key):
        if str(jax.random.key_impl(dropout_key)) != "threefry2x32":
            raise ValueError(f"dropout_key is of {jax.random.key_impl(dropout_key)}; expected threefry2x32")
        return dropout_key
    if dropout_key.ndim == 0:
        return jax.random.key(dropout_key, impl="threefry2x32")
    return jax.random.wrap_key_data(dropout_key, impl="threefry2x32")


def _masked(ys, mask):
    return ys if mask is None else jnp.where(mask, ys, 0)


def forward_layers(descriptions, params, xs, state=None, lengths=None, mask=None, key=None):
    """Layers on top of each other; outputs (T, B, width), zero on padding, and states."""
    check_weights(params, descriptions)
    symbols = xs.ndim == 2 and recurrent.reads_symbols(descriptions, params, xs.size)
    if symbols:
        params = (params[0], recurrent.with_table(descriptions[1], params[1], params[0].E), *params[2:])
    states: list[Any] = []
    for index, (layer, weights) in enumerate(zip(descriptions, params)):
        start = None if state is None else state[index]
        layer_key = None if key is None else recurrent.fold_in(key, index)
        final: Any = ()
        match layer:
            case Embedding() if symbols:  # the next layer reads them
                states.append(final)
                continue
            case Embedding():
                xs = layers.embedding(weights, xs)
            case Convolution():
                xs = layers.convolution(weights, xs, layer.padding, layer.activation)
            case Recurrent():
                xs, final = recurrent.forward(layer, weights, xs, start, lengths, layer_key)
            case Dropout() if layer_key is not None and layer.rate:
                scale = recurrent.dropout_scale(layer_key, xs.shape[1:], layer.rate, xs.dtype)
                xs = layers.dropout(xs, scale)
            case LayerNorm():
                xs = layers.layer_norm(weights, xs, layer.epsilon)
            case Dense():
                xs = layers.dense(weights, xs, layer.activation)
            case Residual():
                inner, final = forward_layers(layer.layers, weights, xs, start, lengths, mask, layer_key)
                xs = xs + inner
        xs = _masked(xs, mask)
        states.append(final)
    return xs, tuple(states)
