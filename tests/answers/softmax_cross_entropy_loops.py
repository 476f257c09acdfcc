"""Step by step, real steps only."""

import math

import numpy as np


def loss(logits, labels, mask):
    steps = list(zip(*np.nonzero(mask)))
    total, dlogits = 0.0, np.zeros(logits.shape)
    for t, b in steps:
        p = logits[t, b]
        top = max(p)
        log_sum = top + math.log(sum(math.exp(value - top) for value in p))
        total += log_sum - p[labels[t, b]]
        dlogits[t, b] = [math.exp(value - log_sum) for value in p]
        dlogits[t, b, labels[t, b]] -= 1
    if not steps:
        return {"loss": 0.0, "dlogits": dlogits}
    return {"loss": total / len(steps), "dlogits": dlogits / len(steps)}
