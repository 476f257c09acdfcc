"""The mathematics in NumPy, forward and backward by hand.

Start with :mod:`minirnn.readable.lstm`, which holds the gate arithmetic of one step in both directions; then
:mod:`minirnn.readable.engine`, which walks through time in both directions. Nothing here imports JAX.
"""

from minirnn.readable import (
    attention,
    checks,
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
    optimizers,
    rnn,
    seq2seq,
    truncated,
)

__all__ = [
    "attention",
    "checks",
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
    "optimizers",
    "rnn",
    "seq2seq",
    "truncated",
]
