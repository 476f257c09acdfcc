"""The backward step of an LSTM with x and h joined, and one matrix of weights for all."""

import numpy as np

EXERCISE = "lstm_step_backward"


def step_backward(dy, dh_next, dc_next, cache):
    W = np.vstack([cache.Wx, cache.Wh])
    joined = np.hstack([cache.x, cache.h_prev])
    gates = np.stack([cache.i, cache.f, cache.g, cache.o])
    squashed = np.tanh(cache.c)
    slopes = gates * (1 - gates)
    slopes[2] = 1 - gates[2] ** 2
    above = dy + dh_next
    memory = dc_next + above * cache.o * (1 - squashed**2)
    activated = np.stack([memory * cache.g, memory * cache.c_prev, memory * cache.i, above * squashed])
    before = np.concatenate(list(activated * slopes), axis=1)
    both = before @ W.T
    dW = joined.T @ before
    D = cache.x.shape[1]
    return {
        "dx": both[:, :D],
        "dh_prev": both[:, D:],
        "dc_prev": memory * cache.f,
        "dWx": dW[:D],
        "dWh": dW[D:],
        "db": before.sum(axis=0),
    }
