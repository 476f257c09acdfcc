"""The catalogue as a page: every known way to get it wrong, beside the right one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minirnn.equations import EQUATIONS
from minirnn.learn.mistakes import CATALOGUE, FAMILIES
from minirnn.learn.mistakes.mistake import Mistake


@functools.cache
def _program(mistake: Mistake) -> Any:
    from minirnn.learn.exercises import exercises

    return exercises()[mistake.where[0]].program


def right_lines(mistake: Mistake) -> list[str]:
    """The right lines, in the order of the wrong ones."""
    return [_program(mistake).lines[label].code for label in mistake.wrong]


def as_dict(mistake: Mistake) -> dict[str, Any]:
    """For machines."""
    return {
        "id": mistake.id,
        "family": mistake.family,
        "equation": mistake.equation or None,
        "exercises": list(mistake.where),
        "wrong": list(mistake.wrong.values()),
        "right": right_lines(mistake),
        "term": mistake.term,
        "why": mistake.why,
        "seen": mistake.seen or None,
    }


def lines(mistakes: Iterable[Mistake]) -> list[str]:
    """The catalogue in plain text."""
    out = []
    for mistake in mistakes:
        number = f" ({mistake.equation})" if mistake.equation else ""
        out.append(f"{mistake.id}{number}: {mistake.term}")
        for wrong, right in zip(mistake.wrong.values(), right_lines(mistake)):
            out += [f"    wrong  {wrong or '(nothing)'}", f"    right  {right}"]
        seen = f" Seen in {mistake.seen}." if mistake.seen else ""
        out += [f"    {mistake.why}.{seen}", ""]
    return out[:-1]


def markdown(mistakes: tuple[Mistake, ...] = CATALOGUE) -> str:
    """The page for GitHub."""
    out = [
        f"# {len(mistakes)} ways to get backpropagation through time wrong",
        "",
        "Generated from the catalogue that the grader of `minirnn learn` knows; `minirnn learn mistakes` prints the "
        "same. Each is told from the others by the numbers alone (a few of JAX by the program that is traced): the "
        "tests run them all. The numbers in the first column are those of [the equations](EQUATIONS.md).",
        "",
    ]
    for family, title in FAMILIES.items():
        mine = [mistake for mistake in mistakes if mistake.family == family]
        if not mine:
            continue
        out += [f"## Of {title}: {len(mine)}", "", "| equation | wrong | right | why |", "|---|---|---|---|"]
        for mistake in mine:
            wrong = "<br>".join(_cell(line) for line in mistake.wrong.values())
            right = "<br>".join(_cell(line) for line in right_lines(mistake))
            number = mistake.equation if mistake.equation in EQUATIONS else ""
            seen = f" *Seen in {mistake.seen}.*" if mistake.seen else ""
            why = f"{mistake.term}: {mistake.why}.{seen}".replace("|", "\\|")
            out.append(f"| {number} | {wrong} | {right} | {why}<br><sub>{mistake.id}</sub> |")
        out.append("")
    return "\n".join(out)


def main() -> None:
    """Writes the page: ``python -m minirnn.learn.mistakes.page [FILE]``."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("tutorials/MISTAKES.md")
    target.write_text(markdown(), encoding="utf-8")


def _cell(code: str) -> str:
    text = " ; ".join(code.splitlines()) or "pass"
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    main()
