"""The catalogue of wrong derivations: what people write instead of the right line, and why it is wrong.

An entry replaces labelled lines of a worked answer (:mod:`minirnn.learn.programs`). What it leads to is computed by
running it: so the catalogue recognises a mistake by its numbers, and makes wrong answers to test the grader with.
"""

from __future__ import annotations

import functools

from minirnn.learn.mistakes import general, gru, gru_reset_before, jax_tasks, lstm, structure, training
from minirnn.learn.mistakes.mistake import Mistake

CATALOGUE: tuple[Mistake, ...] = (
    *lstm.MISTAKES,
    *gru.MISTAKES,
    *gru_reset_before.MISTAKES,
    *general.MISTAKES,
    *training.MISTAKES,
    *structure.MISTAKES,
    *jax_tasks.MISTAKES,
)
FAMILIES = {
    "lstm": "the LSTM",
    "gru": "the GRU that resets after the product",
    "gru_reset_before": "the GRU that resets before the product",
    "general": "every network",
}


@functools.cache
def by_id() -> dict[str, Mistake]:
    """Every entry by its id."""
    return {mistake.id: mistake for mistake in CATALOGUE}


@functools.cache
def of_exercise(name: str) -> tuple[Mistake, ...]:
    """The entries that can happen in an exercise, in the order of the catalogue."""
    return tuple(mistake for mistake in CATALOGUE if name in mistake.where)


__all__ = ["CATALOGUE", "FAMILIES", "Mistake", "by_id", "of_exercise"]
