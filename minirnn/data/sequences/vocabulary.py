"""Symbols to integers and back: characters, words or bytes. 0 is the padding, 1 what the vocabulary does not know."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.data.words import quoted

PAD, UNKNOWN = 0, 1
SPECIAL = ("<pad>", "<unknown>")
UNITS = ("characters", "words", "bytes")

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BYTES = tuple(map(chr, range(256)))  # a byte is written as the character of the same number


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of texts, each with its integer: symbol k of the tuple is `len(special) + k`.

    Args:
      unit: what a symbol is: "characters", "words" (see `tokens`) or "bytes" (of UTF-8).
      symbols: the symbols; of bytes always all 256, each written as the character of the same number.
      special: names of the integers before the symbols. The first two are "<pad>" (0) and "<unknown>" (1); others,
        such as "<start>" and "<end>", may follow. No text encodes to them (only to "<unknown>").

    Raises:
      ValueError: the parts do not make a vocabulary.

    >>> vocabulary = Vocabulary.of(["abba", "cab"], "characters")
    >>> vocabulary.symbols, vocabulary.encode("bad")
    (('a', 'b', 'c'), array([3, 2, 1], dtype=int32))
    """

    unit: str
    symbols: tuple[str, ...]
    special: tuple[str, ...] = SPECIAL

    def __post_init__(self):
        if self.unit not in UNITS:
            raise ValueError(f"unit must be one of {', '.join(map(repr, UNITS))}, got {quoted(self.unit)}")
        for name in ("special", "symbols"):
            entries = getattr(self, name)
            if not isinstance(entries, tuple) or not all(isinstance(entry, str) for entry in entries):
                raise ValueError(f"the {name} of a vocabulary must be a tuple of texts")
            if len(set(entries)) < len(entries):
                double = next(entry for entry, times in Counter(entries).items() if times > 1)
                raise ValueError(f"the {name} of a vocabulary must differ: {quoted(double)} stands there twice")
        if self.special[:2] != SPECIAL or any(len(name) < 3 or name[0] + name[-1] != "<>" for name in self.special):
            raise ValueError(f"special must begin with {SPECIAL} and be names in angle brackets, got {self.special}")
        if self.unit == "bytes" and self.symbols != _BYTES:
            raise ValueError("a vocabulary of bytes must have all 256 of them in their order")
        for symbol in self.symbols:
            if not (self.unit == "bytes" or _is_symbol(symbol, self.unit)):
                raise ValueError(f"{quoted(symbol)} is not a symbol of a vocabulary of {self.unit}")

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        unit: str,
        *,
        special: Sequence[str] = SPECIAL,
        least: int = 1,
        most: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of some texts: the most frequent symbols first, equally frequent ones by code point.

        Args:
          texts: what the symbols are counted in.
          unit: "characters", "words" or "bytes".
          special: see `Vocabulary`.
          least: symbols that occur fewer times are unknown. All bytes are always known.
          most: the most symbols to keep; the rarer ones are unknown.
        """
        if unit == "bytes":
            return cls(unit, _BYTES, tuple(special))
        if unit == "words":
            times = Counter(word for text in texts for word in tokens(text, unit))
        else:
            codes, counts = np.unique(_codes("".join(texts)), return_counts=True)
            times = Counter(dict(zip(map(chr, codes.tolist()), counts.tolist())))
        kept = [symbol for symbol in times if times[symbol] >= least and _is_symbol(symbol, unit)]
        kept.sort(key=lambda symbol: (-times[symbol], symbol))
        return cls(unit, tuple(kept[:most]), tuple(special))

    @property
    def size(self) -> int:
        """The number of integers: of the symbols and of the special ones."""
        return len(self.special) + len(self.symbols)

    def index(self, symbol: str) -> int:
        """The integer of a symbol, or of a special one by its name; 1 if the vocabulary does not know it."""
        return self._numbers.get(symbol, UNKNOWN)

    def encode(self, text: str) -> np.ndarray:
        """The integers of a text, int32 (T,). Surrogates that stand alone are unknown, or three bytes."""
        if self.unit == "bytes":
            data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
            return data.astype(np.int32) + np.int32(len(self.special))
        if self.unit == "words":
            known = self._words
            return np.array([known.get(word, UNKNOWN) for word in tokens(text, "words")], np.int32)
        return self._by_code[np.minimum(_codes(text), len(self._by_code) - 1)]

    def decode(self, ids: Iterable[int] | np.ndarray) -> str:
        """The text of integers (T,): special ones are left out, but an unknown symbol is written as one.

        An unknown character is U+FFFD, an unknown word "<unknown>". Bytes that are not UTF-8 become U+FFFD. Words are
        joined by blanks, with no blank before a full stop or inside brackets and quotes.

        Raises:
          ValueError: an integer is not one of the vocabulary's.
        """
        numbers = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids))
        if numbers.ndim != 1 or (numbers.size and not np.issubdtype(numbers.dtype, np.integer)):
            raise ValueError(f"ids must be integers (T,), got {numbers.dtype} {numbers.shape}")
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < self.size:
            raise ValueError(f"ids must be 0 to {self.size - 1}, got {numbers.min()} to {numbers.max()}")
        shown = numbers[(numbers == UNKNOWN) | (numbers >= len(self.special))].astype(np.int64)
        if self.unit == "words":
            names = (*self.special, *self.symbols)
            return _joined([names[k] for k in shown.tolist()])
        if self.unit == "bytes":
            data = b"".join(self._as_bytes[k] for k in shown.tolist())
            return data.decode("utf-8", "replace")
        return self._codes_of_ids[shown].tobytes().decode("utf-32-le")

    def unknown_share(self, ids: np.ndarray) -> float:
        """The share of unknown symbols among integers of any shape, padding not counted."""
        ids = np.asarray(ids)
        return float((ids == UNKNOWN).sum() / max(1, (ids != PAD).sum()))

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, for the file of a model."""
        symbols = [] if self.unit == "bytes" else list(self.symbols)
        return {"unit": self.unit, "symbols": symbols, "special": list(self.special)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that `to_dict` wrote.

        Raises:
          ValueError: the content is not one.
        """
        if not isinstance(content, Mapping) or set(content) != {"unit", "symbols", "special"}:
            raise ValueError("a vocabulary has the entries 'unit', 'symbols' and 'special'")
        unit, symbols, special = content["unit"], content["symbols"], content["special"]
        if not isinstance(unit, str) or not isinstance(symbols, list) or not isinstance(special, list):
            raise ValueError("a vocabulary has a text 'unit' and lists 'symbols' and 'special'")
        if unit == "bytes" and symbols:
            raise ValueError("a vocabulary of bytes lists no symbols")
        return cls(unit, _BYTES if unit == "bytes" else tuple(symbols), tuple(special))

    @functools.cached_property
    def _words(self) -> dict[str, int]:
        return {symbol: k for k, symbol in enumerate(self.symbols, len(self.special))}

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.special)} | self._words

    @functools.cached_property
    def _by_code(self) -> np.ndarray:
        """The integer of each code point up to the last known one, and after these one entry for all others."""
        codes = [ord(symbol) for symbol in self.symbols]
        table = np.full(max(codes, default=-1) + 2, UNKNOWN, np.int32)
        table[codes] = np.arange(len(codes), dtype=np.int32) + len(self.special)
        return table

    @functools.cached_property
    def _codes_of_ids(self) -> np.ndarray:
        return np.array([ord(_REPLACEMENT)] * len(self.special) + [ord(symbol) for symbol in self.symbols], "<u4")

    @functools.cached_property
    def _as_bytes(self) -> list[bytes]:
        return [_REPLACEMENT.encode()] * len(self.special) + [bytes([k]) for k in range(256)]


def tokens(text: str, unit: str) -> list[str]:
    """The symbols of a text, in their order.

    Words are runs of letters and digits (with the marks that belong to them, and with apostrophes and hyphens inside),
    and every other visible character by itself. Bytes are written as the characters of the same number.

    >>> tokens("Don't stop (re-read it)!", "words")
    ["Don't", 'stop', '(', 're-read', 'it', ')', '!']
    """
    if unit == "words":
        return _words_and_signs().findall(text)
    if unit == "bytes":
        return list(text.encode("utf-8", "surrogatepass").decode("latin-1"))
    return list(text)


@functools.cache
def _words_and_signs() -> re.Pattern[str]:
    """The form of a word or sign. Letters of many scripts carry marks, which Python's \\w does not know."""
    ranges: list[list[int]] = []
    for code in range(0x300, sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    letters = rf"[^\W_]+(?:[{marks}]+[^\W_]*)*"
    return re.compile(rf"{letters}(?:['’‐-]{letters})*|\S")


def _joined(words: list[str]) -> str:
    """Words with blanks between them, except where a reader expects none. Straight quotes open and close in turn."""
    parts: list[str] = []
    glued, open_quote = True, False  # whether the next word follows without a blank
    for word in words:
        closes = word in ".,;:!?)]}%…”’»" or (word == '"' and open_quote)
        parts.append(word if glued or closes else " " + word)
        if word == '"':
            open_quote = not open_quote
        glued = word in "([{“‘«" or (word == '"' and open_quote)
    return "".join(parts)


def _is_symbol(symbol: str, unit: str) -> bool:
    if not symbol or any("\ud800" <= character <= "\udfff" for character in symbol):
        return False  # half a character: no file could hold it
    return len(symbol) == 1 if unit == "characters" else not re.search(r"\s", symbol)


def _codes(text: str) -> np.ndarray:
    """The code points of a text, (T,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
