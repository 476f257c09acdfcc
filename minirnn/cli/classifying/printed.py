"""What a person reads of a classifier: how it came to be, its scores, what it takes for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minirnn.cli import printing

if TYPE_CHECKING:
    from minirnn.cli.training import Trained

MOST_CLASSES = 12  # whose confusion is printed


def report(trained: Trained) -> list[str]:
    """Line by line."""
    from minirnn.models.classifying.judging import BY_CLASS, CONFUSION

    evaluation = trained.evaluation
    confusion = evaluation.tables[CONFUSION]
    lines = [
        f"data        {trained.inputs.source}",
        f"classes     {_classes(trained)}",
        *(f"{name:<11} {part_in_words(part)}" for name, part in evaluation.splits.items()),
        f"network     {network_in_words(trained)}",
        *printing.padding(evaluation.padding),
        *printing.notes(trained.notes),
        "",
        "scores on the test part",
        *printing.scores(evaluation.scores),
        "",
        evaluation.sentence,
        "",
        "scores of the network by class",
        *printing.scores(evaluation.tables[BY_CLASS]),
    ]
    if len(confusion) <= MOST_CLASSES:
        lines += ["", "true classes (rows), predicted classes (columns)", *printing.scores(confusion)]
    return lines


def _classes(trained: Trained) -> str:
    from minirnn.data.words import listed

    names = [str(name) for name in trained.model.classes_]
    return f"{len(names):,}: {listed(names, 8)}"


def part_in_words(part: dict[str, Any]) -> str:
    """How much a part holds, and from when to when."""
    from minirnn.data.words import count

    when = f", {part['start']} to {part['end']}" if "start" in part else ""
    return f"{count(part['examples'], 'example')}, {count(part['steps'], 'step')}{when}"


def network_in_words(trained: Trained) -> str:
    """What the network is, and how its training ended."""
    from minirnn.data.words import count
    from minirnn.models.wording import title

    about = trained.evaluation.model
    layers = f"{count(about['num_layers'], 'layer')} of {about['hidden_size']} units"
    both = " in each direction" if about["bidirectional"] else ""
    ended = printing.epochs(about)
    network = f"{title(about['cell'])}, {layers}{both}, {about['weights']:,} weights"
    return f"{network}; {ended}; temperature {about['temperature']:.2f}"
