"""The leaky unit backward, derived."""

import numpy as np


def step_backward(dy, dh_next, cache):
    x, h_prev, a, n, h, Wx, Wh, b, v = cache
    dh = dy + dh_next
    dn = dh * a
    da = (dh * (n - h_prev)).sum(axis=0)
    dv = da * a * (1 - a)
    dz = dn * (1 - n**2)
    dh_prev = dh * (1 - a) + dz @ Wh.T
    dx = dz @ Wx.T
    dWx = x.T @ dz
    dWh = h_prev.T @ dz
    db = np.sum(dz, axis=0)
    return {
        "dh": dh, "dn": dn, "da": da, "dv": dv, "dz": dz, "dh_prev": dh_prev, "dx": dx, "dWx": dWx,
        "dWh": dWh, "db": db,
    }  # fmt: skip
