"""The result as text: a table for each measure and comparison, the summary, the notes and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minirnn.bench.compiling import PLAIN
from minirnn.bench.ratios import BEST, MEANING, OWN
from minirnn.bench.targets import overtaking
from minirnn.bench.task import PASSES

TITLES = {
    "forward": "Forward pass (loss of a minibatch)",
    "forward_backward": "Forward and backward pass (loss and gradient)",
    "train_step": "Train step (forward, backward, Adam)",
    "step": "One step of a stream, B = 1",
    "compile": "Tracing and compiling a train step",
    "growth": "Growth with T: train step; its compilation; peak memory of its gradient",
    "memory": "Peak memory of a gradient, MiB, by the compiled program's own analysis",
    "memory_time": "Time of a gradient by memory policy",
    "fit": "Training a forecaster: whole processes, with imports and compilation",
    "text": "Training a language model: a chunk of all streams (embedding, layer, head, Adam; clipped), as used",
}


def render(result: Mapping, summary: bool = False) -> str:
    """Plain text: milliseconds, in parentheses minirnn / other, then notes and the machine.

    Args:
      result: of ``suite.run``.
      summary: with what minirnn holds itself to, beside what was measured.
    """
    rows = result["rows"]
    lines = ["Milliseconds, float32: median over rounds, all libraries in turns."]
    if any(row.get("ratio") for row in rows):
        lines.append("In parentheses: minirnn's time divided by that library's; below 1, minirnn is faster.")
    for measure in dict.fromkeys(row["measure"] for row in rows):
        of_measure = [row for row in rows if row["measure"] == measure]
        for comparison in dict.fromkeys(row.get("comparison") for row in of_measure):
            chosen = [row for row in of_measure if row.get("comparison") == comparison]
            some = any(row.get("left_out") for row in chosen)
            lines += ["", _title(measure, comparison) + (" (of the others the quickest on one device)" if some else "")]
            if measure == "growth":
                lines += _growth(chosen)
            elif measure in ("memory", "memory_time"):
                lines += _memory(chosen)
            else:
                lines += _libraries(chosen, result["geometric_means"])
    lines += _remarks(rows)
    if summary:
        lines += _summary(result)
    return "\n".join([*lines, "", *machine_lines(result["machine"])])


def _title(measure: str, comparison: str | None) -> str:
    # Who runs how is a question of the train step only; its three answers are spelled out.
    return (
        f"{TITLES[measure]}, {comparison}: {MEANING[comparison]}"
        if comparison and measure == "train_step"
        else (TITLES[measure])
    )


def _libraries(rows: Sequence[Mapping], means: Sequence[Mapping]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row["ms"] if name != OWN))
    best = any(BEST in row.get("ratio", {}) for row in rows)
    lines = []
    for cell in dict.fromkeys(row["cell"] for row in rows):
        of_cell = [row for row in rows if row["cell"] == cell]
        body = [[f"{cell} (B, T, D, H)", OWN, *names, *([BEST] if best else [])]]
        for row in of_cell:
            ratio = row.get("ratio", {}).get(BEST)
            entries = [_entry(row, name) for name in names] + ([_ratio(ratio)] if best else [])
            body.append([", ".join(map(str, row["shape"])), _ms(row["ms"][OWN]), *entries])
        mean = next((m for m in means if _same(m, of_cell[0])), None)
        if mean and len(of_cell) > 1:
            columns = [*names, *([BEST] if best else [])]
            body.append(["geometric mean", "", *(_ratio(mean["ratio"].get(name)) for name in columns)])
        lines += ["", *_aligned(body)]
    return lines


def _same(mean: Mapping, row: Mapping) -> bool:
    return all(mean[key] == row.get(key) for key in ("measure", "comparison", "cell"))


def _growth(rows: Sequence[Mapping]) -> list[str]:
    body = [["cell (B, T, D, H)", "ms", "µs per step of time", "compile ms", "MiB"]]
    for row in sorted(rows, key=lambda row: row["cell"]):
        ms = row["ms"][OWN]
        body.append(
            [
                f"{row['cell']} {', '.join(map(str, row['shape']))}",
                _ms(ms),
                _ms(1e3 * ms / row["shape"][1]),
                _ms(row["compile_ms"][OWN]),
                _ms(row["mib"][OWN]) if OWN in row["mib"] else "-",
            ]
        )
    quicker = [
        f"{cell} is quicker than the lstm from T = {steps} on" if steps else f"{cell} is never quicker than the lstm"
        for cell, steps in overtaking(rows).items()
    ]
    return ["", *_aligned(body), *quicker]


def _memory(rows: Sequence[Mapping]) -> list[str]:
    lines = []
    for row in rows:
        values, base = (row["mib"], PLAIN) if "mib" in row else (row["ms"], "all")
        body = [[f"{row['cell']} (B, T, D, H)", *values]]
        entries = [
            f"{_ms(v)} ({v / values[base]:.2f})" if n != base and base in values else _ms(v) for n, v in values.items()
        ]
        body.append([", ".join(map(str, row["shape"])), *entries])
        lines += ["", *_aligned(body)]
    return [
        *lines,
        f"In parentheses: memory divided by that of {PLAIN}, JAX's own gradient of the scan; time by that of all.",
    ]


def _remarks(rows: Sequence[Mapping]) -> list[str]:
    """Notes and failures, the same text once, with all cells that it is about."""
    lines = []
    for title, key in (("Notes", "notes"), ("Could not run", "failed")):
        cells_of: dict[tuple[str, str], list[str]] = {}
        for row in rows:
            for pair in row.get(key, {}).items():
                cells_of.setdefault(pair, []).append(row["cell"])
        if cells_of:
            lines += ["", f"{title}:"]
            lines += [f"  {name} ({', '.join(dict.fromkeys(c))}): {text}" for (name, text), c in cells_of.items()]
    split: dict[int, list[str]] = {}
    for row in rows:
        if row["measure"] in PASSES and row.get("comparison") == "as used" and row["devices"][OWN] > 1:
            split.setdefault(row["devices"][OWN], []).append(f"{row['cell']} {','.join(map(str, row['shape']))}")
    for count, where in split.items():
        lines += ["", f"As used, minirnn splits the batch over {count} devices at: {'; '.join(where)}"]
    for row in rows:
        if "characters_per_second" in row:
            each = (f"{name} {value:,}" for name, value in row["characters_per_second"].items())
            shape = ", ".join(map(str, row["shape"]))
            lines += ["", f"Characters per second in training a language model, ({shape}): {', '.join(each)}"]
    return lines


def _summary(result: Mapping) -> list[str]:
    body = [["What minirnn holds itself to", "measured", "at most", ""]]
    for target in result["targets"]:
        verdict = "" if target["holds"] else "missed"
        body.append([target["line"], f"{target['figure']:.2f}", f"{target['limit']:.2f}", verdict])
    return ["", *_aligned(body)]


def _ms(value: float) -> str:
    """Three digits: 0.342, 2.61, 16.8, 106."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"({value:.2f})"


