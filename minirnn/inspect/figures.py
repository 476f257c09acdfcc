"""The figures. Each function returns a matplotlib Figure and touches no global state.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import os
import warnings

import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

NETWORK, TRUTH, BEST = "#D55E00", "#222222", "#0072B2"
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#999999")
FAN = ("#F0B48A", "#F9DCC8")  # inside and outside: intervals of the network, opaque, so that no grid shows through


def forecast_figure(
    history: pd.Series,
    forecast: pd.Series | pd.DataFrame,
    errors: pd.DataFrame,
    *,
    network: str,
    best: str,
    unit: str,
    ahead: str,
    period: str,
) -> Figure:
    """The forecast with its intervals after the last rows, and the error by steps ahead beside the simpler forecasts.

    Args:
      history: observed values of the target, NaN where they are missing; its name labels the axis.
      forecast: the values ahead: the column ``mean`` of a frame, with ``lower_80``, ``upper_80``, ..., or a Series.
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
    frame = forecast.to_frame("mean") if isinstance(forecast, pd.Series) else forecast
    levels = sorted((str(column)[6:] for column in frame if str(column).startswith("lower_")), key=float)
    last = float(shown.iloc[-1])  # NaN where the last row was not observed: there the fan stands by itself
    index = shown.index[-1:].append(frame.index)

    def joined(column):
        return np.concatenate([[last], frame[column].to_numpy(float)])

    left.plot(shown.index, shown, color=TRUTH, lw=1.3, label="observed", zorder=3)
    left.plot(index, joined("mean"), color=NETWORK, lw=1.8, marker="o", ms=3, label="forecast", zorder=3)
    left.plot(shown.index[-1:], shown.iloc[-1:], color=TRUTH, marker="o", ms=3, zorder=3)
    for place, level in enumerate(levels):
        colour = FAN[min(place, len(FAN) - 1)]
        ends = joined(f"lower_{level}"), joined(f"upper_{level}")
        left.fill_between(index, *ends, color=colour, lw=0, label=f"{level} %", zorder=2 - place / 10)
    left.set_ylabel(f"{history.name}{in_unit}", parse_math=False)
    left.set_title(f"Forecast of the next {ahead}", loc="left", fontsize=11)
    left.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1), ncols=2 + len(levels), fontsize=9)
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.12 * (high - low))  # room for the legend
    if isinstance(shown.index, pd.DatetimeIndex):
        left.xaxis.set_major_formatter(ConciseDateFormatter(left.xaxis.get_major_locator()))

    # A forecast that is far off would press all others together: the legend names it, without a line.
    means = errors.mean().sort_values(kind="stable")
    limit = 1.7 * errors[[best, network]].to_numpy().max() if len(errors) else 0.0
    others = ((colour, style) for style in ("--", ":", "-.") for colour in OTHERS)
    for name in map(str, means.index):
        colour, style = {network: (NETWORK, "-"), best: (BEST, "-")}.get(name) or next(others, ("#999999", ":"))
        label = f"{name}  {means[name]:#.3g}".rstrip(".")
        if name not in (network, best) and errors[name].min() > limit:
            right.plot([], [], ls="none", label=f"{label}  (off the scale)")
        else:
            main = name in (network, best)
            look = {"lw": 2.1 if main else 1.2, "ls": style, "marker": "o" if name == network else ""}
            right.plot(errors.index, errors[name], color=colour, ms=3.5, label=label, **look)
    right.set_ylim(0, min(right.get_ylim()[1], 1.05 * limit) if limit > 0 else None)
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
