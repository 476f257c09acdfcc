"""Attention in NumPy: dot-product, bilinear and additive, forward (A1-A6) and backward (A7-A21) by hand.

A query asks every key; the answers e become weights a that add up to one; the context c is the mean of the values with
these weights. The type of the weights says which kind of attention it is.

Dimension letters: T queries in time, S keys in time, B batch; Q, K, V sizes of a query, a key, a value; A size of the
additive attention. In ``einsum`` the same letters are small. One step (B, Q) is treated as T queries (T, B, Q) are.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.equations import numbered
from minirnn.params import (
    AdditiveAttentionParams,
    Array,
    AttentionParams,
    BilinearAttentionParams,
    DotAttentionParams,
    check_attention,
    init_attention,
)


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`. Padded keys and values are replaced by zero."""

    params: AttentionParams
    q: Array  # (T, B, Q)
    k: Array  # (S, B, K)
    v: Array  # (S, B, V)
    u: Any  # (T, B, S, A) of additive attention, None of the others
    mask: Any  # (S, B), True on real keys; None where all are
    a: Array  # (T, B, S)
    one_step: bool  # whether the caller's queries have no time


init = init_attention


@numbered("A1-A6")
def forward(params: AttentionParams, queries, keys, values, mask=None):
    """Queries (T, B, Q), keys (S, B, K), values (S, B, V) -> context (T, B, V), weights (T, B, S), cache.

    Args:
      params: from :func:`init`; their type says which of A1 (dot), A2 (bilinear), A3 and A4 (additive) holds.
      queries: or one step (B, Q); then context (B, V) and weights (B, S).
      keys: time-major.
      values: time-major, one for each key.
      mask: bool (S, B), True on real keys; None where all are. What the others hold (NaN too) changes nothing. A
        sequence without any real key gets weights and context of zero.

    >>> params = init(0, "additive", query_size=3, key_size=2, size=4)
    >>> ones = np.ones((5, 6, 2), np.float32)
    >>> context, weights, cache = forward(params, np.ones((7, 6, 3), np.float32), ones, ones)
    >>> context.shape, weights.shape, weights[0, 0]
    ((7, 6, 2), (7, 6, 5), array([0.2, 0.2, 0.2, 0.2, 0.2], dtype=float32))

    Dot products are divided by the root of K, as Vaswani et al. do; Luong et al. do not divide.
    """
    queries, keys, values = np.asarray(queries), np.asarray(keys), np.asarray(values)
    mask = None if mask is None else np.asarray(mask)
    check_attention(params, queries, keys, values, mask)
    one_step = queries.ndim == 2
    q, k, v = (queries[None] if one_step else queries), keys, values
    if mask is not None:  # before any product: 0 * NaN is NaN
        k, v = (np.where(mask[:, :, None], array, 0) for array in (k, v))
    e, u = _scores(params, q, k)
    a = _softmax(e, mask)
    c = np.einsum("tbs,sbv->tbv", a, v)  # A6
    cache = Cache(params, q, k, v, u, mask, a, one_step)
    weights = a.copy()  # the cache keeps its own: callers may write into theirs
    return (c[0], weights[0], cache) if one_step else (c, weights, cache)


def _scores(params, q, k):
    """How well each query and key fit: e (T, B, S), and u (T, B, S, A) of additive attention."""
    u = None
    if isinstance(params, DotAttentionParams):
        e = np.einsum("tbk,sbk->tbs", q, k) / k.shape[-1] ** 0.5  # A1
    elif isinstance(params, BilinearAttentionParams):
        e = np.einsum("tbk,sbk->tbs", q @ params.W, k)  # A2
    else:
        k_part = (k @ params.Wk).swapaxes(0, 1)  # (B, S, A)
        u = np.tanh((q @ params.Wq)[:, :, None] + k_part + params.b)  # (T, B, S, A)  A3
        e = u @ params.v  # A4
    return e, u


def _softmax(e, mask):
    """Weights (T, B, S) that add up to one over the real keys; zeros where there is none."""
    real = np.True_ if mask is None else mask.T  # (B, S)
    lowest = np.finfo(e.dtype).min
    highest = np.where(real, e.real, lowest).max(axis=-1, keepdims=True, initial=lowest)
    exp_e = np.where(real, np.exp(np.where(real, e - highest, 0)), 0)  # the shift changes no weight, and none overflows
    total = exp_e.sum(axis=-1, keepdims=True)  # (T, B, 1), at least 1 unless there is no real key
    a = exp_e / np.where(total == 0, 1, total)  # A5
    return a


@numbered("A7-A21")
def backward(dcontext, dweights, cache: Cache) -> tuple[Any, Array, Array, Array]:
    """Gradients: dcontext (T, B, V), dweights (T, B, S) -> dparams, dqueries, dkeys, dvalues.

    Args:
      dcontext: gradient with respect to the context; (B, V) for one step.
      dweights: gradient with respect to the weights, apart from what reaches them through the context; None is zero.
      cache: from :func:`forward`.

    Returns:
      The gradients with respect to the weights of the attention (the same NamedTuple), the queries, keys and values.
      Those of padded keys and values are zero.
    """
    params, q, k, v, u, mask, a, one_step = cache
    dc = np.asarray(dcontext)[None] if one_step else np.asarray(dcontext)
    if dc.shape != (*a.shape[:2], v.shape[2]):
        expected = (*a.shape[:2], v.shape[2])[one_step:]
        raise ValueError(f"dcontext has shape {np.shape(dcontext)}; expected {expected}, the shape of the context")
    da = np.einsum("tbv,sbv->tbs", dc, v)  # A7
    if dweights is not None:
        da = da + (dweights[None] if one_step else dweights)  # A7
    if mask is not None:  # the weight of a padded key is a constant: what it receives (NaN too) counts for nothing
        da = np.where(mask.T, da, 0)
    dv = np.einsum("tbs,tbv->sbv", a, dc)  # A8
    # What a weight receives counts only as far as it differs from the mean: the weights add up to one whatever happens.
    de = a * (da - (a * da).sum(axis=-1, keepdims=True))  # A9
    dparams: Any
    if isinstance(params, DotAttentionParams):
        root = k.shape[-1] ** 0.5
        dq = np.einsum("tbs,sbk->tbk", de, k) / root  # A10
        dk = np.einsum("tbs,tbk->sbk", de, q) / root  # A11
        dparams = DotAttentionParams()
    elif isinstance(params, BilinearAttentionParams):
        dq_before = np.einsum("tbs,sbk->tbk", de, k)  # with respect to q W
        dq = dq_before @ params.W.T  # A12
        dk = np.einsum("tbs,tbk->sbk", de, q @ params.W)  # A13
        dparams = BilinearAttentionParams(W=_flat(q).T @ _flat(dq_before))  # A14
    else:
        dz = de[..., None] * params.v * (1 - u**2)  # (T, B, S, A)  A15
        dz_q, dz_k = dz.sum(axis=2), dz.sum(axis=0).swapaxes(0, 1)  # (T, B, A), (S, B, A)
        dq = dz_q @ params.Wq.T  # A17
        dk = dz_k @ params.Wk.T  # A18
        dparams = AdditiveAttentionParams(
            Wq=_flat(q).T @ _flat(dz_q),  # A19
            Wk=_flat(k).T @ _flat(dz_k),  # A20
            b=_flat(dz_q).sum(axis=0),  # A21
            v=de.ravel() @ _flat(u),  # A16
        )
    return dparams, (dq[0] if one_step else dq), dk, dv


def _flat(array):
    """All steps of all sequences below one another: a sum over both is then a product."""
    return array.reshape(-1, array.shape[-1])
