"""The same modules as :mod:`minirnn.readable`, in JAX: compiled for CPU, GPU and TPU.

Start with :mod:`minirnn.fast.lstm`, which holds the gate arithmetic of one step; then :mod:`minirnn.fast.engine`, which
owns the lengths, the checks and the plain scan, and :mod:`minirnn.fast.scan`, which owns the gradient.
"""

from minirnn.fast import (
    attention,
    gru,
    gru_reset_before,
    gru_two_state,
    horizons,
    losses,
    lstm,
    lstm_single_state,
    mingru,
    minlstm,
    network,
    rnn,
    seq2seq,
    truncated,
)

__all__ = [
    "attention",
    "gru",
    "gru_reset_before",
    "gru_two_state",
    "horizons",
    "losses",
    "lstm",
    "lstm_single_state",
    "mingru",
    "minlstm",
    "network",
    "rnn",
    "seq2seq",
    "truncated",
]
