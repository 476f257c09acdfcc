"""A worked answer as a text of labelled lines; and the same text with some of its lines wrong.

A label is an equation's number, or a few words in brackets, at the end of a line: ``dc = ...  # L10``,
``dh_next = dh_prev  # [carry]``. A mistake of the catalogue is another line under the same label, so that a mistake is
a text like any other, and its consequences are computed by running it.

From the same text comes the stub that a student starts from: every labelled line loses its right side. What stands
between ``# blank`` and ``# end`` is left out as a whole.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.learn.formulas import defined

_LABEL = re.compile(r"^(?P<indent> *)(?P<code>[^#\n]*?\S) *# (?P<label>[A-Z]\d+|\[[^\]]+\])$")
_BLANK, _END = re.compile(r"^ *# blank(: .*)?$"), re.compile(r"^ *# end$")
BLANK = "..."
_BUILTINS = frozenset(dir(builtins))


def sigmoid(z):
    """1 / (1 + exp(-z)), for real and complex numbers; the stubs of the exercises hold a copy of it."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


@dataclass(frozen=True)
class Line:
    """One labelled line of a program, without its indentation and label."""

    label: str
    code: str

    @property
    def names(self) -> tuple[str, ...]:
        """What it assigns."""
        return defined(self.code)


class Statement:
    """One statement of a function without branches: its label, what it assigns and reads, and its code."""

    def __init__(self, label: str | None, text: str) -> None:
        self.label, self.text = label, text
        tree = ast.parse(text)
        self.code = compile(tree, "<line>", "exec")
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        self.assigned = tuple(dict.fromkeys(node.id for node in names if isinstance(node.ctx, ast.Store)))
        self.read = frozenset(node.id for node in names if isinstance(node.ctx, ast.Load)) - _BUILTINS


class Function:
    """A function of a program: compiled as a whole, or, where it has no branches, run statement by statement.

    The second is how thousands of wrong versions are tried in a second: a line is compiled once.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        definition = ast.parse(text).body[0]
        if not isinstance(definition, ast.FunctionDef):
            raise ValueError(f"line {text.splitlines()[0]!r} is no function")
        self.name = definition.name
        self.arguments = [argument.arg for argument in definition.args.args]
        lines = text.splitlines()
        matches = [_LABEL.match(line) for line in lines]
        self.labels = tuple(match["label"] for match in matches if match)
        body = definition.body[1:] if ast.get_docstring(definition) is not None else definition.body
        self.statements: list[Statement] | None = None
        plain = not definition.decorator_list and all(isinstance(node, ast.Assign) for node in body[:-1])
        if plain and isinstance(body[-1], ast.Return) and matches[body[-1].lineno - 1] is None:
            self.statements = []
            for node in body[:-1]:
                match = matches[node.lineno - 1]
                self.statements.append(Statement(match["label"] if match else None, ast.unparse(node)))
            assert body[-1].value is not None
            self.answer = compile(ast.Expression(body[-1].value), "<answer>", "eval")

    def bind(self, namespace: dict[str, Any], wrong: Mapping[str, str]) -> Callable[..., Any]:
        """The function with these of its lines replaced, reading all other names from ``namespace``."""
        if self.statements is None:
            code = _compiled(_replaced(self.text, tuple(sorted(wrong.items()))))
            exec(code, namespace)
            return namespace[self.name]
        others = {label: statement_of(label, text) for label, text in wrong.items()}
        codes = [others.get(each.label or "", each).code for each in self.statements]

        def run(*given, **named):
            scope = self.scope(namespace, given, named)
            for code in codes:
                exec(code, scope)
            return eval(self.answer, scope)

        return run

    def scope(self, namespace: Mapping[str, Any], given=(), named: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The names that the first statement finds."""
        return {**namespace, **dict(zip(self.arguments, given)), **(named or {})}


@functools.lru_cache(maxsize=4096)
def statement_of(label: str | None, text: str) -> Statement:
    """A statement, compiled once; no text stands for ``pass``."""
    return Statement(label, text or "pass")


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> types.CodeType:
    return compile(text, "<answer>", "exec")


@functools.lru_cache(maxsize=4096)
def _replaced(text: str, wrong: tuple[tuple[str, str], ...]) -> str:
    other = dict(wrong)
    out = []
    for line in text.splitlines():
        match = _LABEL.match(line)
        if match and match["label"] in other:
            *before, last = other[match["label"]].splitlines() or ["pass"]
            out += [f"{match['indent']}{code}" for code in before]
            out.append(f"{match['indent']}{last}  # {match['label']}")
        else:
            out.append(line)
    return "\n".join(out) + "\n"


