"""What an exercise is: a task, a worked answer with labelled lines, and situations in which an answer is tried."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minirnn.learn.programs import Program

# What a rung of the ladder is worth; an exercise's further situations are worth as much as "sequence" and "masks".
POINTS = {
    "own work": 0, "runs": 1, "shapes": 1, "inputs": 1, "repeatable": 1, "linear": 1, "values": 5, "answer": 3,
}  # fmt: skip
OTHER_POINTS = 3
TIMES = ("a warm-up", "easy", "takes thought", "hard", "for a quiet evening")
SIGMOID = '''def sigmoid(z):
    """1 / (1 + exp(-z)), elementwise."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)
'''


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise.

    Args:
      name: what students type, and the name of their file.
      title: one line.
      task: what is to be done, a paragraph or two.
      difficulty: from 1 to 5.
      minutes: for somebody who knows what stands in ``before``.
      before: what one should know, in words, or names of exercises.
      equations: the span of equations that it is about, for those who want to read on.
      text: makes the worked answer; called once, when it is needed.
      function: the function that students write. It returns a dictionary of named arrays.
      cases: ``cases(rng)`` -> name of a rung to the arguments of the function; all sizes different, nothing zero,
        float64. The first is the main one.
      required: names that an answer has to hold; it may hold others of the worked answer (intermediates), and with
        each of them more can be said about a mistake.
      approximate: whether right answers are approximations, which agree to 1e-5 and not to rounding.
      upstream: arguments in which every gradient is linear; () where nothing is linear.
      walk: "backward" or "forward" where arrays whose names are in ``over_time`` are computed along time.
      over_time: names of answers whose first axis is time.
      hints: three, from a nudge to nearly all of it.
      errors: what the errors of a right answer look like.
      needs_sigmoid: whether the file begins with a function ``sigmoid``.
      imports: modules that an answer may import, besides NumPy and a few of the standard library.
      points: of rungs that are worth other than usual.
      first_step: an exercise whose function the answer may hold as well; it is then judged too, before the values.
      solved: whether the library knows the answer. Where not, ``truth`` does.
      truth: ``truth(arguments) -> {name: array}`` where no worked answer is part of the library.
      ways: ``ways(arguments, name) -> list of Way``, beside ``truth``: what comes back on each way to a gradient.
      given: lines above the function: constants, a given function.
      more_rungs: ``more_rungs(module) -> list of rungs`` that come before the values: a question to be answered, say.
      riddle: whether they ask what a diagnosis would tell: it waits until they are right.
      library: makes further names that the worked answer may use, such as ``jnp``.
      view: ``view(names)`` makes, of all names of an answer, the function that is tried, where that is more than one
        function that returns a dictionary.
      traits: names in what that function returns that say how an answer goes about it (1.0 or 0.0), to what is told
        where that is not as in a right one; each is a rung of its own.
      like: an exercise whose known mistakes can happen here too.
    """

    name: str
    title: str
    task: str
    difficulty: int
    minutes: int
    before: tuple[str, ...]
    equations: str
    text: Callable[[], str]
    function: str
    cases: Callable[[np.random.Generator], dict[str, dict[str, Any]]]
    required: tuple[str, ...]
    hints: tuple[str, str, str]
    errors: str
    approximate: bool = False
    upstream: tuple[str, ...] = ()
    walk: str | None = None
    over_time: tuple[str, ...] = ()
    needs_sigmoid: bool = False
    imports: tuple[str, ...] = ()
    points: Mapping[str, float] = field(default_factory=dict)
    first_step: str | None = None
    solved: bool = True
    truth: Callable[[dict[str, Any]], dict[str, np.ndarray]] | None = None
    ways: Callable[[dict[str, Any], str], list[Any]] | None = None
    given: str = ""
    more_rungs: Callable[[Any], list[Any]] | None = None
    riddle: bool = False
    library: Callable[[], dict[str, Any]] | None = None
    view: Callable[[Mapping[str, Any]], Callable[..., Any]] | None = None
    traits: Mapping[str, str] = field(default_factory=dict)
    like: str = ""

    @functools.cached_property
    def program(self) -> Program:
        """The worked answer; of an exercise without one, its stub."""
        return Program(self.text(), self.function, self.library, self.view)

    @functools.cached_property
    def header(self) -> str:
        """The head of a student's file: what it is about, what it takes, what to do."""
        before = ", ".join(self.before) or "nothing"
        lines = [
            f'"""{self.title}',
            "",
            *textwrap.wrap(self.task, 100),
            "",
            f"Difficulty: {self.difficulty} of 5 ({TIMES[self.difficulty - 1]}). Minutes: {self.minutes}. "
            f"Before: {before}.",
            *textwrap.wrap(f"A right answer: {self.errors}", 100),
            f"Replace each `...`, then: minirnn learn check {self.name}.py",
            '"""',
        ]
        return "\n".join(lines)

    def file(self, body: str) -> str:
        """A whole file: the head, imports, what is given, and the body."""
        imports = "import numpy as np\n" if "jax" not in self.imports else "import jax\nimport jax.numpy as jnp\n"
        if "jax" in self.imports:
            imports += "import numpy as np\n" if re.search(r"\bnp\.", body + self.given) else ""
            used = self.program.text + body + self.given  # what the stub leaves out too
            imports += "from jax import lax\n" if re.search(r"(?<!\.)\blax\.", used) else ""
        parts = [f'{self.header}\n\n{imports}\nEXERCISE = "{self.name}"\n']
        if self.needs_sigmoid:
            parts.append(SIGMOID)
        if self.given:
            parts.append(self.given.strip("\n") + "\n")
        return "\n\n".join([*parts, body.strip("\n") + "\n"])

    @property
    def stub(self) -> str:
        """The file that ``minirnn learn start`` writes."""
        return self.file(self.program.stub)

    seeded = False  # whether other seeds give other files

    def solution_of(self, seed: int) -> str:
        """The worked answer of a seed; only riddles differ."""
        return self.solution

    def stub_of(self, seed: int) -> str:
        """The stub of a seed; only riddles differ."""
        return self.stub

    @property
    def solution(self) -> str:
        """The worked answer as a file.

        Raises:
          ValueError: the answer is not part of the library.
        """
        if not self.solved:
            raise ValueError(f"the answer of {self.name} is not part of the library: it is for grades")
        return self.file(self.program.solution)

    @functools.cached_property
    def rungs(self) -> dict[str, float]:
        """The rungs that every answer is measured by, in order, and what each is worth."""
        names = ["own work", "runs", "shapes", "inputs", "repeatable"]
        names += ["linear"] * bool(self.upstream) + ["answer"] * (self.more_rungs is not None)
        names += [*self.traits, *self.cases(np.random.default_rng(0))]
        return {name: self.points.get(name, POINTS.get(name, OTHER_POINTS)) for name in names}

    def right(self, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
        """What a right answer returns, with every intermediate that the worked answer names."""
        if self.truth is not None:
            return self.truth(arguments)
        return {name: np.asarray(value) for name, value in self.program.compiled()(**arguments).items()}
