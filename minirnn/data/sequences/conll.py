"""CoNLL column files: a token in each line, columns beside it, an empty line after each sentence. Read, and written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from minirnn.data.opening import text_of
from minirnn.data.sequences.texts import decoded, unix_lines
from minirnn.data.words import DataError, count, quoted

_START = "-DOCSTART-"
_BILOU = {"L": "E", "U": "S"}  # BILOU's letters for IOBES's
_MARKED = re.compile(r"([BIESLU])-(.+)", re.DOTALL)
FORMS = ("IOB2", "IOB1", "IOBES", "bare")


class Sentence(NamedTuple):
    """A sentence: its tokens, their tags in IOB2 if the file has them, and all columns as they stand in the file."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...] | None
    columns: tuple[tuple[str, ...], ...]  # a row for each token


@dataclass(frozen=True)
class Conll:
    """What a file holds.

    Args:
      sentences: of all documents, one after another.
      separator: what stands between columns, a tab or a blank.
      notes: what was found out, converted or left out, in sentences.
    """

    sentences: tuple[Sentence, ...]
    separator: str
    notes: tuple[str, ...] = ()

    def text(self, tags: Sequence[Sequence[str]] | None = None) -> str:
        """The same columns as a text, with these tags, where given, as one more column at the end.

        Raises:
          ValueError: there is not a tag for each token.
        """
        if tags is not None and [len(each) for each in tags] != [len(each.tokens) for each in self.sentences]:
            raise ValueError("tags must have one tag for each token of each sentence")
        lines = []
        for k, sentence in enumerate(self.sentences):
            for i, row in enumerate(sentence.columns):
                lines.append(self.separator.join(row if tags is None else (*row, tags[k][i])))
            lines.append("")
        return "".join(line + "\n" for line in lines)


def read_conll(
    path: str | os.PathLike[str],
    *,
    token: int = 0,
    tag: int | None = -1,
    form: str | None = None,
    comments: bool = False,
) -> Conll:
    """Reads a file of columns. See `parse_conll`; a file is UTF-8, packed by gzip or not.

    Raises:
      DataError: the file cannot be read; one line names it, the line in it and what was expected.
    """
    try:
        data = text_of(Path(path), form="text in UTF-8", content="lines with a token and its tag")
        return parse_conll(decoded(data), token=token, tag=tag, form=form, comments=comments)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def parse_conll(
    text: str, *, token: int = 0, tag: int | None = -1, form: str | None = None, comments: bool = False
) -> Conll:
    """The sentences of a text in columns. Tabs separate them if the first line has one, else blanks.

    Lines of "-DOCSTART-" are left out, and so are the comments of CoNLL-U: in files with tabs the lines that start with
    "# " and have none.

    Args:
      text: what the file holds.
      token: the column of the tokens, from 0 on, or from -1 backwards.
      tag: the column of the tags; None if there are none. A file with one column has none in any case.
      form: how the tags are written: "IOB2", "IOB1" ("B-" only between two spans of one type), "IOBES" (or BILOU), or
        "bare" (types without "B-" and "I-": neighbours of one type are one span). By default what the tags fit, IOB2
        first; a note says if it was another. Give "IOB2" to have an "I-" without its "B-" refused in any case.
      comments: leave out lines that start with "# " also where blanks separate the columns.

    Raises:
      DataError: a line has another number of columns than the first, or a tag that does not fit; it is named.

    >>> parse_conll("Ada B-PER\\nLovelace I-PER\\n\\nHello O\\n").sentences[0].tags
    ('B-PER', 'I-PER')
    """
    if form is not None and form not in FORMS:
        raise DataError(f"form must be one of {', '.join(map(repr, FORMS))}, got {quoted(form)}")
    lines = unix_lines(text).split("\n")
    separator = _separator(lines)
    notes: list[str] = []
    groups = list(_groups(lines, separator, comments, notes))
    if not groups:
        raise DataError("the file holds no sentence: lines with a token and its tag were expected")
    first_line, first = groups[0][0]
    width = len(first)
    for line, row in (each for group in groups for each in group):
        if len(row) != width:
            comment = " (a comment? then say so: comments=True)" if first[0] == "#" or row[0] == "#" else ""
            raise DataError(
                f"line {line}: {count(len(row), 'column')}, but the first line, {first_line}, has {width}{comment}"
            )
    at = _position(token, width, "token")
    tag_at = None if tag is None or width == 1 else _position(tag, width, "tag")
    if tag_at == at:
        raise DataError(f"column {at} cannot hold both the tokens and the tags: name another one")
    for line, row in (each for group in groups for each in group):
        if not row[at].strip():
            raise DataError(f"line {line}: the token is empty")
        if tag_at is not None and len(row[tag_at].split()) != 1:
            raise DataError(f"line {line}: {quoted(row[tag_at])} is no tag: a word without blanks was expected")
    tags: list[tuple[str, ...]] | None = None
    if tag_at is not None:
        tags = _converted([[(line, row[tag_at]) for line, row in group] for group in groups], form, notes)
    sentences = tuple(
        Sentence(tuple(row[at] for _, row in group), tags[k] if tags else None, tuple(row for _, row in group))
        for k, group in enumerate(groups)
    )
    return Conll(sentences, separator, tuple(notes))


# lines ------------------------------------------------------------------------------------------------


def _separator(lines: list[str]) -> str:
    """What separates the columns of the first line that is no comment."""
    full = [line for line in lines if line.strip() and not line.startswith(_START)]
    first = next((line for line in full if not line.startswith("# ")), full[0] if full else "")
    return "\t" if "\t" in first else " "


