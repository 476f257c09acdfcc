"""The backward step of an LSTM in single precision, its intermediates named."""

import numpy as np

EXERCISE = "lstm_step_backward"


def step_backward(dy, dh_next, dc_next, cache):
    dy, dh_next, dc_next = (np.float32(a) for a in (dy, dh_next, dc_next))
    x, h_prev, c_prev, i, f, g, o, c, h, Wx, Wh = (a.astype(np.float32) for a in cache)
    dh = dy + dh_next
    do = dh * np.tanh(c)
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)
    dz = np.concatenate(
        [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dc * i * (1 - g**2), do * o * (1 - o)], axis=1
    )
    return {
        "dh": dh, "do": do, "dc": dc, "dz": dz, "dc_prev": dc * f, "dh_prev": dz @ Wh.T, "dx": dz @ Wx.T,
        "dWx": x.T @ dz, "dWh": h_prev.T @ dz, "db": dz.sum(axis=0),
    }  # fmt: skip
