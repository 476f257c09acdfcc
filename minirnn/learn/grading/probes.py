"""The situations in which an answer is tried, and what right and known wrong answers do in them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.grading.observing import EXACT, Observation, alike, is_single, observe
from minirnn.learn.mistakes import Mistake, of_exercise

COARSE = 1e-3  # signatures of what may be alike differ by less


@dataclass(frozen=True)
class Probe:
    """One seed's situations: arguments and right answers by rung."""

    exercise: Exercise
    seed: tuple[int, int]

    @functools.cached_property
    def cases(self) -> dict[str, dict[str, Any]]:
        """The arguments by rung."""
        return self.exercise.cases(np.random.default_rng(self.seed))

    @functools.cached_property
    def right(self) -> dict[str, dict[str, np.ndarray]]:
        """The right answers by rung, intermediates included."""
        return {name: self.exercise.right(arguments) for name, arguments in self.cases.items()}

    def see(self, function, twice: bool = False) -> dict[str, Observation]:
        """What a function does in every situation; called twice, it may be unsteady."""
        seen = {name: observe(function, arguments, twice) for name, arguments in self.cases.items()}
        for observation in seen.values():
            asked = [(observation.answer or {}).get(name) for name in self.exercise.required]
            observation.single = self.exercise.approximate or is_single(asked)
        return seen

    def of(self, mistakes: Iterable[Mistake]) -> dict[str, Observation]:
        """What the worked answer does with these mistakes in it."""
        return self.see(self.exercise.program.compiled(combined(mistakes)))


@functools.lru_cache(maxsize=256)
def probe(exercise: Exercise, seed: int, number: int) -> Probe:
    """One of the probes of a seed: the first tries answers, the others make sure."""
    return Probe(exercise, (seed, number))


def combined(mistakes: Iterable[Mistake]) -> dict[str, str]:
    """All wrong lines of several mistakes, which must not share a line."""
    return {label: line for mistake in mistakes for label, line in mistake.wrong.items()}


def pairs(mistakes: Sequence[Mistake]) -> Iterator[tuple[Mistake, Mistake]]:
    """All pairs that can be made in one answer: of different lines."""
    return ((a, b) for a, b in itertools.combinations(mistakes, 2) if not a.labels & b.labels)


class Table:
    """What every known mistake, or every pair of them, does on one probe; looked up by a signature."""

    def __init__(self, sets: Sequence[tuple[Mistake, ...]], on: Probe) -> None:
        self.names = on.exercise.required
        self.sets, self.seen = [], []
        right = on.of(())
        for mistakes in sets:
            seen = on.of(mistakes)
            if all(alike(seen[rung], right[rung], (*self.names, *on.exercise.traits), EXACT) for rung in seen):
                continue  # two that cancel: nothing is wrong with that
            if all(observation.answer is not None for observation in seen.values()):
                self.sets.append(mistakes)
                self.seen.append(seen)
        self.signatures = np.array([signature(seen, self.names) for seen in self.seen])

    def look_up(
        self, seen: Mapping[str, Observation], names: Mapping[str, Sequence[str]], bound: float
    ) -> list[tuple[Mistake, ...]]:
        """The sets of mistakes that do the same as a function.

        Args:
          seen: what the function does, by rung.
          names: of the arrays that are compared, by rung.
          bound: relative error up to which arrays are equal.
        """
        if not self.sets:
            return []
        wanted = signature(seen, self.names)
        with np.errstate(all="ignore"):
            scale = np.maximum(np.abs(self.signatures), np.abs(wanted))
            near = (np.abs(self.signatures - wanted) <= COARSE * scale) | ~np.isfinite(self.signatures)
        near |= ~np.isfinite(wanted)
        return [
            self.sets[k]
            for k in np.flatnonzero(near.all(axis=1))
            if all(alike(self.seen[k][rung], seen[rung], names[rung], bound) for rung in seen)
        ]


def signature(seen: Mapping[str, Observation], names: Sequence[str]) -> np.ndarray:
    """A few numbers for every array: those of equal arrays are equal, of others hardly ever."""
    numbers = []
    for observation in seen.values():
        for name in names:
            array = (observation.answer or {}).get(name)
            if isinstance(array, np.ndarray) and array.size and np.isfinite(array).all():
                numbers.append(float(array.astype(float).ravel() @ _projection(array.size)))
            else:
                numbers.append(np.nan)
    return np.array(numbers)


@functools.lru_cache(maxsize=256)
def _projection(size: int) -> np.ndarray:
    return np.random.default_rng(size).uniform(0.5, 1.5, size)


@functools.lru_cache(maxsize=64)
def singles(exercise: Exercise, seed: int) -> Table:
    """What every known mistake of an exercise does."""
    return Table([(mistake,) for mistake in of_exercise(exercise.like or exercise.name)], probe(exercise, seed, 0))


@functools.lru_cache(maxsize=8)
def doubles(exercise: Exercise, seed: int) -> Table:
    """What every pair of known mistakes does: some thousands."""
    return Table(list(pairs(of_exercise(exercise.like or exercise.name))), probe(exercise, seed, 0))
