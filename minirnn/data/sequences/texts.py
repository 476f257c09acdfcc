"""Text files and folders in, documents out; documents split into training, validation and test."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from minirnn.data.opening import check_is_file, text_of
from minirnn.data.words import DataError, count, listed

PATTERNS = ("*.txt", "*.md", "*.rst", "*.tex", "*.html", "*.py", "*.c", "*.h", "*.cpp", "*.java", "*.js", "*.rs")
"""Which files of a folder are taken for text."""

_TOLERANCE = 0.99  # the share of its characters at which a part is full: more would only look for tiny documents
_SHOWN = 5  # notes about single files; more are counted


class Document(NamedTuple):
    """A text, and what it is called."""

    name: str
    text: str


class Splits(NamedTuple):
    """The documents of each part; a part that was not asked for is empty."""

    train: list[Document]
    validation: list[Document]
    test: list[Document]


def read_texts(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], pattern: str | Sequence[str] = PATTERNS
) -> tuple[list[Document], tuple[str, ...]]:
    """The documents of text files, and of all text files in folders and their folders.

    Line ends become "\\n". Files are UTF-8, packed by gzip or not. Hidden files and folders are left out, links to
    folders are not followed, and a file that is met twice is read once.

    Args:
      paths: files and folders, one or several.
      pattern: which files of a folder are read, as "*.txt" or "docs/*.md"; one or several. Files that are named
        themselves are read whatever they are called.

    Returns:
      The documents, called by their paths, in the order of `paths` and then of the names; and notes: what was changed
      and left out.

    Raises:
      DataError: a named file cannot be read as text, or a folder holds no file that can.
    """
    patterns = (pattern,) if isinstance(pattern, str) else tuple(pattern)
    documents: list[Document] = []
    skipped: list[str] = []
    converted: list[str] = []
    seen: set[Path] = set()

    def read(path: Path) -> bool:
        if path.resolve() in seen:
            return True
        text = decoded(text_of(path, form="text in UTF-8", content="characters"))
        plain = unix_lines(text)
        if plain != text:
            converted.append(str(path))
        documents.append(Document(path.as_posix(), plain))
        seen.add(path.resolve())
        return True

    for path in [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(each) for each in paths]:
        if not path.is_dir():
            try:
                check_is_file(path)
                read(path)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
            continue
        inside = _files_in(path, patterns)
        before, some = len(skipped), False
        for file in inside:
            try:
                some |= read(file)
            except DataError as error:
                skipped.append(f"{file}: {error}")
        if not inside:
            raise DataError(f"{path}: the folder holds no file called {_either(patterns)}: name another one or a file")
        if not some:
            raise DataError(f"{path}: none of its {count(len(inside), 'file')} is text; the first: {skipped[before]}")
    if not documents:
        raise DataError("no texts were named: name files or folders")
    return documents, _notes(skipped, converted)


def decoded(data: bytes) -> str:
    """The text of bytes known to be UTF-8, without the mark that some editors put at its start."""
    return data.decode("utf-8-sig")


def unix_lines(text: str) -> str:
    """A text whose lines end in "\\n" only.

    >>> unix_lines("a\\r\\nb\\rc\\n")
    'a\\nb\\nc\\n'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def split(
    documents: Sequence[Document],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    least: int = 1,
) -> Splits:
    """Splits documents into training, validation and test: whole ones, and copies together: no text is in two parts.

    The documents are shuffled, equal ones as if they were one. Test and then validation take those that still fit into
    their share of the characters, or the smallest one if none does; the others are for training. Where there are fewer
    texts than parts, each one is cut by position, at the end of a line: its beginning is for training, its end for the
    test.

    Args:
      documents: what to split.
      fractions: shares of the characters of training, validation and test. A share of 0 leaves a part empty.
      seed: of the shuffle.
      least: the fewest characters that each part must have.

    Raises:
      DataError: fractions that are no shares, or a part that would be too short; the message says what is needed.
    """
    shares = np.asarray(fractions, np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or shares[0] == 0 or not np.isclose(shares.sum(), 1):
        raise DataError(f"fractions must be three shares that sum to 1, the first above 0; got {tuple(fractions)}")
    documents = [document for document in documents if document.text]
    total = sum(len(document.text) for document in documents)
    asked = shares > 0
    different = len({document.text for document in documents})
    parts = _cut(documents, shares) if different < asked.sum() else _dealt(documents, shares, seed)
    sizes = [sum(len(document.text) for document in part) for part in parts]
    if any(size < max(1, least) for size, wanted in zip(sizes, asked) if wanted):
        needed = int(np.ceil(max(1, least) / shares[asked].min()))
        raise DataError(
            f"too little text: {count(len(documents), 'document')} with {count(total, 'character')} "
            f"split into parts of {sizes[0]:,}, {sizes[1]:,} and {sizes[2]:,} characters, but each needs "
            f"{max(1, least):,}: give about {max(needed, total + 1):,} characters or more"
        )
    return parts


def _dealt(documents: list[Document], shares: np.ndarray, seed: int) -> Splits:
    """Whole documents, at least one for each part with a share; copies of one text stay together."""
    copies: dict[str, list[Document]] = {}
    for document in documents:
        copies.setdefault(document.text, []).append(document)
    groups = list(copies.values())
    sizes = [len(group) * len(group[0].text) for group in groups]
    order = np.random.default_rng(seed).permutation(len(groups)).tolist()
    total = sum(sizes)
    parts: dict[str, list[int]] = {}
    for name, share in (("test", shares[2]), ("validation", shares[1])):
        room, taken = share * total, []
        for k in order:
            if room <= (1 - _TOLERANCE) * share * total:
                break
            if sizes[k] <= room:
                taken.append(k)
                room -= sizes[k]
        if share and not taken:
            taken = [min(order, key=lambda k: sizes[k])]
        # Others must stay for the parts after this one, though many small documents may fit into its share.
        waiting = 1 if name == "validation" else 1 + (shares[1] > 0)
        taken = taken[: len(order) - waiting]
        order = [k for k in order if k not in set(taken)]
        parts[name] = taken
    whole = [[document for k in part for document in groups[k]] for part in (order, parts["validation"], parts["test"])]
    return Splits(*whole)


def _cut(documents: list[Document], shares: np.ndarray) -> Splits:
    """Each document cut at its shares, at the end of a line, or of a word where there are too few lines."""
    parts = Splits([], [], [])
    for name, text in documents:
        wanted = np.cumsum(shares)[:2] * len(text)
        for separator in ("\n", " ", ""):
            cuts = [0, *(_nearest(text, separator, round(cut)) for cut in wanted), len(text)]
            if all(b > a for a, b, share in zip(cuts, cuts[1:], shares) if share):
                break
        for part, start, stop, share in zip(parts, cuts, cuts[1:], shares):
            if share and stop > start:
                part.append(Document(name, text[start:stop]))
    return parts


def _nearest(text: str, separator: str, at: int) -> int:
    """The position after the separator that is nearest to a position; the start and the end count too."""
    if not separator or at >= len(text):
        return at
    before = text.rfind(separator, 0, at) + len(separator)
    after = text.find(separator, at)
    after = len(text) if after < 0 else after + len(separator)
    return before if at - before < after - at else after


def _files_in(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        inside = [PurePath(os.path.relpath(os.path.join(place, name), folder)) for name in names if name[0] != "."]
        found += [folder / name for name in inside if any(name.match(pattern) for pattern in patterns)]
    return sorted(found, key=lambda path: path.as_posix())


def _notes(skipped: list[str], converted: list[str]) -> tuple[str, ...]:
    notes = [f"Left out: {line}." for line in skipped[:_SHOWN]]
    if len(skipped) > _SHOWN:
        notes.append(f"Left out: {count(len(skipped) - _SHOWN, 'more file')} that cannot be read as text.")
    if converted:
        notes.append(f"Line ends were made '\\n' in {count(len(converted), 'file')}: {listed(converted, _SHOWN)}.")
    return tuple(notes)


def _either(patterns: Sequence[str]) -> str:
    return " or ".join(map(repr, patterns))
