"""Gradients of a function that nobody has derived: nudge every quantity in it, one number at a time.

A forward pass is a list of assignments. After the one that computes ``c``, an imaginary 1e-30 is added to one element
of ``c``; what comes out at the end as imaginary part, divided by 1e-30, is the derivative of the loss with respect to
this element, along all ways that lead from it. Nothing is subtracted, so nothing is lost: the gradients are as exact as
derived ones. So a student's derivation of a new cell can be judged, intermediates and all, and no derivation has to be
written down anywhere.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn.learn.programs import Function, sigmoid

STEP = 1e-30


def values(forward: Function, arguments: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every name that a forward pass assigns, its arguments included.

    Args:
      forward: a function of assignments, without branches.
      arguments: by name.
    """
    return _run(forward, arguments, "", None)


def gradients(
    forward: Function, arguments: Mapping[str, Any], upstream: Mapping[str, np.ndarray], names: Iterable[str]
) -> dict[str, np.ndarray]:
    """The gradients ``d<name>`` of a loss with respect to arguments and intermediates of a forward pass.

    Args:
      forward: a function of assignments, without branches, that works on complex numbers.
      arguments: by name.
      upstream: name of a result to the gradient of the loss with respect to it.
      names: of the quantities to be nudged; the gradients come in their order.

    >>> forward = Function("def f(x, w):\\n    z = x * w\\n    y = z * z + w\\n    return y")
    >>> given = {"x": np.array([2.0]), "w": np.array([3.0])}
    >>> gradients(forward, given, {"y": np.array([1.0])}, ("z", "x", "w"))
    {'dz': array([12.]), 'dx': array([36.]), 'dw': array([25.])}
    """
    at = values(forward, arguments)
    found = {}
    for name in names:
        gradient = np.zeros(np.shape(at[name]))
        for k in np.ndindex(gradient.shape):
            nudge = np.zeros(gradient.shape, complex)
            nudge[k] = 1j * STEP
            moved = _run(forward, arguments, name, nudge)
            gradient[k] = sum(float((d * moved[result].imag).sum()) for result, d in upstream.items()) / STEP
        found[f"d{name}"] = gradient
    return found


class Way(NamedTuple):
    """One of the ways on which a gradient comes back to a quantity.

    Args:
      words: the gradient that arrives from outside, or the line of the forward pass that reads the quantity.
      gradient: the name of the gradient that comes back on it.
      part: how much it adds.
    """

    words: str
    gradient: str
    part: np.ndarray


def ways(
    forward: Function, arguments: Mapping[str, Any], arrives: Mapping[str, Mapping[str, np.ndarray]], name: str
) -> list[Way]:
    """Every way back to a quantity: one for each time that the forward pass reads it, one for each arriving gradient.

    Args:
      forward: as in :func:`gradients`.
      arguments: by name.
      arrives: name of a result to the gradients that arrive at it, by name.
      name: of the quantity.

    >>> forward = Function("def f(x):\\n    y = x * np.tanh(x)\\n    return y")
    >>> found = ways(forward, {"x": np.array([0.0])}, {"y": {"dy": np.array([1.0])}}, "x")
    >>> [way.words for way in found]
    ['the first x in y = x * np.tanh(x)', 'the second x in y = x * np.tanh(x)']
    """
    assert forward.statements is not None, f"{forward.name} has branches"
    upstream = added(arrives)
    found = [Way(gradient, gradient, np.asarray(part)) for gradient, part in arrives.get(name, {}).items()]
    shape = np.shape(values(forward, arguments)[name])
    for place, statement in enumerate(forward.statements):
        times = sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(_read_by(statement.text)))
        for k in range(times):
            code = compile(_Other(name, k).visit(ast.parse(statement.text)), "<line>", "exec")
            part = np.zeros(shape)
            for element in np.ndindex(shape):
                nudge = np.zeros(shape, complex)
                nudge[element] = 1j * STEP
                moved = _run(forward, arguments, name, nudge, (place, code))
                part[element] = sum(float((d * moved[result].imag).sum()) for result, d in upstream.items()) / STEP
            words = statement.text if times == 1 else f"the {_ORDINALS[k]} {name} in {statement.text}"
            found.append(Way(words, f"d{statement.assigned[0]}", part))
    return found


def added(arrives: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """All that arrives at each result, as one gradient."""
    return {result: np.sum(list(parts.values()), axis=0) for result, parts in arrives.items()}


_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_NUDGED = "_nudged"


def _read_by(text: str) -> ast.AST:
    """The right side of an assignment."""
    statement = ast.parse(text).body[0]
    assert isinstance(statement, ast.Assign)
    return statement.value


class _Other(ast.NodeTransformer):
    """Reads another name at one of the places where a line reads a name."""

    def __init__(self, name: str, which: int) -> None:
        self.name, self.left = name, which

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id != self.name or not isinstance(node.ctx, ast.Load):
            return node
        self.left -= 1
        return ast.copy_location(ast.Name(_NUDGED, node.ctx), node) if self.left == -1 else node


def _run(
    forward: Function,
    arguments: Mapping[str, Any],
    nudged: str,
    nudge: np.ndarray | None,
    instead: tuple[int, types.CodeType] | None = None,
) -> dict[str, Any]:
    """Runs the assignments one by one; adds the nudge where its quantity has just been computed.

    With ``instead`` it adds the nudge only for one line, which runs in another form.
    """
    assert forward.statements is not None, f"{forward.name} has branches"
    scope = forward.scope({"np": np, "sigmoid": sigmoid}, named=dict(arguments))
    if nudged in arguments and instead is None:
        scope[nudged] = scope[nudged] + nudge
    for place, statement in enumerate(forward.statements):
        if instead is not None and place == instead[0]:
            scope[_NUDGED] = scope[nudged] + nudge
            exec(instead[1], scope)
            continue
        exec(statement.code, scope)
        if nudged in statement.assigned and instead is None:
            scope[nudged] = scope[nudged] + nudge
    names = {*arguments, *(name for statement in forward.statements for name in statement.assigned)}
    return {name: scope[name] for name in scope if name in names}
