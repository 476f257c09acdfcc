"""Pairs of sequences: what stands on the left is to become what stands on the right."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minirnn.data.cells import DELIMITERS, delimiter_of, is_json_lines, naming, objects_of, plain, rows_of
from minirnn.data.opening import text_of, title_of
from minirnn.data.sequences.parting import FRACTIONS, Parts, by_chance, joined, numbered_groups
from minirnn.data.words import DataError, count, listed, quoted, suggestion

HEADERS = (
    ("source", "target"),
    ("src", "tgt"),
    ("src", "trg"),
    ("input", "output"),
    ("from", "to"),
    ("question", "answer"),
    ("text", "translation"),
)
"""The pairs of names by which a first line is known to be a header, in any case."""

Columns = Sequence[str] | Sequence[int] | None

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of texts, none of them empty.

    Args:
        sources: the texts on the left.
        targets: the text on the right of each.
        places: what each pair came from: "line 7".
        names: what sources and targets are called.
        title: what the data is called.
        notes: one plain sentence for each thing that was found out or decided on the way in.
    """

    sources: list[str]
    targets: list[str]
    places: list[str]
    names: tuple[str, str] = ("source", "target")
    title: str = "pairs"
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if not len(self.sources) == len(self.targets) == len(self.places):
            raise ValueError("a target and a place were expected for each source")

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, which: Sequence[int] | np.ndarray) -> Pairs:
        """Some of the pairs, by number."""
        rows = [int(row) for row in which]
        sources, targets, places = ([part[row] for row in rows] for part in (self.sources, self.targets, self.places))
        return Pairs(sources, targets, places, self.names, self.title, self.notes)


def read_pairs(path: str | os.PathLike[str], columns: Columns = None) -> Pairs:
    """Pairs from two columns of a file: with tabs, as CSV and its kin, or as JSON lines.

    The first line is a header if `columns` names its columns, or if its cells are one of the pairs of `HEADERS`;
    otherwise it is a pair like all others. The delimiter is the tab if the first line holds one, else it is found from
    the first lines. Where it is the tab, quotation marks are letters like others; elsewhere a cell in quotation marks
    may hold delimiters and line ends. JSON lines need no header: the keys of the first line are the columns.

    Args:
        path: UTF-8, packed by gzip or not.
        columns: the names of the columns with sources and with targets, or their positions, from 1 on, in a file
            without a header; by default the only two.

    Raises:
        DataError: the file cannot be used; one line names the file, the line and what to do.
    """
    path = Path(path)
    with naming(path):
        wanted = _wanted(columns)
        data = text_of(path)
        names, rows, notes = _of_objects(data, wanted) if is_json_lines(data) else _of_rows(data, wanted)
        for line, pair in rows:
            for name, side in zip(names, pair):
                if not side:
                    raise DataError(f"line {line}: the {name} is empty: fill it in or delete the line")
        if not rows:
            raise DataError("there is a header but there are no pairs")
        sources, targets = ([pair[k] for _, pair in rows] for k in range(2))
        return Pairs(sources, targets, [f"line {line}" for line, _ in rows], names, title_of(path), tuple(notes))


def split(pairs: Pairs, fractions: Sequence[float] = FRACTIONS, seed: int = 0, by: str = "source") -> Parts:
    """Training, validation and test pairs, by number and by chance; pairs with one source are in one part.

    Args:
        pairs: the pairs.
        fractions: for training, validation and test; a part with fraction 0 is empty.
        seed: of the shuffle.
        by: "source": no source of one part is in another; "both": and no target of one part is in another.

    Raises:
        DataError: there are fewer different sources than parts.
    """
    groups = numbered_groups(pairs.sources)
    repeated = len(pairs) - len(set(pairs.sources))
    if by == "both":
        groups = joined(groups, numbered_groups(pairs.targets))
    elif by != "source":
        raise DataError(f'by is {quoted(by)}: "source" or "both" was expected')
    parts = by_chance(groups, fractions, seed)
    if not repeated:
        return parts
    return parts._replace(
        notes=(f"{count(repeated, 'pair')} of {len(pairs):,} repeat a source; equal sources were kept in one part.",)
    )


def numeric(pairs: Pairs) -> bool:
    """Whether every source and every target is a series: numbers with blanks between them.

    >>> numeric(Pairs(["1 2.5"], ["-3e2"], [""])), numeric(Pairs(["1 2.5"], ["three"], [""]))
    (True, False)
    """
    sides = (side for part in (pairs.sources, pairs.targets) for side in part)
    return len(pairs) > 0 and all(_NUMBER.fullmatch(word) for side in sides for word in side.split())


