r"""Reads the LaTeX of :mod:`minirnn.equations` into a few kinds of nodes.

The notation is small: names with ``_`` and ``^``, ``d`` in front of a name for a gradient, ``\,`` for a matrix product,
``\odot`` for an elementwise one, functions with brackets, sums, roots. What is not part of it is an error, not a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

GREEK = {
    "sigma": "σ", "phi": "φ", "delta": "δ", "tau": "τ", "alpha": "α", "pi": "π", "nu": "ν", "psi": "ψ", "Gamma": "Γ",
    "eta": "η", "mu": "μ", "beta": "β", "epsilon": "ϵ", "ell": "ℓ", "rho": "ρ", "lambda": "λ", "theta": "θ",
}  # fmt: skip
OPERATORS = {"odot": "⊙", "leftarrow": "←", "ge": "≥"}
RELATIONS = ("=", "←", "≥")
WORDS = ("tanh", "exp", "log", "cos", "min", "max")  # functions with upright names
BRACKETS = {"(": ")", "[": "]", "|": "|", "‖": "‖"}


class LatexError(ValueError):
    """LaTeX that is not part of the notation; the message names what was found and where."""


@dataclass(frozen=True)
class Symbol:
    """A name.

    Args:
      name: its letters, without the d of a gradient; Greek ones as LaTeX, such as ``r"\\rho"``.
      gradient: whether it is the gradient of the loss with respect to the name.
      label: what stands above it in braces: a block of columns (``i``), or ``+`` for what arrives from the next step.
      sub: what stands below it.
      power: its exponent.
      transposed: whether rows and columns change places.
      latex: the name as printed, for messages.
    """

    name: str
    gradient: bool = False
    label: str = ""
    sub: Row = ()
    power: Row = ()
    transposed: bool = False
    latex: str = ""


@dataclass(frozen=True)
class Number:
    """Digits."""

    text: str


@dataclass(frozen=True)
class Operator:
    """An operator, a relation or a comma, as the character to be shown."""

    text: str


@dataclass(frozen=True)
class Product:
    """The matrix product between what stands before and after it."""


@dataclass(frozen=True)
class Space:
    r"""``\\quad``: what follows is an equation of its own."""


@dataclass(frozen=True)
class Sum:
    """A sum of what follows, over an index."""

    over: Row


@dataclass(frozen=True)
class Group:
    """Something in brackets, or between bars."""

    open: str
    inside: Row
    power: Row = ()

    @property
    def close(self) -> str:
        """The bracket at the end."""
        return BRACKETS[self.open]


@dataclass(frozen=True)
class Function:
    """A function of what its brackets hold; ``sub`` is the axis of a sum, ``prime`` its derivative."""

    name: str
    argument: Group
    sub: Row = ()
    prime: bool = False


@dataclass(frozen=True)
class Root:
    """A square root."""

    inside: Row


Node = Symbol | Number | Operator | Product | Space | Sum | Group | Function | Root
Row = tuple[Any, ...]  # of nodes


def parse(latex: str) -> Row:
    r"""The nodes of an equation.

    >>> [type(node).__name__ for node in parse(r"z_t = x_t \, W_x + b")]
    ['Symbol', 'Operator', 'Symbol', 'Product', 'Symbol', 'Operator', 'Symbol']
    >>> parse("dz^{i}_t")[0].label, parse("dz^{i}_t")[0].gradient
    ('i', True)

    Raises:
      LatexError: something that the notation does not have.
    """
    reader = _Reader(latex)
    row = reader.row(stop="")
    if reader.left:
        raise LatexError(f"{reader.left!r} closes nothing in {latex!r}")
    return row


def walk(row: Row) -> Iterator[Node]:
    """Every node, those inside of others too, in the order of writing; subscripts and exponents are left out."""
    for node in row:
        yield node
        if isinstance(node, Function):
            yield from walk((node.argument,))
        elif isinstance(node, Group | Root):
            yield from walk(node.inside)


def symbols(row: Row) -> list[Symbol]:
    """Every symbol, in the order of writing."""
    return [node for node in walk(row) if isinstance(node, Symbol)]


class _Reader:
    """A position in the text, and one method for each rule of the notation."""

    def __init__(self, latex: str) -> None:
        self.latex, self.at = latex, 0

    @property
    def left(self) -> str:
        return self.latex[self.at :]

    def fail(self) -> LatexError:
        return LatexError(f"cannot read {self.left[:20]!r} at position {self.at} of {self.latex!r}")

    def take(self, text: str) -> bool:
        """Whether the text comes next; steps over it."""
        if not text or not self.left.startswith(text):
            return False
        self.at += len(text)
        return True

    def word(self) -> str:
        """The letters that come next."""
        start = self.at
        while self.left[:1].isascii() and self.left[:1].isalpha():
            self.at += 1
        return self.latex[start : self.at]

    def row(self, stop: str) -> Row:
        """Nodes up to a closing bracket, which is stepped over."""
        nodes: list[Node] = []
        while True:
            while self.take(" "):
                pass
            if stop and self.take(r"\|" if stop == "‖" else stop):
                return tuple(nodes)
            if not self.left or self.left[0] in ")]}":
                if stop:
                    raise LatexError(f"{stop!r} is missing in {self.latex!r}")
                return tuple(nodes)
            nodes.append(self.node())

    def node(self) -> Node:
        """One node, with what is written above and below it."""
        start = self.at
        head = self.left[0]
        if head.isdigit():
            while self.left[:1].isdigit():
                self.at += 1
            return Number(self.latex[start : self.at])
        if head in "+-/=,:":
            self.at += 1
            return Operator("−" if head == "-" else head)
        if head in BRACKETS:
            return self.group()
        if head == "\\":
            return self.command(start)
        if head.isascii() and head.isalpha():
            word = self.word()
            if word == "d" and self.left.startswith(("\\rho", "\\nu")):  # d\nu is one name, 2 \odot \pi are two
                self.at += 1
                return self.symbol("\\" + self.word(), True, start)
            gradient = len(word) > 1 and word[0] == "d"
            return self.symbol(word[1:] if gradient else word, gradient, start)
        raise self.fail()

    def command(self, start: int) -> Node:
        """What begins with a backslash."""
        for text, node in ((r"\,", Product()), (r"\quad", Space())):
            if self.take(text):
                return node
        if self.left.startswith(r"\|"):
            return self.group()
        self.at += 1
        name = self.word()
        if name in OPERATORS:
            return Operator(OPERATORS[name])
        if name == "sqrt":
            return Root(self.braces())
        if name == "mathrm":
            return Function(self.label(), self.group())
        if name == "sum":
            over = self.sub() if self.take("_") else ()
            return Function("sum", self.group(), over) if self.left.startswith("(") else Sum(over)
        if name in WORDS:
            return Function(name, self.group())
        if name in GREEK:
            prime = self.take("'")
            if prime or (name in ("sigma", "phi", "psi", "Gamma") and self.left.startswith("(")):
                return Function("\\" + name, self.group(), prime=prime)
            return self.symbol("\\" + name, False, start)
        self.at = start
        raise self.fail()

    def group(self) -> Group:
        """Something in brackets, and the power of it."""
        opening = "‖" if self.take(r"\|") else self.left[:1]
        if opening not in BRACKETS or not opening:
            raise self.fail()
        if opening != "‖":
            self.at += 1
        inside = self.row(BRACKETS[opening])
        return Group(opening, inside, self.sub() if self.take("^") else ())

    def symbol(self, name: str, gradient: bool, start: int) -> Symbol:
        """A name, and what is written above and below it."""
        found = Symbol(name, gradient)
        while True:
            if self.take("_"):
                found = replace(found, sub=self.sub())
            elif self.take(r"^\top"):
                found = replace(found, transposed=True)
            elif self.left.startswith("^{"):  # in braces: a block or the next step; without: a power
                self.at += 1
                found = replace(found, label=self.label())
            elif self.take("^"):
                found = replace(found, power=self.sub())
            else:
                return replace(found, latex=self.latex[start : self.at])

    def label(self) -> str:
        """Letters or a plus sign in braces."""
        if not self.take("{"):
            raise self.fail()
        label = "+" if self.take("+") else self.word()
        if not label or not self.take("}"):
            raise self.fail()
        return label

    def braces(self) -> Row:
        if not self.take("{"):
            raise self.fail()
        return self.row("}")

    def sub(self) -> Row:
        """What follows ``_`` or ``^``: braces, a command, or one character."""
        if self.left.startswith("{"):
            return self.braces()
        if self.left.startswith("\\"):
            start = self.at
            self.at += 1
            name = "\\" + self.word()
            if name[1:] not in GREEK:
                self.at = start
                raise self.fail()
            return (Symbol(name, latex=name),)
        if not self.left[:1].isalnum():
            raise self.fail()
        self.at += 1
        character = self.latex[self.at - 1]
        return (Number(character) if character.isdigit() else Symbol(character, latex=character),)
