"""Training in NumPy: the hand-derived backward pass and the optimiser, batch after batch.

:func:`run_epoch` trains anything that has a loss; :func:`epoch` trains a network on windows by its mean squared error.
Several members (networks of one description with weights of their own) are trained side by side, one after the other.

Dimension letters: K members, S batches (steps), B batch, T time steps, D inputs, O outputs, n windows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import Moments, Network, NetworkParams, check_batches, check_kinds, check_run
from minirnn.readable import losses, network
from minirnn.readable.optimizers import (
    AdamState,
    Optimizer,
    adam,
    adamw,
    apply_updates,
    chain,
    clip_by_global_norm,
    cosine_decay,
    tree_leaves,
    tree_map,
    warm_up,
)


class TrainState(NamedTuple):
    """Weights and optimiser state of each member."""

    members: list[Any]  # NetworkParams, or whatever weights the loss takes
    optimizer: list[Any]
    carried: Any = None  # what a loss hands on from batch to batch, of each member; None of one that hands on nothing


class Record(NamedTuple):
    """What happened in an epoch, as NumPy arrays."""

    loss: np.ndarray  # (K,) the mean over all that counts: the sum of the batches' weighted losses over that of weights
    losses: np.ndarray  # (K, S) of each batch, before its update
    gradient: np.ndarray  # (K, S) the largest entry of each batch's gradient, as an absolute number
    array: np.ndarray  # (K, S) which array of the weights holds that entry, counted in the order of the tree
    weights: Any = None  # (K, S) the sum of each batch's weights


def joined(records: list[Record], steps: int) -> Record:
    """The record of an epoch that was computed in pieces; batches beyond ``steps`` only filled up the last one."""
    losses, gradient, array, weights = (np.concatenate(parts, axis=1)[:, :steps] for parts in list(zip(*records))[1:])
    mean = (losses * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), np.finfo(weights.dtype).tiny)
    return Record(mean, losses, gradient, array, weights)


class Batch(NamedTuple):
    """What a loss reads: rows of the data, (B, ...) each; which of them count, booleans (B,); what all batches read."""

    data: Any
    count: Any
    shared: Any = None


def make_optimizer(
    learning_rate: float,
    max_norm: float,
    weight_decay: float = 0.0,
    decay_steps: int | None = None,
    warm_up_steps: int = 0,
) -> Optimizer:
    """Clipping by the global norm, then Adam, or AdamW where weights decay.

    Args:
      learning_rate: of the first update.
      max_norm: of all gradients together; larger ones are scaled down.
      weight_decay: of AdamW, for all weights.
      decay_steps: updates after which the learning rate has fallen to zero, along a cosine; None keeps it as it is.
      warm_up_steps: the first of these updates, in which the rate rises to ``learning_rate``, in equal steps.
    """
    rate: Any = learning_rate
    if decay_steps is not None:
        rate = warm_up(cosine_decay(learning_rate, decay_steps - warm_up_steps), warm_up_steps)
    return chain(clip_by_global_norm(max_norm), adamw(rate, weight_decay=weight_decay) if weight_decay else adam(rate))


def start(optimizer: Optimizer, members: list) -> TrainState:
    """The state before the first update."""
    return TrainState(list(members), [optimizer.init(params) for params in members])


def moments(state: TrainState) -> list[Moments] | None:
    """What Adam remembers of each member; None of an optimiser that is not made of Adam."""
    found = [[part for part in _parts(each) if isinstance(part, AdamState)] for each in state.optimizer]
    return [Moments(*each[0]) for each in found] if all(found) else None


def with_moments(state: TrainState, moments: list[Moments]) -> TrainState:
    """The state of an optimiser made of Adam, with what it remembered of each member."""

    def replaced(part, kept):
        if isinstance(part, AdamState):
            return AdamState(int(kept.steps), kept.m, kept.v)
        return tuple(replaced(each, kept) for each in part)

    return state._replace(optimizer=[replaced(each, kept) for each, kept in zip(state.optimizer, moments)])


def _parts(optimizer_state):
    """The states of all optimisers of a chain."""
    if type(optimizer_state) is not tuple:
        return [optimizer_state]
    return [part for each in optimizer_state for part in _parts(each)]


def place(data, mesh: None = None, budget_bytes: int | None = None):
    """The data as they are: NumPy reads the rows of a batch from wherever they lie."""
    _check_mesh(mesh)
    return data


def epoch(
    description: Network,
    optimizer: Optimizer,
    state: TrainState,
    data,
    batches,
    counts,
    dropout_key=None,
    *,
    mesh: None = None,
    budget_bytes: int | None = None,
) -> tuple[TrainState, Record]:
    """Goes once through the batches of windows; the loss is the mean squared error.

    Args:
      description: of the network.
      optimizer: of :mod:`minirnn.readable.optimizers`.
      state: from :func:`start` or an earlier epoch.
      data: inputs (n, T, D), targets (n, O), weights (n, O) and, if they differ, lengths (n,) of all windows. NumPy
        arrays, memory-mapped files among them.
      batches: indices of windows (K, S, B).
      counts: (S, B), 1 for a window that counts, 0 for one that only fills the last batch.
      dropout_key: a key of :mod:`minirnn.random`; every member and batch gets its own. None drops nothing.
      mesh: None; only the JAX half shares its work among devices.
      budget_bytes: not needed here, since no window is kept.

    Returns:
      The new state, and the record of the epoch. A batch whose weights are all zero makes no update. Where the loss or
      the gradient of a batch is not finite, a member keeps what it had before that batch until the end of the epoch.
    """
    return run_epoch(_windows_loss(description), optimizer, state, data, batches, counts, dropout_key, mesh=mesh)


def _windows_loss(description: Network):
    def loss(params, batch: Batch, key):
        inputs, targets, weights, lengths = (*batch.data, None)[:4]
        xs = inputs.swapaxes(0, 1)  # (T, B, D)
        outputs, _, cache = network.forward(description, params, xs, None, lengths, dropout_key=key)  # (B, O)
        weights = np.where(batch.count[:, None], weights, 0).astype(weights.dtype)
        total = weights.sum()
        mean, doutputs = losses.mse(outputs, targets, weights)
        dparams, _, _ = network.backward(doutputs * total, None, cache)
        return mean * total, total, dparams

    return loss


def run_epoch(
    loss: Callable,
    optimizer: Optimizer,
    state: TrainState,
    data,
    batches,
    counts,
    dropout_key=None,
    shared=None,
    kinds=None,
    *,
    mesh: None = None,
    budget_bytes: int | None = None,
) -> tuple[TrainState, Record]:
    """Goes once through the batches with any loss; arguments and results as those of :func:`epoch`.

    Args:
      loss: ``loss(params, batch, key) -> (weighted sum, sum of weights, gradient of the weighted sum)`` of one member
        on a :class:`Batch`. A tuple of losses is one for each kind of batch: of sequences of another length, say. Where
        ``state.carried`` is not None the loss carries something from each batch to the next, such as a recurrent
        state: ``loss(params, batch, key, carried) -> (weighted sum, sum of weights, gradient, carried)``.
      optimizer: of :mod:`minirnn.readable.optimizers`.
      state: from :func:`start` or an earlier epoch.
      data: any tree of arrays (n, ...).
      batches: (K, S, B).
      counts: (S, B).
      dropout_key: for the loss; every member and batch gets its own.
      shared: any tree of arrays that every batch may read whole, such as the rows of a series: then ``data`` may be the
        places in it where windows begin, and the loss cuts them out.
      kinds: (S,), which of several losses each batch is for, the same for all members; None for a single loss.
      mesh: None.
      budget_bytes: not needed here.
    """
    _check_mesh(mesh)
    check_batches([len(array) for array in tree_leaves(data)], batches, counts, len(state.members))
    own = check_kinds(loss, kinds, len(counts))
    kinds = [0] * len(counts) if kinds is None else kinds
    optimizer_states, members, records = [], [], []
    handed_on: list[Any] = []
    dropout_key = network.as_key(dropout_key)
    for k, (params, optimizer_state, order) in enumerate(zip(state.members, state.optimizer, batches)):
        alive, record = True, []
        carried = None if state.carried is None else (state.carried[k],)
        for s, (chosen, count, kind) in enumerate(zip(order, counts, kinds)):
            key = None if dropout_key is None else random.fold_in(random.fold_in(dropout_key, k), s)
            rows = tree_map(lambda array: np.asarray(array[chosen]), data)
            with np.errstate(over="ignore", invalid="ignore"):  # the record says what was not finite
                total, weight, dparams, *carried = own[kind](
                    params, Batch(rows, count != 0, shared), key, *(carried or ())
                )
            mean = 1 / max(weight, np.finfo(np.asarray(weight).dtype).tiny)
            dparams = tree_map(lambda d: d * d.dtype.type(mean), dparams)
            largest = np.array([np.max(np.abs(d), initial=0) for d in tree_leaves(dparams)])
            alive = alive and bool(np.isfinite(total) and np.isfinite(largest).all())
            if alive and weight > 0:
                updates, optimizer_state = optimizer.update(dparams, optimizer_state, params)
                params = apply_updates(params, updates)
            record.append((total, weight, largest.max(), largest.argmax()))
        members.append(params)
        optimizer_states.append(optimizer_state)
        handed_on += carried or ()
        records.append([np.array(numbers) for numbers in zip(*record)])
    totals, weights, gradient, array = (np.stack(parts) for parts in zip(*records))
    tiny = np.finfo(totals.dtype).tiny
    mean = totals.sum(axis=1) / np.maximum(weights.sum(axis=1), tiny)
    state = TrainState(members, optimizer_states, handed_on or None)
    return state, Record(mean, totals / np.maximum(weights, tiny), gradient, array, weights)


def _check_mesh(mesh) -> None:
    if mesh is not None:
        raise ValueError("mesh is given; the NumPy half computes on one processor: use the JAX half, or mesh=None")


def run(function: Callable, state: TrainState, data, shared=None, *, batch_size: int, mesh: None = None):
    """What a function of the weights makes of all rows, batch after batch: no more than one batch is held at a time.

    Args:
      function: ``function(params, batch)`` of one member on a :class:`Batch` -> an array (B, ...) or a tree of them,
        row for row.
      state: from :func:`start` or an epoch.
      data: any tree of arrays (n, ...).
      shared: any tree of arrays that every batch may read whole.
      batch_size: rows in a batch, at most.
      mesh: None.

    Returns:
      NumPy arrays (K, n, ...).
    """
    _check_mesh(mesh)
    n = check_run([len(array) for array in tree_leaves(data)], batch_size)
    outputs = []
    for params in state.members:
        parts = []
        for first in range(0, max(n, 1), batch_size):
            rows = tree_map(lambda array: np.asarray(array[first : first + batch_size]), data)
            count = np.full(min(batch_size, n - first), True)
            parts.append(function(params, Batch(rows, count, shared)))
        outputs.append(tree_map(lambda *arrays: np.concatenate(arrays), *parts))
    return tree_map(lambda *arrays: np.stack(arrays), *outputs)


def predict(description: Network, state: TrainState, inputs, lengths=None, *, mesh: None = None) -> np.ndarray:
    """Inputs (n, T, D), lengths (n,) or None -> outputs of each member (K, n, O)."""
    data = (inputs,) if lengths is None else (inputs, np.asarray(lengths))
    return run(_windows_outputs(description), state, data, batch_size=max(1, len(inputs)), mesh=mesh)


def _windows_outputs(description: Network):
    def outputs(params, batch: Batch):
        inputs, lengths = (*batch.data, None)[:2]
        return network.forward(description, params, inputs.swapaxes(0, 1), None, lengths)[0]  # (B, O)

    return outputs


def evaluate(description: Network, state: TrainState, data, *, mesh: None = None) -> np.ndarray:
    """The mean squared error of each member (K,) on windows: inputs, targets, weights and lengths as in an epoch."""
    inputs, targets, weights, lengths = (*data, None)[:4]
    outputs = predict(description, state, inputs, lengths, mesh=mesh)
    squares = np.where(weights > 0, (outputs.astype(np.float64) - targets) ** 2, 0)
    return squares.sum(axis=(1, 2)) / max(float((weights > 0).sum()), 1.0)


def members(state: TrainState) -> list[NetworkParams]:
    """The weights of each member as NumPy arrays."""
    return state.members
