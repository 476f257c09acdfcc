"""Checks a file in a process of its own, with a limit of time: an endless loop ends, and nothing of it is left behind.

This keeps accidents apart. It is no security sandbox: the process may read and write what its user may. Whoever grades
strangers does so in a container or a virtual machine.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from minirnn.learn.exercises import Exercise, exercises, find
from minirnn.learn.grading.result import Result, Rung
from minirnn.learn.grading.rules import broken_rules, parsed

SECONDS, SECONDS_OF_JAX = 20.0, 120.0  # JAX has to start and to compile
LARGEST = 1 << 20  # bytes of an answer
PRINTED = 1 << 16  # bytes of what a file prints that are shown
MEMORY = 4 << 30  # bytes; not with JAX, which reserves more than it uses


class AnswerError(ValueError):
    """A file that cannot be checked; one line that says what was expected."""


def read_answer(path: Path, name: str | None = None) -> tuple[Exercise, str]:
    """A file and the exercise that it answers.

    Args:
      path: of the file.
      name: of the exercise; None reads it from the file (``EXERCISE = "..."``), or from its name.

    Raises:
      AnswerError: there is no such file or exercise.
    """
    if not path.suffix and not path.exists() and path.with_suffix(".py").is_file():
        path = path.with_suffix(".py")
    try:
        if path.is_dir():
            raise AnswerError(f"{path}: is a folder; expected the file of an exercise")
        if path.stat().st_size > LARGEST:
            raise AnswerError(f"{path}: is larger than a megabyte; expected the file of an exercise")
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except FileNotFoundError:
        begun = f"; begin with: minirnn learn start {path.stem}" if path.stem in exercises() else ""
        raise AnswerError(f"{path}: there is no such file{begun}") from None
    except UnicodeDecodeError:
        raise AnswerError(f"{path}: is no text in UTF-8; expected the file of an exercise") from None
    except (OSError, ValueError) as error:
        if isinstance(error, AnswerError):
            raise
        raise AnswerError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    wanted = name or named_in(text) or next((e for e in exercises() if path.stem.endswith(e)), None)
    if wanted is None:
        raise AnswerError(f'{path}: says of no exercise that it answers it; expected a line EXERCISE = "lstm_step"')
    try:
        return find(wanted), text
    except KeyError as error:
        raise AnswerError(f"{path}: {error.args[0]}") from None


def named_in(text: str) -> str | None:
    """What ``EXERCISE = "..."`` says in a file."""
    tree = parsed(text)
    if tree is None:
        # A file that does not compile yet still says what it wants to be.
        lines = [line for line in text.splitlines() if line.startswith("EXERCISE")]
        return lines[0].partition("=")[2].strip(" \"'") if lines else None
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["EXERCISE"]:
            return str(node.value.value) if isinstance(node.value, ast.Constant) else None
    return None


def check(
    exercise: Exercise, text: str, path: str, seed: int = 0, seconds: float | None = None, quiet: bool = False
) -> dict[str, Any]:
    """The result of a check as a dictionary (:meth:`Result.as_dict`).

    Args:
      exercise: what is answered.
      text: the file.
      path: its name, for messages.
      seed: of the numbers that it is tried with.
      seconds: how long it may take; None stands for a usual time.
      quiet: do not show what the file prints; else it goes to standard error.
    """
    limit = seconds or (SECONDS_OF_JAX if "jax" in exercise.imports else SECONDS)
    with tempfile.TemporaryDirectory(prefix="minirnn-learn-") as folder:
        task, answer = Path(folder) / "task.json", Path(folder) / "result.json"
        given = {"exercise": exercise.name, "text": text, "path": path, "seed": seed, "jax": "jax" in exercise.imports}
        task.write_text(json.dumps(given), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "minirnn.learn.isolated", str(task), str(answer)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")},
        )
        passing_on = threading.Thread(target=_pass_on, args=(process.stdout, quiet), daemon=True)
        passing_on.start()
        try:
            status = process.wait(limit)
            message = f"the process ended at once (status {status}): does the file leave Python, or use up the memory?"
        except subprocess.TimeoutExpired:
            message = f"took longer than {limit:g} s: is there a loop without end?"
        except BaseException:
            _end(process)
            raise
        _end(process)
        passing_on.join(1.0)
        try:
            return json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return _lost(exercise, text, seed, message, limit)


def _pass_on(stream: Any, quiet: bool) -> None:
    """Shows what a file prints on standard error, as far as anybody would read it; the rest is thrown away."""
    shown = 0
    with stream:
        while data := stream.read1(1 << 16):
            if quiet or shown > PRINTED:
                continue
            sys.stderr.write(data[: PRINTED - shown].decode("utf-8", "replace"))
            shown += len(data)
            if shown > PRINTED:
                sys.stderr.write("\n... more was printed; it is left out\n")


def _lost(exercise: Exercise, text: str, seed: int, message: str, seconds: float) -> dict[str, Any]:
    """The result of a file that gave none."""
    broken = broken_rules(text, exercise)
    result = Result(exercise.name, seed, [Rung("own work", not broken, broken), Rung("runs", False, message)])
    result.finish(exercise.rungs)
    result.seconds = seconds
    return result.as_dict()


def _end(process: subprocess.Popen) -> None:
    """Ends a process and all that it has started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _work(task: Path, answer: Path) -> None:
    """What the process does."""
    given = json.loads(task.read_text(encoding="utf-8"))
    if not given["jax"]:
        with contextlib.suppress(ImportError, OSError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from minirnn.learn.grading.ladder import grade, in_one_line

    exercise = find(given["exercise"])
    try:
        result = grade(exercise, given["text"], given["path"], given["seed"]).as_dict()
    except (KeyboardInterrupt, SystemExit) as error:  # raised by the file: nobody else is here
        message = f"{in_one_line(error, given['path'])} ended the program: a function should return"
        result = _lost(exercise, given["text"], given["seed"], message, 0.0)
    partial = answer.with_suffix(".part")
    partial.write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    os.replace(partial, answer)


if __name__ == "__main__":
    _work(Path(sys.argv[1]), Path(sys.argv[2]))
