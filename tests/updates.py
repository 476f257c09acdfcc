"""The first hundred updates of a training on real data, in both halves, from the same weights, with dropout on."""

from __future__ import annotations

import jax
import numpy as np
from parity import relative_error

from minirnn import data, random
from minirnn.data.windows import inputs_at, targets_at
from minirnn.fast import training as fast
from minirnn.models.training import batches_of
from minirnn.params import init_network, stack
from minirnn.readable import training as readable

UPDATES = 100


def weather_windows(dtype, window=14, horizon=7):
    """Real windows of the daily maximum temperature: inputs, changes from the last value, weights."""
    y = data.load("seattle_weather")["temp_max"].to_numpy()
    y = ((y - y.mean()) / y.std()).astype(dtype)
    origins = np.arange(window - 1, 700)
    inputs = inputs_at(y[:, None], origins, window)
    targets = targets_at(y, origins, horizon) - y[origins][:, None]
    weights = np.ones_like(targets)
    weights[::7, 2] = 0  # some targets do not count
    return inputs, targets, weights


def errors_after_updates(cell: str, dtype) -> dict[str, float]:
    """The worst relative error of any array of weights, of the losses, and of the forecasts of the same weights."""
    windows = weather_windows(dtype)
    # Dropout on, wherever the cell has something to drop: the same units fall in both halves.
    inside = 0.0 if cell in ("mingru", "minlstm") else 0.2
    network = stack(cell, 16, 2, 7, dropout=0.3, recurrent_dropout=inside)
    # Biases random, as in all tests: relative to a bias that began at zero, rounding looks like a difference.
    rng = np.random.default_rng(3)
    draw = lambda a: a if a.ndim > 1 else (rng.standard_normal(a.shape) / 2).astype(dtype)  # noqa: E731
    start = [jax.tree.map(draw, init_network(seed, network, 1, dtype)) for seed in range(2)]
    order, counts = batches_of(np.random.default_rng(0), len(windows[0]), 32, members=2)
    order = np.concatenate([order] * 5, axis=1)[:, :UPDATES]
    counts = np.concatenate([counts] * 5)[:UPDATES].astype(dtype)
    trained, losses, forecasts = [], [], []
    for half in (readable, fast):
        optimizer = half.make_optimizer(1e-3, 0.5)
        begun = half.start(optimizer, start)
        state, record = half.epoch(network, optimizer, begun, windows, order, counts, random.key(11))
        trained.append(half.members(state))
        losses.append(record.loss)
        forecasts.append(half.predict(network, half.start(optimizer, trained[0]), windows[0]))
    moved = [np.linalg.norm(a - b) for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(trained[0]))]
    assert min(moved) > 1e-3  # every array has been trained
    pairs = list(zip(*map(jax.tree.leaves, trained)))
    assert {a.dtype for pair in pairs for a in pair} == {np.dtype(dtype)}
    return {
        "weights": max(relative_error(theirs, ours) for ours, theirs in pairs),
        "losses": relative_error(losses[1], losses[0]),
        "forecasts": relative_error(forecasts[1], forecasts[0]),
    }
