"""The comparison: every cell at every shape by every library, and its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from minirnn.bench import own, peers
from minirnn.bench.measure import geometric_mean, interleaved, machine, medians, spreads
from minirnn.bench.task import CELLS, Shape, make_batches

OWN = "minirnn"
# (B, T, D, H): middling; wide; weather by the hour; tiny, where dispatch counts; one long sequence.
SHAPES: tuple[Shape, ...] = (
    (32, 100, 16, 64),
    (64, 128, 64, 256),
    (64, 96, 7, 128),
    (32, 24, 1, 32),
    (1, 1000, 16, 128),
)
QUICK_SHAPES: tuple[Shape, ...] = (SHAPES[0], SHAPES[3])


def run(
    cells: Sequence[str] = CELLS,
    shapes: Sequence[Shape] = SHAPES,
    names: Sequence[str] = (),
    rounds: int = 10,
    warmup: int = 2,
    count: int | None = None,
    progress: Callable[[Iterable], Iterable] = iter,
) -> dict:
    """Times minirnn and the named peers: ``{"machine": ..., "rows": [...], "geometric_mean": ...}``.

    A row holds ``cell``, ``shape`` [B, T, D, H], ``measure`` ("train_step"), ``ms`` per train step by library (median
    over rounds), ``spread`` (quartiles, ms), ``ratio`` (minirnn / peer: below one, minirnn is faster), ``minibatches``,
    ``rounds``, ``threads`` (where a run chose them), ``notes`` (where a library's task differs) and ``failed`` (a peer
    that could not run, and why).

    Args:
      cells: of ``task.CELLS``.
      shapes: (B, T, D, H) each.
      names: of ``peers.PEERS``; each must be installed.
      rounds: timed calls of each library.
      warmup: calls before that, not counted.
      count: minibatches per call; None chooses by shape. It is the same for all libraries.
      progress: wraps the list of (cell, shape) pairs, as tqdm does.
    """
    jobs = [(cell, shape) for cell in cells for shape in shapes]
    versions = {name: version for name, version in peers.installed().items() if name in names}
    load = machine(versions)["load_average"]  # before: afterwards it is our own
    rows = [_row(cell, shape, names, rounds, warmup, count) for cell, shape in progress(jobs)]
    means: dict[str, dict[str, float]] = {}
    for cell in cells:
        ratios = [row["ratio"] for row in rows if row["cell"] == cell]
        means[cell] = {n: geometric_mean(r[n] for r in ratios if n in r) for n in names if any(n in r for r in ratios)}
    return {"machine": machine(versions) | {"load_average": load}, "rows": rows, "geometric_mean": means}


def _row(cell: str, shape: Shape, names: Sequence[str], rounds: int, warmup: int, count: int | None) -> dict:
    batches = make_batches(shape, count)
    K = len(batches.xs)
    runs = {OWN: own.build(cell, shape, batches)}
    failed = {}
    for name in names:
        try:
            built = peers.build(name, cell, shape, batches)
            built()  # what cannot compile fails here, alone
            runs[name] = built
        except Exception as error:  # another library's fault must not cost the rest of the table
            failed[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    seconds = interleaved(runs, rounds, warmup)
    ms = {name: median / K * 1e3 for name, median in medians(seconds).items()}
    return {
        "cell": cell,
        "shape": list(shape),
        "measure": "train_step",
        "ms": ms,
        "spread": {name: [value / K * 1e3 for value in pair] for name, pair in spreads(seconds).items()},
        "ratio": {name: ms[OWN] / value for name, value in ms.items() if name != OWN},
        "minibatches": K,
        "rounds": rounds,
        "threads": {name: run.threads for name, run in runs.items() if run.threads},
        "notes": {name: run.note for name, run in runs.items() if run.note},
        "failed": failed,
    }


# ---------------------------------------------------------------- the table


def render(result: dict) -> str:
    """A plain text table: ms per train step, in parentheses minirnn / peer, then notes and the machine."""
    rows = result["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row["ms"] if name != OWN))
    lines = ["Train step (forward, backward, Adam; float32), ms: median over rounds."]
    if names:
        lines.append("In parentheses: minirnn's time divided by that library's; below 1, minirnn is faster.")
    for cell in dict.fromkeys(row["cell"] for row in rows):
        of_cell = [row for row in rows if row["cell"] == cell]
        body = [[f"{cell} (B, T, D, H)", OWN, *names]]
        for row in of_cell:
            body.append([", ".join(map(str, row["shape"])), _ms(row["ms"][OWN]), *(_entry(row, n) for n in names)])
        if names:
            means = result["geometric_mean"].get(cell, {})
            cells = [f"({means[name]:.2f})" if name in means else "-" for name in names]
            body.append(["geometric mean", "", *cells])
        lines += ["", *_aligned(body)]
    for title, key in (("Notes", "notes"), ("Could not run", "failed")):
        cells_of: dict[tuple[str, str], list[str]] = {}  # the same text once, with all cells that it is about
        for row in rows:
            for pair in row.get(key, {}).items():
                cells_of.setdefault(pair, []).append(row["cell"])
        if cells_of:
            lines += ["", f"{title}:"]
            lines += [f"  {name} ({', '.join(dict.fromkeys(c))}): {text}" for (name, text), c in cells_of.items()]
    return "\n".join([*lines, "", *_machine_lines(result["machine"])])


def _ms(value: float) -> str:
    """Three digits: 0.342, 2.61, 16.8, 106."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _entry(row: dict, name: str) -> str:
    if name not in row["ms"]:
        return "-"
    return f"{_ms(row['ms'][name])} ({row['ms'][OWN] / row['ms'][name]:.2f})"


def _aligned(body: list[list[str]]) -> list[str]:
    """Columns of equal width: the first to the left, the others to the right."""
    widths = [max(len(line[column]) for line in body) for column in range(len(body[0]))]
    return [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]
        ).rstrip()
        for line in body
    ]


def _machine_lines(machine: dict) -> list[str]:
    """The machine in three lines; what is unknown is left out."""
    hardware = [machine.get("processor"), f"{machine['cores']} cores" if machine.get("cores") else None]
    if machine.get("memory_gib"):
        hardware.append(f"{machine['memory_gib']} GiB")
    if machine.get("devices"):
        hardware.append(f"JAX on {', '.join(machine['devices'])}")
    if machine.get("load_average") is not None:
        hardware.append(f"load {machine['load_average']} at the start")
    software = [machine.get("os"), f"Python {machine['python']}" if machine.get("python") else None]
    software += [f"{name} {version}" for name, version in machine.get("versions", {}).items()]
    lines = [", ".join(part for part in hardware if part), ", ".join(part for part in software if part)]
    if machine.get("xla_flags"):
        lines.append(f"XLA_FLAGS={machine['xla_flags']}")
    return [line for line in lines if line]
