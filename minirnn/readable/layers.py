"""The layers of a network that are not recurrent, in NumPy, forward (V1-V7) and backward (V8-V14), by hand.

Each function returns (ys, cache), and the one of its name with ``_backward`` takes (dys, cache). Padding is the
network's business: it sets inputs, outputs and gradients beyond a sequence's length to zero.

Dimension letters: T time steps, B batch, D inputs, O outputs, K width of a convolution, V vocabulary size.
"""

from __future__ import annotations

import numpy as np

from minirnn.equations import numbered
from minirnn.params import (
    ConvolutionParams,
    DenseParams,
    DotAttentionParams,
    EmbeddingParams,
    LayerNormParams,
    check_features,
    check_vocabulary,
)
from minirnn.readable import attention
from minirnn.readable.activations import ACTIVATIONS


@numbered("V1")
def embedding(params: EmbeddingParams, xs):
    """Symbols (T, B), integers from 0 to V - 1 -> ys (T, B, D), cache."""
    check_vocabulary(xs, len(params.E))
    return params.E[xs], (params, xs)  # V1


@numbered("V8")
def embedding_backward(dys, cache):
    """Gradients dys (T, B, D) -> dparams. Symbols have no gradient."""
    params, xs = cache
    dE = np.zeros_like(params.E, dtype=dys.dtype)
    np.add.at(dE, xs, dys)  # V8
    return EmbeddingParams(dE)


def _before(K: int, padding: str) -> int:
    """How many of the K steps that an output reads lie before it (s in V2)."""
    return K - 1 if padding == "causal" else (K - 1) // 2


@numbered("V2")
def convolution(params: ConvolutionParams, xs, padding: str, activation: str):
    """Convolution over time: xs (T, B, D) -> ys (T, B, O), cache. What lies outside of the sequence counts as zero."""
    phi, _ = ACTIVATIONS[activation]
    T, K = len(xs), len(params.W)
    check_features("the convolution", xs, params.W.shape[1])
    s = _before(K, padding)
    padded = np.pad(xs, ((s, K - 1 - s), (0, 0), (0, 0)))  # (T+K-1, B, D): x_t stands at t + s
    ys = phi(params.b + sum(padded[k : k + T] @ params.W[k] for k in range(K)))  # (T, B, O)  V2
    return ys, (params, padded, s, activation, ys)


@numbered("V9, V10")
def convolution_backward(dys, cache):
    """Gradients dys (T, B, O) -> dparams, dxs (T, B, D)."""
    params, padded, s, activation, ys = cache
    dzs = dys * ACTIVATIONS[activation][1](ys)  # (T, B, O), before the activation
    T, K = len(dzs), len(params.W)
    dW = [np.einsum("tbd,tbo->do", padded[k : k + T], dzs) for k in range(K)]  # V9
    dpadded = np.zeros(padded.shape, dzs.dtype)
    for k in range(K):
        dpadded[k : k + T] += dzs @ params.W[k].T  # V10
    return ConvolutionParams(np.stack(dW), dzs.sum(axis=(0, 1))), dpadded[s : s + T]


def _mean(xs):
    """The mean over the features, (T, B, 1)."""
    return xs.mean(axis=-1, keepdims=True)


@numbered("V3-V4")
def layer_norm(params: LayerNormParams, xs, epsilon: float):
    """Normalisation of the features of every step (Ba et al. 2016, arXiv 1607.06450): xs (T, B, D) -> ys, cache."""
    check_features("the normalisation", xs, len(params.gain))
    centred = xs - _mean(xs)
    r = np.sqrt(_mean(centred**2) + xs.real.dtype.type(epsilon))  # (T, B, 1)  V3
    n = centred / r  # V3
    return n * params.gain + params.bias, (params, n, r)  # V4


@numbered("V11-V12")
def layer_norm_backward(dys, cache):
    """Gradients dys (T, B, D) -> dparams, dxs (T, B, D)."""
    params, n, r = cache
    dn = dys * params.gain  # V11
    dxs = (dn - _mean(dn) - n * _mean(dn * n)) / r  # V12
    return LayerNormParams((dys * n).sum(axis=(0, 1)), dys.sum(axis=(0, 1))), dxs


