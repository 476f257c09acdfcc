"""Forecasts that are fed back: a model of one step, asked again and again, each time with what it said before."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from minirnn.models.forecasting.series import Series

if TYPE_CHECKING:
    from minirnn.models.forecasting.fitted import Fitted, Rows

BLOCK = 512  # origins that are followed at a time
MOST_ROWS = 1 << 20  # and at most so many rows of them


def means(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> np.ndarray:
    """The mean of the members after each origin (n, steps, C), scaled.

    Columns of the role past are not known in the rows ahead: there they are filled as missing values are.
    """
    series, steps = rows.series, fitted.steps
    # These rows are clipped already; and a part of a series is filled and scaled as the whole is.
    one_step = dataclasses.replace(fitted, recursion=None, outliers=None).settled(series, rows.statics)
    starts = np.maximum(series.first(origins), origins - fitted.reach + 1)
    starts = fitted.encoder.imputer.sources(series.values, series.bounds, starts)
    found = np.empty((len(origins), steps, fitted.encoder.targets))
    ends = np.cumsum(origins - starts + 1 + steps)
    first = 0
    while first < len(origins):
        before = ends[first - 1] if first else 0
        stop = min(max(int(np.searchsorted(ends, before + MOST_ROWS)), first + 1), first + BLOCK, len(origins))
        own = cut(one_step, series, starts[first:stop], origins[first:stop], steps)
        found[first:stop] = _follow(one_step, own, steps, backend)
        first = stop
    return fitted.encoder.rescale(found, series, origins)


def _follow(one_step: Fitted, own: Series, steps: int, backend: str) -> np.ndarray:
    """The forecasts (n, steps, C) of these series, in the unit of the targets; they are written into the rows ahead."""
    C = one_step.encoder.targets
    found = np.empty((len(own.which), steps, C))
    for step in range(steps):
        now = own.last + step
        members, _ = one_step.curves(one_step.prepare(own), now, backend)
        found[:, step] = np.mean([one_step.encoder.unscale(mean, own, now) for mean in members], axis=0)[:, 0]
        own.values[now + 1, :C] = found[:, step]
    return found


def cut(fitted: Fitted, series: Series, starts: np.ndarray, origins: np.ndarray, steps: int) -> Series:
    """Every origin as a series of its own: the rows from its start on, and of the rows ahead what is known.

    The part says, as ``which``, the place of its series among ``series``.
    """
    lengths = origins - starts + 1 + steps
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(starts - bounds[:-1], lengths) + np.arange(bounds[-1])
    values = series.values[rows].copy()
    later = rows > np.repeat(origins, lengths)
    unknown = [c for c in range(values.shape[1]) if c not in fitted.encoder.ahead]
    values[np.flatnonzero(later)[:, None], unknown] = np.nan
    which = np.searchsorted(series.bounds, origins, side="right") - 1
    return Series(values, bounds, bounds[1:] - 1 - steps, series.times[rows], which)
