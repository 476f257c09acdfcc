"""The backward step of an LSTM gate by gate, each with weights of its own, and a loop over the batch."""

import numpy as np

EXERCISE = "lstm_step_backward"


def step_backward(dy, dh_next, dc_next, cache):
    x, h_prev, c_prev, i, f, g, o, c, h, Wx, Wh = cache
    B, H = h.shape
    of_gate = {name: slice(k * H, (k + 1) * H) for k, name in enumerate("ifgo")}
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(4 * H)
    dx, dh_prev, dc_prev = np.zeros_like(x), np.zeros_like(h), np.zeros_like(c)
    for n in range(B):
        dh = dy[n] + dh_next[n]
        dc = dc_next[n] + dh * o[n] / np.cosh(c[n]) ** 2
        pre = {
            "i": dc * g[n] * i[n] * (1 - i[n]),
            "f": dc * c_prev[n] * f[n] * (1 - f[n]),
            "g": dc * i[n] * (1 - g[n] ** 2),
            "o": dh * np.tanh(c[n]) * o[n] * (1 - o[n]),
        }
        dc_prev[n] = dc * f[n]
        for name, dz in pre.items():
            block = of_gate[name]
            dWx[:, block] += np.outer(x[n], dz)
            dWh[:, block] += np.outer(h_prev[n], dz)
            db[block] += dz
            dx[n] += Wx[:, block] @ dz
            dh_prev[n] += Wh[:, block] @ dz
    return {"dx": dx, "dh_prev": dh_prev, "dc_prev": dc_prev, "dWx": dWx, "dWh": dWh, "db": db}
