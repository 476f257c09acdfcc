"""As one would train: a window forward, the same window backward, then the next; products over a whole window."""

import numpy as np


def truncated(xs, dys, h0, window, Wx, Wh, b):
    h, parts = h0, []
    for start in range(0, len(xs), window):
        inputs, upstream, befores, afters = xs[start : start + window], dys[start : start + window], [], []
        for x in inputs:
            befores.append(h)
            h = np.tanh(x @ Wx + h @ Wh + b)
            afters.append(h)
        carried, dzs = 0.0, []
        for dy, after in zip(upstream[::-1], afters[::-1]):
            dzs.insert(0, (dy + carried) * (1 - after * after))
            carried = dzs[0] @ Wh.T
        dz, before = np.stack(dzs), np.stack(befores)
        parts.append((np.stack(afters), dz @ Wx.T, carried, inputs, before, dz))
    ys, dxs = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return {
        "dWx": sum(np.einsum("tbd,tbh->dh", x, dz) for *_, x, _, dz in parts),
        "dWh": sum(np.einsum("tbk,tbh->kh", before, dz) for *_, before, dz in parts),
        "db": sum(dz.sum((0, 1)) for *_, dz in parts),
        "ys": ys,
        "dxs": dxs,
        "dh0": parts[0][2],
    }
