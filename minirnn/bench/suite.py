"""A whole run of the benchmark: which measures, in which order, and the result that ``--json`` prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from minirnn.bench import compare, compiling, fitting, peers, streaming, text
from minirnn.bench.measure import machine
from minirnn.bench.ratios import AS_USED, COMPARISONS, geometric_means
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
    brief: bool = False,
) -> list[Job]:
    """The parts of a run, for ``run``.

    Args:
      names: cell -> the other libraries that it is compared with.
      shapes: (B, T, D, H) each, for the passes.
      measures: of ``task.MEASURES``.
      comparisons: of ``ratios.COMPARISONS``, for the train step.
      rounds: timed calls of each; None: 10, of a compilation or a gradient of a second 3, and one whole training.
      brief: single passes at the first shape and compilation, both for the first cell only; on the same mesh the two
        quickest of the other libraries; no comparison of JAX libraries for a cell that has none beside it. So all
        measures end in minutes.
    """
    many, few, one = (rounds or usual for usual in (10, 3, 1))
    everybody = list(dict.fromkeys(name for of in names.values() for name in of))
    found = []
    for index, (cell, of_cell) in enumerate(names.items()):
        chosen = [AS_USED] if brief and set(of_cell) <= {"torch"} else comparisons
        for shape in shapes:
            all_passes = not brief or (index == 0 and shape == shapes[0])
            passes = [m for m in PASSES if m in measures and (m == "train_step" or all_passes)]
            if passes:
                finalists = 2 if brief else None
                rows = partial(compare.rows, cell, shape, of_cell, passes, chosen, many, finalists=finalists)
                found.append(Job(f"{cell} {','.join(map(str, shape))}", rows))
    for index, cell in enumerate(names):
        if "step" in measures:
            found.append(Job(f"step {cell}", partial(streaming.rows, cell, names[cell], many)))
        if "compile" in measures and not (brief and index):
            found.append(Job(f"compile {cell}", partial(compiling.compile_rows, cell, names[cell], few)))
    if "growth" in measures:
        found.append(Job("growth", partial(compiling.growth_rows, many)))
    if "memory" in measures:
        timed = ("all", "states") if brief else (compiling.PLAIN, *compiling.POLICIES)
        found.append(Job("memory", partial(compiling.memory_rows, rounds=few, timed=timed)))
    if "fit" in measures:
        found.append(Job("fit", partial(fitting.rows, everybody, one)))
    if "text" in measures:
        for shape in text.SHAPES:
            found.append(Job(f"text {','.join(map(str, shape))}", partial(text.rows, everybody, many, shape)))
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
