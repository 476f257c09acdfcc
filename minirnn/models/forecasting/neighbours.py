"""The windows of the past that look most like the one that is forecast from, to the network, and what followed them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minirnn.models.forecasting.fitted import BLOCK, Fitted
from minirnn.models.forecasting.series import Series

COUNT = 5


class Neighbours(NamedTuple):
    """The nearest windows, the nearest first; m of them."""

    origins: np.ndarray  # (m,) their last rows
    distances: np.ndarray  # (m,) root of the mean squared difference of what the network reads; its unit is a spread
    usual: float  # the median distance of all windows
    candidates: int


def nearest(fitted: Fitted, series: Series, origins: np.ndarray, window: np.ndarray, statics=None) -> Neighbours:
    """The nearest of the windows of these origins to a window (W, D) of the network's inputs.

    Of windows that overlap by more than the horizon only the nearest one counts.
    """
    prepared = fitted.prepare(series, statics).own
    parts = []
    for first in range(0, len(origins), BLOCK):
        inputs = fitted.encoder.inputs(prepared, origins[first : first + BLOCK])
        parts.append(np.sqrt(((inputs.astype(np.float64) - window) ** 2).mean(axis=(1, 2))))
    distances = np.concatenate([np.empty(0), *parts])
    chosen: list[int] = []
    which = np.searchsorted(series.bounds, origins, side="right") - 1
    far = np.ones(len(origins), bool)
    for k in np.argsort(distances, kind="stable"):
        if len(chosen) == COUNT:
            break
        if far[k]:
            chosen.append(int(k))
            far &= (which != which[k]) | (np.abs(origins - origins[k]) >= fitted.encoder.horizon)
    usual = float(np.median(distances)) if len(distances) else float("nan")
    return Neighbours(origins[chosen], distances[chosen], usual, len(origins))
