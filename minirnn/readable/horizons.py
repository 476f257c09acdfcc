"""From a window to the rows ahead in NumPy, forward and backward by hand: ``Direct``, ``Decoder`` and ``Segments``.

What they are stands in :mod:`minirnn.params.horizons`. No mathematics of their own: layers (V), cells and their engine.

Dimension letters: T time steps, B batch, D input size, N rows ahead, F features of a row ahead, O numbers for each row
ahead, H hidden size, S rows of a segment, M segments ahead.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import (
    Decoder,
    DecoderParams,
    Direct,
    Horizon,
    HorizonParams,
    Segments,
    SegmentsParams,
    check_ahead,
    check_horizon,
    init_horizon,
    map_state,
)
from minirnn.readable import layers, network, recurrent
from minirnn.readable.cells import CELLS

init = init_horizon


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    description: Horizon
    shapes: tuple[Any, Any]  # of xs and of ahead
    parts: Any  # caches of the pieces that it is made of


def forward(description: Horizon, params: HorizonParams, xs, ahead, dropout_key=None):
    """A window xs (T, B, D) and what is known of the rows ahead, ahead (N, B, F) -> raw numbers (B, N, O), cache.

    Args:
      description: ``Direct``, ``Decoder`` or ``Segments``.
      params: weights.
      xs: time-major inputs.
      ahead: time-major features of the rows ahead, of the dtype of xs; F may be 0.
      dropout_key: an integer or a key of :mod:`minirnn.random`; the same key drops the same units in both halves. None
        drops nothing.

    >>> description = Segments("gru", 8, segment=3, horizon=5, outputs=2)
    >>> params = init(0, description, input_size=1, ahead_size=0)
    >>> raw, _ = forward(description, params, np.ones((7, 4, 1), np.float32), np.zeros((5, 4, 0), np.float32))
    >>> raw.shape
    (4, 5, 2)
    """
    xs, ahead = np.asarray(xs), np.asarray(ahead)
    check_horizon(description, xs, ahead)
    key = network.as_key(dropout_key)
    walk: Any = {Direct: _direct, Decoder: _decode, Segments: _segments}[type(description)]
    raw, parts = walk(description, params, xs, ahead, key)
    return raw, Cache(description, (xs.shape, ahead.shape), parts)


def backward(draw, cache: Cache):
    """The gradients: draw (B, N, O) -> dparams, dxs (T, B, D), dahead (N, B, F)."""
    draw, (_, B, _) = np.asarray(draw), cache.shapes[0]
    expected = (B, cache.description.horizon, cache.description.outputs)
    if draw.shape != expected:
        raise ValueError(f"draw has shape {draw.shape}; expected (B, N, O) = {expected}, the shape of the raw numbers")
    walk: Any = {Direct: _direct_backward, Decoder: _decode_backward, Segments: _segments_backward}
    return walk[type(cache.description)](draw, cache)


# ---------------------------------------------------------------- all rows at once


def _direct(description, params, xs, ahead, key):
    outputs, _, cache = network.forward(description.network, params, xs, dropout_key=key)  # (B, N·O)
    return outputs.reshape(xs.shape[1], description.horizon, description.outputs), cache


def _direct_backward(draw, cache):
    dparams, dxs, _ = network.backward(draw.reshape(len(draw), -1), None, cache.parts)
    return dparams, dxs, np.zeros(cache.shapes[1], draw.dtype)


# ---------------------------------------------------------------- row after row


def _decode(description, params, xs, ahead, key):
    N, B, _ = ahead.shape
    read_key, write_key = (None, None) if key is None else (random.fold_in(key, 0), random.fold_in(key, 1))
    read, states, encoder = network.forward_layers(description.encoder, params.encoder, xs, key=read_key)
    position = (np.arange(1, N + 1) / N).astype(ahead.real.dtype)
    position = np.broadcast_to(position[:, None, None], (N, B, 1))
    known = np.concatenate([ahead, position], axis=-1)  # (N, B, F+1)
    start = _handed_on(description, states)
    ys, _, decoder = network.forward_layers(description.decoder, params.decoder, known, start, key=write_key)
    raw, head = layers.dense(params.head, ys)  # (N, B, O)
    return raw.swapaxes(0, 1), (encoder, decoder, head, read, states)


def _decode_backward(draw, cache):
    description = cache.description
    encoder, decoder, head, read, states = cache.parts
    dhead, dys = layers.dense_backward(draw.swapaxes(0, 1), head)
    ddecoder, dknown, dstart = network.backward_layers(description.decoder, dys, None, None, decoder)
    # Nobody reads what the encoder gives at each step: all gradient arrives through its final states.
    first = description.first
    dstates = (*states[:first], *dstart[: len(states) - first])  # those before the first are empty
    dread = np.zeros(read.shape, draw.dtype)
    dencoder, dxs, _ = network.backward_layers(description.encoder, dread, dstates, None, encoder)
    return DecoderParams(dencoder, ddecoder, dhead), dxs, dknown[..., :-1]


def _handed_on(description, states):
    """The decoder's initial states, from the encoder's final ones; the layers behind the encoder's last have none."""
    return (*states[description.first :], *(None,) * (len(description.layers) - len(states)))


