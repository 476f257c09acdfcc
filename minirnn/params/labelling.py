"""What a network that labels sequences reads: the sequences of a data set, laid end to end, and their labels.

Dimension letters: n sequences, N steps of all of them, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from minirnn.params.cells import Array


@dataclass(frozen=True)
class Labelling:
    """A network whose outputs are the logits of classes, and the lengths of the batches it is trained on.

    Args:
      network: a ``Network``, or a ``Spelled``: gives C numbers for each sequence, or for each step (``read="steps"``).
      sizes: T of each kind of batch, the steps to which its sequences are padded.
    """

    network: Any
    sizes: tuple[int, ...] = ()

    @property
    def by_step(self) -> bool:
        """Whether every step has a label of its own."""
        return bool(self.network.read == "steps")


class Labelled(NamedTuple):
    """Sequences with one label each. Sequence i is ``values[starts[i] : starts[i] + lengths[i]]``."""

    starts: Array  # (n,)
    lengths: Array  # (n,)
    labels: Array  # (n,) integers from 0 to C - 1
    weights: Array  # (n,)
    values: Any  # a tree of arrays (N, ...)


class Tagged(NamedTuple):
    """Sequences with one label for each step: those from ``first`` to ``stop`` count, what lies around is context."""

    starts: Array  # (n,)
    lengths: Array  # (n,)
    first: Array  # (n,) within the sequence
    stop: Array  # (n,)
    values: Any  # a tree of arrays (N, ...)
    labels: Array  # (N,) integers from 0 to C - 1, or -1 where there is none
