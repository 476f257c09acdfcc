"""Broken on purpose: exercises in reading. One line of a worked answer is wrong: which one?

A file holds a whole function with a mistake of the catalogue in it, and what a gradient check says of it. The student
says which line is wrong (``WRONG = "L10"``) and mends it. Which mistake it is depends on the ``SEED`` of the file, so
that a class need not share one: :meth:`Broken.stub_of`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.learn.exercises import lengths, recurrent, structure, training
from minirnn.learn.exercises.course import COURSE, MISTAKES_OF_THE_COURSE
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.observing import EXACT, distance, observe, one_line
from minirnn.learn.grading.result import Rung
from minirnn.learn.mistakes import Mistake, of_exercise
from minirnn.learn.programs import Program

# What nobody would write by mistake: it only serves to compute what a mistake leads to.
_ARTIFICIAL = re.compile(
    r"\b0 \*|_replace|\bclip\b|\bmin\(|\(t [=><]|\bpass\b|np\.nan|zeros|np\.full|for d, W|^(\w+) = \1$|'bs,bk"
)
_LONGER = 26  # characters by which a wrong line may differ: a line that looks odd is no riddle


@dataclass(frozen=True, eq=False)
class Broken(Exercise):
    """An exercise in reading.

    Args:
      base: the exercise whose worked answer is broken.
      blocks: array to the names of the blocks of its last axis, which are checked one by one as well.
      only: a pattern of ids of the catalogue that may happen here.
      begins: the id of the mistake of seed 0.
      fixed: label to wrong line, where the mistakes are always the same; WRONG is then a list.
    """

    base: Exercise | None = None
    blocks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    only: str = ""
    begins: str = ""
    fixed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The mistakes that may stand in a file, in an order that is the same for everybody."""
        chosen = [m for m in of_exercise(self.like) if re.search(self.only, m.id) and self._is_a_riddle(m)]
        mixed = [chosen[k] for k in np.random.default_rng(7).permutation(len(chosen))]
        return tuple(sorted(mixed, key=lambda mistake: mistake.id != self.begins))

    def _is_a_riddle(self, mistake: Mistake) -> bool:
        if len(mistake.wrong) != 1:
            return False
        ((label, line),) = mistake.wrong.items()
        right = self.program.lines[label].code
        return bool(line) and not _ARTIFICIAL.search(line) and abs(len(line) - len(right)) <= _LONGER

    def wrong(self, seed: int) -> dict[str, str]:
        """Label to wrong line of the file of a seed; seeds in a row give different ones, until all have come."""
        return dict(self.fixed) or dict(self.mistakes[seed % len(self.mistakes)].wrong)

    @property
    def seeded(self) -> bool:  # type: ignore[override]
        """Whether other seeds give other riddles."""
        return not self.fixed

    def stub_of(self, seed: int) -> str:
        """The file of a seed."""
        wrong = self.wrong(seed)
        words = "the label at the end of the wrong line, such as"
        if self.fixed:
            words = "the labels at the ends of all wrong lines, such as"
        example = '["L9", "[dx]"]' if self.fixed else '"L9" or "[dx]"'
        number = "" if self.fixed else f"SEED = {seed}  # which mistake it is; leave it as it stands"
        answer = f"...  # {words} {example}"
        return self._with(Program(self.program.source(wrong), self.function), wrong, answer, number)

    def _with(self, program: Program, wrong: Mapping[str, str], answer: str, number: str) -> str:
        top = [*([number, ""] if number else []), *self.printout(wrong), f"WRONG = {answer}"]
        return self.file("\n".join(top) + "\n\n\n" + program.solution)

    @property
    def stub(self) -> str:
        """The file that ``minirnn learn start`` writes."""
        return self.stub_of(0)

    @property
    def solution(self) -> str:
        """That file, answered and mended."""
        return self.solution_of(0)

    def solution_of(self, seed: int) -> str:
        """The file of a seed, answered and mended."""
        wrong = self.wrong(seed)
        answer = repr([*wrong]) if self.fixed else repr(next(iter(wrong)))
        return self._with(self.program, wrong, answer, "" if self.fixed else f"SEED = {seed}")

    # ------------------------------------------------------------ the printout

    def printout(self, wrong: Mapping[str, str]) -> list[str]:
        """What a gradient check says of the broken function, as comments."""
        columns = self._checked(wrong)
        # A sum of parts that is right everywhere says it for all of them.
        rows = [row for row in next(iter(columns.values())) if not self._is_idle(row, columns)]
        width = max(map(len, rows))
        heads = [f"{name:>8}" for name in columns]
        alone = ["# Beside it what comes out if all gradients that arrive are zero but one."] * (len(self.upstream) > 1)
        lines = [
            "# A gradient check of this file: ||its - right|| / max(||its||, ||right||) of each array. A dot is right.",
            *alone,
            "#",
            f"#   {'':{width}}  {'  '.join(heads)}".rstrip(),
        ]
        for row in rows:
            cells = [f"{column[row]:>{len(head)}}" for head, column in zip(heads, columns.values())]
            lines.append(f"#   {row:{width}}  {'  '.join(cells)}")
        return lines

    def _is_idle(self, row: str, columns: Mapping[str, Mapping[str, str]]) -> bool:
        whole = re.split(r"[,\[]", row)[0]
        return row != whole and all(column[whole] == "." for column in columns.values())

    def _checked(self, wrong: Mapping[str, str]) -> dict[str, dict[str, str]]:
        cases = self.cases(np.random.default_rng(0))
        first = next(iter(cases.values()))
        tried = dict(cases) if len(cases) > 1 else {"all": first}
        for name in self.upstream:
            others = {other: np.zeros_like(first[other]) for other in self.upstream if other != name}
            if others:
                tried[f"{name} alone"] = {**first, **others}
        function = self.program.compiled(wrong)
        return {column: self._errors(function, arguments) for column, arguments in tried.items()}

    def _errors(self, function: Any, arguments: dict[str, Any]) -> dict[str, str]:
        right, mine = self.right(arguments), observe(function, arguments).answer or {}
        errors = {}
        for name in self.required:
            errors[name] = _size(mine[name], right[name])
            if name in self.over_time:
                errors |= {f"{name}[{t}]": _size(mine[name][t], right[name][t]) for t in range(len(right[name]))}
            blocks = self.blocks.get(name, "")
            parts = [np.split(array, len(blocks), axis=-1) for array in (mine[name], right[name]) if blocks]
            errors |= {f"{name}, block {block}": _size(*pair) for block, *pair in zip(blocks, *parts)}
        return errors

    # ------------------------------------------------------------ the answer

    def judge_answer(self, module: Any) -> list[Rung]:
        """The rung "answer": is it the line that WRONG names?"""
        seed, said = getattr(module, "SEED", 0), getattr(module, "WRONG", None)
        if isinstance(seed, bool) or not isinstance(seed, int):
            return [
                Rung(
                    "answer",
                    False,
                    f"SEED is {one_line(repr(seed), 60)}; expected the integer that the file began with",
                )
            ]
        labels = _labels(said)
        wrong = set(self.wrong(seed))
        known = self.program.lines
        if labels is None or not labels or (len(labels) > 1 and not self.fixed):
            expected = 'a list of labels such as ["L9", "[carry]"]' if self.fixed else 'one label, such as "L9"'
            return [Rung("answer", False, f"WRONG is {one_line(repr(said), 60)}; expected {expected}")]
        by_key = {_key(label): label for label in known}
        strange = [label for label in labels if _key(label) not in by_key]
        if strange:
            return [
                Rung(
                    "answer",
                    False,
                    f"no line is labelled {one_line(strange[0], 30) or repr(strange[0])}; there are {', '.join(known)}",
                )
            ]
        mine = {by_key[_key(label)] for label in labels}
        if mine == wrong:
            return [Rung("answer", True)]
        fine = [label for label in known if label in mine - wrong]
        found = len(mine & wrong)
        told = [f"{found} of {len(wrong)} wrong lines found"] if self.fixed else []
        if fine:
            told.append(f"{' and '.join(fine)} {'does' if len(fine) == 1 else 'do'} what it should: look elsewhere")
        return [Rung("answer", False, "; ".join(told), max(0.0, (found - len(fine)) / len(wrong)))]


