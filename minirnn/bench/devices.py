"""How many devices share a minibatch.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import importlib
import importlib.util

from minirnn.bench.task import Shape


def divisor(batch_size: int, available: int) -> int:
    """The most devices that can share a batch equally.

    >>> divisor(20, 2), divisor(20, 8), divisor(1, 2)
    (2, 5, 1)
    """
    return max(n for n in range(1, available + 1) if batch_size % n == 0)


def devices_for(shape: Shape, available: int) -> int:
    """How many minirnn's command would use for this shape by itself."""
    B, T, D, H = shape
    if importlib.util.find_spec("minirnn.fast.devices"):
        count: int = importlib.import_module("minirnn.fast.devices").devices_for(B, T, D, H, available)
        return divisor(B, count)
    # A device must have enough work between two meetings.
    return divisor(B, available) if B * H >= 4096 else 1
