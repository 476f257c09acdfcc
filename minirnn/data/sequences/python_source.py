"""Python source: the standard library's own as documents, and the tokens of any source as spans over its characters."""

from __future__ import annotations

import ast
import io
import itertools
import keyword
import os
import re
import sysconfig
import token as names
import tokenize
import warnings
from pathlib import Path

import numpy as np

from minirnn.data.sequences.spans import LabelSet, Span
from minirnn.data.sequences.texts import Document, unix_lines
from minirnn.data.words import DataError, quoted

TYPES = ("NAME", "KEYWORD", "NUMBER", "STRING", "COMMENT", "OPERATOR")
LABELS = LabelSet(TYPES)

_LEFT_OUT = {
    *("site-packages", "dist-packages", "__pycache__"),  # not the standard library's
    *("test", "tests", "idle_test"),  # a third of all, much of it data; and not there in many installations
    *("encodings", "pydoc_data"),  # generated: tables of characters that are near copies of each other, one long text
}
_GENERATED = "_sysconfigdata"  # how this Python was built, as one dictionary
_TYPES = {names.NUMBER: "NUMBER", names.STRING: "STRING", tokenize.COMMENT: "COMMENT", names.OP: "OPERATOR"}
# From Python 3.12 (t-strings: 3.14) on these strings come in pieces.
_OPEN = {getattr(names, name) for name in ("FSTRING_START", "TSTRING_START") if hasattr(names, name)}
_CLOSE = {getattr(names, name) for name in ("FSTRING_END", "TSTRING_END") if hasattr(names, name)}
_SPACE = {names.NEWLINE, names.INDENT, names.DEDENT, names.ENDMARKER, tokenize.NL}


def library(limit_bytes: int | None = None, seed: int = 0) -> list[Document]:
    """The source of the running Python's standard library, in the order of a shuffle.

    Left out are packages that were installed, the tests, the generated tables of `encodings`, and files that are not
    UTF-8 or not Python. Which files there are depends on the version of Python and on how it was installed.

    Args:
      limit_bytes: the most bytes (of UTF-8) of all documents; files that would exceed it are passed over.
      seed: of the shuffle.

    Raises:
      DataError: the source is not installed here, or no file is as small as the limit.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = _files_in(root)
    if not files:
        raise DataError(f"{root}: the standard library's source is not installed here: name text files instead")
    room = float("inf") if limit_bytes is None else limit_bytes
    documents = []
    for k in np.random.default_rng(seed).permutation(len(files)).tolist():
        if files[k].stat().st_size > room:
            continue
        text = _source(files[k])
        if text:
            documents.append(Document(files[k].relative_to(root).as_posix(), text))
            room -= len(text.encode())
            if limit_bytes and room < 0.001 * limit_bytes:
                break
    if not documents:
        raise DataError(f"limit_bytes is {limit_bytes:,}, but no file of the standard library is as small as that")
    return documents


def spans(text: str) -> list[Span]:
    """The tokens of Python source as spans over its characters, of the types in `TYPES`.

    Blanks and line ends are outside of all spans. Keywords are the reserved ones only: `match` and `type` are names. A
    string with expressions inside, as f"{x}", is one STRING. Lines must end in "\\n" (`texts.unix_lines`).

    Raises:
      DataError: the text is no Python; the message says in which line.

    >>> spans("if x:  # why\\n")[:2]
    [Span(start=0, stop=2, type='KEYWORD'), Span(start=3, stop=4, type='NAME')]
    """
    # io.StringIO ends lines as tokenize counts them: at "\n" only, whatever else str.splitlines takes for an end.
    lines = io.StringIO(text, newline="\n")
    starts = [0, *itertools.accumulate(map(len, lines))]
    lines.seek(0)
    found: list[Span] = []
    depth, opened, row = 0, 0, 1
    try:
        for kind, string, (row, column), (last, end), _ in tokenize.generate_tokens(lines.readline):
            if kind in _SPACE:
                continue
            if kind in _OPEN:
                depth += 1
                opened = starts[row - 1] + column if depth == 1 else opened
            elif kind in _CLOSE:
                depth -= 1
                if not depth:
                    found.append(Span(opened, starts[last - 1] + end, "STRING"))
            elif not depth:
                start, stop = starts[row - 1] + column, starts[last - 1] + end
                if not _is_python(kind, string) or text[start:stop] != string:
                    raise DataError(f"line {row}: {quoted(text[start:].split(maxsplit=1)[0])} is no Python")
                type_ = _TYPES.get(kind) or ("KEYWORD" if keyword.iskeyword(string) else "NAME")
                found.append(Span(start, stop, type_))
    except tokenize.TokenError as error:
        at = min(error.args[1][0], len(starts) - 1)  # the end of the text lies one line further
        raise DataError(f"line {at}: no Python: {error.args[0]}") from None
    except SyntaxError as error:
        raise DataError(f"line {error.lineno or row}: no Python: {error.msg}") from None
    except UnicodeError:
        half = re.search("[\ud800-\udfff]", text)
        at = text.count("\n", 0, half.start() if half else 0) + 1
        raise DataError(f"line {at}: no Python: it holds half of a character") from None
    return found


def _files_in(root: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        found += [Path(place, name) for name in files if name.endswith(".py") and not name.startswith(_GENERATED)]
    return sorted(found)


def _source(path: Path) -> str:
    """The text of a file, or an empty one if it is not UTF-8 or not Python. A parser is faster than `tokenize`."""
    try:
        text = unix_lines(path.read_bytes().decode("utf-8-sig"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (OSError, ValueError, SyntaxError):
        return ""
    return text


def _is_python(kind: int, string: str) -> bool:
    """Whether a token is one: from Python 3.12 on `tokenize` calls some that are none operators or names."""
    if kind == names.OP:
        return string in names.EXACT_TOKEN_TYPES
    return string.isidentifier() if kind == names.NAME else kind != names.ERRORTOKEN
