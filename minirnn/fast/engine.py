"""What all cells share: their walk over time, the products with Wx and Wh, the lengths.

A cell brings one elementwise function:

  update(zx, zh, state, extra, note) -> y, state

``zx = x @ Wx + b`` and ``zh = h @ Wh`` are its pre-activations, ``extra`` its elementwise parameters, ``state`` the one
before the step. ``note(name, value) -> value`` is called on every named intermediate; it does nothing unless somebody
wants to look at them (:func:`gates`) or to disturb them (:func:`forward_nudged`).

A cell whose last block of Wh multiplies something else than h (``second=True``; the GRU that resets before the product)
gets one more argument at the end, ``second(u) -> u @ Wh[:, -H:]``. Its ``zh`` then holds the other blocks only.

The scan itself, its gradient and what it keeps in memory for that are in :mod:`minirnn.fast.scan`.

Dimension letters: T time steps, B batch, D input size, H hidden size, G gates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from minirnn.fast.scan import are_symbols, dot, first_blocks, freeze, make_plan, scaled, scan
from minirnn.params import (
    Array,
    Params,
    State,
    check_lengths,
    check_scale,
    check_sequence,
    check_step,
    check_type,
    check_vocabulary,
    extra,
    hidden,
    map_state,
)


class Cell(NamedTuple):
    """A cell: its elementwise function, and the types that name its intermediates and its state."""

    update: Callable
    gates: type  # a NamedTuple of the named intermediates
    blocks: int  # G: blocks of H columns in Wx and Wh
    state: type | None = None  # a NamedTuple; None where the state is the array h
    adds: bool = False  # True where update uses zx and zh only as zx + zh: then one product can form the sum
    apart: int = 0  # with adds: so many last blocks are excepted from that (a GRU's candidate)
    second: bool = False  # True where the last block of Wh multiplies something else than h
    params: type | None = None  # a NamedTuple of its weights; None takes any with the right shapes


def unnoted(name: str, value: Array) -> Array:
    """The ``note`` of an ordinary pass: hands the value on."""
    return value


def initial_state(cell: Cell, params: Params, batch_size: int) -> State:
    """Zeros (B, H) for every part of the state, in the dtype of the weights."""
    shape = (batch_size, params.b.shape[0] // cell.blocks)
    if cell.state is None:
        return jnp.zeros(shape, params.b.dtype)
    return cell.state(*(jnp.zeros(shape, params.b.dtype) for _ in cell.state._fields))  # type: ignore[attr-defined]


def step(cell: Cell, params: Params, x: Array, state: State | None) -> tuple[Array, State]:
    """One step of a cell: x (B, D), state (None stands for zeros) -> y (B, H), state."""
    check_type(params, cell.params)
    x = jnp.asarray(x)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    state = initial_state(cell, params, len(x)) if state is None else state
    check_step(params, x, state, cell.state, cell.blocks)
    return _step(cell, params, x, state, None, None)


def forward(
    cell: Cell,
    params: Params,
    xs: Array,
    state: State | None = None,
    lengths=None,
    recurrent_scale: Array | None = None,
    plain: bool = False,
    save: str = "all",
    products: str | None = None,
) -> tuple[Array, State]:
    """A whole sequence: xs (T, B, D) or symbols (T, B), state -> ys (T, B, H), final state.

    Args:
      cell: the elementwise function.
      params: weights.
      xs: time-major inputs; ``xs[t]`` is x_t. Or symbols, integers (T, B) from 0 to D - 1: x_t then is a vector of
        zeros with a 1 at that place. Others give NaN in compiled code, which cannot raise.
      state: initial state; None stands for zeros.
      lengths: integers (B,) from 0 to T. Past its length a sequence's state is frozen and its output is zero; what
        the padding holds (NaN too) changes nothing. A sequence of length 0 returns its initial state.
      recurrent_scale: (B, H), what h is multiplied by where it enters h Wh, the same at every step (recurrent dropout);
        None stands for ones. A constant: no gradient is given for it.
      plain: leave the gradient to JAX's autodiff of the scan: slower, but allows forward mode (``jax.jvp``, Hessians).
      save: what the forward loop keeps for the gradient: ``"all"``, ``"states"`` or ``"chunks"``, in the order of
        falling memory and rising time; see :mod:`minirnn.fast.scan`. The result is the same but for rounding.
      products: ``"bfloat16"`` rounds the factors of every product to that type, for accelerators; sums, states and
        gates stay in the type of the weights. None rounds nothing.

    Raises:
      ValueError: a shape does not fit the weights; the message names T, B and D. Symbols beyond D - 1. Unknown ``save``
        or ``products``.
      TypeError: integers where floating point is expected, or the reverse.
    """
    params, xs, state, mask = _prepare(cell, params, xs, state, lengths, may_be_symbols=True)
    plan = make_plan(save, products)
    if recurrent_scale is not None:
        recurrent_scale = lax.stop_gradient(jnp.asarray(recurrent_scale, params.Wh.dtype))
        check_scale(recurrent_scale, xs.shape[1], params.Wh.shape[0])

    def run(start):
        if plain or len(xs) == 0:  # over no steps there is nothing to keep
            return _plain_scan(cell, params, _vectors(params, xs), start, mask, recurrent_scale, plan.products)
        return scan(cell, plan, params, xs, start, mask, recurrent_scale)

    return _masked(run, state, mask)


def gates(cell: Cell, params: Params, xs: Array, state: State | None = None, lengths=None):
    """Every named intermediate over time: a NamedTuple of arrays (T, B, H), zero on padding."""
    params, xs, state, mask = _prepare(cell, params, xs, state, lengths)

    def one_step(state, step_inputs):
        x, m = step_inputs
        seen: dict[str, Array] = {}
        _, new_state = _step(cell, params, x, state, m, None, lambda name, value: seen.setdefault(name, value))
        return new_state, cell.gates(**seen)

    _, seen = lax.scan(one_step, state, (xs, mask))
    return seen if mask is None else jax.tree.map(lambda s: jnp.where(mask, s, 0), seen)


def forward_nudged(cell: Cell, params: Params, xs: Array, nudges: Any, state: State | None = None, lengths=None):
    """:func:`forward` with something added to every named intermediate: a NamedTuple of arrays (T, B, H).

    With nudges of zero, the gradient with respect to them is the gradient with respect to the intermediates.
    """
    params, xs, state, mask = _prepare(cell, params, xs, state, lengths)

    def one_step(state, step_inputs):
        x, m, nudge = step_inputs
        y, new_state = _step(cell, params, x, state, m, None, lambda name, value: value + getattr(nudge, name))
        return new_state, y

    def nudged(start):
        final, ys = lax.scan(one_step, start, (xs, mask, nudges))
        return ys, final

    return _masked(nudged, state, mask)


# ---------------------------------------------------------------- the scan


def _prepare(cell, params, xs, state, lengths, recurrent=True, may_be_symbols=False):
    """Arrays on the device, checked; padding replaced by zero before any product, since 0 * NaN is NaN.

    Symbols are int32 then, D for all that lie outside of 0 to D - 1.
    """
    check_type(params, cell.params)
    xs = jnp.asarray(xs)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    symbols = may_be_symbols and xs.ndim == 2 and are_symbols(xs)
    vectors = jax.ShapeDtypeStruct((*xs.shape, len(params.Wx)), params.b.dtype) if symbols else xs
    check_sequence(params, vectors, state, cell.state, cell.blocks, recurrent)
    T, B = xs.shape[:2]
    if state is None:
        state = initial_state(cell, params, B)
    # One dtype for all, as NumPy would promote them: a scan's carry cannot change its dtype on the way.
    dtype = jnp.result_type(xs, *params, *jax.tree.leaves(state))
    params, state = jax.tree.map(lambda a: a.astype(dtype), (params, state))
    xs = xs if symbols else xs.astype(dtype)
    if lengths is None:
        return params, _known(xs, len(params.Wx)) if symbols else xs, state, None
    traced = isinstance(lengths, jax.core.Tracer)
    lengths = lengths if traced else np.asarray(lengths)
    check_lengths(lengths, T, B, values=not traced)
    mask = (jnp.arange(T)[:, None] < jnp.asarray(lengths))[:, :, None]  # (T, B, 1)
    xs = jnp.where(mask[:, :, 0] if symbols else mask, xs, 0)
    return params, _known(xs, len(params.Wx)) if symbols else xs, state, mask


def _known(symbols, D):
    """Symbols as int32, in which no other number becomes one of them: D stands for all that are not below it."""
    if not isinstance(symbols, jax.core.Tracer):
        check_vocabulary(symbols, D)
    last = min(D - 1, int(jnp.iinfo(symbols.dtype).max))
    return jnp.where((symbols >= 0) & (symbols <= last), symbols.astype(jnp.int32), D)


def _vectors(params, xs):
    """Inputs as vectors (T, B, D): of symbols, those with a single 1."""
    if not are_symbols(xs):
        return xs
    D = len(params.Wx)
    return jnp.eye(D, dtype=params.b.dtype).at[xs].get(mode="fill", fill_value=jnp.nan)


def _masked(scan, state, mask):
    """Runs ``scan(state) -> ys, final``, with zeros for outputs on padding.

    A sequence of length 0 takes part in nothing and returns the state that it was given, whatever that holds.
    """
    if mask is None:
        return scan(state)
    some = mask.any(axis=0)  # (B, 1)
    ys, final = scan(map_state(lambda s: jnp.where(some, s, 0), state))
    return jnp.where(mask, ys, 0), map_state(lambda s, given: jnp.where(some, s, given), final, state)


def _step(cell, params, x, state, m, scale, note=unnoted, products=None):
    """One step of the plain scan, frozen where m (B, 1) is False."""
    Wh, Wh_last = first_blocks(cell, params.Wh)
    product = functools.partial(dot, products=products, dtype=params.b.dtype)
    zx = product(x, params.Wx) + params.b
    zh = product(scaled(hidden(state), scale), Wh)
    second = (lambda u: product(scaled(u, scale), Wh_last),) if cell.second else ()
    y, new_state = cell.update(zx, zh, state, extra(params), note, *second)
    return y, new_state if m is None else freeze(m, new_state, state)


def _plain_scan(cell, params, xs, state, mask, scale, products):
    """The scan as one would write it first; its gradient is JAX's own. The engine's oracle."""

    def one_step(state, step_inputs):
        x, m = step_inputs
        y, state = _step(cell, params, x, state, m, scale, products=products)
        return state, y

    state, ys = lax.scan(one_step, state, (xs, mask))
    return ys, state
