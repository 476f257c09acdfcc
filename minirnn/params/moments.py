"""What Adam remembers between two updates, the same in both halves and in a model file."""

from __future__ import annotations

from typing import Any, NamedTuple


class Moments(NamedTuple):
    """Number of updates made, and the running means m of gradients and v of their squares, like the weights."""

    steps: int
    m: Any
    v: Any
