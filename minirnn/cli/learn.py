"""``minirnn learn``: exercises, and a grader that says which term of a derivation is wrong."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, note
from minirnn.cli.learning import grading, printed

if TYPE_CHECKING:
    from minirnn.learn.exercises import Exercise
    from minirnn.learn.workspace import Workspace

EXAMPLES = """examples: the way of a student
  minirnn learn list                        what there is, and what you have done
  minirnn learn start lstm_step_backward    writes lstm_step_backward.py into this folder
  minirnn learn check lstm_step_backward.py is it right? where is it wrong?
  minirnn learn why                         which term is wrong; once more: the formula
  minirnn learn hint                        three for each exercise, one at a time

check ends with exit status 0 if the answer is right, 1 if it is not, 2 if there is nothing to be checked.
Everything happens on this machine: no account, no network; only exercises about JAX load JAX. What you have done is
kept in this folder (.minirnn-learn.json).

the way of a teacher
  minirnn learn grade submissions/ --seed 4711 --out grades/
"""
USUAL_WAIT = 0.3  # seconds between two looks at a file that is watched


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "learn",
        help="exercises, and a grader that says which term of a derivation is wrong",
        description="Derive the mathematics yourself. A grader says where you are wrong, which term it is, and why.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, help: str, run, exercise: str = "") -> Any:
        verb = verbs.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        if exercise:
            nargs = "?" if exercise == "optional" else None
            verb.add_argument("exercise", nargs=nargs, metavar="NAME", help="of an exercise (minirnn learn list)")
        verb.set_defaults(run=run)
        return verb

    verb = add("list", "list the exercises, and what is done in this folder", _list)
    verb.add_argument("--json", action="store_true", help="for machines")
    verb = add(
        "start", "begin an exercise: write its file (without NAME: the next one that is not done)", _start, "optional"
    )
    verb.add_argument("--seed", type=grading.seed, default=0, metavar="N", help="of broken_*: another mistake to find")
    verb = add("check", "check a file (without FILE: the one that was begun or checked last)", _check)
    verb.add_argument("file", nargs="?", metavar="FILE", help="a file that minirnn learn start has written")
    verb.add_argument("--exercise", metavar="NAME", help="the exercise, if the file does not name it")
    verb.add_argument("--watch", action="store_true", help="check again whenever the file is saved")
    grading.add_options(verb)
    verb.add_argument("--gradescope", metavar="FILE", help="also write the result in Gradescope's form")
    verb.add_argument("--json", action="store_true", help="print the result for machines")
    add("hint", "one more hint (of three)", _hint, "optional")
    add("why", "after a check: one more level of what is wrong: which term, then the formula", _why, "optional")
    add("reset", "put the file of an exercise back; yours is kept under another name", _reset, "required")
    verb = add("solution", "show the worked answer of an exercise that is done", _solution, "required")
    verb.add_argument("--give-up", action="store_true", help="show it although it is not done (this is noted)")
    verb = add("report", "what was done in this folder", _report)
    verb.add_argument("--json", action="store_true", help="for machines")
    verb = add(
        "mistakes", "the catalogue of wrong derivations, or those of one family or exercise", _mistakes, "optional"
    )
    verb.add_argument("--json", action="store_true", help="for machines")
    verb = add("grade", "for teachers: check many files, and write a class report", grading.run)
    grading.add_arguments(verb)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; each verb brings its own."""
    raise UsageError("expected a verb, such as list; see minirnn learn --help")


# ---------------------------------------------------------------- the folder and the exercise


def _workspace() -> Workspace:
    from minirnn.learn.workspace import Workspace

    return Workspace(Path.cwd())


def _exercise(name: str | None, workspace: Workspace | None = None) -> Exercise:
    """The exercise of this name (or file), or the one of the last check."""
    from minirnn.learn.exercises import find

    wanted = name or (workspace.current if workspace is not None else "")
    if not wanted:
        raise UsageError("no exercise has been begun in this folder; begin with: minirnn learn start")
    try:
        return find(Path(wanted).stem if wanted.endswith(".py") else wanted.replace("-", "_"))
    except KeyError as error:
        raise UsageError(f"{error.args[0]}; minirnn learn list names all") from None


