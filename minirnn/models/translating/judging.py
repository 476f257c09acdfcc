"""How good an encoder-decoder is on pairs that it has not seen, beside copying and looking up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from minirnn.data.sequences.pairs import Pairs
from minirnn.models.context import Unsuitable
from minirnn.models.scores import texts as scores
from minirnn.models.sequences.evaluation import Evaluation
from minirnn.models.translating import codecs
from minirnn.models.translating.codecs import Codec
from minirnn.models.translating.neighbours import nearest
from minirnn.models.wording import title

EXACT, CER, CHRF, BLEU, MAE = "exact match", "character error rate", "chrF", "BLEU", "MAE"
LESS = (CER, MAE)
EXAMPLES = "examples"

Measure = Callable[[Sequence[str], Sequence[str]], float]


def judge(
    cell: str, source: Codec, target: Codec, train: Pairs, test: Pairs, written: Sequence[str], **about: Any
) -> Evaluation:
    """The scores of what the network writes for the test sources, and of simpler ways to answer.

    Args:
      cell: of the network.
      source: symbols of sources.
      target: symbols of targets.
      train: the training pairs.
      test: the test pairs.
      written: by the network, for each of them.
      about: further fields of the Evaluation.
    """
    rows = nearest([source.encode(text) for text in train.sources], [source.encode(text) for text in test.sources])
    found = {
        title(cell): list(written),
        "nearest source": [train.targets[row] for row in rows],
        "copied source": list(test.sources),
    }
    references = [target.plain(text) for text in test.targets]
    # All are scored in one spelling: the network writes 2.5 for 2.50, and blanks between words as they belong.
    found = {name: [_plain(target, text) for text in answers] for name, answers in found.items()}
    table = pd.DataFrame(
        {
            column: [score(answers, references) for answers in found.values()]
            for column, score in measures(isinstance(target, codecs.Numbers)).items()
        },
        index=list(found),
    )
    ranked_by = MAE if MAE in table else EXACT if table[EXACT].any() else CER
    return Evaluation(
        table,
        ranked_by,
        lower_is_better=ranked_by in LESS,
        sentence=_sentence(table, ranked_by),
        tables={EXAMPLES: _examples(test.sources, references, found[title(cell)])},
        **about,
    )


def measures(numbers: bool) -> dict[str, Measure]:
    """The measures of texts, or of numbers; BLEU where sacrebleu is installed."""
    if numbers:
        return {MAE: mean_absolute_error, EXACT: scores.exact_match}
    found: dict[str, Measure] = {EXACT: scores.exact_match, CER: scores.character_error_rate, CHRF: scores.chrf}
    try:
        scores.bleu(["a"], ["a"])
    except Unsuitable:
        return found
    return {**found, BLEU: scores.bleu}


def mean_absolute_error(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Of all numbers of the references; one that was not written counts as the last one that was, or as 0.

    >>> mean_absolute_error(["1 2"], ["1 3 3"])
    0.6666666666666666
    """
    total, numbers = 0.0, 0
    for prediction, reference in zip(predictions, references, strict=True):
        true, found = codecs.values_of(reference).astype(np.float64), codecs.values_of(prediction)
        found = np.append(found, np.full(max(0, len(true) - len(found)), found[-1] if len(found) else 0.0))
        total += float(np.abs(true - found[: len(true)]).sum())
        numbers += len(true)
    return total / numbers


def _plain(target: Codec, text: str) -> str:
    return target.plain(text) if text else ""


def _sentence(table: pd.DataFrame, ranked_by: str) -> str:
    """Who wins, and by how much."""
    own, others = str(table.index[0]), table[ranked_by].iloc[1:]
    best = str(others.idxmin() if ranked_by in LESS else others.idxmax())
    ours, theirs = float(table[ranked_by].iloc[0]), float(others[best])
    shares = ranked_by in (EXACT, CER)
    said, other = (f"{100 * value:.1f} %" if shares else f"{value:.4g}" for value in (ours, theirs))
    beats = ours < theirs if ranked_by in LESS else ours > theirs
    what = {
        EXACT: f"writes {said} of the unseen targets exactly",
        CER: f"writes no unseen target exactly; its character error rate is {said}",
        MAE: f"misses the numbers of unseen targets by {said} on average",
    }[ranked_by]
    text = f"The {own} {what}; the best simple answer, the {best}, {'gets' if ranked_by == EXACT else 'has'} {other}"
    return f"{text}." if beats else f"{text}: the network does not beat it; take the simpler one."


def _examples(
    sources: Sequence[str], references: Sequence[str], written: Sequence[str], most: int = 10
) -> pd.DataFrame:
    """Some of the test pairs and what was written: mistakes first."""
    order = sorted(range(len(sources)), key=lambda row: written[row] == references[row])[:most]
    columns = {"source": sources, "target": references, "written": written}
    return pd.DataFrame({name: [texts[row] for row in order] for name, texts in columns.items()})
