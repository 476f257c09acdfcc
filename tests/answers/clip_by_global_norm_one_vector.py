"""All gradients as one long vector, and an if."""

import numpy as np


def clip(dWx_steps, dWh_steps, db_steps, max_norm):
    sums = {"dWx": 0, "dWh": 0, "db": 0}
    for dWx, dWh, db in zip(dWx_steps, dWh_steps, db_steps):
        sums = {"dWx": sums["dWx"] + dWx, "dWh": sums["dWh"] + dWh, "db": sums["db"] + db}
    long = np.concatenate([d.ravel() for d in sums.values()])
    norm = np.linalg.norm(long)
    if norm > max_norm:
        sums = {name: d * max_norm / norm for name, d in sums.items()}
    return {**sums, "norm": norm}
