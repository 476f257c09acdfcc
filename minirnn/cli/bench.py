"""``minirnn bench``: minirnn's speed on this machine, beside that of other installed libraries."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, note, positive

if TYPE_CHECKING:
    from minirnn.bench.suite import Job
    from minirnn.bench.task import Shape

EXAMPLES = """examples:
  minirnn bench --quick                               train steps at two small shapes, as used; under a minute
  minirnn bench                                       train steps at eight shapes, three comparisons; minutes
  minirnn bench --full --json > bench.json            every measure, and what minirnn holds itself to; ten minutes
  minirnn bench --cells lstm --peers torch,flax --figure bench.png
  minirnn bench --measures step,compile
  minirnn bench --measures text                       training a language model: characters per second
  minirnn bench --half readable --cells lstm,gru      the NumPy half, forward and backward, beside PyTorch
  minirnn bench --shapes "32,100,16,64;8,500,4,32" --json > bench.json

Train steps are compared three ways: every JAX library on one device; each one's batch split over the same devices (one
for each core); and as used: minirnn with its default number of devices, the others in their usual form.

Close other programs first: a busy machine slows some libraries far more than others. The libraries take turns, no
compilation is counted, and all train on the same float32 minibatches. To install them: pip install "minirnn[peers]"
"""
INSTALL = 'pip install "minirnn[peers]"'


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "bench",
        help="measure speed, beside other installed libraries",
        description="Measures a recurrent layer of minirnn on this machine, beside the other libraries that are "
        "installed: train steps, single passes, steps of a stream, compilation, memory, a whole training.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cells", default="lstm,gru,rnn", metavar="NAMES", help="default: lstm,gru,rnn")
    parser.add_argument(
        "--shapes",
        metavar="B,T,D,H;...",
        help="batch, time steps, inputs, hidden units; several in quotes (default: eight common shapes)",
    )
    parser.add_argument(
        "--measures",
        metavar="NAMES",
        help="forward, forward_backward, train_step, step, compile, growth, memory, fit, text (default: train_step)",
    )
    parser.add_argument("--peers", default="all", metavar="NAMES", help="all, none or names: torch,flax (default: all)")
    parser.add_argument(
        "--rounds", type=positive, metavar="N", help="timed calls of each (default: 10; compile 3, fit 1)"
    )
    parser.add_argument(
        "--half",
        choices=("fast", "readable"),
        default="fast",
        help="readable: forward and backward pass of the NumPy half beside PyTorch's (default: fast)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two small shapes, as used")
    size.add_argument(
        "--full",
        action="store_true",
        help="every measure and a summary; single passes and compilation for the first cell only, the former at the "
        "first shape; the rnn beside PyTorch only; on the same devices the two quickest of the other libraries",
    )
    parser.add_argument("--figure", metavar="FILE", help="draw the ratios of the train step: a .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the comparison and prints it: table or JSON to stdout, progress and notes to stderr.

    Raises:
      UsageError: a value cannot be used; the message says which and what is expected.
    """
    cells = parse_cells(arguments.cells)
    shapes = parse_shapes(arguments.shapes) if arguments.shapes is not None else None
    measures = parse_measures(arguments.measures, arguments.full)
    names, missing = parse_peers(arguments.peers)
    figure = _figure_path(arguments.figure, measures, names)
    if arguments.half == "readable" and (arguments.full or arguments.measures or figure):
        raise UsageError(
            "--half readable times forward and backward passes only: leave out --full, --measures, --figure"
        )
    if missing:
        note(f"not installed, left out: {', '.join(missing)} ({INSTALL})")

    _make_cores_devices()
    from minirnn.bench import measure, numpy_half, suite, table, task  # after the options: these take a moment

    busy = measure.busy()
    if busy:
        note(f"{busy}: some libraries suffer from that far more than others; the ratios below are not reliable")
    if arguments.half == "readable":
        usual = task.QUICK_SHAPES if arguments.quick else numpy_half.SHAPES
        rounds, warmup = arguments.rounds or (3 if arguments.quick else 10), 1 if arguments.quick else 2
        passes = numpy_half.run(cells, shapes or usual, "torch" in names, rounds, warmup, progress=_with_bar_of_shapes)
        print(json.dumps(passes, indent=2) if arguments.json else numpy_half.render(passes))
        return 0
    # Of the tanh RNN only the comparison with PyTorch is of interest, and a full run has to end.
    names_of = {cell: [n for n in names if not (arguments.full and cell == "rnn") or n == "torch"] for cell in cells}
    parts = suite.jobs(
        names_of,
        shapes or (task.QUICK_SHAPES if arguments.quick else task.SHAPES),
        measures,
        (suite.COMPARISONS[-1],) if arguments.quick else suite.COMPARISONS,
        arguments.rounds,
        arguments.full,
    )
    result = suite.run(_with_bar(parts), names)
    print(json.dumps(result, indent=2) if arguments.json else table.render(result, summary=arguments.full))
    if figure:
        _draw(result, figure)
    for row in result["rows"]:
        for name, reason in row.get("failed", {}).items():
            shape = ",".join(map(str, row["shape"]))
            note(f"{name} could not run {row['measure']}, {row['cell']} {shape}: {reason}")
    return 0


