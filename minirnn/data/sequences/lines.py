"""Lines of text as they come in, from a file or a pipe, without waiting for the end."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, cast

from minirnn.data.opening import check_is_file
from minirnn.data.words import DataError


def read_lines(source: str | os.PathLike[str] | IO[Any] | None = None) -> Iterator[tuple[int, str]]:
    """The number of each line, from 1 on, and the line without its end; each as soon as it is there.

    Blank lines come too, so that answers stay beside their lines.

    Args:
        source: a file, packed by gzip or not; or a stream of bytes or text; None or "-" is the standard input.

    Raises:
        DataError: when the lines before it have been taken: there is no such file, a line is not UTF-8, or the gzip
            file is damaged.

    >>> import io
    >>> list(read_lines(io.BytesIO(b"one\\r\\n\\ntwo")))
    [(1, 'one'), (2, ''), (3, 'two')]
    """
    if source is None or source == "-":
        yield from _lines(getattr(sys.stdin, "buffer", sys.stdin), "standard input")
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            check_is_file(path)
            with path.open("rb") as file:
                packed = file.peek(2).startswith(b"\x1f\x8b")
                with gzip.open(file) if packed else nullcontext(file) as lines:
                    yield from _lines(cast(IO[Any], lines), str(path))
        except DataError as error:
            text = str(error)
            raise DataError(text if text.startswith(f"{path}: ") else f"{path}: {text}") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{path}: the gzip file is damaged or cut short ({error}): pack it again") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be opened: {error.strerror or error}") from None
    else:
        yield from _lines(source, str(getattr(source, "name", "the lines")))


def _lines(stream: IO[Any], title: str) -> Iterator[tuple[int, str]]:
    number = 0
    # readline, not iteration over the stream: a stream reads ahead when it is iterated over.
    while line := stream.readline():
        number += 1
        try:
            # What a stream of text could not decode, it hands over as surrogates.
            text = (line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line).decode("utf-8")
        except UnicodeError as error:
            byte = f"byte {error.object[error.start]:#04x}" if isinstance(error, UnicodeDecodeError) else "a surrogate"
            raise DataError(f"{title}: line {number}: {byte} is not UTF-8 text: save the file as UTF-8") from None
        if "\0" in text:
            raise DataError(f"{title}: line {number}: the file is binary: lines of text were expected")
        yield number, (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")
