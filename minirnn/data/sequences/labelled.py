"""Sequences with one label each, texts or numbers; texts from files; training, validation and test parts.

Sequences of numbers come from `long_form` (files with a row for each step), `class_windows` (a series whose rows have
classes) and `events` (generated).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.cells import cells_of, full, named, naming
from minirnn.data.opening import title_of
from minirnn.data.sequences.parting import FRACTIONS, Parts, by_chance, by_time, checked, numbered_groups
from minirnn.data.words import DataError, count, listed, quoted, suggestion

LARGEST = float(np.finfo(np.float32).max)
"""Numbers beyond this, in either direction, are refused: sequences are float32."""


FORMS = ("texts", "sequences", "windows")


class Form(NamedTuple):
    """How examples were read from rows, so that rows without labels can be read in the same way.

    Args:
        kind: "texts", "sequences" (long form) or "windows".
        label: the column of labels.
        series: the column that tells sequences or series apart, or None.
        columns: those with numbers that are read; a window also holds its classes.
        window: the rows of a window; 0 where lengths are those of the sequences.
        frequency: of the rows of a window, or None.
    """

    kind: str
    label: str
    series: str | None = None
    columns: tuple[str, ...] = ()
    window: int = 0
    frequency: str | None = None

    @classmethod
    def of(cls, content: dict[str, Any]) -> Form:
        """From what JSON kept of it.

        Raises:
            ValueError: it is not one.
        """
        form = cls(**{**content, "columns": tuple(content["columns"])})
        names = (form.label, *form.columns, form.series or "", form.frequency or "")
        if form.kind not in FORMS or not all(isinstance(name, str) for name in names):
            raise ValueError("a form has a kind and names of columns")
        if type(form.window) is not int or form.window < (form.kind == "windows"):
            raise ValueError("the window of a form is a number of rows")
        return form


@dataclass(frozen=True, eq=False)
class Labelled:
    """Examples: either sequences of numbers or texts, each with a label.

    Args:
        labels: of each example.
        places: what each example came from: "line 7", "the sequence 'a'", "2012-01-08".
        sequences: float32 (T, D) for each example, T >= 1 of its own; NaN where the source holds no number.
        texts: of each example; one of `sequences` and `texts` is None.
        columns: what the D columns of the sequences are called.
        times: (n,) datetime64[us], when each example was labelled; None where there is no order in time.
        title: what the data is called.
        notes: one plain sentence for each thing that was found out or decided on the way in.
        form: how they were read; None where they came from no rows.
    """

    labels: list[str]
    places: list[str]
    sequences: list[np.ndarray] | None = None
    texts: list[str] | None = None
    columns: tuple[str, ...] = ()
    times: np.ndarray | None = None
    title: str = "data"
    notes: tuple[str, ...] = ()
    form: Form | None = None

    def __post_init__(self):
        if (self.sequences is None) == (self.texts is None):
            raise ValueError("either sequences or texts were expected, not both")
        sizes = {len(part) for part in (self.examples, self.labels, self.places)}
        if len(sizes) > 1 or (self.times is not None and len(self.times) not in sizes):
            raise ValueError("a label, a place and (if there are any) a time were expected for each example")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def examples(self) -> list:
        """The sequences, or the texts."""
        return (self.sequences if self.texts is None else self.texts) or []

    @property
    def classes(self) -> tuple[str, ...]:
        """The different labels, sorted."""
        return tuple(sorted(set(self.labels)))

    def numbers(self, classes: Sequence[str] | None = None) -> np.ndarray:
        """The label of each example as its position among the classes, int64 (n,).

        Raises:
            DataError: a label is none of the classes.
        """
        positions = {name: k for k, name in enumerate(self.classes if classes is None else classes)}
        for label, place in zip(self.labels, self.places):
            if label not in positions:
                raise DataError(
                    f"{place}: the label {quoted(label)} is none of the classes; "
                    f"{suggestion(label, positions)}they are {listed(positions)}"
                )
        return np.array([positions[label] for label in self.labels], dtype=np.int64)

    def take(self, which: Iterable[int]) -> Labelled:
        """Some of the examples, by number."""
        rows = [int(row) for row in which]

        def some(part):
            return None if part is None else [part[row] for row in rows]

        times = None if self.times is None else self.times[rows]
        labels, places = some(self.labels), some(self.places)
        sequences, texts = some(self.sequences), some(self.texts)
        return Labelled(labels, places, sequences, texts, self.columns, times, self.title, self.notes, self.form)


def read_texts(path: str | os.PathLike[str], text: str | None = None, label: str | None = None) -> Labelled:
    """Texts and their labels from two columns of a file with a header: CSV and its kin, or JSON lines.

    A text in quotation marks may hold delimiters and line ends; where tabs are the delimiter, quotation marks are
    letters like others. A label is whatever is not empty: "none" and "0" are labels.

    Args:
        path: UTF-8, packed by gzip or not.
        text: the column of texts; by default the one called "text".
        label: the column of labels; by default the one called "label".

    Raises:
        DataError: the file cannot be used; one line names the file, the line and what to do.
    """
    path = Path(path)
    with naming(path):
        cells = cells_of(path, literal_tabs=True)
        wanted = {"text": named(cells, text, "text"), "label": named(cells, label, "label")}
        if wanted["text"] == wanted["label"]:
            raise DataError(f"the column {wanted['text']!r} is named as text and as label: name two columns")
        texts, labels = (full(cells, name, what) for what, name in wanted.items())
        places = [f"line {line}" for line in cells.lines]
        others = [name for name in cells.names if name not in wanted.values()]
        notes = (f"Left out {listed(others, 8)}: only {listed(wanted.values())} are read.",) if others else ()
        form = Form("texts", wanted["label"])
        return Labelled(labels, places, texts=texts, title=title_of(path), notes=notes, form=form)


def split(labelled: Labelled, fractions: Sequence[float] = FRACTIONS, seed: int = 0, by: str | None = None) -> Parts:
    """Training, validation and test examples, by number.

    By chance ("random"), class by class, so that every class is in every part; equal examples stay in one part. By
    time ("time"), the earliest examples train and the latest test; examples of one time stay in one part, and a text
    that an earlier part holds already is left out.

    Args:
        labelled: the examples.
        fractions: for training, validation and test; a part with fraction 0 is empty.
        seed: of the shuffle.
        by: "random" or "time"; by default "time" where the examples have times.

    Raises:
        DataError: there is only one class; a class has fewer different examples than there are parts; the examples
            have no times, or not enough different ones.
    """
    by = by or ("random" if labelled.times is None else "time")
    checked(fractions)
    if by not in ("random", "time"):
        raise DataError(f'by is {quoted(by)}: "random" or "time" was expected')
    classes = labelled.classes
    if len(classes) < 2:
        held = f"all {len(labelled):,} examples have the label {classes[0]!r}" if classes else "there are no examples"
        raise DataError(f"{held}: at least two classes are needed")
    groups = numbered_groups(map(_key, labelled.examples))
    notes = []
    if by == "random":
        parts = by_chance(groups, fractions, seed, labelled.numbers(), classes)
        notes += _copies(groups, labelled)
        return parts._replace(notes=tuple(notes))
    if labelled.times is None:
        raise DataError('the examples have no times: split them by="random"')
    parts = by_time(labelled.times, fractions)
    if labelled.texts is not None:
        parts = _without_copies(parts, groups, notes)
    there = {labelled.labels[row] for row in parts.train}
    unseen = [name for name in classes if name not in there]
    if unseen:
        notes.append(f"No training example, before all the others in time, has the label {listed(unseen)}.")
    return parts._replace(notes=tuple(notes))


def _key(example: np.ndarray | str) -> object:
    return example if isinstance(example, str) else (example.shape, example.tobytes())


def _copies(groups: np.ndarray, labelled: Labelled) -> list[str]:
    """What is said of equal examples: how many there are, and whether their labels differ."""
    repeated = len(groups) - len(np.unique(groups))
    if not repeated:
        return []
    labels: dict[int, str] = {}
    odd = [
        row
        for row, group in enumerate(groups.tolist())
        if labels.setdefault(group, labelled.labels[row]) != labelled.labels[row]
    ]
    notes = [f"{count(repeated, 'example')} of {len(groups):,} repeat others; equal ones were kept in one part."]
    if odd:
        which = f"{len(odd):,} of them {'has' if len(odd) == 1 else 'have'} another label than the first one like it"
        notes.append(f"{which} (first {labelled.places[odd[0]]}).")
    return notes


def _without_copies(parts: Parts, groups: np.ndarray, notes: list[str]) -> Parts:
    """The parts without the examples that an earlier part holds already."""
    seen = np.zeros(int(groups.max(initial=-1)) + 1, dtype=bool)
    kept = []
    for part in parts[:3]:
        kept.append(part[~seen[groups[part]]])
        seen[groups[part]] = True
    dropped = sum(map(len, parts[:3])) - sum(map(len, kept))
    if dropped:
        notes.append(f"Left out {count(dropped, 'text')} that an earlier part holds already.")
    return Parts(*kept)
