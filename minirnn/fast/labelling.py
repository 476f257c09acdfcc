"""Labelling sequences, or their steps, in JAX: the loss of an epoch, and the probabilities of each class.

:mod:`minirnn.fast.training` trains anything that has a loss; the functions of the same names here train a
:class:`Labelling`. Sequences lie end to end on the device and are cut out where a batch needs them.

Dimension letters: K members, n sequences, N steps of all of them, B batch, T time steps, C classes.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from minirnn.fast import losses, network, spelling, training
from minirnn.fast.training import make_optimizer, members, moments, place, start, with_moments
from minirnn.params import Labelled, Labelling, Spelled, Tagged

__all__ = [
    "cut",
    "epoch",
    "evaluate",
    "make_optimizer",
    "members",
    "moments",
    "place",
    "predict",
    "start",
    "with_moments",
]
MOST = 256  # sequences that are read at a time


def cut(values, starts, T: int):
    """Sequences that begin at ``starts`` (B,): values, a tree of arrays (N, ...) -> (T, B, ...).

    What lies beyond a sequence's end belongs to the next one: its length says that it counts for nothing.
    """
    steps = starts + jnp.arange(T)[:, None]  # (T, B)
    return jax.tree.map(lambda array: jnp.take(array, steps, axis=0, mode="clip"), values)


def _module(description: Labelling):
    """The module whose ``forward`` such a network is for."""
    return spelling if isinstance(description.network, Spelled) else network


def _logits(description: Labelling, params, data: Labelled | Tagged, T: int, key=None):
    """Logits (B, C), or (T, B, C) of every step."""
    xs = cut(data.values, data.starts, T)
    return _module(description).forward(description.network, params, xs, None, data.lengths, key)[0]


def _labels(data: Labelled | Tagged, count, T: int):
    """Labels and weights like the logits without their last axis; ``count`` (B,) says which sequences count."""
    if isinstance(data, Labelled):
        return data.labels, jnp.where(count, data.weights, 0)
    labels, t = cut(data.labels, data.starts, T), jnp.arange(T)[:, None]
    counts = (t >= data.first) & (t < data.stop) & (labels >= 0) & count
    return jnp.where(counts, labels, 0), counts


def _read(batch) -> Labelled | Tagged:
    """The data of a batch: its rows, and what all batches read."""
    kind = Labelled if len(batch.shared) == 1 else Tagged
    return kind(*batch.data, *batch.shared)


def _split(data: Labelled | Tagged):
    """Rows (n, ...), and what all of them read."""
    return tuple(data[:4]), tuple(data[4:])


@functools.cache
def _losses(description: Labelling):
    def loss_of(T):
        def loss(params, batch, key):
            data = _read(batch)
            logits = _logits(description, params, data, T, key)
            labels, weights = _labels(data, batch.count, T)
            weights = weights.astype(logits.dtype)
            total = weights.sum()
            return losses.softmax_cross_entropy(logits, labels, weights) * total, total

        return loss

    return tuple(loss_of(T) for T in description.sizes)


def epoch(
    description: Labelling,
    optimizer,
    state,
    data: Labelled | Tagged,
    batches,
    counts,
    dropout_key=None,
    kinds=None,
    *,
    mesh=None,
    budget_bytes=None,
):
    """Goes once through the batches; as :func:`minirnn.fast.training.run_epoch`, with the cross-entropy."""
    rows, shared = _split(data)
    return training.run_epoch(
        _losses(description),
        optimizer,
        state,
        rows,
        batches,
        counts,
        dropout_key,
        shared,
        kinds,
        mesh=mesh,
        budget_bytes=budget_bytes,
    )


@functools.cache
def _rows(description: Labelling, T: int):
    """The loss of each sequence, its weighted sum (B,), and the sum of its weights (B,)."""

    def rows(params, batch):
        data = _read(batch)
        logits = _logits(description, params, data, T)
        labels, weights = _labels(data, batch.count, T)
        each = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)[..., 0]
        each = jnp.where(weights != 0, each * weights, 0)
        return (each.sum(axis=0), weights.sum(axis=0)) if description.by_step else (each, weights)

    return rows


def evaluate(description: Labelling, state, portions: tuple[Labelled | Tagged, ...], *, mesh=None) -> np.ndarray:
    """The mean cross-entropy of each member (K,), in nats.

    Args:
      description: of the network.
      state: of the training.
      portions: the sequences, in parts: each is padded to the longest sequence in it.
      mesh: devices, or None.
    """
    total, weight = 0.0, 0.0
    for data in portions:
        rows, shared = _split(data)
        function = _rows(Labelling(description.network), int(data.lengths.max()))
        each, weights = training.run(function, state, rows, shared, batch_size=MOST, mesh=mesh)  # (K, n)
        total, weight = total + each.sum(axis=1, dtype=np.float64), weight + weights.sum(axis=1, dtype=np.float64)
    return np.asarray(total / np.maximum(weight, 1e-300))


@functools.cache
def _outputs(description: Labelling, T: int):
    def outputs(params, batch):
        starts, lengths = batch.data
        xs = cut(batch.shared[0], starts, T)
        logits = _module(description).forward(description.network, params, xs, None, lengths)[0]
        return logits.swapaxes(0, 1) if description.by_step else logits

    return outputs


def predict(description: Labelling, state, values, starts, lengths, T: int, *, mesh=None) -> np.ndarray:
    """Sequences in ``values`` -> the logits of each member (K, n, C), or (K, n, T, C) of every step, as NumPy.

    Args:
      description: of the network.
      state: of the training.
      values: a tree of arrays (N, ...).
      starts: (n,) where the sequences begin.
      lengths: (n,)
      T: steps that are computed; at least the longest length.
      mesh: devices, or None.
    """
    function = _outputs(Labelling(description.network), T)
    return training.run(function, state, (starts, lengths), (values,), batch_size=MOST, mesh=mesh)
