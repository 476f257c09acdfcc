"""Activation functions and their derivatives, in NumPy. They accept complex numbers (for the complex step)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def sigmoid(z):
    """1 / (1 + exp(-z)), written with tanh so that it never overflows.

    >>> float(sigmoid(np.float64(-1000.0)))
    0.0
    """
    s = np.tanh(0.5 * z)
    s *= 0.5  # in place: half the time of writing it as one expression
    s += 0.5
    return s


def blocks(z, count):
    """Equal blocks of columns: z (..., count·H) -> views (..., H). ``np.split`` does the same, ten times as slowly."""
    H = z.shape[-1] // count
    return [z[..., k * H : (k + 1) * H] for k in range(count)]


def log_sigmoid(z):
    """log(sigmoid(z)), good also where sigmoid(z) would be 0.

    >>> float(log_sigmoid(np.float64(-1000.0)))
    -1000.0
    """
    negative = z.real < 0
    return np.where(negative, z, 0) - np.log1p(np.exp(np.where(negative, z, -z)))


def relu(z):
    """The positive part of z; NaN stays NaN."""
    return np.where(z.real <= 0, np.zeros_like(z), z)


# Name -> (phi, its derivative written in terms of the output h = phi(z)).
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda z: z, lambda h: np.ones_like(h.real)),
    "tanh": (np.tanh, lambda h: 1.0 - h**2),
    "relu": (relu, lambda h: (h.real > 0).astype(h.real.dtype)),
    "sigmoid": (sigmoid, lambda h: h * (1.0 - h)),
}
