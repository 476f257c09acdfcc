"""Without writing into any array; another step; the error first."""

import numpy as np


def check(f, x, gradient):
    at = x.astype(np.float64)

    def slope(unit):
        size = 6e-6 * (1 + np.abs(at[unit != 0]).max())
        return (f(at + size * unit) - f(at - size * unit)) / size / 2

    units = np.eye(at.size).reshape(at.size, *at.shape)
    numeric = np.array([slope(unit) for unit in units]).reshape(at.shape)
    sizes = [float(np.sqrt(np.square(a, dtype=float).sum())) for a in (numeric, gradient)]
    if max(sizes) == 0:
        return {"error": 0.0, "numeric": numeric}
    return {"error": np.sqrt(((numeric - gradient) ** 2).sum()) / max(sizes), "numeric": numeric}
