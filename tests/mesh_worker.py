"""Thirty updates on one, two and three processors: prints the distances to the weights of one device.

Run by test_mesh.py in a process of its own, because the number of devices is fixed before JAX is first used.
"""

from __future__ import annotations

import json
import sys

import jax
import numpy as np

from minirnn import random
from minirnn.fast import training
from minirnn.models.training import batches_of
from minirnn.params import Dropout, Network, Recurrent, init_network


def problem(dtype, n=19, T=5, D=2, outputs=2):
    """Windows of unequal lengths with NaN in their padding, two members, and a last batch of three of four."""
    rng = np.random.default_rng(4)
    inputs = rng.standard_normal((n, T, D)).astype(dtype)
    lengths = rng.integers(0, T + 1, n).astype(np.int32)
    inputs[np.arange(T) >= lengths[:, None]] = np.nan
    weights = rng.uniform(0, 2, (n, outputs)).astype(dtype)
    weights[3] = 0
    network = Network((Recurrent("gru", 3, recurrent_dropout=0.3), Dropout(0.5)), outputs)
    members = [init_network(seed, network, D, dtype) for seed in range(2)]
    targets = rng.standard_normal((n, outputs)).astype(dtype)
    return network, members, (inputs, targets, weights, lengths)


def trained(dtype, devices, budget_bytes=None):
    """The weights after 6 epochs of 5 batches, the last record, and forecasts."""
    network, members, data = problem(dtype)
    mesh = None if devices is None else jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("data",))
    optimizer = training.make_optimizer(1e-2, 1.0)
    state = training.start(optimizer, members)
    rng = np.random.default_rng(0)
    key = random.key(1)
    for epoch in range(6):
        order, counts = batches_of(rng, len(data[0]), 4, len(members))
        key_of_epoch = random.fold_in(key, epoch)
        state, record = training.epoch(
            network, optimizer, state, data, order, counts, key_of_epoch, mesh=mesh, budget_bytes=budget_bytes
        )
    forecasts = training.predict(network, state, data[0], data[3], mesh=mesh)
    return training.members(state), record, np.asarray(forecasts)


def on_rows(dtype, devices):
    """The weights after an epoch on windows that the loss cuts from shared rows, and a run in batches of five rows."""
    network, members, (inputs, _, _, _) = problem(dtype)
    mesh = None if devices is None else jax.sharding.Mesh(np.array(jax.devices()[:devices]), ("data",))
    series = training.place(np.nan_to_num(inputs).reshape(-1, 2), mesh)

    def outputs(params, batch, key=None):
        windows = batch.shared[batch.data[:, None] + np.arange(-4, 1)]  # (B, 5, 2)
        return training.network.forward(network, params, windows.swapaxes(0, 1), dropout_key=key)[0]

    def loss(params, batch, key, carried, times=1):
        found = outputs(params, batch, key)
        squares = (found - batch.shared[batch.data] - carried[:, None]) ** 2
        return (times * squares.mean(axis=1) * batch.count).sum(), batch.count.astype(dtype).sum(), found[:, 0]

    def doubled(*arguments):
        return loss(*arguments, times=2)

    optimizer = training.make_optimizer(1e-2, 1.0, 0.1, 9)
    origins = np.arange(4, 94)
    order, counts = batches_of(np.random.default_rng(0), len(origins), 15, len(members))
    state = training.start(optimizer, members)._replace(carried=np.zeros(order.shape[::2], dtype))
    kinds = np.arange(len(counts)) % 2
    state, _ = training.run_epoch(
        (loss, doubled), optimizer, state, origins, order, counts, random.key(1), series, kinds, mesh=mesh
    )
    # The state that was carried is that of the last batch, row for row.
    return (
        training.members(state),
        np.asarray(state.carried),
        training.run(outputs, state, origins[:17], series, batch_size=5, mesh=mesh),
    )


def distance(a, b) -> float:
    """The largest absolute difference between two trees."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(np.asarray(x, np.float64) - y).max()) for x, y in pairs)


def compilations():
    """A function that says how often JAX has compiled since it was last asked."""
    times: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: times.append(seconds) if name.endswith("backend_compile_duration") else None
    )

    def since():
        number = len(times)
        times.clear()
        return number

    return since


def main() -> None:
    """Prints one JSON object."""
    jax.config.update("jax_num_cpu_devices", 3)
    dtype = np.dtype(sys.argv[1])
    jax.config.update("jax_enable_x64", dtype == np.float64)
    compiled = compilations()
    alone = trained(dtype, None)
    start = problem(dtype)[1]
    results = {
        "moved": min(float(np.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (start, alone[0])))),
        "compiled": compiled(),
        "finite": all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(alone)),
    }
    runs = {"3": (3, None)}
    if dtype == np.float32:
        runs = {"1": (1, None), "2": (2, None), "2, streamed": (2, 500)} | runs
    for name, (devices, budget) in runs.items():
        shared = trained(dtype, devices, budget)
        results[name] = {
            "weights": distance(alone[0], shared[0]),
            "record": distance(alone[1][:3], shared[1][:3]),
            "forecasts": distance(alone[2], shared[2]),
            "compiled": compiled(),
        }
    results["on rows"] = distance(on_rows(dtype, None), on_rows(dtype, 3))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
