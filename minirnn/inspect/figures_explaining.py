"""Figures of an explanation, each with one sentence that says what it shows. Each returns a matplotlib Figure."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from minirnn.inspect.figures import BEST, NETWORK, OTHERS, TRUTH

UP, DOWN = NETWORK, BEST
_MOST_COLUMNS = 12  # that are shown
_SIGNED = LinearSegmentedColormap.from_list("signed", [DOWN, "#F7F7F7", UP])


def explanation_figures(explanation: Any) -> dict[str, Figure]:
    """The figures of what ``Forecaster.explain`` gives, by name; those for which it holds something."""
    e = explanation
    times = e.attributions.index
    read = len(e.history)
    figures = {
        "attributions": attribution_figure(
            e.attributions,
            pd.Series(e.history, times[:read]),
            target=e.target,
            unit=e.unit,
            sentence=e.sentences["attributions"],
            origin=times[read - 1] if len(times) > read else None,
        )
    }
    if e.importance is not None:
        figures["importance"] = importance_figure(
            e.permutation,
            e.permutation_blocks,
            error=e.importance.error,
            unit=e.unit,
            sentence=e.sentences["importance"],
        )
    if e.share and len(e.gate_table):  # the gates of a network that adds nothing explain nothing
        steps = len(next(iter(e.gates.layers[0].over_time.values())))
        figures["gates"] = gates_figure(
            e.gates_over_time,
            e.gate_table,
            times[read - 1 :: -e.gates.rows][:steps][::-1],
            sentence=e.sentences["gates"],
        )
    if e.neighbours is not None and len(e.neighbours):
        columns = list(range(1 - e.window, e.horizon + 1))
        several = e.neighbours["series"].nunique() > 1
        lines = [
            (f"{each['to']:%Y-%m-%d}" if hasattr(each["to"], "year") else str(each["to"]), each)
            for _, each in e.neighbours.iterrows()
        ]
        figures["neighbours"] = neighbours_figure(
            e.history[-e.window :],
            [(f"{name}, {each['series']}" if several else name, each[columns].to_numpy(float)) for name, each in lines],
            e.forecast,
            target=e.target,
            unit=e.unit,
            sentence=e.sentences["neighbours"],
        )
    return figures


def attribution_figure(
    attributions: pd.DataFrame, history: pd.Series, *, target: str, unit: str, sentence: str, origin=None
) -> Figure:
    """The rows that were read, and what each of them adds to the forecast.

    Args:
      attributions: time x column, in the unit of the target.
      history: of the target, over the rows that were read.
      target: its name.
      unit: of it, or an empty text.
      sentence: what the figure shows.
      origin: the last known time; None where no row lies ahead.
    """
    in_unit = f" ({unit})" if unit else ""
    sizes = attributions.abs().sum().sort_values(ascending=False, kind="stable")
    shown = attributions[list(sizes.index[:_MOST_COLUMNS])]
    several = shown.shape[1] > 1
    figure = _figure(6.4 if several else 5.2, sentence)
    axes = figure.subplots(3 if several else 2, 1, sharex=True, height_ratios=(1, 1.1, 1)[: 3 if several else 2])
    position = np.arange(len(shown))
    axes[0].plot(position[: len(history)], history.to_numpy(), color=TRUTH, lw=1.4)
    axes[0].set_ylabel(f"{target}{in_unit}", parse_math=False)
    _title(axes[0], "What the model read")
    total = shown.sum(axis=1).to_numpy()
    axes[1].bar(position, total, width=0.85, color=np.where(total >= 0, UP, DOWN))
    axes[1].axhline(0, color=TRUTH, lw=0.8)
    axes[1].set_ylabel(f"added{in_unit}", parse_math=False)
    _title(axes[1], "What each row adds to the forecast, or takes from it")
    if several:
        largest = float(np.abs(shown.to_numpy()).max()) or 1.0
        image = axes[2].imshow(
            shown.to_numpy().T, aspect="auto", cmap=_SIGNED, vmin=-largest, vmax=largest, interpolation="nearest"
        )
        axes[2].set_yticks(range(shown.shape[1]), [_short(name) for name in shown.columns], parse_math=False)
        _title(axes[2], "Column by column")
        bar = figure.colorbar(image, ax=axes[2], pad=0.01, aspect=12)
        bar.set_label(f"added{in_unit}", parse_math=False, fontsize=9)
    if origin is not None:
        for each in axes:
            each.axvline(list(attributions.index).index(origin) + 0.5, color=TRUTH, lw=0.8, ls=":")
    _times(axes[-1], attributions.index)
    for each in axes[:2]:
        _plain(each)
    return figure


def importance_figure(columns: pd.DataFrame, blocks: pd.DataFrame, *, error: float, unit: str, sentence: str) -> Figure:
    """How much larger the error gets if a column, or rows of it, come from another time.

    Args:
      columns: increase and spread by column, the largest first.
      blocks: column, first_lag, last_lag, increase, spread; shown of the columns that matter.
      error: as it is.
      unit: of the target, or an empty text.
      sentence: what the figure shows.
    """
    in_unit = f" ({unit})" if unit else ""
    columns = columns.iloc[:_MOST_COLUMNS]
    named = [name for name in columns.index if name in set(blocks["column"])]
    named = [name for name in named if columns["increase"][name] > 0.01 * error][:4] or named[:1]
    figure = _figure(max(3.2, 1.3 + 0.3 * len(columns), 0.6 + 1.5 * len(named)), sentence)
    halves: Any = figure.subfigures(1, 2, width_ratios=(1, 1.15))
    left, right = halves
    axes = left.subplots()
    position = np.arange(len(columns))[::-1]
    axes.barh(position, columns["increase"], xerr=columns["spread"], color=NETWORK, height=0.62, ecolor=TRUTH)
    axes.set_yticks(position, [_short(name) for name in columns.index], parse_math=False)
    axes.axvline(0, color=TRUTH, lw=0.8)
    axes.set_xlabel(f"increase of the mean error{in_unit}", parse_math=False)
    _title(axes, "By column")
    _plain(axes)
    panels = right.subplots(len(named), 1, squeeze=False, sharey=True)[:, 0]
    for panel, name in zip(panels, named):
        own = blocks[blocks["column"] == name].sort_values("first_lag", ascending=False)
        place = np.arange(len(own))
        panel.bar(place, own["increase"], yerr=own["spread"], color=BEST, width=0.7, ecolor=TRUTH)
        panel.axhline(0, color=TRUTH, lw=0.8)
        labels = [
            "ahead" if a < 0 else f"{a or 'last'}" if a == b else f"{b}-{a}"
            for a, b in own[["first_lag", "last_lag"]].values
        ]
        panel.set_xticks(place, labels, fontsize=8)
        _title(panel, f"{_short(name)}, by how many rows before the last")
        _plain(panel)
    return figure


def gates_figure(over_time: pd.DataFrame, table: pd.DataFrame, times: pd.Index, *, sentence: str) -> Figure:
    """How far the gates open over the window, and how often they are shut or wide open.

    Args:
      over_time: mean opening by step, a column for each layer and gate.
      table: gate (with its layer), mean, below_0.1, above_0.9.
      times: of the steps.
      sentence: what the figure shows.
    """
    figure = _figure(4.0, sentence)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    colours = (NETWORK, BEST, *OTHERS)
    for j, name in enumerate(over_time.columns):
        left.plot(np.arange(len(over_time)), over_time[name], lw=1.7, color=colours[j % len(colours)], label=name)
    left.set_ylim(0, 1)
    left.set_yticks([0, 0.5, 1], ["0 shut", "0.5", "1 open"])
    left.legend(frameon=False, fontsize=9, loc="upper left", ncols=3)
    _title(left, "Mean opening over the window")
    _times(left, times)
    _plain(left)
    place, start = np.arange(len(table))[::-1], np.zeros(len(table))
    middle = 1 - table["below_0.1"] - table["above_0.9"]
    for label, width, colour in (
        ("shut (below 0.1)", table["below_0.1"], BEST),
        ("in between", middle, "#DDDDDD"),
        ("open (above 0.9)", table["above_0.9"], NETWORK),
    ):
        right.barh(place, width, left=start, color=colour, height=0.55, label=label)
        start = start + width.to_numpy()
    right.set_yticks(place, list(table["gate"]))
    right.set_xlim(0, 1)
    right.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    right.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=3)
    _title(right, "How often")
    _plain(right)
    return figure


def neighbours_figure(
    window: np.ndarray, neighbours: list[tuple[str, np.ndarray]], forecast: np.ndarray, *, target: str, unit: str,
    sentence: str,
) -> Figure:  # fmt: skip
    """The window and those of the past that looked most like it, drawn from a common last value.

    Args:
      window: (W,) the target.
      neighbours: name and values (W+N,) of each, the nearest first.
      forecast: (N,) of the model.
      target: its name.
      unit: of it, or an empty text.
      sentence: what the figure shows.
    """
    W, N = len(window), len(forecast)
    figure = _figure(4.2, sentence)
    axes = figure.subplots()
    before, after = np.arange(1 - W, 1), np.arange(1, N + 1)
    for j, (name, values) in enumerate(neighbours):
        moved = values - values[W - 1] + window[-1]
        colour = OTHERS[j % len(OTHERS)]
        axes.plot(np.arange(1 - W, N + 1), moved, lw=1.1, color=colour, label=f"until {name}")
    axes.plot(before, window, color=TRUTH, lw=2.2, label="this window")
    axes.plot([0, *after], [window[-1], *forecast], color=NETWORK, lw=2.2, marker="o", ms=3.5, label="forecast")
    axes.axvline(0, color=TRUTH, lw=0.8, ls=":")
    axes.set_xlabel("rows after the last known one")
    axes.set_ylabel(f"{target}{f' ({unit})' if unit else ''}", parse_math=False)
    _title(axes, "Similar windows of the past, and what followed them, moved to the same last value")
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _plain(axes)
    return figure


# ---------------------------------------------------------------- what they share


def _figure(height: float, sentence: str) -> Figure:
    lines = textwrap.wrap(sentence, 125)
    figure = Figure(figsize=(11, height + 0.22 * len(lines)), layout="constrained")
    title = figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10.5)
    title.set_parse_math(False)
    return figure


def _title(axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10, parse_math=False)


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)


def _short(name) -> str:
    name = str(name)
    return name if len(name) <= 22 else f"{name[:20]}…"


def _times(axes, index: pd.Index) -> None:
    """At most six times below the axis."""
    chosen = np.unique(np.linspace(0, len(index) - 1, min(len(index), 6)).round().astype(int))
    labels = [str(index[k]) for k in chosen]
    if isinstance(index, pd.DatetimeIndex):
        clock = "%Y-%m-%d" if (index == index.normalize()).all() else "%Y-%m-%d %H:%M"
        labels = [index[k].strftime(clock) for k in chosen]
    axes.set_xticks(chosen, labels, fontsize=8)
