"""Examples to training, validation and test parts: by chance, class by class, or by time."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from minirnn.data.words import DataError, count, quoted

FRACTIONS = (0.7, 0.15, 0.15)
"""Of the examples: those for training, validation and test."""


class Parts(NamedTuple):
    """The examples of each part, by number, in the order of the source."""

    train: np.ndarray  # int64
    validation: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()


def numbered_groups(keys: Iterable[Hashable]) -> np.ndarray:
    """The number of each example's group (n,): examples with equal keys are one group.

    >>> numbered_groups("abac")
    array([0, 1, 0, 2])
    """
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], dtype=np.int64)


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Groups (n,) of examples that are joined by a chain of examples, each in one group with the next in either way.

    >>> joined(np.array([0, 1, 1, 2]), np.array([0, 0, 1, 2]))
    array([0, 0, 0, 1])
    """
    labels = np.arange(len(first))
    while True:  # each pass carries the least number one step further along the chains, in both ways
        before = labels
        for groups in (second, first):
            least = np.full(int(groups.max(initial=-1)) + 1, len(labels))
            np.minimum.at(least, groups, labels)
            labels = least[groups]
        if (labels == before).all():
            return numbered_groups(labels.tolist())


def by_chance(
    groups: np.ndarray, fractions: Sequence[float], seed: int, classes: np.ndarray | None = None, names: Sequence = ()
) -> Parts:
    """Whole groups to parts by chance; with classes, each class by itself, so that every part holds all of them.

    Args:
        groups: (n,) the group of each example; a group is never divided.
        fractions: of the groups, for each part.
        seed: of the shuffle.
        classes: (n,) the class of each example; a group counts as of the class of its first example.
        names: of the classes, for messages.

    Raises:
        DataError: a class has fewer groups than there are parts.
    """
    shares = checked(fractions)
    wanted = int((shares > 0).sum())
    rng = np.random.default_rng(seed)
    _, first = np.unique(groups, return_index=True)
    kinds = np.zeros(len(first), dtype=np.int64) if classes is None else np.asarray(classes)[first]
    part = np.empty(len(first), dtype=np.int64)
    for kind in range(max(len(names), 1)):
        own = np.flatnonzero(kinds == kind)
        if len(own) < wanted:
            what = f"the class {names[kind]!r} has" if len(names) else "there are"
            raise DataError(
                f"{what} only {count(len(own), 'different example')}, but each of the {wanted} parts needs one: "
                "add examples" + (", or leave the class out" if len(names) else "")
            )
        part[rng.permutation(own)] = np.repeat(np.arange(3), _sizes(len(own), shares))
    _, compact = np.unique(groups, return_inverse=True)
    train, validation, test = (np.flatnonzero(part[compact] == k) for k in range(3))
    return Parts(train, validation, test)


def by_time(times: np.ndarray, fractions: Sequence[float]) -> Parts:
    """The earliest examples to the training part, the latest to the test part; equal times stay together.

    Raises:
        DataError: too many examples have the same time.
    """
    shares = checked(fractions)
    order = np.argsort(times, kind="stable")
    ordered = np.asarray(times)[order]
    cuts = np.cumsum(_sizes(len(ordered), shares))[:2]
    cuts = np.array([np.searchsorted(ordered, ordered[cut]) if cut < len(ordered) else cut for cut in cuts])
    parts = [np.sort(part) for part in np.split(order, cuts)]
    if any(len(part) == 0 and share > 0 for part, share in zip(parts, shares)):
        different = len(np.unique(ordered))
        raise DataError(
            f"{count(len(ordered), 'example')} at {count(different, 'different time')} cannot be split by time: "
            'split them by="random"'
        )
    train, validation, test = parts
    return Parts(train, validation, test)


def checked(fractions: Sequence[float]) -> np.ndarray:
    """The fractions of the three parts.

    Raises:
        DataError: they are not three numbers that add up to 1, or leave nothing to train on.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6 or shares[0] == 0:
        raise DataError(
            f"fractions {quoted(tuple(fractions))}: three numbers that add up to 1 were expected, for training, "
            "validation and test, the first one above 0"
        )
    return shares


def _sizes(examples: int, shares: np.ndarray) -> np.ndarray:
    """How many of the examples each part gets (3,): the nearest to its share, and at least one if it has a share."""
    sizes = np.floor(shares * examples + 1e-9).astype(np.int64)
    rest = shares * examples - sizes
    for k in np.argsort(-rest, kind="stable")[: examples - int(sizes.sum())]:
        sizes[k] += 1
    for k in np.flatnonzero((sizes == 0) & (shares > 0)):
        if sizes.max() > 1:
            sizes[np.argmax(sizes)] -= 1
            sizes[k] += 1
    return sizes
