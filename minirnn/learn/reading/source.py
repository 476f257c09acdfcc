"""Finds the lines that carry an equation's number, by reading the package's own files.

A line is found by its comment, the extent of a statement by the syntax tree; nothing is imported, so JAX is not needed.
A number that is missing where it must stand is an error that names the file.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
LONGEST = 6  # lines of a statement that are shown whole
_NUMBER = re.compile(r"\b[A-Z]\d+\b")


class MissingEquationError(LookupError):
    """An equation's number does not stand in a file where it must; the message says which, and what to do."""


@dataclass(frozen=True)
class Line:
    """One line of source.

    Args:
      number: in its file, from 1; 0 for lines that are left out.
      text: as written.
      marked: the equations whose numbers its comment carries.
    """

    number: int
    text: str
    marked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A statement, or the part of it that matters.

    Args:
      file: from the folder that holds the package, such as ``"minirnn/readable/lstm.py"``.
      function: the innermost function or class around it, empty outside of all.
      lines: in order; a line without number stands for what is left out.
      at: the number of the line that is meant.
    """

    file: str
    function: str
    lines: tuple[Line, ...]
    at: int

    @property
    def place(self) -> str:
        """``file:line``, as editors and compilers write it."""
        return f"{self.file}:{self.at}"

    @property
    def code(self) -> str:
        """The lines without the indentation that they share."""
        held = [line.text for line in self.lines if line.number]
        margin = min(len(text) - len(text.lstrip()) for text in held)
        return "\n".join(line.text[margin:] for line in self.lines)


class File:
    """A source file and the numbers in its comments."""

    def __init__(self, root: Path, name: str) -> None:
        """Reads ``root/name``, where root is the package's folder and name such as ``"readable/lstm.py"``."""
        path = root / name
        self.name = f"{root.name}/{name}"
        text = path.read_text(encoding="utf-8")
        self.lines = text.splitlines()
        self.tree = ast.parse(text)
        self.marks: dict[int, tuple[str, ...]] = {}
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = _NUMBER.findall(token.string) if token.type == tokenize.COMMENT else []
            # A comment on a line of its own speaks about a number, and marks no line.
            if found and self.lines[token.start[0] - 1].strip() != token.string:
                self.marks[token.start[0]] = tuple(found)

    @property
    def docstring(self) -> str:
        """What the file says of itself."""
        return ast.get_docstring(self.tree) or ""

    def find(self, equation: str) -> list[Piece]:
        """Every statement whose comment carries the number, in order; an empty list where there is none."""
        return [self._piece(at) for at, numbers in self.marks.items() if equation in numbers]

    def required(self, equation: str) -> list[Piece]:
        """The same, where there must be one.

        Raises:
          MissingEquationError: there is none.
        """
        found = self.find(equation)
        if not found:
            raise MissingEquationError(
                f"equation {equation} is missing in {self.name}: end the line that computes it in '# {equation}'"
            )
        return found

    def assigned(self, function: str, *names: str) -> list[Piece]:
        """The statements of a function that assign these names.

        Raises:
          MissingEquationError: it assigns none of them.
        """
        found = [
            self._piece(node.lineno)
            for node in ast.walk(self.function(function))
            if isinstance(node, ast.Assign) and set(names) & {name for t in node.targets for name in _names(t)}
        ]
        if not found:
            raise MissingEquationError(f"{function} of {self.name} assigns none of {', '.join(names)}")
        return sorted(found, key=lambda piece: piece.at)

    def calling(self, name: str) -> Piece:
        """The one statement that calls a function by its dotted name.

        Raises:
          MissingEquationError: there is none, or several.
        """
        calls = [n for n in ast.walk(self.tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == name]
        if len(calls) != 1:
            raise MissingEquationError(f"{self.name} calls {name} {len(calls)} times; expected once")
        return self._piece(calls[0].lineno)

    def function(self, name: str) -> ast.FunctionDef:
        """A function of the module.

        Raises:
          MissingEquationError: it has none of that name.
        """
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
        raise MissingEquationError(f"{self.name} has no function {name}")

    def whole(self, name: str) -> Piece:
        """A whole function, without its docstring."""
        node = self.function(name)
        skipped: set[int] = set()
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            skipped = set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
        start, end = node.lineno, node.end_lineno or node.lineno
        lines = tuple(self._line(k) for k in range(start, end + 1) if k not in skipped)
        return Piece(self.name, name, lines, start)

    def _line(self, number: int) -> Line:
        return Line(number, self.lines[number - 1], self.marks.get(number, ()))

    def _piece(self, at: int) -> Piece:
        start, end, function = self._extent(at)
        marked = [k for k in range(start, end + 1) if k in self.marks]
        if end - start < LONGEST and len(marked) <= 1:
            shown = list(range(start, end + 1))
        else:  # several equations in one statement: its first line, and the line that is meant
            shown = sorted({start, at})
        lines: list[Line] = []
        for number in shown:
            if lines and number > lines[-1].number + 1:
                margin = len(self.lines[number - 1]) - len(self.lines[number - 1].lstrip())
                lines.append(Line(0, " " * margin + "…"))
            lines.append(self._line(number))
        return Piece(self.name, function, tuple(lines), at)

    def _extent(self, at: int) -> tuple[int, int, str]:
        """First and last line of the innermost statement around a line, and the function that it stands in."""
        start = end = at
        function, smallest = "", len(self.lines) + 1
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.stmt):
                continue
            first, last = node.lineno, node.end_lineno or node.lineno
            body = getattr(node, "body", None)
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and first <= at <= last:
                function = node.name  # walked from the outside inwards
            if body:  # of a compound statement only the head
                last = min(last, body[0].lineno - 1)
            if first <= at <= last and last - first < smallest:
                start, end, smallest = first, last, last - first
        return start, end, function


class Sources:
    """The files of a package, each read once.

    Args:
      root: the package's folder; the default is the installed one.
    """

    def __init__(self, root: Path = PACKAGE) -> None:
        self.root = root
        self.file = functools.lru_cache(maxsize=None)(functools.partial(File, root))


def _names(target: ast.expr) -> list[str]:
    if isinstance(target, ast.Tuple | ast.List):
        return [name for part in target.elts for name in _names(part)]
    return [target.id] if isinstance(target, ast.Name) else []
