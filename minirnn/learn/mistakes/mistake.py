"""One entry of the catalogue: a wrong line for a right one, and why it is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Mistake:
    """A known wrong derivation.

    Args:
      id: family and what is wrong, such as ``"lstm.dc.carry-dropped"``; never that of an equation. Stable.
      where: names of the exercises in which it can happen: their worked answers hold all labels of ``wrong``.
      wrong: label of a line of the worked answer to the line that is written instead.
      term: what is missing, too much or taken for something else, in a few words.
      why: one sentence that says why it is wrong.
      equation: the number of the equation that is violated; by default the first label.
      seen: where people have met it, in a few words, or nothing.
    """

    id: str
    where: tuple[str, ...]
    wrong: Mapping[str, str]
    term: str
    why: str
    equation: str = ""
    seen: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z_]*(\.[A-Za-z0-9_-]+)+", self.id):
            raise ValueError(
                f"{self.id!r} is no id of a mistake: expected words with points between them, like lstm.dc.x"
            )
        if not self.equation:
            numbers = [label for label in self.wrong if re.fullmatch(r"[A-Z]\d+", label)]
            object.__setattr__(self, "equation", numbers[0] if numbers else "")

    @property
    def family(self) -> str:
        """The first word of its id."""
        return self.id.split(".")[0]

    @property
    def labels(self) -> frozenset[str]:
        """The lines that it replaces."""
        return frozenset(self.wrong)


def entries(where: tuple[str, ...], family: str, rows: list[tuple], equation: str = "") -> tuple[Mistake, ...]:
    """Mistakes from rows ``(id without family, label, wrong line, term, why[, more])``.

    ``label`` and the wrong line may be tuples of equal length. ``more`` is a dictionary of further arguments.
    ``equation`` is that of rows whose labels are words.
    """
    made = []
    for name, label, line, term, why, *more in rows:
        labels, lines = ((label,), (line,)) if isinstance(label, str) else (label, line)
        further = dict(more[0]) if more else {}
        if all(label.startswith("[") for label in labels):
            further.setdefault("equation", equation)
        made.append(Mistake(f"{family}.{name}", where, dict(zip(labels, lines, strict=True)), term, why, **further))
    return tuple(made)
