"""Training in JAX: an epoch is one compiled scan over its batches, with all members side by side under ``vmap``.

:func:`run_epoch` trains anything that has a loss; :func:`epoch` trains a network on windows by its mean squared error.

On a mesh every device takes its rows of each batch. What they have to tell each other, gradients, loss and weight, is
one vector and one sum for each batch, and every device makes the same update.

Dimension letters: K members, S batches (steps), B batch, T time steps, D inputs, O outputs, n windows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from minirnn.fast import losses, network, placement, platforms
from minirnn.fast.recurrent import RowsKey
from minirnn.params import Moments, Network, NetworkParams, check_batches, check_kinds, check_run


class TrainState(NamedTuple):
    """Weights and optimiser state of all members: every array has a leading axis K."""

    members: Any  # NetworkParams, or whatever weights the loss takes
    optimizer: Any
    carried: Any = None  # what a loss hands on from batch to batch, (K, B, ...) each; None of one that hands on nothing


class Record(NamedTuple):
    """What happened in an epoch, as NumPy arrays."""

    loss: np.ndarray  # (K,) the mean over all that counts: the sum of the batches' weighted losses over that of weights
    losses: np.ndarray  # (K, S) of each batch, before its update
    gradient: np.ndarray  # (K, S) the largest entry of each batch's gradient, as an absolute number
    array: np.ndarray  # (K, S) which array of the weights holds that entry, counted in the order of the tree


class Batch(NamedTuple):
    """What a loss reads: rows of the data, (B, ...) each; which of them count, booleans (B,); what all batches read."""

    data: Any
    count: Any
    shared: Any = None


@functools.cache
def make_optimizer(
    learning_rate: float, max_norm: float, weight_decay: float = 0.0, decay_steps: int | None = None
) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam, or AdamW where weights decay.

    Args:
      learning_rate: of the first update.
      max_norm: of all gradients together; larger ones are scaled down.
      weight_decay: of AdamW, for all weights.
      decay_steps: updates after which the learning rate has fallen to zero, along a cosine; None keeps it as it is.
    """
    # Cached, so that a second training with the same settings finds its compiled epoch.
    rate = learning_rate if decay_steps is None else optax.cosine_decay_schedule(learning_rate, decay_steps)
    adam = optax.adamw(rate, weight_decay=weight_decay) if weight_decay else optax.adam(rate)
    return optax.chain(optax.clip_by_global_norm(max_norm), adam)


def start(optimizer: optax.GradientTransformation, members: list) -> TrainState:
    """The state before the first update."""
    stacked = jax.tree.map(lambda *arrays: placement.put(np.stack(arrays), None), *members)
    return TrainState(stacked, _initialiser(optimizer)(stacked))


@functools.cache
def _initialiser(optimizer):
    return jax.jit(jax.vmap(optimizer.init))


def moments(state: TrainState) -> list[Moments] | None:
    """What Adam remembers of each member, as NumPy; None of an optimiser that is not made of Adam."""
    found = [part for part in jax.tree.leaves(state.optimizer, is_leaf=_is_adam) if _is_adam(part)]
    if not found:
        return None
    adam = jax.tree.map(np.asarray, found[0])
    each = range(len(adam.count))
    return [Moments(int(adam.count[k]), *(jax.tree.map(lambda a, k=k: a[k].copy(), t) for t in adam[1:])) for k in each]


def with_moments(state: TrainState, moments: list[Moments]) -> TrainState:
    """The state of an optimiser made of Adam, with what it remembered of each member."""
    m, v = (
        jax.tree.map(lambda *arrays: placement.put(np.stack(arrays), None), *trees)
        for trees in zip(*(each[1:] for each in moments))
    )

    def replaced(part):
        if not _is_adam(part):
            return part
        steps = placement.put(np.array([each.steps for each in moments], part.count.dtype), None)
        return part._replace(count=steps, mu=m, nu=v)

    return state._replace(optimizer=jax.tree.map(replaced, state.optimizer, is_leaf=_is_adam))


