"""Options of the model: one for each parameter of the Forecaster that a user may want to set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from minirnn.cli import options, positive
from minirnn.cli.options import TRAINING, Groups, Option, stating

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster


GROUPS: Groups = {
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
    "training": stating(
        TRAINING,
        {
            "learning_rate": 3e-3,
            "weight_decay": 0.0,
            "batch_size": 32,
            "max_epochs": 100,
            "patience": 10,
            "max_norm": 1.0,
            "backend": "fast",
        },
        rows="windows",
    ),
}
OPTIONS = {option.parameter: option for group in GROUPS.values() for option in group}


def forecaster(arguments: argparse.Namespace) -> Forecaster:
    """A Forecaster of these options.

    Raises:
      ParameterError: one of them is out of its range, or two exclude each other.
    """
    from minirnn.models.forecaster import Forecaster
    from minirnn.models.forecasting import settings

    model = Forecaster(**options.given(arguments, GROUPS))
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
