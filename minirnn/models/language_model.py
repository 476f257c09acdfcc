"""The next character, byte or word of a text."""

from __future__ import annotations

from minirnn.models.estimator import Estimator


class LanguageModel(Estimator):
    """The next character, byte or word of a text."""
