"""The scan over time that all cells share, its products with Wx and Wh, its lengths and its gradient.

A cell brings one elementwise function:

  update(zx, zh, state, extra, note) -> y, state

``zx = x @ Wx + b`` and ``zh = h @ Wh`` are its pre-activations, ``extra`` its elementwise parameters, ``state`` the one
before the step. ``note(name, value) -> value`` is called on every named intermediate; it does nothing unless somebody
wants to look at them (:func:`gates`) or to disturb them (:func:`forward_nudged`).

A cell whose last block of Wh multiplies something else than h (``second=True``; the GRU that resets before the product)
gets one more argument at the end, ``second(u) -> u @ Wh[:, -H:]``. Its ``zh`` then holds the other blocks only.

Why not simply differentiate the scan? Autodiff would add x_t^T dz_t to the weight gradients at every step: T small
products that each read and write a whole gradient. Here the reverse scan hands out dz_t only, and each weight gradient
is one large product over all steps after it. The elementwise derivative is ``jax.vjp`` of ``update``: no gate is
derived by hand in this half, so that testing it against :mod:`minirnn.readable` compares two derivations.

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

from minirnn.fast import platforms
from minirnn.params import (
    Array,
    Params,
    State,
    check_lengths,
    check_scale,
    check_sequence,
    check_step,
    check_type,
    extra,
    hidden,
    map_state,
    with_hidden,
)


class Cell(NamedTuple):
    """A cell: its elementwise function, and the types that name its intermediates and its state."""

    update: Callable
    gates: type  # a NamedTuple of the named intermediates
    blocks: int  # G: blocks of H columns in Wx and Wh
    state: type | None = None  # a NamedTuple; None where the state is the array h
    adds: bool = False  # True where update uses zx and zh only as zx + zh: then one product can form the sum
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
) -> tuple[Array, State]:
    """A whole sequence: xs (T, B, D), state -> ys (T, B, H), final state.

    Args:
      cell: the elementwise function.
      params: weights.
      xs: time-major inputs; ``xs[t]`` is x_t.
      state: initial state; None stands for zeros.
      lengths: integers (B,) from 0 to T. Past its length a sequence's state is frozen and its output is zero; what
        the padding holds (NaN too) changes nothing. A sequence of length 0 returns its initial state.
      recurrent_scale: (B, H), what h is multiplied by where it enters h Wh, the same at every step (recurrent dropout);
        None stands for ones. A constant: no gradient is given for it.
      plain: leave the gradient to JAX's autodiff of the scan: slower, but allows forward mode (``jax.jvp``, Hessians).

    Raises:
      ValueError: a shape does not fit the weights; the message names T, B and D.
      TypeError: integers where floating point is expected, or the reverse.
    """
    params, xs, state, mask = _prepare(cell, params, xs, state, lengths)
    scan = _plain_scan if plain else _scan
    if recurrent_scale is not None:
        recurrent_scale = lax.stop_gradient(jnp.asarray(recurrent_scale, params.Wh.dtype))
        check_scale(recurrent_scale, xs.shape[1], params.Wh.shape[0])
    return _masked(lambda start: scan(cell, params, xs, start, mask, recurrent_scale), state, mask)


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

    def scan(start):
        final, ys = lax.scan(one_step, start, (xs, mask, nudges))
        return ys, final

    return _masked(scan, state, mask)


# ---------------------------------------------------------------- the scan


def _prepare(cell, params, xs, state, lengths, recurrent=True):
    """Arrays on the device, checked; padding replaced by zero before any product, since 0 * NaN is NaN."""
    check_type(params, cell.params)
    xs = jnp.asarray(xs)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    check_sequence(params, xs, state, cell.state, cell.blocks, recurrent)
    T, B, _ = xs.shape
    if state is None:
        state = initial_state(cell, params, B)
    # One dtype for all, as NumPy would promote them: a scan's carry cannot change its dtype on the way.
    dtype = jnp.result_type(xs, *params, *jax.tree.leaves(state))
    params, xs, state = jax.tree.map(lambda a: a.astype(dtype), (params, xs, state))
    if lengths is None:
        return params, xs, state, None
    traced = isinstance(lengths, jax.core.Tracer)
    lengths = lengths if traced else np.asarray(lengths)
    check_lengths(lengths, T, B, values=not traced)
    mask = (jnp.arange(T)[:, None] < jnp.asarray(lengths))[:, :, None]  # (T, B, 1)
    return params, jnp.where(mask, xs, 0), state, mask


def _masked(scan, state, mask):
    """Runs ``scan(state) -> ys, final``, with zeros for outputs on padding.

    A sequence of length 0 takes part in nothing and returns the state that it was given, whatever that holds.
    """
    if mask is None:
        return scan(state)
    some = mask.any(axis=0)  # (B, 1)
    ys, final = scan(map_state(lambda s: jnp.where(some, s, 0), state))
    return jnp.where(mask, ys, 0), map_state(lambda s, given: jnp.where(some, s, given), final, state)


def _step(cell, params, x, state, m, scale, note=unnoted):
    """One step of the plain scan, frozen where m (B, 1) is False."""
    Wh, Wh_last = _blocks(cell, params.Wh)
    zx = x @ params.Wx + params.b
    zh = _scaled(hidden(state), scale) @ Wh
    second = (lambda u: _scaled(u, scale) @ Wh_last,) if cell.second else ()
    y, new_state = cell.update(zx, zh, state, extra(params), note, *second)
    return y, new_state if m is None else _freeze(m, new_state, state)


def _blocks(cell, Wh):
    """Wh in two parts: the blocks that multiply h, and the last one if it multiplies something else."""
    first = (cell.blocks - cell.second) * Wh.shape[0]
    return Wh[:, :first], Wh[:, first:]


def _flat(array):
    """Steps and batch as one axis: (T, B, F) -> (T·B, F)."""
    return array.reshape(-1, array.shape[-1])


def _scaled(h, scale):
    return h if scale is None else h * scale


def _freeze(m, new_state, state):
    return map_state(lambda new, old: jnp.where(m, new, old), new_state, state)


def _plain_scan(cell, params, xs, state, mask, scale):
    """The scan as one would write it first; its gradient is JAX's own. The engine's oracle."""

    def one_step(state, step_inputs):
        x, m = step_inputs
        y, state = _step(cell, params, x, state, m, scale)
        return state, y

    state, ys = lax.scan(one_step, state, (xs, mask))
    return ys, state


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(cell, params, xs, state, mask, scale):
    ys, state, _ = _scan_forward(cell, params, xs, state, mask, scale, save=False)
    return ys, state


def _scan_fwd(cell, params, xs, state0, mask, scale):
    ys, state, saved = _scan_forward(cell, params, xs, state0, mask, scale, save=True)
    return (ys, state), (params, xs, state0, mask, scale, saved)


def _scan_forward(cell, params, xs, state0, mask, scale, save):
    """ys, the final state and, if ``save``, what the reverse scan needs of each step: pre-activations and state."""
    elementwise = extra(params)
    Wh, Wh_last = _blocks(cell, params.Wh)
    hoisted = platforms.hoists_input_product()
    if hoisted:
        xs = xs @ params.Wx + params.b  # (T, B, GH): one product for all steps
    elif cell.adds:
        weights = jnp.concatenate([params.Wx, params.Wh])  # (D+H, GH)

    def one_step(state, step_inputs):
        x, m = step_inputs
        h = _scaled(hidden(state), scale)  # (B, H)
        if hoisted:
            zx, zh = x, h @ Wh  # (B, GH) each
        elif cell.adds:
            zx = jnp.concatenate([x, h], axis=-1) @ weights + params.b  # (B, GH): the sum, at once
            zh = jnp.zeros((), zx.dtype)
        else:
            zx, zh = x @ params.Wx + params.b, h @ Wh  # (B, GH) each
        seen: list[Array] = []

        def second(u):
            seen.append(_scaled(u, scale) @ Wh_last)
            return seen[0]

        y, new_state = cell.update(zx, zh, state, elementwise, unnoted, *((second,) if cell.second else ()))
        if m is not None:
            new_state = _freeze(m, new_state, state)
        z = zx + zh if cell.adds else (zx, zh, *seen)
        return new_state, (y, (z, new_state) if save else None)

    state, (ys, saved) = lax.scan(one_step, state0, (xs, mask))
    return ys, state, saved


def _scan_bwd(cell, residuals, cotangents):
    params, xs, state0, mask, scale, (zs, states) = residuals
    dys, dstate = cotangents
    elementwise = extra(params)
    # states[t] left step t; the reverse scan wants the one that entered it.
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest])[:-1], state0, states)
    WhT, Wh_lastT = (W.T for W in _blocks(cell, params.Wh))  # transposed once, not at every step

    def one_step(carry, step_inputs):
        dstate, dextra = carry
        dy, z, state, m = step_inputs
        kept = None
        if m is not None:  # a frozen step hands its gradient through, past the update
            kept = jax.tree.map(lambda d: jnp.where(m, 0, d), dstate)
            dstate = jax.tree.map(lambda d: jnp.where(m, d, 0), dstate)
        z = (z, jnp.zeros((), z.dtype)) if cell.adds else z
        pull = _pullback_twice if cell.second else _pullback
        (dzx, dzh, *dz_last), dstate, dextra_t, u = pull(cell, z, state, elementwise, (dy, dstate), scale, Wh_lastT)
        dz = dzx if cell.adds else (dzx, dzh, *dz_last)
        dh = hidden(dstate) + _scaled((dzx if cell.adds else dzh) @ WhT, scale)  # (B, H)  P1
        dstate = with_hidden(dstate, dh)
        if kept is not None:
            dstate = jax.tree.map(jnp.add, dstate, kept)
        return (dstate, jax.tree.map(jnp.add, dextra, dextra_t)), (dz, u)

    zeros = jax.tree.map(jnp.zeros_like, elementwise)
    (dstate0, dextra), (dz, us) = lax.scan(one_step, (dstate, zeros), (dys, zs, states, mask), reverse=True)
    dzx, dzh, *dz_last = (dz, dz) if cell.adds else dz
    # A sum over t and over the batch is a product with T·B in the middle.
    dxs = dzx @ params.Wx.T  # (T, B, D)  P2
    dWh = _flat(_scaled(hidden(states), scale)).T @ _flat(dzh)  # (H, GH)  P4
    if cell.second:
        dWh_last = _flat(_scaled(us, scale)).T @ _flat(*dz_last)  # (H, H)  P6
        dWh = jnp.concatenate([dWh, dWh_last], axis=1)
    dparams = type(params)(
        Wx=_flat(xs).T @ _flat(dzx),  # (D, GH)  P3
        Wh=dWh,
        b=_flat(dzx).sum(axis=0),  # (GH,)  P5
        **dextra,
    )
    return dparams, dxs, dstate0, None, None


def _pullback(cell, z, state, elementwise, cotangents, scale, Wh_lastT):
    """The gradients of the elementwise function: with respect to its pre-activations, state and parameters."""
    _, pullback = jax.vjp(lambda *inputs: cell.update(*inputs, unnoted), *z, state, elementwise)
    dzx, dzh, dstate, dextra = pullback(cotangents)
    return (dzx, dzh), dstate, dextra, None


def _pullback_twice(cell, z, state, elementwise, cotangents, scale, Wh_lastT):
    """The same where the cell has a second product u Wh_last; also returns u.

    The product's value was saved. So ``update`` is differentiated as if it were one more input, and u one more output:
    first the gradient of that input, then, through the product by hand, what comes back by way of u.
    """

    def update(zx, zh, z_last, state, elementwise):
        seen: list[Array] = []

        def second(u):
            seen.append(u)
            return z_last

        return cell.update(zx, zh, state, elementwise, unnoted, second), seen[0]

    (outputs, u), pullback = jax.vjp(update, *z, state, elementwise)
    _, _, dz_last, *_ = direct = pullback((cotangents, jnp.zeros_like(u)))
    du = _scaled(dz_last @ Wh_lastT, scale)  # (B, H)
    nothing = jax.tree.map(jnp.zeros_like, outputs)
    dzx, dzh, _, dstate, dextra = jax.tree.map(jnp.add, direct, pullback((nothing, du)))
    return (dzx, dzh, dz_last), dstate, dextra, u


_scan.defvjp(_scan_fwd, _scan_bwd)
