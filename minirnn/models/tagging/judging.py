"""The verdict on a Tagger: spans found in the test part, beside the tags that a step's neighbours alone suggest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.sequences.spans import LabelSet, Span
from minirnn.data.sequences.tagged import TaggedSequences
from minirnn.data.words import count
from minirnn.models.scores import spans as scores
from minirnn.models.sequences.evaluation import Evaluation
from minirnn.models.simple.tags import NgramTagger
from minirnn.models.tagging import decoding
from minirnn.models.tagging.parts import Parts
from minirnn.models.wording import title

if TYPE_CHECKING:
    from minirnn.models.tagger import Tagger

BY_TYPE, BY_TAG = "spans by type", "steps by tag"
F1 = "F1"
NGRAM = 7  # characters that the baseline reads


def evaluate(model: Tagger, parts: Parts) -> Evaluation:
    """Scores of the network and of its baseline on the test part."""
    test, labels = parts.test, parts.test.labels
    true = test.spans()
    predicted = model.predict_labels(test.sequences)
    found = [labels.spans(each) for each in predicted]
    name = network_name(model)
    baseline, simple = _baseline(model, parts)
    rows = {name: _row(test, true, predicted, found)}
    rows[baseline] = _row(test, true, simple, [labels.spans(each) for each in simple])
    import pandas as pd

    frame = pd.DataFrame.from_dict(rows, orient="index")
    unknown = 100 * model.inputs_.unknown(test.sequences)
    notes = [f"{unknown:.2g} % of the {test.unit} of the test part were not known from training."] if unknown else []
    known = {*parts.train.sequences, *parts.validation.sequences}
    copies = sum(sequence in known for sequence in test.sequences)
    if copies:
        notes.append(
            f"{copies:,} of the {len(test):,} {_pieces(test)} of the test part stand word for word in the training or "
            "the validation part."
        )
    return Evaluation(
        scores=frame,
        ranked_by=F1,
        lower_is_better=False,
        sentence=_sentence(frame, test, sum(map(len, true)), copies),
        splits={part: _about(each) for part, each in parts._asdict().items()},
        tables={BY_TYPE: scores.table(true, found), BY_TAG: scores.token_table(test.tags, predicted, labels.labels)},
        model=model.about(),
        notes=tuple(notes),
        padding=model.padding_,
    )


def network_name(model: Tagger) -> str:
    """What the network is called in tables."""
    about = model.fitted_params_
    directions = "bidirectional" if about["bidirectional"] else "one direction"
    return f"{title(about['cell'])}, {directions}"


def _row(test: TaggedSequences, true: list, labels: list[np.ndarray], found: list[list[Span]]) -> dict[str, float]:
    averages = scores.table(true, found).to_dict("index")
    micro = averages["micro average"]
    return {
        F1: float(micro["f1"]),
        "precision": float(micro["precision"]),
        "recall": float(micro["recall"]),
        "macro F1": float(averages["macro average"]["f1"]),
        "accuracy": scores.token_accuracy(test.tags, labels),
    }


def _baseline(model: Tagger, parts: Parts) -> tuple[str, list[np.ndarray]]:
    """The most frequent tag of each step given its neighbours, from training and validation part; as valid tags."""
    encode = _symbols(model)
    known = [*parts.train.sequences, *parts.validation.sequences]
    tagger = NgramTagger(NGRAM if parts.test.unit == "characters" else 1)
    tagger.fit([encode(each) for each in known], [*parts.train.tags, *parts.validation.tags])
    predicted = tagger.predict([encode(each) for each in parts.test.sequences])
    name = tagger.title if tagger.n > 1 else "majority tag of each word"
    labels: LabelSet = parts.test.labels
    return name, decoding.nearest(predicted, labels)


def _symbols(model: Tagger) -> Any:
    """Sequences as integers: the symbols that the network has, or words as they stand."""
    from minirnn.models.tagging.inputs import Characters

    if isinstance(model.inputs_, Characters):
        return model.inputs_.vocabulary.encode
    numbers: dict[str, int] = {}
    return lambda words: np.array([numbers.setdefault(word, len(numbers)) for word in words], np.int64)


def _sentence(frame: Any, test: TaggedSequences, spans: int, copies: int) -> str:
    network, simple = frame[F1].iloc[0], frame[F1].iloc[1]
    name, other = frame.index
    unseen = "of the test part" if copies else "that no training has seen"
    where = f"on {count(len(test), _pieces(test)[:-1])} {unseen}, with {count(spans, 'span')}"
    if network > simple:
        return f"The {name} finds spans with an F1 of {network:.3f}, the {other} with {simple:.3f}, {where}."
    return (
        f"The {name} does not beat the {other}: their F1 is {network:.3f} and {simple:.3f}, {where}; take the simpler "
        "one, or train longer and on more text."
    )


def _pieces(data: TaggedSequences) -> str:
    return "texts" if data.unit == "characters" else "sentences"


def _about(part: TaggedSequences) -> dict[str, Any]:
    return {_pieces(part): len(part), part.unit: part.steps, "spans": sum(map(len, part.spans()))}
