r"""Equations as lines of Python, in the names that lessons use.

``dc_t = dc^{+}_t + ...`` becomes ``dc = dc_next + ...``: the step t has no suffix, the step before is ``_prev``, what
arrives from the step after is ``_next``. So the right lines of an exercise are never typed: they come from
:mod:`minirnn.equations`, whose LaTeX the tests evaluate against what the library computes.

A sum over t becomes a sum over the batch: within one step it is all that is left of it.

>>> python_line("L10")
'dc = dc_next + dh * o * (1 - np.tanh(c)**2)'
>>> python_line("P4", {"dzh": "dz"})
'dWh = h_prev.T @ dz'
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minirnn.equations import EQUATIONS

# In this order; each works on what the ones before have left.
_TRANSLATION = [
    (r"\\quad", ";"),
    (r"\\odot", "*"),
    (r"\\,", "@"),
    (r"\\sum_t ([^@;]+)@", r"\1@"),  # a product over the rows of a batch sums already
    (r"\\sum_t (\w[^;]*)", r"\1.sum(axis=0)"),
    (r"\^\\top", ".T"),
    (r"\\sigma\(", "sigmoid("),
    (r"\\(tanh|exp|log|sqrt)\(", r"np.\1("),
    (r"\^\{\+\}_\{t-1\}", "_prev"),
    (r"\^\{\+\}_t", "_next"),
    (r"\^\{(\w+)\}", r"_\1"),
    (r"_\{t-1\}", "_prev"),
    (r"_t\b", ""),
    (r"W_\{h(\w+)\}", r"Wh_\1"),
    (r"W_\{?(\w+)\}?", r"W\1"),
    (r"_\{(\w+)\}", r"_\1"),
    (r"\^", "**"),
    (r" +", " "),
    (r"\s*@\s*", " @ "),
    (r" +\.", "."),
]


def python_of(latex: str) -> str:
    r"""The LaTeX of an equation as a line of Python.

    >>> python_of(r"dh^{+}_{t-1} = dh_t \odot (1 - z_t) + dzh_t \, W_h^\top")
    'dh_prev = dh * (1 - z) + dzh @ Wh.T'
    >>> python_of(r"zx_t = x_t \, W_x + b, \quad zh_t = h_{t-1} \, W_h")
    'zx, zh = x @ Wx + b, h_prev @ Wh'
    """
    for pattern, replacement in _TRANSLATION:
        latex = re.sub(pattern, replacement, latex)
    pairs = [part.strip(" ,").split(" = ", 1) for part in latex.split(";")]
    return f"{', '.join(name for name, _ in pairs)} = {', '.join(value for _, value in pairs)}"


def python_line(number: str, renamed: Mapping[str, str] | None = None) -> str:
    """The line of Python that computes an equation.

    Args:
      number: of the equation.
      renamed: names that the lesson calls otherwise, such as dzx and dzh where both are dz.
    """
    line = python_of(EQUATIONS[number].latex)
    for name, other in (renamed or {}).items():
        line = re.sub(rf"\b{re.escape(name)}\b", other, line)
    return line


def defined(line: str) -> tuple[str, ...]:
    """The names that a line assigns; those of arrays and sums that it adds to as well.

    >>> defined("dh_next, dc_next = dh_prev, dc_prev"), defined("dxs[t] = dx"), defined("db += dz.sum(axis=0)")
    (('dh_next', 'dc_next'), ('dxs',), ('db',))
    """
    left = re.match(r"\s*([\w, \[\]]+?)\s*[-+*/]?=(?!=)", line)
    if not left:
        return ()
    return tuple(re.sub(r"\[.*", "", name).strip() for name in left[1].split(","))


def used(line: str) -> set[str]:
    """The names that the right side of a line reads; of ``a.b`` only ``a``.

    >>> sorted(used("dWh = h_prev.T @ dz"))
    ['dz', 'h_prev']
    """
    right = line.split("=", 1)[-1]
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", right)) - {"np", "sigmoid", "axis"}
