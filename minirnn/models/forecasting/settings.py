"""The parameters of a Forecaster: what each may be."""

from __future__ import annotations

from typing import Any

from minirnn.data.imputing import METHODS
from minirnn.models.estimator import ParameterError
from minirnn.models.parameters import check_choices, check_positive, check_shares, check_switches, check_whole
from minirnn.params import LIKELIHOODS

CHOICES: dict[str, tuple[Any, ...]] = {
    "cell": ("lstm", "gru", "rnn"),
    "backend": ("fast", "readable"),
    "strategy": ("direct", "recursive", "seq2seq"),
    "likelihood": LIKELIHOODS,
    "reference": ("auto", "last", "smoothing", "season", "calendar"),
    "transform": ("auto", "none", "log"),
    "impute": ("auto", *METHODS),
}
WHOLE = {
    "hidden_size": 1,
    "num_layers": 1,
    "window": 1,
    "horizon": 1,
    "ensemble": 1,
    "batch_size": 1,
    "max_epochs": 1,
    "patience": 1,
    "seed": 0,
    "segment": 1,
    "convolution": 1,
    "season": 1,
}
OPTIONAL = ("window", "horizon", "segment", "convolution", "season")


def check(parameters: dict[str, Any]) -> None:
    """Refuses the first parameter that is out of its range."""
    check_choices(parameters, CHOICES)
    check_whole(parameters, WHOLE, OPTIONAL)
    check_positive(parameters, ("learning_rate", "max_norm"))
    shares = ("dropout", "weight_decay", "validation_fraction", "test_fraction")
    check_shares(parameters, shares, above=("validation_fraction",))
    if not parameters["validation_fraction"] + parameters["test_fraction"] < 1:
        raise ParameterError(
            "validation_fraction and test_fraction must leave rows for training, got "
            f"{parameters['validation_fraction']!r} and {parameters['test_fraction']!r}"
        )
    if parameters["segment"] is not None and parameters["strategy"] != "direct":
        raise ParameterError(f"segment needs strategy='direct', got strategy={parameters['strategy']!r}")
    for name in ("num_layers", "bidirectional", "convolution"):
        if parameters["segment"] is not None and parameters[name] not in (1, False, None):
            raise ParameterError(f"segment has one layer of its own; leave {name} at its default")
    check_switches(parameters, ("stateful",))
    if parameters["stateful"]:
        for name, needed in (
            ("strategy", "direct"),
            ("segment", None),
            ("bidirectional", False),
            ("convolution", None),
            ("clip_outliers", False),
        ):
            if parameters[name] != needed:
                raise ParameterError(
                    f"stateful=True carries the state of recurrent layers from row to row; it needs {name}={needed!r}, "
                    f"got {parameters[name]!r}"
                )
    if parameters["strategy"] == "seq2seq" and parameters["bidirectional"]:
        raise ParameterError("strategy='seq2seq' goes on from the last state; it cannot be bidirectional")
