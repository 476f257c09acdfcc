"""What a check found: rungs of a ladder, what is wrong in them, and which known mistake it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minirnn._version import __version__


@dataclass
class Rung:
    """One thing that was looked at.

    Args:
      name: of the rung, stable.
      ok: whether all is well; None where a rung below it broke, so that it was not tried.
      message: one line that says what is wrong, or what was seen.
      share: of its points, from 0 to 1.
      points: what it is worth; set when all rungs are known.
      max_rel: the largest relative error of an array, where arrays were compared.
    """

    name: str
    ok: bool | None
    message: str = ""
    share: float = 0.0
    max_rel: float | None = None
    points: float = 0.0

    def __post_init__(self) -> None:
        if self.ok:
            self.share = 1.0


@dataclass
class Finding:
    """What is wrong, at three levels of saying so.

    Args:
      id: of the catalogue's entry; empty where none fits.
      confidence: ``"exact"`` (the numbers of this entry, on two probes), ``"read back"`` (the formula was found from
        the numbers, but is in no catalogue) or ``"unknown"``.
      name: the quantity.
      equation: the number of its equation, or empty.
      where: where it is wrong.
      term: which term is wrong, and why.
      formula: the line that was written, as far as it is known.
      right: the right line, or empty where the library does not tell.
      source: file and line where the library computes it.
    """

    id: str
    confidence: str
    name: str
    equation: str
    where: str
    term: str = ""
    formula: str = ""
    right: str = ""
    source: str = ""

    def text(self, level: int = 3) -> str:
        """As much as a level reveals: 1 where, 2 which term, 3 the formula."""
        lines = [self.where]
        if level >= 2 and self.term:
            lines.append(self.term)
        if level >= 3 and self.formula:
            lines.append(f"yours: {self.formula}")
        if level >= 3 and self.right:
            lines.append(f"right: {self.right}")
        if level >= 3 and self.source:
            lines.append(f"read {self.source}")
        return "\n".join(lines)


@dataclass
class Result:
    """The whole check of one file."""

    exercise: str
    seed: int
    rungs: list[Rung] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    first_wrong: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    hints_used: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def passed(self) -> bool:
        """Whether every rung is well."""
        return bool(self.rungs) and all(rung.ok for rung in self.rungs)

    @property
    def points(self) -> float:
        """What the answer gets."""
        return sum(rung.points * rung.share for rung in self.rungs)

    @property
    def of(self) -> float:
        """What a right answer gets."""
        return sum(rung.points for rung in self.rungs)

    def finish(self, rungs: Mapping[str, float]) -> None:
        """Adds the rungs that were not tried, and what each is worth.

        Args:
          rungs: name of every rung to its points.
        """
        tried = {rung.name for rung in self.rungs}
        self.rungs += [Rung(name, None, "not tried") for name in rungs if name not in tried]
        for rung in self.rungs:
            rung.points = rungs.get(rung.name, 0.0)
        self.seconds = time.perf_counter() - self.started

    def as_dict(self) -> dict[str, Any]:
        """For machines; the names are stable."""
        return {
            "exercise": self.exercise,
            "version": __version__,
            "seed": self.seed,
            "passed": self.passed,
            "points": round(self.points, 2),
            "of": round(self.of, 2),
            "rungs": [
                {
                    "name": rung.name,
                    "ok": rung.ok,
                    "max_rel": rung.max_rel if rung.max_rel is None or rung.max_rel < float("inf") else None,
                    "message": rung.message,
                    "points": round(rung.points * rung.share, 2),
                    "of": rung.points,
                }
                for rung in self.rungs
            ],
            "first_wrong": self.first_wrong,
            "diagnosis": [
                {
                    "id": finding.id or None,
                    "confidence": finding.confidence,
                    "name": finding.name,
                    "equation": finding.equation or None,
                    "text": finding.text(3),
                    "source": finding.source or None,
                    "levels": [finding.where, finding.term, finding.formula, finding.right],
                }
                for finding in self.findings
            ],
            "notes": self.notes,
            "hints_used": self.hints_used,
            "seconds": round(self.seconds, 3),
        }
