"""A label for each step of a sequence, and the spans that they make."""

from __future__ import annotations

from minirnn.models.estimator import Estimator


class Tagger(Estimator):
    """A label for each step of a sequence, and the spans that they make."""
