"""The LSTM with peepholes backward, derived."""

import numpy as np


def step_backward(dy, dh_next, dc_next, cache):
    x, h_prev, c_prev, i, f, g, c, o, h, Wx, Wh, b, p_i, p_f, p_o = cache
    dh = dy + dh_next
    do = dh * np.tanh(c)
    dz_o = do * o * (1 - o)
    dc = dc_next + dh * o * (1 - np.tanh(c) ** 2) + dz_o * p_o
    di = dc * g
    df = dc * c_prev
    dg = dc * i
    dz_i = di * i * (1 - i)
    dz_f = df * f * (1 - f)
    dz_g = dg * (1 - g**2)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)
    dc_prev = dc * f + dz_i * p_i + dz_f * p_f
    dh_prev = dz @ Wh.T
    dx = dz @ Wx.T
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = dz.sum(axis=0)
    dp_i = (dz_i * c_prev).sum(axis=0)
    dp_f = (dz_f * c_prev).sum(axis=0)
    dp_o = (dz_o * c).sum(axis=0)
    return {
        "dh": dh, "do": do, "dz_o": dz_o, "dc": dc, "di": di, "df": df, "dg": dg, "dz_i": dz_i, "dz_f": dz_f,
        "dz_g": dz_g, "dz": dz, "dc_prev": dc_prev, "dh_prev": dh_prev, "dx": dx, "dWx": dWx, "dWh": dWh, "db": db,
        "dp_i": dp_i, "dp_f": dp_f, "dp_o": dp_o,
    }  # fmt: skip
