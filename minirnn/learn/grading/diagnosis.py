"""Which term is wrong? Told from the numbers alone, in three ways, the surest first.

1. The whole: a known mistake, or a pair of them, gives exactly these numbers, on two probes.
2. Line by line: where an answer names its intermediates, each line is computed anew *from the answer's own* numbers, so
   that a slip is blamed on its line and not on those after it. A wrong line is then looked for in the catalogue.
3. Reading back: a wrong line that is in no catalogue is a product of known factors, or a sum of such; which one, the
   numbers tell.

What none of the three explains is said to be unknown, with the first quantity that is wrong, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading import underived
from minirnn.learn.grading.lines import Wrong, read_formula, wrong_lines
from minirnn.learn.grading.observing import EXACT, SINGLE, Observation, alike, distance
from minirnn.learn.grading.probes import Probe, doubles, probe, singles
from minirnn.learn.grading.result import Finding
from minirnn.learn.grading.telling import Seen, first_wrong, label_of, source_of, unjudged, where_line, where_seen
from minirnn.learn.mistakes import Mistake, of_exercise
from minirnn.learn.programs import statement_of
from minirnn.learn.recurrent import number_in


def diagnose(exercise: Exercise, function: Callable[..., Any], seed: int = 0) -> list[Finding]:
    """What is wrong with a function whose answers are not right.

    Args:
      exercise: what it should do.
      function: the answer.
      seed: of the probes.
    """
    if not exercise.solved:
        return [underived.explain(exercise, function, seed)]
    first, second = probe(exercise, seed, 0), probe(exercise, seed, 1)
    seen, again = first.see(function), second.see(function)
    if first_wrong(exercise, seen, first) is None and not any(observation.changed for observation in seen.values()):
        return []  # what is wrong then is not a term
    found = _match(exercise, singles, seed, seen, again)
    if found:
        return [_known(exercise, mistake, seen, first) for mistake in found]
    lines = wrong_lines(exercise, [seen, again], [first, second])
    if lines and _names_every_line(exercise, seen):
        return explain_lines(exercise, lines, function, seen, [first, second])
    found = _match(exercise, doubles, seed, seen, again)
    if found:
        return [_known(exercise, mistake, seen, first) for mistake in found]
    if lines:
        return explain_lines(exercise, lines, function, seen, [first, second])
    return [_unknown(exercise, seen, first)]


def _names_every_line(exercise: Exercise, seen: Mapping[str, Observation]) -> bool:
    """Whether an answer holds what every line computes, so that each line can be judged by itself."""
    names = {name for line in exercise.program.lines.values() for name in line.names}
    return all(names <= set(observation.answer or {}) for observation in seen.values())


# ---------------------------------------------------------------- the whole


def shared_names(exercise: Exercise, seen: Mapping[str, Observation], on: Probe) -> dict[str, list[str]]:
    """By rung the arrays of an answer that the worked answer has too, if those that are required are among them."""
    names = {}
    for rung, observation in seen.items():
        answer = observation.answer or {}
        names[rung] = [name for name in on.right[rung] if name in answer]
        if not set(exercise.required) <= set(names[rung]):
            return {}
    return names


def _match(exercise, table, seed, seen, again) -> tuple[Mistake, ...]:
    """The smallest set of known mistakes that gives these numbers, on both probes."""
    first, second = probe(exercise, seed, 0), probe(exercise, seed, 1)
    names = shared_names(exercise, seen, first)
    if not names:
        return ()
    names = {rung: _with_shape(names[rung], seen[rung], first.right[rung], exercise.required) for rung in names}
    bounds = sorted({EXACT, *(observation.bound for observation in seen.values())})
    for bound in bounds:
        for mistakes in table(exercise, seed).look_up(seen, names, bound):
            other = second.of(mistakes)
            if all(alike(other[rung], again[rung], names[rung], bound) for rung in again):
                return mistakes
    return ()


def _with_shape(names, observation, right, required) -> list[str]:
    """Intermediates of another layout are the answer's own affair; what is required is compared."""
    answer = observation.answer
    return [name for name in names if name in required or np.shape(answer[name]) == np.shape(right[name])]


# ---------------------------------------------------------------- line by line


