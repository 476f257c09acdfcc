"""The file format of saved models: one ``.safetensors`` file, arrays and a JSON text in its metadata; no pickle."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minirnn._version import __version__

FORMAT = 2
# Kind of model, as written in the file -> the module that defines the class of that name.
KINDS = {
    "Forecaster": "minirnn.models.forecaster",
    "Classifier": "minirnn.models.classifier",
    "Tagger": "minirnn.models.tagger",
    "LanguageModel": "minirnn.models.language_model",
    "Seq2Seq": "minirnn.models.seq2seq",
}


class ModelFileError(ValueError):
    """A file that is not a model of this library, or a damaged one; one line that says what to do."""


def write_atomically(path: str | os.PathLike, write: Callable[[Path], Any]) -> None:
    """Calls ``write`` with a temporary name beside ``path``, then renames: the file is whole or not there at all.

    The name holds the number of the process, so that the next writer can remove what a killed one has left.
    """
    path = Path(path)
    _remove_leftovers(path.parent, rf"\.{re.escape(path.name)}\.(\d{{1,9}})\.\w+{re.escape(path.suffix)}")
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        write(Path(temporary))
        _sync(Path(temporary))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's own mode would hide the file from everybody else
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    """Puts a file on the disk before its name says that it is there, also if the power fails."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _remove_leftovers(folder: Path, form: str) -> None:
    """Temporary files and folders whose names have this form, and whose writers, the first group, are dead."""
    with contextlib.suppress(OSError):
        for found in folder.iterdir():
            match = re.fullmatch(form, found.name)
            if not match or _lives(int(match[1])):
                continue
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found, ignore_errors=True)
            else:
                found.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def staged(folder: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder inside ``folder`` whose files move up at the end: all of them, or after an error none."""
    folder = Path(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder, r"\.minirnn\.(\d{1,9})\.\w+")
    temporary = Path(tempfile.mkdtemp(prefix=f".minirnn.{os.getpid()}.", dir=folder))
    try:
        yield temporary
        paths = sorted(temporary.iterdir())
        for path in paths:
            _sync(path)
        for path in paths:
            os.replace(path, folder / path.name)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
        raise
    temporary.rmdir()


def save(path: str | os.PathLike, kind: str, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> None:
    """Writes a model: its arrays by name, and everything else as JSON.

    Raises:
      OSError: it cannot be written: no permission, no space, ...; what was there before is still there.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    text = json.dumps({"format": FORMAT, "version": __version__, "kind": kind, **description}, sort_keys=True)
    whole = {name: np.asarray(array, order="C") for name, array in sorted(arrays.items())}
    try:
        write_atomically(path, lambda temporary: save_file(whole, temporary, metadata={"minirnn": text}))
    except SafetensorError as error:  # what safetensors makes of a full disk
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), os.fspath(path)) from None


def read(
    path: str | os.PathLike, what: str = "model", remedy: str = "save the model again"
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the description of a saved model, or of another file of this format.

    Args:
      path: of the file.
      what: is expected, for messages.
      remedy: for a damaged file, for messages.

    Raises:
      ModelFileError: no such file, not a safetensors file, cut short, not ours, or of a later format.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        problem = "is a directory" if path.is_dir() else "does not exist"
        raise ModelFileError(f"{path}: {problem}; expected a {what} saved by minirnn (.safetensors)")
    if not _looks_like_one(path):
        raise ModelFileError(f"{path}: is no model; expected a {what} saved by minirnn (.safetensors)")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(f"{path}: cannot be read as a safetensors file ({first}); {remedy}") from None
    try:
        description = json.loads(metadata["minirnn"])
        version = description["format"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ModelFileError(f"{path}: a safetensors file, but not a {what} saved by minirnn") from None
    if type(version) is not int or not 1 <= version <= FORMAT:
        written = description.get("version", "?")
        raise ModelFileError(
            f"{path}: format {version!r}, written by minirnn {written}; this is minirnn {__version__}, which reads "
            f"formats 1 to {FORMAT}: update minirnn"
        )
    return arrays, description


def _looks_like_one(path: Path) -> bool:
    """Whether a file begins as a safetensors file does, with the length of a JSON object, and its brace.

    One that is cut short before that, or cannot be opened, is not told apart.
    """
    try:
        with open(path, "rb") as file:
            return file.read(9)[8:] in (b"{", b"")
    except OSError:
        return True


def load(path: str | os.PathLike):
    """Loads a saved model, whatever its kind.

    Raises:
      ModelFileError: the file is missing, damaged, foreign, or of a later format.
    """
    arrays, description = read(path)
    kind = description.get("kind")
    if kind == "Checkpoint":
        raise ModelFileError(
            f"{path}: a checkpoint of a training, not a model; resume the training, then save the model"
        )
    if not isinstance(kind, str) or kind not in KINDS:
        raise ModelFileError(f"{path}: unknown kind of model {kind!r}; expected one of {', '.join(KINDS)}")
    model_class = getattr(importlib.import_module(KINDS[kind]), kind)
    try:
        return model_class._restore(arrays, description)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = " ".join(str(error).split())[:120]
        raise ModelFileError(f"{path}: damaged model ({type(error).__name__}: {detail}); save it again") from None


def expect(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int | None, ...], kind: str = "f", missing: bool = False
) -> np.ndarray:
    """Takes an array out of a file's arrays; a ValueError or KeyError unless it has this shape and finite numbers.

    Args:
      arrays: by name; loses this one.
      name: of it.
      shape: None stands for any size.
      kind: of its dtype: ``"f"`` or ``"i"``.
      missing: whether NaN may occur, for values that are not known.
    """
    array = arrays.pop(name)
    fits = len(array.shape) == len(shape) and all(n in (None, m) for m, n in zip(array.shape, shape))
    if not fits or array.dtype.kind != kind:
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        words = {"f": "floating point", "i": "integers"}[kind]
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {words} ({expected})")
    if kind == "f" and not (np.isfinite(array) | (np.isnan(array) if missing else False)).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array
