"""Forecasting networks: both halves have the same loss, gradients, epochs and outputs."""

import jax
import numpy as np
import pytest

from minirnn.fast import forecasting as fast
from minirnn.models.training import batches_of
from minirnn.params import (
    QUANTILES,
    Decoder,
    Direct,
    Forecast,
    Network,
    Recurrent,
    Segments,
    init_horizon,
    numbers_for,
)
from minirnn.readable import forecasting as readable
from minirnn.readable.optimizers import tree_leaves

N, C, T, D, F = 3, 2, 6, 4, 2


def description(way: str, likelihood: str) -> Forecast:
    outputs = C * numbers_for(likelihood)
    layers = (Recurrent("gru", 5),)
    ways = {
        "direct": Direct(Network(layers, N * outputs), N, outputs),
        "decoder": Decoder(layers, N, outputs),
        "segments": Segments("lstm", 5, 2, N, outputs),
    }
    return Forecast(ways[way], C, likelihood)


def windows(rng, way, n=10):
    ahead = 0 if way == "direct" else F
    weights = (rng.uniform(size=(n, N, C)) > 0.2).astype(np.float32)
    arrays = rng.standard_normal((n, T, D)), rng.standard_normal((n, N, C)), weights, rng.standard_normal((n, N, ahead))
    return tuple(array.astype(np.float32) for array in arrays)


@pytest.mark.parametrize("likelihood", ["quantiles", "gaussian", "student", "none"])
def test_the_losses_and_their_gradients_agree(likelihood, rng):
    about = description("direct", likelihood)
    raw = rng.standard_normal((7, N, C, about.numbers)).astype(np.float32)
    targets = rng.standard_normal((7, N, C)).astype(np.float32)
    weights = (rng.uniform(size=(7, N, C)) > 0.3).astype(np.float32)
    value, draw = readable.loss(about, raw, targets, weights)
    same, gradient = jax.value_and_grad(lambda r: fast.loss(about, r, targets, weights))(raw)
    np.testing.assert_allclose(same, value, rtol=1e-5)
    np.testing.assert_allclose(gradient, draw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("way", "likelihood"), [("direct", "quantiles"), ("decoder", "gaussian"), ("segments", "student")]
)
def test_epochs_and_outputs_agree(way, likelihood, rng):
    about, data = description(way, likelihood), windows(rng, way)
    members = [init_horizon(k, about.horizon, D, data[3].shape[2]) for k in range(2)]
    order, counts = batches_of(rng, 10, 4, members=2)
    ends = {}
    for name, half in {"fast": fast, "readable": readable}.items():
        optimizer = half.make_optimizer(1e-2, 1.0, 1e-3)
        state = half.start(optimizer, members)
        before = half.evaluate(about, state, data)
        for _ in range(5):
            state, record = half.epoch(about, optimizer, state, data, order, counts)
        assert (half.evaluate(about, state, data) < before).all()
        ends[name] = half.members(state), half.predict(about, state, data[0], data[3]), record.loss
    for a, b in zip(tree_leaves(ends["fast"][0]), tree_leaves(ends["readable"][0])):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert ends["fast"][1].shape == (2, 10, N, C, about.numbers)
    np.testing.assert_allclose(ends["fast"][1], ends["readable"][1], atol=5e-5)
    np.testing.assert_allclose(ends["fast"][2], ends["readable"][2], rtol=1e-4)


def test_targets_without_weight_may_hold_anything(rng):
    about, data = description("direct", "quantiles"), windows(rng, "direct")
    spoiled = (data[0], np.where(data[2] > 0, data[1], np.nan).astype(np.float32), *data[2:])
    members = [init_horizon(0, about.horizon, D, 0)]
    order, counts = batches_of(rng, 10, 4, members=1)
    for half in (fast, readable):
        optimizer = half.make_optimizer(1e-2, 1.0)
        runs = [
            half.epoch(about, optimizer, half.start(optimizer, members), d, order, counts)[0] for d in (data, spoiled)
        ]
        for a, b in zip(*(tree_leaves(half.members(run)) for run in runs)):
            np.testing.assert_array_equal(a, b)


def test_a_wrong_number_of_outputs_is_named():
    with pytest.raises(ValueError, match="has 3 outputs; expected 16 for 2 targets with the likelihood 'quantiles'"):
        Forecast(Decoder((Recurrent("gru", 5),), N, 3), C, "quantiles", QUANTILES)
