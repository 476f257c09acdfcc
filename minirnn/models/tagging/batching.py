"""Which windows share batches, and what the padding of these costs."""

from __future__ import annotations

import numpy as np

from minirnn.data.sequences import ragged
from minirnn.params import Tagged

_ENOUGH = 0.15  # padded steps for each real one that no further length of batches, to be compiled, has to save
_LENGTHS = 4  # of the validation: each is compiled, and read once in an epoch
_READ = 64  # windows that are read together there


def bucketed(lengths: np.ndarray, batch_size: int) -> ragged.Buckets:
    """The buckets of the training."""
    return ragged.bucketed(lengths, batch_size, enough=_ENOUGH)


def portions(data: Tagged) -> tuple[Tagged, ...]:
    """The windows in parts of about equal length, for the validation: few, since each length is compiled."""
    buckets = ragged.bucketed(data.lengths, _READ, most=_LENGTHS)
    rows = [np.flatnonzero(buckets.kinds == kind) for kind in range(len(buckets.sizes))]
    return tuple(data._replace(**{name: getattr(data, name)[each] for name in data._fields[:4]}) for each in rows)


def padding(lengths: np.ndarray, buckets: ragged.Buckets) -> tuple[float, float] | None:
    """Padded steps for each real one, in buckets and in shuffled batches, each as long as its longest sequence.

    Rows that fill up a last batch count in both. None where there is one bucket alone.
    """
    if len(buckets.sizes) == 1:
        return None
    mixed = np.random.default_rng(0).permutation(lengths)
    computed = sum(int(mixed[k : k + buckets.batch_size].max()) for k in range(0, len(mixed), buckets.batch_size))
    return buckets.padding(lengths), computed * buckets.batch_size / max(int(lengths.sum()), 1) - 1
