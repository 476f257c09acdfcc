"""Figures about learning: what the grader makes of wrong answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from minirnn.inspect.lessons import RIGHT, WRONG

_RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", RIGHT])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", WRONG])


def grader_figure(outcomes: pd.DataFrame, false: str = "false") -> Figure:
    """What was said of wrong answers: counts, and the share of each row as colour.

    Args:
      outcomes: counts; rows are kinds of wrong answers, columns what was said of them.
      false: the column that should be empty.
    """
    counts = outcomes.to_numpy(int)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows, columns = counts.shape
    figure = Figure(figsize=(6.4, 1.3 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    for j, column in enumerate(outcomes):
        part = np.full(counts.shape, np.nan)
        part[:, j] = share[:, j]
        axes.imshow(part, cmap=_WRONG if column == false else _RIGHT, vmin=0, vmax=1, aspect="auto")
    for (i, j), count in np.ndenumerate(counts):
        text = f"{count:,}" if count or outcomes.columns[j] == false else "·"
        axes.text(j, i, text, ha="center", va="center", color="white" if share[i, j] > 0.55 else "#222222", fontsize=9)
    axes.set_xticks(range(columns), [str(column).replace(" ", "\n") for column in outcomes], fontsize=9)
    axes.set_yticks(range(rows), [str(name) for name in outcomes.index], fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("what the grader calls a wrong answer", fontsize=10, loc="left", pad=10)
    return figure
