"""For teachers: many answers, their points, what went wrong most often, and the forms that other programs read."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirnn.learn.exercises import exercises


class SubmissionError(ValueError):
    """A place with nothing to grade; one line that says what was expected."""


@dataclass(frozen=True)
class Submission:
    """One file of one student."""

    student: str
    path: Path


def submissions(places: Sequence[Path]) -> list[Submission]:
    """Every Python file of these places, with whose it is.

    In a folder, ``ADA/lstm_step.py`` and ``ADA_lstm_step.py`` are Ada's; of a file that is given by itself the name
    decides.

    Raises:
      SubmissionError: a place is not there, or holds no Python file.
    """
    found: list[Submission] = []
    for place in places:
        if place.is_dir():
            files = sorted(path for path in place.rglob("*.py") if _handed_in(path.relative_to(place)))
            if not files:
                raise SubmissionError(f"{place}: holds no Python file; expected STUDENT/FILE.py or STUDENT_EXERCISE.py")
            found += [Submission(_student(path.relative_to(place), place), path) for path in files]
        elif place.exists():
            found.append(Submission(_student(Path(place.name), place.absolute().parent), place))
        else:
            raise SubmissionError(f"{place}: there is no such file or folder")
    return found


def _handed_in(path: Path) -> bool:
    """Whether a file below a folder is an answer: not hidden, no cache, no old one that a reset has kept."""
    hidden = any(part.startswith(".") or part in ("__pycache__", "__MACOSX") for part in path.parts)
    return not hidden and not re.search(r"\.old\d+$", path.stem)


def _student(path: Path, folder: Path) -> str:
    """Whose a file is, from its path below the folder of all."""
    if len(path.parts) > 1:
        name = path.parts[0]
    elif path.stem in exercises():
        name = folder.name  # a file as ``minirnn learn start`` names it: the folder says whose it is
    else:
        endings = [name for name in exercises() if path.stem.endswith(name)]
        name = path.stem.removesuffix(max(endings, key=len)).rstrip("_- .") if endings else path.stem
    return name or "unknown"


def file_names(students: Iterable[str]) -> dict[str, str]:
    """A file name for each student, different ones also where only case or signs differ."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for student in dict.fromkeys(students):
        plain = re.sub(r"[^\w.@+-]", "_", student)
        choices = (plain, *(f"{plain}-{number}" for number in range(2, 10_000)))
        names[student] = next(name for name in choices if name.casefold() not in taken)
        taken.add(names[student].casefold())
    return names


def newest(answers: Sequence[tuple[Submission, str]]) -> tuple[list[int], dict[int, str]]:
    """Which answers count, where somebody has handed in several to one exercise: the newest.

    Args:
      answers: submissions, and the exercise of each.

    Returns:
      The places of those that count, in order, and why each of the others does not.
    """
    best: dict[tuple[str, str], int] = {}
    older_ones: dict[int, str] = {}
    for place, (submission, exercise) in enumerate(answers):
        key = (submission.student, exercise)
        if key not in best:
            best[key] = place
            continue
        older, newer = sorted((best[key], place), key=lambda k: (answers[k][0].path.stat().st_mtime, k))
        best[key] = newer
        older_ones[older] = f"{answers[older][0].path}: {answers[newer][0].path} of {submission.student} is newer"
    return sorted(best.values()), older_ones


def weighted(result: dict[str, Any], points: Mapping[str, float]) -> dict[str, Any]:
    """A result with other points for some of its rungs; none for an answer that was not derived."""
    rungs = []
    for rung in result["rungs"]:
        if rung["name"] in points:
            share = rung["points"] / rung["of"] if rung["of"] else float(bool(rung["ok"]))
            rung = {**rung, "points": round(share * points[rung["name"]], 2), "of": points[rung["name"]]}
        rungs.append(rung)
    if any(rung["name"] == "own work" and rung["ok"] is False for rung in rungs):
        rungs = [{**rung, "points": 0.0} for rung in rungs]  # an answer that was not derived
    return {
        **result,
        "rungs": rungs,
        "points": round(sum(rung["points"] for rung in rungs), 2),
        "of": round(sum(rung["of"] for rung in rungs), 2),
    }


