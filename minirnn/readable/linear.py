"""The walk through time of the cells whose gates do not read h, forward and backward (H1-H5).

Such a cell is a linear recurrence: ``h_t = a_t h_{t-1} + u_t``, where the coefficients a and u follow from x_t alone.
So everything but the recurrence itself is one product, or one elementwise line, for all steps at once. A cell brings

  coefficients(zx)                          -> a, u, gates
  coefficients_backward(da, du, a, gates)   -> dzx, dgates

``zx = x @ Wx + b`` are its pre-activations. Both work on any leading axes: (B, GH) in a step, (T, B, GH) in a sequence.
The cells whose gates read h are walked by :mod:`minirnn.readable.engine`.

Dimension letters: T time steps, B batch, D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn.params import Array, Params, check_lengths, check_sequence, check_state, check_step, check_type


class Cell(NamedTuple):
    """A cell: its two elementwise functions, and the type that names its intermediates. Its state is the array h."""

    coefficients: Callable
    coefficients_backward: Callable
    gates: type  # a NamedTuple of the named intermediates
    blocks: int  # G: blocks of H columns in Wx
    params: type | None = None  # a NamedTuple of its weights; None takes any with the right shapes


class StepCache(NamedTuple):
    """What :func:`step_backward` needs from :func:`step`."""

    cell: Cell
    params: Params
    x: Array  # (B, D)
    h: Array  # (B, H), before the step
    a: Array  # (B, H)
    gates: Any


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    cell: Cell
    params: Params
    xs: Array  # (T, B, D), padding replaced by zero
    mask: Array | None  # (T, B, 1), True on real steps; None where every step is real
    hs: Array  # (T+1, B, H): hs[t] enters step t
    a: Array  # (T, B, H), 1 on padding
    gates: Any  # a NamedTuple of arrays (T, B, H)


def initial_state(cell: Cell, params: Params, batch_size: int) -> Array:
    """Zeros (B, H), in the dtype of the weights."""
    return np.zeros((batch_size, len(params.b) // cell.blocks), params.b.dtype)


def step(cell: Cell, params: Params, x: Array, state: Array | None) -> tuple[Array, Array, StepCache]:
    """One step of a cell: x (B, D), state (B, H) (None stands for zeros) -> y (B, H), state, cache."""
    check_type(params, cell.params)
    x = np.asarray(x)
    state = initial_state(cell, params, len(x)) if state is None else state
    check_step(params, x, state, None, cell.blocks, recurrent=False)
    a, u, gates = cell.coefficients(x @ params.Wx + params.b)
    h = a * state + u  # (B, H)  H1
    return h.copy(), h, StepCache(cell, params, x, state, a, gates)  # callers may write into theirs


def step_backward(dy: Array, dstate: Array | None, cache: StepCache):
    """Gradients of one step: dy (B, H), dstate (B, H) -> dparams, dx (B, D), dstate_prev (B, H)."""
    cell, params, x, h, a, gates = cache
    dh = dy if dstate is None else dy + dstate  # H2
    da = dh * h  # H3
    du = dh  # H4
    dh_prev = dh * a  # H5
    dzx, _ = cell.coefficients_backward(da, du, a, gates)
    dx = dzx @ params.Wx.T  # (B, D)  P2
    dparams = type(params)(
        Wx=x.T @ dzx,  # (D, GH)  P3
        b=dzx.sum(axis=0),  # (GH,)  P5
    )
    return dparams, dx, dh_prev


def forward(
    cell: Cell, params: Params, xs: Array, state: Array | None = None, lengths=None
) -> tuple[Array, Array, Cache]:
    """A whole sequence: xs (T, B, D), state (B, H) -> ys (T, B, H), final state (B, H), cache.

    Arguments, masking and errors are those of :func:`minirnn.readable.engine.forward`.
    """
    check_type(params, cell.params)
    xs = np.asarray(xs)
    check_sequence(params, xs, state, None, cell.blocks, recurrent=False)
    T, B, _ = xs.shape
    given = state = initial_state(cell, params, B) if state is None else state
    mask = empty = None
    if lengths is not None:
        lengths = np.asarray(lengths)
        check_lengths(lengths, T, B)
        mask = (np.arange(T)[:, None] < lengths)[:, :, None]  # (T, B, 1)
        # What takes part in nothing is replaced before any product: 0 * NaN is NaN.
        xs = np.where(mask, xs, 0)
        empty = (lengths == 0)[:, None]  # (B, 1)
        state = np.where(empty, 0, state)

    zx = (xs.reshape(-1, xs.shape[-1]) @ params.Wx + params.b).reshape(T, B, len(params.b))  # one product for all steps
    a, u, gates = cell.coefficients(zx)
    if mask is not None:  # h = 1 h' + 0: the state is frozen
        a, u = np.where(mask, a, 1), np.where(mask, u, 0)
    hs = np.zeros((T + 1, *state.shape), np.result_type(a, u, state))  # (T+1, B, H)
    hs[0] = state
    for t in range(T):
        h = a[t] * hs[t] + u[t]  # H1
        hs[t + 1] = h

    ys = hs[1:].copy() if mask is None else np.where(mask, hs[1:], 0)  # the cache keeps its own: callers may write
    final = hs[-1].copy() if empty is None else np.where(empty, given, hs[-1])
    return ys, final, Cache(cell, params, xs, mask, hs, a, gates)


def backward(dys: Array, dstate: Array | None, cache: Cache):
    """Backpropagation through time: dys (T, B, H), dstate (B, H) -> dparams, dxs (T, B, D), dstate0 (B, H).

    ``dys`` excludes what flows between the steps; see :func:`minirnn.readable.engine.backward`.
    """
    dzx, dstate0, _ = _backward(dys, dstate, cache)
    params = cache.params
    # A sum over t and over the batch is a product with T·B in the middle.
    xs_flat, dzx_flat = (array.reshape(-1, array.shape[-1]) for array in (cache.xs, dzx))
    dxs = dzx @ params.Wx.T  # (T, B, D)  P2
    dparams = type(params)(
        Wx=xs_flat.T @ dzx_flat,  # (D, GH)  P3
        b=dzx_flat.sum(axis=0),  # (GH,)  P5
    )
    return dparams, dxs, dstate0


def gates(cell: Cell, params: Params, xs: Array, state: Array | None = None, lengths=None):
    """Every named intermediate over time: a NamedTuple of arrays (T, B, H), zero on padding."""
    cache = forward(cell, params, xs, state, lengths)[2]
    if cache.mask is None:
        return cache.gates
    return cell.gates(*(np.where(cache.mask, gate, 0) for gate in cache.gates))


def gate_gradients(dys: Array, dstate: Array | None, cache: Cache):
    """The gradient with respect to every named intermediate: a NamedTuple of arrays (T, B, H), zero on padding."""
    return _backward(dys, dstate, cache)[2]


def _backward(dys: Array, dstate: Array | None, cache: Cache):
    """The recurrence in reverse, then the coefficients of all steps at once: dzx (T, B, GH), dstate0, dgates."""
    cell, _, _, mask, hs, a, gates = cache
    T, (B, H), dys = len(a), hs.shape[1:], np.asarray(dys)
    if dys.shape != (T, B, H):
        raise ValueError(f"dys has shape {dys.shape}; expected (T, B, H) = {(T, B, H)}, the shape of ys")
    dh_next = np.zeros_like(hs[-1]) if dstate is None else dstate
    check_state(dh_next, None, B, H, "dstate")
    dys = dys if mask is None else np.where(mask, dys, 0)

    dhs = np.zeros((T, B, H), np.result_type(dys, dh_next, a, hs))
    for t in reversed(range(T)):
        dh = dys[t] + dh_next  # H2
        dh_next = dh * a[t]  # H5
        dhs[t] = dh
    if mask is not None:  # on padding a and u are the constants 1 and 0
        dhs = np.where(mask, dhs, 0)
    da = dhs * hs[:-1]  # (T, B, H)  H3
    du = dhs  # (T, B, H)  H4
    dzx, dgates = cell.coefficients_backward(da, du, a, gates)
    return dzx, dh_next if T else np.copy(dh_next), dgates