def _labels(said: Any) -> list[str] | None:
    """What WRONG holds, as a list of texts; None if it is something else."""
    labels = [said] if isinstance(said, str) else list(said) if isinstance(said, list | tuple | set) else None
    return labels if labels is not None and all(isinstance(label, str) for label in labels) else None


def _key(label: str) -> str:
    return label.strip().strip("[]# ").casefold()


def _size(mine: Any, right: Any) -> str:
    error = distance(mine, right)
    if error <= EXACT:
        return "."
    return "NaN" if not np.isfinite(mine).all() else f"{error:.2f}" if error >= 0.005 else f"{error:.0e}"


# ---------------------------------------------------------------- the exercises

_TASK = (
    "One line of the function below is wrong. It came from a derivation, not from typing: it has the right shape, "
    "and it runs. Above it stands what a gradient check says. Find the line by reasoning: which arrays are wrong, "
    "which are not, and what do the wrong ones have in common? Say which it is (WRONG), and mend it."
)
_ERRORS = "the line is named, and every array agrees to about 1e-15."
_READ = "Of the arrays that are wrong, the one that is computed first tells most. All that is right rules lines out."


def _broken(name: str, base: Exercise, minutes: int, hints: tuple[str, str], **more: Any) -> Broken:
    inherited = {
        field: getattr(base, field)
        for field in ("equations", "text", "function", "cases", "required", "upstream", "walk", "over_time",
                      "needs_sigmoid", "first_step", "given")
    }  # fmt: skip
    made = Broken(
        name=name,
        title=f"Broken on purpose: {_small(base.title)}",
        **{"task": _TASK, "difficulty": 2, "like": base.name, **more},
        minutes=minutes,
        before=(base.name,),
        hints=(_READ, *hints),
        errors=_ERRORS,
        base=base,
        riddle=True,
        # It runs as it is: only what is found out counts.
        points={"runs": 0, "shapes": 0, "inputs": 0, "repeatable": 0, "linear": 0, "answer": 5},
        **inherited,
    )
    object.__setattr__(made, "more_rungs", made.judge_answer)
    return made


