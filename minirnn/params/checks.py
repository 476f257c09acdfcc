"""Checks of what callers pass: one line that names what, its shape, and what was expected."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.params.cells import Array, Directions, Params, State


def check_step(
    params: Params, x: Array, state: State, state_type: type | None, gates: int, recurrent: bool = True
) -> None:
    """Raises a ValueError or TypeError that names D, B and H when x (B, D) or the state (B, H) does not fit."""
    D, H = _check_params(params, gates, recurrent)
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, D) with D = {D}, the rows of Wx")
    _check_float(x.dtype, "x")
    check_state(state, state_type, x.shape[0], H, "state")


def check_sequence(
    params: Params, xs: Array, state: State | None, state_type: type | None, gates: int, recurrent: bool = True
) -> None:
    """Raises a ValueError or TypeError that names T, B, D when xs (T, B, D) or the state (B, H) does not fit."""
    D, H = _check_params(params, gates, recurrent)
    if xs.ndim != 3 or xs.shape[2] != D:
        raise ValueError(
            f"xs has shape {tuple(xs.shape)}; expected time-major (T, B, D) with D = {D}, the rows of Wx"
            " (from batch-major data: xs.swapaxes(0, 1))"
        )
    _check_float(xs.dtype, "xs")
    if state is not None:
        check_state(state, state_type, xs.shape[1], H, "state")


def _check_params(params: Params, gates: int, recurrent: bool) -> tuple[int, int]:
    """D and H, if the weights are those of a cell with so many gates, with Wh where the cell is ``recurrent``."""
    if hasattr(params, "Wh") != recurrent:
        wanted = "Wx, Wh and b" if recurrent else "Wx and b, and no Wh"
        raise TypeError(
            f"params is a {type(params).__name__}{params._fields}; expected the weights {wanted}".replace("'", "")
        )
    return _dimensions(type(params), tuple([(array.shape, array.dtype) for array in params]), gates, recurrent)  # type: ignore[arg-type]


@functools.lru_cache(maxsize=1024)  # a stream asks the same at every step, and has little time
def _dimensions(params_type: Any, arrays: tuple, gates: int, recurrent: bool) -> tuple[int, int]:
    shapes = {}
    for name, (shape, dtype) in zip(params_type._fields, arrays):
        _check_float(dtype, name)
        shapes[name] = tuple(shape)
    D, H = shapes["Wx"][0], shapes["Wh"][0] if recurrent else shapes["b"][0] // gates
    expected = dict.fromkeys(shapes, (H,)) | {"Wx": (D, gates * H), "b": (gates * H,)}
    if recurrent:
        expected["Wh"] = (H, gates * H)
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise ValueError(
                f"{name} has shape {shapes[name]}; expected {shape} for D = {D}, H = {H} and {gates} gates"
            )
    return D, H


def check_type(params: Params, wanted: type | None) -> None:
    """Raises a TypeError unless the weights are those of the cell, or the cell takes any."""
    if wanted is None or isinstance(params, wanted):
        return
    fields = ", ".join(wanted._fields)  # type: ignore[attr-defined]
    raise TypeError(f"params is a {type(params).__name__}; expected {wanted.__name__}({fields}), from init")


def _check_float(dtype: Any, *name: str) -> None:
    # Integers would be turned into float64 (NumPy) or float32 (JAX) on the way: neither was asked for.
    if dtype.kind in "biu":
        whole = ".".join(name)
        raise TypeError(f"{whole} holds {dtype}; expected floating point (convert with {whole}.astype('float32'))")


def check_state(state: State, state_type: type | None, B: int, H: int, name: str) -> None:
    """Raises a TypeError or ValueError unless the state is of the cell's type and every part of it is (B, H)."""
    if not hasattr(state, "shape") if state_type is None else not isinstance(state, state_type):
        wanted = "the array h (B, H)" if state_type is None else f"{state_type.__name__}{state_type._fields}"  # type: ignore[attr-defined]
        raise TypeError(f"{name} is a {type(state).__name__}; expected {wanted.replace(chr(39), '')}")
    for index, array in enumerate(state if state_type is not None else (state,)):
        if array.shape != (B, H) or array.dtype.kind in "biu":
            part = state._fields[index] if state_type is not None else "h"
            if tuple(array.shape) != (B, H):
                raise ValueError(f"{name}.{part} has shape {tuple(array.shape)}; expected (B, H) = ({B}, {H})")
            _check_float(array.dtype, name, part)


