"""What the last chapters of every report share: the curve of the training, parameters, notes, the command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.inspect.report.charts import Band, Line, chart
from minirnn.inspect.report.markup import name, pairs, paragraph, shortened, text

NOTES = 40


def loss_curve(history: Any, unit: str) -> str:
    """Loss and validation by epoch; empty where there is no history.

    Args:
      history: with ``loss`` of epochs 1, 2, ..., ``validation`` of epochs 0, 1, 2, ... and ``best``, the epoch whose
        weights were kept; each a number, or a list of one number for each member.
      unit: what the loss is, such as "bits per character".
    """
    if history is None or not len(history.loss):
        return ""
    loss, validation = _by_member(history.loss), _by_member(history.validation)  # (epochs, K)
    epochs = np.arange(1, len(loss) + 1), np.arange(len(validation))
    best = np.atleast_1d(np.asarray(history.best, int))
    best = best[best < len(validation)]
    members = validation.shape[1]
    lines = [
        Line("validation", epochs[1], validation.mean(axis=1), "network"),
        Line("training", epochs[0], loss.mean(axis=1), "best"),
        Line("kept weights", best, validation[best, np.arange(len(best))], "network", dots=True),
    ]
    bands = [
        Band("", epochs[1], validation.min(axis=1), validation.max(axis=1), "level0"),
        Band("", epochs[0], loss.min(axis=1), loss.max(axis=1), "quiet"),
    ]
    spread = f", mean and range of {members} members" if members > 1 else ""
    return chart(
        lines,
        bands,
        alt=f"Loss by epoch: training and validation over {len(loss)} epochs.",
        caption=f"Loss by epoch{spread}",
        y_label=unit,
        x_label="epoch",
        height=220,
    )


def _by_member(values) -> np.ndarray:
    """(epochs, K), of one member where there is a number for each epoch; (0, 1) where there is none."""
    array = np.asarray(values, float)
    return array if array.ndim == 2 else array.reshape(-1, 1)


def parameters(about: Mapping[str, Any], called: Mapping[str, str], without: Collection[str] = ()) -> str:
    """The parameters of a model as a list; None and False are left out.

    Args:
      about: name to value, or to a dictionary of names and values.
      called: what names are called; those that are not in it are shown as they are.
      without: names that are left out.
    """
    items = []
    for key, value in about.items():
        if key in without or value is None or (isinstance(value, bool) and not value):
            continue
        shown = called.get(key, str(key).replace("_", " "))
        if isinstance(value, dict):
            items += [(text(f"{shown}: {inner.replace('_', ' ')}"), _value(each)) for inner, each in value.items()]
        else:
            items.append((text(shown), _value(value)))
    return f'<div class="many">{pairs(items)}</div>'


def _value(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return text(f"{value:.6g}")
    if isinstance(value, (list, tuple)):
        return text(
            shortened(", ".join(f"{each:.6g}" if isinstance(each, float) else str(each) for each in value) or "none")
        )
    return name(value)


def noted(notes: Sequence[str]) -> str:
    """What was decided, one sentence each, every one once."""
    notes = list(dict.fromkeys(notes))
    told = "".join(f"<li><bdi>{text(shortened(note, 600))}</bdi></li>" for note in notes[:NOTES])
    if len(notes) > NOTES:
        told += f"<li>{len(notes) - NOTES} more notes stand in metrics.json.</li>"
    return f'<ul class="notes">{told}</ul>' if told else paragraph("Nothing had to be repaired or filled.")


def typed(command: str) -> str:
    """The command; empty where there is none."""
    return f'<pre tabindex="0"><code>{text(command)}</code></pre>' if command else ""