def _list(arguments: argparse.Namespace) -> int:
    from minirnn.learn.exercises import exercises

    workspace = _workspace()
    if arguments.json:
        rows = [
            {
                "name": e.name, "title": e.title, "difficulty": e.difficulty, "minutes": e.minutes, "before": e.before,
                "equations": e.equations, "passed": bool(workspace.states.get(e.name, {}).get("passed")),
            }
            for e in exercises().values()
        ]  # fmt: skip
        print(json.dumps(rows, indent=2))
        return 0
    print("\n".join(printed.listed(exercises().values(), workspace.states)))
    following = workspace.next()
    if following is not None:
        print(f"next: minirnn learn start {following.name}")
    return 0


def _start(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    exercise = _exercise(arguments.exercise) if arguments.exercise else workspace.next()
    if exercise is None:
        print("every exercise is done")
        return 0
    path = workspace.begin(exercise, arguments.seed)
    print("\n".join(printed.task(exercise)))
    print(f"written: {path.name}. Replace each ... in it, then: minirnn learn check {path.name}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    if arguments.file is None:
        exercise = _exercise(None, workspace)
        path = Path(workspace.state(exercise)["file"] or f"{exercise.name}.py")
    else:
        path = Path(arguments.file)
    if not arguments.watch:
        return _check_once(arguments, workspace, path)
    return _watch(arguments, workspace, path)


def _check_once(arguments: argparse.Namespace, workspace: Workspace, path: Path) -> int:
    from minirnn.learn import isolated
    from minirnn.learn.exercises import exercises

    if arguments.exercise is not None:
        _exercise(arguments.exercise)  # says so if there is none
    exercise, text = isolated.read_answer(path, arguments.exercise)
    if arguments.gradescope is not None and os.path.realpath(arguments.gradescope) == os.path.realpath(path):
        raise UsageError(f"--gradescope {arguments.gradescope}: that is what is checked; choose another file")
    grading.look_at_points(arguments, [exercise])
    result = grading.check(exercise, text, path, arguments, quiet=False)
    workspace.state(exercise)["file"] = str(path)
    _kept(workspace, exercise, result)
    if arguments.gradescope is not None:
        from minirnn.learn.classroom import gradescope
        from minirnn.learn.workspace import write_text

        write_text(Path(arguments.gradescope), json.dumps(gradescope([result]), indent=2) + "\n")
    if arguments.json:
        print(json.dumps(result, indent=2))
        return 0 if result["passed"] else 1
    level = max(1, workspace.state(exercise)["level"])
    print("\n".join(printed.checked(result, level)))
    if result["passed"]:
        following = workspace.next()
        print("every exercise is done" if following is None else f"next: minirnn learn start {following.name}")
        return 0
    if level < printed.LEVELS and any(any(finding["levels"][1:]) for finding in result["diagnosis"]):
        print("which term is it? minirnn learn why")
    elif workspace.state(exercise)["hints"] < len(exercises()[exercise.name].hints):
        print("a hint? minirnn learn hint")
    return 1


def _kept(workspace: Workspace, exercise: Exercise, result: dict[str, Any]) -> None:
    """Keeps a result in the folder; where it cannot be written, the result is told all the same."""
    from minirnn.learn.workspace import WorkspaceError

    try:
        workspace.record(exercise, result)
    except WorkspaceError as error:
        note(f"note: this check is not kept: {error}")


def _watch(arguments: argparse.Namespace, workspace: Workspace, path: Path) -> int:
    """Checks whenever the file changes, until it is right or the user stops it."""
    seen: float | None = None
    while True:
        try:
            changed = os.stat(path).st_mtime
        except OSError:
            changed = -1.0  # an editor may replace the file; if it stays away, the check says so
            time.sleep(USUAL_WAIT)
            if not path.exists():
                return _check_once(arguments, workspace, path)
        if changed != seen:
            seen = changed
            if _check_once(arguments, workspace, path) == 0:
                return 0
            note("watching; save the file and it is checked again (Ctrl-C ends this)")
            sys.stdout.flush()
        time.sleep(USUAL_WAIT)


# ---------------------------------------------------------------- help, a little at a time


def _hint(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    exercise = _exercise(arguments.exercise, workspace)
    state = workspace.state(exercise)
    shown = min(state["hints"] + 1, len(exercise.hints))
    new = shown > state["hints"]
    state["hints"] = shown
    workspace.current = exercise.name
    workspace.write()
    for number, hint in enumerate(exercise.hints[:shown], 1):
        print(f"{number} of {len(exercise.hints)}: {hint}")
    if not new:
        print(f"that is all of them; read on with: minirnn read {exercise.equations.split('-')[0].split(',')[0]}")
    return 0


def _why(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    exercise = _exercise(arguments.exercise, workspace)
    state = workspace.state(exercise)
    last = state["last"]
    if last is None:
        raise UsageError(f"{exercise.name} has not been checked yet; first: minirnn learn check {exercise.name}.py")
    if last["passed"]:
        print(f"{exercise.name} is right: there is nothing wrong to be explained")
        return 0
    if not last["diagnosis"]:
        broken = [f"{rung['name']}: {rung['message']}" for rung in last["rungs"] if rung["ok"] is False]
        print("\n".join([*broken, "mend this first; which term is wrong can be told once the answer can be compared"]))
        return 0
    before = state["level"] or 1
    state["level"] = min(before + 1, printed.LEVELS)
    workspace.current = exercise.name
    workspace.write()
    first = before + 1 if state["level"] > before else 2
    lines = [line for finding in last["diagnosis"] for line in printed.revealed(finding, state["level"], first)]
    print("\n".join(lines or ["no more is known than where it is wrong"]))
    return 0


def _reset(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    path, kept = workspace.reset(_exercise(arguments.exercise))
    print(f"written: {path.name}" + (f"; yours is kept as {kept.name}" if kept is not None else ""))
    return 0


def _solution(arguments: argparse.Namespace) -> int:
    workspace = _workspace()
    exercise = _exercise(arguments.exercise)
    state = workspace.state(exercise)
    if not exercise.solved:
        raise UsageError(f"{exercise.name} is for grades: its answer is not part of minirnn")
    if not state["passed"] and not arguments.give_up:
        raise UsageError(f"{exercise.name} is not done yet; with --give-up you see its answer, and the report says so")
    if not state["passed"]:
        state["solution_seen"] = True
        workspace.write()
    print(exercise.solution_of(state["seed"]), end="")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from minirnn.learn.exercises import exercises

    workspace = _workspace()
    if arguments.json:
        rows = [{"exercise": name, **state} for name, state in workspace.states.items()]
        print(json.dumps({"version": 1, "current": workspace.current, "exercises": rows}, indent=2))
        return 0
    print("\n".join(printed.reported(exercises().values(), workspace.states)))
    return 0


def _mistakes(arguments: argparse.Namespace) -> int:
    from minirnn.learn.exercises import exercises
    from minirnn.learn.mistakes import CATALOGUE, FAMILIES
    from minirnn.learn.mistakes.page import as_dict, lines

    chosen = list(CATALOGUE)
    if arguments.exercise:
        wanted = arguments.exercise
        chosen = [m for m in CATALOGUE if wanted in (m.family, m.id) or wanted in m.where]
        if not chosen:
            near = difflib.get_close_matches(wanted, [*FAMILIES, *exercises(), *(m.id for m in CATALOGUE)], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"no mistakes of {wanted!r} are known: expected a family, an exercise or an id{hint}")
    if arguments.json:
        print(json.dumps([as_dict(mistake) for mistake in chosen], indent=2))
        return 0
    print("\n".join(lines(chosen)))
    return 0
