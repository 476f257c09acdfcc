"""Pieces of HTML for the reading page: words, equations with shapes, lines of code with links to where they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import escape

from minirnn.learn.reading.latex import Symbol, parse
from minirnn.learn.reading.mathml import mathml, parts
from minirnn.learn.reading.source import Line, Piece
from minirnn.learn.reading.subjects import Reading, Row
from minirnn.learn.reading.symbols import Meaning, meaning

# Comments, texts, names and the rest of a line of Python.
_TOKEN = re.compile(r'#.*|"[^"]*"|[A-Za-z_]\w*|.')
_ROLE = re.compile(r":\w+:`([^`]*)`|``([^`]*)``")
_LETTERS = "Dimension letters:"
_NUMBER = re.compile(r"\b[A-Z]\d+\b")


def words(text: str) -> str:
    """A paragraph of a docstring: escaped, with ``code`` set as such.

    >>> words("see :mod:`minirnn.readable.engine` and ``a < b``")
    'see <code>minirnn.readable.engine</code> and <code>a &lt; b</code>'
    """
    return _ROLE.sub(lambda m: f"<code>{m[1] or m[2]}</code>", escape(text, quote=False))


def ticked(text: str) -> str:
    """A note of ours: escaped, with `code` set as such."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text, quote=False))


def paragraphs(docstring: str) -> list[str]:
    """The paragraphs before the first example; those that are indented keep their lines.

    >>> paragraphs("One\\nline.\\n\\n  kept\\n  so\\n\\n>>> 1")
    ['One line.', '  kept\\n  so']
    """
    found = []
    for block in docstring.split("\n\n"):
        if block.lstrip().startswith(">>>"):
            break
        if block.startswith(_LETTERS):
            continue
        lines = block.strip("\n").splitlines()
        found.append("\n".join(lines) if all(line.startswith("  ") for line in lines) else " ".join(lines))
    return found


def letters(docstring: str) -> str:
    """The paragraph that says what the letters of shapes stand for; empty where there is none."""
    return next((" ".join(b.split()) for b in docstring.split("\n\n") if b.startswith(_LETTERS)), "")


def shape(told: Meaning) -> str:
    """A shape, or the word for none.

    >>> shape(Meaning("h_t", "state", "(B, H)")), shape(Meaning("s", "a number", "()"))
    ('(B, H)', 'number')
    """
    return "number" if told.shape == "()" else told.shape