def _is_adam(part) -> bool:
    return isinstance(part, optax.ScaleByAdamState)


def place(data, mesh: Mesh | None = None, budget_bytes: int | None = None):
    """Puts windows on the devices for all epochs to come, if they fit: see :func:`epoch`."""
    placement.check_mesh(mesh)
    return placement.place(data, mesh, budget_bytes)


def epoch(
    description: Network,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    data,
    batches,
    counts,
    dropout_key=None,
    *,
    mesh: Mesh | None = None,
    budget_bytes: int | None = None,
) -> tuple[TrainState, Record]:
    """Goes once through the batches of windows; the loss is the mean squared error.

    Args:
      description: of the network.
      optimizer: any of optax: it makes its updates for each member by itself. One that evaluates the loss a second
        time, as a line search does, is refused by optax.
      state: from :func:`start` or an earlier epoch. It is used up: read it before with :func:`members`.
      data: inputs (n, T, D), targets (n, O), weights (n, O) and, if they differ, lengths (n,) of all windows. NumPy
        arrays, memory-mapped files among them, or what :func:`place` made of them.
      batches: indices of windows (K, S, B).
      counts: (S, B), 1 for a window that counts, 0 for one that only fills the last batch.
      dropout_key: a key of :mod:`minirnn.random` or of ``jax.random``; every member and batch gets its own. None drops
        nothing.
      mesh: devices that share the rows of each batch, a ``jax.sharding.Mesh`` with the axis ``"data"``; None is one
        device. The result depends on their number by rounding only.
      budget_bytes: larger windows are not kept on the device but streamed in blocks of batches, two of them within
        this many bytes; the result is the same. None is a quarter of the device's memory.

    Returns:
      The new state, and the record of the epoch. A batch whose weights are all zero makes no update. Where the loss or
      the gradient of a batch is not finite, a member keeps what it had before that batch until the end of the epoch.
    """
    return run_epoch(
        _windows_loss(description),
        optimizer,
        state,
        data,
        batches,
        counts,
        dropout_key,
        mesh=mesh,
        budget_bytes=budget_bytes,
    )


@functools.cache
def _windows_loss(description: Network):
    def loss(params, batch: Batch, key):
        inputs, targets, weights, lengths = (*batch.data, None)[:4]
        xs = inputs.swapaxes(0, 1)  # (T, B, D)
        outputs, _ = network.forward(description, params, xs, None, lengths, dropout_key=key)  # (B, O)
        outputs = outputs.astype(params.head.W.dtype)  # whatever the network computed in
        weights = jnp.where(batch.count[:, None], weights, 0)
        total = weights.sum()
        return losses.mse(outputs, targets, weights) * total, total

    return loss


