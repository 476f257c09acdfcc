"""The parameters that all models of sequences share, and what each may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minirnn.models.parameters import check_choices, check_positive, check_shares, check_whole

CHOICES = {"cell": ("lstm", "gru", "rnn"), "backend": ("fast", "readable")}
WHOLE = {
    "hidden_size": 1,
    "num_layers": 1,
    "batch_size": 1,
    "max_epochs": 1,
    "patience": 1,
    "seed": 0,
}


def check(
    parameters: Mapping[str, Any],
    choices: Mapping[str, tuple[Any, ...]] | None = None,
    whole: Mapping[str, int] | None = None,
    optional: tuple[str, ...] = (),
    shares: tuple[str, ...] = (),
) -> None:
    """Refuses the first parameter that is out of its range.

    Args:
      parameters: of the model.
      choices: of the model's own parameters, beside those that all share.
      whole: the least of the model's own whole numbers.
      optional: those of them that may be None.
      shares: the model's own numbers from 0 to below 1.

    Raises:
      ParameterError: the message says what was expected.
    """
    check_choices(parameters, CHOICES | dict(choices or {}))
    check_whole(parameters, WHOLE | dict(whole or {}), optional)
    check_positive(parameters, ("learning_rate", "max_norm"))
    check_shares(parameters, ("dropout", "weight_decay", *shares))
