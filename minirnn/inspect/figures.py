"""The figures. Each function returns a matplotlib Figure and touches no global state.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

NETWORK, TRUTH, BEST, OTHERS = "#D55E00", "#222222", "#0072B2", "#999999"


def forecast_figure(
    history: pd.Series, forecast: pd.Series, errors: pd.DataFrame, *, network: str, best: str, unit: str, period: str
) -> Figure:
    """The forecast after the last rows, and the error by steps ahead beside the naive forecasts.

    Args:
      history: observed values of the target, NaN where they are missing; its name labels the axis.
      forecast: the values ahead.
      errors: mean absolute error by steps ahead (rows) of each forecast (columns, named as they are to be shown).
      network: the column of the network.
      best: the column of the best other forecast.
      unit: of the target, or an empty text.
      period: of the test rows, in words.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
    in_unit = f" ({unit})" if unit else ""

    shown = history.iloc[-max(8 * len(forecast), 30) :]
    joined = pd.concat([shown.dropna().iloc[-1:], forecast])
    left.plot(shown.index, shown, color=TRUTH, lw=1.3, label="observed")
    left.plot(
        joined.index, joined, color=NETWORK, lw=1.8, marker="o", ms=3.5, markevery=slice(1, None), label="forecast"
    )
    left.set_ylabel(f"{history.name}{in_unit}")
    left.set_title(f"Forecast of the next {len(forecast)} steps", loc="left", fontsize=11)
    left.legend(frameon=False, loc="best", fontsize=9)
    for label in left.get_xticklabels():
        label.set(rotation=25, ha="right", fontsize=8)

    # A forecast that is far off would press all others together: it is named below instead.
    names = [str(name) for name in errors.columns]
    far = [name for name in names if errors[name].min() > 1.7 * errors[best].max()]
    colours = {name: OTHERS for name in names if name not in far} | {best: BEST, network: NETWORK}
    for name, colour in colours.items():
        main = name in (best, network)
        right.plot(errors.index, errors[name], color=colour, lw=2.0 if main else 1.0, ls="-" if main else "--")
    right.plot(errors.index, errors[network], color=NETWORK, ls="none", marker="o", ms=3.5)
    _name_the_lines(right, errors, colours)
    right.set_xlabel("steps ahead")
    right.set_ylabel(f"mean absolute error{in_unit}")
    right.set_title(f"Error on the test rows\n{period}", loc="left", fontsize=11)
    if far:
        named = ", ".join(f"{name} ({errors[name].mean():.3g})" for name in far)
        right.text(0.02, 0.02, f"far above: {named}", transform=right.transAxes, fontsize=8, color=OTHERS)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.6)
    return figure


def _name_the_lines(axes, errors: pd.DataFrame, colours: dict[str, str]) -> None:
    """Names each line at its right end, pushed apart where the names would overlap."""
    horizon = int(errors.index[-1])
    ends = dict(zip(errors.columns, errors.to_numpy()[-1]))
    top = errors[list(colours)].to_numpy().max() * 1.05
    height = -top
    for name in sorted(colours, key=lambda name: ends[name]):
        end = ends[name]
        height = max(height + 0.065 * top, end)
        colour = colours[name] if colours[name] != OTHERS else "#666666"
        axes.annotate(
            name,
            xy=(horizon, end),
            xytext=(horizon + 0.12 * max(horizon - 1, 1), height),
            fontsize=8.5,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 2, "shrinkB": 1},
        )
    axes.set_xlim(right=horizon + 0.55 * max(horizon - 1, 1))
    axes.set_ylim(0, max(top, height * 1.04))
    step = max(1, round(horizon / 7))
    axes.set_xticks(range(1, horizon + 1, step))
