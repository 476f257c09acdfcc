"""Predicting the next symbol of a text, in JAX: an epoch of truncated backpropagation, and how well it does.

A batch of an epoch is one chunk of each of B streams; the state of a stream goes on from chunk to chunk. A text is its
symbols, one document after the other with ``BETWEEN`` between them: that one is read, but nobody is asked for it.

Dimension letters: K members, N symbols, S chunks of a stream, B streams, W window, T symbols, V vocabulary size.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from minirnn import random
from minirnn.fast import losses, network, training
from minirnn.fast.training import make_optimizer, members, moments, place, start, with_moments
from minirnn.params import BETWEEN, STREAMS, Language, chunks, pieces, zero_states

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


@functools.cache
def _loss(description: Language):
    def loss(params, batch, key, carried):
        (starts,), (symbols,) = batch.data, batch.shared
        # Beyond the end of the text comes its beginning: a stream may start anywhere.
        places = (starts + jnp.arange(description.window + 1)[:, None]) % len(symbols)
        read = symbols[places]  # (W + 1, B)
        logits, carried = network.forward(description.network, params, read[:-1], carried, None, key)
        weights = ((read[1:] != BETWEEN) & batch.count).astype(logits.dtype)
        total = weights.sum()
        return losses.softmax_cross_entropy(logits, read[1:], weights) * total, total, carried

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
    """Goes once through the chunks of all streams; as :func:`minirnn.fast.training.run_epoch`, with the cross-entropy.

    Args:
      description: of the network.
      optimizer: any of optax.
      state: of the training; used up. Streams begin with the state zero.
      data: the symbols (N,), in a tuple.
      batches: the places in the text where chunks begin (K, S, B). Those of a stream follow each other.
      counts: (S, B)
      dropout_key: of the units that are dropped.
      mesh: devices that share the streams, or None.
      budget_bytes: not needed: a text lies on every device.
      report: called now and then with the share of the epoch that is done, and the latest loss.
    """
    K, S, B = batches.shape
    filler = 0 if mesh is None else -B % mesh.size  # streams that count for nothing, so that all devices get as many
    dtype = state.members.head.W.dtype
    state = state._replace(carried=zero_states(description.network.layers, (K, B + filler), dtype))
    number, size = pieces(S, B * description.window)
    excess = number * size - S  # all pieces are equally long, so that one program computes them
    batches = np.pad(batches, ((0, 0), (0, excess), (0, filler))).astype(np.int32)
    counts = np.pad(counts, ((0, excess), (0, filler)))
    records = []
    for piece in range(number):
        part = slice(piece * size, (piece + 1) * size)
        places = batches[:, part]
        rows = np.arange(places.size).reshape(places.shape)
        key = None if dropout_key is None else random.fold_in(dropout_key, piece)
        state, record = training.run_epoch(
            _loss(description),
            optimizer,
            state,
            (places.reshape(-1),),
            rows,
            counts[part],
            key,
            data,
            mesh=mesh,
            budget_bytes=budget_bytes,
        )
        records.append(record)
        if report is not None:
            report((piece + 1) / number, float(record.loss.mean()))
    return state._replace(carried=None), training.joined(records, S)


@functools.cache
def _chunk(description: Language):
    """What each stream of a chunk loses (B,), and its state after it."""

    def chunk(params, batch):
        xs, targets, asked, state = batch.data
        logits, state = network.forward(description.network, params, xs.swapaxes(0, 1), state)
        each = jax.nn.log_softmax(logits)  # (T, B, V)
        each = -jnp.take_along_axis(each, targets.swapaxes(0, 1)[..., None], axis=-1)[..., 0]
        return jnp.where(asked.swapaxes(0, 1), each, 0).sum(axis=0), state

    return chunk


def evaluate(description: Language, state, data, *, mesh=None, count: int = STREAMS) -> np.ndarray:
    """The mean cross-entropy of each member (K,) over all symbols that are asked for, in nats.

    The text is read in several streams side by side. Each first reads the 256 symbols before its own, from the state
    zero: what lies further back can no longer help it, which is all by which their number changes the result.

    Args:
      description: of the network.
      state: of the training.
      data: the symbols (N,), in a tuple.
      mesh: devices that share the streams, or None.
      count: of streams, at most.
    """
    K = len(state.members.head.W)
    alone = [state._replace(members=jax.tree.map(lambda a, k=k: a[k : k + 1], state.members)) for k in range(K)]
    symbols = np.asarray(data[0])
    return np.array([_mean(description, member, symbols, count, mesh) for member in alone])


def _mean(description: Language, state, symbols, count: int, mesh) -> float:
    """Of the one member of a state."""
    total, asked, handed_on = 0.0, 0, None
    for chunk in chunks(symbols, count):
        B = len(chunk.asked)
        if handed_on is None:
            handed_on = zero_states(description.network.layers, (B,), state.members.head.W.dtype)
        lost, after = training.run(_chunk(description), state, (*chunk, handed_on), batch_size=B, mesh=mesh)
        handed_on = jax.tree.map(lambda array: array[0], after)
        total, asked = total + float(lost.sum(dtype=np.float64)), asked + int(chunk.asked.sum())
    return total / max(asked, 1)


def advance(description: Language, params, symbols, state=None):
    """Reads on: symbols (T, B), the state or None for the start of a text -> logits of what follows (B, V), state."""
    logits, state = _advance(description)(params, symbols, state)
    return logits[-1], state


@functools.cache
def _advance(description: Language):
    return jax.jit(lambda params, symbols, state: network.forward(description.network, params, symbols, state))
