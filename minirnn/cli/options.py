"""Options that stand for parameters of a model: one for each parameter that a user may want to set.

No default is written into the options: what was not given keeps that of the model, which the help states.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

from minirnn.cli import positive


def yes_or_no(text: str) -> bool:
    """``yes`` or ``no``, for argparse."""
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError(f"expected yes or no, got {text!r}")
    return text == "yes"


class Option(NamedTuple):
    """One parameter on the command line; ``kind`` is a type, the choices, or None for a switch."""

    parameter: str
    kind: Any
    help: str
    metavar: str | None = None
    name: str | None = None

    @property
    def flag(self) -> str:
        """As it is typed."""
        return self.name or f"--{self.parameter.replace('_', '-')}"


Groups = Mapping[str, tuple[Option, ...]]
"""Title of a group of options -> the options."""

TRAINING = (
    Option("seed", int, "of initial weights, shuffles and dropped units (default: 0)", "N"),
    Option("learning_rate", float, "of Adam (default: {learning_rate:g})", "X"),
    Option("weight_decay", float, "of AdamW (default: {weight_decay:g})", "X"),
    Option("batch_size", positive, "{rows} in a batch (default: {batch_size})", "B"),
    Option("max_epochs", positive, "at most so many epochs (default: {max_epochs})", "N"),
    Option("patience", positive, "epochs without improvement before it ends (default: {patience})", "N"),
    Option("max_norm", float, "of the gradients; larger ones are scaled down (default: {max_norm:g})", "X"),
    Option(
        "backend",
        ("fast", "readable"),
        "fast: JAX; readable: NumPy with the hand-derived backward pass (default: {backend})",
    ),
)
"""The options of a training, with the defaults of a model to be filled in by :func:`stating`."""


def stating(options: tuple[Option, ...], defaults: Mapping[str, Any], rows: str) -> tuple[Option, ...]:
    """The options, with a model's defaults in their help.

    Args:
      options: with ``{name}`` where a default belongs.
      defaults: of the model, by name.
      rows: what a batch holds, such as "windows".
    """
    return tuple(option._replace(help=option.help.format(rows=rows, **defaults)) for option in options)


def add(parser: argparse.ArgumentParser, groups: Groups) -> None:
    """Adds all of them, in groups."""
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            about: dict[str, Any] = {"dest": option.parameter, "default": None, "help": option.help}
            if option.kind is None:
                group.add_argument(option.flag, action="store_true", **about)
            elif isinstance(option.kind, tuple):
                group.add_argument(option.flag, choices=option.kind, **about)
            else:
                group.add_argument(option.flag, type=option.kind, metavar=option.metavar, **about)


def given(arguments: argparse.Namespace, groups: Groups) -> dict[str, Any]:
    """The parameters that were given, by name."""
    names = [option.parameter for options in groups.values() for option in options]
    return {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
