"""Ratios minirnn / other library, their geometric means, and the figures that minirnn holds itself to.

A row is a dictionary; ``ms`` holds milliseconds by library, minirnn's own under ``OWN``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

OWN = "minirnn"
BEST = "best jax"  # the quickest of the other JAX libraries in a row
ONE_DEVICE, SAME_MESH, AS_USED = COMPARISONS = ("one device", "same mesh", "as used")
MEANING = {
    ONE_DEVICE: "every JAX library on one device, with the compiler's own settings",
    SAME_MESH: "every JAX library's batch split over the same mesh of devices, with the compiler's own settings",
    AS_USED: "minirnn with its default number of devices and its compiler options, the others in their usual form",
}
_ON_JAX = ("flax", "equinox", "haiku", "keras")


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios that does not depend on which side is the denominator.

    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else math.nan


def best_jax(ms: Mapping[str, float]) -> str | None:
    """The quickest of the other JAX libraries, None where none ran.

    >>> best_jax({"minirnn": 1.0, "torch": 0.5, "flax": 3.0, "haiku": 2.0})
    'haiku'
    """
    others = [name for name in _ON_JAX if name in ms]
    return min(others, key=ms.__getitem__) if others else None


def ratios(ms: Mapping[str, float]) -> dict[str, float]:
    """From milliseconds: minirnn / each other library, and / the best of those on JAX.

    >>> ratios({"minirnn": 1.0, "torch": 0.5, "flax": 4.0, "haiku": 2.0})
    {'torch': 2.0, 'flax': 0.25, 'haiku': 0.5, 'best jax': 0.5}
    """
    result = {name: ms[OWN] / value for name, value in ms.items() if name != OWN}
    best = best_jax(ms)
    return result | ({BEST: result[best]} if best else {})


def geometric_means(rows: Sequence[Mapping]) -> list[dict]:
    """Over the shapes, for each measure, comparison and cell: ``ratio`` (the mean) and ``largest``, by library.

    A library that was left out at some shapes has no mean: it would be one over its best shapes.
    """
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        if row.get("ratio") and "comparison" in row:
            groups.setdefault((row["measure"], row["comparison"], row["cell"]), []).append(row)
    means = []
    for (measure, comparison, cell), of_group in groups.items():
        left_out = {name for row in of_group for name in row.get("left_out", ())}
        names = dict.fromkeys(name for row in of_group for name in row["ratio"] if name not in left_out)
        values = {name: [row["ratio"][name] for row in of_group if name in row["ratio"]] for name in names}
        means.append(
            {
                "measure": measure,
                "comparison": comparison,
                "cell": cell,
                "shapes": len(of_group),
                "ratio": {name: geometric_mean(value) for name, value in values.items()},
                "largest": {name: max(value) for name, value in values.items()},
            }
        )
    return means
