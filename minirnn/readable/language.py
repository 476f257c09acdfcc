"""Predicting the next symbol of a text, in NumPy: an epoch of truncated backpropagation, and how well it does.

A batch of an epoch is one chunk of each of B streams; the state of a stream goes on from chunk to chunk. A text is its
symbols, one document after the other with ``BETWEEN`` between them: that one is read, but nobody is asked for it.

Dimension letters: K members, N symbols, S chunks of a stream, B streams, W window, T symbols, V vocabulary size.
"""

from __future__ import annotations

import numpy as np

from minirnn import random
from minirnn.params import BETWEEN, STREAMS, Language, chunks, pieces, zero_states
from minirnn.readable import losses, network, training
from minirnn.readable.optimizers import tree_map
from minirnn.readable.training import make_optimizer, members, moments, place, start, with_moments

__all__ = [
    "advance",
    "epoch",
    "evaluate",
    "make_optimizer",
    "members",
    "moments",
    "place",
    "start",
    "with_moments",
]


def _loss(description: Language):
    def loss(params, batch, key, carried):
        (starts,), (symbols,) = batch.data, batch.shared
        # Beyond the end of the text comes its beginning: a stream may start anywhere.
        places = (starts + np.arange(description.window + 1)[:, None]) % len(symbols)
        read = symbols[places]  # (W + 1, B)
        logits, carried, cache = network.forward(description.network, params, read[:-1], carried, None, key)
        weights = ((read[1:] != BETWEEN) & batch.count).astype(logits.dtype)
        total = weights.sum()
        mean, dlogits = losses.softmax_cross_entropy(logits, read[1:], weights)
        # dstate = None: nothing comes back from the chunks after this one.
        dparams, _, _ = network.backward(dlogits * total, None, cache)
        return mean * total, total, dparams, carried

    return loss


def epoch(
    description: Language,
    optimizer,
    state,
    data,
    batches,
    counts,
    dropout_key=None,
    *,
    mesh=None,
    budget_bytes=None,
    report=None,
):
    """Goes once through the chunks of all streams; as :func:`minirnn.readable.training.run_epoch`.

    Args:
      description: of the network.
      optimizer: of :mod:`minirnn.readable.optimizers`.
      state: of the training. Streams begin with the state zero.
      data: the symbols (N,), in a tuple.
      batches: the places in the text where chunks begin (K, S, B). Those of a stream follow each other.
      counts: (S, B)
      dropout_key: of the units that are dropped.
      mesh: None.
      budget_bytes: not needed.
      report: called now and then with the share of the epoch that is done, and the latest loss.
    """
    K, S, B = batches.shape
    dtype = state.members[0].head.W.dtype
    state = state._replace(carried=[zero_states(description.network.layers, (B,), dtype) for _ in range(K)])
    number, size = pieces(S, B * description.window)
    records = []
    for piece in range(number):
        part = slice(piece * size, (piece + 1) * size)
        places = batches[:, part]
        rows = np.arange(places.size).reshape(places.shape)
        key = None if dropout_key is None else random.fold_in(dropout_key, piece)
        state, record = training.run_epoch(
            _loss(description), optimizer, state, (places.reshape(-1),), rows, counts[part], key, data, mesh=mesh
        )
        records.append(record)
        if report is not None:
            report((piece + 1) / number, float(record.loss.mean()))
    return state._replace(carried=None), training.joined(records, S)


def _chunk(description: Language):
    """What each stream of a chunk loses (B,), and its state after it."""

    def chunk(params, batch):
        xs, targets, asked, state = batch.data
        logits, state, _ = network.forward(description.network, params, xs.swapaxes(0, 1), state)
        shifted = logits - logits.max(axis=-1, keepdims=True)
        each = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))  # (T, B, V)
        each = -np.take_along_axis(each, targets.swapaxes(0, 1)[..., None], axis=-1)[..., 0]
        return np.where(asked.swapaxes(0, 1), each, 0).sum(axis=0), state

    return chunk


def evaluate(description: Language, state, data, *, mesh=None, count: int = STREAMS) -> np.ndarray:
    """The mean cross-entropy of each member (K,) over all symbols that are asked for, in nats.

    The text is read in several streams side by side. Each first reads the 256 symbols before its own, from the state
    zero: what lies further back can no longer help it, which is all by which their number changes the result.

    Args:
      description: of the network.
      state: of the training.
      data: the symbols (N,), in a tuple.
      mesh: None.
      count: of streams, at most.
    """
    alone = [state._replace(members=[params]) for params in state.members]
    symbols = np.asarray(data[0])
    return np.array([_mean(description, member, symbols, count, mesh) for member in alone])


def _mean(description: Language, state, symbols, count: int, mesh) -> float:
    """Of the one member of a state."""
    total, asked, handed_on = 0.0, 0, None
    for chunk in chunks(symbols, count):
        B = len(chunk.asked)
        if handed_on is None:
            handed_on = zero_states(description.network.layers, (B,), state.members[0].head.W.dtype)
        lost, after = training.run(_chunk(description), state, (*chunk, handed_on), batch_size=B, mesh=mesh)
        handed_on = tree_map(lambda array: array[0], after)
        total, asked = total + float(lost.sum(dtype=np.float64)), asked + int(chunk.asked.sum())
    return total / max(asked, 1)


def advance(description: Language, params, symbols, state=None):
    """Reads on: symbols (T, B), the state or None for the start of a text -> logits of what follows (B, V), state."""
    logits, state, _ = network.forward(description.network, params, symbols, state)
    return logits[-1], state
