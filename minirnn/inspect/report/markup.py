"""Pieces of HTML for the report: escaped texts, numbers, tables. Whatever comes from the data passes through here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

LONGEST = 80  # letters of a name that are shown


def sentence(value: object) -> str:
    """A sentence of ours, escaped; numbers stay on one line with their percent sign."""
    return text(value).replace(" %", "\u00a0%")


def plain(value: object) -> str:
    """A text that HTML may hold: what is no character (control codes, halves of surrogate pairs) becomes U+FFFD."""
    return "".join(
        "\ufffd" if (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 else c
        for c in str(value)
    )


def text(value: object) -> str:
    """A text or attribute, escaped.

    >>> text('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(plain(value))


def shortened(value: object, longest: int = LONGEST) -> str:
    """The text on one line, not longer than that.

    >>> shortened("a" * 9, 5)
    'aaaa…'
    """
    line = " ".join(plain(value).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def name(value: object, longest: int = LONGEST) -> str:
    """A name from the data: shortened, and isolated, so that one written from right to left turns nothing around it."""
    whole, shown = plain(value), shortened(value, longest)
    title = f' title="{escape(whole[:500])}"' if shown != whole else ""
    return f"<bdi{title}>{escape(shown)}</bdi>"


def digits_of(values: Iterable[float | None], significant: int = 4) -> int:
    """Digits after the point that show the smallest of these numbers with so many significant ones; at most 12.

    >>> digits_of([2.7034, 37.2]), digits_of([None, 12345.6]), digits_of([])
    (3, 0, 2)
    """
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value != 0]
    if not sizes:
        return max(significant - 2, 0)
    return min(max(significant - 1 - math.floor(math.log10(min(sizes))), 0), 12)


def number(value: float | None, digits: int) -> str:
    """A number with so many digits after the point, and a real minus sign; in powers of ten where that would be long.

    >>> number(-2.5, 1), number(37240.2, 0), number(None, 2), number(2.3e20, 0)
    ('−2.5', '37,240', '–', '2.3e+20')
    """
    if value is None or not math.isfinite(value):
        return "–"
    far = value != 0 and not 1e-6 < abs(value) < 1e10
    shown = f"{value:.4g}" if far else f"{value:,.{digits}f}"
    if not shown.strip("-0.,"):
        shown = shown.lstrip("-")  # no minus nought
    return shown.replace("-", "−") if not far else shown


def percent(share: float | None, digits: int = 1) -> str:
    """A share in percent, on one line.

    >>> percent(0.8123).split(), percent(0.95, 0).split()
    (['81.2', '%'], ['95', '%'])
    """
    return "–" if share is None or not math.isfinite(share) else f"{number(100 * share, digits)}\u00a0%"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, label: str, marked: Sequence[int] = ()) -> str:
    """A table of ready HTML in a box of its own, which scrolls where the page is too narrow.

    Args:
      head: of each column.
      rows: of cells; the first cell names the row, the others are set as numbers.
      label: what the table holds, in words.
      marked: rows that stand out.
    """
    heads = "".join(f'<th scope="col">{each}</th>' for each in head)
    body = []
    for number_, (title, *cells) in enumerate(rows):
        style = ' class="own"' if number_ in marked else ""
        body.append(
            f'<tr{style}><th scope="row">{title}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(label)}">'
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def numbers(columns: Sequence[Iterable[float | None]], significant: int = 4) -> list[list[str]]:
    """Columns of numbers as rows of cells, each column with as many digits as its smallest number needs."""
    ready = []
    for column in columns:
        values = [None if value is None else float(value) for value in column]
        digits = digits_of(values, significant)
        ready.append([number(value, digits) for value in values])
    return [list(row) for row in zip(*ready)]


def strongest(cells: list[list[str]], values: np.ndarray) -> list[list[str]]:
    """The cells, in bold where a column (of values (rows, columns)) is least."""
    for c, column in enumerate(np.asarray(values, float).T):
        if np.isfinite(column).sum() > 1:
            for r in np.flatnonzero(column == np.nanmin(column)):
                cells[r][c] = f"<strong>{cells[r][c]}</strong>"
    return cells


def pairs(items: Iterable[tuple[str, str]]) -> str:
    """A list of terms and what they are, both ready HTML."""
    return "<dl>\n" + "\n".join(f"<div><dt>{a}</dt><dd>{b}</dd></div>" for a, b in items) + "\n</dl>"


def section(identity: str, title: str, *parts: str) -> str:
    """A section under a heading of the second rank; empty where it holds nothing."""
    held = [part for part in parts if part]
    return f'<section id="{identity}">\n<h2>{title}</h2>\n' + "\n".join(held) + "\n</section>" if held else ""


def paragraph(*sentences: str) -> str:
    """Ready sentences as a paragraph; empty where there are none."""
    told = " ".join(sentence for sentence in sentences if sentence)
    return f"<p>{told}</p>" if told else ""
