"""What is wrong in the derivation of a cell that nobody here has derived.

The right gradients are known as numbers. So the first wrong quantity can be named; which of the ways that lead back to
it is missing, since what comes back on each way is known as well; and what the student's own line computes. The right
line cannot be told: it is written down nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.lines import Wrong, read_formula
from minirnn.learn.grading.observing import SINGLE, distance
from minirnn.learn.grading.probes import Probe, probe
from minirnn.learn.grading.result import Finding
from minirnn.learn.grading.telling import first_wrong, where_seen
from minirnn.learn.programs import Statement

_TIMES = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5)  # how often a way may have been counted


def explain(exercise: Exercise, function: Callable[..., Any], seed: int) -> Finding:
    """The first wrong quantity of an answer, the way back that is wrong, and the formula that was written.

    Args:
      exercise: without a worked answer.
      function: the answer.
      seed: of the probes.
    """
    probes = [probe(exercise, seed, number) for number in (0, 1)]
    seen = [on.see(function) for on in probes]
    where = where_seen(exercise, seen[0], probes[0])
    found = first_wrong(exercise, seen[0], probes[0])
    if found is None:
        return Finding("", "unknown", "", "", where)
    rung, name, _ = found
    answers = [each[rung].answer or {} for each in seen]
    values = [value for answer in answers if isinstance(value := answer.get(name), np.ndarray)]
    term, formula = "", ""
    if len(values) == len(probes) and exercise.upstream:
        term = wrong_ways(exercise, name, values, probes)
        text = _formula(exercise, name, values, answers, function, probes)
        if text is not None:
            formula = f"{name} = {text}"
            term = term or "what you wrote is, by its numbers, the formula below."
    if not term:
        held = next(iter(seen[0].values())).answer or {}
        missing = [each for each in probes[0].right[rung] if each not in held]
        term = "no more can be told of it than the place."
        if missing:
            term += f" Return {', '.join(missing[:6])} too, and it may be."
    return Finding("", "read back" if formula else "unknown", name, "", where, term, formula)


def wrong_ways(exercise: Exercise, name: str, values: Sequence[np.ndarray], probes: Sequence[Probe]) -> str:
    """Which ways back to a quantity an answer has left out, or counted otherwise than once; empty if no such is found.

    Args:
      exercise: with ``ways``.
      name: of the gradient.
      values: what the answer has for it, for each probe.
      probes: where it was tried.
    """
    if exercise.ways is None:
        return ""
    told = []
    for value, on in zip(values, probes):
        ways = exercise.ways(next(iter(on.cases.values())), name)
        parts = np.stack([way.part.ravel() for way in ways], axis=1)
        if np.shape(value) != ways[0].part.shape or len(ways) < 2 or np.linalg.matrix_rank(parts) < len(ways):
            return ""
        times = np.linalg.lstsq(parts, value.ravel().astype(float), rcond=None)[0]
        nearest = [min(_TIMES, key=lambda number: abs(number - each)) for each in times]
        if not distance(parts @ nearest, value.ravel()) <= SINGLE:
            return ""
        if len(set(nearest)) == 1:
            words = "all of them" + _counted(nearest[0]).replace("has", "have").replace("is", "are")
        else:
            wrong = [(way, number) for way, number in zip(ways, nearest) if number != 1]
            words = ", ".join(f"the one through {way.words}{_counted(number)}" for way, number in wrong)
        told.append(f"{len(ways)} ways lead back to {name}: {words}.")
    return told[0] if len(set(told)) == 1 else ""


def _counted(number: float) -> str:
    return {0.0: " is missing", -1.0: " has the wrong sign"}.get(number, f" is counted {number:g} times")


def _formula(exercise: Exercise, name: str, values, answers, function, probes: Sequence[Probe]) -> str | None:
    """The formula of the answer's own line, from its own numbers."""
    scopes = []
    for on, answer in zip(probes, answers):
        arguments = next(iter(on.cases.values()))
        scope = dict(arguments)
        for value in arguments.values():
            scope |= value._asdict() if hasattr(value, "_asdict") else {}
        order = list(answer)
        scopes.append({**scope, **{key: answer[key] for key in order[: order.index(name)]}})
    made_of = []
    if exercise.ways is not None:
        made_of = [way.gradient for way in exercise.ways(next(iter(probes[0].cases.values())), name)]
    statement = Statement(None, f"{name} = {' + '.join(made_of) or None}")
    return read_formula(exercise, Wrong(statement, name, scopes, values), function, probes)
