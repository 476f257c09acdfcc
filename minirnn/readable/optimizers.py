"""Optimisers in NumPy, in optax's shape: a pair of functions, ``init`` and ``update``.

``update(grads, state, params) -> updates, state``; the new weights are ``params + updates``. Weights are any nesting of
tuples, NamedTuples, lists and dictionaries of arrays, as in :mod:`minirnn.params`. Step by step the numbers equal
optax's to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn.equations import numbered

Tree = Any


class Optimizer(NamedTuple):
    """``init(params) -> state`` and ``update(grads, state, params) -> updates, state``."""

    init: Callable[[Tree], Any]
    update: Callable[..., tuple[Tree, Any]]


class MomentumState(NamedTuple):
    """The running sum v of gradients, of the shape of the weights."""

    v: Tree


class AdamState(NamedTuple):
    """Number of steps taken, and the running means m of gradients and v of their squares."""

    steps: int
    m: Tree
    v: Tree


def tree_map(function: Callable, tree: Tree, *others: Tree) -> Tree:
    """Applies ``function`` to the arrays of one or several trees of the same form."""
    if isinstance(tree, dict):
        return {key: tree_map(function, tree[key], *(other[key] for other in others)) for key in tree}
    if isinstance(tree, tuple | list):
        parts = [tree_map(function, *each) for each in zip(tree, *others, strict=True)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree, *others)


def tree_leaves(tree: Tree) -> list:
    """The arrays of a tree, in a fixed order."""
    leaves: list = []
    tree_map(leaves.append, tree)
    return leaves


def apply_updates(params: Tree, updates: Tree) -> Tree:
    """``params + updates``, in the dtype of the weights."""
    return tree_map(lambda p, u: (p + u).astype(p.dtype), params, updates)


def global_norm(grads: Tree) -> float:
    """Square root of the sum of squares of all numbers of a tree."""
    return np.sqrt(sum(np.sum(np.square(g)) for g in tree_leaves(grads)))


@numbered("O1")
def clip_by_global_norm(max_norm: float) -> Optimizer:
    """Scales all gradients together so that their global norm is at most ``max_norm`` (m in O1)."""

    def update(grads, state, params=None):
        norm = global_norm(grads)
        return (grads if norm < max_norm else tree_map(lambda d: d * d.dtype.type(max_norm / norm), grads)), state  # O1

    return Optimizer(lambda params: (), update)


@numbered("O2")
def sgd(learning_rate: float, momentum: float = 0.0) -> Optimizer:
    """Stochastic gradient descent with (heavy-ball) momentum mu.

    >>> optimizer = sgd(0.1)
    >>> updates, state = optimizer.update(np.ones(2), optimizer.init(np.zeros(2)))
    >>> updates
    array([-0.1, -0.1])
    """

    def init(params):
        return MomentumState(tree_map(np.zeros_like, params))

    def update(grads, state, params=None):
        v = tree_map(lambda v, d: momentum * v + d, state.v, grads)  # O2
        return tree_map(lambda v: -learning_rate * v, v), MomentumState(v)  # O2

    return Optimizer(init, update)


Rate = float | Callable[[int], float]  # a learning rate, or a schedule: from the updates made so far to a rate


def _rate(learning_rate: Rate, steps: int) -> float:
    return learning_rate(steps) if callable(learning_rate) else learning_rate


@numbered("O3-O5")
def adam(learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam; s is the number of steps taken. eta is ``learning_rate``, beta are ``b1`` and ``b2``, epsilon ``eps``."""

    def init(params):
        zeros = tree_map(np.zeros_like, params)
        return AdamState(0, zeros, tree_map(np.copy, zeros))

    def update(grads, state, params=None):
        s, eta = state.steps + 1, _rate(learning_rate, state.steps)
        m = tree_map(lambda m, d: b1 * m + (1 - b1) * d, state.m, grads)  # O3
        v = tree_map(lambda v, d: b2 * v + (1 - b2) * d**2, state.v, grads)  # O4
        updates = tree_map(
            lambda m, v: -eta * (m / (1 - b1**s)) / (np.sqrt(v / (1 - b2**s)) + eps), m, v  # O5
        )  # fmt: skip
        return updates, AdamState(s, m, v)

    return Optimizer(init, update)


@numbered("O3-O6")
def adamw(
    learning_rate: Rate, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 1e-4
) -> Optimizer:
    """Adam with decoupled weight decay (lambda, ``weight_decay``): beside its update all weights theta shrink.

    Biases shrink too, as in optax and PyTorch. Unlike a penalty in the loss the decay is not divided by the root of v.
    """
    without = adam(learning_rate, b1, b2, eps)

    def update(grads, state, params):
        eta = _rate(learning_rate, state.steps)
        updates, state = without.update(grads, state)
        return tree_map(lambda u, theta: u - eta * weight_decay * theta, updates, params), state  # O6

    return Optimizer(without.init, update)


@numbered("O7")
def cosine_decay(learning_rate: float, decay_steps: int) -> Callable[[int], float]:
    """A schedule: from ``learning_rate`` (eta_0) to zero after ``decay_steps`` (S) updates; s is the updates made.

    >>> rate = cosine_decay(0.1, 4)
    >>> [round(rate(steps), 3) for steps in range(6)]
    [0.1, 0.085, 0.05, 0.015, 0.0, 0.0]
    """
    if decay_steps < 1:
        raise ValueError(f"decay_steps is {decay_steps}; expected at least 1 update")
    return lambda s: float(learning_rate * (1 + np.cos(np.pi * min(s, decay_steps) / decay_steps)) / 2)  # O7


def warm_up(schedule: Callable[[int], float], steps: int) -> Callable[[int], float]:
    """A schedule after so many updates in which the rate rises to the schedule's start, in equal steps.

    >>> rate = warm_up(cosine_decay(0.1, 4), 2)
    >>> [round(rate(steps), 3) for steps in range(6)]
    [0.05, 0.1, 0.1, 0.085, 0.05, 0.015]
    """
    return lambda s: schedule(0) * (s + 1) / steps if s < steps else schedule(s - steps)


def chain(*optimizers: Optimizer) -> Optimizer:
    """One optimiser after the other: clipping, then Adam, say."""

    def init(params):
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(grads, states, params=None):
        new_states = []
        for optimizer, state in zip(optimizers, states):
            grads, state = optimizer.update(grads, state, params)
            new_states.append(state)
        return grads, tuple(new_states)

    return Optimizer(init, update)
