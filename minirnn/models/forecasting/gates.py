"""What the gates of a trained network do on windows: how far they open, how long units remember, which follow a season.

All in NumPy, with the forward pass of the readable half.

Dimension letters: n windows, T steps, H units, K members.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minirnn.params import Decoder, Direct, Recurrent, Segments
from minirnn.readable import layers as dense_layers
from minirnn.readable import network
from minirnn.readable.cells import CELLS

CLOSED, OPEN = 0.1, 0.9  # beyond them a gate counts as shut, or as wide open
FOLLOWS = 0.7  # correlation with a season from which on a unit follows it
GATES = {"lstm": ("i", "f", "o"), "gru": ("r", "z"), "rnn": ()}
WORDS = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}


class Trace(NamedTuple):
    """One recurrent layer of all members on windows."""

    name: str
    cell: str
    gates: dict[str, np.ndarray]  # (K, T, n, H) by name
    h: np.ndarray  # (K, T, n, H)
    rows: int  # of the data, for each step
    reverse: bool  # whether it reads from the last row to the first


class Layer(NamedTuple):
    """The figures of a recurrent layer."""

    name: str
    mean: dict[str, float]  # opening, 0 to 1, by gate
    closed: dict[str, float]  # share of steps and units at which it is below 0.1
    open: dict[str, float]  # or above 0.9
    over_time: dict[str, np.ndarray]  # (T,) mean opening in the last window
    memory: tuple[float, float, float] | None  # rows: 10 %, 50 % and 90 % of the units; None without a gate
    saturated: float  # share of activations beyond 0.9 in size
    season: np.ndarray | None  # (K, H) correlation of each unit with the season


class Gates(NamedTuple):
    """The figures of all layers."""

    layers: tuple[Layer, ...]
    rows: int  # of a step
    windows: int


def examined(description: Any, members: list[Any], inputs: np.ndarray, place: np.ndarray | None, season: int) -> Gates:
    """The figures of these windows, of which the last is the one that is explained.

    Args:
      description: ``Direct``, ``Decoder`` or ``Segments``.
      members: its weights, K times.
      inputs: (n, T, D) what it reads.
      place: (n, T) the number of each row, whose remainder by the season is its place in it; or None.
      season: rows of it; 1 for none.
    """
    each = [list(_traces(description, params, inputs)) for params in members]
    found = []
    for parts in zip(*each):
        first = parts[0]
        gates = {name: np.stack([part.gates[name] for part in parts]) for name in first.gates}
        trace = first._replace(gates=gates, h=np.stack([part.h for part in parts]))
        found.append(_figures(trace, place, season))
    return Gates(tuple(found), each[0][0].rows if each[0] else 1, len(inputs))


def _traces(description: Any, params: Any, inputs: np.ndarray) -> Iterator[Trace]:
    """Every recurrent layer that reads the window, each direction by itself; arrays (T, n, H)."""
    xs = inputs.swapaxes(0, 1)
    if isinstance(description, Segments):
        S = description.segment
        T, n, D = xs.shape
        xs = np.pad(xs, ((-T % S, 0), (0, 0), (0, 0)))
        xs = xs.reshape(-1, S, n, D).swapaxes(1, 2).reshape(-1, n, S * D)
        embedded, _ = dense_layers.dense(params.embedding, xs, "relu")
        yield _trace("segments", description.cell, params.cell, embedded, rows=S)
        return
    if isinstance(description, Decoder):
        stack, weights = description.encoder, params.encoder
    else:
        assert isinstance(description, Direct)
        stack, weights = description.network.layers, params.layers
    number = 0
    for layer, part in zip(stack, weights):
        if isinstance(layer, Recurrent):
            number += 1
            directions = part.weights if layer.bidirectional else (part.weights,)
            for way, each in zip(("", " backwards"), directions):
                read = xs[::-1] if way else xs
                yield _trace(f"layer {number}{way}", layer.cell, each, read, reverse=bool(way))
        xs, _, _ = network.forward_layers((layer,), (part,), xs)


def _trace(name: str, cell: str, params: Any, xs: np.ndarray, rows: int = 1, reverse: bool = False) -> Trace:
    h, _, _ = CELLS[cell].forward(params, xs)
    seen = CELLS[cell].gates(params, xs) if GATES[cell] else None
    order = slice(None, None, -1 if reverse else 1)  # over time, whatever the direction
    gates = {gate: getattr(seen, gate)[order] for gate in GATES[cell]}
    return Trace(name, cell, gates, h[order], rows, reverse)


def _figures(trace: Trace, place: np.ndarray | None, season: int) -> Layer:
    gates = trace.gates
    kept = {"lstm": lambda: gates["f"], "gru": lambda: 1 - gates["z"], "rnn": lambda: None}[trace.cell]()
    memory = None
    if kept is not None:
        # A unit that keeps a share f of itself at each step forgets as exp(-t / m) does, with m = -1 / log f.
        share = np.exp(np.log(np.maximum(kept, 1e-12)).mean(axis=(1, 2)))  # (K, H), the geometric mean
        length = trace.rows / -np.log(np.minimum(share, 1 - 1e-9))
        memory = tuple(float(each) for each in np.quantile(length, (0.1, 0.5, 0.9)))
    return Layer(
        trace.name,
        {name: float(gate.mean()) for name, gate in gates.items()},
        {name: float((gate < CLOSED).mean()) for name, gate in gates.items()},
        {name: float((gate > OPEN).mean()) for name, gate in gates.items()},
        {name: gate[:, :, -1].mean(axis=(0, 2)) for name, gate in gates.items()},
        memory,  # type: ignore[arg-type]
        float((np.abs(trace.h) > OPEN).mean()),
        None if place is None or season < 2 else _season(trace, place, season),
    )


def _season(trace: Trace, place: np.ndarray, season: int) -> np.ndarray | None:
    """How much of each unit's movement a sine and a cosine of the season explain, as a correlation (K, H)."""
    K, T, n, H = trace.h.shape
    rows = place[:, trace.rows - 1 :: trace.rows][:, -T:].T.reshape(-1)  # (T n,) the last row of each step
    if len(np.unique(rows)) < 2 * season:
        return None
    angle = 2 * np.pi * rows / season
    design = np.stack([np.ones(len(rows)), np.sin(angle), np.cos(angle)], axis=1)
    h = trace.h.astype(float).reshape(K, T * n, H).swapaxes(0, 1).reshape(T * n, K * H)
    left = h - design @ np.linalg.lstsq(design, h, rcond=None)[0]
    whole = h.var(axis=0)
    share = 1 - left.var(axis=0) / np.where(whole > 1e-12, whole, np.inf)
    share = np.where(whole > 1e-12, share, 0.0)
    return np.sqrt(np.clip(share, 0, 1)).reshape(K, H)
