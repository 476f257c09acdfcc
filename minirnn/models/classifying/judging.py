"""How good a classifier is on sequences that it has not seen, beside simpler ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from minirnn.models.classifying.parts import Part
from minirnn.models.scores import labels as scores
from minirnn.models.sequences.evaluation import Evaluation
from minirnn.models.simple.classes import Majority, NaiveBayes, NearestNeighbour
from minirnn.models.verdict import skill_interval
from minirnn.models.wording import title

BY_CLASS, CONFUSION = "scores by class", "confusion"
LOSS = "log loss"


def judge(
    cell: str,
    classes: Sequence[str],
    parts: dict[str, Part],
    probabilities: np.ndarray,
    weights: np.ndarray,
    texts: bool,
    **about: Any,
) -> Evaluation:
    """The scores of the network and of simpler models on the test part.

    Args:
      cell: of the network.
      classes: names of the C classes.
      parts: "train", "validation" and "test"; sequences of numbers standardised and filled.
      probabilities: (n, C) of the test part, from the network.
      weights: (C,) what each class counts where a class is decided for: the same for all models, or those that decide
        for rare classes more often would have the better macro F1 for that alone.
      texts: whether the examples are texts.
      about: further fields of the Evaluation.
    """
    train, test = parts["train"], parts["test"]
    validation = (parts["validation"].examples, parts["validation"].labels)
    C, own = len(classes), title(cell)
    found = {own: probabilities}
    for model in (NaiveBayes() if texts else NearestNeighbour(), Majority()):
        model.fit(train.examples, train.labels, C, validation)
        found[model.title] = model.predict(test.examples)
    decided = {name: np.argmax(p * weights, axis=1) for name, p in found.items()}
    predicted = decided[own]
    table = pd.DataFrame(
        {
            LOSS: {name: scores.log_loss(test.labels, p) for name, p in found.items()},
            "accuracy": {name: scores.accuracy(test.labels, p) for name, p in decided.items()},
            "macro F1": {name: scores.macro_f1(test.labels, p, C) for name, p in decided.items()},
            "calibration error": {name: scores.calibration_error(test.labels, p) for name, p in found.items()},
        }
    ).loc[list(found)]
    counts = pd.DataFrame(scores.confusion(test.labels, predicted, C), index=list(classes), columns=list(classes))
    return Evaluation(
        table,
        LOSS,
        lower_is_better=True,
        sentence=_sentence(table, found, test),
        tables={BY_CLASS: scores.table(test.labels, predicted, list(classes)), CONFUSION: counts},
        splits={name: part.about for name, part in parts.items()},
        **about,
    )


def _sentence(table: pd.DataFrame, found: dict[str, np.ndarray], test: Part) -> str:
    """Who wins, by how much, and whether that is more than chance."""
    own, others = str(table.index[0]), table.iloc[1:]
    best = str(others[LOSS].idxmin())
    loss, other = float(table[LOSS][own]), float(table[LOSS][best])
    losses = [-np.log(np.clip(found[name][np.arange(len(test.labels)), test.labels], 1e-15, 1)) for name in (own, best)]
    when = np.arange(len(test.labels)) if test.times is None else test.times
    interval = skill_interval(losses[0], losses[1], when, 1)
    chance = interval is not None and interval.chance
    if loss >= other:
        return (
            f"The {own} does not beat the {best}: its log loss is {loss:.3f}, that of the {best} {other:.3f}; take the "
            "simpler one."
        )
    text = (
        f"The {own} beats the {best}: its log loss is {loss:.3f} instead of {other:.3f} ({1 - loss / other:.0%} less)"
    )
    if chance:
        text += ", a difference that may be chance on so few examples"
    f1, best_f1 = float(table["macro F1"][own]), float(others["macro F1"].max())
    if f1 < best_f1:
        text += f"; but its macro F1 is lower, {f1:.3f} instead of {best_f1:.3f}"
    return text + "."
