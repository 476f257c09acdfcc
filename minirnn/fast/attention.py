"""Attention in JAX: dot-product, bilinear and additive (A1-A6). The derivatives come from JAX.

A query asks every key; the answers e become weights a that add up to one; the context c is the mean of the values with
these weights. The type of the weights says which kind of attention it is.

Dimension letters: T queries in time, S keys in time, B batch; Q, K, V sizes of a query, a key, a value; A size of the
additive attention. In ``einsum`` the same letters are small. One step (B, Q) is treated as T queries (T, B, Q) are.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from minirnn.equations import numbered
from minirnn.params import (
    AttentionParams,
    BilinearAttentionParams,
    DotAttentionParams,
    check_attention,
    init_attention,
)

init = init_attention


@numbered("A1-A6")
def forward(params: AttentionParams, queries, keys, values, mask=None):
    """Queries (T, B, Q), keys (S, B, K), values (S, B, V) -> context (T, B, V), weights (T, B, S).

    Args:
      params: from :func:`init`; their type says which of A1 (dot), A2 (bilinear), A3 and A4 (additive) holds.
      queries: or one step (B, Q); then context (B, V) and weights (B, S).
      keys: time-major.
      values: time-major, one for each key.
      mask: bool (S, B), True on real keys; None where all are. What the others hold (NaN too) changes nothing. A
        sequence without any real key gets weights and context of zero.

    >>> params = init(0, "additive", query_size=3, key_size=2, size=4)
    >>> context, weights = forward(params, jnp.ones((7, 6, 3)), jnp.ones((5, 6, 2)), jnp.ones((5, 6, 2)))
    >>> context.shape, weights.shape
    ((7, 6, 2), (7, 6, 5))

    Dot products are divided by the root of K, as Vaswani et al. do; Luong et al. do not divide.
    """
    params, queries, keys, values, mask = jax.tree.map(jnp.asarray, (params, queries, keys, values, mask))
    check_attention(params, queries, keys, values, mask)
    one_step = queries.ndim == 2
    q, k, v = (queries[None] if one_step else queries), keys, values
    if mask is not None:  # before any product: 0 * NaN is NaN
        k, v = (jnp.where(mask[:, :, None], array, 0) for array in (k, v))
    e = _scores(params, q, k)
    a = _softmax(e, mask)
    c = jnp.einsum("tbs,sbv->tbv", a, v)  # A6
    return (c[0], a[0]) if one_step else (c, a)


def _scores(params, q, k):
    """How well each query and key fit: e (T, B, S)."""
    if isinstance(params, DotAttentionParams):
        e = jnp.einsum("tbk,sbk->tbs", q, k) / k.shape[-1] ** 0.5  # A1
    elif isinstance(params, BilinearAttentionParams):
        e = jnp.einsum("tbk,sbk->tbs", q @ params.W, k)  # A2
    else:
        k_part = (k @ params.Wk).swapaxes(0, 1)  # (B, S, A)
        u = jnp.tanh((q @ params.Wq)[:, :, None] + k_part + params.b)  # (T, B, S, A)  A3
        e = u @ params.v  # A4
    return e


def _softmax(e, mask):
    """Weights (T, B, S) that add up to one over the real keys; zeros where there is none."""
    real = True if mask is None else mask.T  # (B, S)
    lowest = jnp.finfo(e.dtype).min
    highest = lax.stop_gradient(jnp.where(real, e, lowest).max(axis=-1, keepdims=True, initial=lowest))
    exp_e = jnp.where(real, jnp.exp(jnp.where(real, e - highest, 0)), 0)  # the shift changes no weight, none overflows
    total = exp_e.sum(axis=-1, keepdims=True)  # (T, B, 1), at least 1 unless there is no real key
    a = exp_e / jnp.where(total == 0, 1, total)  # A5
    return jnp.where(real, a, 0)  # zero already; but now a cotangent of NaN in the padding counts for nothing
