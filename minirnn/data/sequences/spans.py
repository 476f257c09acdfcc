"""Spans of symbols and the tags that write them down, one for each symbol: IOB2, as texts and as integers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.data.words import DataError, listed, quoted, suggestion

ZERO = -1e6  # the logarithm that a probability of zero counts as in `decode`: finite, so that some sequence is left


class Span(NamedTuple):
    """The symbols start .. stop - 1, and what they are together."""

    start: int
    stop: int
    type: str


class Bounds(NamedTuple):
    """Many spans as arrays."""

    starts: np.ndarray  # (S,) the first symbol of each
    stops: np.ndarray  # (S,) the symbol after the last one
    types: np.ndarray  # (S,) positions in LabelSet.types


@dataclass(frozen=True)
class LabelSet:
    """The tags of some types of spans, each with its integer: "O" is 0, "B-" type k is 1 + 2k, "I-" type k is 2 + 2k.

    Args:
      types: the types, each once.

    Raises:
      DataError: a type stands there twice, or is no text that a tag can hold.

    >>> labels = LabelSet(("NAME", "STRING"))
    >>> labels.labels
    ('O', 'B-NAME', 'I-NAME', 'B-STRING', 'I-STRING')
    >>> labels.of_spans(5, [Span(0, 2, "NAME"), Span(3, 5, "STRING")])
    array([1, 2, 0, 3, 4], dtype=int32)
    """

    types: tuple[str, ...]

    def __post_init__(self):
        if not isinstance(self.types, tuple) or not all(isinstance(type_, str) for type_ in self.types):
            raise DataError("types must be a tuple of texts")
        for k, type_ in enumerate(self.types):
            if not type_ or type_ != "".join(type_.split()):
                raise DataError(f"{quoted(type_)} is no type of a span: it must have characters, but no blanks")
            if type_ in self.types[:k]:
                raise DataError(f"the type {quoted(type_)} stands there twice")

    @classmethod
    def of(cls, tags: Iterable[str]) -> LabelSet:
        """The labels of all types that occur among IOB2 tags, in the order of the alphabet."""
        return cls(tuple(sorted({_parts(tag, k)[1] for k, tag in enumerate(tags)} - {""})))

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The tags; the position of each is its integer."""
        return ("O", *(f"{mark}-{type_}" for type_ in self.types for mark in "BI"))

    @property
    def size(self) -> int:
        """The number of labels, L."""
        return 1 + 2 * len(self.types)

    @functools.cached_property
    def allowed(self) -> np.ndarray:
        """(L+1, L), boolean: whether label j may follow label i; the last row says with what a sequence may begin.

        "I-X" may only follow "B-X" or "I-X"; all others may stand anywhere.
        """
        table = np.ones((self.size + 1, self.size), bool)
        for inside in range(2, self.size, 2):
            table[:, inside] = False
            table[inside - 1 : inside + 1, inside] = True
        return table

    def encode(self, tags: Sequence[str]) -> np.ndarray:
        """The integers of tags, int32 (T,).

        Raises:
          DataError: a tag is not one of the labels; the message says where it stands.
        """
        numbers = self._numbers
        try:
            return np.fromiter(map(numbers.__getitem__, tags), np.int32, len(tags))
        except KeyError:
            at = next(k for k, tag in enumerate(tags) if tag not in numbers)
            raise DataError(
                f"tag {at + 1} of {len(tags)} is {quoted(tags[at])}: {suggestion(str(tags[at]), numbers)}"
                f"known are {listed(self.labels)}"
            ) from None

    def decode(self, labels: np.ndarray) -> list[str]:
        """The tags of integers (T,)."""
        names = self.labels
        return [names[k] for k in _labels(labels, self.size).tolist()]

    def of_spans(self, length: int, spans: Iterable[Span | tuple[int, int, str]]) -> np.ndarray:
        """The integers of a sequence of `length` symbols with these spans, int32 (T,). What no span holds is "O".

        Raises:
          DataError: a span is empty, overlaps another one, lies outside of the sequence, or has an unknown type.
        """
        spans = sorted(spans)
        known = {type_: k for k, type_ in enumerate(self.types)}
        for span in spans:
            if span[2] not in known:
                raise DataError(f"{_shown(span)}: {suggestion(span[2], known)}known types are {listed(known)}")
        starts = np.fromiter((span[0] for span in spans), np.int64, len(spans))
        stops = np.fromiter((span[1] for span in spans), np.int64, len(spans))
        types = np.fromiter((known[span[2]] for span in spans), np.int64, len(spans))
        _check(length, spans, starts, stops)
        # The label inside a span is added at its start and taken away again after its end.
        steps = np.zeros(length + 1, np.int32)
        inside = (2 + 2 * types).astype(np.int32)
        steps[starts] += inside
        steps[stops] -= inside  # stops differ, since spans do not overlap
        labels = np.cumsum(steps[:-1], dtype=np.int32)
        labels[starts] -= 1
        return labels

    def bounds(self, labels: np.ndarray, repair: bool = False) -> Bounds:
        """The spans of integers (T,), as arrays. See `spans`."""
        labels = _labels(labels, self.size)
        types = (labels - 1) // 2  # "O" is of no type: -1
        inside = (labels > 0) & (labels % 2 == 0)
        follows = np.zeros(len(labels), bool)  # the symbol before is of the same type
        follows[1:] = types[1:] == types[:-1]
        if not repair and (inside & ~follows).any():
            raise DataError(_without_start(int(np.argmax(inside & ~follows)), self.labels, labels))
        begins = (types >= 0) & ~(inside & follows)
        starts = np.flatnonzero(begins)
        # A span ends where another one begins, or where no span is.
        last = np.flatnonzero((types >= 0) & np.append(begins[1:] | (types[1:] < 0), True)[: len(labels)])
        return Bounds(starts, last + 1, types[starts])

    def spans(self, labels: np.ndarray, repair: bool = False) -> list[Span]:
        """The spans of integers (T,).

        Args:
          labels: integers of the labels.
          repair: let an "I-X" that follows neither "B-X" nor "I-X" begin a span, as conlleval does.

        Raises:
          DataError: there is such an "I-X", and `repair` is false.
        """
        starts, stops, types = (part.tolist() for part in self.bounds(labels, repair))
        return [Span(*each) for each in zip(starts, stops, [self.types[k] for k in types])]

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {tag: k for k, tag in enumerate(self.labels)}


