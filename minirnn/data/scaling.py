"""Standardisation: mean 0 and standard deviation 1 of each series on its training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minirnn.data.rows import means, series_of, sums, training_part


@dataclass(frozen=True, eq=False)
class Scaler:
    """Mean and standard deviation (series, C) of the known values of the training rows."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, bounds: np.ndarray, stop: np.ndarray) -> Scaler:
        """From the training rows alone.

        Where a series has fewer than two values of a column, or these do not vary, it takes the pooled spread of the
        series that have one (the root of their mean variance), or 1 where none has.

        Args:
            values: (rows, C), NaN where missing.
            bounds: (series + 1,) the rows of series k are bounds[k] : bounds[k + 1].
            stop: (series,) the row after the last training row of each series.

        >>> Scaler.fit(np.array([[1.0, 5.0], [3.0, 5.0], [9.0, 9.0]]), np.array([0, 3]), np.array([2]))
        Scaler(mean=array([[2., 5.]]), std=array([[1., 1.]]))
        """
        rows, parts = training_part(values, bounds, stop)
        mean, counts = means(rows, parts)
        series, known = series_of(parts), ~np.isnan(rows)
        square = np.where(known, rows - mean[series], 0.0) ** 2
        std = np.sqrt(sums(square, series, len(parts) - 1) / np.maximum(counts, 1))
        # Rounding gives a constant column a tiny spread; dividing by it would blow noise up to full size.
        varies = std > 1e-12 * np.maximum(np.abs(mean), 1e-300)  # nor does a single value
        pooled = np.sqrt(np.where(varies, std**2, 0.0).sum(axis=0) / np.maximum(varies.sum(axis=0), 1))
        return cls(mean, np.where(varies, std, np.where(pooled > 0, pooled, 1.0)))

    def transform(self, values: np.ndarray, series: int | np.ndarray = 0) -> np.ndarray:
        """(values - mean) / std, in the dtype of the values' own.

        Args:
            values: (C,), (rows, C), or (n, ..., C).
            series: of all of them, or (n,): of each entry of the first axis.
        """
        return (values - self._of(self.mean, values, series)) / self._of(self.std, values, series)

    def inverse(self, values: np.ndarray, series: int | np.ndarray = 0, column: int | None = None) -> np.ndarray:
        """Values * std + mean: of all columns (..., C), or of one column, whose axis is then absent."""
        if column is None:
            return values * self._of(self.std, values, series) + self._of(self.mean, values, series)
        one = values[..., None]
        columns = Scaler(self.mean[:, [column]], self.std[:, [column]])
        return columns.inverse(one, series)[..., 0]

    @staticmethod
    def _of(figures: np.ndarray, values: np.ndarray, series: int | np.ndarray) -> np.ndarray:
        """The figures (series, C) of each entry, in a shape that broadcasts to the values, and in their dtype."""
        own = figures[series]
        if own.ndim == 2:
            own = own.reshape(len(own), *[1] * (values.ndim - 2), own.shape[1])
        return own.astype(values.dtype, copy=False) if np.issubdtype(values.dtype, np.floating) else own
