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
from minirnn.learn.mistakes import Mistake, of_exercise
from minirnn.learn.programs import Statement, sigmoid, statement_of
from minirnn.learn.reading import subjects
from minirnn.learn.reading.source import Sources

_SOURCES = Sources()


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
    found = _match(exercise, singles, function, seed, seen, again)
    if found:
        return [_known(exercise, mistake, first, seen) for mistake in found]
    lines = wrong_lines(exercise, [seen, again], [first, second])
    if lines and _names_every_line(exercise, seen):
        return explain_lines(exercise, lines, function, [first, second])
    found = _match(exercise, doubles, function, seed, seen, again)
    if found:
        return [_known(exercise, mistake, first, seen) for mistake in found]
    if lines:
        return explain_lines(exercise, lines, function, [first, second])
    return [_unknown(exercise, first, seen)]


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


def _match(exercise, table, function, seed, seen, again) -> tuple[Mistake, ...]:
    """The smallest set of known mistakes that gives these numbers, on both probes."""
    first, second = probe(exercise, seed, 0), probe(exercise, seed, 1)
    names = shared_names(exercise, seen, first)
    if not names:
        return ()
    names = {rung: _with_shape(names[rung], seen[rung], first.right[rung], exercise.required) for rung in names}
    for bound in (EXACT, SINGLE):
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
    walked = [_walk(statements, on.cases[rung], answer, on.right[rung]) for on, answer in zip(probes, answers)]
    labels = [[place for place, *_ in one] for one in walked]
    if any(one != labels[0] for one in labels):
        return []
    return [
        Wrong(statements[place], name, [one[k][2] for one in walked], [answer[name] for answer in answers])
        for k, (place, name, _) in enumerate(walked[0])
    ]


def _walk(statements, arguments, answer, right) -> list[tuple[int, str, dict[str, Any]]]:
    """(place of the statement, name, scope) of every line that is wrong given the answer's own numbers."""
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
            if sure and not distance(mine, scope[name]) <= SINGLE:
                wrong.append((place, name, before))
            scope[name] = mine.astype(np.result_type(mine, np.float64))
            trusted.add(name)
    return wrong


def explain_lines(
    exercise: Exercise, lines: list[Wrong], function: Callable[..., Any], probes: Sequence[Probe]
) -> list[Finding]:
    """A finding for every wrong line, or for every known mistake that explains several of them."""
    left, findings = list(lines), []
    known = sorted(of_exercise(exercise.like or exercise.name), key=lambda mistake: -len(mistake.labels))
    for mistake in known:
        mine = [line for line in left if line.statement.label in mistake.labels]
        if {line.statement.label for line in mine} == mistake.labels and all(_explains(mistake, line) for line in mine):
            findings.append(
                (lines.index(mine[0]), _of_mistake(exercise, mistake, _where(exercise, mine[0].name, lines)))
            )
            left = [line for line in left if line not in mine]
    for line in left:
        findings.append((lines.index(line), _read_back(exercise, line, function, probes, lines)))
    return [finding for _, finding in sorted(findings, key=lambda pair: pair[0])]


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


def _read_back(exercise, line: Wrong, function, probes, lines) -> Finding:
    """The formula of a line, from probes of single upstream gradients; or that nothing is known."""
    label = line.statement.label or ""
    where = _where(exercise, line.name, lines)
    right = line.statement.text
    text = read_formula(exercise, line, function, probes)
    if text is None:
        term = "not in the catalogue, and no product of the factors at hand: compare this line with its equation."
        return Finding("", "unknown", line.name, _number(label), where, term, "", right, source_of(label))
    term = "not in the catalogue; but the numbers are those of the formula below, which is not that of the equation."
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


def _known(exercise, mistake: Mistake, on: Probe, seen) -> Finding:
    label = next(iter(mistake.wrong))
    names = exercise.program.lines[label].names
    rung, name, _ = first_wrong(exercise, seen, on) or (next(iter(on.cases)), names[0] if names else "", None)
    local = names and names[0] in on.right[rung] and names[0] in (seen[rung].answer or {})
    where = _where(exercise, names[0], []) if local else where_of(exercise, seen, on)
    return _of_mistake(exercise, mistake, where, names[0] if local else name)


def _of_mistake(exercise: Exercise, mistake: Mistake, where: str, name: str = "") -> Finding:
    label = next(iter(mistake.wrong))
    lines = exercise.program.lines
    return Finding(
        id=mistake.id,
        confidence="exact",
        name=name or (lines[label].names or ("",))[0],
        equation=mistake.equation,
        where=where,
        term=f"{mistake.term}: {mistake.why}.",
        formula="; ".join(" ; ".join(line.splitlines()) for line in mistake.wrong.values()),
        right="; ".join(lines[each].code for each in mistake.wrong),
        source=source_of(mistake.equation),
    )


