"""The training source that is most like a new one: by the short runs of symbols that they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST = 3  # symbols of a run


def nearest(known: Sequence[np.ndarray], new: Sequence[np.ndarray]) -> list[int]:
    """For each new sequence (T,) of symbols the number of the known one that shares most with it.

    By Dice's coefficient of their different runs of one to three symbols: twice the shared ones over all. Of equally
    near ones it is the first.

    >>> nearest([np.array([5, 6, 7]), np.array([7, 6, 5])], [np.array([6, 7])])
    [0]
    """
    sizes = np.array([len(_runs(sequence)) for sequence in known])
    owners: dict[tuple[int, ...], list[int]] = {}
    for row, sequence in enumerate(known):
        for run in _runs(sequence):
            owners.setdefault(run, []).append(row)
    arrays = {run: np.array(rows) for run, rows in owners.items()}
    found = []
    for sequence in new:
        runs = _runs(sequence)
        having = [arrays[run] for run in runs if run in arrays]
        shared = np.bincount(np.concatenate(having), minlength=len(known)) if having else np.zeros(len(known), int)
        found.append(int((2 * shared / (sizes + len(runs))).argmax()))
    return found


def _runs(sequence: np.ndarray) -> set[tuple[int, ...]]:
    symbols = tuple(sequence.tolist())
    return {symbols[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(symbols) - n + 1)}
