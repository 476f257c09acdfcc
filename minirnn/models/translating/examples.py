"""Pairs as arrays: laid end to end, in buckets, with symbols that are not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirnn.data.sequences.ragged import bucketed, ragged
from minirnn.data.sequences.vocabulary import UNKNOWN
from minirnn.models.translating.codecs import END
from minirnn.params import Translated

REPEATED, HIDDEN = 0.05, 0.1  # of the training pairs; of the source symbols of such a pair
TOGETHER = 256  # pairs that are validated at a time


def laid(sources: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> Translated:
    """Sources (S,) and targets (T,) as they are trained on: each target closed by the end symbol."""
    left = ragged(sources, np.int32)
    right = ragged([np.append(target, END) for target in targets], np.int32)
    return Translated(left.starts, left.lengths, right.starts, right.lengths, left.values, right.values)


def lengths_of(data: Translated) -> np.ndarray:
    """The lengths of sources and targets (n, 2)."""
    return np.stack([data.source_lengths, data.target_lengths], axis=1)


def with_unknown(
    sources: list[np.ndarray], targets: list[np.ndarray], seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The pairs, and one in twenty a second time with a tenth of its source symbols unknown, at least one.

    So the network learns what to make of symbols that it does not know, and still sees every pair as it is.
    """
    rng = np.random.default_rng([seed, 2])
    chosen = rng.permutation(len(sources))[: round(REPEATED * len(sources))]
    copies = []
    for row in chosen:
        copy = sources[row].copy()
        copy[rng.permutation(len(copy))[: max(1, round(HIDDEN * len(copy)))]] = UNKNOWN
        copies.append(copy)
    return [*sources, *copies], [*targets, *(targets[row] for row in chosen)]


def portions(data: Translated) -> tuple[Translated, ...]:
    """The pairs in parts of about the same lengths, so that padding costs little."""
    buckets = bucketed(lengths_of(data), TOGETHER, most=4)
    rows = [np.flatnonzero(buckets.kinds == kind) for kind in range(len(buckets.sizes))]
    names = ("source_starts", "source_lengths", "target_starts", "target_lengths")
    return tuple(
        data._replace(**{name: getattr(data, name)[chosen] for name in names}) for chosen in rows if len(chosen)
    )