def check_lengths(lengths: Array, T: int, B: int, values: bool = True) -> None:
    """Raises a ValueError or TypeError unless lengths are integers (B,), each from 0 to T.

    ``values=False`` looks at shape and dtype only: inside a compiled function there are no values to look at.
    """
    if tuple(lengths.shape) != (B,):
        raise ValueError(f"lengths has shape {tuple(lengths.shape)}; expected (B,) = ({B},)")
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"lengths holds {lengths.dtype}; expected integers")
    if values and B and (lengths.min() < 0 or lengths.max() > T):
        raise ValueError(f"lengths must lie between 0 and T = {T}, got {lengths.min()} to {lengths.max()}")


def check_batches(rows: list[int], batches: Array, counts: Array, members: int) -> None:
    """Raises a ValueError unless the batches (K, S, B) of an epoch name rows that every array of the data has."""
    batches = np.asarray(batches)
    if batches.ndim != 3 or len(batches) != members:
        raise ValueError(f"batches has shape {batches.shape}; expected (K, S, B) with K = {members}, the members")
    if np.shape(counts) != batches.shape[1:]:
        raise ValueError(f"counts has shape {np.shape(counts)}; expected (S, B) = {batches.shape[1:]}, as batches")
    if len(set(rows)) > 1:
        raise ValueError(f"the arrays of the data have {', '.join(map(str, rows))} rows; expected n in each")
    # Compiled code cannot raise: it would read another row.
    if rows and batches.size and not (batches.min() >= 0 and batches.max() < rows[0]):
        raise ValueError(
            f"batches must lie between 0 and n - 1 = {rows[0] - 1}, the rows of the data, "
            f"got {batches.min()} to {batches.max()}"
        )


def check_kinds(loss: Any, kinds: Array | None, batches: int) -> tuple[Callable, ...]:
    """The losses of an epoch, a tuple; a ValueError unless ``kinds`` (S,) names one of them for each of its batches."""
    losses = loss if isinstance(loss, tuple) else (loss,)
    if kinds is None:
        if len(losses) != 1:
            raise ValueError(f"there are {len(losses)} losses and no kinds; expected which of them each batch is for")
        return losses
    kinds = np.asarray(kinds)
    if kinds.shape != (batches,) or kinds.dtype.kind not in "iu":
        raise ValueError(f"kinds is {kinds.dtype} {kinds.shape}; expected integers (S,) = ({batches},), as batches")
    if batches and not (kinds.min() >= 0 and kinds.max() < len(losses)):
        raise ValueError(f"kinds must lie between 0 and {len(losses) - 1}, got {kinds.min()} to {kinds.max()}")
    return losses


def check_run(rows: list[int], batch_size: int) -> int:
    """The number of rows that every array of the data has; a ValueError unless it is one, and batches can be made."""
    if len(set(rows)) != 1:
        raise ValueError(f"the arrays of the data have {', '.join(map(str, rows)) or 'no'} rows; expected n in each")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    return rows[0]


def check_inputs(network: Any, xs: Array) -> None:
    """Raises a ValueError or TypeError unless xs is what the first layer of a network reads."""
    if not hasattr(network, "layers") or not hasattr(network, "read"):
        raise TypeError(f"network is a {type(network).__name__}; expected a Network, then its params, then xs")
    if network.layers and hasattr(network.layers[0], "vocabulary_size"):
        if xs.ndim != 2:
            raise ValueError(f"xs has shape {tuple(xs.shape)}; expected symbols (T, B), since an Embedding reads them")
        if xs.dtype.kind not in "iu":
            raise TypeError(f"xs holds {xs.dtype}; expected integers, since an Embedding reads them")
        return
    if xs.ndim != 3:
        symbols = "; symbols need an Embedding as the first layer" if xs.ndim == 2 and xs.dtype.kind in "iu" else ""
        raise ValueError(f"xs has shape {tuple(xs.shape)}; expected time-major (T, B, D){symbols}")
    _check_float(xs.dtype, "xs")


