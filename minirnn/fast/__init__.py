"""The same modules as :mod:`minirnn.readable`, in JAX: compiled for CPU, GPU and TPU.

Start with :mod:`minirnn.fast.lstm`, which holds the gate arithmetic of one step; then :mod:`minirnn.fast.engine`, which
owns the products, the scan over time, the lengths and the gradient.
"""

from minirnn.fast import gru, losses, lstm, mingru, minlstm, network, rnn

__all__ = ["gru", "losses", "lstm", "mingru", "minlstm", "network", "rnn"]