def to_numbers(pairs: Pairs) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sources and targets as series: float32 (T, 1) each.

    Raises:
        DataError: one holds anything but numbers, or one that is too large.

    >>> sources, targets = to_numbers(Pairs(["1 2.5"], ["-3e2"], [""]))
    >>> sources[0].tolist(), targets[0].tolist()
    ([[1.0], [2.5]], [[-300.0]])
    """
    largest = float(np.finfo(np.float32).max)
    found: list[list[np.ndarray]] = []
    for name, part in zip(pairs.names, (pairs.sources, pairs.targets)):
        found.append([])
        for side, place in zip(part, pairs.places):
            words = side.split()
            for word in words:
                if not _NUMBER.fullmatch(word) or abs(float(word)) > largest:
                    raise DataError(
                        f"{place}: the {name} holds {quoted(word)}: numbers with blanks between them were expected"
                    )
            found[-1].append(np.array([float(word) for word in words], dtype=np.float32)[:, None])
    return found[0], found[1]


# files --------------------------------------------------------------------------------------------

_Rows = tuple[tuple[str, str], list[tuple[int, tuple[str, str]]], list[str]]


def _wanted(columns: Columns) -> tuple[Any, Any] | None:
    if columns is None:
        return None
    given: tuple[Any, ...] = tuple(columns) if not isinstance(columns, str) else (columns,)
    same = set(map(type, given))
    if len(given) != 2 or len(set(given)) != 2 or same not in ({str}, {int}) or (same == {int} and min(given) < 1):
        raise DataError(f"columns {quoted(given)}: two different names, or two positions from 1 on, were expected")
    return given[0], given[1]


def _of_rows(data: bytes, wanted: tuple[Any, Any] | None) -> _Rows:
    """The names of the columns, and the line and the cells of each pair."""
    start = data[:200_000].decode("utf-8-sig", errors="ignore").lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if "\t" in start else delimiter_of(data)
    rows = [
        (line, [cell.strip() for cell in fields])
        for line, fields in rows_of(data, delimiter, quotes=delimiter != "\t")
        if any(map(str.strip, fields))
    ]
    line, first = rows[0]
    between = f"with a {DELIMITERS[delimiter]} between them"
    names, at = ("source", "target"), (0, 1)
    lower = [cell.lower() for cell in first]
    known = next(((a, b) for a, b in HEADERS if lower.count(a) == 1 and lower.count(b) == 1), None)
    if wanted is not None and isinstance(wanted[0], str):
        for name in wanted:
            if name not in first:
                raise DataError(
                    f"line {line}: there is no column {name!r} in the header; {suggestion(str(name), first)}"
                    f"it names {listed(first, 8)}"
                )
        names, at = (str(wanted[0]), str(wanted[1])), (first.index(wanted[0]), first.index(wanted[1]))
        rows, said = rows[1:], f"The first line is the header: {listed(names)}."
    elif wanted is not None:
        at = (int(wanted[0]) - 1, int(wanted[1]) - 1)
        if max(at) >= len(first):
            raise DataError(f"line {line}: there is no column {max(at) + 1}: the line has {count(len(first), 'cell')}")
        said = f"The columns {at[0] + 1} and {at[1] + 1} were read; the first line is a pair like all others."
    elif known:
        at = (lower.index(known[0]), lower.index(known[1]))
        names = (first[at[0]], first[at[1]])
        rows, said = rows[1:], f"The first line is the header: {listed(names)}."
    else:
        said = "The file has no header: the first line is a pair like all others."
        if len(first) != 2:
            advice = "say which columns to take" if len(first) > 2 else "write a tab between the two"
            raise DataError(f"line {line}: {count(len(first), 'cell')} where two were expected, {between}: {advice}")
    found = []
    for line, cells in rows:
        if len(cells) != len(first):
            raise DataError(
                f"line {line}: {count(len(cells), 'cell')} where {len(first)} were expected, {between}: "
                "correct or delete the line"
            )
        found.append((line, (cells[at[0]], cells[at[1]])))
    return names, found, [said]


def _of_objects(data: bytes, wanted: tuple[Any, Any] | None) -> _Rows:
    """The same of JSON lines; without names, the two keys of the first one, in the order of HEADERS or as written."""
    names: tuple[str, str] | None = None
    found = []
    for line, cells in objects_of(data):
        if names is None:
            names = _keys(cells, wanted, line)
        for name in names:
            if name not in cells:
                raise DataError(
                    f"line {line}: there is no {name!r} in {quoted(json.dumps(cells, ensure_ascii=False))}: "
                    f"every line needs {listed(names)}"
                )
        found.append((line, (plain(cells[names[0]], names[0], line), plain(cells[names[1]], names[1], line))))
    return names or ("source", "target"), found, [f"The pairs are {listed(names or ())} of each line."]


def _keys(cells: dict, wanted: tuple[Any, Any] | None, line: int) -> tuple[str, str]:
    if wanted is not None:
        if not isinstance(wanted[0], str):
            raise DataError(f"columns {quoted(wanted)}: JSON lines have names, not positions: {listed(cells, 8)}")
        return str(wanted[0]), str(wanted[1])
    lower = {name.lower(): name for name in cells}
    known = next(((lower[a], lower[b]) for a, b in HEADERS if a in lower and b in lower), None)
    if known is not None:
        return known
    if len(cells) != 2:
        raise DataError(
            f"line {line}: {count(len(cells), 'key')} where two were expected, {listed(cells, 8)}: say which two"
        )
    first, second = cells
    return first, second