def check_truncated(network: Any, window: int, T: int, targets: Any) -> None:
    """Raises a ValueError unless a network can be walked through in windows of so many steps."""
    if window < 1:
        raise ValueError(f"window is {window}; expected at least 1 step")
    if T < 1:
        raise ValueError("xs has no steps; truncated backpropagation needs at least 1")
    if not isinstance(targets, tuple | list):
        raise TypeError(f"targets is a {type(targets).__name__}; expected a tuple of arrays (T, ...), e.g. (targets,)")
    for index, target in enumerate(targets):
        if len(target) != T:
            raise ValueError(f"targets[{index}] has {len(target)} steps; expected T = {T}, as many as xs")
    if network.read != "steps":
        raise ValueError(f"the head reads {network.read!r}; truncated backpropagation needs read='steps'")
    for layer in _flattened(network.layers):
        if getattr(layer, "bidirectional", False) or hasattr(layer, "kernel_size"):
            raise ValueError(f"{layer} looks beyond a window; truncated backpropagation needs layers that do not")


def _flattened(layers: Any) -> Any:
    for layer in layers:
        yield layer
        yield from _flattened(getattr(layer, "layers", ()))


def check_states(states: Any, layers: tuple[Any, ...], name: str = "state") -> None:
    """Raises a ValueError or TypeError unless there is one state for each layer of a network, or none at all.

    A bidirectional layer has a ``Directions`` of two, a layer without a state the empty tuple.
    """
    if states is None:
        return
    if not isinstance(states, tuple | list) or len(states) != len(layers):
        held = f"holds {len(states)} states" if isinstance(states, tuple | list) else f"is a {type(states).__name__}"
        raise ValueError(f"{name} {held}; expected one for each of {len(layers)} layers")
    for index, (state, layer) in enumerate(zip(states, layers)):
        here = f"{name}[{index}]"
        if hasattr(layer, "layers"):
            check_states(state, layer.layers, here)
        elif not hasattr(layer, "bidirectional"):
            if not (isinstance(state, tuple) and len(state) == 0):
                raise ValueError(
                    f"{here} is a {type(state).__name__}, but {type(layer).__name__} has no state: give ()"
                )
        elif isinstance(state, Directions) != layer.bidirectional and state is not None:
            wanted = "Directions(forward, backward)" if layer.bidirectional else "the state of one direction"
            raise TypeError(f"{here} is a {type(state).__name__}; expected {wanted}")


def check_weights(params: Any, layers: tuple[Any, ...]) -> None:
    """Raises a ValueError unless there are weights for each layer of a network, of the kind that it has."""
    if len(params) != len(layers):
        raise ValueError(f"params holds weights of {len(params)} layers; the description has {len(layers)}")
    for index, (weights, layer) in enumerate(zip(params, layers)):
        kind = type(layer).__name__
        wanted = None if kind == "Residual" else f"{kind}Params"
        found = type(weights).__name__
        if kind == "Dropout":
            right, wanted = found == "tuple" and len(weights) == 0, "none"
        elif kind == "Residual":
            right, wanted = found == "tuple", "a tuple"
        else:
            right = found == wanted
        if right and kind == "Recurrent":
            directions = isinstance(weights.weights, Directions)
            right = directions == layer.bidirectional
            one = weights.weights.forward if directions else weights.weights
            if right and hasattr(one, "Wh") and one.Wh.shape[0] != layer.hidden_size:
                raise ValueError(
                    f"params.layers[{index}] has {one.Wh.shape[0]} hidden units, its description {layer.hidden_size}"
                )
            wanted = f"{wanted} of {'two directions' if layer.bidirectional else 'one direction'}"
        if not right:
            raise ValueError(
                f"params.layers[{index}] is a {found}; layer {index} is {kind}, whose weights are {wanted}:"
                " were these made for another description?"
            )


def check_vocabulary(symbols: Array, V: int) -> None:
    """Raises a ValueError unless every symbol is one of the vocabulary."""
    if symbols.size and (symbols.min() < 0 or symbols.max() >= V):
        raise ValueError(f"symbols must lie between 0 and V - 1 = {V - 1}, got {symbols.min()} to {symbols.max()}")


def check_features(layer: str, xs: Array, size: int) -> None:
    """Raises a ValueError unless xs (..., D) has the D features that a layer reads."""
    if xs.shape[-1] != size:
        raise ValueError(f"xs has shape {tuple(xs.shape)}; expected (T, B, D) with D = {size}, which {layer} reads")


def check_scale(scale: Array, B: int, H: int) -> None:
    """Raises a ValueError unless a recurrent scale is (B, H)."""
    if tuple(scale.shape) != (B, H):
        raise ValueError(f"recurrent_scale has shape {tuple(scale.shape)}; expected (B, H) = ({B}, {H})")
