"""Scores of spans: the entities of a text, the tokens of a source. A span is right if start, stop and type all are.

As in conlleval (Tjong Kim Sang and De Meulder 2003): half a name found counts as a name missed and one too many. Spans
are ``(start, stop, type)``, a sequence of them for each document. What is not defined is 0, as in `labels`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minirnn.models.scores import labels
from minirnn.models.scores.labels import Rates

if TYPE_CHECKING:
    import pandas as pd

Spans = Sequence[tuple[int, int, str]]
"""The spans of one document."""


def _counts(true: Sequence[Spans], predicted: Sequence[Spans]) -> tuple[list[str], np.ndarray]:
    """The types in order, and (3, types): spans found rightly, predicted at all, truly there."""
    if len(true) != len(predicted):
        raise ValueError(f"{len(true):,} documents with true spans, but {len(predicted):,} with predicted ones")
    right: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for a, b in zip(true, predicted):
        wanted = {(start, stop, kind) for start, stop, kind in a}
        found = {(start, stop, kind) for start, stop, kind in b}
        there.update(kind for _, _, kind in wanted)
        claimed.update(kind for _, _, kind in found)
        right.update(kind for _, _, kind in wanted & found)
    types = sorted(there | claimed)
    counts = [[counter[kind] for kind in types] for counter in (right, claimed, there)]
    return types, np.array(counts, np.int64).reshape(3, len(types))


def _micro(counts: np.ndarray) -> tuple[float, float, float]:
    precision, recall, f1, _ = labels.rates(*counts.sum(axis=1))
    return float(precision), float(recall), float(f1)


def micro_f1(true: Sequence[Spans], predicted: Sequence[Spans]) -> float:
    """F1 over all spans, whatever their type: the one number of CoNLL; 0 where there are no spans at all.

    >>> micro_f1([[(0, 2, "PER"), (5, 6, "LOC")]], [[(0, 2, "PER"), (5, 7, "LOC")]])
    0.5
    """
    return _micro(_counts(true, predicted)[1])[2]


def table(true: Sequence[Spans], predicted: Sequence[Spans]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each type that occurs or is predicted, then three averages.

    The micro average counts all spans together, the macro average is the mean of the types, the weighted one their
    mean by support.
    """
    types, counts = _counts(true, predicted)
    each: Rates = labels.rates(*counts)
    macro, weighted = labels.averages(each, counts[1] + counts[2])
    return labels.frame(
        types, each, {"micro average": _micro(counts), "macro average": macro, "weighted average": weighted}
    )


def _joined(true, predicted) -> tuple[np.ndarray, np.ndarray]:
    """The tags of all documents in one line, after a look at their lengths."""
    if len(true) != len(predicted):
        raise ValueError(f"{len(true):,} documents with true tags, but {len(predicted):,} with predicted ones")
    for i, (a, b) in enumerate(zip(true, predicted)):
        if len(a) != len(b):
            raise ValueError(f"document {i} has {len(a):,} true tags, but {len(b):,} predicted ones")
    # Documents without a token say nothing, and an empty list would have the dtype of floats.
    full = [i for i, tags in enumerate(true) if len(tags)]
    if not full:
        raise ValueError("there is no token to score")
    return np.concatenate([true[i] for i in full]), np.concatenate([predicted[i] for i in full])


def token_accuracy(true: Sequence[np.ndarray], predicted: Sequence[np.ndarray]) -> float:
    """The part of the tokens whose tag is right; tags as integers, (T,) for each document."""
    return labels.accuracy(*_joined(true, predicted))


def token_table(true: Sequence[np.ndarray], predicted: Sequence[np.ndarray], names: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each tag, token by token: `labels.table` over all documents.

    Args:
      true, predicted: integers (T,) for each document.
      names: of the tags, in their order.
    """
    return labels.table(*_joined(true, predicted), names)