def to_iob2(length: int, spans: Iterable[Span | tuple[int, int, str]]) -> list[str]:
    """The tags of a sequence of `length` symbols with these spans.

    >>> to_iob2(4, [Span(1, 3, "PER")])
    ['O', 'B-PER', 'I-PER', 'O']

    Raises:
      DataError: a span is empty, overlaps another one, or lies outside of the sequence.
    """
    spans = list(spans)
    labels = LabelSet(tuple(sorted({span[2] for span in spans})))
    return labels.decode(labels.of_spans(length, spans))


def from_iob2(tags: Sequence[str], repair: bool = False) -> list[Span]:
    """The spans of tags; `to_iob2` backwards. See `LabelSet.spans` for `repair`.

    >>> from_iob2(["O", "B-PER", "I-PER", "O"])
    [Span(start=1, stop=3, type='PER')]

    Raises:
      DataError: a tag is no IOB2 tag, or an "I-X" follows neither "B-X" nor "I-X", and `repair` is false.
    """
    labels = LabelSet.of(tags)
    return labels.spans(labels.encode(tags), repair)


def decode(log_probabilities: np.ndarray, allowed: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """The most probable of the sequences of labels that are allowed (the algorithm of Viterbi).

    With equal probabilities the smaller label is taken, from the end on backwards. A probability of zero counts as one
    of e^-1,000,000, so that there is an answer also where every allowed sequence has one.

    Args:
      log_probabilities: (T, L), or (T, B, L) for many sequences, of each label at each step; need not be normalised.
      allowed: (L+1, L), see `LabelSet.allowed`.
      lengths: (B,) of the sequences; what stands after them is not looked at.

    Returns:
      The labels, int32 (T,) or (T, B), 0 after the lengths.

    Raises:
      ValueError: shapes do not fit, or a log probability is NaN or plus infinity.

    >>> decode(np.log([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]), LabelSet(("X",)).allowed)  # I-X cannot follow O
    array([1, 2], dtype=int32)
    """
    scores = np.asarray(log_probabilities)
    if scores.ndim == 2 and lengths is None:
        return decode(scores[:, None], allowed)[:, 0]
    if scores.ndim != 3 or np.shape(allowed) != (scores.shape[2] + 1, scores.shape[2]):
        raise ValueError(
            f"log_probabilities must be (T, L), or (T, B, L), and allowed (L+1, L); got {scores.shape} and "
            f"{np.shape(allowed)}"
        )
    T, B, L = scores.shape
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or (B and not 0 <= lengths.min() <= lengths.max() <= T):
        raise ValueError(f"lengths must be ({B},), each from 0 to {T}")
    lives = np.arange(T)[:, None] < lengths  # (T, B)
    scores = np.where(lives[:, :, None], scores, 0).astype(np.float64)
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError("log_probabilities must be numbers or minus infinity")
    np.maximum(scores, ZERO, out=scores)
    barred = np.where(allowed, 0.0, -np.inf)
    into = np.ascontiguousarray(barred[:-1].T)  # (L to, L from)
    before = np.zeros((T, B, L), np.min_scalar_type(L))  # the best label before each label
    rows, columns = np.arange(B)[:, None], np.arange(L)[None, :]
    best = scores[0] + barred[-1] if T else np.zeros((B, L))  # of all sequences up to here that end in each label
    for t in range(1, T):
        through = best[:, None, :] + into  # (B, to, from)
        before[t] = chosen = through.argmax(axis=2)
        extended = through[rows, columns, chosen] + scores[t]
        best = np.where(lives[t][:, None], extended, best)
    labels = np.zeros((T, B), np.int32)
    label, each = best.argmax(axis=1), np.arange(B)
    for t in range(T - 1, -1, -1):
        labels[t] = np.where(lives[t], label, 0)
        label = np.where(lives[t], before[t, each, label], label)
    return labels


def _labels(labels: np.ndarray, size: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or (labels.size and not np.issubdtype(labels.dtype, np.integer)):
        raise ValueError(f"labels must be integers (T,), got {labels.dtype} {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < size:
        raise ValueError(f"labels must be 0 to {size - 1}, got {labels.min()} to {labels.max()}")
    return labels.astype(np.int64)


def _parts(tag: str, position: int) -> tuple[str, str]:
    """The mark and the type of an IOB2 tag."""
    if tag == "O":
        return "O", ""
    mark, _, type_ = tag.partition("-")
    if mark not in ("B", "I") or not type_:
        raise DataError(f"tag {position + 1} is {quoted(tag)}: 'O', 'B-' or 'I-' and a type were expected")
    return mark, type_


def _without_start(at: int, names: Sequence[str], labels: np.ndarray) -> str:
    tag = names[labels[at]]
    after = f"follows {names[labels[at - 1]]!r}" if at else "stands at the beginning"
    return f"tag {at + 1} of {len(labels)}, {tag!r}, {after}: only 'B-{tag[2:]}' or {tag!r} may precede it"


def _check(length: int, spans: Sequence, starts: np.ndarray, stops: np.ndarray) -> None:
    """Refuses spans, sorted by their starts, that no tags can write down."""
    for wrong, words in (
        (starts >= stops, "is empty"),
        ((starts < 0) | (stops > length), f"lies outside of a sequence of {length}"),
        (np.append(False, starts[1:] < stops[:-1])[: len(starts)], "overlaps the one before it"),
    ):
        if wrong.any():
            raise DataError(f"{_shown(spans[int(np.argmax(wrong))])} {words}")


def _shown(span: Sequence) -> str:
    return f"the span {span[0]} to {span[1]} of type {quoted(span[2])}"
