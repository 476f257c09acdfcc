"""Rows of many series, one below the other: which series a row belongs to, and which rows train."""

from __future__ import annotations

import numpy as np


def series_of(bounds: np.ndarray) -> np.ndarray:
    """The series of each row (rows,), from the bounds (series + 1,).

    >>> series_of(np.array([0, 2, 5]))
    array([0, 0, 1, 1, 1])
    """
    return np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))


def training_part(values: np.ndarray, bounds: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training rows alone and their bounds: nothing that is fitted on them can have read another row.

    Args:
        values: (rows, C).
        bounds: (series + 1,) the rows of each series.
        stop: (series,) the row after the last training row of each series.
    """
    starts, stop = np.asarray(bounds)[:-1], np.asarray(stop)
    if stop.shape != starts.shape or (stop < starts).any() or (stop > np.asarray(bounds)[1:]).any():
        raise ValueError(f"stop must be a row of each of the {len(starts)} series (or the one after its last)")
    kept = np.arange(len(values)) < np.repeat(stop, np.diff(bounds))
    return values[kept], np.concatenate([[0], np.cumsum(stop - starts)])


def sums(values: np.ndarray, series: np.ndarray, count: int) -> np.ndarray:
    """The sum over the rows of each series, (count, C)."""
    return np.stack([np.bincount(series, column, minlength=count) for column in values.T], axis=1)


def means(values: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the known values of each series (series, C), and how many there are (series, C).

    A series without a value in a column gets the mean over the other series; 0 where none has one.
    """
    series, known = series_of(bounds), ~np.isnan(values)
    counts = sums(known.astype(np.float64), series, len(bounds) - 1)
    mean = sums(np.where(known, values, 0.0), series, len(bounds) - 1) / np.maximum(counts, 1)
    some = counts > 0
    pooled = np.where(some, mean, 0.0).sum(axis=0) / np.maximum(some.sum(axis=0), 1)
    return np.where(some, mean, pooled), counts.astype(np.int64)
