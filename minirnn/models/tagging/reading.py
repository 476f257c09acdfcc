"""The log probabilities of each tag, for sequences of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.models import fitting
from minirnn.models.sequences import reading
from minirnn.models.tagging import windows
from minirnn.models.tagging.inputs import Inputs

_STEPS = 2048  # of a window: longer than in training, so that less of it is context that is read twice
_LEAST = {"fast": 16, "readable": 1}  # of a sequence: the fewer lengths there are, the less has to be compiled


def log_probabilities(
    inputs: Inputs, network: Any, params: Any, sequences: Sequence[Any], context: tuple[int, int], backend: str
) -> list[np.ndarray]:
    """The log probabilities (T, L) of each sequence.

    Args:
      inputs: what the network reads of them.
      network: its description.
      params: its weights.
      sequences: texts, or tuples of words.
      context: steps before and behind that each step has at least, where its sequence has them.
      backend: the half that computes.
    """
    lengths = np.array([len(sequence) for sequence in sequences], int)
    L = network.output_size
    if not lengths.sum():
        return [np.zeros((0, L)) for _ in sequences]
    values = inputs.values(sequences)
    found = windows.cut(lengths, max(_STEPS - sum(context), sum(context)), *context)
    data = found.over(np.zeros(0))
    logits = reading.logits(fitting.half(backend, "labelling"), network, params, data, values, _LEAST[backend])
    scores = reading.log_softmax(logits[found.counted()])
    return np.split(scores, np.cumsum(lengths)[:-1])
