"""The parameters of a Forecaster: what each may be."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.data.imputing import METHODS
from minirnn.params import LIKELIHOODS


class ParameterError(ValueError):
    """A parameter out of its range, or rows that do not fit the model; one line that says what was expected."""


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
    for name, choices in CHOICES.items():
        if parameters[name] not in choices:
            raise ParameterError(f"unknown {name} {parameters[name]!r}; expected {_listed(choices)}")
    for name, least in WHOLE.items():
        value = parameters[name]
        if value is None and name in OPTIONAL:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ParameterError(f"{name} must be a whole number of at least {least}, got {value!r}")
    for name in ("learning_rate", "max_norm"):
        if not _number(parameters[name]) or not 0 < parameters[name] < np.inf:
            raise ParameterError(f"{name} must be positive, got {parameters[name]!r}")
    for name in ("dropout", "weight_decay", "validation_fraction", "test_fraction"):
        value = parameters[name]
        above = name == "validation_fraction"
        if not _number(value) or not (0 <= value < 1 and (value > 0 or not above)):
            raise ParameterError(f"{name} must be {'above 0' if above else '0 or above'} and below 1, got {value!r}")
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
    if not isinstance(parameters["stateful"], bool):
        raise ParameterError(f"stateful must be True or False, got {parameters['stateful']!r}")
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


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _listed(choices: tuple[Any, ...]) -> str:
    return f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
