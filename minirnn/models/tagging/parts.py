"""Training, validation and test parts of tagged sequences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from minirnn.data.sequences import texts
from minirnn.data.sequences.tagged import TaggedSequences
from minirnn.data.sequences.texts import Document
from minirnn.data.words import DataError, count


class Parts(NamedTuple):
    """The sequences of each part; ``test`` is empty where none was asked for."""

    train: TaggedSequences
    validation: TaggedSequences
    test: TaggedSequences


def split(data: TaggedSequences, validation: float, test: float, seed: int) -> Parts:
    """Cuts off a validation part, and a test part unless the data bring one.

    Texts are drawn whole (:func:`minirnn.data.sequences.texts.split`); fewer than there are parts are cut at line ends.
    Sentences stay in their order: the last ones are for the test, those before them for validation, because neighbours
    are often of one document, and say the same names.

    Args:
      data: all sequences; empty ones are left out.
      validation: share of the characters, or of the sentences.
      test: likewise; counts for nothing where the data bring a test part.
      seed: of the draw of texts.

    Raises:
      DataError: there are too few of them.
    """
    full = data.some(k for k, sequence in enumerate(data.sequences) if len(sequence))
    if not len(full):
        raise DataError("there is nothing to learn from: every sequence is empty")
    share = 0.0 if data.test is not None else test
    if data.unit == "words":
        found = Parts(*map(full.some, _blocks(len(full), validation, share)))
    else:
        documents = [Document(str(k), text) for k, text in enumerate(full.sequences) if isinstance(text, str)]
        parts = texts.split(documents, (1 - validation - share, validation, share), seed)
        used: dict[int, int] = {}
        found = Parts(*(_pieces(full, part, used) for part in parts))
    return found if data.test is None else found._replace(test=data.test)


def _blocks(n: int, validation: float, test: float) -> tuple[range, range, range]:
    """The sentences of each part."""
    ends = max(1, round(validation * n)), max(1, round(test * n)) if test else 0
    first = n - sum(ends)
    if first < 1:
        raise DataError(f"{count(n, 'sentence')}; expected at least {2 + bool(test)}, one for each part, better 1,000")
    return range(first), range(first, n - ends[1]), range(n - ends[1], n)


def _pieces(data: TaggedSequences, documents: Iterable[Document], used: dict[int, int]) -> TaggedSequences:
    """Whole texts, or the next pieces of them; ``used`` says how much of each the parts before have taken."""
    sequences, tags, names = [], [], []
    for document in documents:
        k = int(document.name)
        start = used.get(k, 0)
        used[k] = start + len(document.text)
        sequences.append(document.text)
        tags.append(_begun(data.tags[k][start : used[k]]))
        names.append(data.names[k])
    return replace(data, sequences=tuple(sequences), tags=tuple(tags), names=tuple(names), test=None)


def _begun(tags: np.ndarray) -> np.ndarray:
    """Tags that may begin inside of a span: what is left of it becomes a span."""
    if len(tags) and tags[0] and tags[0] % 2 == 0:
        tags = tags.copy()
        tags[0] -= 1
    return tags