def _make_cores_devices() -> None:
    """Makes every core a device of JAX, for the runs on several; those on one device keep all cores as before."""
    import jax

    from minirnn.bench.measure import cores

    try:
        jax.config.update("jax_num_cpu_devices", cores())
    except RuntimeError:  # JAX is in use already (this was called from Python): the devices that exist have to do
        note(f"JAX is already in use with {len(jax.devices())} device(s): they stay as they are")


def _figure_path(text: str | None, measures: list[str], names: list[str]) -> Path | None:
    """Where the figure goes; what cannot be written is said before the first minute is spent."""
    if text is None:
        return None
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise UsageError(f"--figure: expected a file that ends in .png, .svg or .pdf, got {text!r}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"--figure: cannot write to the folder {str(path.parent)!r}: make it first, or name another")
    if "train_step" not in measures or not names:
        raise UsageError("--figure draws the ratios of the train step to other libraries: keep train_step and --peers")
    return path


def _draw(result: dict, path: Path) -> None:
    from minirnn.inspect.figures import save_figure
    from minirnn.inspect.speed import speed_figure
    from minirnn.models.storage import write_atomically

    if not any(row["ratio"] for row in result["rows"] if row["measure"] == "train_step"):
        note(f"no other library could run: {path} was not written")
        return
    write_atomically(path, lambda temporary: save_figure(speed_figure(result), temporary))


def _with_bar(jobs: Iterable[Job]) -> Iterator[Job]:
    from tqdm import tqdm

    with tqdm(list(jobs), desc="bench", unit="part", file=sys.stderr) as bar:
        for job in bar:
            bar.set_postfix_str(job.label)
            yield job


def _with_bar_of_shapes(jobs: Iterable[tuple[str, Shape]]) -> Iterator[tuple[str, Shape]]:
    from tqdm import tqdm

    with tqdm(list(jobs), desc="bench", unit="row", file=sys.stderr) as bar:
        for cell, shape in bar:
            bar.set_postfix_str(f"{cell} {','.join(map(str, shape))}")
            yield cell, shape


# ---------------------------------------------------------------- options


def parse_cells(text: str) -> list[str]:
    """``"lstm,gru"`` -> ["lstm", "gru"], each once.

    Raises:
      UsageError: an unknown or no cell.
    """
    from minirnn.bench.task import CELLS

    return _names("--cells", text, CELLS)


def parse_measures(text: str | None, full: bool = False) -> list[str]:
    """``"forward,step"`` -> ["forward", "step"], each once; without a text the train step, or all of them.

    Raises:
      UsageError: an unknown or no measure.
    """
    from minirnn.bench.task import MEASURES

    if text is None:
        return list(MEASURES) if full else ["train_step"]
    return _names("--measures", text, MEASURES)


def parse_shapes(text: str) -> list[Shape]:
    """``"32,100,16,64;..."`` -> [(B, T, D, H), ...].

    Raises:
      UsageError: anything but four whole numbers of at least 1 in each.

    >>> parse_shapes("32,100,16,64; 8,500,4,32")
    [(32, 100, 16, 64), (8, 500, 4, 32)]
    """
    shapes = []
    for part in text.split(";"):
        try:
            B, T, D, H = (int(number) for number in part.split(","))
        except ValueError:
            B = T = D = H = 0
        if min(B, T, D, H) < 1:
            raise UsageError(
                f"--shapes: expected four whole numbers of at least 1, batch,steps,inputs,hidden "
                f"(like 32,100,16,64; several separated by semicolons), got {part.strip()!r}"
            )
        shapes.append((B, T, D, H))
    return list(dict.fromkeys(shapes))


def parse_peers(text: str) -> tuple[list[str], list[str]]:
    """``"all"``, ``"none"`` or names -> the libraries to run, and those that "all" meant but are not installed.

    Raises:
      UsageError: an unknown name, or a named library that is not installed; the message says how to install it.
    """
    from minirnn.bench.peers import PEERS, installed

    found = installed()
    if text.strip() == "none":
        return [], []
    if text.strip() == "all":
        return [name for name in PEERS if name in found], [name for name in PEERS if name not in found]
    names = _names("--peers", text, ("all", "none", *PEERS))
    if {"all", "none"} & set(names):
        raise UsageError(f"--peers: all and none stand alone, got {text!r}")
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"--peers: not installed: {', '.join(missing)}; install with {INSTALL}")
    return names, []


def _names(option: str, text: str, known: Iterable[str]) -> list[str]:
    """Comma-separated names, each once and each known."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"{option}: expected names out of {', '.join(known)}, separated by commas, got {unknown[0]!r}")
    return list(dict.fromkeys(names))
