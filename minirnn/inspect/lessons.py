"""What the figures of all lessons share: a colour for each gate, a quiet look, and the numbers beside the picture.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Gates of the same task share a
colour: what is kept (f, z), what is new (g, n).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minirnn.inspect.figures import save_figure

GATE_COLOURS = {
    "i": "#009E73",
    "f": "#0072B2",
    "g": "#E69F00",
    "o": "#D55E00",
    "r": "#56B4E9",
    "z": "#0072B2",
    "n": "#E69F00",
    "c": "#CC79A7",
    "h": "#222222",
    "x": "#999999",
}
CELL_COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73", "gru_reset_before": "#56B4E9"}
OTHER_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#999999")  # for what is neither a gate nor one of these cells
RIGHT, WRONG = "#0072B2", "#D55E00"

# In 100 dots to the inch: as wide as it is shown in a text, so that letters keep their size.
SMALL, WIDE = (6.0, 3.4), (9.0, 3.6)
DPI = 100


def tidy(*panels: Axes) -> None:
    """Takes away what carries no data, and adds a faint grid."""
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)


def figures_folder() -> Path | None:
    """Where lessons keep their figures: ``MINIRNN_FIGURES``, or ``figures/`` of a clone one stands in; else nowhere."""
    asked = os.environ.get("MINIRNN_FIGURES")
    if asked:
        return Path(asked)
    here = Path.cwd()
    for folder in (here, here.parent):
        if (folder / "figures" / "make.py").exists() and (folder / "tutorials").is_dir():
            return folder / "figures"
    return None


def keep(figure: Figure, name: str, data: pd.DataFrame, digits: int = 4) -> Path | None:
    """Writes ``NAME.png`` and the numbers that it shows, ``NAME.csv``, into the folder of the lessons' figures.

    Args:
      figure: at most 9 inches wide.
      name: that of the lesson, such as ``"04_vanishing_and_exploding"``.
      data: every number that is drawn; its index is the first column.
      digits: significant digits of the numbers that are written.

    Returns:
      The path of the picture, or None where there is no such folder: nothing is written unasked.
    """
    folder = figures_folder()
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(figure, folder / f"{name}.png", dpi=DPI)
    data.map(lambda value: _rounded(value, digits)).to_csv(folder / f"{name}.csv", lineterminator="\n")
    return folder / f"{name}.png"


def _rounded(value, digits: int):
    if isinstance(value, float | np.floating) and np.isfinite(value):
        return float(f"{value:.{digits}g}")
    return value


def quick() -> bool:
    """Whether a lesson should take less than its full time: ``MINIRNN_QUICK=1``."""
    return os.environ.get("MINIRNN_QUICK", "") not in ("", "0")
