"""A whole run of the benchmark: which measures, in which order, and the result that ``--json`` prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from minirnn.bench import compare, compiling, fitting, peers, streaming
from minirnn.bench.measure import machine
from minirnn.bench.ratios import COMPARISONS, geometric_means
from minirnn.bench.targets import targets
from minirnn.bench.task import PASSES, Shape


class Job(NamedTuple):
    """A part of the run: what it is called while it runs, and what gives its rows."""

    label: str
    rows: Callable[[], list[dict]]


def jobs(
    names: Mapping[str, Sequence[str]],
    shapes: Sequence[Shape],
    measures: Sequence[str],
    comparisons: Sequence[str] = COMPARISONS,
    rounds: int | None = None,
    single: Sequence[Shape] | None = None,
) -> list[Job]:
    """The parts of a run, for ``run``.

    Args:
      names: cell -> the other libraries that it is compared with.
      shapes: (B, T, D, H) each, for the passes.
      measures: of ``task.MEASURES``.
      comparisons: of ``ratios.COMPARISONS``, for the train step.
      rounds: timed calls of each; None: 10, of a compilation 3, and one whole training.
      single: of the shapes, those for forward and forward_backward; None: all.
    """
    many, few, one = (rounds or usual for usual in (10, 3, 1))
    everybody = list(dict.fromkeys(name for of in names.values() for name in of))
    found = []
    for cell, of_cell in names.items():
        for shape in shapes:
            passes = [m for m in PASSES if m in measures and (m == "train_step" or single is None or shape in single)]
            if passes:
                rows = partial(compare.rows, cell, shape, of_cell, passes, comparisons, many)
                found.append(Job(f"{cell} {','.join(map(str, shape))}", rows))
    for cell in names:
        if "step" in measures:
            found.append(Job(f"step {cell}", partial(streaming.rows, cell, names[cell], many)))
        if "compile" in measures:
            found.append(Job(f"compile {cell}", partial(compiling.compile_rows, cell, names[cell], few)))
    if "growth" in measures:
        found.append(Job("growth", partial(compiling.growth_rows, many)))
    if "memory" in measures:
        found.append(Job("memory", partial(compiling.memory_rows, rounds=many)))
    if "fit" in measures:
        found.append(Job("fit", partial(fitting.rows, everybody, one)))
    return found


def run(parts: Iterable[Job], names: Sequence[str] = ()) -> dict:
    """Runs them: ``{"machine": ..., "rows": [...], "geometric_means": [...], "targets": [...], "seconds": ...}``.

    Args:
      parts: from ``jobs``; a progress bar may be wrapped around them.
      names: the other libraries, whose versions are recorded.
    """
    versions = {name: version for name, version in peers.installed().items() if name in names}
    load = machine(versions)["load_average"]  # before: afterwards it is our own
    start = time.perf_counter()
    rows = [row for part in parts for row in part.rows()]
    seconds = time.perf_counter() - start
    return {
        "machine": machine(versions) | {"load_average": load},
        "rows": rows,
        "geometric_means": geometric_means(rows),
        "targets": targets(rows, seconds),
        "seconds": round(seconds, 1),
    }
