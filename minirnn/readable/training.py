"""One epoch of training in NumPy: the hand-derived backward pass, clipping and Adam, batch after batch.

Several members (networks of one description with weights of their own) are trained side by side, one after the other.

Dimension letters: K members, S batches (steps), B batch, T time steps, D inputs, O outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import Network, NetworkParams
from minirnn.readable import losses, network
from minirnn.readable.optimizers import Optimizer, adam, apply_updates, chain, clip_by_global_norm


class TrainState(NamedTuple):
    """Weights and optimiser state of each member."""

    members: list[NetworkParams]
    optimizer: list[Any]


def make_optimizer(learning_rate: float, max_norm: float) -> Optimizer:
    """Clipping by the global norm, then Adam."""
    return chain(clip_by_global_norm(max_norm), adam(learning_rate))


def start(optimizer: Optimizer, members: list[NetworkParams]) -> TrainState:
    """The state before the first update."""
    return TrainState(list(members), [optimizer.init(params) for params in members])


def epoch(description: Network, optimizer: Optimizer, state: TrainState, data, batches, counts, dropout_key=None):
    """Goes once through the batches.

    Args:
      description: of the network.
      optimizer: from :func:`make_optimizer`.
      state: from :func:`start` or an earlier epoch.
      data: inputs (n, T, D), targets (n, O) and weights (n, O) of all windows.
      batches: indices of windows (K, S, B).
      counts: (S, B), 1 for a window that counts, 0 for one that only fills the last batch.
      dropout_key: a key of :mod:`minirnn.random`; every member and batch gets its own. None drops nothing.

    Returns:
      The new state, and the mean loss of each member (K,).
    """
    inputs, targets, weights = data
    members, optimizers, means = [], [], []
    for k, (params, optimizer_state, order) in enumerate(zip(*state, batches)):
        total = []
        for s, (chosen, count) in enumerate(zip(order, counts)):
            key = None if dropout_key is None else random.fold_in(random.fold_in(dropout_key, k), s)
            xs = inputs[chosen].swapaxes(0, 1)  # (T, B, D)
            outputs, _, cache = network.forward(description, params, xs, dropout_key=key)  # (B, O)
            loss, doutputs = losses.mse(outputs, targets[chosen], weights[chosen] * count[:, None])
            dparams, _, _ = network.backward(doutputs, None, cache)
            updates, optimizer_state = optimizer.update(dparams, optimizer_state, params)
            params = apply_updates(params, updates)
            total.append(loss)
        members.append(params)
        optimizers.append(optimizer_state)
        means.append(np.mean(total))
    return TrainState(members, optimizers), np.array(means)


def predict(description: Network, state: TrainState, inputs) -> np.ndarray:
    """Inputs (n, T, D) -> outputs of each member (K, n, O)."""
    return np.stack([network.forward(description, p, inputs.swapaxes(0, 1))[0] for p in state.members])


def members(state: TrainState) -> list[NetworkParams]:
    """The weights of each member as NumPy arrays."""
    return state.members
