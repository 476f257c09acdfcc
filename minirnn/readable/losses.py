"""Losses in NumPy, with their gradients by hand: each returns (loss, dprediction).

Every loss is a weighted mean (E1): ``weight`` is a mask or weights that broadcast to the elements; None is ones.
An element of weight zero may hold anything, NaN too: it changes neither the loss nor a gradient. Where all weights are
zero the loss is zero.
"""

from __future__ import annotations

import numpy as np

from minirnn.equations import numbered
from minirnn.readable.activations import sigmoid
from minirnn.readable.special import digamma, gammaln, softplus, softplus_slope

# epsilon of E10: the smallest scale of a distribution, for targets of about unit variance. It bounds the gradients
# where the errors vanish. The variance floor of torch.nn.GaussianNLLLoss, 1e-6, is its square.
_SCALE_FLOOR = 1e-3
_LOG_2PI = float(np.log(2 * np.pi))  # a Python number widens no float32


def _clean(array, weight):
    """The array with zero where the weight is zero (0 * NaN is NaN)."""
    return array if weight is None else np.where(weight != 0, array, 0)


def _broadcast(weight, shape):
    try:
        return np.broadcast_to(np.asarray(weight), shape)
    except ValueError:
        raise ValueError(f"weight has shape {np.shape(weight)}; expected one that broadcasts to {shape}") from None


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
        weight = _broadcast(weight, prediction.shape)
    return _clean(prediction, weight), _clean(target, weight)


def _check_float(prediction, name):
    if prediction.dtype.kind in "biu":
        raise TypeError(f"{name} holds {prediction.dtype}; expected floating point")


def _smoothing(label_smoothing):
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing is {label_smoothing}; expected at least 0 and below 1")
    return float(label_smoothing)


def _check_raw(raw, parts):
    """The raw numbers of a head as an array, if its last axis holds the named parts."""
    raw = np.asarray(raw)
    if raw.ndim == 0 or raw.shape[-1] != len(parts):
        raise ValueError(f"raw has shape {raw.shape}; expected (..., {len(parts)}): {', '.join(parts)}")
    _check_float(raw, "raw")
    return raw


def _head(raw, target, weight):
    """Raw numbers (..., P) and targets (...), with zeros where the weight is zero."""
    target = np.asarray(target)
    if raw.shape[:-1] != target.shape:
        raise ValueError(f"raw has shape {raw.shape}, target {target.shape}; expected (..., {raw.shape[-1]}) and (...)")
    if target.dtype.kind in "biu":
        target = target.astype(raw.real.dtype)
    if weight is None:
        return raw, target
    weight = _broadcast(weight, target.shape)
    return np.where((weight != 0)[..., None], raw, 0), _clean(target, weight)


def _levels(quantiles):
    """The levels of quantiles (K,), in float64."""
    levels = np.asarray(quantiles, np.float64)
    if levels.ndim != 1 or not (np.diff(levels, prepend=0.0, append=1.0) > 0).all():
        raise ValueError(
            f"quantiles are {quantiles}; expected levels between 0 and 1, ascending, as in (0.1, 0.5, 0.9)"
        )
    return levels


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
    if not delta > 0:
        raise ValueError(f"delta is {delta}; expected more than 0")
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
    if isinstance(quantile, float | int) and not 0 < quantile < 1:
        raise ValueError(f"quantile is {quantile}; expected between 0 and 1")
    p, q = _elementwise(prediction, target, weight)
    tau = np.broadcast_to(np.asarray(quantile, p.real.dtype), p.shape)
    slope = _pinball_slope(p, q, tau)
    loss, share = _mean(slope * (p - q), weight)  # E5
    return loss, share * slope  # E8


def _pinball_slope(p, q, tau):
    """The derivative of E5, zero at p = q; times p - q it is E5 itself."""
    error = (p - q).real
    return np.where(error < 0, -tau, np.where(error > 0, 1 - tau, 0)).astype(error.dtype)


