"""Options of a training command that say where the training is kept, and how often."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, positive

if TYPE_CHECKING:
    from minirnn.models.checkpoint import Checkpoint


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--checkpoint`` and what belongs to it."""
    group = parser.add_argument_group("checkpoints")
    group.add_argument("--checkpoint", metavar="FILE", help="keep the training in this file (.safetensors)")
    often = group.add_mutually_exclusive_group()
    often.add_argument("--checkpoint-every", type=positive, metavar="N", help="write it every N epochs (default: 1)")
    often.add_argument("--checkpoint-minutes", type=_minutes, metavar="M", help="write it every M minutes instead")
    group.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint, to the same result; anew if there is none"
    )


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def of(arguments: argparse.Namespace, out: Path | None, files: Sequence[str]) -> Checkpoint | None:
    """Where the training is kept, and how often.

    Args:
      arguments: of the command.
      out: the folder of the results.
      files: the results in it.

    Raises:
      UsageError: an option lacks its file, or a result would be written over it.
    """
    from minirnn.models.checkpoint import Checkpoint

    if arguments.checkpoint is None:
        for option in ("checkpoint_every", "checkpoint_minutes", "resume"):
            if getattr(arguments, option):
                raise UsageError(f"--{option.replace('_', '-')} needs --checkpoint FILE")
        return None
    path = os.path.realpath(arguments.checkpoint)
    if out is not None and path in (os.path.realpath(out / name) for name in files):
        raise UsageError(f"--checkpoint {arguments.checkpoint}: --out writes a result there; choose another file")
    return Checkpoint(arguments.checkpoint, arguments.checkpoint_every, arguments.checkpoint_minutes)
