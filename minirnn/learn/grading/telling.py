"""Where an answer is wrong, in words that are true: what was returned is compared, and nothing else is called right."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.observing import SINGLE, Observation, distance
from minirnn.learn.grading.probes import Probe
from minirnn.learn.reading import subjects
from minirnn.learn.reading.source import Sources

MOST_NAMES = 5  # that are told in one line
_SOURCES = Sources()
Seen = Mapping[str, Observation]


def is_right(observation: Observation, name: str, right: Mapping[str, np.ndarray]) -> bool:
    """Whether an answer holds an array, and it is right."""
    mine = (observation.answer or {}).get(name)
    return isinstance(mine, np.ndarray) and distance(mine, right[name]) <= observation.bound


def right_names(exercise: Exercise, seen: Seen, on: Probe) -> list[str]:
    """The arrays of an answer that are right in every situation."""
    return [
        name
        for name in next(iter(on.right.values()))
        if name not in exercise.traits and all(is_right(seen[rung], name, on.right[rung]) for rung in seen)
    ]


def first_wrong(exercise: Exercise, seen: Seen, on: Probe) -> tuple[str, str, int | None] | None:
    """(rung, name, t) of the first array of an answer that is not right; t where it is an array over time."""
    for name in next(iter(on.right.values())):
        for rung, observation in seen.items():
            answer, right = observation.answer or {}, on.right[rung]
            if name in answer and not is_right(observation, name, right):
                return rung, name, wrong_step(exercise, name, answer[name], right[name], observation.bound)
    return None


def wrong_step(exercise: Exercise, name: str, mine: Any, right: np.ndarray, bound: float) -> int | None:
    """The step at which a walk through time first goes wrong."""
    if exercise.walk is None or name not in exercise.over_time or np.shape(mine) != np.shape(right):
        return None
    steps = [t for t in range(len(right)) if not distance(mine[t], right[t]) <= bound]
    return (steps[-1] if exercise.walk == "backward" else steps[0]) if steps else None


def where_seen(exercise: Exercise, seen: Seen, on: Probe) -> str:
    """One line that says which array is wrong first."""
    found = first_wrong(exercise, seen, on)
    if found is None:
        changed = sorted({name for observation in seen.values() for name in observation.changed})
        return f"Every number is right, but {changed[0]} was changed." if changed else ""
    rung, name, t = found
    if name in exercise.traits:
        return f"Every number is right, but {exercise.traits[name]}."
    answer, right = seen[rung].answer or {}, on.right[rung]
    text = f"First wrong: {name}{_number(exercise, name)}"
    if t is not None:
        T = len(right[name])
        last = T - 1 if exercise.walk == "backward" else 0
        told = "" if t == last else f" (of {T} steps, walked {exercise.walk}; before that it is right)"
        text += f" at t = {t}{told}"
    relation = relation_of(answer[name], right[name], seen[rung].bound)
    fine = right_names(exercise, seen, on)
    text += (f", {relation}" if relation else "") + (f"; right: {', '.join(fine)}" if fine else "")
    return text if text.endswith("?") else f"{text}."


def where_line(exercise: Exercise, name: str, seen: Seen, on: Probe) -> str:
    """Where the line that computes ``name`` stands among the arrays of an answer that are right or wrong.

    Where the answer does not hold it, the first wrong array is told, in which it is seen.
    """
    found = first_wrong(exercise, seen, on)
    held = all(name in (observation.answer or {}) for observation in seen.values())
    if not held or found is None:
        return where_seen(exercise, seen, on)
    if found[1] != name:
        return f"Also wrong: {name}{_number(exercise, name)}."
    order = list(on.right[found[0]])
    fine = [each for each in right_names(exercise, seen, on) if order.index(each) < order.index(name)]
    right = f"; what is computed before it is right: {', '.join(fine)}" if fine else ""
    return f"First wrong: {name}{_number(exercise, name)}{right}."


def unjudged(exercise: Exercise, judged: Iterable[str], seen: Seen, on: Probe) -> str:
    """A sentence about wrong arrays before the first line that could be judged; empty if there are none."""
    found, names = first_wrong(exercise, seen, on), list(judged)
    order = list(next(iter(on.right.values())))
    if found is None or found[1] in names or not set(names) & set(order):
        return ""
    first = min(order.index(name) for name in names if name in order)
    if order.index(found[1]) > first:
        return ""
    held = next(iter(seen.values())).answer or {}
    missing = [name for name in order[: order.index(found[1])] if name not in held]
    ask = f": return {', '.join(missing[-MOST_NAMES:])} too, and it can be told" if missing else ""
    return f" {found[1]} is wrong before that; which line it comes from cannot be told{ask}."


def relation_of(mine: Any, right: np.ndarray, bound: float = SINGLE) -> str:
    """What a wrong array has to do with the right one, where that is simple."""
    if not isinstance(mine, np.ndarray):
        return "which is no array of numbers"
    if mine.shape != right.shape:
        turned = ", turned round" if mine.shape == right.shape[::-1] else ""
        return f"of shape {mine.shape} instead of {right.shape}{turned}"
    if not np.isfinite(mine).all():
        return "which holds NaN or infinity"
    size = np.linalg.norm(right)
    if size == 0:
        return ""
    if not mine.any():
        return "which is all zero"
    factor = float(np.vdot(right, mine).real / size**2)
    if factor and abs(factor - 1) > 1e-3 and distance(mine, factor * right) <= bound:
        return f"which is {factor:.4g} times the right one"
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1] and distance(mine.T, right) <= bound:
        return "which is the right one transposed"
    if mine.ndim and mine.shape[0] > 1 and distance(mine[::-1], right) <= bound:
        return "which is the right one turned round along its first axis"
    error = distance(mine, right)
    if bound < error <= 1e-4:
        return f"right to {error:.0e} only: is there an epsilon, a finite difference, or single precision in it?"
    return ""


def label_of(exercise: Exercise, name: str) -> str:
    """The label of the line that computes a quantity; empty where there is none."""
    return next((label for label, line in exercise.program.lines.items() if name in line.names), "")


def _number(exercise: Exercise, name: str) -> str:
    label = label_of(exercise, name)
    return f" ({label})" if label in EQUATIONS else ""


@functools.lru_cache(maxsize=512)
def source_of(number: str) -> str:
    """File and line where the NumPy half computes an equation, for those who want to read on; empty if nowhere."""
    if number not in EQUATIONS:
        return ""
    subject, _ = subjects.find(number)
    found = _SOURCES.file(f"readable/{subject}.py").find(number)
    return found[0].place if found else ""
