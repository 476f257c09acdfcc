"""N-gram models of symbols: how probable the next one is after the few before it, by interpolated counts.

With h a context, h' the same without its oldest symbol, w the next symbol and c(h w) how often it followed, both
smoothings have the form

    p(w | h) = kept(h w) + rest(h) p(w | h'),        and after the empty context p = kept + rest / V,

where V is the number of symbols: what a context takes from those it saw, it gives to the shorter one (Chen and Goodman
1999). A context that never occurred has rest = 1. Probabilities sum to 1 over the V symbols after any context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minirnn.models.scores.texts import bits_per_character
from minirnn.models.simple.contexts import Contexts, find, integers, lay_out

TITLES = {"witten-bell": "Witten-Bell", "kneser-ney": "Kneser-Ney"}


class Level(NamedTuple):
    """Contexts of one length."""

    pairs: np.ndarray  # (P,) sorted: node of the context * V + next symbol, of all that occurred
    kept: np.ndarray  # (P,) float64
    rest: np.ndarray  # (nodes,) float64


def _witten_bell(counts, nodes, size):
    """With n(h) symbols seen after h, t(h) of them different: kept = c / (n + t), rest = t / (n + t)."""
    total = np.bincount(nodes, counts, size) + np.bincount(nodes, minlength=size)
    return counts / total[nodes], np.bincount(nodes, minlength=size) / total


def discounts(counts: np.ndarray) -> np.ndarray:
    """D(1), D(2), D(3 and more) from how many pairs occur once, twice, three and four times (Chen and Goodman 1999).

    Where these are too few for estimates between 0 and the count itself, 0.5, 1 and 1.5 as in KenLM.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(float)
    if min(n1, n2, n3, n4) > 0:
        y = n1 / (n1 + 2 * n2)
        found = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
        if (found > 0).all() and (found <= [1, 2, 3]).all():
            return found
    return np.array([0.5, 1.0, 1.5])


def _kneser_ney(counts, nodes, size):
    """Of n(h) symbols seen after h: kept = (c - D(c)) / n, rest = the sum of D(c) over what followed h / n."""
    taken = discounts(counts)[np.minimum(counts, 3) - 1]
    total = np.bincount(nodes, counts, size)
    return (counts - taken) / total[nodes], np.bincount(nodes, taken, size) / total


class NgramModel:
    """An interpolated n-gram model of integer documents.

    Args:
      order: symbols of an n-gram, so order - 1 of context. Before a document's first symbol stands one of its own.
      smoothing: "witten-bell", or "kneser-ney": modified, with three discounts for each length, and for all but the
        longest contexts the number of different symbols before an n-gram in place of its count.

    >>> model = NgramModel(order=2).fit([[1, 2, 1, 2, 1]], size=3)
    >>> model.distribution([1]).round(3)
    array([0.032, 0.175, 0.794])
    """

    def __init__(self, order: int = 5, smoothing: str = "witten-bell"):
        if order < 1:
            raise ValueError(f"order: expected at least 1, got {order}")
        if smoothing not in TITLES:
            raise ValueError(f"smoothing: expected one of {', '.join(TITLES)}, got {smoothing!r}")
        self.order = order
        self.smoothing = smoothing

    @property
    def title(self) -> str:
        """For tables."""
        return f"{self.order}-gram, {TITLES[self.smoothing]}"

    def fit(self, documents: Sequence[np.ndarray], size: int | None = None) -> NgramModel:
        """Counts.

        Args:
          documents: integers (n,) each.
          size: V, the number of symbols, those included that stand for what is unknown or never occurs; where it is
            not given, what the largest symbol says.
        """
        documents = integers(documents)
        if not sum(map(len, documents)):
            raise ValueError("there is no symbol to learn from")
        self._size = max(int(d.max()) for d in documents if len(d)) + 1 if size is None else size
        self._check(documents)
        line, places = lay_out(documents, self.order - 1, outside=self._size)
        self._contexts = Contexts(self._size + 1)
        nodes = np.zeros(len(places), np.int64)
        for k in range(1, self.order):
            nodes = self._contexts.grow(nodes, line[places - k])
        pairs, counts = np.unique(nodes * self._size + line[places], return_counts=True)
        smooth = _witten_bell if self.smoothing == "witten-bell" else _kneser_ney
        levels = []
        for k in reversed(range(self.order)):  # symbols of context
            nodes = pairs // self._size
            levels.append(Level(pairs, *smooth(counts, nodes, nodes[-1] + 1)))
            if k:
                shorter = self._contexts.shorter(k - 1)[nodes] * self._size + pairs % self._size
                pairs, places_of = np.unique(shorter, return_inverse=True)
                # Kneser-Ney counts an n-gram once for each symbol that it was seen after.
                weights = counts if self.smoothing == "witten-bell" else None
                counts = np.bincount(places_of, weights).astype(np.int64)
        self._levels = levels[::-1]
        return self

    def _check(self, documents) -> None:
        for i, document in enumerate(documents):
            if len(document) and document.max() >= self._size:
                raise ValueError(
                    f"document {i}: {document.max()} is no symbol of {self._size}; "
                    "let one symbol stand for all that are unknown"
                )

    def _probabilities(self, line, places, symbols) -> np.ndarray:
        """Of symbols (n,) after what stands in the line before places (n,)."""
        p = np.full(len(places), 1 / self._size)
        nodes = np.zeros(len(places), np.int64)
        for k, level in enumerate(self._levels):
            if k:
                nodes = self._contexts.descend(k - 1, nodes, line[places - k])
            at = find(level.pairs, nodes * self._size + symbols)
            p = np.where(nodes >= 0, np.where(at >= 0, level.kept[at], 0.0) + level.rest[nodes] * p, p)
        return p

    def _of_documents(self, documents) -> np.ndarray:
        documents = integers(documents)
        self._check(documents)
        line, places = lay_out(documents, self.order - 1, outside=self._size)
        return np.log(self._probabilities(line, places, line[places]))

    def log_probabilities(self, document: np.ndarray) -> np.ndarray:
        """Of each symbol of a document (n,) given those before it, in nats; (n,) float64."""
        return self._of_documents([document])

    def distribution(self, context: np.ndarray) -> np.ndarray:
        """The probabilities (V,) of the next symbol of a document that begins with ``context`` (n,), n = 0 included."""
        documents = integers([context])
        self._check(documents)
        line, _ = lay_out(documents, max(self.order - 1, 1), outside=self._size)
        end = np.full(self._size, len(line) - max(self.order - 1, 1))
        return self._probabilities(line, end, np.arange(self._size))

    def bits(self, documents: Sequence[np.ndarray]) -> float:
        """Bits per symbol of documents: the mean of -log2 p."""
        found = self._of_documents(documents)
        return bits_per_character(-float(found.sum()), len(found))
