"""One side of the pairs as symbols: characters, words, or numbers in bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.data.sequences.pairs import Pairs, to_numbers
from minirnn.data.sequences.vocabulary import SPECIAL, Vocabulary, tokens

TARGET = (*SPECIAL, "<start>", "<end>")
"""The special symbols of targets: 0, 1, 2 and 3."""

START, END = 2, 3
BINS = 256
"""Of numbers, at most."""


@dataclass(frozen=True)
class Texts:
    """Texts as characters or words.

    Args:
      vocabulary: of one side of the pairs.
    """

    vocabulary: Vocabulary

    @property
    def size(self) -> int:
        """The number of symbols, special ones among them."""
        return self.vocabulary.size

    @property
    def unit(self) -> str:
        """What a symbol is."""
        return self.vocabulary.unit

    def encode(self, text: str) -> np.ndarray:
        """The symbols of a text, int32 (T,)."""
        return self.vocabulary.encode(text)

    def decode(self, ids: np.ndarray) -> str:
        """The text of symbols (T,)."""
        return self.vocabulary.decode(ids)

    def symbols(self, text: str) -> list[str]:
        """The symbols of a text, as they are written."""
        return tokens(text, self.unit)

    def plain(self, text: str) -> str:
        """The text as :meth:`decode` would write it if it knew all of its symbols: words with blanks as they belong."""
        if self.unit == "characters":
            return text
        own = Vocabulary.of([text], self.unit)
        return own.decode(own.encode(text))

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return self.vocabulary.to_dict()


@dataclass(frozen=True, eq=False)
class Numbers:
    """Series of numbers, each number as the bin that it lies in; a bin is written as its centre.

    Where there are at most ``BINS`` different numbers in training, each is a bin of its own and nothing is lost. Else
    each bin holds as many of the training's numbers as the next, and its centre is their mean: the error is small where
    numbers are frequent. Numbers beyond those of the training fall into the first or the last bin: such a model cannot
    go on with a trend. (Chronos, Ansari et al. 2024, arXiv 2403.07815, takes bins of one width, of series divided by
    their mean size: that can follow a level never seen, and forgets which level it was.)

    Args:
      centres: (N,) float32, rising.
      special: names of the symbols before the bins.
    """

    centres: np.ndarray
    special: tuple[str, ...] = SPECIAL

    unit = "numbers"

    def __post_init__(self):
        rising = self.centres.ndim == 1 and self.centres.size and (np.diff(self.centres) > 0).all()
        if not rising or not np.isfinite(self.centres).all():
            raise ValueError("the centres of bins must be finite numbers, each larger than the one before")

    @classmethod
    def of(cls, values: np.ndarray, special: tuple[str, ...] = SPECIAL) -> Numbers:
        """The bins of a training's numbers (N,)."""
        different = np.unique(values)
        if len(different) > BINS:
            parts = np.array_split(np.sort(values), BINS)
            different = np.unique(np.array([part.mean(dtype=np.float64) for part in parts]).astype(np.float32))
        return cls(different.astype(np.float32), special)

    @property
    def size(self) -> int:
        """The number of symbols, special ones among them."""
        return len(self.special) + len(self.centres)

    def encode(self, text: str) -> np.ndarray:
        """The bins of a series' numbers, int32 (T,): those with the nearest centres."""
        middles = (self.centres[1:].astype(np.float64) + self.centres[:-1]) / 2
        return (np.searchsorted(middles, values_of(text)) + len(self.special)).astype(np.int32)

    def decode(self, ids: np.ndarray) -> str:
        """The centres of bins (T,), with blanks between them."""
        ids = np.asarray(ids)
        return " ".join(map(_written, self.centres[ids[ids >= len(self.special)] - len(self.special)]))

    def symbols(self, text: str) -> list[str]:
        """The numbers of a text, as they are written."""
        return text.split()

    def plain(self, text: str) -> str:
        """The numbers of a text in the form in which :meth:`decode` writes them."""
        return " ".join(map(_written, values_of(text)))

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"unit": "numbers", "special": list(self.special)}


Codec = Texts | Numbers


def values_of(text: str) -> np.ndarray:
    """The numbers of a text, float32 (T,).

    Raises:
      DataError: something in it is not a number.
    """
    return series([text], [""])[0]


def series(texts: Sequence[str], places: Sequence[str], name: str = "series") -> list[np.ndarray]:
    """Texts as series of numbers, float32 (T,) each; a DataError names the place of what is not a number."""
    found, _ = to_numbers(Pairs(list(texts), [""] * len(texts), list(places), (name, "")))
    return [values[:, 0] for values in found]


def _written(value: np.float32) -> str:
    """A number with as many digits as tell it from all others.

    >>> _written(np.float32(0.1)), _written(np.float32(-300))
    ('0.1', '-300')
    """
    return str(np.float32(value)).removesuffix(".0")


def fitted(unit: str, texts: Sequence[str], places: Sequence[str], target: bool) -> Codec:
    """The symbols of one side of the training pairs.

    Words that occur only once in the sources are read as the unknown symbol, so that its embedding is learned.

    Args:
      unit: ``"characters"``, ``"words"`` or ``"numbers"``.
      texts: of that side.
      places: where each came from, for messages.
      target: whether these are targets, which have a start and an end, and of which every word may be written.
    """
    special = TARGET if target else SPECIAL
    if unit == "numbers":
        return Numbers.of(np.concatenate(series(texts, places, "target" if target else "source")), special)
    least = 2 if unit == "words" and not target else 1
    return Texts(Vocabulary.of(texts, unit, special=special, least=least))


def of_dict(content: Mapping[str, Any], centres: np.ndarray | None) -> Codec:
    """The reverse of ``to_dict``; ``centres`` are those of the bins of numbers.

    Raises:
      ValueError: the content is no such thing.
    """
    if content["unit"] == "numbers":
        if centres is None:
            raise ValueError("numbers without bins")
        return Numbers(centres, tuple(map(str, content["special"])))
    return Texts(Vocabulary.from_dict(content))
