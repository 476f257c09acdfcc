"""The scan over time with a gradient of its own: what makes training fast, and what it costs in memory.

Why not simply differentiate the scan? Autodiff would add x_t^T dz_t to the weight gradients at every step: T small
products that each read and write a whole gradient. Here the reverse scan hands out dz_t only, and each weight gradient
is one large product over all steps after it. The elementwise derivative is ``jax.vjp`` of the cell's ``update``: no
gate is derived by hand in this half, so that testing it against :mod:`minirnn.readable` compares two derivations.

The forward loop keeps, of each step, as much as ``save`` says:

  "all"     the pre-activations z_t and the states. The reverse loop writes dz_t where z_t stood.
  "states"  the states. From them the pre-activations of a whole block of steps are one product, formed just before
            the reverse loop of that block; the block's part of the weight gradients is added right after it.
  "chunks"  the state before each chunk of about sqrt(T) steps. The forward loop of a chunk is run once more before its
            reverse loop: least memory, and the only policy that repeats serial work.

Pre-activations are stored as one array z of G + A blocks of H columns: first the x parts of the A blocks that
``update`` wants apart, then the blocks of which it needs the sum zx + zh only, then the h parts of the A blocks. The
gradients dzx and dzh are then two overlapping slices of dz. For an LSTM A is 0, for a GRU 1: its candidate resets the
h part alone.

Inputs may be symbols, integers (T, B). Such an x_t is a vector with a single 1, so that x_t Wx is a row of Wx: nothing
is multiplied, and the gradient of a row is the sum of the dz_t of the steps that read it.

Dimension letters: T time steps, L steps of one block, B batch, D input size, H hidden size, G gates, A blocks apart.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from minirnn.fast import platforms
from minirnn.params import PRODUCTS, SAVE, Array, extra, hidden, map_state, with_hidden

# Blocks of "states": z of one block then takes a sixteenth of what "all" keeps, and its products are still large.
_BLOCKS = 16


class Plan(NamedTuple):
    """How a sequence is computed; never what: no field changes a result beyond rounding."""

    save: str = "all"
    products: str | None = None  # dtype of the factors of all products; sums and states stay in that of the weights


def make_plan(save: str, products: str | None) -> Plan:
    """A Plan of known values.

    Raises:
      ValueError: an unknown value.
    """
    for name, value, known in (("save", save, SAVE), ("products", products, PRODUCTS)):
        if value not in known:
            raise ValueError(f"unknown {name} {value!r}; expected one of {', '.join(map(repr, known))}")
    return Plan(save, products)


def apart(cell) -> int:
    """A: the number of last blocks whose x and h parts ``update`` wants apart."""
    if not cell.adds:
        return cell.blocks
    return 1 if cell.second else cell.apart


def first_blocks(cell, Wh):
    """Wh in two parts: the blocks that multiply h, and the last one if it multiplies something else."""
    first = (cell.blocks - cell.second) * Wh.shape[0]
    return Wh[:, :first], Wh[:, first:]


def scaled(h, scale):
    """What enters h Wh: h, times the factors of recurrent dropout if there are any."""
    return h if scale is None else h * scale


def freeze(m, new_state, state):
    """The new state where m (B, 1) is True, the old one elsewhere."""
    return map_state(lambda new, old: jnp.where(m, new, old), new_state, state)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def scan(cell, plan: Plan, params, xs, state, mask, scale):
    """Xs (T, B, D) or (T, B), mask (T, B, 1) or None, scale (B, H) or None -> ys (T, B, H), final state."""
    state, (ys, _) = _walk(cell, _arrange(cell, plan, params, xs, scale), xs, state, mask, keep=None)
    return ys, state


def _scan_fwd(cell, plan, params, xs, state0, mask, scale):
    weights = _arrange(cell, plan, params, xs, scale)
    if plan.save == "chunks":
        state, ys, kept = _walk_with_marks(cell, weights, xs, state0, mask)
    else:
        state, (ys, kept) = _walk(cell, weights, xs, state0, mask, keep=plan.save)
        kept = (ys, kept)
    return (ys, state), (params, xs, state0, mask, scale, kept)


def _scan_bwd(cell, plan, residuals, cotangents):
    params, xs, state0, mask, scale, kept = residuals
    dys, dstate = cotangents
    T = len(xs)
    weights = _arrange(cell, plan, params, xs, scale)
    length = {"all": T, "states": _block_length(T), "chunks": _chunk_length(T)}[plan.save]

    def one_block(dstate, dextra, start, length):
        """Steps ``start`` to ``start + length``, backwards. ``start`` may be traced, ``length`` is known."""

        def part(a):
            # The whole sequence is taken as it is: a slice of everything would be a copy of everything.
            return a if length == T else lax.dynamic_slice_in_dim(a, start, length)

        x, dy, m = jax.tree.map(part, (xs, dys, mask))
        if plan.save == "chunks":
            entering = jax.tree.map(lambda marks: marks[start // _chunk_length(T)], kept)
            _, (hs, saved) = _walk(cell, weights, x, entering, m, keep="all")
        else:
            hs, saved = jax.tree.map(part, kept)
            entering = state0
            if length < T:
                last = jnp.maximum(start - 1, 0)
                h0 = jnp.where(start == 0, hidden(state0), kept[0][last])
                entering = with_hidden(state0, h0)
        states = saved[0]
        if hidden(states) is None:  # h was left out, since it is the output; one step later
            states = with_hidden(states, jnp.concatenate([hidden(entering)[None], hs[:-1]]))
        zs = _recomputed(cell, weights, x, states) if plan.save == "states" else saved[1]
        carry, dzs, us = _reverse(cell, weights, zs, states, dy, m, (dstate, dextra))
        return carry, _products(cell, weights, x, hidden(states), dzs, us)

    dextra = jax.tree.map(jnp.zeros_like, weights.extra)
    if length >= T:
        (dstate, dextra), (dproducts, dxs) = one_block(dstate, dextra, 0, T)
    else:

        def accumulated(carry, start, length=length):
            (dstate, dextra), dproducts, dxs = carry
            gradients, (more, dx) = one_block(dstate, dextra, start, length)
            dxs = jax.tree.map(lambda dxs, dx: lax.dynamic_update_slice_in_dim(dxs, dx, start, axis=0), dxs, dx)
            return gradients, jax.tree.map(jnp.add, dproducts, more), dxs

        zeros = Products(*(jnp.zeros_like(getattr(params, name)) for name in Products._fields))
        carry: Any = (dstate, dextra), zeros, None if are_symbols(xs) else jnp.zeros_like(xs)
        whole, rest = divmod(T, length)
        if rest:
            carry = accumulated(carry, whole * length, rest)
        starts = jnp.arange(whole) * length
        carry, _ = lax.scan(lambda carry, start: (accumulated(carry, start), None), carry, starts, reverse=True)
        (dstate, dextra), dproducts, dxs = carry
    dparams = type(params)(**dproducts._asdict(), **{name: d.sum(axis=0) for name, d in dextra.items()})
    return dparams, dxs, dstate, None, None


scan.defvjp(_scan_fwd, _scan_bwd)


def are_symbols(xs) -> bool:
    """Whether inputs are integers rather than vectors."""
    return jnp.issubdtype(xs.dtype, jnp.integer)


def _block_length(T):
    """Steps of one block of "states". A divisor of T needs no smaller block at the end, which is compiled too."""
    shortest = -(-T // _BLOCKS)
    return next((length for length in range(shortest, 2 * shortest) if T % length == 0), shortest)


def _chunk_length(T):
    """Steps of one chunk of "chunks": about as many chunks as steps in each."""
    shortest = max(math.isqrt(T), 1)
    return next((length for length in range(shortest, 2 * shortest) if T % length == 0), shortest)


# ---------------------------------------------------------------- the weights, arranged for the loops


class Products(NamedTuple):
    """What all cells have in common: the weights of the products, or their gradients."""

    Wx: Array  # (D, GH)
    Wh: Array  # (H, GH)
    b: Array  # (GH,)


class _Weights(NamedTuple):
    """The weights in the order of z."""

    Wx: Array  # (D, GH): the blocks apart come first
    Wh: Array  # (H, GH), or one block less where the last one multiplies something else than h
    Wh_last: Array  # (H, H), that last one; (H, 0) where there is none
    b: Array  # (GH,), ordered as Wx
    extra: dict[str, Array]  # (B, H) each: a row per sequence, so that no step sums a gradient over the batch
    scale: Array | None  # (B, H)


def _arrange(cell, plan, params, xs, scale) -> _Weights:
    H = len(params.Wh)
    first, last = first_blocks(cell, params.Wh)
    summed = (cell.blocks - apart(cell)) * H
    Wx, b = params.Wx, params.b
    if summed < cell.blocks * H:
        Wx, b = (jnp.concatenate([a[..., summed:], a[..., :summed]], axis=-1) for a in (Wx, b))
    rows = {name: jnp.broadcast_to(value, (xs.shape[1], H)) for name, value in extra(params).items()}
    Wx, first, last = (W if plan.products is None else W.astype(plan.products) for W in (Wx, first, last))
    return _Weights(Wx, first, last, b, rows, scale)


def dot(a, W, products, dtype):
    """A @ W: factors rounded to ``products`` (None: not rounded), summed up in ``dtype``."""
    if products is None:
        return a @ W
    return jnp.matmul(a.astype(products), W.astype(products), preferred_element_type=dtype)


def _dot(weights, a, W):
    return dot(a, W, None if weights.Wx.dtype == weights.b.dtype else weights.Wx.dtype, weights.b.dtype)


def _input_product(weights, x):
    """What x adds to the pre-activations, x Wx + b. Symbol D stands for all that Wx has no row for: NaN."""
    if are_symbols(x):
        product = weights.Wx.at[x].get(mode="fill", fill_value=jnp.nan).astype(weights.b.dtype)
    else:
        product = _dot(weights, x, weights.Wx)
    return product + weights.b


def _arranged(cell, zx, zh):
    """Z from its halves: zx (..., GH) with the blocks apart first, zh (..., GH)."""
    A = apart(cell)
    if A == 0:
        return zx + zh
    H = zx.shape[-1] // cell.blocks
    summed = (cell.blocks - A) * H
    return jnp.concatenate([zx[..., : A * H], zx[..., A * H :] + zh[..., :summed], zh[..., summed:]], axis=-1)


def _halves(cell, z):
    """Z as ``update`` wants it: zx (..., GH) and zh in the cell's own order; what is in the sums stands in zx."""
    A = apart(cell)
    if A == 0:
        return z, jnp.zeros((), z.dtype)
    H = z.shape[-1] // (cell.blocks + A - cell.second)
    x_part, sums, h_part = jnp.split(z, (A * H, cell.blocks * H), axis=-1)
    return jnp.concatenate([sums, x_part], axis=-1), jnp.concatenate([jnp.zeros_like(sums), h_part], axis=-1)


