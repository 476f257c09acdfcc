"""The LSTM with coupled gates backward, derived."""

import numpy as np


def step_backward(dy, dh_next, dc_next, cache):
    x, h_prev, c_prev, f, g, o, c, h, Wx, Wh, b = cache
    dh = dy + dh_next
    do = dh * np.tanh(c)
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)
    df = dc * (c_prev - g)
    dg = dc * (1 - f)
    dz_f = df * f * (1 - f)
    dz_g = dg * (1 - g**2)
    dz_o = do * o * (1 - o)
    dz = np.concatenate([dz_f, dz_g, dz_o], axis=-1)
    dc_prev = dc * f
    dh_prev = dz @ Wh.T
    dx = dz @ Wx.T
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = dz.sum(axis=0)
    return {
        "dh": dh, "do": do, "dc": dc, "df": df, "dg": dg, "dz_f": dz_f, "dz_g": dz_g, "dz_o": dz_o, "dz": dz,
        "dc_prev": dc_prev, "dh_prev": dh_prev, "dx": dx, "dWx": dWx, "dWh": dWh, "db": db,
    }  # fmt: skip
