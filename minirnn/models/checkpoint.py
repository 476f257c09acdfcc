"""Checkpoints: everything that a training needs to go on as if it had never stopped, in one ``.safetensors`` file.

Arrays: the whole training state of all members (weights and whatever the optimiser keeps, by their places in the tree),
and each member's best weights. In the metadata: history, the generator of the shuffles, and what identifies the
training, so that it cannot go on with other data or other settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minirnn.models import storage
from minirnn.models.storage import ModelFileError

KIND = "Checkpoint"
REMEDY = "go on from another checkpoint, or start anew with another file"
OWN = "the caller's own"  # an optimizer that no file can describe
_BLOCK = 1 << 26  # bytes of an array that are hashed at a time: data may be larger than the memory


class CheckpointError(ModelFileError):
    """A checkpoint that cannot be used for this training; one line that says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps itself, and how often.

    It is written after every epoch, or as often as is said here, and when the training ends; an interruption (Ctrl-C)
    leaves it as it was last written.

    Args:
      path: of the file; expected to end in ``.safetensors``.
      every_epochs: write after so many epochs.
      every_minutes: write after the first epoch that ends so many minutes after the last writing.

    >>> Checkpoint("run.safetensors", every_minutes=10).every_epochs is None
    True
    """

    path: str | os.PathLike
    every_epochs: int | None = None
    every_minutes: float | None = None

    def __post_init__(self):
        if self.every_epochs is None and self.every_minutes is None:
            object.__setattr__(self, "every_epochs", 1)
        for name in ("every_epochs", "every_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise CheckpointError(f"checkpoint: {name} must be positive, got {value!r}")

    def due(self, epochs: int, seconds: float) -> bool:
        """Whether it is to be written, so many epochs and seconds after the last time."""
        by_epochs = self.every_epochs is not None and epochs >= self.every_epochs
        return by_epochs or (self.every_minutes is not None and seconds >= 60 * self.every_minutes)


class Snapshot(NamedTuple):
    """A training between two epochs.

    ``state`` is the half's TrainState; ``best`` the best weights of each member and ``best_loss`` their validation
    losses; ``history`` the fields of a History; ``generator`` the state of the NumPy generator of the shuffles;
    ``devices`` how many have trained.
    """

    state: Any
    best: list
    best_loss: np.ndarray  # (K,)
    history: dict[str, Any]
    generator: dict[str, Any]
    devices: int


class Keeper:
    """Writes the checkpoints of one training, and finds the one to go on from.

    Args:
      checkpoint: where and how often.
      identity: of the training, from :func:`identity`.
      mesh: the devices that train; over several processes the first one alone reads and writes.
    """

    def __init__(self, checkpoint: Checkpoint, identity: dict[str, Any], mesh: Any = None):
        self.checkpoint, self.identity = checkpoint, identity
        self._several = mesh is not None and mesh.is_multi_process
        self._epoch, self._time = 0, time.monotonic()

    def open(self, resume: bool, start: Snapshot) -> Snapshot | None:
        """What to go on from: None if the training starts anew.

        Args:
          resume: go on from the file, if there is one. Without it a file that exists is an error, and stays as it is.
          start: the training before its first epoch: the state has to have the same structure.

        Raises:
          CheckpointError: the file cannot be used.
        """
        contents = _from_first(self._look, resume) if self._several else self._look(resume)
        if contents is None:
            return None
        arrays, description = contents
        snapshot = self._restore(arrays, description, start)
        self._epoch = len(snapshot.history["loss"])
        return snapshot

    def _look(self, resume: bool) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        path = Path(self.checkpoint.path)
        if not _is_there(path):
            _writable(path)
            return None
        if resume:
            return storage.read(path, "checkpoint", REMEDY)
        try:
            kind = storage.read(path)[1].get("kind")
        except ModelFileError:
            kind = None
        if kind != KIND:  # a model, the data: nothing to be deleted
            raise CheckpointError(f"{path}: exists already and is not a checkpoint; choose another file")
        raise CheckpointError(f"{path}: exists already; resume to go on from it, or delete it to start anew")

    def after_epoch(self, epoch: int, ended: bool, snapshot: Callable[[], Snapshot]) -> None:
        """Writes the checkpoint if it is due."""
        due = self.checkpoint.due(epoch - self._epoch, time.monotonic() - self._time)
        if not due and not (ended and epoch > self._epoch):
            return
        self._write(snapshot())
        self._epoch, self._time = epoch, time.monotonic()

    def _write(self, snapshot: Snapshot) -> None:
        if self._several:
            from minirnn.fast import devices

            if not devices.is_first():
                return
        arrays = {f"state{name}": _array(leaf) for name, leaf in _leaves(snapshot.state).items()}
        arrays |= {f"best{name}": _array(leaf) for name, leaf in _leaves(snapshot.best).items()}
        arrays["best_loss"] = snapshot.best_loss
        description = {
            "identity": self.identity,
            "history": snapshot.history,
            "generator": _plain(snapshot.generator),
            "devices": snapshot.devices,
        }
        try:
            storage.save(self.checkpoint.path, KIND, arrays, description)
        except OSError as error:
            raise CheckpointError(f"{self.checkpoint.path}: cannot be written ({error.strerror})") from None

    def _restore(self, arrays: dict[str, np.ndarray], description: dict[str, Any], start: Snapshot) -> Snapshot:
        path = self.checkpoint.path
        if description.get("kind") != KIND:
            raise CheckpointError(f"{path}: a saved {description.get('kind')}, not a checkpoint; {REMEDY}")
        try:
            _same(path, description["identity"], self.identity)
            best_loss = arrays.pop("best_loss")
            best = {name: arrays.pop(name) for name in list(arrays) if name.startswith("best")}
            snapshot = Snapshot(
                _into(start.state, "state", arrays, f"{path}: written with another optimizer, pass the same one"),
                _into(start.best, "best", best, f"{path}: damaged checkpoint, {REMEDY}"),
                best_loss,
                dict(description["history"]),
                dict(description["generator"]),
                int(description["devices"]),
            )
            if best_loss.shape != start.best_loss.shape:
                raise ValueError(f"best_loss has the shape {best_loss.shape}")
            _check_history(snapshot.history, start.history, members=len(best_loss))
            _check_generator(snapshot.generator, start.generator)
            return snapshot
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = " ".join(str(error).split())[:120]
            raise CheckpointError(f"{path}: damaged checkpoint ({type(error).__name__}: {detail}); {REMEDY}") from None


# ---------------------------------------------------------------- what identifies a training


def identity(parts: dict[str, Any]) -> dict[str, Any]:
    """Names and plain values of all that decides what a training computes; arrays by their shape and checksum.

    >>> identity({"batch_size": 32, "weights": np.zeros(2)})
    {'batch_size': 32, 'weights': 'float64 (2,), checksum 374708fff771'}
    """
    plain: dict[str, Any] = {}
    for name, value in parts.items():
        if dataclasses.is_dataclass(value):
            plain |= identity({f"{name}.{f.name}": getattr(value, f.name) for f in dataclasses.fields(value)})
        elif isinstance(value, tuple | list):
            labels = getattr(value, "_fields", range(len(value)))
            plain |= identity({f"{name}.{label}": part for label, part in zip(labels, value)})
        elif hasattr(value, "dtype") and np.ndim(value):
            plain[name] = f"{value.dtype} {tuple(value.shape)}, checksum {_checksum(value)}"
        elif isinstance(value, dict):
            plain[name] = f"checksum {hashlib.sha256(repr(_plain(value)).encode()).hexdigest()[:12]}"
        else:
            plain[name] = _plain(value) if isinstance(value, str | int | float | np.generic) else repr(value)
    return plain


def _checksum(array: Any) -> str:
    digest = hashlib.sha256()
    rows = max(1, _BLOCK // max(1, array.nbytes // len(array))) if len(array) else 1
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).view(np.uint8).data)
    return digest.hexdigest()[:12]


def _same(path: Any, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuses another training; the message names the first difference."""
    before, given = then["optimizer"], now["optimizer"]
    if before != given and before == OWN:
        raise CheckpointError(f"{path}: written with an optimizer of the caller's own; pass the same one again")
    if before != given and given == OWN:
        raise CheckpointError(f"{path}: written with {before}, minirnn's own optimizer; pass none")
    for name in dict.fromkeys([*now, *then]):
        if then.get(name) != now.get(name):
            raise CheckpointError(
                f"{path}: belongs to another training: {name} was {then.get(name)!r} and is {now.get(name)!r}; take "
                "the same data and settings, or another file"
            )


