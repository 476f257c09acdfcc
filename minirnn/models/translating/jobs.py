"""What a fit needs: pairs in parts, their symbols, and the description of what is trained on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.sequences.pairs import Pairs, numeric, split
from minirnn.data.sequences.parting import Parts
from minirnn.data.sequences.ragged import Buckets, bucketed
from minirnn.data.sequences.vocabulary import UNKNOWN
from minirnn.data.words import DataError, count, quoted
from minirnn.models.estimator import ParameterError
from minirnn.models.parameters import check_shares, check_switches
from minirnn.models.sequences import settings
from minirnn.models.translating import codecs, examples
from minirnn.models.translating.codecs import END, START, Codec
from minirnn.params import EncoderDecoder, Translated, Translating

CHOICES = {
    "unit": ("auto", "characters", "words", "numbers"),
    "attention": ("bilinear", "additive", "dot", "none"),
    "unseen": ("source", "both"),
}
MARGIN = 1.25  # how much longer than the longest of the training a target may be


class Job(NamedTuple):
    """What is to be fitted.

    Args:
      pairs: all of them.
      parts: the numbers of the pairs of each part.
      source: the symbols of sources.
      target: the symbols of targets.
      training: as they are trained on, some of them twice.
      validation: in parts of about equal lengths.
      buckets: of the training.
      network: the description.
      longest: symbols of a target that is written, at most.
      notes: what was found out.
    """

    pairs: Pairs
    parts: Parts
    source: Codec
    target: Codec
    training: Translated
    validation: tuple[Translated, ...]
    buckets: Buckets
    network: EncoderDecoder
    longest: int
    notes: tuple[str, ...]

    @property
    def translating(self) -> Translating:
        """What an epoch is of."""
        return Translating(self.network, tuple((S, T) for S, T in self.buckets.sizes), UNKNOWN)


def check(parameters: Mapping[str, Any]) -> None:
    """Refuses the first parameter that is out of its range.

    Raises:
      ParameterError: the message says what was expected.
    """
    settings.check(parameters, CHOICES, {"embedding_size": 1, "beam": 1})
    check_switches(parameters, ("bidirectional",))
    check_shares(parameters, ("validation_fraction", "test_fraction"), above=("validation_fraction",))
    if parameters["validation_fraction"] + parameters["test_fraction"] >= 1:
        raise ParameterError("validation_fraction and test_fraction together must be below 1: the rest is trained on")
    if parameters["bidirectional"] and parameters["attention"] == "dot":
        raise ParameterError(
            "dot-product attention compares vectors of one size: with bidirectional=True take bilinear attention"
        )


def describe(parameters: Mapping[str, Any], source: int, target: int) -> EncoderDecoder:
    """The network of these parameters and of so many source and target symbols."""
    attention = parameters["attention"]
    return EncoderDecoder(
        source,
        target,
        cell=parameters["cell"],
        hidden_size=parameters["hidden_size"],
        embedding_size=parameters["embedding_size"],
        num_layers=parameters["num_layers"],
        bidirectional=parameters["bidirectional"],
        bridge=True,
        attention=None if attention == "none" else attention,
        dropout=float(parameters["dropout"]),
        start=START,
        end=END,
    )


def pairs_of(data: Pairs | Iterable[str], targets: Iterable[str] | None) -> Pairs:
    """What a caller passes, as Pairs.

    Raises:
      DataError: there are no pairs, or one side of one is empty or no text.
      ParameterError: the targets are missing, or too many.
    """
    if isinstance(data, Pairs):
        if targets is not None:
            raise ParameterError("targets are given twice: the pairs hold some")
        found = data
    else:
        if isinstance(data, str) or targets is None:
            raise ParameterError(
                "expected Pairs of minirnn.data.sequences.pairs, or a list of sources and one of targets"
            )
        sides = list(data), list(targets)
        if len(sides[0]) != len(sides[1]):
            raise ParameterError(f"{count(len(sides[0]), 'source')} and {count(len(sides[1]), 'target')}")
        found = Pairs(*sides, [f"pair {k}" for k in range(len(sides[0]))])
    if not len(found):
        raise DataError("there are no pairs")
    for name, side in zip(found.names, (found.sources, found.targets)):
        check_texts(side, found.places, name)
    return found


def check_texts(texts: Iterable[Any], places: Iterable[str], name: str) -> None:
    """Refuses what is no text, and what is empty.

    Raises:
      DataError: the message names the place.
    """
    for text, place in zip(texts, places):
        if not isinstance(text, str):
            raise DataError(f"{place}: the {name} is {quoted(text)}: a text was expected")
        if not text.strip():
            raise DataError(f"{place}: the {name} is empty: fill it in or leave it out")


def unit_of(parameters: Mapping[str, Any], pairs: Pairs) -> str:
    """What a symbol of these pairs is."""
    if parameters["unit"] != "auto":
        return str(parameters["unit"])
    several = any(len(side.split()) > 1 for part in (pairs.sources, pairs.targets) for side in part)
    return "numbers" if several and numeric(pairs) else "characters"


def make(parameters: Mapping[str, Any], data: Any, targets: Iterable[str] | None) -> Job:
    """Reads, cuts into parts and encodes.

    The cut depends on the data alone: models of several seeds are judged on the same pairs.

    Raises:
      DataError: the pairs cannot be used.
      ParameterError: a parameter is out of its range.
    """
    check(parameters)
    pairs = pairs_of(data, targets)
    unit = unit_of(parameters, pairs)
    held_out = parameters["validation_fraction"], parameters["test_fraction"]
    parts = split(pairs, (1 - sum(held_out), *held_out), by=parameters["unseen"])
    train, validation = pairs.take(parts.train), pairs.take(parts.validation)
    if unit == "numbers":  # of all parts, so that a bad number is found before the training
        for name, side in zip(pairs.names, (pairs.sources, pairs.targets)):
            codecs.series(side, pairs.places, name)
    source = codecs.fitted(unit, train.sources, train.places, target=False)
    target = codecs.fitted(unit, train.targets, train.places, target=True)
    left, right = [source.encode(text) for text in train.sources], [target.encode(text) for text in train.targets]
    known = examples.laid(
        [source.encode(text) for text in validation.sources], [target.encode(text) for text in validation.targets]
    )
    training = examples.laid(*examples.with_unknown(left, right, parameters["seed"]))
    buckets = bucketed(examples.lengths_of(training), parameters["batch_size"])
    return Job(
        pairs,
        parts,
        source,
        target,
        training,
        examples.portions(known),
        buckets,
        describe(parameters, source.size, target.size),
        math.ceil(MARGIN * max(map(len, right))),
        (*pairs.notes, *parts.notes, *_notes(source, target, train, left, known)),
    )


def batch_shape(parameters: Mapping[str, Any], data: Any, targets: Iterable[str] | None) -> tuple[int, int, int, int]:
    """What one batch will be, about: pairs, steps of source and target, embedding and hidden units (B, T, D, H)."""
    check(parameters)
    pairs = pairs_of(data, targets)
    by_character = unit_of(parameters, pairs) == "characters"
    steps = sum(len(side if by_character else side.split()) for side in (*pairs.sources, *pairs.targets)) / len(pairs)
    size = min(parameters["batch_size"], len(pairs))
    return size, max(1, round(steps)), parameters["embedding_size"], parameters["hidden_size"]


def _notes(source: Codec, target: Codec, train: Pairs, left: list[np.ndarray], validation: Translated) -> list[str]:
    """What is lost between texts and symbols."""
    notes = []
    if isinstance(target, codecs.Numbers):
        values = np.concatenate(codecs.series(train.targets, train.places))
        written = np.concatenate([codecs.values_of(target.decode(target.encode(text))) for text in train.targets])
        error = float(np.abs(values.astype(np.float64) - written).mean())
        bins = count(len(target.centres), "bin")
        lost = f"moves a number by {error:.3g} on average" if error else "loses nothing on the training pairs"
        notes.append(f"Numbers are written as the centres of {bins}: that {lost}.")
    for name, ids in (("source", np.concatenate(left)), ("target", validation.targets)):
        share = float((ids == UNKNOWN).mean())
        if share:
            where = "training sources are read as unknown" if name == "source" else "validation targets are unknown"
            notes.append(f"{100 * share:.2g} % of the symbols of {where}.")
    return notes
