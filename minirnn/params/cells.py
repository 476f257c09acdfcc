"""Named weights, states and gates of every cell, and the few functions that look at them.

Dimension letters: T time steps, B batch, D input size, H hidden size, G number of gates.
Row vectors, weights on the right: ``z = x @ Wx + h @ Wh + b``. A NamedTuple of this file holds NumPy arrays,
JAX arrays, or the gradients with respect to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

# Arrays are NumPy's in the readable half and JAX's in the fast half; both answer to the same operators.
Array = Any
State = Any  # LSTMState, GRUTwoState, or the array h (B, H)
Params = Any  # RNNParams, LSTMParams, GRUParams, ...

# The order in which the gates' blocks of H columns are stored. PyTorch stores the same orders.
LSTM_GATES = ("i", "f", "g", "o")
GRU_GATES = ("r", "z", "n")
# The orders of the cells that PyTorch does not have.
GRU_TWO_STATE_GATES = ("r", "z", "c")
MINGRU_GATES = ("z", "n")
MINLSTM_GATES = ("f", "i", "n")

# ---------------------------------------------------------------- weights


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


class GRUResetBeforeParams(NamedTuple):
    """Weights of a GRU that resets before the product; the columns hold r, z, n."""

    Wx: Array  # (D, 3H)
    Wh: Array  # (H, 3H)
    b: Array  # (3H,)


class GRUTwoStateParams(NamedTuple):
    """Weights of the GRU with two states; the columns hold r, z and the candidate of c."""

    Wx: Array  # (D, 3H)
    Wh: Array  # (H, 3H)
    b: Array  # (3H,)


class MinGRUParams(NamedTuple):
    """Weights of a minGRU; the columns hold z and the candidate n. No gate reads h, so there is no Wh."""

    Wx: Array  # (D, 2H)
    b: Array  # (2H,)


class MinLSTMParams(NamedTuple):
    """Weights of a minLSTM; the columns hold f, i and the candidate n. No gate reads h, so there is no Wh."""

    Wx: Array  # (D, 3H)
    b: Array  # (3H,)


# ---------------------------------------------------------------- states and directions


class LSTMState(NamedTuple):
    """State of an LSTM. The state of most other cells is the array h (B, H) itself."""

    h: Array  # (B, H)
    c: Array  # (B, H)


class GRUTwoState(NamedTuple):
    """State of the GRU with two states."""

    h: Array  # (B, H)
    c: Array  # (B, H)


# Name of a cell -> the type of its state, for cells whose state is more than the array h.
STATES: dict[str, Any] = {"lstm": LSTMState, "gru_two_state": GRUTwoState}


class Directions(NamedTuple):
    """One thing for each direction of a bidirectional layer: its weights, or its states."""

    forward: Any
    backward: Any


# ---------------------------------------------------------------- named intermediates


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


class LSTMSingleStateGates(NamedTuple):
    """Named intermediates of the LSTM with a single state, each (T, B, H); also holds their gradients."""

    i: Array
    f: Array
    g: Array
    o: Array
    h: Array
    tanh_h: Array


class GRUGates(NamedTuple):
    """Named intermediates of a GRU, each (T, B, H) over a sequence; also holds their gradients."""

    r: Array
    z: Array
    n: Array


class GRUTwoStateGates(NamedTuple):
    """Named intermediates of the GRU with two states, each (T, B, H); also holds their gradients."""

    r: Array
    z: Array
    n: Array
    c: Array


class MinGRUGates(NamedTuple):
    """Named intermediates of a minGRU, each (T, B, H); also holds their gradients."""

    z: Array
    n: Array


class MinLSTMGates(NamedTuple):
    """Named intermediates of a minLSTM, each (T, B, H), f and i before they are divided by their sum."""

    f: Array
    i: Array
    n: Array


# ---------------------------------------------------------------- looking at them


def gate_block(name: str, order: tuple[str, ...], hidden_size: int) -> slice:
    """Columns of one gate in a fused array, e.g. ``b[gate_block("f", LSTM_GATES, H)]`` for the forget bias.

    >>> gate_block("f", LSTM_GATES, 8)
    slice(8, 16, None)
    """
    start = order.index(name) * hidden_size
    return slice(start, start + hidden_size)


def extra(params: Params) -> dict[str, Array]:
    """The elementwise parameters of a cell: every field that is not part of a product (a GRU's ``b_hn``)."""
    return {name: getattr(params, name) for name in _extra_names(type(params))}  # type: ignore[arg-type]


@functools.cache
def _extra_names(params_type: Any) -> tuple[str, ...]:
    return tuple(name for name in params_type._fields if name not in ("Wx", "Wh", "b"))


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
