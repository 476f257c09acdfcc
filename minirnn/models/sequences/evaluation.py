"""The verdict on a model of sequences: its scores on the test part beside those of simpler models."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evaluation:
    """Scores on sequences that no model has seen in training.

    Args:
      scores: one row for each model, the network first; one column for each measure. NaN where a model has none.
      ranked_by: the measure that decides.
      lower_is_better: of that measure.
      sentence: the verdict, in words.
      splits: part -> how much it holds, in words and numbers: ``{"train": {"sequences": 70, "steps": 2100}, ...}``.
      tables: further tables, by title: scores by class, the confusion of classes, ...
      model: what made the network's row: parameters, sizes, seed, version, how the training ended.
      notes: one sentence for each thing worth knowing.
      padding: steps that were computed for nothing, for each real one, with buckets and without; None where all
        sequences are equally long.
    """

    scores: pd.DataFrame
    ranked_by: str
    lower_is_better: bool
    sentence: str
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    padding: tuple[float, float] | None = None

    @property
    def network(self) -> str:
        """The name of the network's row."""
        return str(self.scores.index[0])

    @property
    def best_simple(self) -> str | None:
        """The best of the simpler models, None if there is none."""
        others = self.scores[self.ranked_by].iloc[1:].dropna()
        if others.empty:
            return None
        return str(others.idxmin() if self.lower_is_better else others.idxmax())

    @property
    def score(self) -> float:
        """The network's score by the measure that decides."""
        return float(self.scores[self.ranked_by].iloc[0])

    def as_dict(self) -> dict[str, Any]:
        """All of it in what JSON knows."""
        return {
            "network": self.network,
            "best_simple": self.best_simple,
            "ranked_by": self.ranked_by,
            "lower_is_better": self.lower_is_better,
            "sentence": self.sentence,
            "scores": _frame(self.scores),
            "tables": {title: _frame(table) for title, table in self.tables.items()},
            "splits": self.splits,
            "padding": None if self.padding is None else {"with_buckets": self.padding[0], "without": self.padding[1]},
            "model": self.model,
            "notes": list(self.notes),
        }


def _frame(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {
        str(row): {str(column): _number(value) for column, value in cells.items()}
        for row, cells in table.to_dict(orient="index").items()
    }


def _number(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
