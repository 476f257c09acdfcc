"""What every fit needs: the half that trains, its devices, and the training with a model's parameters."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.models.checkpoint import Checkpoint
from minirnn.models.estimator import ParameterError
from minirnn.models.training import Batches, History, train

# The parameters that every model of sequences has; see :func:`train_network`.
TRAINING = ("learning_rate", "weight_decay", "batch_size", "max_epochs", "patience", "max_norm", "seed", "backend")


def half(backend: str, name: str) -> Any:
    """The module of a half that trains something, such as ``labelling``."""
    return importlib.import_module(f"minirnn.{backend}.{name}")


def mesh(backend: str, shape: Callable[[], tuple[int, int, int, int]], count: int | None) -> Any:
    """The devices that train, None for one.

    Args:
      backend: ``"fast"`` or ``"readable"``.
      shape: what one batch will be (B, T, D, H); asked for only where the number is open.
      count: how many; None takes as many as make the training faster.

    Raises:
      ParameterError: the NumPy half has one only.
    """
    if backend == "readable":
        if count not in (None, 1):
            raise ParameterError(f"devices is {count}; the NumPy half computes on one processor")
        return None
    from minirnn.fast import devices

    return devices.mesh(devices.default_count(shape()) if count is None else count)


def train_network(
    half: Any,
    description: Any,
    params: Any,
    training: Any,
    validation: Any,
    parameters: dict[str, Any],
    draw: Callable[[np.random.Generator], Batches],
    *,
    decay_epochs: int | None = None,
    warm_up: float = 0.0,
    dropout: bool = False,
    mesh: Any = None,
    checkpoint: str | os.PathLike | Checkpoint | None = None,
    resume: bool = False,
    optimizer: Any = None,
    progress: bool = False,
) -> tuple[Any, History]:
    """Trains one network with a model's parameters -> its best weights, History.

    Arguments are those of :func:`minirnn.models.training.train`; ``parameters`` hold what :data:`TRAINING` names,
    ``dropout`` says whether the description drops anything, and a path stands for a Checkpoint of every epoch.
    """
    seed = parameters["seed"]
    (best,), history = train(
        half,
        description,
        [params],
        training,
        validation,
        rng=np.random.default_rng([seed, 1]),
        learning_rate=parameters["learning_rate"],
        max_norm=parameters["max_norm"],
        batch_size=parameters["batch_size"],
        max_epochs=parameters["max_epochs"],
        patience=parameters["patience"],
        weight_decay=parameters["weight_decay"],
        decay_epochs=decay_epochs,
        warm_up=warm_up,
        dropout_seed=seed if dropout else None,
        progress=progress,
        optimizer=optimizer,
        mesh=mesh,
        checkpoint=Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint,
        resume=resume,
        batches=draw,
    )
    return best, history


def state_of(half: Any, params: Any) -> Any:
    """A training state of one network that is only read."""
    return half.start(half.make_optimizer(1e-3, 1.0), [params])
