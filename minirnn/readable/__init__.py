"""The mathematics in NumPy, forward and backward by hand.

Start with :mod:`minirnn.readable.lstm`, which holds the gate arithmetic of one step in both directions; then
:mod:`minirnn.readable.engine`, which walks through time in both directions. Nothing here imports JAX.
"""

from minirnn.readable import checks, gru, losses, lstm, mingru, minlstm, network, optimizers, rnn

__all__ = ["checks", "gru", "losses", "lstm", "mingru", "minlstm", "network", "optimizers", "rnn"]
