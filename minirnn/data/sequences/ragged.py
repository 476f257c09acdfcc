"""Sequences of unequal length, laid end to end, and the batches of them that waste little on padding.

A batch is as long as its longest sequence: whatever the others lack is padding, which is computed and thrown away. So
sequences of about the same length share a batch. For compiled code every length is a program of its own; that is why
there are few lengths, the buckets', and not one for each batch.

Dimension letters: n sequences, N steps of all of them, M lengths of a sequence (two of a pair), K members, S batches,
B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

MOST_BUCKETS = 10
ENOUGH = 0.1  # padded steps for each real one that no further bucket has to save
_CANDIDATES = 200  # places where a bucket may end


class Ragged(NamedTuple):
    """Sequences laid end to end: sequence i is ``values[starts[i] : starts[i] + lengths[i]]``."""

    values: np.ndarray  # (N, ...)
    starts: np.ndarray  # (n,)
    lengths: np.ndarray  # (n,)


def ragged(sequences: Sequence[Any], dtype: Any = None) -> Ragged:
    """Lays sequences (T_i, ...) end to end.

    >>> ragged([[1, 2, 3], [], [4]]).starts
    array([0, 3, 3], dtype=int32)
    """
    arrays = [np.asarray(sequence, dtype) for sequence in sequences]
    lengths = np.array([len(array) for array in arrays], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32) if len(arrays) else lengths
    full = [array for array in arrays if len(array)]
    values = np.concatenate(full) if full else np.zeros(0, dtype or np.float32)
    return Ragged(values, starts, lengths)


@dataclass(frozen=True)
class Buckets:
    """Which sequences share batches.

    Args:
      sizes: of each bucket, the lengths to which its sequences are padded, (M,) each; the shortest bucket first.
      kinds: (n,) the bucket of each sequence.
      batch_size: B.
    """

    sizes: tuple[tuple[int, ...], ...]
    kinds: np.ndarray
    batch_size: int

    def padding(self, lengths: np.ndarray) -> float:
        """Padded steps for each real one in an epoch, rows that fill a batch up among them."""
        lengths = _columns(lengths)
        counts = np.bincount(self.kinds, minlength=len(self.sizes))
        rows = -(-counts // self.batch_size) * self.batch_size
        computed = sum(int(count) * sum(size) for count, size in zip(rows, self.sizes))
        real = int(lengths.sum())
        return (computed - real) / max(real, 1)


def bucketed(lengths: np.ndarray, batch_size: int, most: int = MOST_BUCKETS, enough: float = ENOUGH) -> Buckets:
    """As few buckets as keep the padding below ``enough``, or the best ``most`` of them.

    Sequences are sorted by length. Buckets end where a batch ends, so that one batch at most, the shortest, has to be
    filled up; where exactly is a shortest path, found by dynamic programming.

    Args:
      lengths: (n,), or (n, M) where each sequence has several parts.
      batch_size: B at most: batches are made equal in size.
      most: buckets at most.
      enough: padded steps for each real one.

    >>> found = bucketed(np.array([3, 90, 4, 100, 5, 95]), batch_size=3)
    >>> found.sizes, found.kinds
    (((5,), (100,)), array([0, 1, 0, 1, 0, 1], dtype=int32))
    """
    lengths = _columns(lengths)
    n = len(lengths)
    if not n:
        return Buckets((), np.zeros(0, np.int32), batch_size)
    B = -(-n // -(-n // batch_size))  # as many batches, of nearly equal size: the fewest rows fill one up
    order = np.lexsort((*lengths.T[::-1], lengths.sum(axis=1)))  # by the whole length, then by each
    ends = np.unique(np.r_[n % B or B, np.arange(n, 0, -B)[::-1]])  # sequences up to the end of each batch
    if len(ends) > _CANDIDATES:
        ends = np.unique(ends[np.linspace(0, len(ends) - 1, _CANDIDATES).round().astype(int)])
    sizes, cuts = _cut(lengths[order], ends, B, most, enough)
    kinds = np.empty(n, np.int32)
    kinds[order] = np.searchsorted(cuts, np.arange(n), side="right")
    return Buckets(sizes, kinds, B)


def _cut(
    lengths: np.ndarray, ends: np.ndarray, batch_size: int, most: int, enough: float
) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
    """Sizes of the buckets of sorted lengths (n, M), and how many sequences lie before the end of each."""
    starts = np.r_[0, ends[:-1]]
    count = len(ends)
    largest = np.stack([lengths[a:b].max(axis=0) for a, b in zip(starts, ends)])  # (batches or so, M)
    # cost[i, j]: steps of one bucket from candidate i to candidate j.
    cost = np.full((count, count), np.inf)
    for i in range(count):
        reach = np.maximum.accumulate(largest[i:], axis=0).sum(axis=1)
        rows = -(-(ends[i:] - starts[i]) // batch_size) * batch_size
        cost[i, i:] = reach * rows
    best, back = cost[0], [np.zeros(count, int)]
    allowed = (1 + enough) * max(int(lengths.sum()), 1)
    while len(back) < most and best[-1] > allowed:
        through = best[:-1, None] + cost[1:]  # the last bucket begins after candidate i
        if count < 2 or through[:, -1].min() >= best[-1]:
            break
        back.append(np.r_[0, through[:, 1:].argmin(axis=0) + 1] if count > 1 else back[0])
        best = np.r_[np.inf, through[:, 1:].min(axis=0)]
    firsts: list[int] = []
    j = count - 1
    for first in reversed(back):
        firsts.append(int(first[j]) if len(firsts) < len(back) - 1 else 0)
        j = firsts[-1] - 1
    firsts.reverse()
    lasts = [*(first - 1 for first in firsts[1:]), count - 1]
    sizes = tuple(
        tuple(int(size) for size in largest[first : last + 1].max(axis=0)) for first, last in zip(firsts, lasts)
    )
    return sizes, ends[lasts]


def batches(rng: np.random.Generator, buckets: Buckets, members: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shuffled indices of sequences (K, S, B), counts (S, B) and kinds (S,) of an epoch.

    Every batch is of one bucket; counts are 0 where a batch had to be filled up. Batches of all buckets are mixed.
    """
    B = buckets.batch_size
    orders: list[list[np.ndarray]] = [[] for _ in range(members)]
    counts, kinds = [], []
    for kind in range(len(buckets.sizes)):
        rows = np.flatnonzero(buckets.kinds == kind)
        steps = -(-len(rows) // B)
        counts.append((np.arange(steps * B) < len(rows)).astype(np.float32).reshape(steps, B))
        kinds.append(np.full(steps, kind, np.int32))
        for order in orders:
            mixed = rng.permutation(rows)
            order.append(np.resize(mixed, steps * B).reshape(steps, B))
    turns = rng.permutation(sum(map(len, counts)))
    rows_of = np.stack([np.concatenate(order)[turns] for order in orders])
    return rows_of, np.concatenate(counts)[turns], np.concatenate(kinds)[turns]


def _columns(lengths: np.ndarray) -> np.ndarray:
    lengths = np.asarray(lengths)
    return lengths[:, None] if lengths.ndim == 1 else lengths
