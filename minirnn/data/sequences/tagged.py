"""Sequences with a tag for each step: texts with one for each character, sentences with one for each word."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from minirnn.data.sequences import python_source, texts
from minirnn.data.sequences.conll import Conll, read_conll
from minirnn.data.sequences.spans import LabelSet, Span
from minirnn.data.sequences.texts import Document
from minirnn.data.words import DataError, count, listed

UNITS = ("characters", "words")


@dataclass(frozen=True, eq=False)
class TaggedSequences:
    """Sequences and the tags of their steps.

    Args:
      sequences: a text each, or a tuple of words each.
      tags: of each sequence, integers (T,) of ``labels``.
      labels: the tags that there are.
      names: what each sequence is called.
      title: what all of them are called.
      column: where the words stand in the file that they came from, counted from 0.
      notes: one sentence for each thing that was found out or decided on the way in.
      test: further sequences, for the verdict alone; None if they are still to be put aside.
    """

    sequences: tuple[str | tuple[str, ...], ...]
    tags: tuple[np.ndarray, ...]
    labels: LabelSet
    names: tuple[str, ...]
    title: str = "data"
    column: int = 0
    notes: tuple[str, ...] = ()
    test: TaggedSequences | None = None

    def __post_init__(self):
        if not len(self.sequences) == len(self.tags) == len(self.names):
            raise ValueError("tags and a name were expected for each sequence")
        if len({isinstance(sequence, str) for sequence in self.sequences}) > 1:
            raise DataError("either texts or sequences of words were expected, not both")
        for sequence, tags, name in zip(self.sequences, self.tags, self.names):
            if len(sequence) != len(tags):
                raise DataError(f"{name}: {count(len(sequence), 'step')}, but {count(len(tags), 'tag')}")

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def unit(self) -> str:
        """What a step is: "characters" or "words"."""
        return "words" if self.sequences and not isinstance(self.sequences[0], str) else "characters"

    @property
    def steps(self) -> int:
        """Characters or words of all sequences together."""
        return sum(map(len, self.sequences))

    def spans(self) -> list[list[Span]]:
        """The spans of each sequence."""
        return [self.labels.spans(tags) for tags in self.tags]

    def some(self, chosen: Iterable[int]) -> TaggedSequences:
        """Some of the sequences, without the test."""
        chosen = list(chosen)
        return replace(
            self,
            sequences=tuple(self.sequences[k] for k in chosen),
            tags=tuple(self.tags[k] for k in chosen),
            names=tuple(self.names[k] for k in chosen),
            test=None,
        )

    def with_test(self, test: TaggedSequences) -> TaggedSequences:
        """The same with these sequences for the test.

        Raises:
          DataError: they are of another unit, or hold a type of spans that these do not have.
        """
        if test.unit != self.unit:
            raise DataError(f"{test.title}: holds {test.unit} with tags; {self.title} holds {self.unit}")
        unseen = [type_ for type_ in test.labels.types if type_ not in self.labels.types]
        if unseen:
            raise DataError(
                f"{test.title}: spans of the type {listed(unseen, 5)} do not occur in {self.title}, whose types are "
                f"{listed(self.labels.types)}: nothing could learn them"
            )
        tags = tuple(self.labels.encode(test.labels.decode(each)) for each in test.tags)
        return replace(self, test=replace(test, tags=tags, labels=self.labels))


def of_tags(
    sequences: Iterable[str | Sequence[str]], tags: Iterable[Sequence[str]], names: Sequence[str] | None = None
) -> TaggedSequences:
    """Texts or sequences of words, with the IOB2 tag of each of their steps.

    >>> of_tags([["Ada", "Lovelace", "wrote"]], [["B-PER", "I-PER", "O"]]).spans()
    [[Span(start=0, stop=2, type='PER')]]

    Raises:
      DataError: a tag is no IOB2 tag or stands where it cannot, or there is not one for each step.
    """
    plain = tuple(each if isinstance(each, str) else tuple(each) for each in sequences)
    lists = [list(each) for each in tags]
    names = tuple(names) if names is not None else tuple(f"sequence {k + 1}" for k in range(len(plain)))
    if not len(plain) == len(lists) == len(names):
        raise DataError(f"{count(len(plain), 'sequence')}, but tags of {count(len(lists), 'sequence')}")
    labels = LabelSet.of([tag for each in lists for tag in each])
    numbers = tuple(labels.encode(each) for each in lists)
    for name, each in zip(names, numbers):
        try:
            labels.bounds(each)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return TaggedSequences(plain, numbers, labels, names)


def of_sentences(found: Conll, title: str = "data", column: int = 0) -> TaggedSequences:
    """The sentences of a CoNLL file with their tags.

    Raises:
      DataError: it has no tags, or nothing but "O".
    """
    if any(sentence.tags is None for sentence in found.sentences):
        raise DataError(f"{title}: has one column; expected a token and its tag in each line")
    sentences = found.sentences
    names = [f"sentence {k + 1}" for k in range(len(sentences))]
    data = of_tags([each.tokens for each in sentences], [each.tags or () for each in sentences], names)
    if not data.labels.types:
        raise DataError(f"{title}: every tag is 'O'; expected spans: choose the column of the tags (--tag-column)")
    return replace(data, title=title, column=column, notes=found.notes)


def read_sentences(path: str | os.PathLike[str], token: int = 0, tag: int = -1) -> TaggedSequences:
    """The sentences of a CoNLL file; see :func:`minirnn.data.sequences.conll.read_conll`."""
    return of_sentences(read_conll(path, token=token, tag=tag), str(path), token)


def of_python(documents: Iterable[Document], title: str = "data", named: bool = True) -> TaggedSequences:
    """Python source, tagged by :func:`minirnn.data.sequences.python_source.spans`.

    Args:
      documents: the source.
      title: what they are called.
      named: whether one that is no Python is an error; otherwise it is left out, and a note says so.

    Raises:
      DataError: a document is no Python, or none of them is.
    """
    labels = python_source.LABELS
    kept: list[Document] = []
    tags: list[np.ndarray] = []
    wrong: list[str] = []
    seen: set[str] = set()
    copies: list[str] = []  # one in the training part would give away another one in the test part
    for document in documents:
        if document.text in seen:
            copies.append(document.name)
            continue
        seen.add(document.text)
        try:
            tags.append(labels.of_spans(len(document.text), python_source.spans(document.text)))
            kept.append(document)
        except DataError as error:
            if named:
                raise DataError(f"{document.name}: {error}") from None
            wrong.append(f"{document.name} ({error})")
    if not any(document.text for document in kept):
        raise DataError(f"{title}: holds no Python source" + (f": {wrong[0]}" if wrong else ""))
    notes = [f"Left out, since they are no Python: {listed(wrong, 3)}."] if wrong else []
    notes += [f"Left out, since they are copies of others: {listed(copies, 3)}."] if copies else []
    return TaggedSequences(
        tuple(document.text for document in kept),
        tuple(tags),
        labels,
        tuple(document.name for document in kept),
        title,
        notes=tuple(notes),
    )


def library(limit: int | None = None, seed: int = 0) -> TaggedSequences:
    """The standard library's own source, tagged; at most so many bytes of it."""
    documents = python_source.library(limit, seed)
    return of_python(documents, "the standard library's own source", named=False)


def read_python(path: str | os.PathLike[str], limit: int | None = None, seed: int = 0) -> TaggedSequences:
    """A file of Python source, or all of a folder, tagged.

    Args:
      path: of the file or folder.
      limit: at most so many characters: files of a folder are drawn until they are reached. A file is taken whole.
      seed: of the draw.

    Raises:
      DataError: there is no Python source; the message says why.
    """
    documents, notes = texts.read_texts(path, "*.py")
    folder = os.path.isdir(path)
    if folder and limit is not None:
        room, drawn = limit, []
        for k in np.random.default_rng(seed).permutation(len(documents)).tolist():
            if len(documents[k].text) <= room:
                drawn.append(documents[k])
                room -= len(documents[k].text)
        if not drawn:
            raise DataError(f"{path}: no file is as small as {count(limit, 'character')}: allow more (--limit)")
        documents = drawn
    data = of_python(documents, str(path), named=not folder)
    return replace(data, notes=(*notes, *data.notes))
