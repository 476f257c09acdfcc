"""The examples of one part, as simpler models read them and reports speak of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.models.classifying.encoders import Numbers
from minirnn.models.classifying.jobs import Job

NAMES = ("train", "validation", "test")


class Part(NamedTuple):
    """Some of the examples.

    Args:
      examples: sequences (T, D), standardised and without missing values, or texts.
      labels: (n,) integers from 0 to C - 1.
      times: (n,) of the examples, or None.
      about: how much it holds, in words and numbers.
    """

    examples: list
    labels: np.ndarray
    times: np.ndarray | None
    about: dict[str, Any]


def of(job: Job) -> dict[str, Part]:
    """The parts by name."""
    return {name: _part(job, getattr(job.parts, name)) for name in NAMES}


def _part(job: Job, rows: np.ndarray) -> Part:
    examples = [job.data.examples[row] for row in rows]
    if isinstance(job.encoder, Numbers) and examples:
        examples = job.encoder.standardised(examples)
    about: dict[str, Any] = {"examples": len(rows), "steps": int(job.encoded.lengths[rows].sum())}
    times = None if job.data.times is None else job.data.times[rows]
    if times is not None and len(times):
        about |= {"start": _day(times.min()), "end": _day(times.max())}
    return Part(examples, job.labels[rows], times, about)


def _day(time: np.datetime64) -> str:
    """A time, without the clock where it is midnight."""
    return str(time.astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")
