"""What compiling costs: time, and the memory that the compiled program says it needs; and how both grow with T.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import inspect
import statistics
import time
from collections.abc import Sequence
from typing import Any

from minirnn.bench import own, peers
from minirnn.bench.compare import reason
from minirnn.bench.measure import interleaved, medians, spreads
from minirnn.bench.ratios import ONE_DEVICE, OWN, best_jax, ratios
from minirnn.bench.task import Run, Shape, make_batches, minibatches

COMPILE_SHAPE: Shape = (32, 100, 16, 64)
MEMORY_SHAPE: Shape = (64, 1024, 256, 256)
GROWTH_CELLS = ("lstm", "mingru", "minlstm")  # the last two know all steps at once
GROWTH_STEPS = (64, 512, 4096)
PLAIN = "autodiff"  # JAX's own gradient of the scan
POLICIES = ("all", "states", "chunks")


def seconds_to_compile(run: Run) -> float:
    """From the first call of a fresh run to its result, less the time of a later call."""
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    later = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        later.append(time.perf_counter() - start)
    return first - statistics.median(later)


def compile_rows(cell: str, names: Sequence[str], repeats: int = 3, shape: Shape = COMPILE_SHAPE) -> list[dict]:
    """One row: milliseconds to trace and compile a fresh train step, by JAX library; the median of ``repeats``."""
    from minirnn.bench import scan

    models: dict[str, Any] = {OWN: own.build(cell, shape)}
    failed: dict[str, str] = {}
    batches = make_batches(shape, 2)
    taken: dict[str, list[float]] = {}
    for name in names:
        if name != "torch":  # it compiles nothing
            try:
                models[name] = peers.BUILDERS[name](cell, shape)
            except Exception as error:
                failed[name] = reason(error)
    for _ in range(repeats):
        for name, model in models.items():
            if name in failed:
                continue
            try:
                fresh = scan.run(model, "train_step", batches, 1, own.compiler_options())
                taken.setdefault(name, []).append(seconds_to_compile(fresh))
            except Exception as error:
                if name == OWN:
                    raise
                failed[name] = reason(error)
    ms = {name: 1e3 * value for name, value in medians(taken).items()}
    return [
        {
            "cell": cell,
            "shape": list(shape),
            "measure": "compile",
            "comparison": ONE_DEVICE,
            "ms": ms,
            "ratio": ratios(ms),
            "best_jax": best_jax(ms),
            "rounds": repeats,
            "failed": failed,
        }
    ]


def growth_rows(
    rounds: int = 10, steps: Sequence[int] = GROWTH_STEPS, B: int = 16, D: int = 16, H: int = 64
) -> list[dict]:
    """One row for each cell and T: milliseconds of a train step, and of its compilation; the LSTM's peak MiB."""
    from minirnn.bench import scan

    rows = []
    for T in steps:
        shape = (B, T, D, H)
        batches = make_batches(shape, minibatches(shape, 0.04))
        runs: dict[str, Run] = {}
        compiling: dict[str, float] = {}
        for cell in GROWTH_CELLS:
            runs[cell] = scan.run(own.build(cell, shape), "train_step", batches, 1, own.compiler_options())
            compiling[cell] = seconds_to_compile(runs[cell])
        seconds = interleaved(runs, rounds, 0)
        K = len(batches.xs)
        for cell, value in medians(seconds).items():
            rows.append(
                {
                    "cell": cell,
                    "shape": list(shape),
                    "measure": "growth",
                    "ms": {OWN: value / K * 1e3},
                    "spread": {OWN: [q / K * 1e3 for q in spreads(seconds)[cell]]},
                    "compile_ms": {OWN: compiling[cell] * 1e3},
                    "mib": {OWN: peak_mib(own.build(cell, shape), shape)} if cell == "lstm" else {},
                    "minibatches": K,
                    "rounds": rounds,
                }
            )
    return rows


def policies(cell: str) -> dict[str, dict[str, Any]]:
    """Name -> the options of the cell's ``forward``: JAX's own gradient, and every memory policy that it has."""
    ways: dict[str, dict[str, Any]] = {PLAIN: {"plain": True}}
    if "save" in inspect.signature(own.module(cell).forward).parameters:
        return ways | {policy: {"save": policy} for policy in POLICIES}
    return ways | {"default": {}}


def memory_rows(
    cell: str = "lstm", shape: Shape = MEMORY_SHAPE, rounds: int = 3, timed: Sequence[str] = ("all", "states")
) -> list[dict]:
    """Two rows: peak MiB of the gradient by memory policy, and milliseconds of those that are ``timed``.

    ``ratio`` is each policy / JAX's own gradient.
    """
    from minirnn.bench import scan

    ways = policies(cell)
    mib = {name: peak_mib(own.build(cell, shape, **options), shape) for name, options in ways.items()}
    batches = make_batches(shape, 1)
    runs = {
        name: scan.run(own.build(cell, shape, **ways[name]), "forward_backward", batches, 1, own.compiler_options())
        for name in timed
        if name in ways
    }
    seconds = interleaved(runs, rounds, 1)
    ms = {name: value / len(batches.xs) * 1e3 for name, value in medians(seconds).items()}
    return [
        {
            "cell": cell,
            "shape": list(shape),
            "measure": "memory",
            "mib": mib,
            "ratio": {name: value / mib[PLAIN] for name, value in mib.items() if name != PLAIN},
        },
        {
            "cell": cell,
            "shape": list(shape),
            "measure": "memory_time",
            "ms": ms,
            "ratio": {name: value / ms["all"] for name, value in ms.items() if name != "all" and "all" in ms},
            "minibatches": len(batches.xs),
            "rounds": rounds,
        },
    ]


def peak_mib(model: Any, shape: Shape) -> float:
    """Of loss and gradient at one minibatch, by the compiled program's own analysis: arguments, results, scratch."""
    import jax
    import numpy as np

    B, T, D, _ = shape
    params = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), model.params)
    xs, ys = jax.ShapeDtypeStruct((T, B, D), np.float32), jax.ShapeDtypeStruct((B, 1), np.float32)
    gradient = jax.jit(jax.value_and_grad(model.loss), compiler_options=own.compiler_options() or None)
    use = gradient.lower(params, xs, ys).compile().memory_analysis()
    if use is None:
        raise RuntimeError(f"JAX on {jax.default_backend()} does not say how much memory a program needs")
    total = use.temp_size_in_bytes + use.argument_size_in_bytes + use.output_size_in_bytes - use.alias_size_in_bytes
    return total / 2**20
