"""Figures of models of sequences: what was taken for what, where a decoder looked, what units follow in a text.

Each returns a matplotlib Figure and touches no global state; :func:`minirnn.inspect.figures.save_figure` writes it.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from minirnn.inspect.figures import BEST, TRUTH

_RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", BEST])
_SIGNED = LinearSegmentedColormap.from_list("signed", ["#66AAD1", "#FFFFFF", "#E69E66"])  # text stays readable on it
_COUNTED = 12  # classes of a matrix whose cells still hold their counts
_NAMED = 24  # classes along an axis that are all named
_BLANKS = {"": "∅", " ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"}


def confusion_figure(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """What was taken for what: shares of each row as colour, counts as numbers where they can be read.

    Args:
      matrix: (C, C) counts, rows true, columns predicted.
      labels: of the classes.
    """
    counts = np.asarray(matrix)
    if counts.shape != (len(labels), len(labels)):
        raise ValueError(f"confusion_figure: {len(labels)} labels need a square matrix of as many, got {counts.shape}")
    C = len(labels)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (C, C)
    size = min(max(3.0, 1.6 + 0.42 * C), 5.2)  # inches: wider ones could not be read on a phone
    figure = Figure(figsize=(size + 0.9, size), layout="compressed")
    axes = figure.subplots()
    image = axes.imshow(100 * share, cmap=_RIGHT, vmin=0, vmax=100, interpolation="nearest")
    names = [_short(label, 16) for label in labels]
    _ticks(axes, names, names, 10 if C <= _COUNTED else 8, max(1, math.ceil(C / _NAMED)))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if 0 < C <= _COUNTED:
        room = 72 * (size - 1.3) / C  # points of a cell
        fits = min(10.0, room / (0.68 * max(len(f"{int(counts.max()):,}"), 2)))
        for (i, j), count in np.ndenumerate(counts):
            if count:
                colour = "white" if share[i, j] > 0.55 else TRUTH
                weight = "bold" if i == j else "normal"
                axes.text(j, i, f"{count:,}", ha="center", va="center", color=colour, fontsize=fits, weight=weight)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05)
    bar.set_label("share of the true class (%)")
    bar.outline.set_visible(False)
    return figure


def attention_figure(weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> Figure:
    """Where a decoder looked while it wrote.

    Args:
      weights: (T, S) of each target symbol over the source; NaN is drawn as nothing.
      source: S symbols.
      target: T symbols.
    """
    return attention_figures([(weights, source, target)])


def attention_figures(maps: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str]]], *, columns: int = 1) -> Figure:
    """Several attention maps in one grid, on one scale of colours.

    Args:
      maps: weights, source and target of each, as in :func:`attention_figure`.
      columns: of the grid; on a phone one can be read.
    """
    if not maps:
        raise ValueError("attention_figures: no map was given")
    columns = min(columns, len(maps))
    rows = math.ceil(len(maps) / columns)
    longest, tallest = (max(max(len(each[k]) for each in maps), 8) for k in (1, 2))
    room = 0.085 * max((len(_visible(s)) for each in maps for k in (1, 2) for s in each[k]), default=1)
    width, height = min(0.2 * longest + 0.9 + room, 9.0), min(0.2 * tallest + 0.9 + room, 9.0)
    figure = Figure(figsize=(columns * width + 0.8, rows * height), layout="compressed")
    panels = figure.subplots(rows, columns, squeeze=False)
    ready = []
    for weights, source, target in maps:
        values = np.asarray(weights, float)
        if values.shape != (len(target), len(source)):
            raise ValueError(
                f"attention_figures: {len(target)} target and {len(source)} source symbols need weights "
                f"({len(target)}, {len(source)}), got {values.shape}"
            )
        ready.append(np.where(np.isfinite(values), values, 0.0))
    largest = max((float(values.max(initial=0)) for values in ready), default=0.0) or 1.0
    for panel in panels.flat[len(maps) :]:
        panel.set_axis_off()
    for panel, values, (_, source, target) in zip(panels.flat, ready, maps):
        image = panel.imshow(
            values,
            cmap=_RIGHT,
            vmin=0,
            vmax=largest,
            interpolation="nearest",
            aspect="equal" if values.size else "auto",
        )
        read, wrote = ([_short(_visible(symbol), 16) for symbol in symbols] for symbols in (source, target))
        _ticks(panel, read, wrote, 10)
        panel.set(xlim=(-0.5, longest - 0.5), ylim=(tallest - 0.5, -0.5))  # cells of one size in all panels
        panel.spines[:].set_visible(False)
        frame = Rectangle((-0.5, -0.5), values.shape[1], values.shape[0], fill=False, ec="#CCCCCC", clip_on=False)
        panel.add_patch(frame)
        panel.xaxis.tick_top()
        panel.xaxis.set_label_position("top")
        panel.set_xlabel("read", loc="left")
        panel.set_ylabel("written", loc="top")
    bar = figure.colorbar(image, ax=panels, pad=0.02, fraction=0.05, aspect=25)
    bar.set_label("attention weight")
    bar.outline.set_visible(False)
    return figure


def activity_figure(
    text: str, activities: Mapping[str, np.ndarray], *, width: int = 52, lines: int = 24, unit: str = "activity"
) -> Figure:
    """What units do along a text: its lines, once for each unit, coloured from blue (-1) to orange (+1).

    Args:
      text: n characters; long lines are broken.
      activities: title of each unit to its activity (n,) in [-1, 1]; NaN is not coloured.
      width: characters of a line.
      lines: of the text that are shown at most.
      unit: what the colours are.
    """
    for title, activity in activities.items():
        if np.shape(activity) != (len(text),):
            raise ValueError(
                f"activity_figure: {title}: {len(text)} characters need as many activities, got {np.shape(activity)}"
            )
    if not activities:
        raise ValueError("activity_figure: no unit was given")
    places = _laid_out(text, width, lines)  # (line, column) of each character that is shown
    height = max((line for line, _ in places.values()), default=0) + 1
    cell = (0.105, 0.19)  # inches
    size = (width * cell[0] + 0.9, len(activities) * (height * cell[1] + 0.35) + 0.2)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(activities), 1, squeeze=False)[:, 0]
    for panel, (title, activity) in zip(panels, activities.items()):
        values = np.full((height, width), np.nan)
        for place, at in places.items():
            values[at] = activity[place]
        image = panel.imshow(values, cmap=_SIGNED, vmin=-1, vmax=1, interpolation="nearest", aspect="auto")
        for place, (line, column) in places.items():
            shown = _BLANKS["\t"] if text[place] == "\t" else text[place]
            if not shown.isspace():
                panel.text(
                    column, line, shown, ha="center", va="center_baseline", fontsize=9, family="monospace",
                    color=TRUTH, parse_math=False,
                )  # fmt: skip
        panel.set_title(textwrap.shorten(title, 70, placeholder="…"), loc="left", fontsize=11, parse_math=False)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.spines[:].set_color("#CCCCCC")
    bar = figure.colorbar(image, ax=panels, pad=0.015, fraction=0.04, aspect=30)
    bar.set_label(unit, parse_math=False)
    bar.set_ticks([-1, 0, 1], labels=["−1", "0", "+1"])
    bar.outline.set_visible(False)
    return figure


# ---------------------------------------------------------------- what they share


def _laid_out(text: str, width: int, lines: int) -> dict[int, tuple[int, int]]:
    """Line and column of each character; ends of lines have no place of their own."""
    places, line, column = {}, 0, 0
    for place, c in enumerate(text):
        if c == "\n":
            line, column = line + 1, 0
            continue
        if column == width:
            line, column = line + 1, 0
        if line >= lines:
            break
        places[place] = line, column
        column += 1
    return places


def _ticks(axes, across: Sequence[str], down: Sequence[str], size: int, step: int = 1) -> None:
    """Names along both axes, each `step`-th."""
    upright = max(map(len, across), default=0) > 2
    axes.set_xticks(range(0, len(across), step), across[::step], fontsize=size, parse_math=False)
    axes.tick_params(axis="x", labelrotation=90 if upright else 0)
    axes.set_yticks(range(0, len(down), step), down[::step], fontsize=size, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#CCCCCC")


def _visible(symbol: str) -> str:
    return _BLANKS.get(str(symbol), str(symbol))


def _short(name: str, longest: int) -> str:
    line = " ".join(str(name).split()) or "∅"
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
