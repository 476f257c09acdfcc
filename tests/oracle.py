"""Each cell transcribed naively from its equations: per gate, per sequence of the batch, per step, per unit.

Nothing is fused, batched or shared with the library. Both halves must match it.
"""

import math

import numpy as np


def sigmoid(a):
    return 1.0 / (1.0 + math.exp(-a))


ACTIVATIONS = {"tanh": math.tanh, "relu": lambda a: max(a, 0.0), "sigmoid": sigmoid}


def affine(x, W, j, b=0.0):
    """One unit's pre-activation: the sum over inputs of x[k] W[k, j], plus its bias."""
    return sum(x[k] * W[k, j] for k in range(len(x))) + b


def rnn_step(p, x, state, activation="tanh"):
    (h,) = state
    H = len(h)
    new = [ACTIVATIONS[activation](affine(x, p.Wx, j, p.b[j]) + affine(h, p.Wh, j)) for j in range(H)]
    return new, (new,), {"h": new}


def lstm_step(p, x, state):
    h, c = state
    H = len(h)
    i, f, g, o = ([affine(x, p.Wx, k * H + j, p.b[k * H + j]) + affine(h, p.Wh, k * H + j) for j in range(H)]
                  for k in range(4))  # fmt: skip
    i, f, g, o = map(sigmoid, i), map(sigmoid, f), map(math.tanh, g), map(sigmoid, o)
    i, f, g, o = list(i), list(f), list(g), list(o)
    new_c = [f[j] * c[j] + i[j] * g[j] for j in range(H)]
    tanh_c = [math.tanh(v) for v in new_c]
    new_h = [o[j] * tanh_c[j] for j in range(H)]
    return new_h, (new_h, new_c), {"i": i, "f": f, "g": g, "o": o, "c": new_c, "tanh_c": tanh_c}


def gru_step(p, x, state):
    (h,) = state
    H = len(h)
    r = [sigmoid(affine(x, p.Wx, j, p.b[j]) + affine(h, p.Wh, j)) for j in range(H)]
    z = [sigmoid(affine(x, p.Wx, H + j, p.b[H + j]) + affine(h, p.Wh, H + j)) for j in range(H)]
    n = [
        math.tanh(affine(x, p.Wx, 2 * H + j, p.b[2 * H + j]) + r[j] * affine(h, p.Wh, 2 * H + j, p.b_hn[j]))
        for j in range(H)
    ]
    new = [(1 - z[j]) * h[j] + z[j] * n[j] for j in range(H)]
    return new, (new,), {"r": r, "z": z, "n": n}


def lstm_single_state_step(p, x, state):
    (h,) = state
    H = len(h)
    z = [affine(x, p.Wx, k, p.b[k]) + affine(h, p.Wh, k) for k in range(4 * H)]
    i, f, g, o = ([phi(z[k * H + j]) for j in range(H)] for k, phi in enumerate([sigmoid, sigmoid, math.tanh, sigmoid]))
    new = [f[j] * h[j] + i[j] * g[j] for j in range(H)]
    tanh_h = [math.tanh(v) for v in new]
    y = [o[j] * tanh_h[j] for j in range(H)]
    return y, (new,), {"i": i, "f": f, "g": g, "o": o, "h": new, "tanh_h": tanh_h}


def gru_reset_before_step(p, x, state):
    (h,) = state
    H = len(h)
    r = [sigmoid(affine(x, p.Wx, j, p.b[j]) + affine(h, p.Wh, j)) for j in range(H)]
    z = [sigmoid(affine(x, p.Wx, H + j, p.b[H + j]) + affine(h, p.Wh, H + j)) for j in range(H)]
    reset = [r[j] * h[j] for j in range(H)]
    n = [math.tanh(affine(x, p.Wx, 2 * H + j, p.b[2 * H + j]) + affine(reset, p.Wh, 2 * H + j)) for j in range(H)]
    new = [(1 - z[j]) * h[j] + z[j] * n[j] for j in range(H)]
    return new, (new,), {"r": r, "z": z, "n": n}


def gru_two_state_step(p, x, state):
    h, c = state
    H = len(h)
    a = [affine(x, p.Wx, k, p.b[k]) + affine(h, p.Wh, k) for k in range(3 * H)]
    r, z, n = ([phi(a[k * H + j]) for j in range(H)] for k, phi in enumerate([sigmoid, sigmoid, math.tanh]))
    new_c = [z[j] * c[j] + (1 - z[j]) * n[j] for j in range(H)]
    new_h = [r[j] * h[j] + (1 - r[j]) * new_c[j] for j in range(H)]
    return new_h, (new_h, new_c), {"r": r, "z": z, "n": n, "c": new_c}


def mingru_step(p, x, state):
    (h,) = state
    H = len(h)
    z = [sigmoid(affine(x, p.Wx, j, p.b[j])) for j in range(H)]
    n = [affine(x, p.Wx, H + j, p.b[H + j]) for j in range(H)]
    new = [(1 - z[j]) * h[j] + z[j] * n[j] for j in range(H)]
    return new, (new,), {"z": z, "n": n}


def minlstm_step(p, x, state):
    (h,) = state
    H = len(h)
    f = [sigmoid(affine(x, p.Wx, j, p.b[j])) for j in range(H)]
    i = [sigmoid(affine(x, p.Wx, H + j, p.b[H + j])) for j in range(H)]
    n = [affine(x, p.Wx, 2 * H + j, p.b[2 * H + j]) for j in range(H)]
    new = [f[j] / (f[j] + i[j]) * h[j] + i[j] / (f[j] + i[j]) * n[j] for j in range(H)]
    return new, (new,), {"f": f, "i": i, "n": n}


STEPS = {
    "rnn": rnn_step,
    "lstm": lstm_step,
    "gru": gru_step,
    "lstm_single_state": lstm_single_state_step,
    "gru_reset_before": gru_reset_before_step,
    "gru_two_state": gru_two_state_step,
    "mingru": mingru_step,
    "minlstm": minlstm_step,
}


def forward(cell, params, xs, state, lengths, **options):
    """ys (T, B, H), the final state's arrays (B, H), and every named intermediate (T, B, H), in float64.

    ``cell`` is a name of ``STEPS``, or a step like those.
    """
    step = STEPS[cell] if isinstance(cell, str) else cell
    T, B, _ = xs.shape
    parts = state if isinstance(state, tuple) else (state,)
    final = [np.array(part, np.float64) for part in parts]
    H = parts[0].shape[1]
    ys = np.zeros((T, B, H))
    seen: dict[str, np.ndarray] = {}
    for b in range(B):
        current = tuple(list(part[b]) for part in final)
        for t in range(lengths[b]):
            y, current, named = step(params, xs[t, b], current, **options)
            ys[t, b] = y
            for name, value in named.items():
                seen.setdefault(name, np.zeros((T, B, H)))[t, b] = value
        for part, value in zip(final, current):
            part[b] = value
    return ys, final, seen
