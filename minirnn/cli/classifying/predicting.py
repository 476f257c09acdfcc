"""``minirnn predict`` with a classifier: line in, line out for texts; a file of rows for sequences of numbers."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, note, places

if TYPE_CHECKING:
    import numpy as np

    from minirnn.models.classifier import Classifier


def run(arguments: argparse.Namespace, model: Classifier) -> int:
    """Answers; returns the exit status.

    Texts: a line of ``label,probability`` for each line, as soon as it is there; a blank line for a blank line.
    Numbers: a line of ``sequence,label,probability`` for each sequence of a file in long form, or for each series of a
    file of rows, whose label is that of the row after the last. With ``--json`` an object for each, with all
    probabilities.
    """
    out = places.file(
        arguments.out, arguments.model, arguments.data, endings=(".json", ".jsonl") if arguments.json else (".csv",)
    )
    if model.reads_texts:
        answers = _texts(arguments, model)
    else:
        answers = _numbers(arguments, model)
    places.put((f"{answer}\n" for answer in answers), out)
    return 0


def _texts(arguments: argparse.Namespace, model: Classifier) -> Iterator[str]:
    """An answer for each line, by NumPy unless JAX is asked for: it would compile for every length that comes."""
    from minirnn.data.sequences.lines import read_lines

    if arguments.backend is None:
        model.set_params(backend="readable")
    if str(arguments.data).endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        note(f"{arguments.data}: every line is read as a text, its commas and the first line too; give the texts alone")
    if not arguments.json:
        yield "label,probability"
    for _, line in read_lines(arguments.data):
        if not line.strip():
            yield json.dumps({"text": line, "label": None, "probabilities": None}) if arguments.json else ""
            continue
        probabilities = model.predict_proba([line])
        yield _answer(model, probabilities[0], arguments.json, {"text": line})


def _numbers(arguments: argparse.Namespace, model: Classifier) -> Iterator[str]:
    """An answer for each sequence of the file."""
    form = model.form_
    if form is None:
        raise UsageError(
            f"{arguments.model}: was fitted to arrays, not to a file; use Classifier.predict, or train with "
            "minirnn classify"
        )
    if arguments.data is None and sys.stdin.isatty():
        raise UsageError(f"a model of sequences of numbers reads a file: minirnn predict {arguments.model} FILE")
    with _file(arguments.data) as path:
        if form.kind == "windows":
            from minirnn.data.sequences.class_windows import read_latest

            sequences, names, notes = read_latest(path, form, [str(name) for name in model.classes_])
        else:
            from minirnn.data.sequences.long_form import read_sequences

            found = read_sequences(path, str(form.series), None, form.columns)
            sequences, names, notes = found.sequences or [], found.places, found.notes
        for line in notes:
            note(line)
    if not arguments.json:
        yield "sequence,label,probability"
    for name, probabilities in zip(names, model.predict_proba(sequences)):
        yield _answer(model, probabilities, arguments.json, {"sequence": name})


class _file:
    """The input as the path of a file: of the standard input a copy, whose name stands in no message."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Path:
        if self.name not in (None, "-"):
            return Path(str(self.name))
        self.folder = tempfile.TemporaryDirectory(prefix="minirnn-")
        self.path = Path(self.folder.name) / "rows.csv"
        self.path.write_bytes(sys.stdin.buffer.read())
        return self.path

    def __exit__(self, kind, error, trace) -> None:
        from minirnn.data.words import DataError

        if self.folder is None:
            return
        self.folder.cleanup()
        if isinstance(error, DataError):
            raise DataError(str(error).replace(str(self.path), "standard input")) from None


def _answer(model: Classifier, probabilities: np.ndarray, as_json: bool, about: dict[str, str]) -> str:
    """One line; ``about`` says what was asked."""
    chosen = int(model.decided(probabilities[None])[0])
    if as_json:
        each = {str(label): float(p) for label, p in zip(model.classes_, probabilities)}
        return json.dumps(
            {**about, "label": model.classes_[chosen].item(), "probabilities": each},
            allow_nan=False,
            ensure_ascii=False,
        )
    text = io.StringIO()
    cells = [about["sequence"]] if "sequence" in about else []
    csv.writer(text, lineterminator="").writerow([*cells, model.classes_[chosen], f"{probabilities[chosen]:.4f}"])
    return text.getvalue()
