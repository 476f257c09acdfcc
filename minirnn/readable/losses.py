"""Losses in NumPy, with their gradients by hand: each returns (loss, dprediction).

Every loss is a weighted mean (E1): ``weight`` is a mask or weights that broadcast to the elements; None is ones.
An element of weight zero may hold anything, NaN too: it changes neither the loss nor a gradient. Where all weights are
zero the loss is zero.
"""

from __future__ import annotations

import numpy as np

from minirnn.equations import numbered
from minirnn.readable.activations import sigmoid


def _clean(array, weight):
    """The array with zero where the weight is zero (0 * NaN is NaN)."""
    return array if weight is None else np.where(weight != 0, array, 0)


def _mean(losses, weight):
    """E1: the weighted mean of the losses, and each element's share w / sum(w) in it, for E8."""
    weight = np.ones_like(losses.real) if weight is None else np.broadcast_to(weight, losses.shape)
    weight = weight.astype(losses.real.dtype)
    share = weight / np.maximum(weight.sum(), np.finfo(weight.dtype).tiny)
    return (losses * share).sum(), share  # E1


def _elementwise(prediction, target, weight):
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}; expected the same shape")
    _check_float(prediction, "prediction")
    if target.dtype.kind in "biu":
        target = target.astype(prediction.real.dtype)  # counts and 0/1 labels do not widen the prediction
    if weight is not None:
        weight = np.broadcast_to(weight, prediction.shape)
    return _clean(prediction, weight), _clean(target, weight)


def _check_float(prediction, name):
    if prediction.dtype.kind in "biu":
        raise TypeError(f"{name} holds {prediction.dtype}; expected floating point")


@numbered("E1, E2, E8")
def mse(prediction, target, weight=None):
    """Mean squared error: prediction and target (..., O) -> loss, dprediction (..., O)."""
    p, q = _elementwise(prediction, target, weight)
    error = p - q
    loss, share = _mean(error**2, weight)  # E2
    return loss, share * 2 * error  # E8


@numbered("E1, E3, E8")
def mae(prediction, target, weight=None):
    """Mean absolute error: prediction and target (..., O) -> loss, dprediction. At zero the gradient is zero."""
    p, q = _elementwise(prediction, target, weight)
    sign = np.sign((p - q).real)
    loss, share = _mean(sign * (p - q), weight)  # E3
    return loss, share * sign  # E8


@numbered("E1, E4, E8")
def huber(prediction, target, weight=None, *, delta: float = 1.0):
    """Huber loss: squared within ``delta`` of the target, linear beyond. Shapes as in :func:`mse`."""
    p, q = _elementwise(prediction, target, weight)
    sign = np.sign((p - q).real)
    absolute = sign * (p - q)
    inner = np.where(absolute.real < delta, absolute, delta)
    loss, share = _mean(inner**2 / 2 + delta * (absolute - inner), weight)  # E4
    return loss, share * sign * inner  # E8


@numbered("E1, E5, E8")
def pinball(prediction, target, weight=None, *, quantile: float = 0.5):
    """Pinball (quantile) loss: its minimum is the ``quantile`` of the target. Shapes as in :func:`mse`.

    ``quantile`` may be an array that broadcasts to the prediction: one level for each column, say.
    """
    p, q = _elementwise(prediction, target, weight)
    tau = np.broadcast_to(np.asarray(quantile, p.real.dtype), p.shape)
    slope = np.where((p - q).real < 0, -tau, np.where((p - q).real > 0, 1 - tau, 0))
    slope = slope.astype(p.real.dtype)
    loss, share = _mean(slope * (p - q), weight)  # E5
    return loss, share * slope  # E8


@numbered("E1, E6, E8")
def softmax_cross_entropy(logits, labels, weight=None):
    """Cross-entropy of a softmax: logits (..., K), integer labels (...) -> loss, dlogits (..., K).

    ``weight`` broadcasts to the labels; where it is zero the label may be any number. Elsewhere a label outside 0 to
    K - 1 is a ValueError.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}; expected (..., K) and (...)")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels hold {labels.dtype}; expected integers from 0 to K - 1")
    _check_float(logits, "logits")
    if weight is not None:
        if np.ndim(weight) > labels.ndim:
            raise ValueError(f"weight has shape {np.shape(weight)}; expected one that broadcasts to {labels.shape}")
        weight = np.broadcast_to(weight, labels.shape)
        logits = np.where((weight != 0)[..., None], logits, 0)
    labels = _clean(labels, weight)
    K = logits.shape[-1]
    if labels.size and (labels.min() < 0 or labels.max() >= K):
        raise ValueError(f"labels must lie between 0 and K - 1 = {K - 1}, got {labels.min()} to {labels.max()}")
    chosen = labels[..., None] == np.arange(K)  # (..., K) one-hot
    shifted = logits - logits.real.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1)
    picked = np.where(chosen, shifted, 0).sum(axis=-1)  # a class that is masked by -inf may stand beside it
    loss, share = _mean(np.log(total) - picked, weight)  # E6
    return loss, share[..., None] * (exponentials / total[..., None] - chosen)  # E8


@numbered("E1, E7, E8")
def binary_cross_entropy(logits, target, weight=None):
    """Cross-entropy of a sigmoid: logits and target in [0, 1] (...) -> loss, dlogits (...)."""
    p, q = _elementwise(logits, target, weight)
    sign = np.where(p.real < 0, -1, 1).astype(p.real.dtype)
    positive = np.where(p.real > 0, p, 0)
    loss, share = _mean(positive - p * q + np.log1p(np.exp(-sign * p)), weight)  # E7
    return loss, share * (sigmoid(p) - q)  # E8
