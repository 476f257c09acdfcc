"""The last chapters of the report: what was decided about the data, the model, and how to repeat it."""

from __future__ import annotations

from typing import Any

from minirnn._version import __version__
from minirnn.inspect.report.closing import loss_curve, noted, parameters, typed
from minirnn.inspect.report.markup import (
    name,
    pairs,
    paragraph,
    section,
    table,
    text,
)
from minirnn.inspect.report.subject import Subject

# What the parameters of a model are called; those that are not here are called by their names.
CALLED = {
    "cell": "cell",
    "hidden_size": "hidden size H",
    "num_layers": "layers",
    "window": "window (rows)",
    "horizon": "horizon (rows)",
    "season": "season (rows)",
    "ensemble": "members",
    "network_share": "share of the network",
    "epochs": "epochs run",
    "best_epochs": "best epoch of each member",
    "ended": "training ended by",
}
# These say how the training went or stand elsewhere in the report.
ELSEWHERE = {"version", "network_adds", "devices", "seed", "backend"}


# ---------------------------------------------------------------- data


def data(subject: Subject, identity: str, title: str) -> str:
    """Roles of the columns, splits with their dates, and the notes."""
    held, backtest = subject.table, subject.backtest
    roles = held.roles
    rows = len(held.values)
    step = f"one row each {subject.ahead(1)}" if held.frequency else "rows without times"
    step = step.replace("each 1 ", "each ")
    items = [("Source", name(subject.source or held.title or "rows handed over", 120))]
    items.append(("Rows", f"{rows:,}" + (f" of {held.series:,} series" if held.series > 1 else "") + f", {text(step)}"))
    for word, columns in (
        ("Forecast", roles.target),
        ("Known up to now", roles.past),
        ("Known ahead", roles.future),
        ("Of the series", roles.static),
    ):
        if columns:
            items.append(
                (word, ", ".join(map(name, columns[:20])) + (f" and {len(columns) - 20} more" * (len(columns) > 20)))
            )
    if held.date_column:
        items.append(("Times", f"column {name(held.date_column)}, frequency {text(held.frequency)}"))
    listed = noted([*held.notes, *subject.notes, *backtest.notes])
    return section(identity, title, pairs(items), _splits(backtest.splits), "<h3>Found, filled, repaired</h3>", listed)


def _splits(splits: dict[str, dict[str, Any]]) -> str:
    """The parts in time, as a bar and a table."""
    if not splits:
        return ""
    total = sum(part["rows"] for part in splits.values()) or 1
    bar = "".join(
        f'<i class="{text(key)}" style="flex-grow:{part["rows"] / total:.4f}"><span>{text(key)}</span></i>'
        for key, part in splits.items()
    )
    use = {
        "train": "fits the weights",
        "validation": "stops, chooses, calibrates",
        "test": "judges; its errors then calibrate the forecast too",
    }
    rows = [
        [
            text(key),
            text(part["start"]),
            text(part["end"]),
            f"{part['rows']:,}",
            f"{part['observed']:,}",
            use.get(key, ""),
        ]
        for key, part in splits.items()
    ]
    head = ["Part", "from", "to", "rows", "with all targets", "what it is for"]
    return f'<div class="splits" aria-hidden="true">{bar}</div>\n' + table(head, rows, label="Parts of the data")


# ---------------------------------------------------------------- model


def model(subject: Subject, identity: str, title: str) -> str:
    """Parameters, and loss and validation by epoch."""
    return section(
        identity,
        title,
        loss_curve(subject.history, "loss of the network (scaled)"),
        "<h3>Parameters</h3>",
        parameters(subject.backtest.model, CALLED, ELSEWHERE),
    )


# ---------------------------------------------------------------- repeat


def repeat(subject: Subject, identity: str, title: str) -> str:
    """The command, and what has to be the same."""
    about = subject.backtest.model
    items = [("Version of minirnn", text(about.get("version", __version__)))]
    for key, called in (("seed", "Seed"), ("backend", "Backend"), ("devices", "Devices that trained")):
        if about.get(key) is not None:
            items.append((called, text(about[key])))
    held = subject.table
    rows = f"{len(held.values):,} rows from {text(held.where(0))}"
    items.append(("Data", f"{name(subject.source or held.title or 'rows handed over', 120)}: {rows}"))
    words = "The same version, seed, data and devices give the same numbers."
    return section(identity, title, typed(subject.command), pairs(items), paragraph(words))


def footer(subject: Subject) -> str:
    """The last line of the page."""
    return f"minirnn {text(subject.backtest.model.get('version', __version__))}"
