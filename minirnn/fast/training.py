"""One epoch of training in JAX: all batches inside one compiled scan, all members side by side under ``vmap``.

Dimension letters: K members, S batches (steps), B batch, T time steps, D inputs, O outputs.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from minirnn.fast import losses, network
from minirnn.params import Network, NetworkParams


class TrainState(NamedTuple):
    """Weights and optimiser state of all members: every array has a leading axis K."""

    members: NetworkParams
    optimizer: Any


@functools.cache
def make_optimizer(learning_rate: float, max_norm: float) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam."""
    # Cached, so that a second training with the same settings finds its compiled epoch.
    return optax.chain(optax.clip_by_global_norm(max_norm), optax.adam(learning_rate))


def start(optimizer: optax.GradientTransformation, members: list[NetworkParams]) -> TrainState:
    """The state before the first update."""
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *members)
    return TrainState(stacked, jax.vmap(optimizer.init)(stacked))


@functools.partial(jax.jit, static_argnums=(0, 1))
def epoch(
    description: Network,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    data,
    batches,
    counts,
    dropout_key=None,
):
    """Goes once through the batches.

    Args:
      description: of the network.
      optimizer: from :func:`make_optimizer`.
      state: from :func:`start` or an earlier epoch.
      data: inputs (n, T, D), targets (n, O) and weights (n, O) of all windows.
      batches: indices of windows (K, S, B).
      counts: (S, B), 1 for a window that counts, 0 for one that only fills the last batch.
      dropout_key: a key of :mod:`minirnn.random` or of ``jax.random``; every member and batch gets its own. None drops
        nothing.

    Returns:
      The new state, and the mean loss of each member (K,).
    """
    inputs, targets, weights = data

    key = network.as_key(dropout_key)

    def loss_of(params, chosen, count, batch_key):
        xs = inputs[chosen].swapaxes(0, 1)  # (T, B, D)
        outputs, _ = network.forward(description, params, xs, dropout_key=batch_key)  # (B, O)
        return losses.mse(outputs, targets[chosen], weights[chosen] * count[:, None])

    def one_batch(state, batch):
        params, optimizer_state = state
        loss, dparams = jax.value_and_grad(loss_of)(params, *batch)
        updates, optimizer_state = optimizer.update(dparams, optimizer_state, params)
        return TrainState(optax.apply_updates(params, updates), optimizer_state), loss

    def one_member(k, state, order):
        keys = None
        if key is not None:
            member_key = jax.random.fold_in(key, k)
            keys = jax.vmap(lambda s: jax.random.fold_in(member_key, s))(jnp.arange(len(counts)))
        state, total = lax.scan(one_batch, state, (order, counts, keys))
        return state, total.mean()

    return jax.vmap(one_member)(jnp.arange(len(batches)), state, batches)


@functools.partial(jax.jit, static_argnums=0)
def predict(description: Network, state: TrainState, inputs):
    """Inputs (n, T, D) -> outputs of each member (K, n, O)."""
    return jax.vmap(lambda params: network.forward(description, params, inputs.swapaxes(0, 1))[0])(state.members)


def members(state: TrainState) -> list[NetworkParams]:
    """The weights of each member as NumPy arrays."""
    count = len(jax.tree.leaves(state.members)[0])
    return [jax.tree.map(lambda array, k=k: np.asarray(array[k]), state.members) for k in range(count)]