def _check_history(history: dict[str, Any], start: dict[str, Any], members: int) -> None:
    """A ValueError unless it is a history of whole epochs of so many members."""
    epochs = len(history["loss"])
    rows = [*history["loss"], *history["validation"], history["best"]]
    numbers = all(isinstance(number, int | float) for row in rows for number in row)
    if history.keys() != start.keys() or len(history["validation"]) != epochs + 1 or not numbers:
        raise ValueError("history of other epochs")
    if any(len(row) != members for row in rows) or not all(best in range(epochs + 1) for best in history["best"]):
        raise ValueError("history of other members")


def _check_generator(state: dict[str, Any], start: dict[str, Any]) -> None:
    """A ValueError unless a generator like that of the start takes this state."""
    if state["bit_generator"] != start["bit_generator"]:
        raise ValueError(f"generator {state['bit_generator']!r}")
    getattr(np.random, start["bit_generator"])().state = state


# ---------------------------------------------------------------- trees of arrays


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves of any tree by their places in it: ``.members.head.W``, ``.optimizer[1][0].mu...``."""
    import jax

    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def _array(leaf: Any) -> np.ndarray:
    """A leaf as a NumPy array that a file can hold."""
    import jax

    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array  # bfloat16 and its like


def _like(leaf: Any, array: np.ndarray) -> Any:
    """The reverse of :func:`_array`: the same kind of thing as ``leaf``."""
    import jax
    import jax.numpy as jnp

    if isinstance(leaf, jax.Array):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jnp.array(array), impl=jax.random.key_impl(leaf))
        return jnp.array(array.view(leaf.dtype) if leaf.dtype.kind == "V" else array)
    return array if isinstance(leaf, np.ndarray) else type(leaf)(array.item())


def _into(template: Any, prefix: str, arrays: dict[str, np.ndarray], problem: str) -> Any:
    """A tree of the structure of ``template`` with the numbers of a file."""
    import jax

    leaves = {f"{prefix}{name}": leaf for name, leaf in _leaves(template).items()}
    expected = {name: _form(_array(leaf)) for name, leaf in leaves.items()}
    found = {name: _form(array) for name, array in arrays.items()}
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            there, wanted = found.get(name, "nothing"), expected.get(name, "nothing")
            raise CheckpointError(f"{problem} ({name}: {there} in the file, {wanted} expected)")
    return jax.tree.unflatten(jax.tree.structure(template), [_like(leaves[name], arrays[name]) for name in leaves])


def _form(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


# ---------------------------------------------------------------- files and processes


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _from_first(look: Callable, *arguments: Any) -> Any:
    """What process 0 finds in its file, or refuses, in every process: the others may not see the file."""
    from safetensors.numpy import load
    from safetensors.numpy import save as to_bytes

    from minirnn.fast import devices

    arrays: dict[str, np.ndarray] = {}
    found: dict[str, Any] = {}
    if devices.is_first():
        try:
            contents = look(*arguments)
            if contents is not None:
                arrays, found["description"] = contents
        except ModelFileError as error:
            found["error"] = str(error)
    text = np.frombuffer(json.dumps(found).encode(), np.uint8)
    arrays = load(devices.from_first(to_bytes({**arrays, "found": text})))
    found = json.loads(arrays.pop("found").tobytes())
    if "error" in found:
        raise CheckpointError(found["error"])
    return (arrays, found["description"]) if found else None


def _is_there(path: Path) -> bool:
    """Whether there is a file; anything else that it could be is refused."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be a file ({error.strerror}); choose another name") from None
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path}: is not a file; expected the name of a file (.safetensors)")
    return True


def _writable(path: Path) -> None:
    """Refuses a place where nothing can be written: before the training, not after its first epoch."""
    folder = path.parent
    if not folder.is_dir():
        raise CheckpointError(f"{path}: there is no folder {folder}; make it first")
    try:
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=path.suffix, dir=folder):
            pass
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror}); choose another file") from None
