"""The figures. Each function returns a matplotlib Figure and touches no global state.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import os
import warnings

import pandas as pd
from matplotlib.figure import Figure

NETWORK, TRUTH, BEST = "#D55E00", "#222222", "#0072B2"
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#999999")


def forecast_figure(
    history: pd.Series,
    forecast: pd.Series,
    errors: pd.DataFrame,
    *,
    network: str,
    best: str,
    unit: str,
    ahead: str,
    period: str,
) -> Figure:
    """The forecast after the last rows, and the error by steps ahead beside the simpler forecasts.

    Args:
      history: observed values of the target, NaN where they are missing; its name labels the axis.
      forecast: the values ahead.
      errors: mean absolute error by steps ahead (rows) of each forecast (columns, named as they are to be shown).
      network: the column of the network.
      best: the column of the best other forecast.
      unit: of the target, or an empty text.
      ahead: the length of the forecast in words, such as "7 days".
      period: of the test rows, in words.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    in_unit = f" ({unit})" if unit else ""

    shown = history.iloc[-max(8 * len(forecast), 30) :]
    joined = pd.concat([shown.iloc[-1:], forecast])  # joined to the last row only where that was observed
    left.plot(shown.index, shown, color=TRUTH, lw=1.3, label="observed")
    left.plot(joined.index, joined, color=NETWORK, lw=1.8, marker="o", ms=3.5, label="forecast")
    left.plot(shown.index[-1:], shown.iloc[-1:], color=TRUTH, marker="o", ms=3.5)
    left.set_ylabel(f"{history.name}{in_unit}", parse_math=False)
    left.set_title(f"Forecast of the next {ahead}", loc="left", fontsize=11)
    left.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.55, 1.13), ncols=2, fontsize=9)
    for label in left.get_xticklabels():
        label.set(rotation=25, ha="right", fontsize=8)

    # A forecast that is far off would press all others together: the legend names it, without a line.
    means = errors.mean().sort_values(kind="stable")
    limit = 1.7 * errors[[best, network]].to_numpy().max() if len(errors) else 0.0
    others = iter(OTHERS)
    for name in map(str, means.index):
        colour = {network: NETWORK, best: BEST}.get(name) or next(others)
        label = f"{name}  {means[name]:#.3g}"
        if name not in (network, best) and errors[name].min() > limit:
            right.plot([], [], ls="none", label=f"{label}  (off the scale)")
        else:
            main = name in (network, best)
            style = {"lw": 2.1 if main else 1.2, "ls": "-" if main else "--", "marker": "o" if name == network else ""}
            right.plot(errors.index, errors[name], color=colour, ms=3.5, label=label, **style)
    right.set_ylim(bottom=0)
    right.set_xticks(range(1, len(errors) + 1, max(1, round(len(errors) / 7))))
    right.set_xlabel("steps ahead")
    right.set_ylabel(f"mean absolute error{in_unit}", parse_math=False)
    right.set_title(f"Error on the test rows, {period}", loc="left", fontsize=11)
    figure.legend(
        *right.get_legend_handles_labels(),
        loc="outside right center",
        frameon=False,
        fontsize=9,
        title="mean of all steps",
    )
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
    """Writes a figure; a name in a script that the font lacks becomes boxes, without a warning for each letter."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=dpi)