@dataclass(frozen=True)
class Program:
    """A worked answer.

    Args:
      text: Python functions, with labelled lines; at the outermost level stand only they, and single lines that call
        something (``cell.defvjp(...)``).
      function: the name of the function that answers the exercise.
      library: makes further names that the text may use, such as ``jnp``; called when the text is first run.
      view: makes, of all names of an answer, the function that is tried; None takes the one that answers.

    >>> program = Program("def twice(x):\\n    y = 2 * x  # [double]\\n    return y\\n", "twice")
    >>> program.compiled()(x=3), program.compiled({"[double]": "y = x"})(x=3)
    (6, 3)
    >>> print(program.stub)
    def twice(x):
        y = ...  # [double]
        return y
    <BLANKLINE>
    """

    text: str
    function: str
    library: Callable[[], dict[str, Any]] | None = None
    view: Callable[[Mapping[str, Any]], Callable[..., Any]] | None = None

    @functools.cached_property
    def lines(self) -> dict[str, Line]:
        """The labelled lines by label, in order.

        Raises:
          ValueError: two lines have one label.
        """
        found: dict[str, Line] = {}
        for line in self.text.splitlines():
            match = _LABEL.match(line)
            if match:
                if match["label"] in found:
                    raise ValueError(f"two lines of {self.function} are labelled {match['label']}")
                found[match["label"]] = Line(match["label"], match["code"])
        return found

    @functools.cached_property
    def parts(self) -> list[Function | str]:
        """Its functions, and its single lines, in order."""
        lines = self.text.splitlines()
        found: list[Function | str] = []
        for node in ast.parse(self.text).body:
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
            text = "\n".join(lines[first - 1 : node.end_lineno])
            found.append(Function(text) if isinstance(node, ast.FunctionDef) else text)
        return found

    @property
    def functions(self) -> dict[str, Function]:
        """Its functions by name, in order."""
        return {part.name: part for part in self.parts if isinstance(part, Function)}

    @property
    def statements(self) -> list[Statement] | None:
        """Those of the function that answers, if it has no branches and is the only one."""
        return self.functions[self.function].statements if len(self.parts) == 1 and self.view is None else None

    def source(self, wrong: Mapping[str, str]) -> str:
        """The text with the lines under these labels replaced; a replacement may have several lines, or none.

        Raises:
          ValueError: there is no such label.
        """
        self.check(wrong)
        return _replaced(self.text, tuple(sorted(wrong.items())))

    def check(self, wrong: Mapping[str, str]) -> None:
        """Raises a ValueError where a label is not one of this program."""
        unknown = set(wrong) - set(self.lines)
        if unknown:
            raise ValueError(
                f"{self.function} has no line {', '.join(sorted(unknown))}; it has {', '.join(self.lines)}"
            )

    def compiled(self, wrong: Mapping[str, str] | None = None) -> Callable[..., Any]:
        """The function that answers, with these lines replaced."""
        self.check(wrong or {})
        names: dict[str, Any] = {"np": np, "sigmoid": sigmoid, "__builtins__": builtins}
        names |= self.library() if self.library else {}
        for part in self.parts:
            if isinstance(part, Function):
                mine = {label: code for label, code in (wrong or {}).items() if label in part.labels}
                names[part.name] = part.bind(names, mine)
            else:
                exec(_compiled(_replaced(part, tuple(sorted((wrong or {}).items())))), names)
        return self.view(names) if self.view else names[self.function]

    @functools.cached_property
    def stub(self) -> str:
        """The text that a student starts from."""
        out: list[str] = []
        inside = False
        for line in self.text.splitlines():
            match = _LABEL.match(line)
            if _BLANK.match(line):
                inside = True
                indent = line[: len(line) - len(line.lstrip())]
                words = line.strip().removeprefix("# blank").removeprefix(": ")
                out.append(f"{indent}{BLANK}  # {words or 'your lines'}")
            elif _END.match(line):
                inside = False
            elif inside:
                continue
            elif match:
                left = match["code"].split("=", 1)[0].rstrip(" +-*/") if defined(match["code"]) else ""
                out.append(f"{match['indent']}{f'{left} = ' if left else ''}{BLANK}  # {match['label']}")
            else:
                out.append(line)
        return "\n".join(out) + "\n"

    @functools.cached_property
    def solution(self) -> str:
        """The text without the marks of what is left out of the stub."""
        lines = [line for line in self.text.splitlines() if not (_BLANK.match(line) or _END.match(line))]
        return "\n".join(lines) + "\n"
