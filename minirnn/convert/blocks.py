"""What the converters share: the order and sign of the gates' blocks, the biases, and checks in one line each.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.params import (
    GRU_GATES,
    LSTM_GATES,
    Array,
    Directions,
    GRUParams,
    GRUResetBeforeParams,
    LSTMParams,
    Params,
    RNNParams,
)

# Library -> its cells -> its blocks of H columns, in its order and by our names. "-z": its z is one minus ours.
BLOCKS = {
    "torch": {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "keras": {
        "rnn": ("h",),
        "lstm": ("i", "f", "g", "o"),
        "gru": ("-z", "r", "n"),
        "gru_reset_before": ("-z", "r", "n"),
    },
    "flax": {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "equinox": {"lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "haiku": {"rnn": ("h",), "lstm": ("i", "g", "f", "o"), "gru_reset_before": ("z", "r", "n")},
}

OURS = {"rnn": ("h",), "lstm": LSTM_GATES, "gru": GRU_GATES, "gru_reset_before": GRU_GATES}
TYPES = {"rnn": RNNParams, "lstm": LSTMParams, "gru": GRUParams, "gru_reset_before": GRUResetBeforeParams}

# ---------------------------------------------------------------- blocks, signs and biases


def theirs(library: str, layer: Params, where: str, bias: bool = True) -> tuple[str, Array, Array, Array, Array | None]:
    """The cell, and copies of Wx (D, GH), Wh (H, GH), b (GH,) in the library's order and sign, and b_hn (H,)."""
    if isinstance(layer, Directions):
        raise TypeError(f"{where} holds two directions; convert layer.forward and layer.backward each")
    cells = BLOCKS[library]
    cell = next((name for name in cells if type(layer) is TYPES[name]), None)
    if cell is None:
        has = ", ".join(TYPES[name].__name__ for name in cells)
        raise TypeError(f"{where}: {library} has no cell with {type(layer).__name__}; it has those of {has}")
    given = {name: array_of(where, name, array) for name, array in layer._asdict().items()}
    G, H, D = len(cells[cell]), matrix(where, given, "Wh")[0], matrix(where, given, "Wx")[0]
    sizes = {"Wx": (D, G * H), "Wh": (H, G * H), "b": (G * H,), "b_hn": (H,)}
    checked(where, given, {name: sizes[name] for name in given}, f"for {cell} with D = {D}, H = {H}")
    for name in ("b", "b_hn"):
        if not bias and name in given and given[name].any():
            raise ValueError(f"{where}: {name} is not zero; bias=False would lose it")
    Wx, Wh, b = (rearranged(given[name], OURS[cell], cells[cell]) for name in ("Wx", "Wh", "b"))
    return cell, Wx, Wh, b, copied(given["b_hn"]) if "b_hn" in given else None


def ours(library: str, cell: str, Wx: Array, Wh: Array, b: Array | None = None, b_hn: Array | None = None) -> Params:
    """Our weights from the library's, which come in its order and sign but in our orientation; no bias is zeros."""
    blocks, ours = BLOCKS[library][cell], OURS[cell]
    weights = [rearranged(Wx, blocks, ours), rearranged(Wh, blocks, ours)]
    weights.append(np.zeros(Wx.shape[1], Wx.dtype) if b is None else rearranged(b, blocks, ours))
    if cell == "gru":
        weights.append(np.zeros(Wh.shape[0], Wx.dtype) if b_hn is None else copied(b_hn))
    return TYPES[cell](*weights)


def rearranged(array: Array, order: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """A copy with its blocks of columns in another order, negated where only one of the two orders says "-"."""
    blocks = dict(zip(order, np.split(array, len(order), axis=-1)))
    blocks |= {opposite(name): -block for name, block in blocks.items()}
    return np.concatenate([blocks[name] for name in wanted], axis=-1)


def opposite(name: str) -> str:
    """The same block with the other sign: "z" and "-z"."""
    return name[1:] if name.startswith("-") else f"-{name}"


def second_bias(b: Array, b_hn: Array | None) -> np.ndarray:
    """The second of two biases: zero, but for the GRU's b_hn in the candidate's block, which is the last."""
    second = np.zeros_like(b)
    if b_hn is not None:
        second[-len(b_hn) :] = b_hn
    return second


def merged(
    cell: str, gradients: bool, first: Array, second: Array | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """One bias from two, or the gradient of one; and the GRU's b_hn, the second's last block, which is not merged."""
    if second is None:
        return first, None
    # Not first + second where second is zero: that would turn -0 into 0, and the round trip is exact.
    merged = copied(first) if gradients else np.where(second == 0, first, first + second)
    if cell != "gru":
        return merged, None
    candidate = slice(2 * len(first) // 3, None)
    merged[candidate] = first[candidate]
    return merged, second[candidate]


def copied(array: Array) -> np.ndarray:
    """A copy in C order, which shares no memory with what was given."""
    return np.array(array, order="C")


# ---------------------------------------------------------------- checks; each error is one line


def number_of_gates(library: str, cell: str) -> int:
    """G, if the library has the cell."""
    cells = BLOCKS[library]
    if cell not in cells:
        kind = "after" if "gru" in cells else "before"
        hint = f" (its GRU resets {kind} the product)" if str(cell).startswith("gru") else ""
        raise ValueError(f"from_{library}: {library} has no cell {cell!r}; it has {', '.join(cells)}{hint}")
    return len(cells[cell])


def flattened(function: str, arrays: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested dictionaries as one, with names joined by "/"."""
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{function}: arrays is a {type(arrays).__name__}; expected a dictionary of arrays by name")
    flat: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        name = f"{prefix}{name}"
        flat |= flattened(function, value, f"{name}/") if isinstance(value, Mapping) else {name: np.asarray(value)}
    return flat


def check_names(function: str, given: Iterable[str], expected: list[str], optional: list[str] | None = None) -> None:
    """Raises a ValueError that lists missing and unknown names, what was expected and what was found."""
    found, optional = list(given), optional or []
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected + optional]
    if missing or unknown:
        wrong = [f"{what} {some_names(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        also = [name for name in optional if name not in expected]
        may = f", perhaps {some_names(also)}" if also else ""
        raise ValueError(
            f"{function}: {'; '.join(wrong)}; expected {some_names(expected)}{may}; found {some_names(found)}"
        )


def some_names(names: list[str]) -> str:
    """The first names of a list, and how many there are."""
    return (", ".join(names[:8]) or "nothing") + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def matrix(where: str, given: Mapping[str, np.ndarray], name: str) -> tuple[int, int]:
    """The shape of an array that the sizes are read from."""
    if given[name].ndim != 2:
        raise ValueError(f"{where}: {name} has shape {given[name].shape}; expected two axes")
    rows, columns = given[name].shape
    return rows, columns


def checked(where: str, given: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], why: str) -> list:
    """The arrays in the order of ``shapes``, which they must have."""
    for name, shape in shapes.items():
        array_of(where, name, given[name])
        if given[name].shape != shape:
            raise ValueError(f"{where}: {name} has shape {given[name].shape}; expected {shape} {why}")
    return [given[name] for name in shapes]


def array_of(where: str, name: str, value: Any) -> np.ndarray:
    """An array of floating point, or a TypeError."""
    array = np.asarray(value)
    if array.dtype.kind in "biuOSU":
        raise TypeError(f"{where}: {name} holds {array.dtype}; expected floating point")
    return array
