"""The forecasting networks of both halves: the same losses, the same first updates, the same fit."""

import jax
import numpy as np
import parity
import pytest
from forecasters import long_form, quick, with_network

from minirnn import random
from minirnn.fast import forecasting as fast
from minirnn.models.training import batches_of
from minirnn.params import (
    Decoder,
    Direct,
    Dropout,
    Forecast,
    Network,
    Recurrent,
    Segments,
    init_horizon,
    numbers_for,
)
from minirnn.readable import forecasting as readable
from minirnn.readable.optimizers import tree_leaves

HALVES = (readable, fast)
UPDATES, WINDOWS, T, D, N, C, F = 100, 70, 9, 3, 5, 2, 4


def description(way: str, likelihood: str) -> Forecast:
    """A network of this kind, with dropout."""
    outputs = C * numbers_for(likelihood)
    layers = (Recurrent("lstm", 6, recurrent_dropout=0.2), Dropout(0.3), Recurrent("lstm", 6, recurrent_dropout=0.2))
    horizon = {
        "direct": lambda: Direct(Network(layers, N * outputs), N, outputs),
        "decoder": lambda: Decoder(layers, N, outputs),
        "segments": lambda: Segments("gru", 6, 2, N, outputs, 0.2),
    }[way]()
    return Forecast(horizon, C, likelihood)


def windows(dtype):
    """Inputs, targets that follow from them, weights, features ahead."""
    rng = np.random.default_rng(5)
    inputs, ahead = rng.standard_normal((WINDOWS, T, D)), rng.standard_normal((WINDOWS, N, F))
    targets = inputs[:, -N:, :C] ** 2 - ahead[..., :C] + 0.3 * rng.standard_normal((WINDOWS, N, C))
    weights = rng.uniform(size=targets.shape) > 0.2
    return tuple(each.astype(dtype) for each in (inputs, targets, weights, ahead))


@pytest.mark.parametrize(
    ("way", "likelihood", "dtype", "bound"),
    [
        ("direct", "quantiles", np.float32, 1e-5),
        ("direct", "quantiles", np.float64, 1e-10),
        ("decoder", "student", np.float32, 1e-5),
        ("segments", "gaussian", np.float32, 1e-5),
    ],
)
def test_the_first_100_updates_are_the_same(way, likelihood, dtype, bound, request):
    if dtype == np.float64:
        request.getfixturevalue("x64")
    network, data = description(way, likelihood), windows(dtype)
    features = 0 if way == "direct" else F
    data = (*data[:3], data[3][..., :features])
    rng = np.random.default_rng(3)
    draw = lambda a: a if a.ndim > 1 else (rng.standard_normal(a.shape) / 2).astype(dtype)  # noqa: E731
    begun = [jax.tree.map(draw, init_horizon(seed, network.horizon, D, features, dtype)) for seed in range(2)]
    order, counts = batches_of(np.random.default_rng(0), WINDOWS, 16, members=2)
    repeats = UPDATES // order.shape[1]
    order, counts = np.concatenate([order] * repeats, axis=1), np.concatenate([counts] * repeats).astype(dtype)
    trained, losses, forecasts, judged = [], [], [], []
    for half in HALVES:
        optimizer = half.make_optimizer(1e-3, 0.5)
        state, record = half.epoch(
            network, optimizer, half.start(optimizer, begun), data, order, counts, random.key(11)
        )
        trained.append(half.members(state))
        losses.append(record.loss)
        same = half.start(optimizer, trained[0])
        forecasts.append(half.predict(network, same, data[0], data[3]))
        judged.append(half.evaluate(network, same, data))
    assert min(np.linalg.norm(a - b) for a, b in zip(tree_leaves(begun), tree_leaves(trained[0]))) > 1e-4
    assert {a.dtype for a in tree_leaves(trained)} == {np.dtype(dtype)}
    for ours, theirs in zip(*map(tree_leaves, trained)):
        assert parity.relative_error(theirs, ours) < bound
    for pair in (losses, forecasts, judged):
        assert parity.relative_error(pair[1], pair[0]) < bound


# A gradient of the pinball loss counts the targets on either side. Of an even number, with a quantile that starts amid
# them, the counts may cancel: what is left is rounding, and the first update of Adam, g / |g|, makes a step of it.
ODD = 31


@pytest.mark.parametrize("likelihood", ["quantiles", "gaussian"])
def test_a_whole_fit_is_the_same(likelihood):
    """The first epochs of a fit, both halves from the same seed: losses, weights, forecasts."""
    frame = long_form((52, 44, 40))
    options = {"max_epochs": 3, "dropout": 0.2, "likelihood": likelihood, "batch_size": ODD}
    shops = {"target": "y", "past": ["temperature"], "future": ["plan"], "static": ["kind"], "series": "shop"}
    models = [quick(backend=half, **options).fit(frame, **shops) for half in ("readable", "fast")]
    assert models[0].choices_ == models[1].choices_
    assert models[0].history_.best == models[1].history_.best
    for name in ("loss", "validation"):
        np.testing.assert_allclose(*(getattr(model.history_, name) for model in models), rtol=1e-5)
    # Each member as one array: relative to a bias that began at zero, rounding looks like a difference.
    for members in zip(*(model.fitted_.members for model in models)):
        ours, theirs = (np.concatenate([a.ravel() for a in tree_leaves(member)]) for member in members)
        assert parity.relative_error(theirs, ours) < 1e-5
    means = [with_network(model).predict()["mean"] for model in models]
    np.testing.assert_allclose(means[1], means[0], rtol=1e-5)
