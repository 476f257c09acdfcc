"""All members of a network side by side, one step after the other, for one sequence: what a stream needs.

The arithmetic of a step is that of the cells of the NumPy half; only the batch is made of members, each with weights of
its own, so that a step costs one call for all of them.

Dimension letters: K members, T time steps, D inputs, H hidden size, G gates' width, O outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.params import Dropout, Network, Recurrent, map_state
from minirnn.readable.cells import CELLS


class Layer(NamedTuple):
    """The weights of a recurrent layer of all members."""

    cell: str
    Wx: np.ndarray  # (K, D, G)
    Wh: np.ndarray  # (K, H, G)
    b: np.ndarray  # (K, 1, G)
    extra: dict[str, np.ndarray]  # (K, 1, H) each
    start: Any  # zeros, (K, 1, H) each


class Members(NamedTuple):
    """A stack of recurrent layers in one direction and a dense head, K times."""

    layers: tuple[Layer, ...]
    W: np.ndarray  # (K, H, O)
    b: np.ndarray  # (K, 1, O)


def steps_alone(network: Network) -> bool:
    """Whether a network can be walked through step by step: recurrent layers in one direction, and no others."""
    return all(
        isinstance(layer, Dropout)
        or (isinstance(layer, Recurrent) and not layer.bidirectional and layer.activation == "tanh")
        for layer in network.layers
    )


def stack(network: Network, members: list[Any]) -> Members:
    """The members' weights (NetworkParams each), laid beside each other."""
    layers = []
    for index, layer in enumerate(network.layers):
        if not isinstance(layer, Recurrent):
            continue
        each = [params.layers[index].weights._asdict() for params in members]
        weights = {name: np.stack([np.atleast_2d(one[name]) for one in each]) for name in each[0]}
        zeros = map_state(lambda part: np.zeros_like(part, shape=(len(each), *part.shape)), _initial(layer, members[0], index))
        Wx, Wh, b = weights.pop("Wx"), weights.pop("Wh"), weights.pop("b")
        layers.append(Layer(layer.cell, Wx, Wh, b, weights, zeros))
    head = [params.head for params in members]
    return Members(tuple(layers), np.stack([one.W for one in head]), np.stack([one.b[None] for one in head]))


def _initial(layer, params, index):
    return CELLS[layer.cell].initial_state(params.layers[index].weights, 1)


def walk(members: Members, inputs: np.ndarray) -> np.ndarray:
    """Inputs (T, D) -> the outputs after the last step (K, O)."""
    ys: Any = inputs
    for layer in members.layers:
        update, Wh, extra, state = CELLS[layer.cell].update, layer.Wh, layer.extra, layer.start
        zx = np.matmul(ys, layer.Wx) + layer.b  # (K, T, G)
        steps = np.ascontiguousarray(zx.swapaxes(0, 1))[:, :, None]  # (T, K, 1, G)
        ys = np.empty((*zx.shape[:2], Wh.shape[1]), zx.dtype)
        for t, z in enumerate(steps):
            y, state, _ = update(z, np.matmul(getattr(state, "h", state), Wh), state, extra)
            ys[:, t] = y[:, 0]
    return (np.matmul(ys[:, -1:], members.W) + members.b)[:, 0]


def step(members: Members, x: np.ndarray, states: tuple[Any, ...]) -> tuple[np.ndarray, tuple[Any, ...]]:
    """One input x (D,) and the states of the layers -> outputs (K, O), states."""
    y: Any = x[None]
    after = []
    for layer, state in zip(members.layers, states):
        zx = np.matmul(y, layer.Wx) + layer.b
        zh = np.matmul(getattr(state, "h", state), layer.Wh)
        y, state, _ = CELLS[layer.cell].update(zx, zh, state, layer.extra)
        after.append(state)
    return (np.matmul(y, members.W) + members.b)[:, 0], tuple(after)


def initial(members: Members) -> tuple[Any, ...]:
    """The states before the first step."""
    return tuple(layer.start for layer in members.layers)
