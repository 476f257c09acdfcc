"""Which term is wrong? Told from the numbers alone, in three ways, the surest first.

1. The whole: a known mistake, or a pair of them, gives exactly these numbers, on two probes.
2. Line by line: where an answer names its intermediates, each line is computed anew *from the answer's own* numbers, so
   that a slip is blamed on its line and not on those after it. A wrong line is then looked for in the catalogue.
3. Reading back: a wrong line that is in no catalogue is a product of known factors, or a sum of such; which one, the
   numbers tell.

What none of the three explains is said to be unknown, with the first quantity that is wrong, and where.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading import readback
from minirnn.learn.grading.observing import EXACT, SINGLE, Observation, alike, distance, observe
from minirnn.learn.grading.probes import Probe, doubles, probe, singles
from minirnn.learn.grading.result import Finding
from minirnn.learn.grading.telling import Seen, first_wrong, label_of, source_of, unjudged, where_line, where_seen
from minirnn.learn.mistakes import Mistake, of_exercise
from minirnn.learn.programs import Statement, sigmoid, statement_of
from minirnn.learn.recurrent import number_in


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


def diagnose(exercise: Exercise, function: Callable[..., Any], seed: int = 0) -> list[Finding]:
    """What is wrong with a function whose answers are not right.

    Args:
      exercise: what it should do.
      function: the answer.
      seed: of the probes.
    """
    if not exercise.solved:
        from minirnn.learn.grading import underived  # it needs this file

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


def _walk(statements, arguments, observation: Observation, right) -> list[tuple[int, str, dict[str, Any]]]:
    """(place of the statement, name, scope) of every line that is wrong given the answer's own numbers."""
    answer = observation.answer or {}
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
            if not isinstance(mine, np.ndarray):
                if sure:
                    trusted.add(name)
                else:
                    trusted.discard(name)
                # A line whose result was not returned is taken to be right: what follows from it is not sure.
                if statement.label is not None:
                    trusted.discard(name)
                continue
            if np.shape(mine) != np.shape(right.get(name, scope[name])):
                return wrong
            if sure and not distance(mine, scope[name]) <= observation.bound:
                wrong.append((place, name, before))
            scope[name] = mine.astype(np.result_type(mine, np.float64))
            trusted.add(name)
    return wrong


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
    name = found[1] if found else ""
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
