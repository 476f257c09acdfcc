"""From a window to the rows ahead in JAX: ``Direct``, ``Decoder`` and ``Segments``.

What they are stands in :mod:`minirnn.params.horizons`. No mathematics of their own: layers (V), cells and their engine.

Dimension letters: T time steps, B batch, D input size, N rows ahead, F features of a row ahead, O numbers for each row
ahead, H hidden size, S rows of a segment, M segments ahead.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from minirnn.fast import layers, network, recurrent
from minirnn.fast.cells import CELLS
from minirnn.params import (
    Decoder,
    Direct,
    Horizon,
    HorizonParams,
    Segments,
    check_ahead,
    check_horizon,
    init_horizon,
    map_state,
)

init = init_horizon


def forward(description: Horizon, params: HorizonParams, xs, ahead, dropout_key=None):
    """A window xs (T, B, D) and what is known of the rows ahead, ahead (N, B, F) -> raw numbers (B, N, O).

    Args:
      description: ``Direct``, ``Decoder`` or ``Segments``.
      params: weights.
      xs: time-major inputs.
      ahead: time-major features of the rows ahead, of the dtype of xs; F may be 0.
      dropout_key: an integer, a key of ``jax.random`` or of :mod:`minirnn.random`; the same key drops the same units in
        both halves. None drops nothing.

    >>> description = Segments("gru", 8, segment=3, horizon=5, outputs=2)
    >>> params = init(0, description, input_size=1, ahead_size=0)
    >>> forward(description, params, jnp.ones((7, 4, 1)), jnp.zeros((5, 4, 0))).shape
    (4, 5, 2)
    """
    xs, ahead = jnp.asarray(xs), jnp.asarray(ahead)
    check_horizon(description, xs, ahead)
    params = jax.tree.map(jnp.asarray, params)
    key = network.as_key(dropout_key)
    walk: Any = {Direct: _direct, Decoder: _decode, Segments: _segments}[type(description)]
    return walk(description, params, xs, ahead, key)


# ---------------------------------------------------------------- all rows at once


def _direct(description, params, xs, ahead, key):
    outputs, _ = network.forward(description.network, params, xs, dropout_key=key)  # (B, N·O)
    return outputs.reshape(xs.shape[1], description.horizon, description.outputs)


# ---------------------------------------------------------------- row after row


def _decode(description, params, xs, ahead, key):
    N, B, _ = ahead.shape
    read_key, write_key = (None, None) if key is None else (recurrent.fold_in(key, 0), recurrent.fold_in(key, 1))
    _, states = network.forward_layers(description.encoder, params.encoder, xs, key=read_key)
    position = (jnp.arange(1, N + 1) / N).astype(ahead.dtype)
    position = jnp.broadcast_to(position[:, None, None], (N, B, 1))
    known = jnp.concatenate([ahead, position], axis=-1)  # (N, B, F+1)
    start = _handed_on(description, states)
    ys, _ = network.forward_layers(description.decoder, params.decoder, known, start, key=write_key)
    raw = layers.dense(params.head, ys)  # (N, B, O)
    return raw.swapaxes(0, 1)


def _handed_on(description, states):
    """The decoder's initial states, from the encoder's final ones; the layers behind the encoder's last have none."""
    return (*states[description.first :], *(None,) * (len(description.layers) - len(states)))


# ---------------------------------------------------------------- segment after segment


def _segments(description, params, xs, ahead, key):
    cell, M, B, N = CELLS[description.cell], description.steps, xs.shape[1], description.horizon
    check_ahead(params, ahead)
    S, O = description.segment, description.outputs
    window = layers.dense(params.embedding, _cut(xs, S, front=True), "relu")  # (T/S, B, H)
    _, state = cell.forward(params.cell, window)
    inputs = jnp.broadcast_to(params.position[:, None], (M, B, params.position.shape[1]))
    if params.ahead:
        inputs = inputs + layers.dense(params.ahead, _cut(ahead, S, front=False))  # (M, B, H)
    # All segments ahead are one batch: segment m of sequence b is row m·B + b.
    start = map_state(lambda part: jnp.tile(part, (M, 1)), state)  # (M·B, H)
    ys, _ = cell.step(params.cell, inputs.reshape(M * B, -1), start)
    ys = ys.reshape(M, B, -1)
    if key is not None and description.dropout:
        scale = recurrent.dropout_scale(key, (B, M, ys.shape[2]), description.dropout, ys.dtype)
        ys = layers.dropout(ys, scale.swapaxes(0, 1))
    rows = layers.dense(params.head, ys)  # (M, B, S·O)
    return rows.reshape(M, B, S, O).swapaxes(0, 1).reshape(B, M * S, O)[:, :N]


def _cut(rows, S, front):
    """Rows (T, B, D) in segments of S, filled up with zeros in front or behind -> (ceil(T/S), B, S·D)."""
    T, B, D = rows.shape
    missing = -T % S
    rows = jnp.pad(rows, ((missing, 0) if front else (0, missing), (0, 0), (0, 0)))
    return rows.reshape(-1, S, B, D).swapaxes(1, 2).reshape(-1, B, S * D)
