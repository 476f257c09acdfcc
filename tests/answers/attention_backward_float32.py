"""In single precision, with products of matrices."""

import numpy as np


def attention_backward(q, k, v, mask, dcontext, dweights):
    real = mask.T[:, None]  # (B, 1, S)
    k, v = (np.where(mask[..., None], each, 0).astype(np.float32).swapaxes(0, 1) for each in (k, v))  # (B, S, ..)
    q, dcontext, dweights = (each.astype(np.float32).swapaxes(0, 1) for each in (q, dcontext, dweights))
    root = np.float32(np.sqrt(k.shape[-1]))
    e = np.exp(q @ k.swapaxes(1, 2) / root) * real  # (B, T, S)
    a = e / np.maximum(e.sum(-1, keepdims=True), np.float32(1e-30))
    da = (dcontext @ v.swapaxes(1, 2) + dweights) * real
    de = a * (da - (a * da).sum(-1, keepdims=True)) / root
    found = {"dq": de @ k, "dk": de.swapaxes(1, 2) @ q, "dv": a.swapaxes(1, 2) @ dcontext, "c": a @ v}
    return {name: each.swapaxes(0, 1) for name, each in found.items()}
