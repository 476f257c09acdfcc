"""The ladder that every answer climbs: does it run, has it the right shapes, leaves it its inputs alone, is it right?

Each rung is tried even if one before it broke, as long as there is something to try. All rungs have been climbed: the
answer is right. Else the numbers are asked which term is wrong (:mod:`minirnn.learn.grading.diagnosis`).
"""

from __future__ import annotations

import ast
import sys
import traceback
import types
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.learn.exercises import exercises
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading import diagnosis
from minirnn.learn.grading.observing import EXACT, NoNumbers, Observation, copied, described, distance, observe
from minirnn.learn.grading.probes import Probe, probe
from minirnn.learn.grading.result import Result, Rung
from minirnn.learn.grading.rules import broken_rules, parsed
from minirnn.learn.grading.telling import MOST_NAMES, first_wrong, is_right, relation_of

HUGE = 1e6  # times the upstream gradients: a limit that does not show with usual numbers shows there
LINEAR = 1e-4  # what is not linear in its upstream gradients is further off, even if it computes in float32


def grade(exercise: Exercise, text: str, path: str = "answer.py", seed: int = 0) -> Result:
    """Checks one answer.

    Args:
      exercise: what it should answer.
      text: the file.
      path: its name, for messages.
      seed: of the numbers that it is tried with.
    """
    result = Result(exercise.name, seed)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # NaN and overflows of an answer are told by its rungs
        _climb(exercise, text, path, seed, result)
    result.finish(exercise.rungs)
    return result


def _climb(exercise: Exercise, text: str, path: str, seed: int, result: Result) -> None:
    rungs = result.rungs
    broken = broken_rules(text, exercise)
    rungs.append(Rung("own work", not broken, broken))
    blanks = unfilled(text)
    if blanks:
        rungs.append(Rung("runs", False, f"still to be filled in: {blanks}"))
        return
    try:
        module = load(text, path)
    except Exception as error:
        rungs.append(Rung("runs", False, in_one_line(error, path)))
        return
    function = getattr(module, exercise.function, None)
    if not callable(function):
        rungs.append(Rung("runs", False, f"expected a function {exercise.function}, and {path} has none"))
        return
    if exercise.view is not None:
        function = exercise.view(vars(module))
    on = probe(exercise, seed, 0)
    seen = on.see(function, twice=True)
    message = _runs(exercise, seen, function, on, path)
    rungs.append(Rung("runs", not message, message))
    if message and not any(observation.answer for observation in seen.values()):
        return
    rungs.append(_shapes(exercise, seen, on))
    changed = list(dict.fromkeys(name for observation in seen.values() for name in observation.changed))
    told = f"{_few(changed)} changed: copy before you write into an array, or sort a list" if changed else ""
    rungs.append(Rung("inputs", not changed, told))
    rungs.append(_repeatable(exercise, seen, function, seed))
    if exercise.upstream:
        rungs.append(_linear(exercise, function, on))
    if exercise.more_rungs is not None:
        rungs.extend(exercise.more_rungs(module))
    traits = _traits(exercise, seen, on)
    rungs += traits
    values = [_values(exercise, name, seen[name], on, result) for name in on.cases]
    right = all(rung.ok for rung in values)
    before = None if right else _first_step(exercise, module, seed, result)
    rungs += values if before is None else [before, *values]
    if result.passed or _empty(seen):
        return
    if exercise.riddle and not all(rung.ok for rung in rungs if rung.name == "answer"):
        _keep_quiet(result, {"step", *on.cases})
        return
    underived = not right or bool(changed) or not all(rung.ok for rung in traits)
    if underived and (before is None or before.ok):
        result.findings += diagnosis.diagnose(exercise, function, seed)
    found = None if right else first_wrong(exercise, seen, on)
    if found is not None:
        result.first_wrong = {"name": found[1], "t": found[2]}


def _keep_quiet(result: Result, names: set[str]) -> None:
    """Takes back what would give a riddle away."""
    result.findings.clear()
    for rung in result.rungs:
        if rung.name in names and not rung.ok:
            rung.message = "something is wrong; what it is, is the question"


def unfilled(text: str) -> str:
    """What still is ``...``: names, and lines; empty if nothing is, or if the text is no Python."""
    tree = parsed(text)
    if tree is None:
        return ""
    names, lines = [], []
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.Return) else None
        if not (isinstance(value, ast.Constant) and value.value is Ellipsis):
            continue
        if isinstance(node, ast.Assign):
            names += [ast.unparse(target) for target in node.targets]
        else:
            lines.append(node.lineno)  # type: ignore[attr-defined]
    told = [", ".join(names)] if names else []
    if lines:
        told.append(f"the ... in line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines))}")
    return " and ".join(told)


