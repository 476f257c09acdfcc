"""Losses in JAX: each returns the loss; its gradient comes from JAX.

Every loss is a weighted mean (E1): ``weight`` is a mask or weights that broadcast to the elements; None is ones.
An element of weight zero may hold anything, NaN too: it changes neither the loss nor a gradient. Where all weights are
zero the loss is zero.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from minirnn.equations import numbered


def _clean(array, weight):
    """The array with zero where the weight is zero (0 * NaN is NaN)."""
    return array if weight is None else jnp.where(weight != 0, array, 0)


def _mean(losses, weight):
    """E1: the weighted mean of the losses."""
    weight = jnp.ones_like(losses) if weight is None else jnp.broadcast_to(weight, losses.shape)
    weight = weight.astype(losses.dtype)
    share = weight / jnp.maximum(weight.sum(), jnp.finfo(weight.dtype).tiny)
    return (losses * share).sum()  # E1


def _elementwise(prediction, target, weight):
    prediction, target = jnp.asarray(prediction), jnp.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}; expected the same shape")
    _check_float(prediction, "prediction")
    if target.dtype.kind in "biu":
        target = target.astype(prediction.dtype)  # counts and 0/1 labels do not widen the prediction
    if weight is not None:
        weight = jnp.broadcast_to(weight, prediction.shape)
    return _clean(prediction, weight), _clean(target, weight)


def _check_float(prediction, name):
    if prediction.dtype.kind in "biu":
        raise TypeError(f"{name} holds {prediction.dtype}; expected floating point")


@numbered("E1, E2")
def mse(prediction, target, weight=None):
    """Mean squared error: prediction and target (..., O) -> loss."""
    p, q = _elementwise(prediction, target, weight)
    return _mean((p - q) ** 2, weight)  # E2


@numbered("E1, E3")
def mae(prediction, target, weight=None):
    """Mean absolute error: prediction and target (..., O) -> loss. At zero the gradient is zero."""
    p, q = _elementwise(prediction, target, weight)
    return _mean(jnp.sign(p - q) * (p - q), weight)  # E3


@numbered("E1, E4")
def huber(prediction, target, weight=None, *, delta: float = 1.0):
    """Huber loss: squared within ``delta`` of the target, linear beyond. Shapes as in :func:`mse`."""
    p, q = _elementwise(prediction, target, weight)
    absolute = jnp.sign(p - q) * (p - q)
    inner = jnp.where(absolute < delta, absolute, delta)
    return _mean(inner**2 / 2 + delta * (absolute - inner), weight)  # E4


@numbered("E1, E5")
def pinball(prediction, target, weight=None, *, quantile: float = 0.5):
    """Pinball (quantile) loss: its minimum is the ``quantile`` of the target. Shapes as in :func:`mse`.

    ``quantile`` may be an array that broadcasts to the prediction: one level for each column, say.
    """
    p, q = _elementwise(prediction, target, weight)
    tau = jnp.broadcast_to(jnp.asarray(quantile, p.dtype), p.shape)
    slope = jnp.where(p < q, -tau, jnp.where(p > q, 1 - tau, 0))
    return _mean(slope * (p - q), weight)  # E5


@numbered("E1, E6")
def softmax_cross_entropy(logits, labels, weight=None):
    """Cross-entropy of a softmax: logits (..., K), integer labels (...) -> loss.

    ``weight`` broadcasts to the labels; where it is zero the label may be any number. Elsewhere a label outside 0 to
    K - 1 makes the loss NaN.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}; expected (..., K) and (...)")
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels hold {labels.dtype}; expected integers from 0 to K - 1")
    _check_float(logits, "logits")
    if weight is not None:
        if jnp.ndim(weight) > labels.ndim:
            raise ValueError(f"weight has shape {jnp.shape(weight)}; expected one that broadcasts to {labels.shape}")
        weight = jnp.broadcast_to(weight, labels.shape)
        logits = jnp.where((weight != 0)[..., None], logits, 0)
    labels = _clean(labels, weight)
    inside = (labels >= 0) & (labels < logits.shape[-1])
    chosen = jnp.take_along_axis(logits, jnp.where(inside, labels, 0)[..., None], axis=-1)[..., 0]
    chosen = jnp.where(inside, chosen, jnp.nan)  # compiled code cannot raise
    return _mean(jax.nn.logsumexp(logits, axis=-1) - chosen, weight)  # E6


@numbered("E1, E7")
def binary_cross_entropy(logits, target, weight=None):
    """Cross-entropy of a sigmoid: logits and target in [0, 1] (...) -> loss."""
    p, q = _elementwise(logits, target, weight)
    # logaddexp(p, 0) is max(p, 0) + log(1 + exp(-|p|)), with the right derivative at p = 0 too.
    return _mean(jnp.logaddexp(p, 0) - p * q, weight)  # E7
