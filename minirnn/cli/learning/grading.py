"""``minirnn learn grade``: many files, one class report."""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, note, places, positive

if TYPE_CHECKING:
    from minirnn.learn.exercises import Exercise


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options that a check of one file has too."""
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="other random numbers to try it with (default: 0)"
    )
    parser.add_argument(
        "--time-limit", type=seconds, default=None, metavar="S", help="seconds for a file (default: 20; with JAX 120)"
    )
    parser.add_argument(
        "--points",
        action="append",
        default=[],
        type=points,
        metavar="RUNG=N",
        help="what a rung is worth, as in values=6 (a rung is one thing that is looked at: runs, shapes, values, ...)",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that ``grade`` takes."""
    parser.add_argument(
        "submissions", nargs="+", metavar="PATH",
        help="files, or folders of them: STUDENT/FILE.py, or STUDENT_EXERCISE.py",
    )  # fmt: skip
    parser.add_argument("--exercise", metavar="NAME", help="check all files as this exercise")
    add_options(parser)
    parser.add_argument("--out", metavar="DIR", help="write class.csv, class.json and STUDENT.gradescope.json")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, metavar="N", help="files at a time")
    parser.add_argument("--json", action="store_true", help="print what class.json holds, and nothing else")
    parser.epilog = (
        "Each file runs in a process of its own, with a limit of time. That keeps accidents apart; it is no security "
        "sandbox: grade strangers in a container. The seed is worth keeping to yourself: with another one the same "
        "wrong answers are wrong, but no numbers can be copied."
    )


def seed(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return value


def seconds(text: str) -> float:
    """A positive number of seconds, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0 and at most a day, got {text!r}")
    return value


def points(text: str) -> tuple[str, float]:
    """``values=6`` -> ("values", 6.0), for argparse."""
    name, _, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not name or not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"expected the name of a rung and its points, like values=6; got {text!r}")
    return name, value


def check(exercise: Exercise, text: str, path: Path, arguments: argparse.Namespace, quiet: bool) -> dict[str, Any]:
    """The result of one file, with the points that were asked for."""
    from minirnn.learn import isolated
    from minirnn.learn.classroom import weighted

    result = isolated.check(exercise, text, str(path), arguments.seed, arguments.time_limit, quiet)
    return weighted(result, dict(arguments.points))


def look_at_points(arguments: argparse.Namespace, exercises: list[Exercise]) -> None:
    """Raises a UsageError where points are asked for a rung that no exercise has."""
    rungs = list(dict.fromkeys(name for exercise in exercises for name in exercise.rungs))
    for name, _ in arguments.points:
        if name not in rungs:
            raise UsageError(f"--points {name}: the rungs here are {', '.join(rungs)}")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from tqdm import tqdm

    from minirnn.learn import classroom, isolated
    from minirnn.learn.exercises import find
    from minirnn.models.storage import staged

    out = places.folder(arguments.out)
    if arguments.exercise is not None:
        try:
            find(arguments.exercise)
        except KeyError as error:
            raise UsageError(f"--exercise: {error.args[0]}") from None
    found = classroom.submissions([Path(path) for path in arguments.submissions])
    answers, lost = [], []
    for submission in found:
        try:
            exercise, text = isolated.read_answer(submission.path, arguments.exercise)
        except isolated.AnswerError as error:
            note(f"not checked: {error}")
            lost.append(classroom.unread(submission, str(error)))
            continue
        answers.append((submission, exercise, text))
    counting, older = classroom.newest([(submission, exercise.name) for submission, exercise, _ in answers])
    for place, line in older.items():
        note(f"left out: {line}")
        lost.append(classroom.unread(answers[place][0], line))
    answers = [answers[place] for place in counting]
    look_at_points(arguments, [exercise for _, exercise, _ in answers])
    if not answers:
        raise UsageError(f"{', '.join(arguments.submissions)}: no file there answers an exercise")

    def one(answer):
        submission, exercise, text = answer
        return submission, check(exercise, text, submission.path, arguments, quiet=True)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(tqdm(pool.map(one, answers), total=len(answers), unit="file", disable=None))
    table = [*classroom.rows(results), *lost]
    whole = [{"student": submission.student, "file": str(submission.path), **result} for submission, result in results]
    whole += [{key: row[key] for key in ("student", "file", "message", "passed", "points")} for row in lost]
    by_student = classroom.by_student(results)
    for row in lost:
        by_student.setdefault(row["student"], [])  # nobody is without a file
    if out is not None:
        try:
            with staged(out) as folder:
                (folder / "class.csv").write_text(classroom.csv_text(table), encoding="utf-8")
                (folder / "class.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
                names = classroom.file_names([row["student"] for row in table])
                for student, theirs in by_student.items():
                    text = json.dumps(classroom.gradescope(theirs), indent=2) + "\n"
                    (folder / f"{names[student]}.gradescope.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise places.cannot_write(out, error) from None
    if arguments.json:
        print(json.dumps(whole, indent=2))
    else:
        print("\n".join(classroom.summary(table)))
        if out is not None:
            print(f"written to {out}: class.csv, class.json and {len(by_student)} x STUDENT.gradescope.json")
    return 0
