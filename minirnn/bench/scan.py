"""The passes of all JAX libraries: every minibatch of a call inside one jitted scan, on one device or on a mesh.

This is the fastest usual form: no Python and no dispatch between two steps; parameters and optimiser state are
donated, so that no step allocates them anew. minirnn and its JAX peers differ in their ``Model`` only.

On a mesh every device takes an equal share of each minibatch and walks through time by itself; once per step all
gradients and the loss are summed over the devices, flattened into one vector, because every further sum would be one
more meeting of the devices.

Dimension letters: K minibatches, T time steps, B batch, D input size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from minirnn.bench.task import LEARNING_RATE, Batches, Run


class Optimizer(NamedTuple):
    """Adam as two functions."""

    init: Callable[[Any], Any]  # params -> state
    update: Callable[[Any, Any, Any], tuple[Any, Any]]  # gradients, state, params -> params, state


def adam() -> Optimizer:
    """That of optax."""
    optimizer = optax.adam(LEARNING_RATE)

    def update(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return Optimizer(optimizer.init, update)


@dataclass(frozen=True)
class Model:
    """A recurrent layer with a dense head, by one JAX library.

    Args:
      loss: ``loss(params, xs, ys)``, the mean squared error; xs (T, B, D), ys (B, 1), for any B.
      params: a tree of arrays.
      note: where its task differs from the others', in a few words.
      optimizer: its own Adam, where it has one.
      batch_major: True where the loss wants xs (B, T, D); they are turned once, before anything is timed.
    """

    loss: Callable[[Any, Any, Any], Any]
    params: Any
    note: str = ""
    optimizer: Optimizer | None = None
    batch_major: bool = False


def run(model: Model, measure: str, batches: Batches, devices: int = 1, options: dict[str, Any] | None = None) -> Run:
    """A run of one pass over the minibatches.

    Args:
      model: what is run.
      measure: one of ``task.PASSES``.
      batches: the minibatches.
      devices: how many share each minibatch; must divide B.
      options: of the compiler.
    """
    B = batches.xs.shape[2]
    if B % devices:
        raise ValueError(f"{devices} devices cannot share a batch of {B} equally")
    mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
    optimizer = model.optimizer or adam()

    def everywhere(tree):  # the mean over the devices
        if devices == 1:
            return tree
        flat, restore = ravel_pytree(tree)
        return restore(lax.psum(flat / devices, "data"))

    def forward(params, batch):
        return params, everywhere(model.loss(params, *batch))

    def forward_backward(carry, batch):
        params, _ = carry
        value, grads = everywhere(jax.value_and_grad(model.loss)(params, *batch))
        return (params, grads), value

    def train_step(state, batch):
        params, optimizer_state = state
        value, grads = everywhere(jax.value_and_grad(model.loss)(params, *batch))
        return optimizer.update(grads, optimizer_state, params), value

    step, start = {
        "forward": (forward, lambda params: params),
        "forward_backward": (forward_backward, lambda params: (params, jax.tree.map(jnp.zeros_like, params))),
        "train_step": (train_step, lambda params: (params, optimizer.init(params))),
    }[measure]

    def all_steps(state, xs, ys):
        state, losses = lax.scan(step, state, (xs, ys))
        return state, losses[-1]

    xs = batches.xs.swapaxes(1, 2) if model.batch_major else batches.xs
    whole = PartitionSpec()
    shares = (
        (PartitionSpec(None, "data") if model.batch_major else PartitionSpec(None, None, "data")),
        PartitionSpec(None, "data"),
    )
    if devices > 1:
        all_steps = jax.shard_map(
            all_steps, mesh=mesh, in_specs=(whole, *shares), out_specs=(whole, whole), check_vma=False
        )
    jitted = jax.jit(all_steps, donate_argnums=0, compiler_options=options or None)

    def placed(tree, share):
        return jax.device_put(tree, NamedSharding(mesh, share) if devices > 1 else mesh.devices[0])

    # Donated buffers must be this run's alone, hence the copies.
    state = placed(jax.tree.map(jnp.array, start(jax.tree.map(jnp.array, model.params))), whole)
    data = [placed(np.ascontiguousarray(array), share) for array, share in zip((xs, batches.ys), shares)]
    compiled: list[Any] = []

    def prepare() -> None:
        if not compiled:
            compiled.append(jitted.lower(state, *data).compile())

    def call() -> float:
        nonlocal state
        prepare()
        state, last = compiled[0](state, *data)
        jax.block_until_ready(state)
        return float(last)

    return Run(call, prepare, count_parameters(model.params), model.note)


def count_parameters(params: Any) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def mean_squared_error(prediction, target):
    """Both (B, 1) -> the loss."""
    return jnp.mean((prediction - target) ** 2)
