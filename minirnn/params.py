"""Named weights, states and initialisers: what the NumPy half and the JAX half have in common.

Dimension letters: T time steps, B batch, D input size, H hidden size, G number of gates.
Row vectors, weights on the right: ``z = x @ Wx + h @ Wh + b``. A NamedTuple of this file holds NumPy arrays,
JAX arrays, or the gradients with respect to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# Arrays are NumPy's in the readable half and JAX's in the fast half; both answer to the same operators.
Array = Any
State = Any  # LSTMState, or the array h (B, H)
Params = Any  # RNNParams, LSTMParams, GRUParams

# The order in which the gates' blocks of H columns are stored. PyTorch stores the same orders.
LSTM_GATES = ("i", "f", "g", "o")
GRU_GATES = ("r", "z", "n")


class RNNParams(NamedTuple):
    """Weights of a vanilla RNN: ``h_t = phi(x_t Wx + h_{t-1} Wh + b)``."""

    Wx: Array  # (D, H)
    Wh: Array  # (H, H)
    b: Array  # (H,)


class LSTMParams(NamedTuple):
    """Weights of an LSTM; the columns hold the gates i, f, g, o. The forget bias is stored in ``b``."""

    Wx: Array  # (D, 4H)
    Wh: Array  # (H, 4H)
    b: Array  # (4H,)


class GRUParams(NamedTuple):
    """Weights of a GRU that resets after the product; the columns hold r, z, n.

    ``b_hn`` is the candidate's second bias. It cannot be merged into ``b``, because r multiplies it.
    """

    Wx: Array  # (D, 3H)
    Wh: Array  # (H, 3H)
    b: Array  # (3H,)
    b_hn: Array  # (H,)


class LSTMState(NamedTuple):
    """State of an LSTM. The state of an RNN or a GRU is the array h (B, H) itself."""

    h: Array  # (B, H)
    c: Array  # (B, H)


class RNNGates(NamedTuple):
    """Named intermediates of an RNN, each (T, B, H) over a sequence."""

    h: Array


class LSTMGates(NamedTuple):
    """Named intermediates of an LSTM, each (T, B, H) over a sequence; also holds their gradients."""

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array


class GRUGates(NamedTuple):
    """Named intermediates of a GRU, each (T, B, H) over a sequence; also holds their gradients."""

    r: Array
    z: Array
    n: Array


class DenseParams(NamedTuple):
    """Weights of an affine map ``y = h @ W + b``."""

    W: Array  # (H, O)
    b: Array  # (O,)


class NetworkParams(NamedTuple):
    """Weights of a stack of recurrent layers and of the dense head on its last valid step."""

    layers: tuple[Params, ...]
    head: DenseParams


@dataclass(frozen=True)
class Network:
    """Description of a network: a stack of recurrent layers and a dense head on the last valid step.

    Args:
      cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
      hidden_size: H, units per layer.
      num_layers: L, recurrent layers; layer l reads the outputs of layer l-1.
      output_size: O, numbers that the head gives for each sequence.
    """

    cell: str = "lstm"
    hidden_size: int = 32
    num_layers: int = 1
    output_size: int = 1


def gate_block(name: str, order: tuple[str, ...], hidden_size: int) -> slice:
    """Columns of one gate in a fused array, e.g. ``b[gate_block("f", LSTM_GATES, H)]`` for the forget bias.

    >>> gate_block("f", LSTM_GATES, 8)
    slice(8, 16, None)
    """
    start = order.index(name) * hidden_size
    return slice(start, start + hidden_size)


def extra(params: Params) -> dict[str, Array]:
    """The elementwise parameters of a cell: every field that is not part of a product (a GRU's ``b_hn``)."""
    return {name: getattr(params, name) for name in params._fields if name not in ("Wx", "Wh", "b")}


def hidden(state: State) -> Array:
    """The part h (B, H) of a state that enters the recurrent product."""
    return state.h if hasattr(state, "h") else state


def with_hidden(state: State, h: Array) -> State:
    """The same state with h replaced."""
    return state._replace(h=h) if hasattr(state, "h") else h


def map_state(function: Callable[..., Array], *states: State) -> State:
    """Applies ``function`` to the arrays of one or several states of the same type."""
    first = states[0]
    return type(first)(*map(function, *states)) if isinstance(first, tuple) else function(*states)


# ---------------------------------------------------------------- initialisers


def glorot_uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Uniform on ±sqrt(6 / (rows + columns)), float64 (rows, columns) (Glorot and Bengio 2010)."""
    limit = np.sqrt(6.0 / (rows + columns))
    return rng.uniform(-limit, limit, (rows, columns))


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix, float64 (size, size) (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # Without this sign the result would not be uniform over the orthogonal matrices (Mezzadri 2007).
    return q * np.sign(np.diag(r))


def _blocks(make: Callable[[], np.ndarray], gates: int, dtype) -> np.ndarray:
    """One independent block for each gate, side by side."""
    return np.concatenate([make() for _ in range(gates)], axis=1).astype(dtype)


def _init_weights(rng, input_size: int, hidden_size: int, gates: int, dtype):
    """Glorot uniform Wx, an orthogonal block of Wh for each gate, zero b."""
    if input_size < 1 or hidden_size < 1:
        raise ValueError(f"input_size and hidden_size must be at least 1, got {input_size} and {hidden_size}")
    rng = np.random.default_rng(rng)
    Wx = _blocks(lambda: glorot_uniform(rng, input_size, hidden_size), gates, dtype)  # (D, GH)
    Wh = _blocks(lambda: orthogonal(rng, hidden_size), gates, dtype)  # (H, GH)
    return Wx, Wh, np.zeros(gates * hidden_size, dtype)  # (GH,)


def init_rnn(rng, input_size: int, hidden_size: int, dtype=np.float32) -> RNNParams:
    """Fresh RNN weights: Glorot uniform Wx, orthogonal Wh, zero b.

    Args:
      rng: a seed or a ``np.random.Generator``.
      input_size: D.
      hidden_size: H.
      dtype: of every array.

    Returns:
      RNNParams of NumPy arrays, in both halves.
    """
    return RNNParams(*_init_weights(rng, input_size, hidden_size, 1, dtype))


def init_lstm(rng, input_size: int, hidden_size: int, dtype=np.float32) -> LSTMParams:
    """Fresh LSTM weights: as :func:`init_rnn` for each gate, and a stored forget bias of 1.

    The bias of 1 lets the cell remember at the start of training (Gers et al. 2000; Jozefowicz et al. 2015).
    Keras does the same; PyTorch draws all weights from ±1/sqrt(H).

    >>> init_lstm(0, input_size=3, hidden_size=2).b
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    Wx, Wh, b = _init_weights(rng, input_size, hidden_size, len(LSTM_GATES), dtype)
    b[gate_block("f", LSTM_GATES, hidden_size)] = 1.0
    return LSTMParams(Wx, Wh, b)


def init_gru(rng, input_size: int, hidden_size: int, dtype=np.float32) -> GRUParams:
    """Fresh GRU weights: as :func:`init_rnn` for each gate, zero biases."""
    Wx, Wh, b = _init_weights(rng, input_size, hidden_size, len(GRU_GATES), dtype)
    return GRUParams(Wx, Wh, b, np.zeros(hidden_size, dtype))


def init_dense(rng, input_size: int, output_size: int, dtype=np.float32) -> DenseParams:
    """Fresh weights of an affine map: Glorot uniform W, zero b."""
    rng = np.random.default_rng(rng)
    return DenseParams(glorot_uniform(rng, input_size, output_size).astype(dtype), np.zeros(output_size, dtype))


INITIALISERS = {"rnn": init_rnn, "lstm": init_lstm, "gru": init_gru}


def init_network(rng, network: Network, input_size: int, dtype=np.float32) -> NetworkParams:
    """Fresh weights of every layer and of the head, drawn in that order from one generator.

    Raises:
      ValueError: the description names an unknown cell, or a size below 1.
    """
    if network.cell not in INITIALISERS:
        raise ValueError(f"unknown cell {network.cell!r}; expected one of {', '.join(INITIALISERS)}")
    if network.num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {network.num_layers}")
    rng = np.random.default_rng(rng)
    sizes = [input_size] + [network.hidden_size] * (network.num_layers - 1)
    layers = tuple(INITIALISERS[network.cell](rng, size, network.hidden_size, dtype) for size in sizes)
    return NetworkParams(layers, init_dense(rng, network.hidden_size, network.output_size, dtype))


# ---------------------------------------------------------------- checks of what callers pass


def check_step(params: Params, x: Array, state: State, state_type: type | None, gates: int) -> None:
    """Raises a ValueError or TypeError that names D, B and H when x (B, D) or the state (B, H) does not fit."""
    D, H = _check_params(params, gates)
    if x.ndim != 2 or x.shape[1] != D:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected (B, D) with D = {D}, the rows of Wx")
    _check_float(x, "x")
    check_state(state, state_type, x.shape[0], H, "state")


def check_sequence(params: Params, xs: Array, state: State | None, state_type: type | None, gates: int) -> None:
    """Raises a ValueError or TypeError that names T, B, D when xs (T, B, D) or the state (B, H) does not fit."""
    D, H = _check_params(params, gates)
    if xs.ndim != 3 or xs.shape[2] != D:
        raise ValueError(
            f"xs has shape {tuple(xs.shape)}; expected time-major (T, B, D) with D = {D}, the rows of Wx"
            " (from batch-major data: xs.swapaxes(0, 1))"
        )
    _check_float(xs, "xs")
    if state is not None:
        check_state(state, state_type, xs.shape[1], H, "state")


def _check_params(params: Params, gates: int) -> tuple[int, int]:
    """D and H, if the weights are those of a cell with so many gates."""
    for name, array in zip(params._fields, params):
        _check_float(array, name)
    D, H = params.Wx.shape[0], params.Wh.shape[0]
    shapes = {"Wx": (D, gates * H), "Wh": (H, gates * H), "b": (gates * H,)}
    for name, shape in shapes.items():
        found = tuple(getattr(params, name).shape)
        if found != shape:
            raise ValueError(f"{name} has shape {found}; expected {shape} for D = {D}, H = {H} and {gates} gates")
    return D, H


def _check_float(x: Array, name: str) -> None:
    # Integers would be turned into float64 (NumPy) or float32 (JAX) on the way: neither was asked for.
    if x.dtype.kind in "biu":
        raise TypeError(f"{name} holds {x.dtype}; expected floating point (convert with {name}.astype('float32'))")


def check_state(state: State, state_type: type | None, B: int, H: int, name: str) -> None:
    """Raises a TypeError or ValueError unless the state is of the cell's type and every part of it is (B, H)."""
    wanted = "the array h (B, H)" if state_type is None else f"{state_type.__name__}{state_type._fields}"  # type: ignore[attr-defined]
    if (isinstance(state, tuple) or state is None) if state_type is None else not isinstance(state, state_type):
        raise TypeError(f"{name} is a {type(state).__name__}; expected {wanted.replace(chr(39), '')}")
    parts = zip(state._fields, state) if state_type is not None else [("h", state)]
    for part, array in parts:
        if tuple(array.shape) != (B, H):
            raise ValueError(f"{name}.{part} has shape {tuple(array.shape)}; expected (B, H) = ({B}, {H})")
        _check_float(array, f"{name}.{part}")


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


def check_states(states: Any, layers: tuple[Params, ...]) -> None:
    """Raises a ValueError unless there is one state for each layer of a network, or none at all."""
    if states is not None and len(states) != len(layers):
        raise ValueError(f"state holds {len(states)} states; expected one for each of {len(layers)} layers")
