"""The report of a model of sequences: a classifier, a tagger, a language model, pairs of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minirnn._version import __version__
from minirnn.inspect.report.closing import loss_curve, noted, parameters, typed
from minirnn.inspect.report.markup import name, pairs, paragraph, section, shortened, text
from minirnn.inspect.report.markup import sentence as set_sentence
from minirnn.inspect.report.page import header, page

# What the parameters of these models are called; those that are not here are called by their names.
CALLED = {
    "hidden_size": "hidden size H",
    "num_layers": "layers",
    "embedding_size": "embedding size E",
    "epochs": "epochs run",
    "best_epochs": "best epoch of each member",
    "ended": "training ended by",
}
# These stand in the chapter on how to repeat it.
REPEATED = {"version": "Version of minirnn", "seed": "Seed", "backend": "Backend", "devices": "Devices that trained"}


def report_html(
    title: str,
    sentence: str,
    tiles: Sequence[tuple[str, str, str]],
    chapters: Sequence[tuple[str, str, str]],
    *,
    about: str = "",
    model: Mapping[str, Any],
    history: Any = None,
    unit: str = "loss",
    data: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    command: str = "",
) -> str:
    """The report as the text of an HTML page. Equal arguments give equal pages: it holds no date.

    Args:
      title: of the page, plain.
      sentence: the verdict, plain.
      tiles: the figures to remember: name, value and note of each, plain.
      chapters: identity, plain heading and ready HTML of each; those without HTML are left out.
      about: the line below the title, plain.
      model: its parameters by name; of these ``version``, ``seed``, ``backend`` and ``devices`` say how to repeat it.
      history: of the training, see :func:`minirnn.inspect.report.closing.loss_curve`; None leaves its curve out.
      unit: what the loss is, such as "bits per character".
      data: name and value of what there is to say about the data, plain.
      notes: what was decided about the data, one sentence each.
      command: what was typed to get here.
    """
    heading = "<bdi>" + text(shortened(title, 200)) + "</bdi>"
    shown = [(set_sentence(what), set_sentence(value), set_sentence(how)) for what, value, how in tiles]
    top = header(heading, name(about, 300) if about else "", set_sentence(sentence), shown)
    held = [(name(what), name(value, 120)) for what, value in data]
    again = {"version": __version__, **model}
    items = [(called, name(again[key])) for key, called in REPEATED.items() if again.get(key) is not None]
    words = "The same version, seed, data and devices give the same numbers."
    trained = f"{loss_curve(history, unit)}<h3>Parameters</h3>\n{parameters(model, CALLED, REPEATED)}"
    decided = f"{pairs(held) if held else ''}<h3>Found, filled, repaired</h3>\n{noted(notes)}"
    ready = [
        *chapters,
        ("model", "The model and its training", trained),
        ("data", "What was decided about the data", decided),
        ("repeat", "How to repeat it", f"{typed(command)}{pairs(items)}{paragraph(words)}"),
    ]
    return page(
        shortened(title, 200),
        top,
        [(key, called, section(key, text(called), body)) for key, called, body in ready],
        f"minirnn {text(again['version'])}",
        styles=["sequences.css"],
    )
