"""The lines of an answer: which of them are wrong in themselves, and what formula a wrong one computes."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading import readback
from minirnn.learn.grading.observing import SINGLE, Observation, distance, observe
from minirnn.learn.grading.probes import Probe
from minirnn.learn.programs import Statement, sigmoid


@dataclass(eq=False)
class Wrong:
    """A line that does not do what it should with what it was given.

    Args:
      statement: the right line.
      name: what it computes.
      scopes: for each probe, every name that the line could read, with the answer's own values.
      values: for each probe, what the answer has for ``name``.
    """

    statement: Statement
    name: str
    scopes: list[dict[str, Any]]
    values: list[np.ndarray]


def wrong_lines(exercise: Exercise, seen: Sequence[Mapping[str, Observation]], probes: Sequence[Probe]) -> list[Wrong]:
    """The lines that are wrong in themselves, whatever they were given; [] where that cannot be told."""
    statements = exercise.program.statements
    rung = next(iter(probes[0].cases))
    answers = [answer for each in seen if (answer := each[rung].answer) is not None]
    if statements is None or len(answers) < len(seen):
        return []
    walked = [_walk(statements, on.cases[rung], each[rung], on.right[rung]) for on, each in zip(probes, seen)]
    labels = [[place for place, *_ in one] for one in walked]
    if any(one != labels[0] for one in labels):
        return []
    return [
        Wrong(statements[place], name, [one[k][2] for one in walked], [answer[name] for answer in answers])
        for k, (place, name, _) in enumerate(walked[0])
    ]


def _walk(
    statements: Sequence[Statement], arguments: Mapping[str, Any], observation: Observation, right: Mapping[str, Any]
) -> list[tuple[int, str, dict[str, Any]]]:
    """(place of the statement, name, scope) of every line that is wrong given the answer's own numbers."""
    answer = observation.answer or {}
    last = {name: place for place, statement in enumerate(statements) for name in statement.assigned}
    scope: dict[str, Any] = {"np": np, "sigmoid": sigmoid, **arguments}
    trusted = set(scope)
    wrong: list[tuple[int, str, dict[str, Any]]] = []
    for place, statement in enumerate(statements):
        before = dict(scope)
        with np.errstate(all="ignore"):
            try:
                exec(statement.code, scope)
            except Exception:  # the answer's own arrays do not fit together
                return wrong
        sure = statement.read <= trusted
        for name in statement.assigned:
            mine = answer.get(name)
            if name not in right or last[name] != place or not isinstance(mine, np.ndarray):
                # What cannot be seen is taken to be right; after a line that was the student's that is not sure.
                trusted.discard(name)
                if sure and statement.label is None:
                    trusted.add(name)
                continue
            if np.shape(mine) != np.shape(right[name]):
                return wrong
            if sure and not distance(mine, scope[name]) <= observation.bound:
                wrong.append((place, name, before))
            scope[name] = mine.astype(np.result_type(mine, np.float64))
            trusted.add(name)
    return wrong


def read_formula(exercise: Exercise, line: Wrong, function, probes: Sequence[Probe]) -> str | None:
    """The formula of an elementwise line that is linear in the upstream gradients; None if it cannot be found."""
    texts = []
    for number, on in enumerate(probes):
        rung = next(iter(on.cases))
        arguments, scope = on.cases[rung], line.scopes[number]
        shape = line.values[number].shape
        factors = factors_of(scope, exercise.upstream, shape)
        gathered = []
        for name in exercise.upstream:
            alone = {
                key: np.zeros_like(value) if key in exercise.upstream and key != name else value
                for key, value in arguments.items()
            }
            answer = observe(function, alone).answer
            if answer is None or line.name not in answer or np.shape(answer[line.name]) != shape:
                return None
            earlier = [key for key in scope if key in answer and isinstance(answer[key], np.ndarray)]
            bases = {key: answer[key] for key in reversed(earlier) if np.shape(answer[key]) == shape}
            bases |= {key: alone[key] for key in exercise.upstream if np.shape(alone[key]) == shape}
            gathered.append((answer[line.name], bases))
        if not gathered or not factors:
            return None
        holds = functools.partial(_holds, scope, line.values[number])
        texts.append(readback.formula(gathered, factors, sorted(line.statement.read), holds))
    return texts[0] if texts[0] is not None and texts.count(texts[0]) == len(texts) else None


def _holds(scope: Mapping[str, Any], values: np.ndarray, text: str) -> bool:
    """Whether a formula gives these values."""
    with np.errstate(all="ignore"):
        return distance(eval(text, {"np": np, "sigmoid": sigmoid, **scope}), values) <= SINGLE


_STATES = ("h", "c", "h_prev", "c_prev", "u")  # no gates: nobody takes 1 - h for anything


def factors_of(scope: Mapping[str, Any], upstream: Sequence[str], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What a gradient may be multiplied by: every array of the forward pass, and the usual functions of it."""
    found: dict[str, np.ndarray] = {}
    for name, value in scope.items():
        if not isinstance(value, np.ndarray) or name in upstream or _is_gradient(name, scope):
            continue
        if value.shape == shape[1:] and not name.startswith("b"):  # one for each unit; a bias multiplies nothing
            found[name] = np.broadcast_to(value, shape)
            if (value > 0).all() and (value < 1).all():
                found[f"1 - {name}"] = 1 - found[name]
        if value.shape != shape:
            continue
        found |= {name: value, f"1 - {name}**2": 1 - value**2}
        if name not in _STATES:
            found[f"1 - {name}"] = 1 - value
        if name == "c":
            found |= {"np.tanh(c)": np.tanh(value), "1 - np.tanh(c)**2": 1 - np.tanh(value) ** 2}
        bias = scope.get(f"b_{name[1:]}")
        if name.startswith("zh_") and isinstance(bias, np.ndarray):
            found[f"{name} + b_{name[1:]}"] = value + bias
    if "n" in found and "h_prev" in found:
        found["n - h_prev"] = found["n"] - found["h_prev"]
    return found


def _is_gradient(name: str, scope: Mapping[str, Any]) -> bool:
    return name.startswith("d") and (name[1:] in scope or "_" in name or name[1:] in ("h", "c"))
