"""Where arrays lie: on one device or on every device of a mesh, whole or in blocks that follow each other.

A mesh is a ``jax.sharding.Mesh`` with one axis, ``"data"``; None stands for one device. Windows and weights lie on
every device of it; a batch is cut into equal parts of its rows.

Dimension letters: n windows, K members, S batches (steps), B batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"  # the name of a mesh's only axis
SHARE = 4  # by default the windows may take one part in so many of a device's memory


class Block(NamedTuple):
    """Batches that are computed in one call, on the device."""

    data: Any  # arrays (n, ...)
    batches: jax.Array  # indices of windows (K, S, B)
    counts: jax.Array  # (S, B), True for a window that counts
    steps: jax.Array  # (S,) the number of each batch within the epoch
    kinds: jax.Array  # (S,) which loss is its own, where there are several


def check_mesh(mesh: Mesh | None) -> None:
    """Refuses a mesh with other axes than ``"data"``."""
    if mesh is not None and tuple(mesh.axis_names) != (AXIS,):
        raise ValueError(f"mesh has the axes {tuple(mesh.axis_names)}; expected one axis, {AXIS!r}")


def put(array, mesh: Mesh | None, *spec: str | None) -> jax.Array:
    """An array on every device of a mesh, or cut along the axis at which ``spec`` names the mesh's axis."""
    if mesh is None:
        # jnp.asarray would compile a copy for every shape.
        return array if isinstance(array, jax.Array) else jax.device_put(_narrowed(array))
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    if isinstance(array, jax.Array):
        if array.sharding == sharding:  # one that is merely equivalent would be compiled for once more
            return array
        if not mesh.is_multi_process:
            return jax.device_put(array, sharding)
    array = _narrowed(array)
    # Every process of a mesh holds the whole array and hands its own devices their parts.
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _narrowed(array) -> np.ndarray:
    """The array in the dtype that JAX gives it."""
    array = np.asarray(array)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def default_budget(mesh: Mesh | None = None) -> int:
    """How many bytes of windows are kept on a device: a quarter of its memory.

    A processor does not know its memory: then it is a quarter of the machine's, shared by this process's devices.
    """
    devices = jax.local_devices()[:1] if mesh is None else mesh.local_devices
    stats = devices[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] // SHARE
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // SHARE // len(devices)


def place(data, mesh: Mesh | None = None, budget_bytes: int | None = None):
    """Arrays (n, ...), any tree of them, on the devices; the same NumPy arrays where they exceed the budget."""
    if _waiting(data) > (default_budget(mesh) if budget_bytes is None else budget_bytes):
        return data
    return everywhere(data, mesh)


def everywhere(tree, mesh: Mesh | None = None):
    """Arrays, any tree of them, on every device, whatever their size."""
    return jax.tree.map(lambda array: put(array, mesh), tree)


def _waiting(data) -> int:
    """Bytes of the arrays that lie on no device yet."""
    return sum(array.nbytes for array in jax.tree.leaves(data) if not isinstance(array, jax.Array))


def blocks(data, batches, counts, kinds, mesh: Mesh | None, budget_bytes: int | None) -> Iterator[Block]:
    """Cuts an epoch into blocks of consecutive batches that fit on the device: one, where all windows fit.

    The rows of a block are gathered when it is asked for: ask for the next one while the last one is being computed.
    At most two lie on the device at a time.
    """
    budget = default_budget(mesh) if budget_bytes is None else budget_bytes
    batches, counts = np.asarray(batches, np.int32), np.asarray(counts) != 0
    K, S, B = batches.shape
    kinds = np.zeros(S, np.int32) if kinds is None else np.asarray(kinds, np.int32)
    filler = 0 if mesh is None else -B % mesh.size  # rows that count for nothing, so that all devices get as many
    # They repeat a row of the batch itself: one from elsewhere might hold NaN, and zero times NaN is NaN.
    batches = np.pad(batches, ((0, 0), (0, 0), (0, filler)), mode="edge")
    counts = np.pad(counts, ((0, 0), (0, filler)))

    def block(rows, order, counts, first):
        return Block(
            rows,
            put(order, mesh, None, None, AXIS),
            put(counts, mesh, None, AXIS),
            put(np.arange(first, first + len(counts), dtype=np.int32), mesh),
            put(kinds[first : first + len(counts)], mesh),
        )

    if _waiting(data) <= budget:
        yield block(place(data, mesh, budget), batches, counts, 0)
        return
    arrays = jax.tree.leaves(data)
    row = sum(array.nbytes // len(array) for array in arrays)
    number = -(-S // max(1, budget // (2 * K * B * row)))
    size = -(-S // number)  # all blocks are equally long, so that one program computes them
    excess = number * size - S  # batches that count for nothing
    batches, counts = np.pad(batches, ((0, 0), (0, excess), (0, 0))), np.pad(counts, ((0, excess), (0, 0)))
    kinds = np.pad(kinds, (0, excess))
    for first in range(0, number * size, size):
        order = batches[:, first : first + size]
        # Each row once, in the order of the file, which is how a disk likes to be read.
        chosen, place_of = np.unique(order, return_inverse=True)
        chosen = np.pad(chosen, (0, order.size - len(chosen)), mode="edge")
        rows = jax.tree.map(lambda array: put(np.asarray(np.take(array, chosen, axis=0)), mesh), data)
        yield block(rows, place_of.reshape(order.shape).astype(np.int32), counts[first : first + size], first)
