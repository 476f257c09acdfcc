"""Standardisation: mean 0 and standard deviation 1 on the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each column (D,), from the training rows only."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray) -> Scaler:
        """From values (rows, D); a column that does not vary keeps its spread (it is divided by 1).

        >>> Scaler.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
        Scaler(mean=array([2., 5.]), std=array([1., 1.]))
        """
        std = values.std(axis=0)
        # Rounding gives a constant column a tiny spread; dividing by it would blow noise up to full size.
        varies = std > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1e-300)
        return cls(values.mean(axis=0), np.where(varies, std, 1.0))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """(values - mean) / std, for values (..., D)."""
        return (values - self.mean) / self.std

    def inverse_column(self, values: np.ndarray, column: int) -> np.ndarray:
        """Values * std + mean of one column, for values of any shape."""
        return values * self.std[column] + self.mean[column]
