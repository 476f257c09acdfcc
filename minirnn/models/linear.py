"""Linear regression of the steps ahead on a window, with a squared penalty, from sums over blocks of windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.models.context import Context, Unsuitable

Windows = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Rows or origins (n,) -> inputs (n, F), targets (n, N), weights (n, N), which are 0 where a target does not count."""

MOST = 100_000  # windows that are read: more of them change the coefficients by less than their own uncertainty
WORK = 4e10  # and at most so many products of inputs: windows times F squared
BLOCK = 4 << 20  # numbers of a block of inputs, 32 MiB in float64
MISSING = 3e7  # numbers that the separate sums of windows with missing targets may take


def evenly(rows: np.ndarray, inputs: int) -> np.ndarray:
    """At most ``MOST`` of the rows, fewer where the inputs are many, evenly spaced from the first to the last one.

    >>> len(evenly(np.arange(1_000_000), inputs=576)), len(evenly(np.arange(50), inputs=576))
    (100000, 50)
    """
    most = int(min(MOST, max(WORK / max(inputs, 1) ** 2, 1000)))
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


class Moments(NamedTuple):
    """Sums over windows, x being (1, inputs - shift): everything that ridge regression has to know about them."""

    whole: np.ndarray  # (1 + F, 1 + F) Σ x^T x over the windows of which any target counts
    missing: dict[int, np.ndarray]  # step -> the same over those of them whose target does not count at this step
    cross: np.ndarray  # (1 + F, N) Σ x^T t over the targets that count
    squares: np.ndarray  # (N,) Σ t²

    def gram(self, step: int) -> np.ndarray:
        """Σ x^T x over the windows whose target counts at this step."""
        return self.whole - self.missing[step] if step in self.missing else self.whole


def moments(windows: Windows, rows: np.ndarray, shift: np.ndarray) -> Moments:
    """The sums over the windows of these rows, read in blocks."""
    size, steps = len(shift) + 1, windows(rows[:1])[1].shape[1]
    whole, cross, squares = np.zeros((size, size)), np.zeros((size, steps)), np.zeros(steps)
    missing: dict[int, np.ndarray] = {}
    for block in _blocks(rows, size):
        inputs, targets, weights = windows(block)
        x = np.concatenate([np.ones((len(block), 1)), inputs - shift], axis=1)
        counts = weights.astype(bool)
        t = np.where(counts, targets, 0.0)
        complete = np.all(counts, axis=1)
        if steps * size**2 > MISSING and 2 * complete.sum() >= len(block):
            # Sums of its own for every step would not fit: of such large windows only the complete ones are read.
            x, t, counts = x[complete], t[complete], counts[complete]
        x, t, counts = (each[counts.any(axis=1)] for each in (x, t, counts))
        whole += x.T @ x
        cross += x.T @ t
        squares += (t**2).sum(axis=0)
        for step in np.flatnonzero(~counts.all(axis=0)):
            without = x[~counts[:, step]]  # usually few, hence sums of what is taken away and not of what is left
            missing[int(step)] = missing.get(int(step), 0.0) + without.T @ without
    return Moments(whole, missing, cross, squares)


