"""Saved models, for the commands that work with some kinds of them."""

from __future__ import annotations

import os
from typing import Any

from minirnn.cli import UsageError

# Kind of model -> the command that trains it.
TRAINED_BY = {
    "Forecaster": "forecast",
    "Classifier": "classify",
    "Tagger": "tag",
    "LanguageModel": "text",
    "Seq2Seq": "translate",
}


def load(path: str | os.PathLike, command: str, *kinds: str) -> Any:
    """The model of a file.

    Args:
      path: of the file.
      command: that asks for it, for the message.
      kinds: of models that it works with; none for all of them.

    Raises:
      ModelFileError: the file is not a whole model.
      UsageError: it is a model of another kind.
    """
    from minirnn.models import storage

    model = storage.load(path)
    kind = type(model).__name__
    if kinds and kind not in kinds:
        wanted = " or ".join(f"minirnn {TRAINED_BY[each]}" for each in kinds)
        raise UsageError(f"{path}: a {kind}; minirnn {command} takes a model of {wanted}")
    return model
