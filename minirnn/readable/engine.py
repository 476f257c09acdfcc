"""The walk through time, forward and backward, that all cells share; and the products with Wx and Wh.

A cell brings two elementwise functions:

  update(zx, zh, state, extra)                           -> y, state, gates
  update_backward(dy, dstate, gates, zh, state, extra)   -> dzx, dzh, dstate_prev, dextra, dgates

``zx = x @ Wx + b`` and ``zh = h @ Wh`` are its pre-activations, ``extra`` its elementwise parameters. ``state`` is the
one *before* the step in both. ``dstate_prev`` is only what passes elementwise; what passes through h Wh is added here.

A cell whose last block of Wh multiplies something else than h (``second=True``; the GRU that resets before the product)
gets one more argument at the end: ``second(u) -> u @ Wh[:, -H:]`` in ``update``, ``second_backward(dzh_last) -> du`` in
``update_backward``. Its ``zh`` then holds the other blocks only.

Dimension letters: T time steps, B batch, D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn.params import (
    Array,
    Params,
    State,
    check_lengths,
    check_scale,
    check_sequence,
    check_state,
    check_step,
    check_type,
    extra,
    hidden,
    map_state,
    with_hidden,
)


class Cell(NamedTuple):
    """A cell: its two elementwise functions, and the types that name its intermediates and its state."""

    update: Callable
    update_backward: Callable
    gates: type  # a NamedTuple of the named intermediates
    blocks: int  # G: blocks of H columns in Wx and Wh
    state: type | None = None  # a NamedTuple; None where the state is the array h
    adds: bool = False  # True where zx and zh occur only as zx + zh: then dzx and dzh are one array
    second: bool = False  # True where the last block of Wh multiplies something else than h
    params: type | None = None  # a NamedTuple of its weights; None takes any with the right shapes


class StepCache(NamedTuple):
    """What :func:`step_backward` needs from :func:`step`."""

    cell: Cell
    params: Params
    x: Array  # (B, D)
    zh: Array  # (B, GH)
    state: State  # before the step
    gates: Any
    seen: list[Array]  # (B, H) what the last block of Wh multiplied, if that is not h


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`: everything of every step, in lists over t."""

    cell: Cell
    params: Params
    xs: Array  # (T, B, D), padding replaced by zero
    mask: Array | None  # (T, B, 1), True on real steps; None where every step is real
    scale: Array | None  # (B, H) what h is multiplied by where it enters h Wh
    zh: list[Array]  # T x (B, GH)
    states: list[State]  # T + 1 states: states[t] enters step t
    gates: list[Any]
    seen: list[Array]  # T x (B, H) what the last block of Wh multiplied, if that is not h


def initial_state(cell: Cell, params: Params, batch_size: int) -> State:
    """Zeros (B, H) for every part of the state, in the dtype of the weights."""
    shape = (batch_size, params.Wh.shape[0])
    if cell.state is None:
        return np.zeros(shape, params.Wh.dtype)
    return cell.state(*(np.zeros(shape, params.Wh.dtype) for _ in cell.state._fields))  # type: ignore[attr-defined]


def step(cell: Cell, params: Params, x: Array, state: State | None) -> tuple[Array, State, StepCache]:
    """One step of a cell: x (B, D), state (None stands for zeros) -> y (B, H), state, cache."""
    check_type(params, cell.params)
    x = np.asarray(x)
    state = initial_state(cell, params, len(x)) if state is None else state
    check_step(params, x, state, cell.state, cell.blocks)
    seen: list[Array] = []
    first, second = _products(cell, params, None, seen)
    zx = np.dot(x, params.Wx) + params.b  # (B, GH)
    zh = first(hidden(state))  # (B, GH)
    y, new_state, gates = cell.update(zx, zh, state, extra(params), *second)
    # y, the new state and the gates may be one array: callers may write into theirs.
    new_state = map_state(lambda array: array.copy(), new_state)
    return y.copy(), new_state, StepCache(cell, params, x, zh, state, gates, seen)


def step_backward(dy: Array, dstate: State | None, cache: StepCache):
    """Gradients of one step: dy (B, H), dstate -> dparams, dx (B, D), dstate_prev."""
    cell, params, x, zh, state, gates, seen = cache
    dstate = map_state(np.zeros_like, state) if dstate is None else dstate
    first_backward, second_backward = _products_backward(cell, params, None)
    dzx, dzh, dstate_prev, dextra, _ = cell.update_backward(
        dy, dstate, gates, zh, state, extra(params), *second_backward
    )
    dstate_prev = with_hidden(dstate_prev, hidden(dstate_prev) + first_backward(dzh))  # (B, H)  P1
    dx = dzx @ params.Wx.T  # (B, D)  P2
    dparams = type(params)(
        Wx=x.T @ dzx,  # (D, GH)  P3
        Wh=_recurrent_gradient(cell, hidden(state), seen[0] if seen else None, dzh),  # (H, GH)  P4
        b=dzx.sum(axis=0),  # (GH,)  P5
        **{name: dextra[name].sum(axis=0) for name in extra(params)},  # (H,) each
    )
    return dparams, dx, dstate_prev


