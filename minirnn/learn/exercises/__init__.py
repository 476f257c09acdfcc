"""The exercises, in the order in which one would do them."""

from __future__ import annotations

import difflib
import functools

from minirnn.learn.exercises import broken, jax_gradients, jax_tasks, lengths, recurrent, structure, training, variants
from minirnn.learn.exercises.exercise import Exercise


@functools.cache
def exercises() -> dict[str, Exercise]:
    """Every exercise by name, in the order of learning."""
    rooms = (
        recurrent.EXERCISES[:2],
        (training.GRADIENT_CHECK,),  # once there is a gradient to be checked
        recurrent.EXERCISES[2:],
        training.EXERCISES,
        lengths.EXERCISES,
        structure.EXERCISES,
        broken.EXERCISES,
        variants.EXERCISES,
        jax_tasks.EXERCISES,
        jax_gradients.EXERCISES,
    )
    return {exercise.name: exercise for room in rooms for exercise in room}


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
      KeyError: there is none; the message names the nearest.
    """
    found = exercises().get(name)
    if found is None:
        near = difflib.get_close_matches(name, exercises(), 1, 0.6)
        raise KeyError(f"there is no exercise {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return found


__all__ = ["Exercise", "exercises", "find"]
