"""Contexts of symbols as a tree of sorted integers: what n-gram models and taggers count in.

A context grows by one symbol at a level; a node is the number of a context among those of its level. The key of a node
is ``node of the shorter context * base + symbol``: it stays below 2**63 for any length of context, since there are no
more nodes than positions. All positions are walked at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Contexts:
    """The contexts that occur, level by level.

    Args:
      base: symbols are 0 to base - 1.
    """

    def __init__(self, base: int):
        self.base = base
        self.keys: list[np.ndarray] = []

    def grow(self, nodes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Adds a level, every context with one symbol more: nodes (n,) of the last, symbols (n,) -> nodes (n,)."""
        keys, found = np.unique(nodes * self.base + symbols, return_inverse=True)
        self.keys.append(keys)
        return found

    def descend(self, level: int, nodes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """The nodes of longer contexts, level being 0 for the first symbol; -1 where one never occurred."""
        return find(self.keys[level], nodes * self.base + symbols)  # a node of -1 gives a negative key: not found

    def shorter(self, level: int) -> np.ndarray:
        """For each node of a level the node of its context without the last symbol."""
        return self.keys[level] // self.base


def find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The places of wanted (n,) among the sorted keys; -1 where it is none of them."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)


def lay_out(documents: Sequence[np.ndarray], margin: int, outside: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents in one line, ``margin`` symbols ``outside`` before, between and after them.

    Returns:
      The line, and the places (n,) in it of the documents' symbols, in their order.
    """
    lengths = np.array([len(document) for document in documents], np.int64)
    symbols = np.full(lengths.sum() + margin * (len(lengths) + 1), outside, np.int64)
    places = np.arange(lengths.sum()) + np.repeat(margin * np.arange(1, len(lengths) + 1), lengths)
    if len(places):
        symbols[places] = np.concatenate(documents)
    return symbols, places


def integers(documents: Sequence, what: str = "document") -> list[np.ndarray]:
    """Each document as int64 (n,), after a look at what it holds."""
    checked = []
    for i, document in enumerate(documents):
        array = np.asarray(document)
        if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise ValueError(f"{what} {i}: expected integers (n,), got {array.dtype} {array.shape}")
        if array.size and array.min() < 0:
            raise ValueError(f"{what} {i}: expected integers from 0, got {array.min()}")
        checked.append(array.astype(np.int64))
    return checked
