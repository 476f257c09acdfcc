"""What a person reads of a classifier: how it came to be, its scores, what it takes for what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minirnn.cli import printing

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.cli.training import Trained

MOST_CLASSES = 12  # whose confusion is printed
LONGEST = 24  # letters of a class that are printed


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
        *padding(evaluation.padding),
        *printing.notes(trained.notes),
        "",
        "scores on the test part",
        *aligned(evaluation.scores),
        "",
        evaluation.sentence,
        "",
        "scores of the network by class",
        *aligned(evaluation.tables[BY_CLASS]),
    ]
    if len(confusion) <= MOST_CLASSES:
        lines += ["", "true classes (rows), predicted classes (columns)", *aligned(confusion)]
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
    epochs = f"{count(about['epochs'], 'epoch')}, best {about['best_epochs'][0]}"
    return f"{title(about['cell'])}, {layers}{both}; {epochs}; temperature {about['temperature']:.2f}"


def padding(shares: tuple[float, float] | None) -> list[str]:
    """What buckets save, if sequences are of unequal length."""
    if shares is None:
        return []
    return [f"padding     {shares[0]:.1%} of the real steps, instead of {shares[1]:.1%} in mixed batches"]


def aligned(table: pd.DataFrame) -> list[str]:
    """A frame as text: counts as they are, shares and losses with three digits, nothing where there is no number."""
    columns = [["", *(short(name) for name in table.index)]]
    for name, values in table.items():
        whole = values.dtype.kind in "iu"
        cells = ["-" if value != value else f"{value:,}" if whole else f"{value:.3f}" for value in values]
        columns.append([short(name), *cells])
    widths = [max(map(len, column)) for column in columns]
    return [
        f"  {first:<{widths[0]}}" + "".join(f"  {cell:>{max(width, 5)}}" for cell, width in zip(cells, widths[1:]))
        for first, *cells in zip(*columns)
    ]


def short(name: object) -> str:
    """A name that fits into a table."""
    text = " ".join(str(name).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