# ---------------------------------------------------------------- forwards


def _forward_step(cell, weights, hoisted, symbols):
    """``step(state, x, m) -> new state, y, what may be kept``: the state before, and z with its second product."""
    at_once = apart(cell) == 0 and not hoisted and not symbols
    if at_once:
        joined = jnp.concatenate([weights.Wx, weights.Wh])  # (D+H, GH)

    def step(state, x, m):
        h = scaled(hidden(state), weights.scale)  # (B, H)
        if at_once:
            z = _dot(weights, jnp.concatenate([x, h], axis=-1), joined) + weights.b  # (B, GH)
        else:
            zx = x if hoisted else _input_product(weights, x)  # (B, GH)
            z = _arranged(cell, zx, _dot(weights, h, weights.Wh))  # (B, (G+A)H)
        seen: list[Array] = []

        def second(u):
            seen.append(_dot(weights, scaled(u, weights.scale), weights.Wh_last))
            return seen[0]

        y, new_state = _call(cell, weights, z, state, second)
        # Where the output is the new h anyway, h is not kept twice: None stands for it.
        before = with_hidden(state, None) if hidden(new_state) is y else state
        if m is not None:
            y_is_h = hidden(new_state) is y
            new_state = freeze(m, new_state, state)
            y = hidden(new_state) if y_is_h else y
        return new_state, y, (before, (z, *seen))

    return step


