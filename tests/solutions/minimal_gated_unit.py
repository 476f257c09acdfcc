"""The minimal gated unit backward, derived."""

import numpy as np


def step_backward(dy, dh_next, cache):
    x, h_prev, f, u, n, h, Wx, Wh_f, Wh_n, b = cache
    dh = dy + dh_next
    dn = dh * f
    dz_n = dn * (1 - n**2)
    du = dz_n @ Wh_n.T
    df = dh * (n - h_prev) + du * h_prev
    dz_f = df * f * (1 - f)
    dz = np.concatenate([dz_f, dz_n], axis=-1)
    dh_prev = dh * (1 - f) + du * f + dz_f @ Wh_f.T
    dx = dz @ Wx.T
    dWx = x.T @ dz
    dWh_f = h_prev.T @ dz_f
    dWh_n = u.T @ dz_n
    db = dz.sum(axis=0)
    return {
        "dh": dh, "dn": dn, "dz_n": dz_n, "du": du, "df": df, "dz_f": dz_f, "dz": dz, "dh_prev": dh_prev, "dx": dx,
        "dWx": dWx, "dWh_f": dWh_f, "dWh_n": dWh_n, "db": db,
    }  # fmt: skip
