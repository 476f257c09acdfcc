"""The training loop that all JAX libraries share: every step of a call inside one jitted scan over minibatches.

This is the fastest usual form: no Python and no dispatch between two steps; parameters and optimiser state are
donated, so that no step allocates them anew. minirnn and its JAX peers differ in their ``loss`` only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from minirnn.bench.task import LEARNING_RATE, Batches, TrainRun


def scan_train(loss: Callable, params: Any, batches: Batches, note: str = "") -> TrainRun:
    """A run of ``loss(params, xs, ys)`` with optax.adam. xs (T, B, D), ys (B, 1); params: a tree of arrays."""
    optimizer = optax.adam(LEARNING_RATE)

    def train_step(state, batch):
        params, opt_state = state
        value, grads = jax.value_and_grad(loss)(params, *batch)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value

    # Donated buffers must be ours alone, hence the copies.
    params = jax.tree.map(jnp.array, params)
    state = (params, jax.tree.map(jnp.array, optimizer.init(params)))
    return carry_on(train_step, state, batches, count_parameters(params), note)


def carry_on(train_step: Callable, state: Any, batches: Batches, parameters: int, note: str = "") -> TrainRun:
    """A run of ``train_step(state, (xs, ys)) -> state, loss`` over all minibatches in one jitted scan.

    The state is donated: it belongs to the run from here on. The minibatches are put on the device once.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def all_steps(state, batches):
        state, losses = lax.scan(train_step, state, tuple(batches))
        return state, losses[-1]

    batches = jax.device_put(batches)

    def call() -> float:
        nonlocal state
        state, last = all_steps(state, batches)
        jax.block_until_ready(state)
        return float(last)

    return TrainRun(call, parameters, note)


def count_parameters(params: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def mean_squared_error(prediction, target):
    """Both (B, 1) -> the loss."""
    return jnp.mean((prediction - target) ** 2)
