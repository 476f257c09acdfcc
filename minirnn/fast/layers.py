"""The layers of a network that are not recurrent, in JAX (V1-V7). Their derivatives come from JAX.

Padding is the network's business: it sets inputs and outputs beyond a sequence's length to zero.

Dimension letters: T time steps, B batch, D inputs, O outputs, K width of a convolution, V vocabulary size.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.equations import numbered
from minirnn.fast import attention
from minirnn.fast.activations import ACTIVATIONS
from minirnn.params import (
    ConvolutionParams,
    DenseParams,
    DotAttentionParams,
    EmbeddingParams,
    LayerNormParams,
    check_features,
)


@numbered("V1")
def embedding(params: EmbeddingParams, xs):
    """Symbols (T, B), integers from 0 to V - 1 -> ys (T, B, D); NaN for others, since compiled code cannot raise."""
    inside = (xs >= 0) & (xs < len(params.E))
    return jnp.where(inside[..., None], params.E[jnp.where(inside, xs, 0)], jnp.nan)  # V1


def _before(K: int, padding: str) -> int:
    """How many of the K steps that an output reads lie before it (s in V2)."""
    return K - 1 if padding == "causal" else (K - 1) // 2


@numbered("V2")
def convolution(params: ConvolutionParams, xs, padding: str, activation: str):
    """Convolution over time: xs (T, B, D) -> ys (T, B, O). What lies outside of the sequence counts as zero."""
    phi = ACTIVATIONS[activation]
    T, K = len(xs), len(params.W)
    check_features("the convolution", xs, params.W.shape[1])
    s = _before(K, padding)
    padded = jnp.pad(xs, ((s, K - 1 - s), (0, 0), (0, 0)))  # (T+K-1, B, D): x_t stands at t + s
    return phi(params.b + sum(padded[k : k + T] @ params.W[k] for k in range(K)))  # (T, B, O)  V2


@numbered("V3-V4")
def layer_norm(params: LayerNormParams, xs, epsilon: float):
    """Normalisation of the features of every step (Ba et al. 2016, arXiv 1607.06450): xs (T, B, D) -> ys."""
    check_features("the normalisation", xs, len(params.gain))
    centred = xs - xs.mean(axis=-1, keepdims=True)
    r = jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)  # (T, B, 1)  V3
    n = centred / r  # V3
    return n * params.gain + params.bias  # V4


@numbered("V5")
def dropout(xs, scale):
    """Inputs xs (T, B, D), scale (B, D): 0 where a feature is dropped, 1 / (1 - rate) where it is kept -> ys."""
    return xs * scale  # V5


@numbered("V7")
def dense(params: DenseParams, xs, activation: str = "identity"):
    """An affine map of the last axis: xs (..., D) -> ys (..., O)."""
    phi = ACTIVATIONS[activation]
    check_features("the dense map", xs, len(params.W))
    return phi(xs @ params.W + params.b)  # V7


def last_step(xs, lengths):
    """The last valid step of each sequence: xs (T, B, D), lengths (B,) -> (B, D); zeros where the length is 0."""
    T, B, _ = xs.shape
    last = jnp.asarray(lengths).astype(int) - 1
    return jnp.where((last < 0)[:, None], 0, xs[last, jnp.arange(B)]) if T else jnp.zeros(xs.shape[1:], xs.dtype)


def both_ends(xs, lengths):
    """The last valid step of the first half of the features, the first step of the other: (T, B, D) -> (B, D)."""
    middle = xs.shape[-1] // 2
    first = xs[0, :, middle:] if len(xs) else jnp.zeros((xs.shape[1], xs.shape[-1] - middle), xs.dtype)
    return jnp.concatenate([last_step(xs[:, :, :middle], lengths), first], axis=-1)


def attended(query, xs, mask):
    """The mean of the steps that a learned query (D,) asks for: xs (T, B, D), mask (T, B) or None -> (B, D)."""
    queries = jnp.broadcast_to(query, xs.shape[1:])  # (B, D)
    return attention.forward(DotAttentionParams(), queries, xs, xs, mask)[0]


@numbered("V6")
def mean_over_steps(xs, lengths):
    """The mean over the valid steps: xs (T, B, D), zero on padding -> (B, D); zeros where the length is 0."""
    count = jnp.maximum(jnp.asarray(lengths), 1).astype(xs.dtype)[:, None]  # (B, 1)
    return xs.sum(axis=0) / count  # V6
