"""The folder in which somebody learns: files that were begun, and how far each has come.

Everything is kept in one small file of the folder itself, ``.minirnn-learn.json``; nothing is kept at home.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from minirnn.learn.exercises import Exercise, exercises

NAME = ".minirnn-learn.json"
VERSION = 1
_FRESH = {
    "file": "", "checks": 0, "hints": 0, "level": 0, "passed": False, "solution_seen": False, "points": 0.0, "of": 0.0,
    "last": None, "seed": 0,
}  # fmt: skip


_RESULT = {"exercise", "passed", "points", "of", "rungs", "diagnosis", "notes"}  # what a result has to hold


class WorkspaceError(ValueError):
    """Something in the folder is not as it should be; one line that says what to do."""


class Workspace:
    """What is known of a folder.

    Args:
      folder: where files are begun.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.current = ""
        self.states: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        broken = f"{self.path}: is no file of minirnn learn; remove it to begin anew (your exercises stay)"
        try:
            held = json.loads(self.path.read_text(encoding="utf-8"))
            version = held["version"]
            states = {name: {**_FRESH, **state} for name, state in held["exercises"].items()}
            self.current = held["current"]
            if not isinstance(self.current, str) or not all(map(_whole, states.values())):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise WorkspaceError(broken) from None
        if version != VERSION:
            raise WorkspaceError(f"{self.path}: is of version {version}, this minirnn knows {VERSION}; update minirnn")
        self.states = states

    def state(self, exercise: Exercise) -> dict[str, Any]:
        """What is known of an exercise; changes to it are kept by :meth:`write`."""
        return self.states.setdefault(exercise.name, dict(_FRESH))

    def write(self) -> None:
        """Keeps everything, or leaves what was kept before.

        Raises:
          WorkspaceError: the folder cannot be written.
        """
        held = {"version": VERSION, "current": self.current, "exercises": self.states}
        write_text(self.path, json.dumps(held, indent=1) + "\n")

    def next(self) -> Exercise | None:
        """The first exercise that is not done; None if all are."""
        return next((e for e in exercises().values() if not self.states.get(e.name, _FRESH)["passed"]), None)

    def begin(self, exercise: Exercise, seed: int = 0) -> Path:
        """Writes the stub of an exercise.

        Args:
          exercise: which.
          seed: of a riddle: another one gives another mistake to be found.

        Raises:
          WorkspaceError: the file is there already, or only riddles have seeds.
        """
        if seed and not exercise.seeded:
            raise WorkspaceError(f"--seed {seed}: {exercise.name} is the same for every seed; leave it out")
        path = self.folder / f"{exercise.name}.py"
        if path.exists():
            raise WorkspaceError(
                f"{path.name} is there already; go on with it, or put it back with: minirnn learn reset {exercise.name}"
            )
        write_text(path, exercise.stub_of(seed))
        self.state(exercise)["seed"] = seed
        self._begun(exercise, path)
        return path

    def reset(self, exercise: Exercise) -> tuple[Path, Path | None]:
        """Puts the stub back; returns its path, and where the file that stood there is kept now."""
        path = self.folder / f"{exercise.name}.py"
        kept = None
        stub = exercise.stub_of(self.state(exercise)["seed"])
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != stub:
            numbers = (f"{exercise.name}.old{n}.py" for n in range(1, 10_000))
            kept = self.folder / next(name for name in numbers if not (self.folder / name).exists())
            os.replace(path, kept)
        write_text(path, stub)
        kept_too = {name: self.state(exercise)[name] for name in ("checks", "hints", "solution_seen", "seed")}
        self.states[exercise.name] = {**_FRESH, **kept_too}
        self._begun(exercise, path)
        return path, kept

    def _begun(self, exercise: Exercise, path: Path) -> None:
        self.state(exercise)["file"] = path.name
        self.current = exercise.name
        self.write()

    def record(self, exercise: Exercise, result: dict[str, Any]) -> None:
        """Keeps the result of a check."""
        state = self.state(exercise)
        before = (state["last"] or {}).get("diagnosis")
        if before != result["diagnosis"]:
            state["level"] = 0  # another mistake: what was revealed of the last one says nothing of it
        state["checks"] += 1
        state["passed"] = state["passed"] or result["passed"]
        state["points"], state["of"] = max(state["points"], result["points"]), result["of"]
        result["hints_used"] = state["hints"]
        state["last"] = result
        self.current = exercise.name
        self.write()


def _whole(state: dict[str, Any]) -> bool:
    """Whether what is kept of an exercise has the right types."""
    return (
        all(
            isinstance(state[name], (int, float) if type(value) is float else type(value))
            and not (type(value) in (int, float) and isinstance(state[name], bool))
            for name, value in _FRESH.items()
            if name != "last"
        )
        and math.isfinite(state["points"] + state["of"])
        and (
            state["last"] is None
            or (isinstance(state["last"], dict) and _findings(state["last"]) and set(state["last"]) >= _RESULT)
        )
    )


def _findings(result: dict[str, Any]) -> bool:
    diagnosis = result.get("diagnosis")
    return isinstance(diagnosis, list) and all(
        isinstance(finding, dict) and {"name", "equation", "levels", "source"} <= set(finding) for finding in diagnosis
    )


def write_text(path: Path, text: str) -> None:
    """Writes a file whole, or not at all.

    Raises:
      WorkspaceError: it cannot be written.
    """
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as file:
            temporary = file.name
            file.write(text)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise WorkspaceError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
