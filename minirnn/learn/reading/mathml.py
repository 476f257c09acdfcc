"""The nodes of an equation as MathML, cut into parts between which a narrow page may break the line.

Browsers do not break lines inside ``<math>``. So an equation becomes several ``<math>`` elements in a row: one for each
term, and for each factor of a term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from minirnn.learn.reading.latex import (
    GREEK,
    RELATIONS,
    Function,
    Group,
    Node,
    Number,
    Operator,
    Product,
    Root,
    Row,
    Space,
    Sum,
    Symbol,
    symbols,
    walk,
)

BREAKS = ("+", "−", "⊙", "/")  # operators before which a line may break
LONG = 5  # names and numbers in brackets from which on a line may break inside of them

# What stands below a symbol, and the class that colours it; both may be empty.
Dress = Callable[[Symbol], tuple[str, str]]


@dataclass(frozen=True)
class Part:
    """A piece of an equation that stays on one line.

    Args:
      math: the ``<math>`` element, as text.
      symbols: those that occur in it.
      new_line: whether an equation of its own begins here.
    """

    math: str
    symbols: tuple[Symbol, ...]
    new_line: bool = False


@dataclass(frozen=True)
class _Bracket:
    """One bracket of a group that is broken over several parts."""

    text: str
    closing: bool = False
    power: Row = ()
    before: Function | None = None


def plain(_symbol: Symbol) -> tuple[str, str]:
    """A Dress that adds nothing."""
    return "", ""


def _tight(_symbol: Symbol) -> tuple[str, str]:
    """The Dress of subscripts and exponents, which have no room around their operators."""
    return "", ""


def parts(row: Row, dress: Dress = plain) -> list[Part]:
    """An equation as MathML.

    Args:
      row: its nodes.
      dress: what to write below each symbol (its shape), and its class.

    >>> from minirnn.learn.reading.latex import parse
    >>> [part.math for part in parts(parse("a + b"))]
    ['<math><mrow><mi>a</mi></mrow></math>', '<math><mo form="infix">+</mo><mrow><mi>b</mi></mrow></math>']
    """
    found, new_line = [], False
    for chunk in _chunks(row):
        if chunk == [Space()]:
            new_line = True
            continue
        math = Element("math")
        for node in chunk:
            _write(math, node, dress)
        held = tuple(s for node in chunk for s in symbols((node,) if not isinstance(node, _Bracket) else ()))
        found.append(Part(tostring(math, encoding="unicode"), held, new_line))
        new_line = False
    return found


def mathml(row: Row, dress: Dress = plain) -> str:
    """A row of nodes as one ``<math>`` element."""
    math = Element("math")
    _row(math, row, dress)
    return tostring(math, encoding="unicode")


def _chunks(row: Row) -> list[list]:
    """The nodes in groups that stay together; long brackets are opened."""
    chunks: list[list] = [[]]

    def add(row: Row) -> None:
        for place, node in enumerate(row):
            after = row[place - 1] if place else None
            unary = after is None or (isinstance(after, Operator) and after.text in (*RELATIONS, ","))
            if isinstance(node, Space):
                chunks.extend([[node], []])
            elif isinstance(node, Operator) and node.text in BREAKS and not unary:
                chunks.append([node])
            elif isinstance(node, Operator) and node.text in RELATIONS:
                chunks[-1].append(node)
                chunks.append([])
            elif isinstance(node, Group | Function) and _size(node) >= LONG:
                group = node.argument if isinstance(node, Function) else node
                before = node if isinstance(node, Function) else None
                chunks[-1].append(_Bracket(group.open, before=before))
                add(group.inside)
                chunks[-1].append(_Bracket(group.close, True, group.power))
            else:
                chunks[-1].append(node)
                if isinstance(node, Operator) and node.text == ",":
                    chunks.append([])

    add(row)
    return [chunk for chunk in chunks if chunk]


def _size(node: Group | Function) -> int:
    inside = node.argument.inside if isinstance(node, Function) else node.inside
    return sum(isinstance(each, Symbol | Number) for each in walk(inside))


def _row(parent: Element, row: Row, dress: Dress) -> None:
    for place, node in enumerate(row):
        if isinstance(node, Operator) and node.text == "−" and place == 0:
            _text(parent, "mo", "−", form="prefix")  # a sign, not a difference
        else:
            _write(parent, node, dress)


def _write(parent: Element, node: Node | _Bracket, dress: Dress) -> None:
    """One node as the last child of an element."""
    if isinstance(node, Symbol):
        _symbol(parent, node, dress)
    elif isinstance(node, Number):
        _text(parent, "mn", node.text)
    elif isinstance(node, Operator) and dress is _tight:
        _text(parent, "mo", node.text, form="infix", lspace="0", rspace="0.2em" if node.text == ":" else "0")
    elif isinstance(node, Operator):
        first = len(parent) == 0 and parent.tag == "math" and node.text != "−"
        if node.text == ",":
            _text(parent, "mo", ",", lspace="0", rspace="0.3em")
        elif node.text == "/":
            _text(parent, "mo", "/", form="infix", lspace="0.15em", rspace="0.15em")
        else:
            _text(parent, "mo", node.text, **({"form": "infix"} if first or node.text in (*RELATIONS, "−") else {}))
    elif isinstance(node, Product):
        SubElement(parent, "mspace", width="0.3em")
    elif isinstance(node, Sum):
        _sum(parent, node.over, dress)
    elif isinstance(node, Root):
        _row(SubElement(parent, "msqrt"), node.inside, dress)
    elif isinstance(node, Function):
        _function(parent, node, dress)
        _group(parent, node.argument, dress)
    elif isinstance(node, Group):
        _group(parent, node, dress)
    elif isinstance(node, _Bracket):
        if node.before is not None:
            _function(parent, node.before, dress)
        holder = SubElement(parent, "msup") if node.power else parent
        _bracket(holder, node.text, node.closing)
        if node.power:
            _row(SubElement(holder, "mrow"), node.power, _tight)


def _symbol(parent: Element, symbol: Symbol, dress: Dress) -> None:
    shape, look = dress(symbol)
    if shape:
        parent = under = SubElement(parent, "munder")
    twice = bool(symbol.label and symbol.power)  # something stands above the name already
    if twice:
        parent = SubElement(parent, "msup")
    above = bool(symbol.label or symbol.power or symbol.transposed)
    tag = {(True, True): "msubsup", (True, False): "msub", (False, True): "msup"}.get((bool(symbol.sub), above), "mrow")
    holder = SubElement(parent, tag, {"class": look} if look else {})
    letters = [GREEK[symbol.name[1:]]] if symbol.name.startswith("\\") else list(symbol.name)
    base = holder if len(letters) == 1 and not symbol.gradient else SubElement(holder, "mrow")
    if symbol.gradient:
        _text(base, "mi", "d", mathvariant="normal")
    for character in letters:
        _text(base, "mi", character)
    if symbol.sub:
        _row(SubElement(holder, "mrow"), symbol.sub, _tight)
    if above:
        top = SubElement(holder, "mrow")
        if symbol.label:
            _text(top, "mo" if symbol.label == "+" else "mi", symbol.label)
        elif symbol.power:
            _row(top, symbol.power, _tight)
        if symbol.transposed:
            _text(top, "mo", "⊤", form="postfix")
    if twice:
        _row(SubElement(parent, "mrow"), symbol.power, _tight)
    if shape:
        _text(under, "mtext", shape, **{"class": "shape"})


def _function(parent: Element, node: Function, dress: Dress) -> None:
    if node.name == "sum":
        _sum(parent, node.sub, dress)
        return
    name = GREEK[node.name[1:]] if node.name.startswith("\\") else node.name
    holder = SubElement(parent, "msup") if node.prime else parent
    _text(holder, "mi", name)
    if node.prime:
        _text(holder, "mo", "′")
    _text(parent, "mo", "\u2061")  # applied to


def _sum(parent: Element, over: Row, dress: Dress) -> None:
    holder = SubElement(parent, "msub") if over else parent
    _text(holder, "mo", "∑", form="prefix", lspace="0", rspace="0.1em", largeop="false")
    if over:
        _row(SubElement(holder, "mrow"), over, _tight)


def _group(parent: Element, group: Group, dress: Dress) -> None:
    holder = SubElement(SubElement(parent, "msup"), "mrow") if group.power else SubElement(parent, "mrow")
    _bracket(holder, group.open, False)
    _row(holder, group.inside, dress)
    _bracket(holder, group.close, True)
    if group.power:
        last = parent[-1]
        _row(SubElement(last, "mrow"), group.power, _tight)


def _bracket(parent: Element, text: str, closing: bool) -> None:
    _text(parent, "mo", text, form="postfix" if closing else "prefix", stretchy="false")


def _text(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = text
