"""From documents to what a language model is trained on: their parts, a vocabulary, symbols laid end to end.

Dimension letters: N symbols, S chunks of a stream, B streams, W window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.sequences import texts
from minirnn.data.sequences.texts import Document, Splits
from minirnn.data.sequences.vocabulary import UNKNOWN, Vocabulary
from minirnn.data.words import DataError, count
from minirnn.models.estimator import ParameterError
from minirnn.models.training import Batches
from minirnn.params import BETWEEN, Dropout, Embedding, Network, Recurrent

CALLED = {"train": "training", "validation": "validation", "test": "test"}
LEAST = 20  # characters of each part
SYMBOLS = 8_000_000  # that are read in a training of a short text


class Prepared(NamedTuple):
    """Parts of the documents, and what the network reads of them."""

    parts: Splits
    vocabulary: Vocabulary
    train: np.ndarray  # (N,)
    validation: np.ndarray
    notes: tuple[str, ...]


def documents(data: Any) -> list[Document]:
    """A text, a Document, or several of them.

    Raises:
      ParameterError: it is something else.
    """
    given = [data] if isinstance(data, str | Document) else data
    if not isinstance(given, Iterable):
        raise ParameterError(f"data is {type(data).__name__}; expected a text or several texts")
    found = []
    for k, each in enumerate(given, 1):
        if not isinstance(each, str | Document):
            raise ParameterError(f"data holds {type(each).__name__}; expected texts, or documents (name, text)")
        found.append(each if isinstance(each, Document) else Document(f"text {k}", each))
    return found


def prepare(data: Any, parameters: dict[str, Any]) -> Prepared:
    """Splits by document, and makes a vocabulary of what the training part holds.

    Raises:
      DataError: there is too little text, or nothing in a part that could be predicted.
      ParameterError: the data are no texts.
    """
    held_out = parameters["validation_fraction"], parameters["test_fraction"]
    parts = texts.split(documents(data), (1 - sum(held_out), *held_out), parameters["seed"], LEAST)
    vocabulary = Vocabulary.of(
        (text for _, text in parts.train),
        parameters["unit"],
        least=parameters["min_count"],
        most=parameters["vocabulary_size"],
    )
    if not vocabulary.symbols:
        raise DataError(
            f"no symbol occurs {count(parameters['min_count'], 'time')} or more in the training part: give more text, "
            "or a smaller min_count"
        )
    notes = []
    encoded = {name: encode(vocabulary, getattr(parts, name)) for name in Splits._fields}
    for name, sequences in encoded.items():
        asked = sum(map(len, sequences))
        if not asked:
            raise DataError(f"the {CALLED[name]} part holds no {parameters['unit']}: give more text")
        unknown = sum(int((each == UNKNOWN).sum()) for each in sequences)
        if name != "validation" and unknown:
            share = f"{100 * unknown / asked:.2g} % of the {parameters['unit']} of the {CALLED[name]} part"
            notes.append(
                f"{share} are rare or new: they are predicted as one symbol, which is easier than to say which."
            )
    if parameters["unit"] == "words":
        notes.append("Words are predicted without the white space between them.")
    return Prepared(parts, vocabulary, laid_out(encoded["train"]), laid_out(encoded["validation"]), tuple(notes))


def encode(vocabulary: Vocabulary, documents: Sequence[Document]) -> list[np.ndarray]:
    """The symbols of each document."""
    return [vocabulary.encode(text) for _, text in documents]


def laid_out(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """Sequences of symbols end to end (N,), with ``BETWEEN`` before each and after the last one.

    >>> laid_out([np.array([5, 6]), np.array([7])])
    array([0, 5, 6, 0, 7, 0], dtype=int32)
    """
    between = np.array([BETWEEN], np.int32)
    return np.concatenate([part for each in sequences for part in (between, each)] + [between]).astype(np.int32)


def characters(documents: Sequence[Document]) -> int:
    """How many there are."""
    return sum(len(text) for _, text in documents)


def drawing(length: int, batch_size: int, window: int) -> Callable[[np.random.Generator], Batches]:
    """Where the chunks of an epoch begin.

    The text is a ring of N symbols, cut into B streams of equal size. Each epoch cuts it elsewhere, so that no place is
    always the end of a chunk, and what is left over is another piece each time. A short text gives fewer streams.
    """
    B = min(batch_size, max(1, length // window))
    size = length // B
    S = max(1, size // window)

    def draw(rng: np.random.Generator) -> Batches:
        starts = rng.integers(length) + np.arange(B) * size + np.arange(S)[:, None] * window  # (S, B)
        return Batches((starts % length)[None], np.ones((S, B), np.float32))

    return draw


def epochs(length: int) -> int:
    """How often a text of N symbols is read: a short one more often, or there would be too few updates.

    >>> [epochs(N) for N in (10_000, 200_000, 5_000_000)]
    [100, 40, 8]
    """
    return min(max(round(SYMBOLS / length), 8), 100)


def network(parameters: dict[str, Any], size: int) -> Network:
    """The description: an embedding, recurrent layers with dropout after each, and a head over ``size`` symbols."""
    drop = (Dropout(parameters["dropout"]),) if parameters["dropout"] else ()
    layer = (Recurrent(parameters["cell"], parameters["hidden_size"]), *drop)
    layers = (Embedding(size, parameters["embedding_size"]), *layer * parameters["num_layers"])
    return Network(layers, size, read="steps")
