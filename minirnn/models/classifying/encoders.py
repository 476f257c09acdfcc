"""From examples to what the network reads: standardised rows of numbers, or the integers of symbols.

Everything is fitted on the training part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.data.sequences.ragged import Ragged, ragged
from minirnn.data.sequences.vocabulary import Vocabulary
from minirnn.data.words import DataError, listed
from minirnn.models import storage

LEAST = 2  # times that a symbol has to occur in the training part; rarer ones train the unknown one


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers, standardised; a missing value is 0, which is the mean of its column.

    Args:
      columns: names of the D columns; empty where they have none.
      mean: (D,) of the training rows.
      scale: (D,) their standard deviations; 1 of a column that is constant.
    """

    columns: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, sequences: Sequence[np.ndarray], columns: tuple[str, ...]) -> Numbers:
        """Fits to training sequences (T, D).

        Raises:
          DataError: a column holds no number.
        """
        rows = np.concatenate(sequences).astype(np.float64)
        known = ~np.isnan(rows)
        count = known.sum(axis=0)
        if not count.all():
            empty = int(np.argmin(count))
            name = repr(columns[empty]) if columns else f"{empty}"
            raise DataError(f"the column {name} holds no number in the training part: leave it out")
        mean = np.where(known, rows, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, rows - mean, 0) ** 2).sum(axis=0) / count)
        # What is left of a constant column is the rounding of its mean.
        return cls(columns, mean, np.where(spread > 1e-7 * np.abs(mean), spread, 1.0))

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about it."""
        return ()

    @property
    def input_size(self) -> int:
        """D."""
        return len(self.mean)

    def standardised(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Sequences (T, D), float32, without a missing value.

        Raises:
          DataError: they have another number of columns.
        """
        if sequences[0].shape[1] != self.input_size:
            held = f": {listed(self.columns, 8)}" if self.columns else ""
            raise DataError(
                f"the sequences have {sequences[0].shape[1]} columns; the model reads {self.input_size}{held}"
            )
        scaled = [(sequence - self.mean) / self.scale for sequence in sequences]
        return [np.where(np.isnan(array), 0, array).astype(np.float32) for array in scaled]

    def encode(self, examples: Sequence[np.ndarray]) -> Ragged:
        """What the network reads, end to end."""
        return ragged(self.standardised(examples))

    def flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON for the model's file."""
        return {"mean": self.mean, "scale": self.scale}, {"columns": list(self.columns)}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], description: Mapping[str, Any]) -> Numbers:
        """The reverse of :meth:`flatten`; a ValueError or KeyError where it is not one."""
        mean = storage.expect(arrays, "mean", (None,))
        scale = storage.expect(arrays, "scale", mean.shape)
        columns = description["columns"]
        if not mean.size or not (scale > 0).all() or len(columns) not in (0, len(mean)):
            raise ValueError("columns, mean and scale do not fit")
        if len(set(columns)) < len(columns) or not all(isinstance(name, str) for name in columns):
            raise ValueError("columns are different names")
        return cls(tuple(columns), mean, scale)


@dataclass(frozen=True)
class Texts:
    """Texts as the integers of a vocabulary; words are read in small letters.

    Args:
      vocabulary: of the training texts.
    """

    vocabulary: Vocabulary

    @classmethod
    def of(cls, texts: Sequence[str], unit: str, most: int) -> Texts:
        """Symbols that occur at least twice in the training texts, and at most ``most`` of them.

        The others are read as unknown ones: so the network learns what an unknown symbol means.
        """
        small = [text.lower() for text in texts] if unit == "words" else texts
        return cls(Vocabulary.of(small, unit, least=LEAST, most=most))

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about it."""
        unit = self.vocabulary.unit
        return (
            f"{len(self.vocabulary.symbols):,} different {unit}, each at least {LEAST} times in the training part; all "
            f"others are read as unknown{'; words are read in small letters' if unit == 'words' else ''}.",
        )

    @property
    def input_size(self) -> None:
        """The network begins with an embedding."""
        return

    def encode(self, examples: Sequence[str]) -> Ragged:
        """What the network reads, end to end."""
        small = [text.lower() for text in examples] if self.vocabulary.unit == "words" else examples
        return ragged([self.vocabulary.encode(text) for text in small], np.int32)

    def flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON for the model's file."""
        return {}, {"vocabulary": self.vocabulary.to_dict()}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray], description: Mapping[str, Any]) -> Texts:
        """The reverse of :meth:`flatten`; a ValueError or KeyError where it is not one."""
        return cls(Vocabulary.from_dict(description["vocabulary"]))


Encoder = Numbers | Texts