def _where(exercise: Exercise, name: str, lines: Sequence[Wrong]) -> str:
    """Where a line stands among those that are right."""
    label = next((label for label, line in exercise.program.lines.items() if name in line.names), "")
    number = f" ({label})" if label in EQUATIONS else ""
    before = list(dict.fromkeys(n for line in exercise.program.lines.values() for n in line.names))
    place = before.index(name) if name in before else 0
    first = not lines or lines[0].name == name
    right = f"; what is computed before it is right: {', '.join(before[:place])}" if place and first else ""
    return f"{'First wrong' if first else 'Also wrong'}: {name}{number}{right}."


def first_wrong(exercise: Exercise, seen, on: Probe) -> tuple[str, str, int | None] | None:
    """(rung, name, t) of the first quantity that is not right; t where it is an array over time."""
    for rung, observation in seen.items():
        answer, right = observation.answer or {}, on.right[rung]
        for name in [n for n in right if n in answer] or []:
            if not isinstance(answer[name], np.ndarray) or not distance(answer[name], right[name]) <= SINGLE:
                return rung, name, wrong_step(exercise, name, answer[name], right[name])
    return None


def wrong_step(exercise: Exercise, name: str, mine: Any, right: np.ndarray) -> int | None:
    """The step at which a walk through time first goes wrong."""
    if exercise.walk is None or name not in exercise.over_time or np.shape(mine) != np.shape(right):
        return None
    steps = [t for t in range(len(right)) if not distance(mine[t], right[t]) <= SINGLE]
    return (steps[-1] if exercise.walk == "backward" else steps[0]) if steps else None


def where_of(exercise: Exercise, seen, on: Probe) -> str:
    """One line that says what is wrong first, for answers that are not made of lines."""
    changed = sorted({name for observation in seen.values() for name in observation.changed})
    found = first_wrong(exercise, seen, on)
    if found is None:
        return f"Every number is right, but {changed[0]} was changed." if changed else "Every number is right."
    rung, name, t = found
    if name in exercise.traits:
        return f"Every number is right, but {exercise.traits[name]}."
    answer, right = seen[rung].answer or {}, on.right[rung]
    named = [n for n in right if n in answer and n not in exercise.traits]
    fine = [n for n in named if distance(answer[n], right[n]) <= SINGLE]
    text = f"First wrong: {name}"
    if t is not None:
        T = len(right[name])
        last = T - 1 if exercise.walk == "backward" else 0
        text += f" at t = {t}" + (
            "" if t == last else f" (of {T} steps, walked {exercise.walk}; before that it is right)"
        )
    relation = relation_of(answer[name], right[name])
    return text + (f", {relation}" if relation else "") + (f"; right are {', '.join(fine)}." if fine else ".")


def relation_of(mine: Any, right: np.ndarray) -> str:
    """What a wrong array has to do with the right one, where that is simple."""
    if not isinstance(mine, np.ndarray):
        return "which is no array"
    if mine.shape != right.shape:
        return f"of shape {mine.shape} instead of {right.shape}" + (
            ", turned round" if mine.shape == right.shape[::-1] else ""
        )
    if not np.isfinite(mine).all():
        return "which holds NaN or infinity"
    size = np.linalg.norm(right)
    if size == 0:
        return ""
    if not mine.any():
        return "which is all zero"
    factor = float(np.vdot(right, mine).real / size**2)
    if factor and distance(mine, factor * right) <= SINGLE:
        return f"which is {factor:.4g} times the right one"
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1] and distance(mine.T, right) <= SINGLE:
        return "which is the right one transposed"
    if mine.ndim and mine.shape[0] > 1 and distance(mine[::-1], right) <= SINGLE:
        return "which is the right one turned round along its first axis"
    return ""


def _unknown(exercise: Exercise, on: Probe, seen) -> Finding:
    found = first_wrong(exercise, seen, on)
    name = found[1] if found else ""
    label = next((label for label, line in exercise.program.lines.items() if name in line.names), "")
    term = "not in the catalogue: neither a known mistake nor a pair of them gives these numbers."
    missing = [each for each in on.right[next(iter(on.cases))] if each not in exercise.required]
    answer = next(iter(seen.values())).answer or {}
    if missing and not any(each in answer for each in missing):
        term += f" Return the intermediates too ({', '.join(missing[:6])}, ...), and more can be told."
    return Finding("", "unknown", name, _number(label), where_of(exercise, seen, on), term, "", "", source_of(label))


def _number(label: str) -> str:
    return label if label in EQUATIONS else ""


@functools.lru_cache(maxsize=512)
def source_of(number: str) -> str:
    """File and line where the NumPy half computes an equation, for those who want to read on; empty if nowhere."""
    if number not in EQUATIONS:
        return ""
    subject, _ = subjects.find(number)
    found = _SOURCES.file(f"readable/{subject}.py").find(number)
    return found[0].place if found else ""
