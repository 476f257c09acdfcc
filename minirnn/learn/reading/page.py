"""The reading as one HTML page: three columns, without network and script.

Each equation is a row: number and mathematics, lines in NumPy, lines in JAX. A number that is hovered, focused or
followed marks every line that carries it, by rules of the style sheet that are made for the numbers of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from minirnn._version import __version__
from minirnn.learn.reading.latex import Function, parse, walk
from minirnn.learn.reading.markup import Pen, base_symbols, letters, paragraphs, shape, ticked, words
from minirnn.learn.reading.mathml import GREEK
from minirnn.learn.reading.source import Piece
from minirnn.learn.reading.subjects import Half, Reading, Row, Section, letter
from minirnn.learn.reading.symbols import BEFORE, FUNCTIONS

COLUMNS = ("Equation", "NumPy", "JAX")


def page(readings: Sequence[Reading], base: str = "../", command: str = "minirnn read") -> str:
    """A whole page as the text of an HTML file.

    Args:
      readings: the subjects, in order; with several, a table of contents stands first.
      base: what stands before ``minirnn/...`` in links to files: a relative path to a clone, or its address.
      command: what made the page, for its end.
    """
    own = {letter(reading.name): reading.name for reading in readings}

    def anchors(reading: Reading):
        """An equation's row is called by its number; where several subjects show it, only in its own."""

        def anchor(number: str) -> str:
            home = len(readings) == 1 or own.get(number[0]) == reading.name
            return number if home else f"{reading.name}-{number}"

        return anchor

    pens = [Pen(reading, base, anchors(reading)) for reading in readings]
    single = readings[0] if len(readings) == 1 else None
    title = f"{_capital(single.title)}, equation by equation" if single else "Every equation beside its code"
    style = files("minirnn.learn.reading").joinpath("style.css").read_text(encoding="utf-8")
    marks = "".join(_mark(pen.anchor(row.number)) for pen in pens for row in pen.reading.rows)
    body = [_contents(readings)] if not single else []
    body += [_subject(pen, alone=single is not None) for pen in pens]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}{marks}</style>\n</head>\n<body>\n<main>\n"
        f"<header><h1>{escape(title)}</h1>\n"
        '<p class="how">Each row holds an equation, the lines that compute it in NumPy, with the gradient derived by '
        "hand, and the lines in JAX. Below each symbol stands its shape. Hover over, tap or tab to a number, and its "
        "lines are marked in both halves.</p></header>\n"
        + "\n".join(body)
        + f"\n</main>\n<footer>Made by <code>{escape(command)}</code> of minirnn {__version__}, from the equations "
        "and the source files as they were then.</footer>\n</body>\n</html>\n"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _order(number: str) -> int:
    return int(number[1:])


def _mark(anchor: str) -> str:
    """The rules that mark the lines of a number that is hovered, focused or followed."""
    asked = f":is(#{anchor} .number:hover, #{anchor} .number:focus-visible, #{anchor}:target)"
    return f"body:has({asked}) .at-{anchor} {{ background: var(--mark); box-shadow: var(--edge); }}\n"


def _contents(readings: Sequence[Reading]) -> str:
    items = []
    for reading in readings:
        own = [row.number for row in reading.rows if row.number[0] == letter(reading.name)]
        first, last = min(own, key=_order), max(own, key=_order)
        items.append(
            f'<li><a href="#{reading.name}">{escape(_capital(reading.title))}</a> <span class="soft">{first} to '
            f"{last}</span></li>"
        )
    return f'<nav aria-label="Contents"><ul class="contents">{"".join(items)}</ul></nav>'


def _subject(pen: Pen, *, alone: bool) -> str:
    reading = pen.reading
    heading = "" if alone else f"<h2>{escape(_capital(reading.title))}</h2>"
    told = []
    for block in paragraphs(reading.about):
        told.append(f"<pre>{escape(block)}</pre>" if block.startswith("  ") else f"<p>{words(block)}</p>")
    rank = "h2" if alone else "h3"
    seen: set[tuple[str, str]] = set()
    parts = [
        heading,
        f'<div class="about">{"".join(told)}</div>',
        _facts(pen),
        _symbols(pen, rank),
        *(_section(pen, section, rank, seen) for section in reading.sections),
        _listing(pen, rank),
        _sources(pen, rank),
    ]
    return f'<article id="{reading.name}">\n' + "\n".join(part for part in parts if part) + "\n</article>"


def _facts(pen: Pen) -> str:
    """The order of the gates, and where the files are."""
    reading = pen.reading
    items = []
    if reading.gates:
        blocks = "".join(f'<span class="block gate-{g}">{g}</span>' for g in reading.gates)
        items.append(("Blocks of H columns, in this order", f'<span class="blocks">{blocks}</span>'))
    links: dict[str, dict[str, Piece]] = {}
    for row in reading.rows:
        for half, name in ((row.numpy, "NumPy"), (row.jax, "JAX")):
            for piece in (*half.pieces, *half.before):
                links.setdefault(name, {})[piece.file] = Piece(piece.file, "", (), 1)
    for name, found in links.items():
        items.append((name, ", ".join(pen.link(piece, file) for file, piece in found.items())))
    return '<dl class="facts">' + "".join(f"<div><dt>{a}</dt><dd>{b}</dd></div>" for a, b in items) + "</dl>"


