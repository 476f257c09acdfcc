"""Query by query, sequence by sequence, real keys only, with the Jacobian of the softmax written out."""

import numpy as np


def attention_backward(q, k, v, mask, dcontext, dweights):
    T, B, K = q.shape
    c, dq, dk, dv = np.zeros(dcontext.shape), np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)
    for b in range(B):
        real = mask[:, b]
        keys, values = k[real, b], v[real, b]
        for t in range(T):
            if not real.any():
                continue
            a = np.exp(keys @ q[t, b] / np.sqrt(K))
            a /= a.sum()
            c[t, b] = a @ values
            jacobian = np.diag(a) - np.outer(a, a)
            de = jacobian @ (values @ dcontext[t, b] + dweights[t, b, real])
            dq[t, b] = de @ keys / np.sqrt(K)
            dk[real, b] += np.outer(de, q[t, b]) / np.sqrt(K)
            dv[real, b] += np.outer(a, dcontext[t, b])
    return {"c": c, "dq": dq, "dk": dk, "dv": dv}
