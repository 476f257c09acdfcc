"""Chronological splits: training rows first, then validation rows, then test rows; nothing is shuffled."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from minirnn.data.table import DataError


@dataclass(frozen=True)
class Split:
    """Row ranges of the three parts: [0, train), [train, validation), [validation, rows).

    Args:
      train: number of training rows.
      validation: the row after the last validation row.
      rows: number of all rows.
    """

    train: int
    validation: int
    rows: int

    @property
    def parts(self) -> dict[str, range]:
        """The rows of each part, by name."""
        return {
            "train": range(self.train),
            "validation": range(self.train, self.validation),
            "test": range(self.validation, self.rows),
        }

    def origins(self, part: str, window: int, horizon: int) -> np.ndarray:
        """The last known rows t of the windows whose *targets* t+1 .. t+horizon all lie in the part.

        Their inputs t-window+1 .. t may reach back into earlier parts, which are known by then. No target of one part
        is a target of another, and no input of training or validation lies in the test part.
        """
        rows = self.parts[part]
        return np.arange(max(rows.start - 1, window - 1), rows.stop - horizon)


def chronological_split(
    rows: int, window: int, horizon: int, validation_fraction: float = 0.15, test_fraction: float = 0.25
) -> Split:
    """Splits rows by fractions of their number.

    >>> chronological_split(1461, window=30, horizon=7)
    Split(train=877, validation=1096, rows=1461)

    Raises:
      DataError: a part would be too short for one window; the message says how many rows are needed.
    """

    def split_of(rows: int) -> Split:
        test, validation = round(rows * test_fraction), round(rows * validation_fraction)
        return Split(rows - test - validation, rows - test, rows)

    def fits(rows: int) -> bool:
        # At least as many training windows as there are steps ahead, and one window in each other part.
        train, validation, test = (len(part) for part in split_of(rows).parts.values())
        return train >= window + 2 * horizon - 1 and validation >= horizon and (test >= horizon or not test_fraction)

    if not fits(rows):
        needed = next(more for more in itertools.count(rows + 1) if fits(more))
        raise DataError(
            f"too few rows: {rows}, but window {window} and horizon {horizon} need at least {needed}; "
            "give more data, or a smaller window or horizon"
        )
    return split_of(rows)
