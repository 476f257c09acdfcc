"""What a fitted network says of sequences of any length: in batches of few shapes, whatever comes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.data.sequences.ragged import Ragged
from minirnn.models import fitting
from minirnn.params import Labelling

_STEPS = 2**14  # steps of a batch, at most: longer sequences are read in smaller batches


def rounded_up(length: int) -> int:
    """A length that many share, at most a third longer: 1, 2, 3, 4, 6, 8, 12, 16, ...

    Compiled code is compiled for each length; with these, a server has soon seen all of them.

    >>> [rounded_up(length) for length in (0, 1, 5, 17, 100)]
    [1, 1, 6, 24, 128]
    """
    power = 1 << max(length - 1, 0).bit_length()
    return 3 * power // 4 if power >= 4 and length <= 3 * power // 4 else power


def logits(half: Any, network: Any, params: Any, data: Ragged, values: Any = None, least: int = 1) -> np.ndarray:
    """The logits of each sequence (n, C), or of each of their steps, one after the other (N, C).

    Args:
      half: ``labelling`` of either half.
      network: the description; ``read="steps"`` asks for every step.
      params: its weights.
      data: the sequences.
      values: what the network reads of the steps, if it is more than one array: a tree of arrays (N, ...).
      least: steps that are computed at least: shorter sequences share one shape.
    """
    description = Labelling(network)
    state = fitting.state_of(half, params)
    values = data.values if values is None else values
    sizes = np.array([rounded_up(max(int(length), least)) for length in data.lengths])
    found: np.ndarray | None = None
    # Where the steps of each sequence go: those of one data set need not lie end to end, nor without overlap.
    places = np.concatenate([[0], np.cumsum(data.lengths)])
    for T in np.unique(sizes):
        rows = np.flatnonzero(sizes == T)
        most = max(1, _STEPS // int(T))
        for first in range(0, len(rows), most):
            chosen = rows[first : first + most]
            filled = np.resize(chosen, min(rounded_up(len(chosen)), most))
            outputs = half.predict(description, state, values, data.starts[filled], data.lengths[filled], int(T))[0]
            if found is None:
                n = places[-1] if description.by_step else len(data.lengths)
                found = np.zeros((n, outputs.shape[-1]), outputs.dtype)
            for i, output in zip(chosen, outputs):
                if description.by_step:
                    found[places[i] : places[i + 1]] = output[: data.lengths[i]]
                else:
                    found[i] = output
    return np.zeros((0, network.output_size), np.float32) if found is None else found


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the probabilities (..., C), in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
