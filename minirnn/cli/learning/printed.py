"""What a student reads: a check, a list, a report; short, and no more of the answer than was asked for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minirnn.learn.exercises import Exercise

WIDTH = 100
LEVELS = 3  # where, which term, the formula
_LEVELS = ("", "where", "which term", "the formula")


def checked(result: Mapping[str, Any], level: int) -> list[str]:
    """The lines of a check: what is well in one line, what is not in one each, and what may be revealed.

    Args:
      result: of a check, as a dictionary.
      level: of what is revealed of each mistake, from 1 to 3.
    """
    rungs = result["rungs"]
    well = [rung["name"] for rung in rungs if rung["ok"]]
    untried = [rung["name"] for rung in rungs if rung["ok"] is None]
    state = "done" if result["passed"] else "not yet right"
    lines = [f"{result['exercise']}: {state}, {result['points']:g} of {result['of']:g} points"]
    if well:
        lines.append(f"  right  {', '.join(well)}")
    lines += [f"  WRONG  {rung['name']}: {rung['message']}" for rung in rungs if rung["ok"] is False]
    if untried:
        lines.append(f"  later  {', '.join(untried)}")
    lines += [f"  note   {text}" for text in result["notes"]]
    for finding in result["diagnosis"]:
        lines += revealed(finding, level)
    return lines


def revealed(finding: Mapping[str, Any], level: int, first: int = 1) -> list[str]:
    """What a mistake's levels from ``first`` to ``level`` say."""
    where, term, formula, right = finding["levels"]
    lines = [where] if first <= 1 else []
    if first <= 2 <= level and term:
        lines += [f"In {finding['name']}: {term}" if finding["name"] else term]
    if first <= 3 <= level:
        lines += [f"  yours  {formula}"] if formula else []
        lines += [f"  right  {right}"] if right else []
        number = finding["equation"]
        source = finding["source"]
        if number:
            lines.append(f"  read   equation {number}{f', {source}' if source else ''} (minirnn read {number})")
    return lines


def listed(exercises: Iterable[Exercise], states: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The exercises, and how far each has come."""
    rows = list(exercises)
    width = max(len(exercise.name) for exercise in rows)
    lines = []
    done = 0
    for exercise in rows:
        state = states.get(exercise.name, {})
        mark = "done" if state.get("passed") else "begun" if state.get("file") or state.get("checks") else ""
        done += mark == "done"
        stars = "*" * exercise.difficulty
        lines.append(f"  {exercise.name:<{width}}  {mark:<5}  {stars:<5}  {exercise.minutes:>3} min  {exercise.title}")
    lines.append(f"{done} of {len(rows)} done, {sum(e.minutes for e in rows)} minutes in all; stars: difficulty")
    return lines


def task(exercise: Exercise) -> list[str]:
    """What an exercise asks for."""
    return [
        f"{exercise.title} ({'*' * exercise.difficulty}, {exercise.minutes} minutes)",
        *textwrap.wrap(exercise.task, WIDTH),
    ]


def reported(exercises: Iterable[Exercise], states: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was done in a folder: points, checks, hints."""
    lines = []
    points = of = 0.0
    for exercise in exercises:
        state = states.get(exercise.name)
        if state is None:
            continue
        points, of = points + state["points"], of + state["of"]
        more = [
            f"{state['checks']} checks",
            f"{state['hints']} hints",
            *([f"told {_LEVELS[state['level']]}"] if state["level"] else []),
        ]
        if state["solution_seen"]:
            more.append("solution seen")
        mark = "done" if state["passed"] else "begun"
        lines.append(f"  {exercise.name:<32} {mark:<6} {state['points']:g} of {state['of']:g}   {', '.join(more)}")
    return [*lines, f"{points:g} of {of:g} points"] if lines else ["nothing has been begun in this folder"]