def _symbols(pen: Pen, rank: str) -> str:
    """A table of every symbol, of the functions, and how gradients and blocks are written."""
    rows = [
        f"<li>{pen.symbol(symbol)} <span>{escape(told.words)} <span class='size'>{shape(told)}</span></span></li>"
        for symbol, told in base_symbols(pen.reading)
    ]
    names = {
        node.name
        for row in pen.reading.rows
        for node in walk(parse(row.equation.latex))
        if isinstance(node, Function) and node.name in FUNCTIONS
    }
    for name in sorted(names, key=list(FUNCTIONS).index):
        rows.append(f"<li><math><mi>{GREEK[name[1:]]}</mi></math> <span>{escape(FUNCTIONS[name])}</span></li>")
    notes = ["<b>d</b> before a name is the gradient of the loss with respect to it, and has its shape."]
    if pen.reading.gates:
        notes.append("A gate's letter above a name is its block of H columns.")
    notes.append(words(letters(pen.reading.about)))
    notes.append("⊙ multiplies elementwise; names side by side are a matrix product, rows times columns.")
    return (
        f'<details class="symbols" open><summary><{rank}>Symbols</{rank}></summary>'
        f'<ul class="symboltable">{"".join(rows)}</ul><p class="soft">{" ".join(notes)}</p></details>'
    )


def _section(pen: Pen, section: Section, rank: str, seen: set[tuple[str, str]]) -> str:
    heads = "".join(f'<div class="head">{name}</div>' for name in COLUMNS)
    rows = "\n".join(_row(pen, row, seen) for row in section.rows)
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    return (
        f'<section><{rank}>{section.title}</{rank}>{note}\n<div class="heads" aria-hidden="true">{heads}</div>\n'
        f"{rows}\n</section>"
    )


def _row(pen: Pen, row: Row, seen: set[tuple[str, str]]) -> str:
    new = []
    for symbol, told in row.symbols:
        known = told.key, told.words.removesuffix(BEFORE)
        if known not in seen and (not symbol.gradient or symbol.label == "+"):
            new.append((symbol, told))
            seen.add(known)
    anchor = pen.anchor(row.number)
    remark = f'<p class="note">{escape(row.remark)}</p>' if row.remark else ""
    return (
        f'<div class="row" id="{anchor}">\n<div class="cell maths"><a class="number" href="#{anchor}" '
        f'aria-label="Equation {row.number}, {escape(row.equation.plain)}">{row.number}</a>'
        f"<div>{pen.equation(row)}{pen.legend(new)}{remark}</div></div>\n"
        f"{_half(pen, row, row.numpy, 'NumPy')}\n{_half(pen, row, row.jax, 'JAX')}\n</div>"
    )


def _half(pen: Pen, row: Row, half: Half, name: str) -> str:
    shown = [pen.piece(piece, before=True) for piece in half.before]
    shown += [pen.piece(piece) for piece in half.pieces]
    if half.note:
        see = f" ({pen.link(half.see)})" if half.see else ""
        shown.append(f'<p class="derived">{ticked(half.note)}{see}</p>')
    shared = _shared(row, half)
    if shared:
        shown.append(f'<p class="derived">this line also computes {", ".join(map(pen.number, shared))}</p>')
    empty = "" if half.pieces else " none"
    return f'<div class="cell half{empty}"><h4>{name}</h4>{"".join(shown)}</div>'


def _shared(row: Row, half: Half) -> list[str]:
    """Other equations whose numbers stand on the same line."""
    found = [n for piece in half.pieces for line in piece.lines if line.number == piece.at for n in line.marked]
    return [number for number in dict.fromkeys(found) if number != row.number] if row.number in found else []


def _listing(pen: Pen, rank: str) -> str:
    """The functions whole, with the lines that no equation stands for."""
    halves = pen.reading.listings
    if not any(halves):
        return ""
    columns = "".join(
        f"<div>{''.join(pen.listing(piece, name) for piece in pieces)}</div>"
        for name, pieces in zip(COLUMNS[1:], halves)
    )
    return (
        f'<section><{rank}>In one piece</{rank}><p class="note">The whole functions, without their docstrings. JAX '
        f'derives the backward step, so it has none of its own.</p><div class="listings">{columns}</div></section>'
    )


def _sources(pen: Pen, rank: str) -> str:
    """Where the equations were taken from."""
    found: dict[str, list[str]] = {}
    for row in pen.reading.rows:
        found.setdefault(row.equation.source, []).append(row.number)
    items = "".join(
        f"<li>{escape(source)} <span class='soft'>{', '.join(spans(numbers))}</span></li>"
        for source, numbers in found.items()
    )
    return f'<section><{rank}>Where they come from</{rank}><ul class="papers">{items}</ul></section>'


def spans(numbers: Iterable[str]) -> list[str]:
    """Numbers of equations, neighbours joined.

    >>> spans(["L1", "L2", "L3", "L7", "P1"])
    ['L1 to L3', 'L7', 'P1']
    """
    runs: list[list[str]] = []
    for number in numbers:
        last = runs[-1][-1] if runs else ""
        if last and last[0] == number[0] and int(last[1:]) + 1 == int(number[1:]):
            runs[-1].append(number)
        else:
            runs.append([number])
    return [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