def rows(results: Iterable[tuple[Submission, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each file, for a table."""
    table = []
    for submission, result in results:
        first = result["first_wrong"] or {}
        known = [finding["id"] or finding["confidence"] for finding in result["diagnosis"]]
        broken = next((rung for rung in result["rungs"] if rung["ok"] is False), None)
        table.append(
            {
                "student": submission.student,
                "exercise": result["exercise"],
                "file": str(submission.path),
                "passed": int(result["passed"]),
                "points": result["points"],
                "of": result["of"],
                "first rung": broken["name"] if broken else "",
                "message": broken["message"] if broken else "",
                "first wrong": first.get("name", ""),
                "step": first.get("t", ""),
                "mistakes": " ".join(known),
                "seconds": result["seconds"],
                **{f"rung {rung['name']}": rung["points"] for rung in result["rungs"]},
            }
        )
    return table


def unread(submission: Submission, reason: str) -> dict[str, Any]:
    """A row for a file that could not be checked, so that nobody is lost."""
    return {
        "student": submission.student, "exercise": "", "file": str(submission.path), "passed": 0, "points": 0.0,
        "of": 0.0, "first rung": "", "message": reason, "first wrong": "", "step": "", "mistakes": "", "seconds": 0.0,
    }  # fmt: skip


def csv_text(table: Sequence[Mapping[str, Any]]) -> str:
    """The table as CSV. A text that a spreadsheet would take for a formula is quoted by an apostrophe."""
    columns = list(dict.fromkeys(name for row in table for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: _harmless("" if value is None else value) for name, value in row.items()})
    return out.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def by_student(results: Iterable[tuple[Submission, Mapping[str, Any]]]) -> dict[str, list[Mapping[str, Any]]]:
    """The results of each student."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for submission, result in results:
        found.setdefault(submission.student, []).append(result)
    return found


def gradescope(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What Gradescope reads as ``results.json``: a test for every rung that is worth something, or broke."""
    tests = []
    for result in results:
        for rung in result["rungs"]:
            if rung["of"] or rung["ok"] is False:
                tests.append(
                    {
                        "name": f"{result['exercise']}: {rung['name']}",
                        "score": rung["points"],
                        "max_score": rung["of"],
                        "status": "passed" if rung["ok"] else "failed",
                        "output": rung["message"],
                    }
                )
    said = [
        f"{result['exercise']}: {finding['levels'][0]}" for result in results for finding in result["diagnosis"]
    ]  # where, not which term: that is the student's to ask for
    return {
        "score": round(sum(result["points"] for result in results), 2),
        "execution_time": round(sum(result["seconds"] for result in results), 2),
        "output": "\n".join(said) or "All is right." if all(r["passed"] for r in results) else "\n".join(said),
        "tests": tests,
    }


def summary(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """How each exercise went, and what went wrong most often."""
    lines = []
    for exercise in dict.fromkeys(row["exercise"] for row in table if row["exercise"]):
        mine = [row for row in table if row["exercise"] == exercise]
        passed, mean = sum(row["passed"] for row in mine), sum(row["points"] for row in mine) / len(mine)
        lines.append(f"{exercise}: {passed} of {len(mine)} right, {mean:.1f} of {mine[0]['of']:g} points on average")
        common = Counter(name for row in mine for name in row["mistakes"].split() if "." in name)
        lines += [f"  {count:>3} x {name}" for name, count in common.most_common(5)]
        broken = Counter(row["first rung"] for row in mine if row["first rung"] and not row["mistakes"])
        lines += [f"  {count:>3} x not past the rung {name!r}" for name, count in broken.most_common(3)]
    return lines