# ---------------------------------------------------------------- segment after segment


def _segments(description, params, xs, ahead, key):
    cell, M, B, N = CELLS[description.cell], description.steps, xs.shape[1], description.horizon
    check_ahead(params, ahead)
    S, O = description.segment, description.outputs
    window, embedding = layers.dense(params.embedding, _cut(xs, S, front=True), "relu")  # (T/S, B, H)
    _, state, encoder = cell.forward(params.cell, window)
    inputs = np.broadcast_to(params.position[:, None], (M, B, params.position.shape[1]))
    known = None
    if params.ahead:
        embedded, known = layers.dense(params.ahead, _cut(ahead, S, front=False))
        inputs = inputs + embedded  # (M, B, H)
    # All segments ahead are one batch: segment m of sequence b is row m·B + b.
    start = map_state(lambda part: np.tile(part, (M, 1)), state)  # (M·B, H)
    ys, _, step = cell.step(params.cell, inputs.reshape(M * B, -1), start)
    ys, dropped = ys.reshape(M, B, -1), None
    if key is not None and description.dropout:
        scale = recurrent.dropout_scale(key, (B, M, ys.shape[2]), description.dropout, ys.real.dtype)
        ys, dropped = layers.dropout(ys, scale.swapaxes(0, 1))
    rows, head = layers.dense(params.head, ys)  # (M, B, S·O)
    raw = rows.reshape(M, B, S, O).swapaxes(0, 1).reshape(B, M * S, O)[:, :N]
    return raw, (embedding, encoder, known, step, dropped, head)


def _segments_backward(draw, cache):
    description, ((T, B, _), (N, _, F)) = cache.description, cache.shapes
    cell, M, S, O = CELLS[description.cell], description.steps, description.segment, description.outputs
    embedding, encoder, known, step, dropped, head = cache.parts
    drows = np.pad(draw, ((0, 0), (0, M * S - N), (0, 0))).reshape(B, M, S, O)
    dhead, dys = layers.dense_backward(drows.swapaxes(0, 1).reshape(M, B, S * O), head)
    if dropped is not None:
        dys = layers.dropout_backward(dys, dropped)
    dwritten, dinputs, dstart = cell.step_backward(dys.reshape(M * B, -1), None, step)
    dinputs = dinputs.reshape(M, B, -1)
    dfinal = map_state(lambda part: part.reshape(M, B, -1).sum(axis=0), dstart)  # every segment began at the same state
    dembedded: Any = ()
    dahead = np.zeros((N, B, F), draw.dtype)
    if known is not None:
        dembedded, dsegments = layers.dense_backward(dinputs, known)
        dahead = _joined(dsegments, S)[:N]
    dread, dwindow, _ = cell.backward(np.zeros((-(-T // S), B, dinputs.shape[2]), draw.dtype), dfinal, encoder)
    dembedding, dsegments = layers.dense_backward(dwindow, embedding)
    dcell = type(dread)(*(a + b for a, b in zip(dread, dwritten)))  # the same cell read and wrote
    dparams = SegmentsParams(dembedding, dcell, dinputs.sum(axis=1), dembedded, dhead)
    return dparams, _joined(dsegments, S)[-T:], dahead


def _cut(rows, S, front):
    """Rows (T, B, D) in segments of S, filled up with zeros in front or behind -> (ceil(T/S), B, S·D)."""
    T, B, D = rows.shape
    missing = -T % S
    rows = np.pad(rows, ((missing, 0) if front else (0, missing), (0, 0), (0, 0)))
    return rows.reshape(-1, S, B, D).swapaxes(1, 2).reshape(-1, B, S * D)


def _joined(segments, S):
    """The reverse of :func:`_cut`, without taking the filling away: (M, B, S·D) -> (M·S, B, D)."""
    M, B, _ = segments.shape
    segments = segments.reshape(M, B, S, -1).swapaxes(1, 2)
    return segments.reshape(M * S, B, segments.shape[3])
