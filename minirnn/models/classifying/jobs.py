"""What a fit needs: examples in parts, encoded, and the description of what is trained on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.sequences.labelled import Labelled, split
from minirnn.data.sequences.parting import Parts
from minirnn.data.sequences.ragged import Buckets, Ragged, bucketed
from minirnn.data.sequences.vocabulary import UNITS
from minirnn.models.classifying import network
from minirnn.models.classifying.encoders import Encoder, Numbers, Texts
from minirnn.models.classifying.examples import labelled
from minirnn.models.estimator import ParameterError
from minirnn.models.parameters import check_shares, check_switches
from minirnn.models.sequences import settings
from minirnn.params import Labelling, Network


class Job(NamedTuple):
    """What is to be fitted; n examples, C classes.

    Args:
      data: all examples.
      classes: as they were given, sorted.
      labels: (n,) integers from 0 to C - 1.
      parts: the numbers of the examples of each part.
      encoder: fitted on the training part.
      encoded: all examples, as the network reads them.
      weights: (C,) what each class counts.
      network: the description.
      buckets: of the training part.
      notes: what was found out.
    """

    data: Labelled
    classes: tuple[Any, ...]
    labels: np.ndarray
    parts: Parts
    encoder: Encoder
    encoded: Ragged
    weights: np.ndarray
    network: Network
    buckets: Buckets
    notes: tuple[str, ...]

    @property
    def labelling(self) -> Labelling:
        """What an epoch is of."""
        return Labelling(self.network, tuple(size for (size,) in self.buckets.sizes))

    @property
    def batch_shape(self) -> tuple[int, int, int, int]:
        """The largest batch: sequences, steps, inputs and hidden units (B, T, D, H)."""
        first = self.network.layers[0]
        width = self.encoder.input_size or first.size
        hidden = next(layer.hidden_size for layer in self.network.layers if hasattr(layer, "hidden_size"))
        return self.buckets.batch_size, self.buckets.sizes[-1][0], width, hidden

    def rows(self, part: str) -> tuple[Ragged, np.ndarray]:
        """The encoded examples of a part, and their labels."""
        chosen = getattr(self.parts, part)
        encoded = self.encoded
        return Ragged(encoded.values, encoded.starts[chosen], encoded.lengths[chosen]), self.labels[chosen]


def check(parameters: Mapping[str, Any]) -> None:
    """Refuses the first parameter that is out of its range.

    Raises:
      ParameterError: the message says what was expected.
    """
    settings.check(
        parameters,
        {"pooling": (None, "attention", "mean", "last"), "unit": UNITS, "class_weights": (None, "balanced")},
        {"embedding_size": 1, "vocabulary_size": 1, "memory": 2},
        optional=("memory",),
    )
    if parameters["memory"] is not None and parameters["cell"] == "rnn":
        raise ParameterError("memory is a matter of gates, and an rnn has none; leave it out, or take a gru or an lstm")
    check_switches(parameters, ("bidirectional",))
    check_shares(parameters, ("validation_fraction", "test_fraction"), above=("validation_fraction",))
    if parameters["validation_fraction"] + parameters["test_fraction"] >= 1:
        raise ParameterError("validation_fraction and test_fraction together must be below 1: the rest is trained on")


def make(parameters: Mapping[str, Any], data: Any, y: Iterable[Any] | None) -> Job:
    """Reads, cuts into parts and encodes: by time where the examples have times, else by chance, class by class.

    The cut depends on the data alone: models of several seeds are judged on the same examples.

    Raises:
      DataError: the examples cannot be used.
      ParameterError: a parameter is out of its range.
    """
    check(parameters)
    found, classes = labelled(data, y)
    labels = found.numbers([str(name) for name in classes])
    held_out = parameters["validation_fraction"], parameters["test_fraction"]
    parts = split(found, (1 - sum(held_out), *held_out))
    train = [found.examples[row] for row in parts.train]
    encoder: Encoder
    if found.texts is None:
        encoder = Numbers.of(train, found.columns)
    else:
        encoder = Texts.of(train, parameters["unit"], parameters["vocabulary_size"])
    encoded = encoder.encode(found.examples)
    symbols = encoder.vocabulary.size if isinstance(encoder, Texts) else None
    return Job(
        found,
        classes,
        labels,
        parts,
        encoder,
        encoded,
        network.balance(labels[parts.train], len(classes), parameters["class_weights"]),
        network.describe(parameters, len(classes), symbols),
        bucketed(encoded.lengths[parts.train], parameters["batch_size"]),
        (*parts.notes, *encoder.notes),
    )
