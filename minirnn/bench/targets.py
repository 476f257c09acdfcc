"""What minirnn holds itself to, and what a run measured: ratios minirnn / other over the shapes of ``task.SHAPES``.

A figure whose rows were not measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from minirnn.bench.compiling import PLAIN
from minirnn.bench.ratios import AS_USED, BEST, ONE_DEVICE, OWN, SAME_MESH, geometric_mean
from minirnn.bench.streaming import READABLE

Rows = Sequence[Mapping]


@dataclass(frozen=True)
class Target:
    """One line of the summary.

    Args:
      line: what is judged.
      figure: what was measured.
      limit: what it may be at most.
    """

    line: str
    figure: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        return self.figure <= self.limit


def targets(rows: Rows, seconds: float | None = None) -> list[dict]:
    """All lines that these rows allow, as dictionaries: ``line``, ``figure``, ``limit``, ``holds``.

    Args:
      rows: of a run.
      seconds: that the whole run took; None leaves its line out.
    """
    found = [
        *_against_jax(rows),
        *_against_torch(rows),
        *_fit(rows),
        *_text(rows),
        *_growth(rows),
        *_memory(rows),
        *_step(rows),
    ]
    if seconds is not None:
        found.append(Target("minutes that this took", seconds / 60, 10.0))
    return [asdict(target) | {"holds": target.holds} for target in found]


def _ratios(rows: Rows, measure: str, comparison: str, cells: Iterable[str], name: str) -> list[float]:
    return [
        row["ratio"][name]
        for row in rows
        if row["measure"] == measure
        and row.get("comparison") == comparison
        and row["cell"] in cells
        and name in row["ratio"]
    ]


def _against_jax(rows: Rows) -> list[Target]:
    found = []
    for comparison, limit in ((ONE_DEVICE, 0.80), (SAME_MESH, 0.68), (AS_USED, 0.60)):
        values = _ratios(rows, "train_step", comparison, ("lstm", "gru"), BEST)
        if values:
            where = f"train step, lstm and gru / {BEST}, {comparison}"
            found.append(Target(f"{where}: geometric mean", geometric_mean(values), limit))
            found.append(Target(f"{where}: largest of a shape", max(values), 0.95))
    return found


def _against_torch(rows: Rows) -> list[Target]:
    found = []
    for cell, limit in (("lstm", 0.65), ("gru", 0.35), ("rnn", 0.50)):
        values = _ratios(rows, "train_step", AS_USED, (cell,), "torch")
        if values:
            where = f"train step, {cell} / torch, {AS_USED}"
            found.append(Target(f"{where}: geometric mean", geometric_mean(values), limit))
            if cell == "lstm":
                found.append(Target(f"{where}: largest of a shape", max(values), 1.0))
    return found


def _fit(rows: Rows) -> list[Target]:
    return [
        Target(f"training a forecaster, whole process / {name}", row["ratio"][name], limit)
        for row in _of(rows, "fit")
        for name, limit in (("torch", 0.6), ("keras", 0.4))
        if name in row["ratio"]
    ]


def _text(rows: Rows) -> list[Target]:
    return [
        Target(f"training a language model, {tuple(row['shape'])} / the better of torch and keras", max(others), 0.77)
        for row in _of(rows, "text")
        if (others := [row["ratio"][name] for name in ("torch", "keras") if name in row["ratio"]])
    ]


def _growth(rows: Rows) -> list[Target]:
    growth = _of(rows, "growth")
    lstm = sorted((row for row in growth if row["cell"] == "lstm"), key=_steps)
    found = []
    if len(lstm) > 1:
        # Linear: a step of time must not cost more in a long sequence than in a short one, but for what it may cost to
        # leave the caches.
        def per_step(row):
            return row["ms"][OWN] / _steps(row)

        first, last = lstm[0], lstm[-1]
        span = f"T = {_steps(last)} / T = {_steps(first)}"
        found.append(Target(f"lstm, time of a train step per step of time, {span}", _over(per_step, last, first), 1.25))
        found.append(
            Target(f"lstm, peak memory per step of time, {span}", _over(lambda row: _mib(row), last, first), 1.25)
        )
        found.append(
            Target(f"lstm, seconds to compile, {span}", _over(lambda row: row["compile_ms"][OWN], last, first), 1.25)
        )
    if growth:
        slowest = max(row["compile_ms"][OWN] for row in growth) / 1e3
        found.append(Target("seconds to compile a train step of one layer, at most", slowest, 2.0))
    return found


def _memory(rows: Rows) -> list[Target]:
    found = []
    for row in _of(rows, "memory"):
        for name, limit in (("all", 0.65), ("default", 0.65), ("states", 0.35)):
            if name in row["mib"]:
                found.append(Target(f"peak memory, {name} / {PLAIN}", row["mib"][name] / row["mib"][PLAIN], limit))
    for row in _of(rows, "memory_time"):
        if {"all", "states"} <= set(row["ms"]):
            found.append(Target("time, states / all", row["ms"]["states"] / row["ms"]["all"], 1.2))
    return found


def _step(rows: Rows) -> list[Target]:
    return [
        Target(f"one step of a stream, {row['cell']}, {what}: microseconds", 1e3 * row["ms"][name], limit)
        for row in _of(rows, "step")
        if row["cell"] == "lstm"
        for name, what, limit in ((READABLE, "NumPy", 20.0), (OWN, "JAX", 60.0))
    ]


def overtaking(rows: Rows) -> dict[str, int | None]:
    """Cell -> the smallest T at which its train step is quicker than the LSTM's; None: at none of those measured."""
    growth = _of(rows, "growth")
    lstm = {_steps(row): row["ms"][OWN] for row in growth if row["cell"] == "lstm"}
    found: dict[str, int | None] = {}
    for row in sorted(growth, key=_steps):
        if row["cell"] != "lstm" and _steps(row) in lstm:
            quicker = row["ms"][OWN] < lstm[_steps(row)]
            if found.setdefault(row["cell"], None) is None and quicker:
                found[row["cell"]] = _steps(row)
    return found


def _of(rows: Rows, measure: str) -> list[Mapping]:
    return [row for row in rows if row["measure"] == measure]


def _steps(row: Mapping) -> int:
    return row["shape"][1]


def _mib(row: Mapping) -> float:
    return row["mib"][OWN] / _steps(row)


def _over(value: Callable[[Mapping], float], last: Mapping, first: Mapping) -> float:
    return value(last) / value(first)
