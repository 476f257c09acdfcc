"""The NumPy optimisers against optax, step by step."""

import jax
import numpy as np
import optax
import parity
import pytest

from minirnn import readable
from minirnn.fast import training as fast_training
from minirnn.params import stack
from minirnn.readable import optimizers, training

PAIRS = {
    "sgd": (optimizers.sgd(0.1), optax.sgd(0.1)),
    "momentum": (optimizers.sgd(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.9)),
    "adam": (optimizers.adam(0.01), optax.adam(0.01)),
    "adam, other constants": (
        optimizers.adam(0.01, b1=0.8, b2=0.99, eps=1e-3),
        optax.adam(0.01, b1=0.8, b2=0.99, eps=1e-3),
    ),
    "adamw": (optimizers.adamw(0.01, weight_decay=0.1), optax.adamw(0.01, weight_decay=0.1)),
    "adam, rate falls to zero": (
        optimizers.adam(optimizers.cosine_decay(0.01, 15)),
        optax.adam(optax.cosine_decay_schedule(0.01, 15)),
    ),
    "as in training": (training.make_optimizer(0.01, 1.0, 0.1, 15), fast_training.make_optimizer(0.01, 1.0, 0.1, 15)),
    "warming up": (training.make_optimizer(0.01, 1.0, 0.0, 15, 4), fast_training.make_optimizer(0.01, 1.0, 0.0, 15, 4)),
    "clipped adam": (
        optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adam(0.01)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_each_step_equals_optax(name, rng, x64):
    ours, theirs = PAIRS[name]
    network = stack("gru", hidden_size=4, num_layers=2, output_size=3)
    params = readable.network.init(0, network, input_size=2, dtype=np.float64)
    a, b = params, jax.tree.map(jax.numpy.asarray, params)
    state_a, state_b = ours.init(a), theirs.init(b)
    for step in range(20):
        # Norms on both sides of the clipping threshold.
        grads = jax.tree.map(lambda p: rng.standard_normal(p.shape) * (0.01 if step % 3 else 1.0), params)
        updates_a, state_a = ours.update(grads, state_a, a)
        updates_b, state_b = theirs.update(grads, state_b, b)
        a, b = optimizers.apply_updates(a, updates_a), optax.apply_updates(b, updates_b)
        for mine, optaxs in zip(jax.tree.leaves((updates_a, a)), jax.tree.leaves((updates_b, b))):
            assert parity.relative_error(mine, optaxs) < 1e-13


@pytest.mark.parametrize("name", PAIRS)
def test_float32_stays_float32_and_nothing_is_mutated(name):
    optimizer, _ = PAIRS[name]
    params = {"a": np.ones(3, np.float32), "b": [np.ones((2, 2), np.float32)]}
    grads = {"a": np.full(3, 2, np.float32), "b": [np.full((2, 2), 3, np.float32)]}
    state = optimizer.init(params)
    before = [leaf.copy() for leaf in optimizers.tree_leaves((params, grads))]
    updates, _ = optimizer.update(grads, state, params)
    again, _ = optimizer.update(grads, state, params)
    new = optimizers.apply_updates(params, updates)
    assert {leaf.dtype for leaf in optimizers.tree_leaves((updates, new))} == {np.dtype(np.float32)}
    assert isinstance(new["b"], list)
    for left, right in zip(optimizers.tree_leaves((updates, params, grads)), optimizers.tree_leaves((again, before))):
        np.testing.assert_array_equal(left, right)


def test_global_norm_and_clipping():
    grads = {"a": np.array([3.0]), "b": np.array([4.0])}
    assert optimizers.global_norm(grads) == pytest.approx(5)
    clip = optimizers.clip_by_global_norm(1.0)
    clipped, _ = clip.update(grads, clip.init(grads))
    assert optimizers.global_norm(clipped) == pytest.approx(1)
    halfway, _ = optimizers.clip_by_global_norm(4.0).update(grads, ())
    assert optimizers.global_norm(halfway) == pytest.approx(4)
    small = {"a": np.array([0.3]), "b": np.array([0.4])}
    assert clip.update(small, ())[0] is small


def test_each_array_keeps_its_own_dtype():
    grads = {"a": np.full(3, 5.0), "b": np.full(3, 5.0, np.float32)}
    clipped, _ = optimizers.clip_by_global_norm(1.0).update(grads, ())
    assert (clipped["a"].dtype, clipped["b"].dtype) == (np.float64, np.float32)
    weights = {"a": np.zeros(3), "b": np.zeros(3, np.float32)}
    new = optimizers.apply_updates(weights, {"a": np.ones(3), "b": np.ones(3)})
    assert (new["a"].dtype, new["b"].dtype) == (np.float64, np.float32)


def test_trees_of_different_form_are_refused():
    optimizer = optimizers.sgd(0.1)
    with pytest.raises(ValueError, match="zip"):
        optimizer.update([np.ones(2)], optimizer.init([np.ones(2), np.ones(2)]))
