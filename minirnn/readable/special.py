"""Functions of the probabilistic losses: softplus, the logarithm of the gamma function, and its derivative.

They accept complex numbers (for the complex step), and give back the dtype that they get.
"""

from __future__ import annotations

import numpy as np

_SHIFT = 8  # the series below are used at real parts of 8 and more
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)  # B_2, B_4, ..., B_14


def softplus(z):
    """log(1 + exp(z)), without overflow.

    >>> softplus(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.6931471805599453, 1000.0]
    """
    negative = z.real < 0
    return np.where(negative, 0, z) + np.log1p(np.exp(np.where(negative, z, -z)))


def softplus_slope(z):
    """The derivative of :func:`softplus`, 1 / (1 + exp(-z)), with all its digits where it is small.

    ``activations.sigmoid`` is zero below z = -18 in float32. Here that would matter: the slope of a scale is multiplied
    by a gradient that grows as the scale shrinks.

    >>> softplus_slope(np.array([-100.0, 0.0, 100.0])).tolist()
    [3.720075976020836e-44, 0.5, 1.0]
    """
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1) / (1 + small)


def gammaln(z):
    """The logarithm of the gamma function, for real parts above zero: Stirling's series after eight recurrences.

    The error is below 1e-14 in float64, of the value where that is larger than 1 (near the zeros at 1 and 2 it is
    absolute). Abramowitz and Stegun 1964, 6.1.15 and 6.1.41.

    >>> bool(abs(gammaln(np.array(5.0)) - np.log(24)) < 1e-14)
    True
    """
    z, dtype = _double(z)
    near = z.real < _SHIFT
    factors = np.where(near, z, 1)  # ones instead of large numbers, whose product would overflow
    product = np.prod([factors + k for k in range(_SHIFT)], axis=0)
    z = np.where(near, z + _SHIFT, z)
    series = _horner([b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1)], 1 / z**2) / z
    value = (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi) + series
    return (value - np.where(near, np.log(product), 0)).astype(dtype)


def digamma(z):
    """The derivative of :func:`gammaln`, for real parts above zero; errors as there.

    Abramowitz and Stegun 1964, 6.3.5 and 6.3.18.

    >>> bool(abs(digamma(np.array(1.0)) + np.euler_gamma) < 1e-14)
    True
    """
    z, dtype = _double(z)
    near = z.real < _SHIFT
    shift = sum(1 / (np.where(near, z, 1) + k) for k in range(_SHIFT))
    z = np.where(near, z + _SHIFT, z)
    series = _horner([b / (2 * k) for k, b in enumerate(_BERNOULLI, 1)], 1 / z**2) / z**2
    return (np.log(z) - 0.5 / z - series - np.where(near, shift, 0)).astype(dtype)


def _double(z):
    """The array in double precision (a few digits are lost on the way), and the dtype in which it came."""
    z = np.asarray(z)
    return z.astype(np.result_type(z, np.float64)), z.dtype


def _horner(coefficients, x):
    """c_0 + c_1 x + c_2 x^2 + ..."""
    total = np.zeros_like(x)
    for c in reversed(coefficients):
        total = total * x + c
    return total
