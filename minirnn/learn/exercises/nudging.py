"""Gradients of a function that nobody has derived: nudge every quantity in it, one number at a time.

A forward pass is a list of assignments. After the one that computes ``c``, an imaginary 1e-30 is added to one element
of ``c``; what comes out at the end as imaginary part, divided by 1e-30, is the derivative of the loss with respect to
this element, along all ways that lead from it. Nothing is subtracted, so nothing is lost: the gradients are as exact as
derived ones. So a student's derivation of a new cell can be judged, intermediates and all, and no derivation has to be
written down anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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


def _run(forward: Function, arguments: Mapping[str, Any], nudged: str, nudge: np.ndarray | None) -> dict[str, Any]:
    """Runs the assignments one by one; adds the nudge where its quantity has just been computed."""
    assert forward.statements is not None, f"{forward.name} has branches"
    scope = forward.scope({"np": np, "sigmoid": sigmoid}, named=dict(arguments))
    if nudged in arguments:
        scope[nudged] = scope[nudged] + nudge
    for statement in forward.statements:
        exec(statement.code, scope)
        if nudged in statement.assigned:
            scope[nudged] = scope[nudged] + nudge
    names = {*arguments, *(name for statement in forward.statements for name in statement.assigned)}
    return {name: scope[name] for name in scope if name in names}