def _groups(
    lines: list[str], separator: str, comments: bool, notes: list[str]
) -> Iterator[list[tuple[int, tuple[str, ...]]]]:
    """The rows of each sentence with the numbers of their lines."""
    rows: list[tuple[int, tuple[str, ...]]] = []
    left_out = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("# ") and (comments or (separator == "\t" and "\t" not in line)):
            continue
        start = line.startswith(_START)
        left_out += start
        if start or not line.strip():
            if rows:
                yield rows
            rows = []
        elif separator == "\t":
            rows.append((number, tuple(line.split("\t"))))
        else:
            # Not at every kind of blank: a token may hold one that does not break.
            rows.append((number, tuple(re.split(r"[ \t]+", line.strip(" \t")))))
    if rows:
        yield rows
    if left_out:
        notes.append(f"Left out: {count(left_out, 'line')} of {_START}.")


def _position(column: int, width: int, what: str) -> int:
    if not -width <= column < width:
        raise DataError(f"column {column} was named for the {what}s, but the lines have {count(width, 'column')}")
    return column % width


# tags -------------------------------------------------------------------------------------------------

_Tags = list[list[tuple[int, str]]]  # of each sentence: the line, and the tag


def _converted(sentences: _Tags, form: str | None, notes: list[str]) -> list[tuple[str, ...]]:
    """The tags in IOB2."""
    form = form or _form(sentences)
    if form == "bare":
        result = [_of_types([(line, None, "" if tag == "O" else tag) for line, tag in each]) for each in sentences]
    else:
        to_iob2 = {"IOB1": _of_types, "IOB2": _of_iob2, "IOBES": _of_iobes}[form]
        result = [to_iob2([_parts(line, tag) for line, tag in each]) for each in sentences]
    if form != "IOB2":
        words = "types without 'B-' and 'I-'" if form == "bare" else form
        notes.append(f"The tags are {words}; they were converted to IOB2.")
    return result


_Part = tuple[int, str | None, str]  # line, mark or None, type ("" of "O")


def _form(sentences: _Tags) -> str:
    """The first form that the tags can be."""
    flat = [each for sentence in sentences for each in sentence if each[1] != "O"]
    marked = [_MARKED.fullmatch(tag) for _, tag in flat]
    if flat and not any(marked):
        wrong = next(((line, tag) for line, tag in flat if re.fullmatch(r"[A-Z]?-|-.*|[A-Z]-.*", tag)), None)
        if wrong and not re.fullmatch(r"-.+-", wrong[1]):  # "-LRB-" is a tag of words
            raise DataError(_unknown(*wrong))
        return "bare"
    marks = {match[1] for match in marked if match}
    if marks & set("ESLU"):
        return "IOBES"
    # IOB1 needs an "I-" that begins a span, and no "B-" that does not part two spans of one type.
    begins_inside = False
    for sentence in sentences:
        before = ""
        for line, tag in sentence:
            _, mark, type_ = _parts(line, tag)
            if mark == "B" and before != type_:
                return "IOB2"
            begins_inside |= mark == "I" and before != type_
            before = type_
    return "IOB1" if begins_inside else "IOB2"


def _parts(line: int, tag: str) -> _Part:
    if tag == "O":
        return line, None, ""
    match = _MARKED.fullmatch(tag)
    if not match:
        raise DataError(_unknown(line, tag))
    return line, _BILOU.get(match[1], match[1]), match[2]


def _unknown(line: int, tag: str) -> str:
    return f"line {line}: the tag {quoted(tag)} is none: 'O', 'B-' or 'I-' and a type were expected"


def _of_types(parts: list[_Part]) -> tuple[str, ...]:
    """Spans end where the type changes, or at a "B-" (IOB1)."""
    tags, before = [], ""
    for line, mark, type_ in parts:
        if mark not in (None, "B", "I"):
            raise DataError(f"line {line}: '{mark}-{type_}' is no tag of IOB1: 'O', 'B-' or 'I-' was expected")
        begins = mark == "B" or type_ != before
        tags.append(f"{'B' if begins else 'I'}-{type_}" if type_ else "O")
        before = type_
    return tuple(tags)


def _of_iob2(parts: list[_Part]) -> tuple[str, ...]:
    before = ""
    for line, mark, type_ in parts:
        if mark not in (None, "B", "I"):
            raise DataError(f"line {line}: '{mark}-{type_}' is no tag of IOB2: 'O', 'B-' or 'I-' was expected")
        if mark == "I" and type_ != before:
            tag = f"I-{type_}"
            raise DataError(f"line {line}: '{tag}' without a 'B-{type_}' before it: a span begins with 'B-{type_}'")
        before = type_
    return tuple(f"{mark}-{type_}" if mark else "O" for _, mark, type_ in parts)


def _of_iobes(parts: list[_Part]) -> tuple[str, ...]:
    """Each span is one "S-", or "B-", any number of "I-", and "E-"."""
    opened, last, tags = "", 0, []  # the type of the span that has not ended yet
    for line, mark, type_ in parts:
        goes_on = mark in ("I", "E")
        if (type_ if goes_on else "") != opened:
            tag = f"{mark}-{type_}" if mark else "O"
            expected = f"'I-{opened}' or 'E-{opened}' was expected" if opened else "no span of that type is open"
            raise DataError(f"line {line}: '{tag}' does not fit: {expected} (tags are read as IOBES)")
        tags.append(f"{'I' if goes_on else 'B'}-{type_}" if mark else "O")
        opened, last = (type_ if mark in ("B", "I") else ""), line
    if opened:
        raise DataError(f"line {last}: the sentence ends inside a span: 'E-{opened}' or 'S-{opened}' was expected")
    return tuple(tags)
