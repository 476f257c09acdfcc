"""From sequences to sequences: translation, transliteration, dates, series."""

from __future__ import annotations

from minirnn.models.estimator import Estimator


class Seq2Seq(Estimator):
    """From sequences to sequences: translation, transliteration, dates, series."""
