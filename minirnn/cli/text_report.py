"""What ``minirnn text`` says of a training: on the terminal, as a page, as a figure."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minirnn.cli.training import Trained
    from minirnn.models.language.explaining import Explanation
    from minirnn.models.language_model import LanguageModel

SHOWN, WRITTEN = 400, 1_500  # symbols of a sample, on the terminal and on the page
BEGUN = 160  # characters of a text that a sample goes on from
TEMPERATURE = 0.8


def report(trained: Trained) -> list[str]:
    """What is printed."""
    from minirnn.cli import printing

    evaluation = trained.evaluation
    lines = [f"data        {trained.inputs.source}", *(f"{name:<11} {held}" for name, held in _parts(trained))]
    lines.append(f"network     {_network(trained)}")
    lines += [*printing.notes(trained.notes), "", "scores on the test part", *printing.scores(evaluation.scores)]
    lines += ["", evaluation.sentence]
    explanation = _explanation(trained.model)
    if explanation is not None:
        lines += ["", *units(explanation)]
    name, begun, written = _sample(trained.model)
    lines += [
        "",
        f"what it writes (temperature {TEMPERATURE}) after the first lines of {name}, a text of the test part:",
        "",
    ]
    lines += [f"  > {line}" for line in begun.splitlines()]
    return lines + [f"    {line}" for line in written[:SHOWN].splitlines()]


def units(explanation: Explanation) -> list[str]:
    """Which units follow what, as lines."""
    table = explanation.units.astype({"layer": int, "unit": int})
    return [explanation.sentence, "", *_aligned(table), *(f"note        {line}" for line in explanation.notes)]


def _aligned(table) -> list[str]:
    return [f"  {line}" for line in table.to_string(float_format=lambda value: f"{value:.3f}").splitlines()]


def _parts(trained: Trained) -> list[tuple[str, str]]:
    from minirnn.data.words import count

    return [
        (
            name,
            f"{count(part['documents'], 'text')}, " + ", ".join(f"{n:,} {what}" for what, n in list(part.items())[1:]),
        )
        for name, part in trained.evaluation.splits.items()
    ]


def _network(trained: Trained) -> str:
    from minirnn.cli import printing

    about = trained.evaluation.model
    size = f"{about['weights']:,} weights, {about['symbols']:,} symbols"
    return f"{trained.evaluation.network}, {size}; {printing.epochs(about)}"


@functools.lru_cache(maxsize=1)
def _explanation(model: LanguageModel) -> Explanation | None:
    """What its units follow in the test part; None where that cannot be told."""
    from minirnn.data.words import DataError
    from minirnn.models.estimator import ParameterError

    try:
        return model.explain()
    except (DataError, ParameterError):
        return None


@functools.lru_cache(maxsize=1)
def _sample(model: LanguageModel) -> tuple[str, str, str]:
    """The name of a text that was not trained on, its first lines, and what the model writes after them."""
    name, text = model.parts_.test[0]
    begun = text[: text.rfind("\n", 0, BEGUN) + 1 or BEGUN]
    return name, begun, "".join(model.generate(begun, length=WRITTEN, temperature=TEMPERATURE, seed=model.seed))


def page(trained: Trained) -> str:
    """``report.html``."""
    from minirnn.inspect.report.markup import name, paragraph, text
    from minirnn.inspect.report.scores import models_table
    from minirnn.inspect.report.sequences import report_html
    from minirnn.inspect.report.symbols import upright

    evaluation, model = trained.evaluation, trained.model
    own, best = evaluation.scores.iloc[0], evaluation.scores.loc[evaluation.best_simple]
    tiles = [
        ("Bits per character", f"{own.iloc[0]:.3f}", "on texts that were not seen; 0 is always right"),
        (str(evaluation.best_simple), f"{best.iloc[0]:.3f}", "bits per character of the best simpler model"),
        ("Perplexity", f"{own.iloc[1]:.2f}", f"as if it chose among so many {model.unit} each time"),
    ]
    compared = models_table(
        evaluation.scores,
        own=evaluation.network,
        less=list(map(str, evaluation.scores.columns)),
        label="Scores on the test part",
    )
    called, begun, written = _sample(model)
    sample = f'<pre dir="ltr" tabindex="0"><b>{text(upright(begun))}</b>{text(upright(written))}</pre>'
    told = (
        f"After the first lines of a text of the test part, {name(called, 80)} (bold), at temperature {TEMPERATURE}: "
        "each symbol is drawn as the network believes."
    )
    explanation = _explanation(model)
    return report_html(
        f"A language model of {model.unit}",
        evaluation.sentence,
        tiles,
        [
            ("compared", "Beside simpler models", compared),
            ("sample", "What it writes", paragraph(told) + sample),
            ("units", "What single units follow", "" if explanation is None else _units(explanation)),
        ],
        about=_network(trained),
        model=evaluation.model,
        history=model.history_,
        unit=f"nats for each of the {model.unit}",
        data=[("Source", trained.inputs.source), *((name.capitalize(), held) for name, held in _parts(trained))],
        notes=trained.notes,
        command=trained.command,
    )


def _units(explanation: Explanation) -> str:
    """The table of units, and a passage coloured by each."""
    from minirnn.inspect.report.markup import name, number, paragraph, table, text
    from minirnn.inspect.report.texts import coloured_text

    rows = [
        [name(feature), f"{row['layer']:.0f}", f"{row['unit']:.0f}", number(float(row["correlation"]), 2)]
        for feature, row in explanation.units.iterrows()
    ]
    words = (
        "Each unit was chosen in one half of the test part; its correlation was measured in the other. Colours: blue "
        "below nought, orange above."
    )
    return "\n".join(
        [
            paragraph(text(explanation.sentence), words, *map(text, explanation.notes)),
            table(["feature", "layer", "unit", "correlation"], rows, label="Units and what they follow"),
            *(coloured_text(explanation.passage, each, title) for title, each in explanation.activity.items()),
        ]
    )


def figure(trained: Trained) -> Any:
    """``units.png``; None for a model whose units cannot be told."""
    explanation = _explanation(trained.model)
    return None if explanation is None else units_figure(explanation)


def units_figure(explanation: Explanation) -> Any:
    """What single units do along a passage."""
    from minirnn.inspect.figures_sequences import activity_figure

    return activity_figure(explanation.passage, explanation.activity, lines=14)