def _blocks(rows, width):
    """The rows in pieces whose inputs take no more than ``BLOCK`` numbers."""
    size = max(BLOCK // width, 1)
    return (rows[first : first + size] for first in range(0, len(rows), size))


@dataclass(frozen=True)
class Ridge:
    """Linear regression with a squared penalty on the coefficients."""

    coefficients: np.ndarray  # (inputs, horizon)
    intercept: np.ndarray  # (horizon,)
    penalty: float

    @classmethod
    def fit(cls, windows: Windows, train: np.ndarray, validation: np.ndarray, slack: float = 0.0) -> Ridge:
        """The coefficients from the training windows; the penalty is chosen on the validation windows.

        Of a million windows 100,000 are read, evenly spaced (see :func:`evenly`), in blocks.

        Args:
          windows: gives inputs, targets and weights of any rows.
          train: the rows of the training windows.
          validation: those of the validation windows.
          slack: of the penalties whose validation error is at most (1 + slack) times the least, take the largest.
        """
        train, shift, basis, windows = _prepare(windows, train)
        validation = evenly(validation, len(shift))
        solve, largest = _solver(moments(windows, train, shift))
        seen = moments(windows, validation, shift)
        penalties = largest * 10.0 ** np.arange(-9, 2.25, 0.25)
        errors = np.array([_squared_error(seen, solve(penalty)) for penalty in penalties])
        # The error is a difference of sums: what lies below their rounding is no difference.
        errors = np.maximum(errors, 1e-14 * seen.squares.sum())
        chosen = int(np.flatnonzero(errors <= (1 + slack) * errors.min()).max())
        return cls._of(solve(penalties[chosen]), shift, basis, penalties[chosen])

    @classmethod
    def fit_with(cls, windows: Windows, train: np.ndarray, penalty: float) -> Ridge:
        """The coefficients from the training windows, with a penalty that is known."""
        return cls.path(windows, train)[0](penalty)

    @classmethod
    def path(cls, windows: Windows, train: np.ndarray) -> tuple[Callable[[float], Ridge], float]:
        """Penalty -> regression of the training windows; and their largest squared singular value, its natural unit."""
        train, shift, basis, windows = _prepare(windows, train)
        solve, largest = _solver(moments(windows, train, shift))
        return lambda penalty: cls._of(solve(penalty), shift, basis, penalty), largest

    @classmethod
    def _of(cls, weights, shift, basis, penalty):
        intercept = weights[0] - shift @ weights[1:]
        coefficients = weights[1:] if basis is None else basis @ weights[1:]
        return cls(coefficients, intercept, float(penalty))

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, F) -> targets (n, horizon)."""
        return inputs @ self.coefficients + self.intercept


def _prepare(windows, rows):
    """The rows that are read, a shift near the inputs' mean, and a basis where windows are fewer than inputs.

    Every ridge solution is a combination of the windows: with n windows of F > n inputs the regression is that of n
    inputs, the coordinates of a window in an orthonormal basis (F, n) of the training windows.
    """
    width = windows(rows[:1])[0].shape[1]
    rows = evenly(rows, width)
    if len(rows) < width:
        basis = np.linalg.qr(windows(rows)[0].astype(np.float64).T)[0]

        def turned(rows):
            inputs, targets, weights = windows(rows)
            return inputs @ basis, targets, weights

        return rows, turned(rows)[0].mean(axis=0), basis, turned
    first = next(_blocks(rows, width))
    return rows, windows(first)[0].astype(np.float64).mean(axis=0), None, windows


def _solver(sums: Moments):
    """Penalty -> weights (1 + F, N), the intercept first; and the largest eigenvalue of the inputs' moments.

    One decomposition V S V^T of the centred moments serves every penalty: w = V (S + penalty)^-1 V^T X^T t. Steps at
    which the same windows count share it.
    """
    steps = range(sums.cross.shape[1])
    groups = [[step] for step in sums.missing] + [[step for step in steps if step not in sums.missing]]
    parts = []
    for group in filter(None, groups):
        gram, cross = sums.gram(group[0]), sums.cross[:, group]
        count = max(gram[0, 0], 1.0)
        mean, target = gram[0, 1:] / count, cross[0] / count
        values, v = np.linalg.eigh(gram[1:, 1:] - count * np.outer(mean, mean))
        parts.append((group, np.maximum(values, 0), v, v.T @ (cross[1:] - np.outer(mean, cross[0])), mean, target))

    def solve(penalty: float) -> np.ndarray:
        weights = np.zeros(sums.cross.shape)
        for group, values, v, projected, mean, target in parts:
            found = v @ (projected / (values + penalty)[:, None])
            weights[1:, group] = found
            weights[0, group] = target - mean @ found
        return weights

    return solve, max(*(float(part[1].max(initial=0)) for part in parts), 1e-12)


def _squared_error(sums: Moments, weights: np.ndarray) -> float:
    """Σ (t - x w)² over the targets that count, from the sums alone."""
    total = float(sums.squares.sum() - 2 * np.sum(weights * sums.cross) + np.sum(weights * (sums.whole @ weights)))
    for step, gram in sums.missing.items():
        total -= float(weights[:, step] @ gram @ weights[:, step])
    return total


@dataclass(frozen=True)
class Linear:
    """Ridge regression of the changes ahead on the last values, or on what the network reads; one for all series.

    Changes are counted from the value at the origin, in units of the spread of the series' training rows.
    """

    ridge: Ridge
    scale: np.ndarray  # (series,)

    @classmethod
    def fit(cls, context: Context) -> Linear:
        """Coefficients from the training windows, penalty by the validation windows."""
        scale = _scales(context)
        starts = np.asarray(context.bounds)[:-1]
        train = _origins(starts + context.window - 1, context.train - context.horizon)
        validation = _origins(
            np.maximum(starts + context.window, context.train) - 1, np.asarray(context.stop) - context.horizon
        )
        if not len(train) or not len(validation):
            raise Unsuitable(f"no series has training and validation rows for windows of {context.window} rows")
        return cls(Ridge.fit(_windows(context, scale), train, validation), scale)

    def forecast(self, context: Context, origins: np.ndarray) -> np.ndarray:
        """The forecasts after each origin, (n, horizon)."""
        result = np.empty((len(origins), context.horizon))
        for rows in _blocks(np.arange(len(origins)), len(self.ridge.coefficients) + 1):
            o = origins[rows]
            change = self.ridge.predict(_inputs(context, self.scale, o))
            result[rows] = context.y[o][:, None] + self.scale[context.series_of(o)][:, None] * change
        return result

    def refit(self, context: Context) -> Linear:
        """The same penalty and scales, with coefficients from all windows before ``context.stop``."""
        starts = np.asarray(context.bounds)[:-1]
        train = _origins(starts + context.window - 1, context.train - context.horizon)
        return Linear(Ridge.fit_with(_windows(context, self.scale), train, self.ridge.penalty), self.scale)


def _origins(first, stop) -> np.ndarray:
    """The rows ``first[k] .. stop[k] - 1`` of every series."""
    return np.concatenate([np.arange(start, end) for start, end in zip(first, stop)])


def _scales(context) -> np.ndarray:
    """The spread of each series' known training values; 1 where there is none."""
    spreads = []
    for start, end in zip(context.bounds[:-1], context.train):
        values = context.y[start:end][context.known[start:end]]
        spread = float(values.std()) if len(values) else 0.0
        spreads.append(spread if spread > 0 else 1.0)
    return np.array(spreads)


def _inputs(context, scale, origins) -> np.ndarray:
    if context.inputs is not None:
        return context.inputs(origins)
    # Before the first row of a series its first value is repeated.
    rows = np.maximum(origins[:, None] + np.arange(1 - context.window, 0), context.starts(origins)[:, None])
    return (context.y[rows] - context.y[origins][:, None]) / scale[context.series_of(origins)][:, None]


def _windows(context, scale) -> Windows:
    def windows(origins):
        ahead = origins[:, None] + context.steps
        targets = (context.y[ahead] - context.y[origins][:, None]) / scale[context.series_of(origins)][:, None]
        return _inputs(context, scale, origins), targets, context.known[ahead]

    return windows
