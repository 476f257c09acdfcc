"""The picture of a benchmark: minirnn's time divided by that of other libraries, shape by shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from minirnn.inspect.figures import BEST, NETWORK, OTHERS

# One colour and mark for each library, in whichever order they were measured.
STYLE = {
    "torch": (NETWORK, "o"),
    "flax": (BEST, "s"),
    "equinox": (OTHERS[0], "^"),
    "haiku": (OTHERS[1], "D"),
    "keras": (OTHERS[3], "v"),
}
TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 6, 10)


def speed_figure(result: Mapping[str, Any], measure: str = "train_step") -> Figure:
    """A panel for each cell (across) and comparison (down); geometric means stand below the shapes.

    Args:
      result: what ``minirnn bench --json`` prints.
      measure: which of its measures.

    Raises:
      ValueError: it holds no ratios of that measure.
    """
    rows = [row for row in result["rows"] if row["measure"] == measure and row.get("ratio")]
    if not rows:
        raise ValueError(f"nothing to draw: the result holds no ratios of the measure {measure!r}")
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    comparisons = list(dict.fromkeys(row["comparison"] for row in rows))
    shapes = list(dict.fromkeys(tuple(row["shape"]) for row in rows))
    values = [value for row in rows for value in row["ratio"].values()]
    limits = min(*values, 0.8) / 1.15, max(*values, 1.0) * 1.15

    height = len(comparisons) * (0.9 + 0.27 * (len(shapes) + 1)) + 1.3
    figure = Figure(figsize=(4.2 + 3.1 * len(cells), height), layout="constrained")
    panels = figure.subplots(len(comparisons), len(cells), sharex=True, sharey=True, squeeze=False)
    shown: dict[str, Any] = {}
    for line, comparison in zip(panels, comparisons):
        for axes, cell in zip(line, cells):
            chosen = [row for row in rows if row["cell"] == cell and row["comparison"] == comparison]
            if not chosen:  # this cell was not compared so
                axes.set_visible(False)
                continue
            means = _means(result, measure, comparison, cell)
            shown |= _panel(axes, chosen, shapes, means, limits)
            axes.set_title(f"{cell.upper()}, {comparison}", loc="left", fontsize=10)
            told = [f"{means[name]:.2f} of {name}" for name in ("best jax", "torch") if name in means]
            axes.set_title(f"mean {', '.join(told)}" if told else "", loc="right", fontsize=8, color="#444444")
    for axes in panels[-1]:
        axes.set_xlabel("minirnn's time / the other's", fontsize=9)
    what = {"train_step": "One train step", "forward_backward": "Loss and gradient", "forward": "One forward pass"}
    figure.suptitle(f"{what.get(measure, measure)}: left of the line minirnn is faster", x=0.01, ha="left", fontsize=12)
    figure.legend(
        shown.values(), shown, loc="outside upper right", ncols=len(shown), frameon=False, fontsize=9, handletextpad=0.2
    )
    figure.supxlabel(_caption(result["machine"]), x=0.01, ha="left", fontsize=7.5, color="#444444")
    return figure


def _means(result: Mapping[str, Any], measure: str, comparison: str, cell: str) -> dict[str, float]:
    for mean in result["geometric_means"]:
        if (mean["measure"], mean["comparison"], mean["cell"]) == (measure, comparison, cell):
            return dict(mean["ratio"])
    return {}


def _panel(axes, rows, shapes: Sequence[tuple], means: Mapping[str, float], limits) -> dict[str, Any]:
    """Draws one panel; returns a mark for each library in it."""
    shown = {}
    bottom = len(shapes)
    axes.axvline(1, color="#222222", lw=1)
    axes.axhspan(bottom - 0.5, bottom + 0.5, color="#eeeeee", lw=0, zorder=0)
    for name in (name for name in STYLE if any(name in row["ratio"] for row in rows)):
        colour, marker = STYLE[name]
        points = [(row["ratio"][name], shapes.index(tuple(row["shape"]))) for row in rows if name in row["ratio"]]
        if name in means:
            points.append((means[name], bottom))
        shown[name] = axes.scatter(*zip(*points), color=colour, marker=marker, s=26, alpha=0.9, lw=0, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    inside = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    every = math.ceil(len(inside) / 8)  # 1 is always among them
    ticks = [tick for index, tick in enumerate(inside) if (index - inside.index(1)) % every == 0]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:g}" for tick in ticks], fontsize=8)
    axes.set_yticks(
        range(bottom + 1), [*(", ".join(map(str, shape)) for shape in shapes), "geometric mean"], fontsize=8
    )
    axes.set_ylim(bottom + 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3, lw=0.6)
    axes.grid(axis="y", alpha=0.15, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return shown


def _caption(machine: Mapping[str, Any]) -> str:
    """Shapes, date, machine and versions in two or three lines."""
    hardware = [f"{machine['cores']} cores" if machine.get("cores") else "", machine.get("processor") or ""]
    devices = machine.get("devices") or []
    hardware.append(f"{len(devices)} JAX device{'s' if len(devices) > 1 else ''}" if devices else "")
    versions = [f"{name} {version}" for name, version in machine.get("versions", {}).items()]
    software = [f"Python {machine['python']}" if machine.get("python") else "", *versions]
    first = "Rows: batch, time steps, inputs, hidden units; float32; medians of libraries measured in turns."
    return "\n".join(
        [first, ", ".join(filter(None, [machine.get("date"), *hardware])), ", ".join(filter(None, software))]
    )