@numbered("E1, E6, E8, E9")
def softmax_cross_entropy(logits, labels, weight=None, *, label_smoothing: float = 0.0):
    """Cross-entropy of a softmax: logits (..., K), integer labels (...) -> loss, dlogits (..., K).

    ``weight`` broadcasts to the labels; where it is zero the label may be any number. Elsewhere a label outside 0 to
    K - 1 is a ValueError.

    ``label_smoothing`` alpha (at least 0, below 1) moves that part of the target from the label to all K classes alike.
    A class with the logit -inf is masked: it gets none of it (K counts the others), adds nothing to the loss and has no
    gradient. (PyTorch smooths masked classes too, which makes its loss infinite.) If the label itself is masked, the
    loss is infinite, smoothed or not.
    """
    alpha = _smoothing(label_smoothing)
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"logits have shape {logits.shape}, labels {labels.shape}; expected (..., K) and (...)")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels hold {labels.dtype}; expected integers from 0 to K - 1")
    _check_float(logits, "logits")
    if weight is not None:
        if np.ndim(weight) > labels.ndim:
            raise ValueError(f"weight has shape {np.shape(weight)}; expected one that broadcasts to {labels.shape}")
        weight = _broadcast(weight, labels.shape)
        logits = np.where((weight != 0)[..., None], logits, 0)
    labels = _clean(labels, weight)
    K = logits.shape[-1]
    if labels.size and (labels.min() < 0 or labels.max() >= K):
        raise ValueError(f"labels must lie between 0 and K - 1 = {K - 1}, got {labels.min()} to {labels.max()}")
    chosen = labels[..., None] == np.arange(K)  # (..., K) one-hot
    shifted = logits - logits.real.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=-1)
    q = chosen.astype(logits.real.dtype)
    if alpha:
        visible = (~np.isneginf(logits.real)).astype(q.dtype)
        q = (1 - alpha) * q + alpha * visible / visible.sum(axis=-1, keepdims=True)  # E9
    picked = (q * np.where(q > 0, shifted, 0)).sum(axis=-1)  # a class that is masked by -inf may stand beside it
    loss, share = _mean(np.log(total) - picked, weight)  # E6
    return loss, share[..., None] * (exponentials / total[..., None] - q)  # E8


@numbered("E1, E7-E9")
def binary_cross_entropy(logits, target, weight=None, *, label_smoothing: float = 0.0):
    """Cross-entropy of a sigmoid: logits and target in [0, 1] (...) -> loss, dlogits (...).

    ``label_smoothing`` alpha (at least 0, below 1) moves the targets towards 1/2: E9 with K = 2 classes.
    """
    alpha = _smoothing(label_smoothing)
    p, q = _elementwise(logits, target, weight)
    q = (1 - alpha) * q + alpha / 2  # E9
    sign = np.where(p.real < 0, -1, 1).astype(p.real.dtype)
    positive = np.where(p.real > 0, p, 0)
    loss, share = _mean(positive - p * q + np.log1p(np.exp(-sign * p)), weight)  # E7
    return loss, share * (sigmoid(p) - q)  # E8


@numbered("E10")
def gaussian_parameters(raw):
    """What a head's raw numbers (..., 2) say of a Gaussian: mean (...), scale (...), the standard deviation.

    The first number is the mean as it is. The second is the raw scale a of E10, with epsilon = 0.001: standardise the
    targets, as ``Forecaster`` does.

    >>> mean, scale = gaussian_parameters(np.array([[1.5, 0.0]]))
    >>> mean, scale.round(3)
    (array([1.5]), array([0.694]))
    """
    raw = _check_raw(raw, ("mean", "raw scale"))
    return raw[..., 0], softplus(raw[..., 1]) + _SCALE_FLOOR  # E10


@numbered("E1, E10-E14")
def gaussian_nll(raw, target, weight=None):
    """Negative log-likelihood of a Gaussian: raw (..., 2), target (...) -> loss, draw (..., 2).

    ``raw`` holds what :func:`gaussian_parameters` takes; ``weight`` broadcasts to the target.

    ``torch.nn.GaussianNLLLoss`` takes the variance, and leaves log(2 pi)/2 out unless ``full=True``.
    """
    raw, q = _head(_check_raw(raw, ("mean", "raw scale")), target, weight)
    p, s = gaussian_parameters(raw)
    u = (p - q) / s
    loss, share = _mean(np.log(s) + u**2 / 2 + _LOG_2PI / 2, weight)  # E11
    dp = share * u / s  # E12
    ds = share * (1 - u**2) / s  # E13
    da = ds * softplus_slope(raw[..., 1].real)  # E14
    return loss, np.stack([dp, da], axis=-1)