def _entry(row: Mapping, name: str) -> str:
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


def machine_lines(machine: Mapping) -> list[str]:
    """The machine in a few lines; what is unknown is left out."""
    hardware = [machine.get("processor"), f"{machine['cores']} cores" if machine.get("cores") else None]
    if machine.get("memory_gib"):
        hardware.append(f"{machine['memory_gib']} GiB")
    if machine.get("devices"):
        kinds = {kind: machine["devices"].count(kind) for kind in machine["devices"]}
        counted = [f"{count} x {kind}" if count > 1 else kind for kind, count in kinds.items()]
        hardware.append(f"JAX on {', '.join(counted)}")
    if machine.get("load_average") is not None:
        hardware.append(f"load {machine['load_average']} at the start")
    software = [
        machine.get("date"),
        machine.get("os"),
        f"Python {machine['python']}" if machine.get("python") else None,
    ]
    software += [f"{name} {version}" for name, version in machine.get("versions", {}).items()]
    lines = [", ".join(part for part in hardware if part), ", ".join(part for part in software if part)]
    if machine.get("compiler_options"):
        options = ", ".join(f"{name}={value}" for name, value in machine["compiler_options"].items())
        lines.append(f"minirnn's compiler options: {options}")
    if machine.get("xla_flags"):
        lines.append(f"XLA_FLAGS={machine['xla_flags']}")
    return [line for line in lines if line]
