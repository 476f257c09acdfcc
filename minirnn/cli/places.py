"""Where results go: folders and files that were asked for, looked at before the work and not after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from minirnn.cli import UsageError


def folder(directory: str | None) -> Path | None:
    """The folder of ``--out``; it is made at the end.

    Raises:
      UsageError: it is a file, or cannot be written to.
    """
    if directory is None:
        return None
    path = Path(directory)
    existing = path
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except (OSError, ValueError) as error:
        raise UsageError(f"--out {directory!r}: cannot be a folder ({_reason(error)}); choose another name") from None
    if not existing.is_dir():
        raise UsageError(f"--out {directory}: {existing} is a file; expected a folder or a name for a new one")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"--out {directory}: no permission to write in {existing}; choose another folder")
    return path


def file(name: str | None, *inputs: str | None, endings: tuple[str, ...] = (".csv",)) -> Path | None:
    """The file of ``--out``, which must not be one of the inputs.

    Raises:
      UsageError: it is a folder or an input, ends in something else, or cannot be written.
    """
    if name is None:
        return None
    path = Path(name)
    if path.suffix.lower() not in endings:
        raise UsageError(f"--out {name}: expected a name that ends in {' or '.join(endings)}")
    try:
        taken = path.is_dir()
        inside = path.parent.is_dir()
    except (OSError, ValueError) as error:
        raise UsageError(f"--out {name!r}: cannot be a file ({_reason(error)}); choose another name") from None
    if taken:
        raise UsageError(f"--out {name}: is a folder; expected the name of a file")
    if not inside:
        raise UsageError(f"--out {name}: there is no folder {path.parent}; make it first, or name another")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--out {name}: no permission to write in {path.parent}; choose another folder")
    if any(each is not None and os.path.realpath(path) == os.path.realpath(each) for each in inputs):
        raise UsageError(f"--out {name}: that is what is read; choose another file")
    return path


def put(answers: Iterable[str], out: Path | None) -> None:
    """Prints each answer as soon as it is there, or writes all of them to a file, or nothing where one fails.

    Args:
      answers: with the ends of their lines.
      out: the file, looked at by :func:`file`; None to print.

    Raises:
      UsageError: the file cannot be written.
    """
    from minirnn.models.storage import write_atomically

    if out is None:
        for answer in answers:
            print(answer, end="", flush=True)
        return

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.writelines(answers)

    try:
        write_atomically(out, write)
    except OSError as error:
        raise cannot_write(out, error) from None


def cannot_write(path: Path, error: OSError) -> UsageError:
    """The line for a disk that is full, or a folder that has gone."""
    return UsageError(f"--out {path}: cannot be written ({error.strerror}); choose another place")


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
