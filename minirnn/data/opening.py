"""Files to bytes: what kind a file is by its first bytes, unpacked if it is gzip, text if it is UTF-8."""

from __future__ import annotations

import io
import os
import zlib
from gzip import BadGzipFile, GzipFile
from pathlib import Path

from minirnn.data.words import DataError

LARGEST_UNPACKED = 2**30
"""The most bytes that a gzip file may unpack to: a file of some kilobytes can be made to unpack to any number."""

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_BINARY = {
    b"PK\x03\x04": " (a workbook or zip archive)",
    b"BZh": " (bzip2)",
    b"\xfd7zXZ": " (xz)",
    b"\x28\xb5\x2f\xfd": " (zstandard)",
    _PARQUET: " (parquet)",
    _GZIP: " (gzip inside gzip)",
}


def is_parquet(path: Path) -> bool:
    """Whether a file is parquet, by its name or its first bytes; a file that cannot be opened is not."""
    if path.name.lower().endswith((".parquet", ".pq")):
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == _PARQUET
    except OSError:
        return False


def title_of(path: Path) -> str:
    """The name of a file without its endings: "load" of load.csv.gz."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    return os.path.splitext(name)[0] or path.stem


def check_is_file(path: Path) -> None:
    """Refuses paths that are no files, in words.

    Raises:
        DataError: there is no such file, it is a folder, or it cannot be looked at.
    """
    try:
        if path.is_dir():
            raise DataError("is a folder, not a file: name a file in it")
        path.stat()
    except FileNotFoundError:
        raise DataError("there is no such file: check the path") from None
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}") from None


def text_of(path: Path, form: str = "CSV", content: str = "a header line and rows of data") -> bytes:
    """The bytes of a text file, unpacked if they are gzip, and known to be UTF-8.

    Args:
        path: the file.
        form: what messages say that a file should be saved as.
        content: what they say that is expected in it.

    Raises:
        DataError: there is no such file, or it holds no text; the message says what it seems to hold.
    """
    check_is_file(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}") from None
    if data.startswith(_GZIP):
        data = _unpacked(data)
    empty = DataError(f"the file is empty: {content} were expected")
    if not data:
        raise empty
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the text is UTF-16: save it as UTF-8")
    if data[8:10] == b'{"' and b"\0" in data[:8]:
        raise DataError("the file is a saved model (safetensors), and no data: predict, explain and others take models")
    kind = next((words for start, words in _BINARY.items() if data.startswith(start)), None)
    if kind is not None or b"\0" in data:
        raise DataError(f"the file is binary{kind or ''}: save or unpack it as {form}")
    try:
        blank = not data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text: save the file as UTF-8"
        ) from None
    if blank:
        raise empty
    return data


def _unpacked(data: bytes) -> bytes:
    try:
        with GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(LARGEST_UNPACKED + 1)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the gzip file is damaged or cut short ({error}): copy or pack it again") from None
    if len(text) > LARGEST_UNPACKED:
        raise DataError(
            f"the gzip file unpacks to more than {LARGEST_UNPACKED / 2**20:,.0f} MiB: unpack it and take the part "
            "that matters"
        )
    return text
