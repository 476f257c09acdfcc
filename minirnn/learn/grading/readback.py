"""Reads a formula back from numbers: which product of known factors is it that a student's function computes?

A gradient is linear in what arrives from above. So it is probed with one of the upstream gradients at a time, the
others zero: what comes out is one term of the formula. A term is looked for as ``k * upstream * factor * ...``, with
every product of up to four factors that can be made of the gates. No catalogue is needed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

MOST_FACTORS = 4
BOUND = 1e-10  # of 1 - |cosine|: products that are not equal are far beyond it
NUMBERS = {1.0: "", -1.0: "-", 2.0: "2 * ", -2.0: "-2 * ", 0.5: "0.5 * ", -0.5: "-0.5 * ", 3.0: "3 * ", 4.0: "4 * "}


@functools.lru_cache(maxsize=8)
def _choices(count: int) -> tuple[tuple[int, ...], ...]:
    """Which factors stand in each product, the short products first."""
    return tuple(
        chosen
        for size in range(MOST_FACTORS + 1)
        for chosen in itertools.combinations_with_replacement(range(count), size)
    )


class Products:
    """All products of up to four factors, evaluated."""

    def __init__(self, factors: Mapping[str, np.ndarray]) -> None:
        self.names = tuple(factors)
        values = [np.asarray(factors[name], float).ravel() for name in self.names]
        self.choices = _choices(len(self.names))
        size = values[0].size if values else 1
        table = np.ones((len(self.choices), size))
        places = {chosen: place for place, chosen in enumerate(self.choices)}
        for place, chosen in enumerate(self.choices):
            if chosen:
                table[place] = table[places[chosen[:-1]]] * values[chosen[-1]]
        self.table = table

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


def term(values: np.ndarray, bases: Mapping[str, np.ndarray], products: Products) -> str | None:
    """``values`` as number * base * product, or None.

    Args:
      values: what is to be explained.
      bases: upstream gradients by name, those to be preferred first.
      products: of the factors, over the same elements.
    """
    wanted = np.asarray(values, float).ravel()
    size = np.linalg.norm(wanted)
    if size == 0:
        return "0"
    best: tuple[int, str] | None = None
    for name, base in bases.items():
        candidates = products.table * np.asarray(base, float).ravel()
        sizes = np.linalg.norm(candidates, axis=1)
        with np.errstate(all="ignore"):
            cosines = candidates @ wanted / (sizes * size)
        for place in map(int, np.flatnonzero(np.abs(cosines) >= 1 - BOUND)):
            factor = float(np.sign(cosines[place]) * size / sizes[place])
            number = next((text for value, text in NUMBERS.items() if abs(factor - value) <= 1e-7 * abs(value)), None)
            if number is None or np.linalg.norm(wanted - factor * candidates[place]) > 1e-7 * size:
                continue
            length = len(products.choices[place]) + (number != "")
            if best is None or length < best[0]:
                rest = products.text(place)
                best = length, f"{number}{name}{' * ' + rest if rest else ''}"
            break  # the short products stand first
    return best[1] if best else None


def formula(
    probes: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]],
    factors: Mapping[str, np.ndarray],
    preferred: Sequence[str],
) -> str | None:
    """The formula of a quantity that is linear in upstream gradients, or None.

    Args:
      probes: for each upstream gradient that was sent down alone: the quantity, and every gradient that was known
        before it, by name.
      factors: what the gradients may be multiplied by, by the text that computes it.
      preferred: names of gradients that the right formula uses.
    """
    products = Products(factors)
    # One term that explains all probes at once: dc * c_prev, whatever dc consists of.
    whole = np.concatenate([np.ravel(values) for values, _ in probes])
    names = [name for name in probes[0][1] if all(name in known for _, known in probes)]
    names.sort(key=lambda name: name not in preferred)
    stacked = {name: np.concatenate([np.ravel(known[name]) for _, known in probes]) for name in names}
    repeated = Products.__new__(Products)
    repeated.names, repeated.choices = products.names, products.choices
    repeated.table = np.tile(products.table, (1, len(probes)))
    single = term(whole, {name: base for name, base in stacked.items() if base.any()}, repeated)
    if single:
        return single
    terms: list[str] = []
    for values, known in probes:
        if not np.any(values):
            continue
        bases = {name: known[name] for name in names if np.any(known[name])}
        found = term(values, bases, products)
        if found is None:
            return None
        if found not in terms:
            terms.append(found)
    return " + ".join(terms).replace("+ -", "- ") if terms else "0"
