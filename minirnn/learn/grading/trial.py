"""The grader graded: does it call every known mistake by its name, and nothing else?

Wrong answers are made from the catalogue, one mistake or two at a time, and from random formulas that are in no
catalogue; each is diagnosed as a student's would be. What was said is judged by a third probe that the grader has not
seen: a name is false if its mistake gives other numbers there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.diagnosis import diagnose
from minirnn.learn.grading.lines import factors_of
from minirnn.learn.grading.observing import EXACT, Observation, alike
from minirnn.learn.grading.probes import Probe, combined, pairs, probe, singles
from minirnn.learn.grading.result import Finding
from minirnn.learn.mistakes import Mistake, by_id, of_exercise

# What can be said of a wrong answer: by its own names; by fewer names, or by others, that give the same numbers; its
# formula; nothing; or a name that is not true.
OUTCOMES = ("itself", "fewer, same numbers", "others, same numbers", "formula", "unknown", "false")
UNSEEN = 2  # the number of the probe that the grader does not use


def outcome(
    exercise: Exercise, wrong: Mapping[str, str], mistakes: Iterable[Mistake] = ()
) -> tuple[str, list[Finding]]:
    """What the grader makes of the worked answer with wrong lines in it.

    Args:
      exercise: whose answer.
      wrong: label to line.
      mistakes: what is wrong, as far as the catalogue knows it.
    """
    findings = diagnose(exercise, exercise.program.compiled(wrong))
    said = {finding.id for finding in findings if finding.id}
    meant = {mistake.id for mistake in mistakes}
    if not findings and _same(exercise, probe(exercise, 0, UNSEEN), wrong, {}):
        return "fewer, same numbers", findings  # none at all: the mistakes cancel each other
    if said and all(finding.id for finding in findings):
        if said == meant:
            return "itself", findings
        on = probe(exercise, 0, UNSEEN)
        true = _same(exercise, on, wrong, combined(by_id()[name] for name in said))
        if not true:
            return "false", findings
        return ("fewer, same numbers" if len(said) < len(meant) else "others, same numbers"), findings
    if said - meant:
        return "false", findings
    formulas = [finding.formula for finding in findings if finding.confidence == "read back"]
    if not formulas:
        return "unknown", findings
    lines = {line.split(" = ")[0]: line for line in formulas}
    by_name = {name: label for label, line in exercise.program.lines.items() for name in line.names}
    told = {by_name[name]: line for name, line in lines.items()}
    told |= combined(by_id()[name] for name in said)
    if len(told) < len(findings):
        return "unknown", findings
    return ("formula" if _same(exercise, probe(exercise, 0, UNSEEN), wrong, told) else "false"), findings


def _same(exercise: Exercise, on: Probe, wrong: Mapping[str, str], told: Mapping[str, str]) -> bool:
    one, other = on.see(exercise.program.compiled(wrong)), on.see(exercise.program.compiled(told))
    return all(alike(one[rung], other[rung], exercise.required, EXACT * 100) for rung in one)


def try_singles(exercise: Exercise) -> dict[str, str]:
    """The outcome of every known mistake of an exercise, by id."""
    return {mistake.id: outcome(exercise, mistake.wrong, [mistake])[0] for mistake in of_exercise(exercise.name)}


def try_pairs(exercise: Exercise, every: int = 1) -> dict[tuple[str, str], str]:
    """The outcome of every pair of known mistakes, or of each so-manieth."""
    chosen = list(pairs(of_exercise(exercise.name)))[::every]
    return {(a.id, b.id): outcome(exercise, combined((a, b)), (a, b))[0] for a, b in chosen}


def try_random(exercise: Exercise, count: int, seed: int = 0) -> list[tuple[str, str, list[Finding]]]:
    """The line, outcome and findings of random formulas that no entry of the catalogue computes."""
    rng = np.random.default_rng(seed)
    on = probe(exercise, 0, 0)
    known = singles(exercise, 0)
    right = on.see(exercise.program.compiled())
    tried: list[tuple[str, str, list[Finding]]] = []
    while len(tried) < count:
        label, line = random_line(exercise, on, rng)
        seen = on.see(exercise.program.compiled({label: line}))
        names = {rung: list(exercise.required) for rung in seen}
        if _equal(seen, right, names) or known.look_up(seen, names, EXACT):
            continue  # by chance it is right, or a known mistake
        said, findings = outcome(exercise, {label: line})
        if said != "others, same numbers":  # else by chance a pair of known mistakes, which was recognised
            tried.append((line, said, findings))
    return tried


def _equal(one: Mapping[str, Observation], other: Mapping[str, Observation], names: Mapping[str, Any]) -> bool:
    return all(alike(one[rung], other[rung], names[rung], EXACT) for rung in one)


def random_line(exercise: Exercise, on: Probe, rng: np.random.Generator) -> tuple[str, str]:
    """A random formula for a random elementwise line of a step backward: (label, line)."""
    function = next(part for part in exercise.program.functions.values() if part.statements is not None)
    statements = function.statements or []
    arguments = next(iter(on.cases.values()))
    if "caches" in arguments:  # a walk: its steps are given to it in a list
        arguments = {"cache": arguments["caches"][0]}
    cache = arguments["cache"]
    scope = {**cache._asdict()}
    shape = scope["h_prev"].shape
    factors = list(factors_of(scope, (), shape))
    gradients = [name for name in function.arguments if name.startswith("d")]
    choices = []
    for statement in statements:
        if statement.label is not None and "@" not in statement.text and "(axis" not in statement.text:
            if statement.label[0] != "[":
                choices.append((statement, list(gradients)))
            gradients += statement.assigned
        gradients = [
            name for name in gradients if name not in ("dz", "dzx", "dzh", "dz_rz") or name in _elementwise(statements)
        ]
    statement, known = choices[rng.integers(len(choices))]
    terms = []
    for _ in range(rng.integers(1, 3)):
        chosen = [factors[k] for k in rng.choice(len(factors), rng.integers(1, 4), replace=False)]
        number = ["", "2 * ", "-", "0.5 * "][rng.integers(4)]
        base = known[rng.integers(len(known))]
        terms.append(number + " * ".join([base, *(f"({factor})" for factor in chosen)]))
    return str(statement.label), f"{statement.assigned[0]} = {' + '.join(terms)}"


def _elementwise(statements) -> set[str]:
    """What is computed elementwise from gates, so that it may stand in other such lines."""
    return {name for each in statements if "concatenate" not in each.text for name in each.assigned}
