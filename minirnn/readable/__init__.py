"""The mathematics in NumPy, forward and backward by hand.

Start with :mod:`minirnn.readable.lstm`, which holds the gate arithmetic of one step in both directions; then
:mod:`minirnn.readable.engine`, which walks through time in both directions. Nothing here imports JAX.
"""

from minirnn.readable import attention, gru, losses, lstm, network, optimizers, rnn, seq2seq

__all__ = ["attention", "gru", "losses", "lstm", "network", "optimizers", "rnn", "seq2seq"]