def run_epoch(
    loss: Callable,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    data,
    batches,
    counts,
    dropout_key=None,
    shared=None,
    kinds=None,
    *,
    mesh: Mesh | None = None,
    budget_bytes: int | None = None,
) -> tuple[TrainState, Record]:
    """Goes once through the batches with any loss; arguments and results as those of :func:`epoch`.

    Args:
      loss: ``loss(params, batch, key) -> (weighted sum, sum of weights)`` of one member on a :class:`Batch`. It must
        not mix rows, since another device may hold the others, and hands the key on to ``network.forward``. An epoch
        is compiled once for each loss, so hand over the same function every time. A tuple of losses is one for each
        kind of batch: of sequences of another length, say. Where ``state.carried`` is not None the loss carries
        something from each batch to the next, such as a recurrent state: ``loss(params, batch, key, carried) ->
        (weighted sum, sum of weights, carried)``.
      optimizer: any of optax.
      state: from :func:`start` or an earlier epoch; used up.
      data: any tree of arrays (n, ...).
      batches: (K, S, B).
      counts: (S, B).
      dropout_key: for the loss; every member and batch gets its own.
      shared: any tree of arrays that every batch may read whole, such as the rows of a series: then ``data`` may be the
        places in it where windows begin, and the loss cuts them out. It lies on every device, whatever its size; hand
        over what :func:`place` made of it, or it is brought there in every epoch.
      kinds: (S,), which of several losses each batch is for, the same for all members; None for a single loss.
      mesh: devices, or None.
      budget_bytes: for the windows on one device.
    """
    placement.check_mesh(mesh)
    count = len(jax.tree.leaves(state.members)[0])
    check_batches([len(array) for array in jax.tree.leaves(data)], batches, counts, count)
    losses = check_kinds(loss, kinds, len(counts))
    K, S, B = np.shape(batches)
    if state.carried is not None and mesh is not None and B % mesh.size:
        raise ValueError(f"a batch has {B} rows that carry a state; expected a multiple of {mesh.size}, the devices")
    compute = compiled(losses, optimizer, mesh)
    key = network.as_key(dropout_key)
    if key is not None:
        key = placement.put(np.asarray(jax.random.key_data(key)), mesh)
    carried = jax.tree.map(lambda array: placement.put(array, mesh, None, placement.AXIS), state.carried)
    state = jax.tree.map(lambda array: placement.put(array, mesh), state._replace(carried=None))
    state = state._replace(carried=carried)
    alive = placement.put(np.ones(K, bool), mesh)
    shared = placement.everywhere(shared, mesh)
    seen: list[Any] = []
    for block in placement.blocks(data, batches, counts, kinds, mesh, budget_bytes):
        if seen:  # the rows of this block were gathered meanwhile
            jax.block_until_ready(seen[-1])
        state, alive, numbers = compute(state, alive, *block, key, shared)
        seen.append(numbers)
    totals, weights, gradient, array = (np.concatenate(parts, axis=1)[:, :S] for parts in zip(*jax.device_get(seen)))
    tiny = np.finfo(totals.dtype).tiny
    mean = totals.sum(axis=1) / np.maximum(weights.sum(axis=1), tiny)
    return state, Record(mean, totals / np.maximum(weights, tiny), gradient, array)


