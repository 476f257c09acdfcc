"""A label for each sequence: numeric windows of unequal length, or text."""

from __future__ import annotations

from minirnn.models.estimator import Estimator


class Classifier(Estimator):
    """A label for each sequence: numeric windows of unequal length, or text."""
