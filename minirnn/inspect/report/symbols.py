"""Symbols that would not be seen, or that would turn what stands around them, made visible."""

from __future__ import annotations

import unicodedata

BLANKS = {"": "∅", " ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\xa0": "⍽"}
# They turn the direction of the text after them: source that holds them can read otherwise than it runs.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(symbol: str) -> str:
    """A symbol for an axis: blanks and what has no picture get a mark.

    >>> visible(" "), visible(""), visible("the"), visible(chr(0x200B)), visible("a b")
    ('␣', '∅', 'the', 'U+200B', 'a␣b')
    """
    symbol = str(symbol)
    return BLANKS[""] if not symbol else "".join(map(_marked, symbol))


def _marked(c: str) -> str:
    if c in BLANKS:
        return BLANKS[c]
    kind = unicodedata.category(c)
    if kind in ("Mn", "Me"):  # a mark that would sit on its neighbour
        return f"◌{c}"
    return f"U+{ord(c):04X}" if kind[0] in "CZ" else c


def upright(text: str) -> str:
    """The text, letter by letter, with U+FFFD for those that turn the direction of others; lengths stay."""
    return "".join("\ufffd" if c in TURNING else c for c in text)