@functools.cache
def compiled(
    losses: tuple[Callable, ...], optimizer: optax.GradientTransformation, mesh: Mesh | None = None
) -> Callable:
    """The compiled loop over a block of batches, for :func:`run_epoch` and for those who want to look at it.

    ``(state, alive (K,), data, batches (K, S, B), counts (S, B), steps (S,), kinds (S,), key (2,) or None, shared) ->
    state, alive, (sums of losses, sums of weights, largest gradients, their arrays)``, (K, S) each. ``steps`` number
    the batches, ``kinds`` say which of the losses is theirs, ``counts`` and ``alive`` are booleans: a member that is
    not alive makes no updates any more.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    branches = [_with_gradient(loss) for loss in losses]

    def one_batch(carry, inputs, data, key, shared):
        state, alive = carry
        chosen, count, step, kind = inputs
        batch = Batch(jax.tree.map(lambda array: jnp.take(array, chosen, axis=0, mode="clip"), data), count, shared)
        if key is not None:
            key = jax.random.fold_in(key, step)
            if mesh is not None:
                key = RowsKey(key, lax.axis_index(placement.AXIS) * len(chosen), len(chosen) * mesh.size)
        operands = (state.members, batch, key, state.carried)
        # The gradient is taken inside of each branch: one through all of them would keep what every branch saves.
        (total, weight, carried), dparams = (
            branches[0](*operands) if len(branches) == 1 else lax.switch(kind, branches, *operands)
        )
        if mesh is not None:
            total, weight, dparams = _sum_over_devices((total, weight, dparams))
        mean = 1 / jnp.maximum(weight, jnp.finfo(weight.dtype).tiny)
        dparams = jax.tree.map(lambda d: d * mean.astype(d.dtype), dparams)
        largest = jnp.stack([jnp.max(jnp.abs(d), initial=0) for d in jax.tree.leaves(dparams)])
        gradient = largest.max()
        alive &= jnp.isfinite(total) & jnp.isfinite(gradient)
        updates, moved = optimizer.update(dparams, state.optimizer, state.members, value=total * mean, grad=dparams)
        new = TrainState(optax.apply_updates(state.members, updates), moved)
        keep = alive & (weight > 0)
        state = jax.tree.map(lambda new, old: jnp.where(keep, new, old), new, state._replace(carried=None))
        return (state._replace(carried=carried), alive), (total, weight, gradient, largest.argmax())

    def one_member(k, state, alive, order, data, counts, steps, kinds, key, shared):
        key = None if key is None else jax.random.fold_in(network.as_key(key), k)
        step = functools.partial(one_batch, data=data, key=key, shared=shared)
        (state, alive), numbers = lax.scan(step, (state, alive), (order, counts, steps, kinds))
        return state, alive, numbers

    def block(state, alive, data, batches, counts, steps, kinds, key, shared):
        members = jax.vmap(one_member, in_axes=(0, 0, 0, 0, None, None, None, None, None, None))
        return members(jnp.arange(len(batches)), state, alive, batches, data, counts, steps, kinds, key, shared)

    if mesh is not None:
        everywhere, rows = PartitionSpec(), placement.AXIS
        states = TrainState(everywhere, everywhere, PartitionSpec(None, rows))
        block = jax.shard_map(
            block,
            mesh=mesh,
            in_specs=(
                states,
                everywhere,
                everywhere,
                PartitionSpec(None, None, rows),
                PartitionSpec(None, rows),
                everywhere,
                everywhere,
                everywhere,
                everywhere,
            ),
            out_specs=(states, everywhere, everywhere),
            check_vma=False,  # the sum over the devices is ours: JAX would add one for each array
        )
    return jax.jit(block, donate_argnums=0, compiler_options=platforms.compiler_options())


def _with_gradient(loss: Callable) -> Callable:
    """``(params, batch, key, carried) -> (sum of losses, sum of weights, carried), gradient of the first``."""

    def branch(params, batch, key, carried):
        def total(params):
            given = (params, batch, key) if carried is None else (params, batch, key, carried)
            total, weight, *handed_on = loss(*given)
            return total, (weight, lax.stop_gradient(handed_on[0]) if handed_on else None)

        (value, (weight, handed_on)), dparams = jax.value_and_grad(total, has_aux=True)(params)
        return (value, weight, handed_on), dparams

    return branch


def _sum_over_devices(tree):
    """The sum of each array over the devices: one vector, because each sum makes all devices wait for each other."""
    flat, restore = ravel_pytree(tree)
    return restore(lax.psum(flat, placement.AXIS))


def run(function: Callable, state: TrainState, data, shared=None, *, batch_size: int, mesh: Mesh | None = None):
    """What a function of the weights makes of all rows, batch after batch: no more than two are held at a time.

    Args:
      function: ``function(params, batch)`` of one member on a :class:`Batch` -> an array (B, ...) or a tree of them,
        row for row. It is compiled once for each function, so hand over the same one every time.
      state: from :func:`start` or an epoch.
      data: any tree of arrays (n, ...).
      shared: any tree of arrays that every batch may read whole, as in :func:`run_epoch`.
      batch_size: rows in a batch, at most. The last batch is filled up, with rows that do not count.
      mesh: devices that share the rows of each batch, or None.

    Returns:
      NumPy arrays (K, n, ...).
    """
    placement.check_mesh(mesh)
    n = check_run([len(array) for array in jax.tree.leaves(data)], batch_size)
    size = min(batch_size, n)
    rows = size + (0 if mesh is None else -size % mesh.size)  # all devices get as many
    # Rows are gathered here, wherever they lie; what makes them when they are asked for is not asked for all of them.
    data = jax.tree.map(lambda a: np.asarray(a) if isinstance(a, jax.Array) else a, data)
    members, shared = placement.everywhere((state.members, shared), mesh)
    compute = _runner(function, mesh)
    outputs: Any = None
    waiting: list[Any] = []

    def receive(first, batch):
        nonlocal outputs
        batch = jax.device_get(batch)  # (K, B, ...) each
        if outputs is None:
            outputs = jax.tree.map(lambda a: np.empty((a.shape[0], n, *a.shape[2:]), a.dtype), batch)
        for whole, part in zip(jax.tree.leaves(outputs), jax.tree.leaves(batch)):
            whole[:, first : first + size] = part[:, : min(size, n - first)]

    for first in range(0, max(n, 1), max(size, 1)):
        chosen = np.arange(first, first + rows)
        count = (chosen < n) & (chosen < first + size)
        # What fills up repeats a row of the batch itself: one from elsewhere might hold what no function expects.
        chosen = np.minimum(chosen, n - 1)
        read = jax.tree.map(lambda a: placement.put(np.take(a, chosen, axis=0), mesh, placement.AXIS), data)
        waiting.append((first, compute(members, Batch(read, placement.put(count, mesh, placement.AXIS), shared))))
        if len(waiting) > 1:  # the rows of this batch were gathered while the one before was computed
            receive(*waiting.pop(0))
    receive(*waiting.pop())
    return outputs


@functools.cache
def _runner(function: Callable, mesh: Mesh | None):
    def outputs(members, batch):
        values = jax.vmap(function, in_axes=(0, None))(members, batch)
        return values if mesh is None else lax.all_gather(values, placement.AXIS, axis=1, tiled=True)

    if mesh is not None:
        everywhere, rows = PartitionSpec(), PartitionSpec(placement.AXIS)
        outputs = jax.shard_map(
            outputs,
            mesh=mesh,
            in_specs=(everywhere, Batch(rows, rows, everywhere)),
            out_specs=everywhere,
            check_vma=False,
        )
    return jax.jit(outputs, compiler_options=platforms.compiler_options())


def predict(description: Network, state: TrainState, inputs, lengths=None, *, mesh: Mesh | None = None) -> np.ndarray:
    """Inputs (n, T, D), lengths (n,) or None -> outputs of each member (K, n, O); the devices share the windows."""
    data = (inputs,) if lengths is None else (inputs, np.asarray(lengths))
    return run(_windows_outputs(description), state, data, batch_size=max(1, len(inputs)), mesh=mesh)


@functools.cache
def _windows_outputs(description: Network):
    def outputs(params, batch: Batch):
        inputs, lengths = (*batch.data, None)[:2]
        return network.forward(description, params, inputs.swapaxes(0, 1), None, lengths)[0]  # (B, O)

    return outputs


def evaluate(description: Network, state: TrainState, data, *, mesh: Mesh | None = None) -> np.ndarray:
    """The mean squared error of each member (K,) on windows: inputs, targets, weights and lengths as in an epoch."""
    inputs, targets, weights, lengths = (*data, None)[:4]
    outputs = predict(description, state, inputs, lengths, mesh=mesh)
    squares = np.where(weights > 0, (outputs.astype(np.float64) - targets) ** 2, 0)
    return squares.sum(axis=(1, 2)) / max(float((weights > 0).sum()), 1.0)


def members(state: TrainState) -> list[NetworkParams]:
    """The weights of each member as NumPy arrays of their own."""
    arrays = jax.tree.map(np.asarray, state.members)
    count = len(jax.tree.leaves(arrays)[0])
    # Copies: an epoch uses the state up, and NumPy may be looking into its memory.
    return [jax.tree.map(lambda array, k=k: array[k].copy(), arrays) for k in range(count)]
