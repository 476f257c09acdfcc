"""All members of a network side by side, step after step, for one sequence: what a stream needs.

The batch is made of members, each with weights of its own, so that a step costs one product and a few calls for all of
them. The gates are those of ``readable.gru``, ``lstm`` and ``rnn``, written in place, with a sigmoid as
(1 + tanh(z / 2)) / 2 whose inner half is folded into the weights: a step of a small layer is mostly calls.

Dimension letters: K members, T time steps, D inputs, H hidden size, G gates, O outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.params import Dropout, Network, Recurrent

_HALVES = {"rnn": (1.0,), "gru": (0.5, 0.5, 1.0), "lstm": (0.5, 0.5, 1.0, 0.5)}  # gates r z n; i f g o
State = tuple[np.ndarray, ...]
"""h, and of an LSTM c, (K, 1, H) each."""


class Layer(NamedTuple):
    """The weights of a recurrent layer of all members, those of sigmoids halved."""

    cell: str
    Wx: np.ndarray  # (G, K, D, H), gates first: so each is contiguous
    Wh: np.ndarray  # (G, K, H, H)
    b: np.ndarray  # (G, K, 1, H)
    b_hn: Any  # (K, 1, H) of a GRU, else None


class Members(NamedTuple):
    """A stack of recurrent layers in one direction and a dense head, K times."""

    layers: tuple[Layer, ...]
    W: np.ndarray  # (K, H, O)
    b: np.ndarray  # (K, 1, O)


def steps_alone(network: Network) -> bool:
    """Whether a network can be walked through step by step: recurrent layers in one direction, and no others."""
    return all(
        isinstance(layer, Dropout) or (isinstance(layer, Recurrent) and not layer.bidirectional)
        for layer in network.layers
    )


def stack(network: Network, members: list[Any]) -> Members:
    """The members' weights (NetworkParams each), laid beside each other."""
    layers = []
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Recurrent):
            weights = [params.layers[index].weights for params in members]
            Wx, Wh, b = (_gates(layer.cell, [getattr(one, name) for one in weights]) for name in ("Wx", "Wh", "b"))
            b_hn = np.stack([one.b_hn[None] for one in weights]) if layer.cell == "gru" else None
            layers.append(Layer(layer.cell, Wx, Wh, b, b_hn))
    head = [params.head for params in members]
    return Members(tuple(layers), np.stack([one.W for one in head]), np.stack([one.b[None] for one in head]))


def _gates(cell: str, arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays (rows, G·H) or (G·H,) of each member -> (G, K, rows, H)."""
    halves = np.array(_HALVES[cell], arrays[0].dtype)
    found = np.stack([np.atleast_2d(array) for array in arrays])
    found = found.reshape(*found.shape[:2], len(halves), -1).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(found * halves[:, None, None, None])


def initial(members: Members) -> tuple[State, ...]:
    """The states before the first step: zeros."""
    return tuple(
        tuple(np.zeros_like(layer.Wh[0, :, :1]) for _ in range(1 + (layer.cell == "lstm"))) for layer in members.layers
    )


def walk(members: Members, inputs: np.ndarray, states: tuple[State, ...] | None = None, last: int = 1):
    """Inputs (T, D), and the states before them -> the outputs after the last steps (K, last, O), the states there."""
    ys: Any = inputs
    after = []
    for layer, state in zip(members.layers, initial(members) if states is None else states):
        zx = np.matmul(ys, layer.Wx)  # (G, K, T, H)
        zx += layer.b
        steps = np.ascontiguousarray(zx.transpose(2, 0, 1, 3))[:, :, :, None]  # (T, G, K, 1, H)
        found, state = _WALKS[layer.cell](layer, steps, *state)
        ys = found[:, :, 0].swapaxes(0, 1)  # (K, T, H)
        after.append(state)
    return np.matmul(ys[:, len(inputs) - last :], members.W) + members.b, tuple(after)


def _rnn(layer: Layer, zx, h):
    ys = np.empty_like(zx[:, 0])  # (T, K, 1, H)
    for (z,), y in zip(zx, ys):
        np.matmul(h, layer.Wh[0], out=y)
        y += z
        h = np.tanh(y, out=y)
    return ys, (h.copy(),)


def _gru(layer: Layer, zx, h):
    ys, a = np.empty_like(zx[:, 0]), np.empty_like(zx[0])
    gates, (r, z, n) = a[:2], a
    for zx_gates, zx_n, y in zip(zx[:, :2], zx[:, 2], ys):
        np.matmul(h, layer.Wh, out=a)
        np.add(gates, zx_gates, out=gates)
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        n += layer.b_hn
        n *= r
        n += zx_n
        np.tanh(n, out=n)
        n -= h
        n *= z
        h = np.add(h, n, out=y)  # (1 - z) h + z n
    return ys, (h.copy(),)


def _lstm(layer: Layer, zx, h, c):
    ys, a, c = np.empty_like(zx[:, 0]), np.empty_like(zx[0]), c.copy()
    i, f, g, o = a
    scale = np.array(_HALVES["lstm"], zx.dtype)[:, None, None, None]
    shift = 1 - scale
    for z, y in zip(zx, ys):
        np.matmul(h, layer.Wh, out=a)
        a += z
        np.tanh(a, out=a)
        a *= scale
        a += shift
        i *= g
        c *= f
        c += i
        np.tanh(c, out=i)
        h = np.multiply(o, i, out=y)
    return ys, (h.copy(), c)


_WALKS: dict[str, Any] = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}
