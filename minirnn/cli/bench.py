"""``minirnn bench``: the train step of minirnn beside that of other installed libraries."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, note, positive

if TYPE_CHECKING:
    from minirnn.bench.task import Shape

EXAMPLES = """examples:
  minirnn bench --quick                               two small shapes, every library that is installed
  minirnn bench --cells lstm --peers torch,flax
  minirnn bench --half readable --cells lstm,gru      the NumPy half, forward and backward, beside PyTorch
  minirnn bench --shapes "32,100,16,64;8,500,4,32" --json > bench.json

Close other programs first: a busy machine slows some libraries far more than others. The libraries take turns, no
compilation is counted, and all train on the same float32 minibatches. To install them: pip install "minirnn[peers]"
"""
INSTALL = 'pip install "minirnn[peers]"'


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "bench",
        help="compare training speed with other installed libraries",
        description="Times one train step (forward, backward, Adam update) of a recurrent layer in minirnn and in the "
        "other libraries that are installed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cells", default="lstm,gru,rnn", metavar="NAMES", help="default: lstm,gru,rnn")
    parser.add_argument(
        "--shapes",
        metavar="B,T,D,H;...",
        help="batch, time steps, inputs, hidden units; several in quotes (default: five common shapes)",
    )
    parser.add_argument("--peers", default="all", metavar="NAMES", help="all, none or names: torch,flax (default: all)")
    parser.add_argument(
        "--rounds", type=positive, metavar="N", help="timed calls of each library (default: 10; with --quick 3)"
    )
    parser.add_argument(
        "--half",
        choices=("fast", "readable"),
        default="fast",
        help="readable: forward and backward pass of the NumPy half beside PyTorch's (default: fast)",
    )
    parser.add_argument("--quick", action="store_true", help="two small shapes and fewer rounds")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the comparison and prints it: table or JSON to stdout, progress and notes to stderr.

    Raises:
      UsageError: a value cannot be used; the message says which and what is expected.
    """
    cells = parse_cells(arguments.cells)
    shapes = parse_shapes(arguments.shapes) if arguments.shapes is not None else None
    names, missing = parse_peers(arguments.peers)
    if missing:
        note(f"not installed, left out: {', '.join(missing)} ({INSTALL})")

    from minirnn.bench import measure, numpy_half, table  # after the options: a mistyped one is answered at once

    if shapes is None:
        usual = table.SHAPES if arguments.half == "fast" else numpy_half.SHAPES
        shapes = list(table.QUICK_SHAPES if arguments.quick else usual)
    busy = measure.busy()
    if busy:
        note(f"{busy}: some libraries suffer from that far more than others; the ratios below are not reliable")
    rounds = arguments.rounds or (3 if arguments.quick else 10)
    warmup = 1 if arguments.quick else 2
    if arguments.half == "readable":
        passes = numpy_half.run(cells, shapes, "torch" in names, rounds, warmup, progress=_with_bar)
        print(json.dumps(passes, indent=2) if arguments.json else numpy_half.render(passes))
        return 0
    result = table.run(cells, shapes, names, rounds, warmup, progress=_with_bar)
    print(json.dumps(result, indent=2) if arguments.json else table.render(result))
    for row in result["rows"]:
        for name, reason in row["failed"].items():
            note(f"{name} could not run {row['cell']} {','.join(map(str, row['shape']))}: {reason}")
    return 0


def _with_bar(jobs: Iterable[tuple[str, Shape]]) -> Iterator[tuple[str, Shape]]:
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