def _small(title: str) -> str:
    """A title within another one."""
    title = title.replace(": ", ", ")
    return title if title[1].isupper() else title[0].lower() + title[1:]


def _by_name(name: str, rooms: Iterable[Any]) -> Exercise:
    return next(each for room in rooms for each in room.EXERCISES if each.name == name)


_BASES = functools.partial(_by_name, rooms=(recurrent, training, lengths, structure))
_COLUMNS = (
    "A column with one gradient alone shows one path: an array that is right there gets its mistake on another one. "
    "A column without any gradient on a path cannot show what is wrong on it."
)
EXERCISES = (
    _broken(
        "broken_lstm",
        _BASES("lstm_step_backward"),
        15,
        (
            _COLUMNS,
            "If one block of db is wrong alone, look at the lines of that gate. If all of them are, and dc_prev too, "
            "look at what they are all made of: dh and dc.",
        ),
        blocks={"db": "ifgo"},
        begins="lstm.dc.bracket",
    ),
    _broken(
        "broken_gru",
        _BASES("gru_step_backward"),
        15,
        (
            "db has the blocks of r, z and n. b_hn stands inside of the reset: its gradient is that of zh_n.",
            "dh_prev has two paths: past the gates, and through h_prev Wh. If dh_prev alone is wrong, it is its own "
            "line.",
        ),
        blocks={"db": "rzn"},
        begins="gru.dr.bias-left-out",
    ),
    _broken(
        "broken_bptt",
        _BASES("lstm_backward"),
        15,
        (
            "dxs is shown step by step. The walk goes from the last step to the first: where does it begin to be "
            "wrong?",
            "Right dxs and wrong sums: look at what is added up. Right dxs and wrong dh0 or dc0: look behind the "
            "loop. Only the last step right: look at what is handed from step to step.",
        ),
        only=r"\.walk\.",
        begins="lstm.walk.c-not-carried",
    ),
    _broken(
        "broken_loss",
        _BASES("softmax_cross_entropy"),
        10,
        (
            "Is the loss right and its gradient wrong, or both? In which situations?",
            "If only sequences with padding are wrong, look where the mask is used; if all are, and by a factor, "
            "look at what divides.",
        ),
        begins="general.loss.gradient-of-padding",
    ),
    _broken(
        "broken_attention",
        _BASES("attention_backward"),
        20,
        (
            "If c is right, the whole way forward is. dv takes a path of its own; dq and dk share theirs up to de.",
            "A softmax is left unchanged by what is added to all scores: so the de of one query add up to zero. "
            "Which line sees to that?",
        ),
        difficulty=3,
        begins="general.attention.sum-without-weights",
    ),
    _broken(
        "broken_mask",
        _BASES("masked_backward"),
        15,
        (
            "If everything is right without padding, look at the lines with the mask in them.",
            "ys and h_T are of the way forward. If they are right, follow one sequence that has ended on the way "
            "back: what should reach its h0?",
        ),
        difficulty=3,
        only=r"\.masked\.",
        begins="general.masked.handed-through-always",
    ),
    _broken(
        "broken_course",
        COURSE,
        40,
        (
            "Begin at the end: dWy and dys come before the walk. Then one step, then what the steps hand to each "
            "other.",
            "i, f, g and o are activated already: slopes are written with them as they are. One slope is no slope at "
            "all, and there is one tanh too many in dc.",
        ),
        task="A case study. A well-known course handed out the backward pass of an LSTM with six mistakes in it; the "
        "report that it fails a gradient check was never closed. Below is such a function in the notation of "
        "this library, with the same six mistakes, of which one was made for three gates: eight lines are "
        "wrong. Find all of them, name them in WRONG, and mend them.",
        difficulty=4,
        fixed=MISTAKES_OF_THE_COURSE,
    ),
)