class Pen:
    """Writes the pieces of one subject: it knows the gates, which have colours, and where links lead.

    Args:
      reading: the subject.
      base: what stands before ``minirnn/...`` in links, such as ``"../"``.
      anchor: the identity of an equation's row on the page.
    """

    def __init__(self, reading: Reading, base: str, anchor: Callable[[str], str]) -> None:
        self.reading, self.base, self.anchor = reading, base, anchor
        self.numbers = {row.number for row in reading.rows}
        # "c" is the memory of an LSTM, and a block of the GRU with two states: both have its colour.
        self.coloured = {*reading.gates} | ({"c"} if "o" in reading.gates else set())

    def look(self, symbol: Symbol) -> str:
        """The class of a symbol: that of its gate."""
        for name in (symbol.label, symbol.name):
            if name in self.coloured and (symbol.label or symbol.sub):
                return f"gate-{name}"
        return ""

    def equation(self, row: Row) -> str:
        """An equation with the shape below each symbol; a part's title says what its symbols are."""
        told = {symbol.latex: known for symbol, known in row.symbols}
        pieces = []
        for part in parts(parse(row.equation.latex), lambda s: (told[s.latex].short, self.look(s))):
            title = "\n".join(
                dict.fromkeys(f"{s.latex}: {told[s.latex].words}, {shape(told[s.latex])}" for s in part.symbols)
            )
            held = f' title="{escape(title)}"' if title else ""
            pieces.append(f"{'<br>' if part.new_line else ''}<span class='part'{held}>{part.math}</span>")
        return f'<div class="equation">{"<wbr>".join(pieces)}</div>'

    def symbol(self, symbol: Symbol) -> str:
        """A symbol alone."""
        return mathml((symbol,), lambda s: ("", self.look(s)))

    def link(self, piece: Piece, text: str | None = None) -> str:
        """A link to the line of a piece."""
        return (
            f'<a class="place" href="{escape(self.base)}{piece.file}#L{piece.at}">'
            f"{escape(text or piece.place).replace('/', '/<wbr>')}</a>"
        )

    def number(self, number: str) -> str:
        """An equation's number, as a link to its row if the page has one."""
        if number not in self.numbers:
            return number
        return f'<a href="#{self.anchor(number)}">{number}</a>'

    def code(self, text: str) -> str:
        """A line of Python, names of gates in their colours, the numbers in its comment as links."""
        out = []
        for token in _TOKEN.findall(text):
            if token.startswith("#"):
                comment = _NUMBER.sub(lambda m: self.number(m[0]), escape(token, quote=False))
                brief = " brief" if len(token) <= 14 else ""  # a number does not part from its sign
                out.append(f'<span class="comment{brief}">{comment}</span>')
                continue
            # di, t_i and dzx_i belong to gate i.
            gate = token.rpartition("_")[2].removeprefix("d") or token.rpartition("_")[2]
            known = gate in self.coloured and (
                token in (gate, f"d{gate}") or re.fullmatch(rf"d?(t|z[xh]?|log)_{gate}", token)
            )
            held = escape(token, quote=False)
            out.append(f'<span class="gate-{gate}">{held}</span>' if known else held)
        return "".join(out)

    def piece(self, piece: Piece, *, before: bool = False) -> str:
        """The lines of a piece below a link to them. ``before``: they only prepare what the equation needs."""
        lines = zip(piece.lines, piece.code.splitlines())
        where = f" in <code>{escape(piece.function)}</code>" if piece.function else ""
        body = "".join(self._line(line, text, meant=line.number == piece.at and not before) for line, text in lines)
        return (
            f'<figure class="piece{" before" if before else ""}"><figcaption>{self.link(piece)}{where}</figcaption>'
            f"<pre>{body}</pre></figure>"
        )

    def _line(self, line: Line, text: str, *, meant: bool) -> str:
        marks = " ".join(f"at-{self.anchor(n)}" for n in line.marked if n in self.numbers) if meant else ""
        indent = len(text) - len(text.lstrip())
        # A line that is too long for its column goes on below, a little to the right of where it began.
        return (
            f'<code class="line{" " + marks if marks else ""}" style="--indent:{indent}ch">'
            f"{self.code(text.strip())}</code>"
        )

    def listing(self, piece: Piece, name: str) -> str:
        """A whole function with line numbers, each a link to its line."""
        rows = []
        for line, text in zip(piece.lines, piece.code.splitlines()):
            marks = [f"at-{self.anchor(n)}" for n in line.marked if n in self.numbers]
            href = f"{escape(self.base)}{piece.file}#L{line.number}"
            indent = len(text) - len(text.lstrip())
            rows.append(
                f'<a class="n" href="{href}">{line.number}</a>'
                f'<code class="{" ".join(["line", *marks])}" style="--indent:{indent}ch">'
                f"{self.code(text.strip())}</code>"
            )
        return (
            f'<figure class="listing"><figcaption>{self.link(piece)} <span class="language">{name}</span></figcaption>'
            f"<pre>{''.join(rows)}</pre></figure>"
        )

    def legend(self, told: Iterable[tuple[Symbol, Meaning]]) -> str:
        """What symbols are, as one line."""
        items = [f"<li>{self.symbol(s)} {escape(m.words)} <span class='size'>{shape(m)}</span></li>" for s, m in told]
        return f'<ul class="new">{"".join(items)}</ul>' if items else ""


def base_symbols(reading: Reading) -> list[tuple[Symbol, Meaning]]:
    """Every symbol of a subject once, without gradients and blocks: (as it is shown, what it is).

    A letter with two meanings is listed twice. What occurs as a gradient only is listed too, without its d.
    """
    found: dict[tuple[str, str], tuple[Symbol, Meaning]] = {}
    for gradients in (False, True):
        for row in reading.rows:
            for symbol, told in row.symbols:
                if symbol.label and symbol.label not in ("+", "out"):
                    continue
                shown = parse(told.key)[0]
                assert isinstance(shown, Symbol)
                known = meaning(shown, row.number, reading.blocks)
                listed = any(key == told.key for key, _ in found)
                gradient = symbol.gradient and symbol.label != "+"
                if gradient == gradients and not (gradient and listed):
                    found.setdefault((told.key, known.words), (shown, known))
    return list(found.values())
