"""A network that reads every row once: its state is carried from row to row, through the whole series.

It reads rows as they are, standardised, and not as deviations from the level of a window: what a state has taken in
cannot be measured anew. It is trained on windows, whose first rows warm the state up, and judged, calibrated and
weighed against the bases on one pass over the validation rows, as it will be used.

Dimension letters: n origins, W rows of a training window, D inputs, K members, N rows ahead, C targets, S series.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.models.forecasting import stepping
from minirnn.models.forecasting.encoder import Encoder, Prepared
from minirnn.models.forecasting.series import Series

if TYPE_CHECKING:
    from minirnn.models.forecasting.fitted import Fitted

BLOCK = 4096  # rows that are walked through at a time


class Carried(NamedTuple):
    """The states of the network before the first row that the model keeps of each series.

    Args:
      starts: (S,) the times of those rows, as integers. A series that starts at another time starts from zeros.
      states: of each layer h, and of an LSTM c, (S, K, 1, H).
    """

    starts: np.ndarray
    states: tuple[tuple[np.ndarray, ...], ...]


NOTHING = Carried(np.empty(0, np.int64), ())


def row_inputs(encoder: Encoder, prepared: Prepared, rows: np.ndarray) -> np.ndarray:
    """What is read of each row (..., D): the channels of ``Encoder``, with the targets as they are, float32."""
    known_ahead = [c - encoder.targets for c in encoder.ahead]
    parts = [prepared.targets.carried[rows], prepared.others.carried[rows]]
    parts += [prepared.others.carried[rows + lead][..., known_ahead] for lead in encoder.leads]
    return np.concatenate([*parts, prepared.plain[rows]], axis=-1).astype(np.float32)


def windows(encoder: Encoder, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
    """Training windows (n, W, D)."""
    return row_inputs(encoder, prepared, origins[:, None] + np.arange(1 - encoder.window, 1))


def network(fitted: Fitted, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
    """Raw numbers of the members (K, n, N, C, P), by one pass over each series up to its last origin."""
    members = _stack(fitted)
    encoder, series = fitted.encoder, prepared.series
    found = np.empty((len(fitted.members), len(origins), members.W.shape[2]), np.float32)
    which = np.searchsorted(series.bounds, origins, side="right") - 1
    for k in np.unique(which):
        own = np.flatnonzero(which == k)
        state = start(fitted, members, series, int(k))
        end = int(origins[own].max()) + 1
        for first in range(int(series.bounds[k]), end, BLOCK):
            rows = np.arange(first, min(first + BLOCK, end))
            outputs, state = stepping.walk(members, row_inputs(encoder, prepared, rows), state, len(rows))
            inside = own[(origins[own] >= first) & (origins[own] < first + BLOCK)]
            found[:, inside] = outputs[:, origins[inside] - first]
    return found.reshape(*found.shape[:2], encoder.horizon, encoder.targets, -1).astype(np.float64)


def start(fitted: Fitted, members: stepping.Members, series: Series, k: int) -> Any:
    """The states before the first row of a series: those that were kept, if it starts where they were; or zeros."""
    carried, which = fitted.carried, int(series.which[k])
    first = series.times[series.bounds[k]].astype(np.int64)
    if carried is None or not 0 <= which < len(carried.starts) or carried.starts[which] != first:
        return stepping.initial(members)
    return tuple(tuple(part[which] for part in state) for state in carried.states)


def carried_to(fitted: Fitted, series: Series, recent: Series) -> Fitted:
    """With the states before the first rows of ``recent``, which are rows of ``series``."""
    if fitted.carried is None:
        return fitted
    members, prepared = _stack(fitted), fitted.encoder.prepare(series)
    ends = []
    for k in range(len(series.which)):
        state, first = start(fitted, members, series, k), int(series.bounds[k])
        end = first + int(np.searchsorted(series.times[first : series.last[k] + 1], recent.times[recent.bounds[k]]))
        ends.append(_walked(fitted.encoder, members, prepared, state, first, end)[1])
    states = tuple(
        tuple(np.stack([end[i][j] for end in ends]) for j in range(len(ends[0][i]))) for i in range(len(ends[0]))
    )
    starts = recent.times[recent.bounds[:-1]].astype(np.int64)
    return dataclasses.replace(fitted, carried=Carried(starts, states))


def newest(fitted: Fitted, members: stepping.Members, series: Series, k: int) -> Any:
    """The outputs (K, 1, O) and the states after the last known row of a series."""
    first, end = int(series.bounds[k]), int(series.last[k]) + 1
    prepared = fitted.encoder.prepare(series)
    return _walked(fitted.encoder, members, prepared, start(fitted, members, series, k), first, end)


def _walked(encoder: Encoder, members: stepping.Members, prepared: Prepared, state: Any, first: int, end: int) -> Any:
    outputs = None
    for begin in range(first, end, BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, end))
        outputs, state = stepping.walk(members, row_inputs(encoder, prepared, rows), state)
    return outputs, state


def _stack(fitted: Fitted) -> stepping.Members:
    return stepping.stack(fitted.description.horizon.network, fitted.members)  # type: ignore[union-attr]
