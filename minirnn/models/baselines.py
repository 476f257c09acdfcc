"""The forecasts that a network has to beat. Each gives (origins, horizon) values in the unit of the target.

An origin t is the last row that is known. Nothing here looks at rows after the origin; what is fitted is fitted on the
training rows, and what is chosen is chosen on the validation rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from minirnn.data import calendar


def last_value(y: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The value at the origin, at every step ahead (persistence, random walk).

    >>> last_value(np.array([1.0, 4.0, 9.0]), np.array([1, 2]), horizon=2)
    array([[4., 4.],
           [9., 9.]])
    """
    return np.repeat(y[origins][:, None], horizon, axis=1)


def seasonal_naive(y: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last known value of the same place in the season; before a whole season is known, the last value.

    >>> seasonal_naive(np.array([1.0, 2.0, 3.0, 4.0]), np.array([3]), horizon=3, season=2)
    array([[3., 4., 3.]])
    """
    steps = np.arange(1, horizon + 1)
    back = season * np.ceil(steps / season).astype(int) - steps  # rows before the origin
    rows = origins[:, None] - back
    return np.where(rows >= 0, y[np.maximum(rows, 0)], y[origins][:, None])


def drift(y: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The line through the first known value and the one at the origin, drawn on.

    >>> drift(np.array([1.0, 2.0, 5.0]), np.array([2]), horizon=2)
    array([[7., 9.]])
    """
    slope = (y[origins] - y[0]) / np.maximum(origins, 1)
    return y[origins][:, None] + slope[:, None] * np.arange(1, horizon + 1)


def mean(y: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The mean of all values up to the origin, at every step ahead.

    >>> mean(np.array([1.0, 2.0, 6.0]), np.array([1, 2]), horizon=1)
    array([[1.5],
           [3. ]])
    """
    means = np.cumsum(y) / np.arange(1, len(y) + 1)
    return np.repeat(means[origins][:, None], horizon, axis=1)


@dataclass(frozen=True)
class Climatology:
    """Harmonic regression on the calendar: what is usual on this day of the year, day of the week, hour of the day.

    The number of harmonics of each cycle is chosen on the validation rows, the coefficients are fitted on the training
    rows by least squares. A cycle that the training rows do not span is left out.
    """

    frequency: str
    counts: tuple[int, ...]  # harmonics of each of calendar.cycles(frequency)
    coefficients: np.ndarray

    @classmethod
    def fit(cls, y: np.ndarray, index: pd.DatetimeIndex, frequency: str, train: range, validation: range):
        """From the values y (rows,) and their times; only training and validation rows are looked at."""
        seasons = calendar.cycles(frequency)
        counts = [0] * len(seasons)
        best = cls._try(y, index, frequency, tuple(counts), train, validation)
        days = len(train) * calendar.step_days(frequency)
        # One cycle after the other, each with the harmonics that predict the validation rows best.
        for position, cycle in enumerate(seasons):
            if cycle.days > days:
                continue  # fitted on a part of a cycle, the rest would be invented
            for count in range(1, cycle.harmonics + 1):
                trial = [*counts[:position], count, *counts[position + 1 :]]
                found = cls._try(y, index, frequency, tuple(trial), train, validation)
                best = min(best, found, key=lambda pair: pair[0])
            counts = list(best[1].counts)
        return best[1]

    @classmethod
    def _try(cls, y, index, frequency, counts, train, validation):
        design = cls._design(index[: validation.stop], frequency, counts)
        fitted = np.linalg.lstsq(design[train.start : train.stop], y[train.start : train.stop], rcond=None)[0]
        error = np.mean((design[validation.start :] @ fitted - y[validation.start : validation.stop]) ** 2)
        return float(error), cls(frequency, counts, fitted)

    @staticmethod
    def _design(index, frequency, counts):
        parts = [np.ones((len(index), 1))]
        for cycle, count in zip(calendar.cycles(frequency), counts):
            if count:
                parts.append(calendar.harmonics(index, cycle, count))
        return np.concatenate(parts, axis=1)

    def predict(self, index: pd.DatetimeIndex) -> np.ndarray:
        """The usual value at each time (rows,)."""
        return self._design(index, self.frequency, self.counts) @ self.coefficients

    def forecast(self, index: pd.DatetimeIndex, origins: np.ndarray, horizon: int) -> np.ndarray:
        """The usual values after each origin, whose rows all lie in the index."""
        return self.predict(index)[origins[:, None] + np.arange(1, horizon + 1)]


@dataclass(frozen=True)
class Ridge:
    """Linear regression on exactly the inputs that the network gets, with a squared penalty on the coefficients."""

    coefficients: np.ndarray  # (inputs, horizon)
    intercept: np.ndarray  # (horizon,)
    penalty: float

    @classmethod
    def fit(cls, train, validation, slack: float = 0.0) -> Ridge:
        """The penalty is chosen on the validation windows.

        Args:
          train: inputs (n, F), targets (n, horizon) and weights (n, horizon) of the training windows.
          validation: the same of the validation windows.
          slack: of the penalties whose validation error is at most (1 + slack) times the least, take the largest.
        """
        inputs, targets, weights = train
        x = inputs.astype(np.float64)
        solvers: dict[
            bytes, list[int]
        ] = {}  # by the pattern of targets that count: usually there is one, and one decomposition serves all
        for step in range(targets.shape[1]):
            pattern = weights[:, step].astype(bool).tobytes()
            solvers.setdefault(pattern, []).append(step)
        parts = []
        for steps in solvers.values():
            kept = weights[:, steps[0]].astype(bool)
            parts.append((steps, _penalised(x[kept], targets[kept][:, steps].astype(np.float64))))

        def solve(penalty):
            coefficients = np.zeros((x.shape[1], targets.shape[1]))
            intercept = np.zeros(targets.shape[1])
            for steps, solver in parts:
                coefficients[:, steps], intercept[steps] = solver[0](penalty)
            return cls(coefficients, intercept, float(penalty))

        largest = max(*(solver[1] for _, solver in parts), 1e-12)
        penalties = largest * 10.0 ** np.arange(-9, 2.25, 0.25)
        seen, expected, counts = validation

        def error(model):
            return float(np.sum(counts * (model.predict(seen) - expected) ** 2) / max(counts.sum(), 1))

        models = [solve(penalty) for penalty in penalties]
        errors = np.array([error(model) for model in models])
        return models[int(np.flatnonzero(errors <= (1 + slack) * errors.min()).max())]

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, F) -> targets (n, horizon)."""
        return inputs @ self.coefficients + self.intercept


def _penalised(x: np.ndarray, t: np.ndarray):
    """Ridge regression of t (n, N) on x (n, F) as a function of the penalty; and the largest squared singular value.

    One decomposition X = U S V^T serves every penalty: w = V (S² + penalty)^-1 S U^T t.
    """
    x_mean, t_mean = x.mean(axis=0), t.mean(axis=0)
    x, t = x - x_mean, t - t_mean
    if x.shape[0] < x.shape[1]:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        v, squares, projected = vt.T, s**2, s[:, None] * (u.T @ t)
    else:  # the (F, F) moments are smaller than the windows
        squares, v = np.linalg.eigh(x.T @ x)
        squares, projected = np.maximum(squares, 0), v.T @ (x.T @ t)

    def solver(penalty: float) -> tuple[np.ndarray, np.ndarray]:
        coefficients = v @ (projected / (squares + penalty)[:, None])
        return coefficients, t_mean - x_mean @ coefficients

    return solver, float(squares.max())