def explain_lines(
    exercise: Exercise, lines: list[Wrong], function: Callable[..., Any], seen: Seen, probes: Sequence[Probe]
) -> list[Finding]:
    """A finding for every wrong line, or for every known mistake that explains several of them."""
    left, findings = list(lines), []
    known = sorted(of_exercise(exercise.like or exercise.name), key=lambda mistake: -len(mistake.labels))
    for mistake in known:
        mine = [line for line in left if line.statement.label in mistake.labels]
        if {line.statement.label for line in mine} == mistake.labels and all(_explains(mistake, line) for line in mine):
            name = mine[0].name
            where = where_line(exercise, name, seen, probes[0])
            findings.append((lines.index(mine[0]), _of_mistake(exercise, mistake, name, where)))
            left = [line for line in left if line not in mine]
    for line in left:
        where = where_line(exercise, line.name, seen, probes[0])
        findings.append((lines.index(line), _read_back(exercise, line, function, probes, where)))
    ordered = [finding for _, finding in sorted(findings, key=lambda pair: pair[0])]
    ordered[0].where += unjudged(exercise, [line.name for line in lines], seen, probes[0])
    return ordered


def _explains(mistake: Mistake, line: Wrong) -> bool:
    label = str(line.statement.label)
    statement = statement_of(label, mistake.wrong[label])
    for scope, values in zip(line.scopes, line.values):
        names = dict(scope)
        with np.errstate(all="ignore"):
            try:
                exec(statement.code, names)
            except Exception:
                return False
        if line.name not in names or not distance(names[line.name], values) <= SINGLE:
            return False
    return True


def _read_back(exercise, line: Wrong, function, probes, where: str) -> Finding:
    """The formula of a line, from probes of single upstream gradients; or that nothing is known."""
    label = line.statement.label or ""
    right = line.statement.text
    text = read_formula(exercise, line, function, probes)
    if text is None:
        tried = "" if "@" in right or "sum(" in right else ", and no sum of few products of the gates"
        term = f"not in the catalogue{tried}: compare this line with its equation."
        return Finding("", "unknown", line.name, _number(label), where, term, "", right, source_of(label))
    term = "not in the catalogue; but its numbers are those of a formula, which is not that of the equation."
    formula = f"{line.name} = {text}"
    return Finding("", "read back", line.name, _number(label), where, term, formula, right, source_of(label))


# ---------------------------------------------------------------- in words


def _known(exercise: Exercise, mistake: Mistake, seen: Seen, on: Probe) -> Finding:
    name = (exercise.program.lines[next(iter(mistake.wrong))].names or ("",))[0]
    return _of_mistake(exercise, mistake, name, where_line(exercise, name, seen, on))


def _of_mistake(exercise: Exercise, mistake: Mistake, name: str, where: str) -> Finding:
    lines = exercise.program.lines
    number = number_in(exercise.like or exercise.name, mistake.equation)
    return Finding(
        id=mistake.id,
        confidence="exact",
        name=name,
        equation=number,
        where=where,
        term=f"{mistake.term}: {mistake.why}.",
        formula="; ".join(" ; ".join(line.splitlines()) for line in mistake.wrong.values()),
        right="; ".join(lines[each].code for each in mistake.wrong),
        source=source_of(number),
    )


def _unknown(exercise: Exercise, seen: Seen, on: Probe) -> Finding:
    found = first_wrong(exercise, seen, on)
    if found is None:  # an argument was changed, and that is all there is to say
        return Finding("", "unknown", "", "", where_seen(exercise, seen, on))
    name = found[1]
    label = label_of(exercise, name)
    term = "not in the catalogue: neither a known mistake nor a pair of them gives these numbers."
    missing = [each for each in on.right[next(iter(on.cases))] if each not in exercise.required]
    answer = next(iter(seen.values())).answer or {}
    if missing and not any(each in answer for each in missing):
        term += f" Return the intermediates too ({', '.join(missing[:6])}, ...), and more can be told."
    where = where_seen(exercise, seen, on)
    return Finding("", "unknown", name, _number(label), where, term, "", "", source_of(label))


def _number(label: str) -> str:
    return label if label in EQUATIONS else ""
