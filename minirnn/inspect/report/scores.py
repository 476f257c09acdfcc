"""Tables of scores for the reports of sequence models."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from minirnn.inspect.report.markup import digits_of, name, number, paragraph, strongest, table, text

if TYPE_CHECKING:
    import pandas as pd


def score_table(frame: pd.DataFrame, *, first: str, label: str) -> str:
    """Precision, recall, F1 and support of each class or type, and their averages.

    Args:
      frame: rows named by class, then averages, whose names end in "average"; columns of shares are shown with three
        digits, those of integers as counts.
      first: what rows are, such as "class".
      label: what the table holds, in words.
    """
    counts = [frame[column].dtype.kind in "iu" for column in frame]
    rows = [
        [name(key, 40), *(f"{value:,}" if count else number(float(value), 3) for value, count in zip(row, counts))]
        for key, row in zip(frame.index, frame.itertuples(index=False, name=None))
    ]
    averages = [place for place, key in enumerate(frame.index) if str(key).endswith("average")]
    heads = [text(str(column).replace("_", " ")) for column in frame]
    return table([text(first), *heads], rows, label=label, marked=averages)


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    """Three digits in each column, or more where all of its numbers are small: as on the terminal."""
    columns = []
    for _, values in frame.items():
        largest = max((value for value in values if np.isfinite(value)), default=1.0)
        columns.append([number(float(value), max(3, digits_of([largest], 3))) for value in values])
    return [list(row) for row in zip(*columns)]


def models_table(frame: pd.DataFrame, *, own: str, less: Collection[str] = (), label: str = "Models compared") -> str:
    """The model beside its baselines, the best of each column in bold.

    Args:
      frame: models x metrics; NaN where a model has no such metric.
      own: the row that stands out.
      less: metrics of which less is better; of the others more is.
      label: what the table holds, in words.
    """
    sign = np.where([column in less for column in frame], 1.0, -1.0)
    cells = strongest(_cells(frame), sign * frame.to_numpy(float))
    rows = [[name(key, 60), *row] for key, row in zip(frame.index, cells)]
    heads = [f"{name(column, 40)} {'↓' if column in less else '↑'}" for column in frame]
    words = "↑ more is better, ↓ less is better; the best of each column is bold."
    return table(["model", *heads], rows, label=label, marked=[list(frame.index).index(own)]) + paragraph(words)
