"""The report of a classifier as an HTML page."""

from __future__ import annotations

from minirnn.cli import printing
from minirnn.cli.classifying import printed
from minirnn.cli.training import Trained
from minirnn.inspect.report.markup import paragraph, text
from minirnn.inspect.report.matrices import confusion
from minirnn.inspect.report.scores import models_table, score_table
from minirnn.inspect.report.sequences import report_html
from minirnn.models.classifying.judging import BY_CLASS, CONFUSION, LOSS

LESS = (LOSS, "calibration error")
READING = (
    "Log loss: the mean negative logarithm of the probability of the true class, in nats; of a model that knows "
    "nothing of C classes it is log C.",
    "Macro F1: the mean of the F1 of the classes, rare ones like frequent ones.",
    "Calibration error: how far, on average, probabilities lie from how often they come true.",
)


def page(trained: Trained) -> str:
    """The text of the page."""
    evaluation = trained.evaluation
    scores, counts = evaluation.scores, evaluation.tables[CONFUSION]
    own, best = evaluation.network, str(evaluation.best_simple)
    tiles = [
        (called, f"{float(scores[name][own]):.3f}", f"{best}: {float(scores[name][best]):.3f}")
        for called, name in (("Log loss", LOSS), ("Accuracy", "accuracy"), ("Macro F1", "macro F1"))
    ]
    compared = models_table(scores, own=own, less=LESS, label="The network and simpler classifiers")
    chapters = [
        ("compared", "Beside simpler classifiers", compared + paragraph(*map(text, READING))),
        (
            "classes",
            "Class by class",
            score_table(evaluation.tables[BY_CLASS], first="class", label="Scores by class"),
        ),
        ("confusion", "What is taken for what", confusion(counts.to_numpy(), list(counts.index))),
    ]
    held = [("Source", trained.inputs.source), ("Classes", ", ".join(counts.index))]
    held += [(name.capitalize(), printed.part_in_words(part)) for name, part in evaluation.splits.items()]
    held += printing.padding_row(evaluation.padding)
    return report_html(
        f"Classes of {trained.inputs.data.title}",
        evaluation.sentence,
        tiles,
        chapters,
        about=printed.network_in_words(trained),
        model=evaluation.model,
        history=trained.model.history_,
        unit="log loss (nats)",
        data=held,
        notes=trained.notes,
        command=trained.command,
    )
