"""Fresh weights, as NumPy arrays in both halves.

Three schemes for the weights of a cell:

  "orthogonal"   Wx Glorot uniform, an orthogonal block of Wh for each gate, zero biases (the default; Keras's too)
  "glorot"       Wx and Wh Glorot uniform for each gate, zero biases
  "uniform"      every number, biases too, uniform on ±1/sqrt(H) (PyTorch's)

Dimension letters: D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.params.cells import (
    GRU_GATES,
    GRU_TWO_STATE_GATES,
    LSTM_GATES,
    MINGRU_GATES,
    MINLSTM_GATES,
    GRUParams,
    GRUResetBeforeParams,
    GRUTwoStateParams,
    LSTMParams,
    MinGRUParams,
    MinLSTMParams,
    RNNParams,
    gate_block,
)

SCHEMES = ("orthogonal", "glorot", "uniform")


def generator(rng: Any) -> np.random.Generator:
    """A generator from a seed or from a generator; weights are drawn in NumPy, for both halves."""
    if isinstance(rng, np.random.Generator):
        return rng
    if not isinstance(rng, int | np.integer) or isinstance(rng, bool):
        raise TypeError(f"rng is a {type(rng).__name__}; expected an integer seed or a np.random.Generator")
    return np.random.default_rng(rng)


def glorot_uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Uniform on ±sqrt(6 / (rows + columns)), float64 (rows, columns) (Glorot and Bengio 2010)."""
    return uniform(rng, (rows, columns), np.sqrt(6.0 / (rows + columns)))


def orthogonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random orthogonal matrix, float64 (size, size) (Saxe et al. 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    # Without this sign the result would not be uniform over the orthogonal matrices (Mezzadri 2007).
    return q * np.sign(np.diag(r))


def uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float) -> np.ndarray:
    """Uniform on ±limit, float64."""
    return rng.uniform(-limit, limit, shape)


def _blocks(make: Callable[[], np.ndarray], gates: int) -> np.ndarray:
    """One independent block for each gate, side by side."""
    return np.concatenate([make() for _ in range(gates)], axis=1)


def _draw(rng, input_size: int, hidden_size: int, gates: int, dtype, scheme: str, recurrent: bool = True):
    """Wx (D, GH), Wh (H, GH) unless the cell has none, b (GH,)."""
    D, H = input_size, hidden_size
    if D < 1 or H < 1:
        raise ValueError(f"input_size and hidden_size must be at least 1, got {D} and {H}")
    if scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; expected one of {', '.join(SCHEMES)}")
    rng, limit = generator(rng), 1 / np.sqrt(H)
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"dtype is {np.dtype(dtype)}; expected floating point, such as np.float32")
    if scheme == "uniform":
        rows = (D, H) if recurrent else (D,)
        matrices = [uniform(rng, (size, gates * H), limit) for size in rows]
        b = uniform(rng, (gates * H,), limit)
    else:
        square = orthogonal if scheme == "orthogonal" else lambda rng, size: glorot_uniform(rng, size, size)
        matrices = [_blocks(lambda: glorot_uniform(rng, D, H), gates)]
        matrices += [_blocks(lambda: square(rng, H), gates)] if recurrent else []
        b = np.zeros(gates * H)
    return [array.astype(dtype) for array in (*matrices, b)]


def init_rnn(rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal") -> RNNParams:
    """Fresh RNN weights.

    Args:
      rng: a seed or a ``np.random.Generator``.
      input_size: D.
      hidden_size: H.
      dtype: of every array.
      scheme: ``"orthogonal"``, ``"glorot"`` or ``"uniform"``; see the head of this file.

    Returns:
      RNNParams of NumPy arrays, in both halves.
    """
    return RNNParams(*_draw(rng, input_size, hidden_size, 1, dtype, scheme))


def init_lstm(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal", forget_bias=1.0
) -> LSTMParams:
    """Fresh LSTM weights: as :func:`init_rnn` for each gate, and ``forget_bias`` added to the stored forget bias.

    The bias of 1 lets the cell remember at the start of training (Gers et al. 2000; Jozefowicz et al. 2015).
    Keras does the same; PyTorch's are ``scheme="uniform", forget_bias=0``.

    >>> init_lstm(0, input_size=3, hidden_size=2).b
    array([0., 0., 1., 1., 0., 0., 0., 0.], dtype=float32)
    """
    params = LSTMParams(*_draw(rng, input_size, hidden_size, len(LSTM_GATES), dtype, scheme))
    params.b[gate_block("f", LSTM_GATES, hidden_size)] += forget_bias
    return params


def init_gru(rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal") -> GRUParams:
    """Fresh GRU weights: as :func:`init_rnn` for each gate; ``b_hn`` like the other biases."""
    rng = generator(rng)
    Wx, Wh, b = _draw(rng, input_size, hidden_size, len(GRU_GATES), dtype, scheme)
    limit = 1 / np.sqrt(hidden_size) if scheme == "uniform" else 0.0
    return GRUParams(Wx, Wh, b, uniform(rng, (hidden_size,), limit).astype(dtype))


def init_gru_reset_before(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal"
) -> GRUResetBeforeParams:
    """Fresh weights of the GRU that resets before the product: as :func:`init_rnn` for each gate."""
    return GRUResetBeforeParams(*_draw(rng, input_size, hidden_size, len(GRU_GATES), dtype, scheme))


def init_gru_two_state(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal"
) -> GRUTwoStateParams:
    """Fresh weights of the GRU with two states: as :func:`init_rnn` for each gate."""
    return GRUTwoStateParams(*_draw(rng, input_size, hidden_size, len(GRU_TWO_STATE_GATES), dtype, scheme))


def init_mingru(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal"
) -> MinGRUParams:
    """Fresh minGRU weights: as :func:`init_rnn` for each gate, without Wh."""
    return MinGRUParams(*_draw(rng, input_size, hidden_size, len(MINGRU_GATES), dtype, scheme, recurrent=False))


def init_minlstm(
    rng, input_size: int, hidden_size: int, dtype: Any = np.float32, *, scheme="orthogonal", forget_bias=1.0
) -> MinLSTMParams:
    """Fresh minLSTM weights: as :func:`init_rnn` for each gate, without Wh, with a stored forget bias."""
    params = MinLSTMParams(*_draw(rng, input_size, hidden_size, len(MINLSTM_GATES), dtype, scheme, recurrent=False))
    params.b[gate_block("f", MINLSTM_GATES, hidden_size)] += forget_bias
    return params


# Name of a cell -> its initialiser. The names are those of the modules in both halves.
INITIALISERS: dict[str, Callable[..., Any]] = {
    "rnn": init_rnn,
    "lstm": init_lstm,
    "gru": init_gru,
    "lstm_single_state": init_lstm,
    "gru_reset_before": init_gru_reset_before,
    "gru_two_state": init_gru_two_state,
    "mingru": init_mingru,
    "minlstm": init_minlstm,
}
