"""Reads a formula back from numbers: which product of known factors is it that a student's function computes?

A gradient is linear in what arrives from above. So it is probed with one of the upstream gradients at a time, the
others zero: what comes out is one term of the formula. A term is looked for as ``k * upstream * factor * ...``, with
every product of up to four factors that can be made of the gates. No catalogue is needed.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

MOST_FACTORS, MOST_OF_TWO = 4, 2  # in a single term, and in each of two
MOST_NAMES, MOST_SUMS = 4, 64  # names that are tried for one upstream gradient, sums of terms
CLOSE = 1e-7  # relative error of a formula
BOUND = 1e-10  # of 1 - |cosine|: products that are not equal are far beyond it
NUMBERS = {1.0: "", -1.0: "-", 2.0: "2 * ", -2.0: "-2 * ", 0.5: "0.5 * ", -0.5: "-0.5 * ", 3.0: "3 * ", 4.0: "4 * "}


@functools.lru_cache(maxsize=8)
def _choices(count: int) -> tuple[tuple[tuple[int, ...], ...], np.ndarray, np.ndarray]:
    """Which factors stand in each product, the short products first; and of each its place without its last factor."""
    chosen = tuple(
        each for size in range(MOST_FACTORS + 1) for each in itertools.combinations_with_replacement(range(count), size)
    )
    places = {each: place for place, each in enumerate(chosen)}
    without = np.array([places[each[:-1]] if each else 0 for each in chosen])
    last = np.array([each[-1] if each else 0 for each in chosen])
    return chosen, without, last


class Products:
    """All products of up to four factors, evaluated."""

    def __init__(self, factors: Mapping[str, np.ndarray]) -> None:
        self.names = tuple(factors)
        values = np.stack([np.asarray(factors[name], float).ravel() for name in self.names])
        self.choices, without, last = _choices(len(self.names))
        sizes = np.array([len(each) for each in self.choices])
        self.table = np.ones((len(self.choices), values.shape[1]))
        for size in range(1, MOST_FACTORS + 1):
            these = np.flatnonzero(sizes == size)
            self.table[these] = self.table[without[these]] * values[last[these]]
        self.squares = self.table**2

    def times(self, gradient: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(product with ``wanted``, norm) of every product times ``gradient``."""
        return self.table @ (gradient * wanted), np.sqrt(self.squares @ gradient**2)

    def repeated(self, times: int) -> Products:
        """The same products where the elements are repeated."""
        other = copy.copy(self)
        other.table, other.squares = np.tile(self.table, (1, times)), np.tile(self.squares, (1, times))
        return other

    def text(self, place: int) -> str:
        """A product in words, such as ``o * (1 - np.tanh(c)**2)``."""
        counted = [
            (name, len(list(group))) for name, group in itertools.groupby(self.names[k] for k in self.choices[place])
        ]
        parts = []
        for name, times in counted:
            part = f"({name})" if "-" in name or "+" in name else name
            parts.append(part if times == 1 else f"{part}**{times}")
        return " * ".join(parts)


def _number(factor: float) -> str | None:
    """A factor as it is written in front of a term; None if it is no number that one would write."""
    return next((text for value, text in NUMBERS.items() if abs(factor - value) <= 1e-7 * abs(value)), None)


def _written(number: str, base: str, rest: str) -> str:
    return f"{number}{base}{' * ' + rest if rest else ''}"


def term(values: np.ndarray, base: str, gradient: np.ndarray, products: Products) -> str | None:
    """``values`` as number * base * product, or None.

    Args:
      values: what is to be explained.
      base: the name of an upstream gradient.
      gradient: its values.
      products: of the factors, over the same elements.
    """
    wanted, gradient = np.asarray(values, float).ravel(), np.asarray(gradient, float).ravel()
    size = np.linalg.norm(wanted)
    along, sizes = products.times(gradient, wanted)
    with np.errstate(all="ignore"):
        cosines = along / (sizes * size)
    for place in map(int, np.flatnonzero(np.abs(cosines) >= 1 - BOUND)):  # the short products stand first
        factor = float(np.sign(cosines[place]) * size / sizes[place])
        number = _number(factor)
        if number is not None and np.linalg.norm(wanted - factor * products.table[place] * gradient) <= CLOSE * size:
            return _written(number, base, products.text(place))
    return None


def two_terms(values: np.ndarray, base: str, gradient: np.ndarray, products: Products) -> str | None:
    """The same as a sum of two terms with short products: what one leaves has to be a multiple of the other's rest."""
    wanted = np.asarray(values, float).ravel()
    count = sum(len(chosen) <= MOST_OF_TWO for chosen in products.choices)
    short = products.table[:count] * np.asarray(gradient, float).ravel()
    for first, one in enumerate(short):
        length = float(one @ one)
        if length == 0:
            continue
        left = wanted - (wanted @ one) / length * one
        others = short - np.outer(short @ one / length, one)
        sizes = np.linalg.norm(others, axis=1) * np.linalg.norm(left)
        with np.errstate(all="ignore"):
            cosines = np.abs(others @ left) / sizes
        for second in map(int, np.flatnonzero((cosines >= 1 - BOUND) & (sizes > 1e-9 * length))):
            pair = np.stack([one, short[second]], axis=1)
            factors = np.linalg.lstsq(pair, wanted, rcond=None)[0]
            numbers = [_number(float(factor)) for factor in factors]
            if None in numbers or np.linalg.norm(pair @ factors - wanted) > CLOSE * np.linalg.norm(wanted):
                continue
            places = (first, second)
            terms = [_written(number or "", base, products.text(place)) for number, place in zip(numbers, places)]
            return _sum(terms)
    return None


def _sum(terms: Sequence[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ")


def formula(
    probes: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    factors: Mapping[str, np.ndarray],
    preferred: Sequence[str],
    holds: Callable[[str], bool],
) -> str | None:
    """The formula of a quantity that is linear in upstream gradients, or None.

    Args:
      probes: for each upstream gradient that was sent down alone: the quantity, and every gradient that was known
        before it, by name.
      factors: what the gradients may be multiplied by, by the text that computes it.
      preferred: names of gradients that the right formula uses.
      holds: whether a formula gives the quantity where all upstream gradients come together.
    """
    products = Products(factors)
    names = [name for name in probes[0][1] if all(name in known for _, known in probes)]
    names.sort(key=lambda name: name not in preferred)
    # One term that explains all probes at once: dc * c_prev, whatever dc consists of.
    whole = np.concatenate([np.ravel(values) for values, _ in probes])
    if not whole.any():
        return "0"
    repeated = products.repeated(len(probes))
    for name in names:
        gradient = np.concatenate([np.ravel(known[name]) for _, known in probes])
        found = term(whole, name, gradient, repeated) if gradient.any() else None
        if found and holds(found):
            return found
        if name in preferred and gradient.any():
            found = two_terms(whole, name, gradient, repeated)
            if found and holds(found):
                return found
    # Else a term for each upstream gradient. Several names may stand for it; the sum of all tells which is meant.
    possible = []
    for values, known in probes:
        if np.any(values):
            bases = [name for name in names if np.any(known[name])]
            terms = [found for name in bases if (found := term(values, name, known[name], products))]
            possible.append(sorted(dict.fromkeys(terms), key=len)[:MOST_NAMES])
    for chosen in itertools.islice(itertools.product(*possible), MOST_SUMS):
        text = _sum(list(dict.fromkeys(chosen)))
        if holds(text):
            return text
    return None
