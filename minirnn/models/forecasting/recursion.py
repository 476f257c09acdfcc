"""Forecasts that are fed back: a model of one step, asked again and again, each time with what it said before."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from minirnn.models.forecasting.series import Series

if TYPE_CHECKING:
    from minirnn.models.forecasting.fitted import Fitted, Rows

BLOCK = 512  # origins that are followed at a time


def means(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> np.ndarray:
    """The mean of the members after each origin (n, steps, C), scaled.

    Columns of the role past are not known in the rows ahead: there they keep their last value.
    """
    parts = [
        _block(fitted, rows, origins[first : first + BLOCK], backend) for first in range(0, max(len(origins), 1), BLOCK)
    ]
    return np.concatenate(parts)


def _block(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> np.ndarray:
    series, steps, C = rows.series, fitted.steps, fitted.encoder.targets
    own, statics = cut(fitted, series, origins, steps), None
    if rows.statics is not None:
        statics = rows.statics[np.searchsorted(series.bounds, origins, side="right") - 1]
    one_step = dataclasses.replace(fitted, recursion=None, outliers=None)  # these rows are clipped already
    found = np.empty((len(origins), steps, C))
    for step in range(steps):
        now = own.last + step
        mean, _ = one_step.curves(one_step.prepare(own, statics), now, backend)
        found[:, step] = fitted.encoder.unscale(mean.mean(axis=0), own, now)[:, 0]
        own.values[now + 1, :C] = found[:, step]
    return fitted.encoder.rescale(found, series, origins)


def cut(fitted: Fitted, series: Series, origins: np.ndarray, steps: int) -> Series:
    """Every origin as a series of its own: the rows that a forecast reads, and of the rows ahead what is known."""
    reach = max(base.encoder.reference.reach for base in fitted.bases)
    starts = np.maximum(series.first(origins), origins - reach + 1)
    lengths = origins - starts + 1 + steps
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(starts - bounds[:-1], lengths) + np.arange(bounds[-1])
    values = series.values[rows].copy()
    later = rows > np.repeat(origins, lengths)
    unknown = [c for c in range(values.shape[1]) if c not in fitted.encoder.ahead]
    values[np.flatnonzero(later)[:, None], unknown] = np.nan
    which = series.which[np.searchsorted(series.bounds, origins, side="right") - 1]
    return Series(values, bounds, bounds[1:] - 1 - steps, series.times[rows], which)
