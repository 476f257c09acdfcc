"""The loop around the epochs of either half: shuffling, validation, early stopping, progress."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.models import checkpoint as checkpoints
from minirnn.models.checkpoint import Checkpoint, Keeper, Snapshot
from minirnn.models.trees import array_names


class TrainingError(ValueError):
    """Training could not go on; one line that says where and what to do.

    Args:
      message: the line.
      members: the weights of each member that were the best so far.
      history: what had happened until then.
    """

    def __init__(self, message: str, members: list | None = None, history: History | None = None) -> None:
        super().__init__(message)
        self.members = [] if members is None else members
        self.history = History() if history is None else history


@dataclass
class History:
    """What happened during training. Lists over epochs hold one number for each member.

    Args:
      loss: mean training loss of epochs 1, 2, ...
      validation: validation loss of epochs 0, 1, 2, ...; epoch 0 is before the first update.
      best: the epoch whose weights were kept, for each member.
      ended: why it ended: ``"patience"``, ``"max_epochs"`` or ``"interrupted"``.
      notes: what there is to say about a resumed training, one line each.
      moments: what Adam remembered of each member in the end; None of an optimiser of the caller's own.
    """

    loss: list[list[float]] = field(default_factory=list)
    validation: list[list[float]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    ended: str = "max_epochs"
    notes: list[str] = field(default_factory=list)
    moments: list | None = field(default=None, compare=False, repr=False)

    @property
    def epochs(self) -> int:
        """Epochs that were run to their end; unknown (0) of a model that was loaded."""
        return len(self.loss)

    def as_dict(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {name: getattr(self, name) for name in ("loss", "validation", "best", "ended")}

    @classmethod
    def of(cls, kept: dict[str, Any]) -> History:
        """The reverse of :meth:`as_dict`."""
        return cls(list(kept["loss"]), list(kept["validation"]), list(kept["best"]), str(kept["ended"]))


class Batches(NamedTuple):
    """The batches of an epoch: rows (K, S, B), counts (S, B), and of which kind each is (S,), if there are several."""

    rows: np.ndarray
    counts: np.ndarray
    kinds: np.ndarray | None = None


def batches_of(rng: np.random.Generator, windows: int, batch_size: int, members: int, most: int | None = None):
    """Shuffled indices (K, S, B) for each member, and counts (S, B): 0 where the last batch had to be filled up.

    The permutations come from NumPy, so that both halves see the same batches. Of more than ``most`` windows each
    member gets so many, drawn anew.
    """
    count = windows if most is None else min(windows, most)
    size = min(batch_size, count)
    steps = -(-count // size)
    counts = (np.arange(steps * size) < count).astype(np.float32).reshape(steps, size)
    orders = []
    for _ in range(members):
        order = rng.permutation(windows)[:count]
        filler = np.zeros(steps * size - count, order.dtype)
        orders.append(np.concatenate([order, filler]).reshape(steps, size))
    return np.stack(orders), counts


def diverged(record: Any) -> tuple[int, int] | None:
    """The first batch of an epoch whose loss or gradient is not finite: its member and its number, from 0."""
    bad = ~(np.isfinite(record.losses) & np.isfinite(record.gradient))
    if not bad.any():
        return None
    s = int(bad.any(axis=0).argmax())
    return int(bad[:, s].argmax()), s


def describe(record: Any, k: int, s: int, params: Any) -> str:
    """What is known of batch s of member k: ``batch 3 of 8, member 1 of 2: the loss is ..., the largest ...``."""
    members, steps = np.shape(record.losses)
    names = array_names(params)

    def gradient(s: int) -> str:
        return f"{record.gradient[k, s]:.3g} (in {names[record.array[k, s]]})"

    member = f", member {k + 1} of {members}" if members > 1 else ""
    text = (
        f"batch {s + 1} of {steps}{member}: the loss is {record.losses[k, s]:.4g}, the largest gradient {gradient(s)}"
    )
    return text + (f" after {gradient(s - 1)} in the batch before" if s else "")


def train(
    half: Any,
    description,
    members: list,
    training,
    validation,
    *,
    rng: np.random.Generator,
    learning_rate: float,
    max_norm: float,
    batch_size: int,
    max_epochs: int,
    patience: int,
    weight_decay: float = 0.0,
    decay_epochs: int | None = None,
    warm_up: float = 0.0,
    dropout_seed: int | None = None,
    most: int | None = None,
    budget_bytes: int | None = None,
    progress: bool = False,
    optimizer: Any = None,
    mesh: Any = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    moments: list | None = None,
    batches: Callable[[np.random.Generator], Batches] | None = None,
):
    """Trains the members until none of them has improved on the validation windows for ``patience`` epochs.

    Args:
      half: ``training`` (of networks), ``forecasting``, ``classifying``, ... of ``minirnn.fast`` or
        ``minirnn.readable``: what has their ``epoch``, ``evaluate`` and so on.
      description: what its functions take: a ``Network``, a ``Forecast``, ...
      members: initial weights of each member.
      training: the training windows, as its ``epoch`` takes them: inputs (n, T, D), targets, weights, ...
      validation: the same of the validation windows.
      rng: for the shuffles.
      learning_rate: of Adam.
      max_norm: of all gradients of a member together; larger ones are scaled down.
      batch_size: windows in a batch.
      max_epochs: at most so many.
      patience: epochs without improvement of any member.
      weight_decay: of AdamW; 0 is Adam.
      decay_epochs: after which the learning rate has fallen to zero, along a cosine; None keeps it as it is.
      warm_up: the share of these epochs in which the learning rate first rises from zero.
      dropout_seed: of the units that are dropped, if the description drops any; None drops none.
      most: windows that a member sees in an epoch, at most; None for all.
      budget_bytes: of windows that are kept on a device; None is a quarter of its memory.
      progress: show a bar on standard error.
      optimizer: one of the half's instead of Adam with ``learning_rate`` and ``max_norm``: any of optax in JAX.
      mesh: devices that share the batches, from :func:`minirnn.fast.devices.mesh`; None is one device.
      checkpoint: a file from which the training can go on after an interruption.
      resume: go on from that file; where there is none the training starts anew. All that decides the result has to be
        the same, an ``optimizer`` too: no file can hold one. ``max_epochs`` and ``patience`` may have changed.

    Returns:
      The weights of each member at its best epoch, and the History. An interruption from the keyboard ends the
      training with the best weights so far. Resumed with as many devices, the result is the same to the last bit.

    Raises:
      TrainingError: a loss or a gradient is not finite. The best weights so far are its ``members``.
      CheckpointError: the file cannot be used; the message says why.
    """
    from tqdm import tqdm

    def shuffled(rng: np.random.Generator) -> Batches:
        return Batches(*batches_of(rng, len(training[0]), batch_size, len(members), most))

    draw = shuffled if batches is None else batches
    decay_steps, warm_up_steps = None, 0
    if decay_epochs is not None:  # what is drawn here is drawn once more: the shuffles do not depend on the rate
        decay_steps = decay_epochs * len(draw(copy.deepcopy(rng)).counts)
        warm_up_steps = int(warm_up * decay_steps)
    own = optimizer is not None
    optimizer = (
        optimizer if own else half.make_optimizer(learning_rate, max_norm, weight_decay, decay_steps, warm_up_steps)
    )
    state = half.start(optimizer, members)
    if moments is not None:
        state = half.with_moments(state, moments)
    history = History(best=[0] * len(members))
    best_loss = np.full(len(members), np.inf)
    best_members = list(members)

    def ended() -> str:
        if history.epochs - max(history.best) >= patience:
            return "patience"
        return "max_epochs" if history.epochs >= max_epochs else ""

    def snapshot() -> Snapshot:
        kept = {name: value for name, value in asdict(history).items() if name not in ("notes", "moments")}
        return Snapshot(state, best_members, best_loss, kept, dict(rng.bit_generator.state), _count(mesh))

    several = mesh is not None and mesh.is_multi_process
    identity: dict[str, Any] = {}
    if several or checkpoint is not None:
        identity = checkpoints.identity(
            {
                "half": half.__name__,
                "network": description,
                "optimizer": checkpoints.OWN
                if own
                else _adam(learning_rate, max_norm, weight_decay, decay_steps, warm_up_steps),
                "members": len(members),
                "batch_size": batch_size,
                "seed of the shuffles": rng.bit_generator.state,
                "seed of the dropout": dropout_seed,
                "windows in an epoch": most,
                "training data": training,
                "validation data": validation,
                "initial weights": members,  # last: they may begin with what the data say
            }
        )
    if several:
        _agree(identity | {"max_epochs": max_epochs, "patience": patience})
    keeper = None
    if checkpoint is not None:
        keeper = Keeper(checkpoint, identity, mesh)
        found = keeper.open(resume, snapshot())
        if found is not None:
            state, best_members, best_loss = found.state, found.best, found.best_loss
            history = History(**found.history)
            rng.bit_generator.state = found.generator
            history.notes += _about(checkpoint, found, _count(mesh), ended())
        elif resume:
            history.notes.append(f"{checkpoint.path} did not exist: the training started anew.")

    def keep_best(epoch: int) -> None:
        losses = half.evaluate(description, state, validation, mesh=mesh)
        history.validation.append([float(loss) for loss in losses])
        better = losses < best_loss
        if better.any():
            current = half.members(state)
            for k in np.flatnonzero(better):
                best_members[k], best_loss[k], history.best[k] = current[k], losses[k], epoch

    training = half.place(training, mesh, budget_bytes)
    key = None if dropout_seed is None else random.key(dropout_seed)
    bar = tqdm(
        total=max_epochs, initial=history.epochs, desc="training", unit="epoch", disable=not progress, leave=False
    )
    reports = "report" in inspect.signature(half.epoch).parameters  # a half whose epochs are long
    try:
        if not history.validation:
            keep_best(0)
        while not ended():
            epoch = history.epochs + 1
            order, counts, kinds = draw(rng)
            drop = None if key is None else random.fold_in(key, epoch)
            options: dict[str, Any] = {"mesh": mesh, "budget_bytes": budget_bytes}
            if kinds is not None:
                options["kinds"] = kinds
            if progress and reports:
                options["report"] = functools.partial(_show, bar, history.epochs)
            state, record = half.epoch(description, optimizer, state, training, order, counts, drop, **options)
            where = diverged(record)
            if where is not None:
                advice = (
                    f"try a smaller learning_rate than {learning_rate:g} or a smaller max_norm than {max_norm:g}, and "
                    "look for huge values in the data"
                )
                line = f"training diverged in epoch {epoch}, {describe(record, *where, members[0])}; {advice}"
                raise TrainingError(line, best_members, history)
            history.loss.append([float(loss) for loss in record.loss])
            keep_best(epoch)
            history.ended = ended()
            if keeper is not None:
                keeper.after_epoch(epoch, bool(history.ended), snapshot)
            bar.update(epoch - bar.n)
            bar.set_postfix(loss=f"{record.loss.mean():.4f}", validation=f"{np.mean(history.validation[-1]):.4f}")
        history.ended = ended()
    except KeyboardInterrupt:
        history.ended = "interrupted"
    finally:
        bar.close()
    history.moments = None if own else half.moments(state)
    return best_members, history


def _show(bar: Any, epochs: int, share: float, loss: float) -> None:
    """How far an epoch is."""
    bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
    bar.update(round(epochs + share, 2) - bar.n)


def _agree(identity: dict[str, Any]) -> None:
    """Refuses processes that train on different data or settings: nothing but their gradients would tell."""
    from minirnn.fast import devices

    theirs = json.loads(devices.from_first(json.dumps(identity).encode()))
    for name in dict.fromkeys([*identity, *theirs]):
        if identity.get(name) != theirs.get(name):
            raise TrainingError(
                f"the processes do not train the same: {name} is {theirs.get(name)!r} in process 0 and "
                f"{identity.get(name)!r} in this one; give all of them the same data and settings"
            )


def _about(checkpoint: Checkpoint, found: Snapshot, devices: int, ended: str) -> list[str]:
    """What there is to say about a training that goes on."""
    epochs = len(found.history["loss"])
    if ended:
        return [f"{checkpoint.path} holds a finished training of {epochs} epochs."]
    notes = [f"went on from {checkpoint.path} after epoch {epochs}."]
    if found.devices != devices:
        notes.append(
            f"{checkpoint.path} was written with {found.devices} device(s) and went on with {devices}: the result is "
            "that of an uninterrupted training to rounding only."
        )
    return notes


def _adam(
    learning_rate: float, max_norm: float, weight_decay: float, decay_steps: int | None, warm_up_steps: int
) -> str:
    """The optimiser in words, for checkpoints."""
    decay = f", weight decay {weight_decay:g}" if weight_decay else ""
    decay += f", falling to zero in {decay_steps} updates" if decay_steps is not None else ""
    decay += f", rising in the first {warm_up_steps}" if warm_up_steps else ""
    return f"Adam, rate {learning_rate:g}, norm at most {max_norm:g}{decay}"


def _count(mesh: Any) -> int:
    """Devices of a mesh, or the one device of None."""
    return 1 if mesh is None else mesh.size