def load(text: str, path: str) -> types.ModuleType:
    """The module that a text is; it is run anew each time, and known to nobody."""
    module = types.ModuleType("answer")
    module.__file__ = path
    # Dataclasses look their module up while they are made.
    known, sys.modules["answer"] = sys.modules.get("answer"), module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    finally:
        if known is None:
            del sys.modules["answer"]
        else:
            sys.modules["answer"] = known
    return module


def in_one_line(error: BaseException, path: str) -> str:
    """An error of a student's file: its kind, its words, and the line of the file."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return (f"line {lines[-1]}: " if lines else "") + described(error)


# ---------------------------------------------------------------- the rungs


def _empty(seen: Mapping[str, Observation]) -> bool:
    """Whether nothing has been filled in yet: then there is nothing to diagnose."""
    answers = [observation.answer for observation in seen.values()]
    return all(answer is None or not any(isinstance(v, np.ndarray) for v in answer.values()) for answer in answers)


def _runs(exercise: Exercise, seen: Mapping[str, Observation], function, on: Probe, path: str) -> str:
    for rung, observation in seen.items():
        if observation.error:
            try:
                function(**copied(on.cases[rung]))
            except Exception as error:
                return in_one_line(error, path)
            return observation.error
        if observation.answer is None:
            return f"{exercise.function} returned {observation.returned}; expected a dictionary of named arrays"
        missing = [name for name in exercise.required if name not in observation.answer]
        if missing:
            return f"the answer lacks {', '.join(missing)}; it has {', '.join(observation.answer) or 'nothing'}"
        strange = [n for n in exercise.required if not isinstance(observation.answer[n], np.ndarray)]
        if strange:
            value = observation.answer[strange[0]]
            kind = value.kind if isinstance(value, NoNumbers) else type(value).__name__
            return f"{strange[0]} is {kind}; expected an array of numbers"
    return ""


def _shapes(exercise: Exercise, seen: Mapping[str, Observation], on: Probe) -> Rung:
    for rung, observation in seen.items():
        for name in exercise.required:
            right = on.right[rung][name]
            mine = (observation.answer or {}).get(name)
            if not isinstance(mine, np.ndarray):
                continue
            if mine.shape != np.shape(right):
                return Rung(
                    "shapes",
                    False,
                    f"{name} has shape {mine.shape}; expected {np.shape(right)}{_shape_words(mine, right)}",
                )
            if mine.dtype.kind == "c":
                return Rung("shapes", False, f"{name} holds complex numbers; expected real ones")
            if mine.dtype.kind in "biu" and np.asarray(right).dtype.kind == "f":
                return Rung("shapes", False, f"{name} has dtype {mine.dtype}; expected floating point")
    return Rung("shapes", True)


def _shape_words(mine: np.ndarray, right: np.ndarray) -> str:
    """What may have happened to a shape."""
    one, other = mine.shape, np.shape(right)
    if one == other[::-1] and len(one) > 1:
        return ": it is transposed"
    if sorted(one) == sorted(other) and len(one) > 1:
        return ": its axes are in another order"
    if tuple(n for n in one if n != 1) == tuple(n for n in other if n != 1):
        return ": an axis of length 1 is missing" if len(one) < len(other) else ": it has an axis of length 1 too many"
    if len(one) == len(other) + 1 and one[1:] == other:
        return ": a sum over the batch is missing" if len(one) <= 3 else ": a sum is missing"
    if len(one) == len(other) and all(a == b or b == 1 for a, b in zip(one, other)):
        return ": something was broadcast against it"
    if len(one) < len(other):
        return ": it was summed over too many axes"
    return ""


def _repeatable(exercise: Exercise, seen: Mapping[str, Observation], function, seed: int) -> Rung:
    if any(observation.unsteady for observation in seen.values()):
        return Rung(
            "repeatable",
            False,
            "a second call with the same arguments gives another answer: is something kept between calls?",
        )
    # Other numbers in between: what remembers the first ones is found out, here or there.
    on, other_numbers = probe(exercise, seed, 0), probe(exercise, seed, 1)
    elsewhere = other_numbers.see(function)
    for rung in other_numbers.cases:
        there = elsewhere[rung]
        here = observe(function, on.cases[rung]).answer or {}
        for name, first in (seen[rung].answer or {}).items():
            if isinstance(first, np.ndarray) and not _same(first, here.get(name)):
                return Rung("repeatable", False, f"{name} depends on what the function was called with before")
        for name in exercise.required:
            if not is_right(seen[rung], name, on.right[rung]):
                continue  # wrong in any case
            if not is_right(there, name, other_numbers.right[rung]):
                words = (
                    "the first sizes and numbers only: are sizes written into it, or is something kept between calls?"
                )
                return Rung("repeatable", False, f"{name} is right for {words}")
    return Rung("repeatable", True)


def _same(one: np.ndarray, other: Any) -> bool:
    return isinstance(other, np.ndarray) and np.array_equal(one, other, equal_nan=True)


def _linear(exercise: Exercise, function, on: Probe) -> Rung:
    """B(2u + 3v) = 2 B(u) + 3 B(v): clipping inside, a kept state or a square betray themselves."""
    rung, arguments = next(iter(on.cases.items()))
    rng = np.random.default_rng(on.seed)
    others = {name: rng.standard_normal(np.shape(arguments[name])) for name in exercise.upstream}
    both = {name: 2 * arguments[name] + 3 * others[name] for name in exercise.upstream}
    answers = [observe(function, {**arguments, **each}).answer for each in ({}, others, both)]
    if any(answer is None for answer in answers):
        return Rung("linear", False, "with other upstream gradients there is no answer")
    huge = observe(function, {**arguments, **{name: HUGE * arguments[name] for name in exercise.upstream}}).answer or {}
    worst = 0.0
    for name in [name for name in exercise.required if name.startswith("d")]:  # what is no gradient need not be linear
        parts = [part for answer in answers if isinstance(part := (answer or {}).get(name), np.ndarray)]
        if len(parts) < 3 or len({part.shape for part in parts}) > 1 or any(part.dtype.kind != "f" for part in parts):
            continue  # other rungs say so
        error = distance(2 * parts[0] + 3 * parts[1], parts[2])
        worst = max(worst, error)
        if not error <= LINEAR:
            return Rung(
                "linear",
                False,
                f"{name} is not linear in {', '.join(exercise.upstream)}: twice the gradient in has to "
                "give twice the gradient out",
                max_rel=error,
            )
        large = huge.get(name)
        if not (isinstance(large, np.ndarray) and distance(large / HUGE, parts[0]) <= LINEAR):
            words = f"does not grow with {', '.join(exercise.upstream)} as it should: is something clipped inside?"
            return Rung("linear", False, f"{name} {words}")
    return Rung("linear", True, max_rel=worst)


def _first_step(exercise: Exercise, module: Any, seed: int, result: Result) -> Rung | None:
    """The step that a walk is made of, where the answer holds it: then its mistakes are told line by line."""
    if exercise.first_step is None:
        return None
    step = exercises()[exercise.first_step]
    function = getattr(module, step.function, None)
    if not callable(function):
        return None
    on = probe(step, seed, 0)
    seen = on.see(function)
    if any(observation.answer is None for observation in seen.values()) or not diagnosis.shared_names(step, seen, on):
        return None
    found = first_wrong(step, seen, on)
    if found is None:
        return Rung("step", True)
    result.findings += diagnosis.diagnose(step, function, seed)
    return Rung("step", False, f"{found[1]} of {step.function} is wrong")


def _traits(exercise: Exercise, seen: Mapping[str, Observation], on: Probe) -> list[Rung]:
    """How an answer goes about it, which its numbers do not show."""
    rungs = []
    for name, message in exercise.traits.items():
        ok = all(distance((o.answer or {}).get(name, np.nan), on.right[rung][name]) == 0 for rung, o in seen.items())
        rungs.append(Rung(name, ok, "" if ok else message))
    return rungs


def _values(exercise: Exercise, rung: str, seen: Observation, on: Probe, result: Result) -> Rung:
    answer, right = seen.answer or {}, on.right[rung]
    named = [name for name in right if name in exercise.required or (name in answer and name not in exercise.traits)]
    errors = {
        name: distance(answer[name], right[name]) if isinstance(answer.get(name), np.ndarray) else np.inf
        for name in named
    }
    wrong = [name for name in named if not is_right(seen, name, right)]
    required = [name for name in exercise.required if name in errors]
    if not any(name in required for name in wrong):
        if wrong:
            _note(result, f"{_few(wrong)}: not what the worked answer calls so; what is asked for is right")
        worst = max((errors[name] for name in required), default=0.0)
        if worst > EXACT and not exercise.approximate:
            _note(result, f"right to {worst:.0e}: as right as float32 can be; in float64 it would be 1e-15")
        return Rung(rung, True, max_rel=worst)
    share = sum(name not in wrong for name in required) / len(required)
    first = wrong[0]
    size = f" (error {errors[first]:.1e})" if np.isfinite(errors[first]) else ""
    words = relation_of(answer.get(first), right[first], seen.bound)
    told = f"{len(wrong)} of {len(errors)} arrays are not right: {_few(wrong)}; {first}{size}"
    return Rung(rung, False, told + (f", {words}" if words else ""), share, max(errors.values()))


def _note(result: Result, text: str) -> None:
    """A note, once for all situations."""
    kind = text.rpartition(": ")[2]
    if not any(note.endswith(kind) for note in result.notes):
        result.notes.append(text)


def _few(names: list[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"
