"""The scan over time of the cells whose gates do not read h (H1-H5): parallel in time on accelerators.

Such a cell is a linear recurrence: ``h_t = a_t h_{t-1} + u_t``, where the coefficients a and u follow from x_t alone.
Two steps one after the other are again such a step, so ``lax.associative_scan`` can join them in any grouping, many at
once, in O(log T) depth. The few cores of a CPU have no use for that: there the steps follow one another
(``platforms.parallel_in_time``). A cell brings one elementwise function for all steps,

  coefficients(zx, note) -> a, u

``zx = x @ Wx + b`` are its pre-activations; ``note`` is that of :mod:`minirnn.fast.engine`, which scans the cells whose
gates read h.

JAX differentiates everything but the recurrence. The gradient of that is the same recurrence in reverse, so it is
written as such: it needs a and the states, where autodiff would keep more (of a parallel scan, every level of its
tree).

Dimension letters: T time steps, B batch, D input size, H hidden size, G gates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from minirnn.fast import platforms
from minirnn.fast.engine import _masked, _prepare, unnoted
from minirnn.fast.scan import dot, make_plan
from minirnn.params import Array, Params, check_step, check_type


class Cell(NamedTuple):
    """A cell: its elementwise function, and the type that names its intermediates. Its state is the array h."""

    coefficients: Callable
    gates: type  # a NamedTuple of the named intermediates
    blocks: int  # G: blocks of H columns in Wx
    state: None = None
    params: type | None = None  # a NamedTuple of its weights; None takes any with the right shapes


def initial_state(cell: Cell, params: Params, batch_size: int) -> Array:
    """Zeros (B, H), in the dtype of the weights."""
    return jnp.zeros((batch_size, len(params.b) // cell.blocks), params.b.dtype)


def step(cell: Cell, params: Params, x: Array, state: Array | None) -> tuple[Array, Array]:
    """One step of a cell: x (B, D), state (B, H) (None stands for zeros) -> y (B, H), state."""
    check_type(params, cell.params)
    x = jnp.asarray(x)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    state = initial_state(cell, params, len(x)) if state is None else state
    check_step(params, x, state, None, cell.blocks, recurrent=False)
    a, u = cell.coefficients(x @ params.Wx + params.b, unnoted)
    h = a * state + u  # (B, H)  H1
    return h, h


def forward(
    cell: Cell,
    params: Params,
    xs: Array,
    state: Array | None = None,
    lengths=None,
    plain: bool = False,
    save: str = "all",
    products: str | None = None,
) -> tuple[Array, Array]:
    """A whole sequence: xs (T, B, D), state (B, H) -> ys (T, B, H), final state (B, H).

    Arguments, masking and errors are those of :func:`minirnn.fast.engine.forward`. With ``plain`` the recurrence is one
    step after another and its gradient JAX's own, which allows forward mode (``jax.jvp``, Hessians). ``save``: with
    ``"states"`` or ``"chunks"``, which are the same here, the layer keeps its inputs only and runs once more before its
    gradient (on a CPU with its loop over time).
    """
    plan = make_plan(save, products)

    def run(params, xs, state):
        return _run(cell, params, xs, state, lengths, unnoted, _plain_scan if plain else _scan, plan.products)

    return (run if plain or plan.save == "all" else jax.checkpoint(run))(params, xs, state)


def gates(cell: Cell, params: Params, xs: Array, state: Array | None = None, lengths=None):
    """Every named intermediate over time: a NamedTuple of arrays (T, B, H), zero on padding."""
    params, xs, _, mask = _prepare(cell, params, xs, state, lengths, recurrent=False)
    seen: dict[str, Array] = {}
    cell.coefficients(xs @ params.Wx + params.b, lambda name, value: seen.setdefault(name, value))
    named = cell.gates(**seen)
    return named if mask is None else jax.tree.map(lambda s: jnp.where(mask, s, 0), named)


def forward_nudged(cell: Cell, params: Params, xs: Array, nudges: Any, state: Array | None = None, lengths=None):
    """:func:`forward` with something added to every named intermediate: a NamedTuple of arrays (T, B, H).

    With nudges of zero, the gradient with respect to them is the gradient with respect to the intermediates.
    """
    return _run(cell, params, xs, state, lengths, lambda name, value: value + getattr(nudges, name), _scan)


# ---------------------------------------------------------------- the scan


def _run(cell, params, xs, state, lengths, note, scan, products=None):
    params, xs, state, mask = _prepare(cell, params, xs, state, lengths, recurrent=False)
    # Forward mode cannot go through a gradient of our own, and where nothing is rounded JAX's is the same.
    product = dot if products is None or scan is _plain_scan else _product
    zx = product(xs, params.Wx, products, params.b.dtype) + params.b  # (T, B, GH)
    a, u = cell.coefficients(zx, note)  # (T, B, H) each
    if mask is not None:  # h = 1 h' + 0: the state is frozen
        a, u = jnp.where(mask, a, 1), jnp.where(mask, u, 0)

    def states(start):
        hs = scan(a, u, start)  # (T, B, H)
        return hs, hs[-1] if len(hs) else start

    return _masked(states, state, mask)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _product(xs, Wx, products, dtype):
    """Xs Wx, rounded factors. JAX's gradient would round dWx, a sum over all steps, and no factor of its products."""
    return dot(xs, Wx, products, dtype)


