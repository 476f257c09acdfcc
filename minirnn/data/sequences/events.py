"""Generated sequences whose class depends on one step, a long way back: what a memory is for."""

from __future__ import annotations

import numpy as np

from minirnn.data.sequences.labelled import Labelled
from minirnn.data.words import DataError


def event_task(
    n: int,
    steps: int | None = None,
    distance: int = 100,
    classes: int = 2,
    seed: int = 0,
    *,
    anywhere: bool = False,
    ragged: bool = False,
) -> Labelled:
    """Noise, in which one marked step carries the class; `distance` more steps follow it, which say nothing.

    Column 0, "mark", is 1 at the marked step and 0 elsewhere. The others, one for each class, are standard normal noise
    at all steps but the marked one: there the column of the class is 1 and those of the other classes are -1. Nothing
    but the marked step depends on the class. The classes are equally frequent.

    Args:
        n: number of sequences.
        steps: T, or the longest T; by default distance + 1, so that the first step is the marked one.
        distance: number of steps after the marked one.
        classes: number of classes, at least 2; the labels are "class 0", "class 1", ...
        seed: of all that is drawn.
        anywhere: `distance` is the least number of steps after the marked one, which may stand anywhere before.
        ragged: lengths are drawn from distance + 1 to `steps`.

    Returns:
        Labelled, its sequences (T, 1 + classes) without times.

    Raises:
        DataError: a number is too small, or the sequences are too short for the distance.

    >>> task = event_task(4, steps=12, distance=10)
    >>> task.labels[3], task.sequences[3].shape, task.sequences[3][1]
    ('class 1', (12, 3), array([ 1., -1.,  1.], dtype=float32))
    """
    steps = distance + 1 if steps is None else steps
    for name, value, least in (("n", n, 1), ("distance", distance, 0), ("classes", classes, 2)):
        if value < least:
            raise DataError(f"{name} is {value}: at least {least} was expected")
    if steps < distance + 1:
        raise DataError(
            f"{steps} steps are too few for a marked step with {distance} after it: at least {distance + 1} are needed"
        )
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.arange(n) % classes)
    lengths = rng.integers(distance + 1, steps + 1, n) if ragged else np.full(n, steps)
    latest = lengths - 1 - distance
    marked = rng.integers(0, latest + 1) if anywhere else latest
    sequences = []
    for kind, length, mark in zip(kinds, lengths, marked):
        noise = rng.standard_normal((length, 1 + classes), dtype=np.float32)  # (T, 1 + classes)
        noise[:, 0] = 0
        noise[mark] = -1
        noise[mark, [0, 1 + kind]] = 1
        sequences.append(noise)
    return Labelled(
        [f"class {kind}" for kind in kinds],
        [f"generated sequence {k}" for k in range(n)],
        sequences,
        columns=("mark", *(f"signal {k}" for k in range(classes))),
        title=f"An event {distance} steps back",
        notes=(f"Generated: one marked step carries the class, {distance}{' or more' if anywhere else ''} follow it.",),
    )
