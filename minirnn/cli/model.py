"""Options of the model: one for each parameter of the Forecaster that a user may want to set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NamedTuple

from minirnn.cli import positive

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster


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


# No default is written into the options: what was not given keeps that of the Forecaster, which the help states.
GROUPS: dict[str, tuple[Option, ...]] = {
    "what is forecast": (
        Option("horizon", positive, "steps ahead (default: 7 days, 24 hours, 12 months, ...)", "N"),
        Option("window", positive, "rows that the network reads (default: 30 days, 72 hours, 24 months, ...)", "N"),
        Option("season", positive, "rows of a season (default: found)", "N"),
        Option(
            "reference",
            ("auto", "last", "smoothing", "season", "calendar"),
            "what forecasts are measured from (default: auto, by cross-validation)",
        ),
        Option("transform", ("auto", "none", "log"), "of the targets (default: auto, by cross-validation)"),
        Option("impute", ("auto", "last", "linear", "seasonal"), "how missing values are filled (default: auto)"),
        Option("clip_outliers", None, "clip outliers (default: report them)"),
        Option("validation_fraction", float, "of the rows, for every choice (default: 0.15)", "X"),
        Option("test_fraction", float, "of the rows, the last ones, for the verdict alone (default: 0.25)", "X"),
    ),
    "network": (
        Option("cell", ("lstm", "gru", "rnn"), "kind of recurrent layer (default: gru)"),
        Option("hidden_size", positive, "units of a layer (default: 32)", "H"),
        Option("num_layers", positive, "recurrent layers (default: 1)", "L", "--layers"),
        Option(
            "strategy",
            ("direct", "recursive", "seq2seq"),
            "all steps ahead at once, one step fed back, or a decoder (default: direct)",
        ),
        Option("segment", positive, "one recurrent step reads so many rows: for long windows (default: off)", "N"),
        Option("bidirectional", None, "read the window in both directions"),
        Option("convolution", positive, "a convolution of this width in front (default: off)", "WIDTH"),
        Option("stateful", None, "read every row once and carry the state, for fast streams (default: windows)"),
        Option(
            "likelihood",
            ("quantiles", "gaussian", "student", "none"),
            "what the network says beyond the mean (default: quantiles)",
        ),
        Option("ensemble", positive, "members, trained side by side and averaged (default: 5)", "K"),
        Option("dropout", float, "rate (default: 0)", "X"),
    ),
    "training": (
        Option("seed", int, "of initial weights, shuffles and dropped units (default: 0)", "N"),
        Option("learning_rate", float, "of Adam (default: 0.003)", "X"),
        Option("weight_decay", float, "of AdamW (default: 0)", "X"),
        Option("batch_size", positive, "windows in a batch (default: 32)", "B"),
        Option("max_epochs", positive, "at most so many epochs (default: 100)", "N"),
        Option("patience", positive, "epochs without improvement before it ends (default: 10)", "N"),
        Option("max_norm", float, "of the gradients; larger ones are scaled down (default: 1)", "X"),
        Option(
            "backend",
            ("fast", "readable"),
            "fast: JAX; readable: NumPy with the hand-derived backward pass (default: fast)",
        ),
    ),
}
OPTIONS = {option.parameter: option for group in GROUPS.values() for option in group}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all of them, in groups."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            about: dict[str, Any] = {"dest": option.parameter, "default": None, "help": option.help}
            if option.kind is None:
                group.add_argument(option.flag, action="store_true", **about)
            elif isinstance(option.kind, tuple):
                group.add_argument(option.flag, choices=option.kind, **about)
            else:
                group.add_argument(option.flag, type=option.kind, metavar=option.metavar, **about)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parameters that were given, by name."""
    return {name: getattr(arguments, name) for name in OPTIONS if getattr(arguments, name) is not None}


def forecaster(arguments: argparse.Namespace) -> Forecaster:
    """A Forecaster of these options.

    Raises:
      ParameterError: one of them is out of its range, or two exclude each other.
    """
    from minirnn.models.forecaster import Forecaster
    from minirnn.models.forecasting import settings

    model = Forecaster(**given(arguments))
    settings.check(model.get_params())
    return model


def command_line(parameters: dict[str, Any]) -> list[str]:
    """Parameters as options; those that stand at their default are left out."""
    from minirnn.models.forecaster import Forecaster

    usual, words = Forecaster().get_params(), []
    for name, value in parameters.items():
        if value != usual[name]:
            words += [OPTIONS[name].flag] if value is True else [OPTIONS[name].flag, f"{value}"]
    return words