def forward(
    cell: Cell,
    params: Params,
    xs: Array,
    state: State | None = None,
    lengths=None,
    recurrent_scale: Array | None = None,
) -> tuple[Array, State, Cache]:
    """A whole sequence: xs (T, B, D), state -> ys (T, B, H), final state, cache.

    Args:
      cell: the elementwise functions.
      params: weights.
      xs: time-major inputs; ``xs[t]`` is x_t.
      state: initial state; None stands for zeros.
      lengths: integers (B,) from 0 to T. Past its length a sequence's state is frozen and its output is zero; what
        the padding holds (NaN too) changes nothing. A sequence of length 0 returns its initial state.
      recurrent_scale: (B, H), what h is multiplied by where it enters h Wh, the same at every step (recurrent dropout);
        None stands for ones.

    The cache refers to xs, weights and state: writing into them before :func:`backward` changes its result.

    Raises:
      ValueError: a shape does not fit the weights; the message names T, B and D.
      TypeError: integers where floating point is expected, or the reverse.
    """
    check_type(params, cell.params)
    xs = np.asarray(xs)
    check_sequence(params, xs, state, cell.state, cell.blocks)
    T, B, _ = xs.shape
    state = initial_state(cell, params, B) if state is None else state
    given, mask, empty = state, None, None
    if lengths is not None:
        lengths = np.asarray(lengths)
        check_lengths(lengths, T, B)
        mask = (np.arange(T)[:, None] < lengths)[:, :, None]  # (T, B, 1)
        # What takes part in nothing is replaced before any product: 0 * NaN is NaN.
        xs = np.where(mask, xs, 0)
        empty = (lengths == 0)[:, None]  # (B, 1)
        state = map_state(lambda s: np.where(empty, 0, s), state)
    zx = np.empty((T, B, params.Wx.shape[1]), np.result_type(xs, params.Wx, params.b))
    np.matmul(_flat(xs), params.Wx, out=_flat(zx))  # one product for all steps
    zx += params.b  # (T, B, GH)
    elementwise = extra(params)
    if recurrent_scale is not None:
        recurrent_scale = np.asarray(recurrent_scale, params.Wh.real.dtype)
        check_scale(recurrent_scale, B, params.Wh.shape[0])
    cache = Cache(cell, params, xs, mask, recurrent_scale, [], [state], [], [])
    first, second = _products(cell, params, recurrent_scale, cache.seen)

    ys = np.zeros((T, B, params.Wh.shape[0]), np.result_type(zx, *params, *_arrays(state)))
    for t in range(T):
        zh = first(hidden(state))  # (B, GH)
        ys[t], new_state, gates = cell.update(zx[t], zh, state, elementwise, *second)
        if mask is not None:
            new_state = map_state(lambda new, old: np.where(mask[t], new, old), new_state, state)
        state = new_state
        cache.zh.append(zh)
        cache.states.append(state)
        cache.gates.append(gates)
    if empty is not None:  # a sequence of length 0 returns the state that it was given
        state = map_state(lambda s, first: np.where(empty, first, s), state, given)
    state = map_state(np.copy, state)  # the cache keeps its own: callers may write into theirs
    return ys if mask is None else np.where(mask, ys, 0), state, cache


def backward(dys: Array, dstate: State | None, cache: Cache):
    """Backpropagation through time: dys (T, B, H), dstate -> dparams, dxs (T, B, D), dstate0.

    Args:
      dys: gradient of the loss with respect to each output *alone*; what flows between the steps is added here.
      dstate: gradient with respect to the final state; None stands for zero.
      cache: from :func:`forward`.

    Returns:
      The gradients with respect to the weights (the same NamedTuple), the inputs, and the initial state.
    """
    dparams, dxs, dstate0, _ = _backward(dys, dstate, cache)
    return dparams, dxs, dstate0


def gate_gradients(dys: Array, dstate: State | None, cache: Cache):
    """The gradient with respect to every named intermediate: a NamedTuple of arrays (T, B, H), zero on padding."""
    return _stack(_backward(dys, dstate, cache)[3], cache)


def gates(cell: Cell, params: Params, xs: Array, state: State | None = None, lengths=None):
    """Every named intermediate over time: a NamedTuple of arrays (T, B, H), zero on padding."""
    cache = forward(cell, params, xs, state, lengths)[2]
    return _stack(cache.gates, cache)


