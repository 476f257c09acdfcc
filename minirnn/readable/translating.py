"""Translating in NumPy: the loss of an epoch of an encoder-decoder with its gradient, and each target's probability.

:mod:`minirnn.readable.training` trains anything that has a loss; the functions of the same names here train a
:class:`Translating`. What the decoder is fed is always the true symbol (teacher forcing).

Dimension letters: K members, n pairs, B batch, S source steps, T target steps, V target symbols.
"""

from __future__ import annotations

import numpy as np

from minirnn.params import Translated, Translating
from minirnn.readable import losses, seq2seq, training
from minirnn.readable.labelling import MOST, cut
from minirnn.readable.training import make_optimizer, members, moments, place, start, with_moments

__all__ = [
    "epoch",
    "evaluate",
    "log_probabilities",
    "make_optimizer",
    "members",
    "moments",
    "place",
    "start",
    "with_moments",
]


def _logits(description: Translating, params, data: Translated, size: tuple[int, int], key=None):
    """Logits (T, B, V), the targets (T, B) that they are for, and what the backward pass needs."""
    S, T = size
    source, target = cut(data.sources, data.source_starts, S), cut(data.targets, data.target_starts, T)
    network = description.network
    fed = seq2seq.decoder_inputs(network, target)
    lengths = data.source_lengths, data.target_lengths
    logits, cache = seq2seq.forward(network, params, source, lengths[0], fed, lengths[1], None, key)
    return logits, target, cache


def _real(data: Translated, T: int):
    """Which steps belong to a target, its end among them (T, B)."""
    return np.arange(T)[:, None] < data.target_lengths


def _read(batch) -> Translated:
    """The data of a batch: its rows, and what all batches read."""
    return Translated(*batch.data, *batch.shared)


def _split(data: Translated):
    """Rows (n, ...), and what all of them read."""
    return tuple(data[:4]), tuple(data[4:])


def _losses(description: Translating):
    def loss_of(size):
        def loss(params, batch, key):
            data = _read(batch)
            logits, target, cache = _logits(description, params, data, size, key)
            counts = _real(data, size[1]) & (target != description.unknown) & batch.count
            weights = counts.astype(logits.dtype)
            total = weights.sum()
            mean, dlogits = losses.softmax_cross_entropy(logits, np.where(counts, target, 0), weights)
            return mean * total, total, seq2seq.backward(dlogits * total, cache)

        return loss

    return tuple(loss_of(size) for size in description.sizes)


def epoch(
    description: Translating,
    optimizer,
    state,
    data: Translated,
    batches,
    counts,
    dropout_key=None,
    kinds=None,
    *,
    mesh=None,
    budget_bytes=None,
):
    """Goes once through the batches; :func:`minirnn.readable.training.run_epoch` with the cross-entropy by symbol."""
    rows, shared = _split(data)
    return training.run_epoch(
        _losses(description), optimizer, state, rows, batches, counts, dropout_key, shared, kinds, mesh=mesh
    )


def _rows(description: Translating, size: tuple[int, int]):
    """The log-probability (B, T) of each symbol of each target, zero past its end; and the targets (B, T)."""

    def rows(params, batch):
        data = _read(batch)
        logits, target, _ = _logits(description, params, data, size)
        real = _real(data, size[1])
        labels = np.where(real, target, 0)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        each = np.take_along_axis(log_p, labels[..., None], axis=-1)[..., 0]
        return np.where(real, each, 0).swapaxes(0, 1), labels.swapaxes(0, 1)

    return rows


def evaluate(description: Translating, state, portions: tuple[Translated, ...], *, mesh=None) -> np.ndarray:
    """The mean cross-entropy of each member (K,), in nats by target symbol, the ends among them.

    Args:
      description: of the network.
      state: of the training.
      portions: the pairs, in parts: each is padded to the longest source and the longest target in it.
      mesh: None.
    """
    total, weight = 0.0, 0
    for data in portions:
        size = int(data.source_lengths.max()), int(data.target_lengths.max())
        each, labels = _by_symbol(description, state, data, size, mesh)  # (K, n, T)
        real = np.arange(size[1]) < data.target_lengths[:, None]
        counts = real & (labels[0] != description.unknown)
        total = total - np.where(counts, each, 0).sum(axis=(1, 2), dtype=np.float64)
        weight += int(counts.sum())
    return np.asarray(total / max(weight, 1))


def log_probabilities(
    description: Translating, state, data: Translated, size: tuple[int, int], *, mesh=None
) -> np.ndarray:
    """The log-probability of each target, its end included, given its source (K, n), in nats.

    Args:
      description: of the network.
      state: of the training.
      data: the pairs.
      size: (S, T), steps that are computed; at least the longest lengths.
      mesh: None.
    """
    return _by_symbol(description, state, data, size, mesh)[0].sum(axis=2, dtype=np.float64)


def _by_symbol(description, state, data, size, mesh):
    rows, shared = _split(data)
    return training.run(_rows(description, size), state, rows, shared, batch_size=MOST, mesh=mesh)
