"""One cell at one shape by every library: the passes of :mod:`minirnn.bench.task`, all interleaved.

A train step is compared three ways (``ratios.MEANING``), the other passes on one device. A run that takes part in
several comparisons is timed once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from minirnn.bench import own, peers, pytorch
from minirnn.bench.devices import devices_for, divisor
from minirnn.bench.measure import cores, interleaved, medians, spreads
from minirnn.bench.ratios import AS_USED, COMPARISONS, ONE_DEVICE, OWN, SAME_MESH, best_jax, ratios
from minirnn.bench.task import Run, Shape, make_batches, minibatches


class Key(NamedTuple):
    """What makes two runs of a measure the same one."""

    name: str
    devices: int
    options: bool  # compiled with minirnn's compiler options


def rows(
    cell: str,
    shape: Shape,
    names: Sequence[str],
    measures: Sequence[str] = ("train_step",),
    comparisons: Sequence[str] = COMPARISONS,
    rounds: int = 10,
    seconds: float = 0.02,
    available: int | None = None,
    finalists: int | None = None,
) -> list[dict]:
    """The rows of one cell and shape, one for each measure and comparison.

    A row holds ``cell``, ``shape`` [B, T, D, H], ``measure``, ``comparison``, ``ms`` per minibatch by library (median
    over rounds), ``spread`` (quartiles, ms), ``ratio`` (minirnn / other: below one, minirnn is faster; ``"best jax"``
    is the quickest of the other JAX libraries, which ``best_jax`` names), ``devices``, ``minibatches``, ``rounds``,
    ``threads`` (where a run chose them), ``notes`` (where a library's task differs), ``failed`` (a library that could
    not run, and why) and ``left_out`` (JAX libraries that were too slow on one device for the same mesh).

    Args:
      cell: of ``task.CELLS``.
      shape: (B, T, D, H).
      names: of ``peers.PEERS``; each must be installed.
      measures: of ``task.PASSES``.
      comparisons: of ``ratios.COMPARISONS``, for the train step.
      rounds: timed calls of each run, after one that is not counted.
      seconds: about how long one call of a train step takes.
      available: devices; None: all that there are.
      finalists: on the same mesh only as many of the other libraries as this, the quickest on one device: compiling
        for everybody takes minutes. None: all of them.
    """
    import jax

    available = len(jax.devices()) if available is None else available
    models: dict[str, Any] = {OWN: own.build(cell, shape)}
    failed: dict[str, str] = {}
    for name in names:
        try:
            models[name] = pytorch.build(cell, shape) if name == "torch" else peers.BUILDERS[name](cell, shape)
        except Exception as error:  # another library's fault must not cost the rest of the table
            failed[name] = reason(error)
    batches = make_batches(shape, minibatches(shape, seconds))
    result = []
    for measure in measures:
        chosen = comparisons if measure == "train_step" else (ONE_DEVICE,)
        if available == 1:  # then there is no mesh to be had
            chosen = [comparison for comparison in chosen if comparison != SAME_MESH]
        keys = {comparison: keys_of(comparison, shape, list(models), available) for comparison in chosen}
        alone = {key for comparison, of in keys.items() if comparison != SAME_MESH for key in of}
        runs, failed_here = _runs(models, measure, batches, alone)
        left_out: list[str] = []
        if SAME_MESH in keys:
            left_out = _all_but(finalists, runs)
            keys[SAME_MESH] = [key for key in keys[SAME_MESH] if key.name not in left_out]
            more, failed_there = _runs(models, measure, batches, set(keys[SAME_MESH]) - set(runs))
            runs, failed_here = runs | more, failed_here | failed_there
        seconds_of = interleaved(runs, rounds, warmup=0)  # each was called before
        middle, quartiles = medians(seconds_of), spreads(seconds_of)
        K = len(batches.xs)
        for comparison, of_comparison in keys.items():
            done = {key.name: key for key in of_comparison if key in runs}
            ms = {name: middle[key] / K * 1e3 for name, key in done.items()}
            missing = {key.name: failed_here[key] for key in of_comparison if key in failed_here}
            result.append(
                {
                    "cell": cell,
                    "shape": list(shape),
                    "measure": measure,
                    "comparison": comparison,
                    "ms": ms,
                    "spread": {name: [q / K * 1e3 for q in quartiles[key]] for name, key in done.items()},
                    "ratio": ratios(ms),
                    "best_jax": best_jax(ms),
                    "devices": {name: key.devices for name, key in done.items()},
                    "minibatches": K,
                    "rounds": rounds,
                    "threads": {name: runs[key].threads for name, key in done.items() if runs[key].threads},
                    "notes": {name: runs[key].note for name, key in done.items() if runs[key].note},
                    "failed": missing if comparison == SAME_MESH else failed | missing,
                    "left_out": left_out if comparison == SAME_MESH else [],
                }
            )
    return result


def keys_of(comparison: str, shape: Shape, names: Sequence[str], available: int) -> list[Key]:
    """Who runs how in a comparison."""
    split = divisor(shape[0], available)
    keys = []
    for name in names:
        if name == "torch":  # its threads are its own affair; it has no mesh of devices here
            keys += [Key(name, 1, False)] if comparison != SAME_MESH else []
        elif comparison == SAME_MESH:
            keys.append(Key(name, split, False))
        elif comparison == AS_USED and name == OWN:
            keys.append(Key(name, devices_for(shape, available), bool(own.compiler_options())))
        else:
            keys.append(Key(name, 1, False))
    return keys


def _all_but(finalists: int | None, runs: dict[Key, Run]) -> list[str]:
    """The other JAX libraries that are not among the ``finalists`` quickest of these runs."""
    taken: dict[str, float] = {}
    for key, run in runs.items():
        if key.name not in (OWN, "torch"):
            start = time.perf_counter()
            run()
            taken[key.name] = min(taken.get(key.name, math.inf), time.perf_counter() - start)
    return sorted(taken, key=taken.__getitem__)[finalists:] if finalists is not None else []


def _runs(models, measure, batches, keys) -> tuple[dict[Key, Run], dict[Key, str]]:
    """Compiled runs, in a fixed order, and why the others could not be had."""
    from minirnn.bench import scan

    runs: dict[Key, Run] = {}
    failed: dict[Key, str] = {}
    for key in sorted(keys, key=lambda key: (list(models).index(key.name), key)):
        model = models[key.name]
        try:
            if key.name == "torch":
                runs[key] = pytorch.run(model, measure, batches)
            else:
                options = own.compiler_options() if key.options else None
                runs[key] = scan.run(model, measure, batches, key.devices, options)
        except Exception as error:
            _or_raise(key, error)
            failed[key] = reason(error)
    with ThreadPoolExecutor(cores()) as pool:  # the compiler lets go of Python's lock
        prepared = {key: pool.submit(run.prepare) for key, run in runs.items()}
    for key, future in prepared.items():
        try:
            future.result()
            runs[key]()  # what cannot run fails here, alone
        except Exception as error:
            _or_raise(key, error)
            failed[key] = reason(error)
            del runs[key]
    return runs, failed


def _or_raise(key: Key, error: Exception) -> None:
    """What goes wrong in minirnn itself is not hidden."""
    if key.name == OWN:
        raise error


def reason(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