def _product_fwd(xs, Wx, products, dtype):
    return dot(xs, Wx, products, dtype), (xs, Wx)


def _product_bwd(products, dtype, residuals, dzx):
    xs, Wx = residuals
    flat_xs, flat_dzx = (array.reshape(-1, array.shape[-1]) for array in (xs, dzx))  # (T·B, D), (T·B, GH)
    return dot(dzx, Wx.T, products, dtype), dot(flat_xs.T, flat_dzx, products, dtype)  # P2, P3


_product.defvjp(_product_fwd, _product_bwd)


def _plain_scan(a, u, h0, reverse=False):
    """The recurrence as one would write it first. The oracle of :func:`_scan`, and what that does on a CPU."""

    def one_step(h, coefficients):
        a, u = coefficients
        h = a * h + u  # H1
        return h, h

    return lax.scan(one_step, h0, (a, u), reverse=reverse)[1]


@functools.partial(jax.jit, static_argnames="reverse")
def _prefixes(a, u, reverse=False):
    """Coefficients of the first t+1 steps taken as one step, for every t: A, U (T, B, H)."""

    def join(first, second):  # a2 (a1 h + u1) + u2
        (a1, u1), (a2, u2) = first, second
        return a1 * a2, a2 * u1 + u2

    return lax.associative_scan(join, (a, u), reverse=reverse)


@jax.custom_vjp
def _scan(a, u, h0):
    """The states after every step: a, u (T, B, H), h0 (B, H) -> (T, B, H)."""
    if not platforms.parallel_in_time():
        return _plain_scan(a, u, h0)
    A, U = _prefixes(a, u)
    return A * h0 + U  # H1


def _scan_fwd(a, u, h0):
    hs = _scan(a, u, h0)
    return hs, (a, h0, hs)


def _scan_bwd(residuals, dhs):
    a, h0, hs = residuals
    hs_prev = jnp.concatenate([h0[None], hs])[:-1]  # (T, B, H): what entered each step
    # The recurrence dh_t = dy_t + a_{t+1} dh_{t+1}, from the last step to the first.
    a_next = jnp.concatenate([a[1:], jnp.ones_like(a[:1])])
    if platforms.parallel_in_time():
        _, dh = _prefixes(a_next, dhs, reverse=True)  # (T, B, H)  H2, H5
    else:
        dh = _plain_scan(a_next, dhs, jnp.zeros_like(h0), reverse=True)  # (T, B, H)  H2, H5
    da = dh * hs_prev  # H3
    du = dh  # H4
    dh0 = (a[:1] * dh[:1]).sum(axis=0)  # (B, H)  H5; zero where T = 0
    return da, du, dh0


_scan.defvjp(_scan_fwd, _scan_bwd)
