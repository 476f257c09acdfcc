"""The most probable tags of many sequences, of those that IOB2 allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minirnn.data.sequences.spans import LabelSet, decode

_MOST = 400_000  # steps that are decoded together, padding among them


def best(log_probabilities: Sequence[np.ndarray], labels: LabelSet) -> list[np.ndarray]:
    """The most probable valid tags of each sequence: (T, L) each -> int32 (T,) each.

    Where the most probable tag of each step makes a valid sequence, nothing can be more probable. For the other
    sequences :func:`minirnn.data.sequences.spans.decode` finds it, those of about the same length side by side.
    """
    found = [scores.argmax(axis=1).astype(np.int32) for scores in log_probabilities]
    rest = [k for k, tags in enumerate(found) if not valid(tags, labels)]
    rest.sort(key=lambda k: -len(found[k]))
    while rest:
        T = len(found[rest[0]])
        together = [k for k in rest[: max(1, _MOST // T)] if len(found[k]) > T // 2]
        lengths = np.array([len(found[k]) for k in together])
        padded = np.zeros((T, len(together), labels.size))
        for b, k in enumerate(together):
            padded[: lengths[b], b] = log_probabilities[k]
        tags = decode(padded, labels.allowed, lengths)
        for b, k in enumerate(together):
            found[k] = tags[: lengths[b], b]
        rest = rest[len(together) :]
    return found


def nearest(tags: Sequence[np.ndarray], labels: LabelSet) -> list[np.ndarray]:
    """Tags (T,) that may be no valid sequences -> valid ones that differ from them in as few steps as possible."""
    return best([(each[:, None] == np.arange(labels.size)).astype(np.float64) - 1 for each in tags], labels)


def valid(tags: np.ndarray, labels: LabelSet) -> bool:
    """Whether each tag may follow the one before it."""
    before = np.concatenate([[labels.size], tags[:-1]])
    return bool(labels.allowed[before, tags].all())