@numbered("V5")
def dropout(xs, scale):
    """Inputs xs (T, B, D), scale (B, D): 0 where a feature is dropped, 1 / (1 - rate) where it is kept -> ys, cache."""
    return xs * scale, scale  # V5


@numbered("V13")
def dropout_backward(dys, cache):
    """Gradients dys (T, B, D) -> dxs."""
    return dys * cache  # V13


@numbered("V7")
def dense(params: DenseParams, xs, activation: str = "identity"):
    """An affine map of the last axis: xs (..., D) -> ys (..., O), cache."""
    phi, _ = ACTIVATIONS[activation]
    check_features("the dense map", xs, len(params.W))
    ys = phi(xs @ params.W + params.b)  # V7
    return ys, (params, xs, activation, ys)


@numbered("V14")
def dense_backward(dys, cache):
    """Gradients dys (..., O) -> dparams, dxs (..., D)."""
    params, xs, activation, ys = cache
    dzs = dys * ACTIVATIONS[activation][1](ys)  # before the activation
    D, O = params.W.shape
    dW = xs.reshape(-1, D).T @ dzs.reshape(-1, O)  # V14
    return DenseParams(dW, dzs.reshape(-1, O).sum(axis=0)), dzs @ params.W.T


def last_step(xs, lengths):
    """The last valid step of each sequence: xs (T, B, D), lengths (B,) -> (B, D), cache; zeros where length is 0."""
    T, B, _ = xs.shape
    last = np.asarray(lengths).astype(int) - 1
    if not T:
        return np.zeros(xs.shape[1:], xs.dtype), (xs.shape, last)
    return np.where((last < 0)[:, None], 0, xs[last, np.arange(B)]), (xs.shape, last)


def last_step_backward(dread, cache):
    """Gradients dread (B, D) -> dxs (T, B, D)."""
    shape, last = cache
    dxs = np.zeros(shape, dread.dtype)
    some = np.flatnonzero(last >= 0)
    dxs[last[some], some] = dread[some]
    return dxs


def both_ends(xs, lengths):
    """The last valid step of the first half of the features, the first step of the other: (T, B, D) -> (B, D)."""
    middle = xs.shape[-1] // 2
    end, cache = last_step(xs[:, :, :middle], lengths)
    first = xs[0, :, middle:] if len(xs) else np.zeros((xs.shape[1], xs.shape[-1] - middle), xs.dtype)
    return np.concatenate([end, first], axis=-1), (cache, first.shape[-1])


def both_ends_backward(dread, cache):
    """Gradients dread (B, D) -> dxs (T, B, D)."""
    end, width = cache
    middle = dread.shape[-1] - width
    (T, B, _), _ = end
    dsecond = np.zeros((T, B, width), dread.dtype)
    dsecond[:1] = dread[:, middle:]
    return np.concatenate([last_step_backward(dread[:, :middle], end), dsecond], axis=-1)


def attended(query, xs, mask):
    """The mean of the steps that a learned query (D,) asks for: xs (T, B, D), mask (T, B) or None -> (B, D), cache."""
    queries = np.broadcast_to(query, xs.shape[1:])  # (B, D)
    context, _, cache = attention.forward(DotAttentionParams(), queries, xs, xs, mask)
    return context, cache


def attended_backward(dread, cache):
    """Gradients dread (B, D) -> dquery (D,), dxs (T, B, D)."""
    _, dqueries, dkeys, dvalues = attention.backward(dread, None, cache)
    return dqueries.sum(axis=0), dkeys + dvalues


@numbered("V6")
def mean_over_steps(xs, lengths):
    """The mean over the valid steps: xs (T, B, D), zero on padding -> (B, D), cache; zeros where the length is 0."""
    count = np.maximum(np.asarray(lengths), 1).astype(xs.real.dtype)[:, None]  # (B, 1)
    return xs.sum(axis=0) / count, (xs.shape, np.asarray(lengths), count)  # V6


def mean_over_steps_backward(dread, cache):
    """Gradients dread (B, D) -> dxs (T, B, D)."""
    shape, lengths, count = cache
    valid = (np.arange(shape[0])[:, None] < lengths)[:, :, None]  # (T, B, 1)
    return np.where(valid, dread / count, 0)