def _call(cell, weights, z, state, second, rows=None):
    zx, zh = _halves(cell, z)
    rows = weights.extra if rows is None else rows
    return cell.update(zx, zh, state, rows, _unnoted, *((second,) if cell.second else ()))


def _unnoted(name, value):
    return value


def _inputs(weights, xs):
    """What the loop reads of x: x itself, or zx where that is formed for all steps at once; and which of the two."""
    hoisted = platforms.hoists_input_product()
    return (_input_product(weights, xs) if hoisted else xs), hoisted


def _walk(cell, weights, xs, state0, mask, keep):
    """The forward loop: final state, (ys, what ``keep`` says of every step)."""
    inputs, hoisted = _inputs(weights, xs)
    step = _forward_step(cell, weights, hoisted, are_symbols(xs))

    def one_step(state, step_inputs):
        state, y, (before, zs) = step(state, *step_inputs)
        return state, (y, {None: None, "states": (before,), "all": (before, zs)}[keep])

    return lax.scan(one_step, state0, (inputs, mask))


def _walk_with_marks(cell, weights, xs, state0, mask):
    """The forward loop that keeps the state before each chunk: final state, ys, states (chunks + 1, B, H)."""
    inputs, hoisted = _inputs(weights, xs)
    step = _forward_step(cell, weights, hoisted, are_symbols(xs))
    T, length = len(xs), _chunk_length(len(xs))
    chunks = -(-T // length)

    def one_step(carry, step_inputs):
        t, x, m = step_inputs
        state, marks = carry
        state, y, _ = step(state, x, m)
        # The mark of a chunk is overwritten until the last step before it.
        marks = jax.tree.map(lambda marks, s: marks.at[(t + length) // length].set(s), marks, state)
        return (state, marks), y

    marks = jax.tree.map(lambda s: jnp.zeros((chunks + 1, *s.shape), s.dtype).at[0].set(s), state0)
    (state, marks), ys = lax.scan(one_step, (state0, marks), (jnp.arange(T), inputs, mask))
    return state, ys, marks


# ---------------------------------------------------------------- backwards


def _recomputed(cell, weights, xs, states):
    """The pre-activations of a block of steps from the states before them, in one product each: (z, second product)."""
    h = scaled(hidden(states), weights.scale)  # (L, B, H)
    z = _arranged(cell, _input_product(weights, xs), _dot(weights, h, weights.Wh))
    seen: list[Array] = []

    def second(u):
        seen.append(_dot(weights, scaled(u, weights.scale), weights.Wh_last))
        return seen[0]

    if cell.second:
        _call(cell, weights, z, states, second)
    return (z, *seen)


def _reverse(cell, weights, zs, states, dys, mask, carry):
    """The reverse loop: the gradients it carries, dz in the place of z, and the factors u of a second product."""
    A, H = apart(cell), len(weights.Wh)
    WhT, Wh_lastT = weights.Wh.T, weights.Wh_last.T  # transposed once, not at every step

    def one_step(carry, step_inputs):
        dstate, dextra, zs = carry
        t, dy, state, m = step_inputs
        kept = None
        if m is not None:  # a frozen step hands its gradient through, past the update
            kept = jax.tree.map(lambda d: jnp.where(m, 0, d), dstate)
            dstate = jax.tree.map(lambda d: jnp.where(m, d, 0), dstate)
        z = tuple(_read(buffer, t) for buffer in zs)
        (dz, *dz_last), dstate, dextra_t, u = _pullback(cell, weights, z, state, (dy, dstate), Wh_lastT)
        dh = hidden(dstate) + scaled(_dot(weights, dz[:, A * H :], WhT), weights.scale)  # (B, H)  P1
        dstate = with_hidden(dstate, dh)
        if kept is not None:
            dstate = jax.tree.map(jnp.add, dstate, kept)
        zs = tuple(_write(buffer, d, t) for buffer, d in zip(zs, (dz, *dz_last)))
        return (dstate, jax.tree.map(jnp.add, dextra, dextra_t), zs), u

    (dstate, dextra, dzs), us = lax.scan(
        one_step, (*carry, zs), (jnp.arange(len(dys)), dys, states, mask), reverse=True
    )
    return (dstate, dextra), dzs, us


def _read(buffer, t):
    """buffer[t], without looking whether t lies inside: that costs as much as a small step."""
    return lax.dynamic_index_in_dim(buffer, t, keepdims=False, allow_negative_indices=False)


def _write(buffer, value, t):
    """buffer.at[t].set(value), without looking either."""
    return lax.dynamic_update_index_in_dim(buffer, value, t, 0, allow_negative_indices=False)


def _pullback(cell, weights, zs, state, cotangents, Wh_lastT):
    """The gradients of the elementwise function: (dz, that of a second product), dstate, dextra, the second's factor u.

    The value of a second product u Wh_last was kept. So ``update`` is differentiated as if it were one more input, and
    u one more output: first the gradient of that input, then, through the product by hand, what comes back by way of u.
    """

    def update(zs, state, rows):
        factors: list[Array] = []

        def second(u):
            factors.append(u)
            return zs[1]

        return _call(cell, weights, zs[0], state, second, rows), tuple(factors)

    (outputs, us), pull = jax.vjp(update, zs, state, weights.extra)
    dzs, dstate, dextra = direct = pull((cotangents, jax.tree.map(jnp.zeros_like, us)))
    if not cell.second:
        return dzs, dstate, dextra, ()
    du = scaled(_dot(weights, dzs[1], Wh_lastT), weights.scale)  # (B, H)  B11
    nothing = jax.tree.map(jnp.zeros_like, outputs)
    (dz, _), dstate, dextra = jax.tree.map(jnp.add, direct, pull((nothing, (du,))))
    return (dz, dzs[1]), dstate, dextra, us


def _products(cell, weights, xs, hs, dzs, us):
    """The gradients of the products of a block, and dxs. A sum over t and over the batch is a product with L·B inside.

    ``hs`` are the states h before each step. One product gives all: the bias is the weight of an input that is 1. Where
    a block of dz belongs to x or to h alone, the other's part of the product is left out: cheaper than a copy of dz.
    """
    dz, *dz_last = dzs
    hs = scaled(hs, weights.scale)
    vectors = hs[..., :0] if are_symbols(xs) else xs  # symbols take no part in the product
    D, H, G, A = vectors.shape[-1], len(weights.Wh), cell.blocks, apart(cell)
    ones = jnp.ones((*xs.shape[:2], 1), hs.dtype)
    joined = _dot(weights, _flat(jnp.concatenate([vectors, hs, ones], axis=-1)).T, _flat(dz))  # (D+H+1, (G+A)H)
    dWx, dWh, db = joined[:D, : G * H], joined[D:-1, A * H :], joined[-1, : G * H]  # P3, P4, P5
    if are_symbols(xs):
        dWx = jnp.zeros(weights.Wx.shape, dz.dtype).at[xs.reshape(-1)].add(_flat(dz)[:, : G * H])
    if cell.second:
        dWh_last = _dot(weights, _flat(scaled(us[0], weights.scale)).T, _flat(dz_last[0]))  # (H, H)  P6
        dWh = jnp.concatenate([dWh, dWh_last], axis=1)
    if 0 < A < G:  # back into the cell's own order
        dWx, db = (jnp.concatenate([d[..., A * H :], d[..., : A * H]], axis=-1) for d in (dWx, db))
    if are_symbols(xs):
        return Products(dWx, dWh, db), None
    beside = dz.shape[-1] - G * H
    dxs = _dot(weights, dz, jnp.pad(weights.Wx, ((0, 0), (0, beside))).T)  # (L, B, D)  P2
    return Products(dWx, dWh, db), dxs


def _flat(array):
    """Steps and batch as one axis: (L, B, F) -> (L·B, F)."""
    return array.reshape(-1, array.shape[-1])