def _backward(dys: Array, dstate: State | None, cache: Cache):
    cell, params, xs, mask, scale, zh, states, gates, seen = cache
    T, dys = len(gates), np.asarray(dys)
    if dys.shape[:1] != (T,) or dys.shape[1:] != hidden(states[0]).shape:
        expected = (T, *hidden(states[0]).shape)
        raise ValueError(f"dys has shape {dys.shape}; expected (T, B, H) = {expected}, the shape of ys")
    dstate = map_state(np.zeros_like, states[-1]) if dstate is None else dstate
    B, H = hidden(states[0]).shape
    check_state(dstate, cell.state, B, H, "dstate")
    dys = dys if mask is None else np.where(mask, dys, 0)
    elementwise = extra(params)
    first_backward, second_backward = _products_backward(cell, params, scale)
    hs = np.stack([hidden(state) for state in states[:T]]) if T else dys  # (T, B, H): hs[t] enters step t

    dtype = np.result_type(dys, hs, params.Wh, hidden(dstate))
    dzx = np.zeros((T, B, params.Wh.shape[1]), dtype)
    dzh = dzx if cell.adds else np.zeros_like(dzx)  # (T, B, GH) each
    dextra = {name: np.zeros(value.shape, dtype) for name, value in elementwise.items()}
    dgates: list[Any] = [None] * T
    for t in reversed(range(T)):
        kept = None
        if mask is not None:  # a frozen step hands its gradient through, past the update
            kept = map_state(lambda d: np.where(mask[t], 0, d), dstate)
            dstate = map_state(lambda d: np.where(mask[t], d, 0), dstate)
        dzx[t], dzh_t, dstate, dextra_t, dgates[t] = cell.update_backward(
            dys[t], dstate, gates[t], zh[t], states[t], elementwise, *second_backward
        )
        if not cell.adds:
            dzh[t] = dzh_t
        dstate = with_hidden(dstate, hidden(dstate) + first_backward(dzh_t))  # (B, H)  P1
        if kept is not None:
            dstate = map_state(np.add, dstate, kept)
        for name in elementwise:
            dextra[name] += dextra_t[name].sum(axis=0)

    # One product per sequence, after the loop: a sum over t and over the batch is a product with T·B in the middle.
    dxs = (_flat(dzx) @ params.Wx.T).reshape(xs.shape)  # (T, B, D)  P2
    hs = _scaled(hs, scale)
    dparams = type(params)(
        Wx=_flat(xs).T @ _flat(dzx),  # (D, GH)  P3
        Wh=_recurrent_gradient(cell, _flat(hs), _flat(np.stack(seen)) if seen else None, _flat(dzh)),  # (H, GH)  P4
        b=_flat(dzx).sum(axis=0),  # (GH,)  P5
        **dextra,
    )
    # Over no steps dstate is still the caller's own: it is returned as a copy.
    return dparams, dxs, dstate if T else map_state(np.copy, dstate), dgates


# ---------------------------------------------------------------- the products with Wh


def _flat(array):
    """Steps and batch as one axis: (T, B, F) -> (T·B, F)."""
    return array.reshape(-1, array.shape[-1])


def _scaled(h: Array, scale: Array | None) -> Array:
    return h if scale is None else h * scale


def _blocks(cell: Cell, params: Params):
    """Wh in two parts: the blocks that multiply h, and the last one if it multiplies something else."""
    if not cell.second:
        return params.Wh, None
    first = (cell.blocks - 1) * params.Wh.shape[0]
    return params.Wh[:, :first], params.Wh[:, first:]


def _products(cell: Cell, params: Params, scale: Array | None, seen: list[Array]):
    """``first(h) -> zh``, and a tuple with ``second(u)`` if the cell has one, which records u.

    ``np.dot``, since for a single sequence its call is quicker than that of @.
    """
    Wh, Wh_last = _blocks(cell, params)

    def second(u):
        seen.append(_scaled(u, scale))
        return np.dot(seen[-1], Wh_last)

    return lambda h: np.dot(_scaled(h, scale), Wh), (second,) if cell.second else ()


def _products_backward(cell: Cell, params: Params, scale: Array | None):
    """Their gradients: ``first_backward(dzh) -> dh``, and a tuple with ``second_backward(dzh_last) -> du``."""
    Wh, Wh_last = _blocks(cell, params)
    width = Wh.shape[1]
    second_backward = (lambda dzh_last: _scaled(dzh_last @ Wh_last.T, scale),) if cell.second else ()
    return lambda dzh: _scaled(dzh[:, :width] @ Wh.T, scale), second_backward


def _recurrent_gradient(cell: Cell, hs: Array, us: Array | None, dzh: Array) -> Array:
    """DWh (H, GH) from what it multiplied (n, H) and dzh (n, GH)."""
    if us is None or not cell.second:
        return hs.T @ dzh
    width = (cell.blocks - 1) * hs.shape[1]
    dWh_last = us.T @ dzh[:, width:]  # (H, H)  P6
    return np.concatenate([hs.T @ dzh[:, :width], dWh_last], axis=1)


def _arrays(state: State) -> tuple[Array, ...]:
    return tuple(state) if isinstance(state, tuple) else (state,)


def _stack(steps: list[Any], cache: Cache):
    """A list over t of NamedTuples (B, H) as one NamedTuple (T, B, H), zero on padding."""
    named: Any = cache.cell.gates
    if not steps:
        empty = np.zeros((0, *hidden(cache.states[0]).shape), hidden(cache.states[0]).dtype)
        return named(*[empty] * len(named._fields))
    stacked = (np.stack(column) for column in zip(*steps))
    return named(*(s if cache.mask is None else np.where(cache.mask, s, 0) for s in stacked))
