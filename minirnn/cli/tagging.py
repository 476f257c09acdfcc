"""``minirnn predict`` with a model of ``minirnn tag``.

Sentences come as lines of columns, and go out as the same lines with the predicted tag as one more column: those of a
sentence as soon as the empty line after it is there. A text is a single sequence, whose last character may decide about
the ones before it: it is read to its end, and there is a line for each span.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minirnn.cli import places

_TOGETHER = 500  # sentences of a file that are tagged together
_BLANKS = re.compile(r"[ \t]+")


class Block(NamedTuple):
    """The lines up to the end of a sentence: those of its words, and others that are handed on as they are."""

    lines: list[str]
    tokens: list[str | None]  # of each line; None of one without a word


def predict(arguments: argparse.Namespace, model: Any) -> int:
    """Tags INPUT, or the standard input; returns the exit status."""
    from minirnn.data.sequences.lines import read_lines

    endings = (".jsonl", ".json") if arguments.json else (".tsv", ".txt", ".conll")
    source = arguments.data
    piped = source is None or source == "-"
    out = places.file(arguments.out, arguments.model, None if piped else source, endings=endings)
    lines = read_lines(None if piped else source)
    if model.unit_ == "characters":
        answers = _spans(lines, model, arguments.json)
    else:
        if piped and arguments.backend is None:  # a sentence at a time: NumPy has nothing to compile
            model.set_params(backend="readable")
        title = "standard input" if piped else str(source)
        answers = _sentences(lines, model, arguments.json, 1 if piped else _TOGETHER, title)
    places.put(answers, out)
    return 0


def _spans(lines: Iterator[tuple[int, str]], model: Any, as_json: bool) -> Iterator[str]:
    """``start``, ``stop``, ``type`` and the text of each span, as a JSON string, with tabs between them."""
    text = "".join(f"{line}\n" for _, line in lines)
    for start, stop, kind in model.predict([text])[0]:
        if as_json:
            yield _json({"start": start, "stop": stop, "type": kind, "text": text[start:stop]})
        else:
            yield f"{start}\t{stop}\t{kind}\t{json.dumps(text[start:stop], ensure_ascii=False)}\n"


def _sentences(lines: Iterator[tuple[int, str]], model: Any, as_json: bool, together: int, title: str) -> Iterator[str]:
    """Sentences with their tags."""
    waiting: list[Block] = []
    answer: Callable[[Block, list[str]], str] = _object if as_json else _columns
    for block in _blocks(lines, model.column_, title):
        waiting.append(block)
        if len(waiting) == together:
            yield from _answers(waiting, model, answer)
            waiting = []
    yield from _answers(waiting, model, answer)


def _answers(blocks: list[Block], model: Any, answer: Callable[[Block, list[str]], str]) -> Iterator[str]:
    words = [[token for token in block.tokens if token is not None] for block in blocks]
    for block, tags in zip(blocks, model.predict_tags(words)):
        yield answer(block, tags)


def _columns(block: Block, tags: list[str]) -> str:
    left = iter(tags)
    rows = []
    for line, token in zip(block.lines, block.tokens):
        separator = "\t" if "\t" in line else " "
        rows.append(f"{line}\n" if token is None else f"{line}{separator}{next(left)}\n")
    return "".join(rows)


def _object(block: Block, tags: list[str]) -> str:
    tokens = [token for token in block.tokens if token is not None]
    return _json({"tokens": tokens, "tags": tags}) if tokens else ""


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _blocks(lines: Iterator[tuple[int, str]], column: int, title: str) -> Iterator[Block]:
    """Lines up to each empty one.

    Raises:
      DataError: a line has another number of columns than the first one, or its token is empty.
    """
    from minirnn.data.words import DataError, count

    width, tabs, first = 0, False, 0
    block = Block([], [])
    for number, line in lines:
        empty = not line.strip()
        # The comments of CoNLL-U: where blanks separate the columns, a sign may be a word.
        comment = line.startswith("# ") and "\t" not in line and (tabs or not width)
        if empty or comment or line.startswith("-DOCSTART-"):
            block.lines.append(line)
            block.tokens.append(None)
            if empty:
                yield block
                block = Block([], [])
            continue
        if not width:
            tabs = "\t" in line
        cells = line.split("\t") if tabs else _BLANKS.split(line.strip(" \t"))
        if not width:
            width, first = len(cells), number
            if not -width <= column < width and width > 1:
                raise DataError(
                    f"{title}: line {number}: {count(width, 'column')}; the words of the training stood in column "
                    f"{column}, counted from 0: give as many columns, or the words alone"
                )
        if len(cells) != width:
            raise DataError(
                f"{title}: line {number}: {count(len(cells), 'column')}, but the first line, {first}, has {width}"
            )
        token = cells[column] if width > 1 else cells[0]
        if not token.strip():
            raise DataError(f"{title}: line {number}: the token is empty")
        block.lines.append(line)
        block.tokens.append(token)
    if block.lines:
        yield block