@numbered("E10, E15")
def student_t_parameters(raw):
    """What a head's raw numbers (..., 3) say of a Student t: location, scale and degrees of freedom, (...) each.

    The first number is the location as it is, the second the raw scale a of E10 with epsilon = 0.001, the third the raw
    degrees of freedom c of E15: always above 2, so that the variance scale**2 freedom / (freedom - 2) is finite.

    >>> location, scale, freedom = student_t_parameters(np.array([1.5, 0.0, 0.0]))
    >>> float(location), float(scale.round(3)), float(freedom.round(3))
    (1.5, 0.694, 2.693)
    """
    raw = _check_raw(raw, ("location", "raw scale", "raw degrees of freedom"))
    scale = softplus(raw[..., 1]) + _SCALE_FLOOR  # E10
    freedom = 2 + softplus(raw[..., 2])  # E15
    return raw[..., 0], scale, freedom


@numbered("E1, E10, E14-E20")
def student_t_nll(raw, target, weight=None):
    """Negative log-likelihood of a Student t: raw (..., 3), target (...) -> loss, draw (..., 3).

    Errors far out cost their logarithm instead of their square: for targets with outliers. ``raw`` holds what
    :func:`student_t_parameters` takes; ``weight`` broadcasts to the target.
    """
    raw, q = _head(_check_raw(raw, ("location", "raw scale", "raw degrees of freedom")), target, weight)
    p, s, nu = student_t_parameters(raw)
    u = (p - q) / s  # E16
    log1p = np.log1p(u**2 / nu)
    gammas = gammaln(nu / 2) - gammaln((nu + 1) / 2)
    loss, share = _mean(gammas + np.log(np.pi * nu) / 2 + np.log(s) + (nu + 1) / 2 * log1p, weight)  # E16
    dp = share * (nu + 1) * u / (nu + u**2) / s  # E17
    ds = share * nu * (1 - u**2) / (nu + u**2) / s  # E18
    dnu = share / 2 * (digamma(nu / 2) - digamma((nu + 1) / 2) + log1p + (1 - u**2) / (nu + u**2))  # E19
    da = ds * softplus_slope(raw[..., 1].real)  # E14
    dc = dnu * softplus_slope(raw[..., 2].real)  # E20
    return loss, np.stack([dp, da, dc], axis=-1)


@numbered("E21")
def monotone_quantiles(raw):
    """Quantiles that never cross, from a head's raw numbers: raw (..., K) -> quantiles (..., K), ascending.

    The first raw number is the lowest quantile as it is; each further one is a step upwards through a softplus.

    >>> monotone_quantiles(np.array([-1.0, 0.0, -50.0])).round(3)
    array([-1.   , -0.307, -0.307])
    """
    raw = np.asarray(raw)
    if raw.ndim == 0 or raw.shape[-1] == 0:
        raise ValueError(f"raw has shape {raw.shape}; expected (..., K): one number for each quantile")
    _check_float(raw, "raw")
    return np.cumsum(np.concatenate([raw[..., :1], softplus(raw[..., 1:])], axis=-1), axis=-1)  # E21


@numbered("E1, E8, E21-E23")
def quantile_pinball(raw, target, weight=None, *, quantiles):
    """Pinball loss of :func:`monotone_quantiles`, its mean over the levels: raw (..., K), target (...) -> loss, draw.

    ``quantiles`` are the K levels, ascending between 0 and 1, as in ``quantiles=(0.1, 0.5, 0.9)``; ``weight``
    broadcasts to the target. Where a quantile meets the target its gradient is zero.
    """
    tau = _levels(quantiles)
    raw, q = _head(_check_raw(raw, [f"quantile {level:g}" for level in tau]), target, weight)
    p, q, K = monotone_quantiles(raw), q[..., None], len(tau)
    slope = _pinball_slope(p, q, tau)
    loss, share = _mean((slope * (p - q)).sum(axis=-1) / K, weight)  # E22
    dp = share[..., None] * slope / K  # E8
    da = np.cumsum(dp[..., ::-1], axis=-1)[..., ::-1]  # a step upwards moves every quantile above it
    da[..., 1:] *= softplus_slope(raw[..., 1:].real)  # E23
    return loss, da
