"""One recurrent layer of a network, in JAX: one or two directions, recurrent dropout, learned initial state.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from minirnn import random
from minirnn.fast import platforms
from minirnn.fast.cells import CELLS
from minirnn.params import Directions, Embedding, Recurrent, RecurrentParams

# Steps of a batch for each symbol from which on a table of all symbols is formed. With as many symbols as steps the
# products would be as many, and the table, its gradient and what it takes to add that up come on top.
_STEPS_OF_A_SYMBOL = 4


def reverse(xs, lengths):
    """Turns each sequence around within its length: xs (T, B, ...) -> the same shape; padding stays where it is."""
    T, B = xs.shape[:2]
    if lengths is None:
        return xs[::-1]
    t, lengths = jnp.arange(T)[:, None], jnp.asarray(lengths).astype(int)
    return xs[jnp.where(t < lengths, lengths - 1 - t, t), jnp.arange(B)]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["key", "first"], meta_fields=["total"])
@dataclass(frozen=True)
class RowsKey:
    """A dropout key for some rows of a batch whose other rows are on other devices.

    The bits are drawn for the whole batch and every device takes its own, so that their number changes no bit.
    ``total`` is a shape: it stays a number where a loss is compiled (``jax.jit``, ``jax.checkpoint``) by itself.
    """

    key: Any  # of jax.random
    first: Any  # the first of the rows
    total: int  # how many the whole batch has


def fold_in(key, data):
    """``jax.random.fold_in``, for a :class:`RowsKey` too."""
    if isinstance(key, RowsKey):
        return replace(key, key=jax.random.fold_in(key.key, data))
    return jax.random.fold_in(key, data)


def dropout_scale(key, shape, rate, dtype):
    """0 where a unit is dropped, 1 / (1 - rate) where it is kept; the same bits as in the other half."""
    if isinstance(key, RowsKey):
        bits = jax.random.bits(key.key, (key.total, *shape[1:]), "uint32")
        bits = lax.dynamic_slice_in_dim(bits, key.first, shape[0])
    else:
        bits = jax.random.bits(key, shape, "uint32")
    kept = random.dropout_mask(bits, rate)
    return jnp.where(kept, 1 / (1 - rate), 0).astype(dtype)


def reads_symbols(descriptions, params, count) -> bool:
    """Whether layers begin with an embedding E (V, D) and a cell that better reads symbols than their rows of E.

    ``E Wx`` is then formed once for each symbol, not ``E[symbol] Wx`` at each of ``count`` steps: that pays where a
    batch has many more steps than there are symbols, as it has of characters. Dropout between the two prevents it.
    """
    match descriptions[:2]:
        case Embedding(), Recurrent() as layer:
            E, weights = params[0].E, params[1].weights.forward if layer.bidirectional else params[1].weights
            # Weights that do not fit are left to the checks of the cell. A size that is exported open is not compared.
            fit = hasattr(weights, "Wh") and weights.Wx.ndim == 2 and E.shape[1] == len(weights.Wx)
            alike = E.dtype == weights.Wx.dtype and layer.products is None
            few = isinstance(count, int) and _STEPS_OF_A_SYMBOL * len(E) <= count
            return platforms.multiplies_symbols_once() and fit and alike and few
    return False


def with_table(layer: Recurrent, params: RecurrentParams, E) -> RecurrentParams:
    """The weights of a layer that reads symbols, made of those of one that reads their rows of E (V, D)."""

    def joined(weights):
        return weights._replace(Wx=E @ weights.Wx)

    weights = params.weights
    return params._replace(weights=Directions(*map(joined, weights)) if layer.bidirectional else joined(weights))


def forward(layer: Recurrent, params: RecurrentParams, xs, state=None, lengths=None, dropout_key=None):
    """Inputs xs (T, B, D) -> ys (T, B, width), final state.

    Args:
      layer: the description.
      params: weights.
      xs: time-major inputs, or symbols (T, B) with the weights of :func:`with_table`.
      state: initial state, ``Directions`` of states if the layer is bidirectional; None stands for the learned one, or
        for zeros.
      lengths: integers (B,), or None.
      dropout_key: a key of ``jax.random`` or a :class:`RowsKey`, or None for no recurrent dropout.
    """
    cell, B = CELLS[layer.cell], xs.shape[1]
    directions = params.weights if layer.bidirectional else (params.weights,)
    if state is None and params.learns_initial_state:
        state = jax.tree.map(lambda s: jnp.broadcast_to(s, (B, s.shape[-1])), params.initial)
    states = (None,) * len(directions) if state is None else state if layer.bidirectional else (state,)
    scales: list[Any] = [None] * len(directions)
    if layer.recurrent_dropout and dropout_key is not None:
        keys = [fold_in(dropout_key, index) for index in range(len(directions))]
        shape, rate, dtype = (B, layer.hidden_size), layer.recurrent_dropout, directions[0].Wh.dtype
        scales = [dropout_scale(key, shape, rate, dtype) for key in keys]

    def walk(weights, xs, start, scale):
        options = {**layer.options, "save": layer.save, "products": layer.products}
        if scale is not None:
            options["recurrent_scale"] = scale
        return cell.forward(weights, xs, start, lengths, **options)

    reads = (xs, reverse(xs, lengths)) if layer.bidirectional else (xs,)
    each = list(zip(directions, reads, states, scales))
    if layer.bidirectional and platforms.joins_directions():
        # One loop over both: its products are twice as large and its steps half as many.
        joined = jax.vmap(walk)(*(jax.tree.map(lambda *a: jnp.stack(a), *argument) for argument in zip(*each)))
        results = [jax.tree.map(lambda a, k=k: a[k], joined) for k in range(2)]
    else:
        results = [walk(*direction) for direction in each]
    # Aligned in time.
    outputs = [ys if index == 0 else reverse(ys, lengths) for index, (ys, _) in enumerate(results)]
    finals = [final for _, final in results]
    if not layer.bidirectional:
        return outputs[0], finals[0]
    if layer.merge == "concat":
        merged = jnp.concatenate(outputs, axis=-1)  # (T, B, 2H)
    else:
        merged = (outputs[0] + outputs[1]) * (1.0 if layer.merge == "sum" else 0.5)  # (T, B, H)
    return merged, Directions(*finals)
