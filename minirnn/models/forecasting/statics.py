"""What a series is, as numbers: numeric columns are standardised, texts become one 0/1 column for each value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.words import DataError, count, quoted

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 100


@dataclass(frozen=True)
class Column:
    """One static column: ``levels`` of a text, or mean and spread of a number."""

    name: str
    levels: tuple[str, ...] | None
    mean: float = 0.0
    std: float = 1.0

    def encode(self, values) -> np.ndarray:
        """(series,) -> (series, numbers); a text that was not in the training gets zeros, a missing number the mean."""
        if self.levels is not None:
            return np.array([[float(str(value) == level) for level in self.levels] for value in values])
        try:
            numbers = np.array([np.nan if value is None else float(value) for value in values])
        except (TypeError, ValueError):
            raise DataError(
                f"the static column {self.name!r} held numbers in the training and now holds texts, such as "
                f"{quoted(next(value for value in values if isinstance(value, str)))}: give numbers"
            ) from None
        return np.nan_to_num((numbers - self.mean) / self.std)[:, None]

    def as_dict(self) -> dict[str, Any]:
        """For the model file."""
        return {"name": self.name, "levels": self.levels, "mean": self.mean, "std": self.std}


def fit(frame: pd.DataFrame) -> tuple[Column, ...]:
    """How each static column becomes numbers.

    Raises:
      DataError: a text column has too many different values.
    """
    columns = []
    for name in frame.columns:
        values = list(frame[name])
        try:
            numbers = np.array([np.nan if value is None else float(value) for value in values])
        except (TypeError, ValueError):
            levels = tuple(dict.fromkeys(str(value) for value in values if value is not None))
            if len(levels) > MOST_LEVELS:
                raise DataError(
                    f"the static column {name!r} holds {count(len(levels), 'different text')}; expected at most "
                    f"{MOST_LEVELS}: group them, or leave the column out"
                ) from None
            columns.append(Column(str(name), levels))
            continue
        known = numbers[~np.isnan(numbers)]
        mean, std = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
        columns.append(Column(str(name), None, mean, std if std > 0 else 1.0))
    return tuple(columns)


def encode(columns: tuple[Column, ...], frame: pd.DataFrame) -> np.ndarray:
    """(series, Q) of a frame with a row for each series."""
    parts = [column.encode(list(frame[column.name])) for column in columns]
    return np.concatenate([np.zeros((len(frame), 0)), *parts], axis=1)
