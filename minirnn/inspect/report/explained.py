"""The chapter of the report on what moved the forecast."""

from __future__ import annotations

import math

import numpy as np

from minirnn.inspect.report.charts import Line, chart
from minirnn.inspect.report.markup import (
    digits_of,
    name,
    number,
    numbers,
    paragraph,
    section,
    sentence,
    shortened,
    table,
)
from minirnn.inspect.report.subject import Subject

MOST = 15  # columns, gates
LOOKS = ("network", "best", "thin other1", "thin other2", "thin other4")  # of the columns that matter most
SEEN = 3  # neighbours whose values are drawn


def explained(subject: Subject, identity: str, title: str) -> str:
    """Attributions, importance, gates and neighbours, each with its sentence; empty where there is no explanation."""
    held = subject.explanation
    if held is None:
        return ""
    unit = f" ({held.unit})" if held.unit else ""
    of = f"{held.target} of {held.series}" if held.series else held.target
    several = f"This explains the forecast of {of}." if not subject.single else ""
    gates = _gates(held.gate_table) if held.share else ""  # a network without weight explains nothing
    drawn = {
        "attributions": ("What the forecast rests on", _attributions(held.attributions, unit)),
        "importance": ("Which columns matter", _importance(held.permutation, unit)),
        "gates": ("What the gates do", gates),
        "neighbours": ("When it looked like this before", _neighbours(held, unit)),
    }
    parts = [paragraph(sentence(several))]
    for key, (head, picture) in drawn.items():
        parts += [f"<h3>{head}</h3>", paragraph(sentence(held.sentences[key])), picture]
    return section(identity, title, *parts, paragraph(sentence(held.completeness)))


def _attributions(frame, unit: str) -> str:
    """What each row adds, of the columns that the forecast rests on most."""
    if not len(frame):
        return ""
    sizes = frame.abs().sum().sort_values(ascending=False, kind="stable")
    times = frame.index.to_numpy()
    lines = [
        Line(shortened(column, 30), times, frame[column].to_numpy(float), look)
        for column, look in zip(sizes.index, LOOKS)
    ]
    lines.append(Line("", times[[0, -1]], np.zeros(2), "rule"))
    named = ", ".join(shortened(column, 30) for column in sizes.index[: len(LOOKS)])
    return chart(
        lines,
        alt=f"What each row adds to the forecast, of the columns {named}.",
        y_label=f"what each row adds to the forecast{unit}",
        zero=True,
        height=220,
    )


def _importance(frame, unit: str) -> str:
    """The increase of the error by column, as bars."""
    if not len(frame):
        return ""
    part = frame.iloc[:MOST]
    top = float(np.nanmax(part["increase"])) if part["increase"].notna().any() else 0.0
    digits = digits_of([top], 3)
    rows = []
    for column, rise, spread in zip(part.index, part["increase"], part["spread"]):
        length = max(100 * rise / top, 0.0) if top > 0 and math.isfinite(rise) else 0.0
        bar = f'<span class="bar" aria-hidden="true"><i style="width:{length:.1f}%"></i></span>'
        rows.append([name(column, 50), bar, f"{number(rise, digits)} ± {number(spread, digits)}"])
    head = ["Column", "", f"{name(f'error grows by{unit}')}"]
    return table(head, rows, label="How much the error grows if a column comes from another time")


def _gates(frame) -> str:
    """Mean opening and saturation by layer and gate."""
    if not len(frame):
        return ""
    part = frame.iloc[:MOST]
    cells = numbers([100 * part[column] for column in ("mean", "below_0.1", "above_0.9")], 3)
    rows = [
        [f"{name(layer)}: {name(gate)}", *(f"{cell}\u00a0%" for cell in row)]
        for layer, gate, row in zip(part["layer"], part["gate"], cells)
    ]
    head = ["Gate", "open on average", "nearly shut", "wide open"]
    return table(head, rows, label="How far the gates open")


def _neighbours(held, unit: str) -> str:
    """What followed the nearest windows, beside the forecast; all from their last known value."""
    frame = held.neighbours
    if frame is None or not len(frame):
        return ""
    steps = np.arange(1, held.horizon + 1)
    lines = [Line("forecast", steps, np.asarray(held.forecast, float) - held.history[-1], "network")]
    looks = ("best", "thin other1", "thin other2")
    for (_, row), look in zip(frame.iloc[:SEEN].iterrows(), looks):
        values = row[list(steps)].to_numpy(float) - float(row[0])
        lines.append(Line(f"after {_day(row['to'])}", steps, values, look))
    lines.append(Line("", steps[[0, -1]], np.zeros(2), "rule"))
    drawn = chart(
        lines,
        alt="The forecast, and what followed the windows of the past that are most like this one.",
        y_label=f"change since the last known value{unit}",
        x_label="steps ahead",
        zero=True,
        height=220,
    )
    part = frame.iloc[:5]
    distances = [cell for (cell,) in numbers([part["distance"]], 3)]
    several = part["series"].nunique() > 1 or bool(held.series)
    rows = [
        [_day(begin), _day(end), distance, *([name(of)] if several else [])]
        for begin, end, distance, of in zip(part["from"], part["to"], distances, part["series"])
    ]
    head = ["From", "to", "distance", *(["series"] if several else [])]
    return drawn + "\n" + table(head, rows, label="The nearest windows of the past")


def _day(time) -> str:
    """A time without the clock at midnight; a row by its number."""
    shown = str(time)
    return shown.removesuffix(" 00:00:00") if not shown.isdigit() else f"row {shown}"
