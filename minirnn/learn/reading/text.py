"""The reading as plain text, as data for machines, and as Markdown for GitHub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from minirnn.equations import plain
from minirnn.learn.reading.markup import base_symbols, letters, paragraphs, shape
from minirnn.learn.reading.page import spans
from minirnn.learn.reading.source import Piece
from minirnn.learn.reading.subjects import SUBJECTS, Half, Reading, Row, letter

REGENERATE = "minirnn read --all --out tutorials/EQUATIONS.md --base ../"
_ROLE = re.compile(r":\w+:`([^`]*)`|``([^`]*)``")


def index() -> str:
    """What there is to read, one line each: the name, the numbers, the title."""
    lines = []
    for name, title in SUBJECTS.items():
        lines.append(f"  {name:<18} {letter(name)}1...   {title}")
    return "\n".join(lines)


# ---------------------------------------------------------------- a terminal


def terminal(reading: Reading) -> str:
    """One subject as plain text: each equation, and below it its lines with their places."""
    lines = [_title(reading), ""]
    if reading.gates:
        lines += [f"blocks of H columns, in this order: {' '.join(reading.gates)}", ""]
    told = [(plain(symbol.latex), known) for symbol, known in base_symbols(reading)]
    width = max(len(name) for name, _ in told)
    lines += [f"  {name:<{width}}  {known.words} {shape(known)}" for name, known in told]
    for section in reading.sections:
        lines += ["", section.title, *([f"  {section.note}"] if section.note else []), ""]
        for row in section.rows:
            lines += equation(row)
    return "\n".join(lines) + "\n"


def equation(row: Row) -> list[str]:
    """One equation as lines of plain text."""
    lines = [f"{row.number:<4} {row.equation.plain}"]
    for name, half in (("NumPy", row.numpy), ("JAX", row.jax)):
        for piece in (*half.before, *half.pieces):
            lines.append(f"     {name:<5} {piece.place}")
            lines += [f"             {text}" for text in piece.code.splitlines()]
            name = ""
        if half.note:
            see = f" ({half.see.place})" if half.see else ""
            lines.append(f"     {name:<5} {half.note.replace('`', '')}{see}")
    if row.remark:
        lines.append(f"           {row.remark}")
    return lines


def _title(reading: Reading) -> str:
    return f"{reading.title[0].upper()}{reading.title[1:]}"


# ---------------------------------------------------------------- machines


def data(reading: Reading, number: str = "") -> dict[str, Any]:
    """One subject as what JSON can hold; with a number only that equation."""
    return {
        "name": reading.name,
        "title": reading.title,
        "gates": list(reading.gates),
        "equations": [
            {
                "number": row.number,
                "section": section.title.lower(),
                "latex": row.equation.latex,
                "plain": row.equation.plain,
                "source": row.equation.source,
                "symbols": [
                    {"latex": symbol.latex, "meaning": known.words, "shape": known.shape}
                    for symbol, known in row.symbols
                ],
                "numpy": _half(row.numpy),
                "jax": _half(row.jax),
            }
            for section in reading.sections
            for row in section.rows
            if number in ("", row.number)
        ],
    }


def _half(half: Half) -> dict[str, Any]:
    def lines(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
        return [{"file": p.file, "line": p.at, "function": p.function, "code": p.code} for p in pieces]

    return {
        "lines": lines(half.pieces),
        "before": lines(half.before),
        "note": half.note.replace("`", ""),
        "see": half.see.place if half.see else None,
    }


# ---------------------------------------------------------------- GitHub


def markdown(readings: Sequence[Reading], base: str = "../") -> str:
    """Subjects as one Markdown file; GitHub sets the mathematics.

    Args:
      readings: the subjects, in order.
      base: what stands before ``minirnn/...`` in links.
    """
    parts = [
        "# Every equation beside its code",
        f"Made by `{REGENERATE}` from [minirnn/equations.py]({base}minirnn/equations.py) and from the source files, "
        "whose lines carry the numbers; a test compares this file with what that command makes. "
        "`minirnn read lstm --open` shows the same as a page with three columns.",
        "Vectors are rows: names side by side are a matrix product, $\\odot$ multiplies elementwise, $d$ before a name "
        "is the gradient of the loss with respect to it, a superscript $+$ marks what arrives from step $t+1$. A sum "
        "over $t$ is also one over the sequences of the batch.",
        "\n".join(f"- [{_title(r)}](#{_slug(_title(r))})" for r in readings),
    ]
    parts += [_subject(reading, base) for reading in readings]
    return "\n\n".join(parts) + "\n"


def _slug(heading: str) -> str:
    """The identity that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _subject(reading: Reading, base: str) -> str:
    about = [b for b in (*paragraphs(reading.about), letters(reading.about)) if b and not b.startswith("  ")]
    parts = [f"## {_title(reading)}", _ROLE.sub(lambda m: f"`{m[1] or m[2]}`", " ".join(about))]
    if reading.gates:
        parts.append(f"Blocks of H columns, in this order: {', '.join(f'`{g}`' for g in reading.gates)}.")
    told = [f"| ${symbol.latex}$ | {known.words} | {shape(known)} |" for symbol, known in base_symbols(reading)]
    parts.append("\n".join(["| symbol | what it is | shape |", "|---|---|---|", *told]))
    for section in reading.sections:
        parts.append(f"### {_title(reading)}: {section.title.lower()}")
        if section.note:
            parts.append(section.note)
        rows = ["| | equation | NumPy | JAX |", "|---|---|---|---|"]
        for row in section.rows:
            cells = (row.number, f"${_github(row.equation.latex)}$", _cell(row.numpy, base), _cell(row.jax, base))
            rows.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(rows))
    sources: dict[str, list[str]] = {}
    for row in reading.rows:
        sources.setdefault(row.equation.source, []).append(row.number)
    parts.append("Sources: " + "; ".join(f"{source} ({', '.join(spans(n))})" for source, n in sources.items()) + ".")
    return "\n\n".join(parts)


def _github(latex: str) -> str:
    """LaTeX that stands in a table: a bar would end the cell, and Markdown would eat the backslash before a comma."""
    latex = latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return latex.replace(r"\, ", r"\thinspace ")


def _cell(half: Half, base: str) -> str:
    lines = []
    for piece in (*half.before, *half.pieces):
        code = next(line.text for line in piece.lines if line.number == piece.at).strip()
        code = code.split("  #")[0].rstrip(",").replace("|", "\\|")
        lines.append(f"`{code}` {_link(piece, base)}")
    if half.note:
        lines.append(half.note + (f" {_link(half.see, base)}" if half.see else ""))
    return "<br>".join(lines)


def _link(piece: Piece, base: str) -> str:
    short = piece.place.removeprefix("minirnn/")
    return f"[{short}]({base}{piece.file}#L{piece.at})"
