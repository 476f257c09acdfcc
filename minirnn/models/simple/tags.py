"""The tag of each symbol from its neighbours alone: what a tagger that reads the whole text has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirnn.models.simple.contexts import Contexts, integers, lay_out


class NgramTagger:
    """The most frequent tag of a symbol between its neighbours: (n - 1) / 2 to the left, as many to the right.

    Where these neighbours were never seen in training, those of n - 2, n - 4, ... down to the symbol alone, and at last
    the most frequent tag of all. Of tags that are equally frequent, the one with the smallest number. Beyond the ends
    of a document stands a symbol of its own.

    Args:
      n: symbols that are read, an odd number.

    >>> tagger = NgramTagger(n=3).fit([[5, 6, 7], [8, 6, 7]], [[0, 1, 0], [0, 2, 0]])
    >>> tagger.predict([[8, 6, 7], [9, 6, 7]])  # 9 was never seen: 6 alone is tagged
    [array([0, 2, 0]), array([0, 1, 0])]
    """

    def __init__(self, n: int = 7):
        if n < 1 or n % 2 == 0:
            raise ValueError(f"n: expected an odd number of symbols, got {n}")
        self.n = n

    @property
    def title(self) -> str:
        """For tables."""
        return f"{self.n}-gram majority"

    @property
    def _offsets(self) -> list[int]:
        """Whose symbol each level of the contexts adds: 0, -1, 1, -2, 2, ..."""
        return [0, *(offset for k in range(1, self.n // 2 + 1) for offset in (-k, k))]

    def fit(self, sequences: Sequence[np.ndarray], tags: Sequence[np.ndarray]) -> NgramTagger:
        """Counts. sequences: integers (T,) for each document; tags: integers (T,) for each."""
        sequences, tags = integers(sequences, "sequence"), integers(tags, "tags of sequence")
        if len(sequences) != len(tags):
            raise ValueError(f"{len(sequences):,} sequences, but {len(tags):,} sequences of tags")
        for i, (symbols, own) in enumerate(zip(sequences, tags)):
            if len(symbols) != len(own):
                raise ValueError(f"sequence {i} has {len(symbols):,} symbols, but {len(own):,} tags")
        if not sum(map(len, sequences)):
            raise ValueError("there is no symbol to learn from")
        self._size = max(int(s.max()) for s in sequences if len(s)) + 1
        line, places = lay_out(sequences, self.n // 2, outside=self._size)
        y = np.concatenate(tags)
        kinds = int(y.max()) + 1
        self._contexts = Contexts(self._size + 2)  # and one for what stands outside, one for what is new
        nodes = np.zeros(len(places), np.int64)
        self._tags = [_majority(nodes, y, kinds)]  # (nodes,) for none of the symbols, one, three, five, ...
        for level, offset in enumerate(self._offsets):
            nodes = self._contexts.grow(nodes, line[places + offset])
            if level % 2 == 0:
                self._tags.append(_majority(nodes, y, kinds))
        return self

    def predict(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tags (T,) of each document (T,); symbols that training did not hold may occur."""
        sequences = integers(sequences, "sequence")
        lengths = [len(s) for s in sequences]
        new = [np.where(s < self._size, s, self._size + 1) for s in sequences]
        line, places = lay_out(new, self.n // 2, outside=self._size)
        nodes = np.zeros(len(places), np.int64)
        found = np.repeat(self._tags[0], len(places))
        for level, offset in enumerate(self._offsets):
            nodes = self._contexts.descend(level, nodes, line[places + offset])
            if level % 2 == 0:
                found = np.where(nodes >= 0, self._tags[level // 2 + 1][nodes], found)
        return np.split(found, np.cumsum(lengths)[:-1]) if lengths else []


def _majority(nodes, tags, kinds) -> np.ndarray:
    """The most frequent tag of each node, nodes (n,) and tags (n,) by position -> (nodes,)."""
    pairs, counts = np.unique(nodes * kinds + tags, return_counts=True)
    starts = np.flatnonzero(np.diff(pairs // kinds, prepend=-1))
    # The largest count, and among equals the smallest tag: one number that holds both.
    best = np.maximum.reduceat(counts * kinds + (kinds - 1 - pairs % kinds), starts)
    return kinds - 1 - best % kinds
