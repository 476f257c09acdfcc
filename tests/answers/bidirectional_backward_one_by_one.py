"""Sequences are turned round one by one; other names, another order, more returned than asked for."""

import numpy as np


def turned(array, lengths):
    out = array.copy()
    for b, length in enumerate(lengths):
        out[:length, b] = array[:length, b][::-1]
    return out


def bidirectional(xs, lengths, dys, dh_first, dh_second, first, second):
    there, h_there, kept_there = first.forward(xs, lengths)
    back, h_back, kept_back = second.forward(turned(xs, lengths), lengths)
    H = there.shape[-1]
    one = first.backward(dys[:, :, :H], dh_first, kept_there)
    other = second.backward(turned(dys[:, :, H:], lengths), dh_second, kept_back)
    found = {f"{name}_second": d for name, d in other.items()} | {f"{name}_first": d for name, d in one.items()}
    found["dxs"] = one["dxs"].copy() + turned(other["dxs"], lengths)
    found |= {"h_first": h_there, "h_second": h_back, "ys": np.dstack([there, turned(back, lengths)])}
    return found
