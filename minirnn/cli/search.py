"""``minirnn search``: better parameters within a time budget, judged on the validation rows."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, devices, model, note, options, places, positive, printing, rows

if TYPE_CHECKING:
    from minirnn.models.searching import Search, Trial

SHOWN = 10  # rows of the table that are printed
UNITS = {"s": 1, "m": 60, "h": 3600}
EXAMPLES = """examples:
  minirnn search load.csv --target MW --horizon 24 --budget 5m
  minirnn search load.csv --trials 27 --out trials.csv
  minirnn search load.csv --trials 60 --out trials.csv --resume       goes on from the trials in the file
  minirnn search load.csv --cell gru --max-epochs 50 --budget 1h      gru is given, and not searched

Searched are the cell, the hidden size, layers, window, strategy or segment, likelihood, learning rate, dropout and
weight decay; what is given as an option stays as it is. Nine configurations are drawn and trained for a ninth of the
epochs, the best three go on to a third of them, the best one to the end; then the next nine. All are judged on the
validation rows. The test rows are not looked at: the line that is printed in the end judges the best on them.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "search",
        help="look for better parameters within a time budget",
        description="A seeded random search with successive halving, judged on the validation rows only. Prints the "
        "trainings and a ready minirnn forecast line.",
        usage="minirnn search [FILE] [options]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rows.add_options(parser)
    group = parser.add_argument_group("search")
    group.add_argument(
        "--budget", type=duration, metavar="TIME", help="30s, 5m, 1h30m (default: 5m; with --trials no limit)"
    )
    group.add_argument("--trials", type=positive, metavar="N", help="at most so many trainings (default: no limit)")
    group.add_argument("--out", metavar="FILE", help="write every training so far to this file (.csv)")
    group.add_argument(
        "--resume", action="store_true", help="go on from --out, to the same trainings; anew if there is none"
    )
    group.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    group.add_argument("--quiet", action="store_true", help="no line for each training")
    options.add(parser, model.GROUPS)
    parser.set_defaults(run=run)


def duration(text: str) -> float:
    """``"30s"``, ``"5m"``, ``"1h30m"`` in seconds, for argparse.

    >>> duration("90s"), duration("1h30m")
    (90.0, 5400.0)
    """
    found = re.fullmatch(r"((\d+(\.\d+)?[hms])+)", text.strip().lower())
    seconds = sum(float(n) * UNITS[u] for n, u in re.findall(r"([\d.]+)([hms])", found[1])) if found else 0.0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"expected a time like 30s, 5m or 1h30m, got {text!r}")
    return seconds


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.data import DataError
    from minirnn.models import searching

    out = places.file(arguments.out, arguments.data)
    if arguments.resume and out is None:
        raise UsageError("--resume needs --out FILE, the trials to go on from")
    forecaster = model.forecaster(arguments)
    table, source = rows.read(arguments)
    budget = arguments.budget or (None if arguments.trials else 300.0)
    try:
        devices.use_cores(forecaster.backend, forecaster.batch_shape(table))
        found = searching.search(
            table,
            budget=budget,
            trials=arguments.trials,
            out=out,
            resume=arguments.resume,
            report=None if arguments.quiet else lambda trial: note(_line(trial)),
            **options.given(arguments, model.GROUPS),
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    except OSError as error:
        if out is None:
            raise
        raise places.cannot_write(out, error) from None
    command = shlex.join(["minirnn", "forecast", *rows.command_line(arguments), *model.command_line(found.best)])
    if arguments.json:
        print(json.dumps(_as_dict(found, command), indent=2, allow_nan=False))
    else:
        print("\n".join(_report(source, table, found, command)))
    if found.ended == "interrupted":
        note("minirnn search: interrupted" + (f"; --resume goes on from {out}" if out else ""))
        return 130
    return 0


def _line(trial: Trial) -> str:
    """One training in one line."""
    error = f"{trial.error:.5g}" if trial.error is not None else f"failed: {trial.problem}"
    return (
        f"training {trial.trial}: {trial.epochs} epochs, {_in_words(trial.parameters)}: {error} ({trial.seconds:.1f} s)"
    )


def _in_words(parameters: dict) -> str:
    """A configuration, shortly."""
    about = dict(parameters)
    words = [about.pop("cell"), f"{about.pop('hidden_size')} units"]
    return ", ".join([*words, *(f"{name} {value}" for name, value in about.items() if value not in (None, 0))])


def _report(source: str, table, found: Search, command: str) -> list[str]:
    """The table of trainings, the sentence, the line to go on with."""
    frame = found.table
    varied = [name for name in found.trials[0].parameters if frame[name].astype(str).nunique() > 1]
    shown = frame[["epochs", "error", "share", *varied]].head(SHOWN).rename(columns={"error": found.metric})
    cells = [["training", *map(str, shown.columns)]]
    for number, row in zip(shown.index, shown.itertuples(index=False)):
        cells.append([str(number), *map(_cell, row)])
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        *printing.heading(source, table),
        "",
        f"{len(found.trials)} trainings, the longest and best first; {found.metric} on the validation rows",
        *("  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths)) for row in cells),
    ]
    if len(frame) > SHOWN:
        lines.append(f"  and {len(frame) - SHOWN} more: --json or --out holds all of them")
    failed = sum(trial.error is None for trial in found.trials)
    if failed:
        lines.append(f"  {failed} failed")
    return [*lines, "", found.sentence, "", command]


def _cell(value) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _as_dict(found: Search, command: str) -> dict:
    """In what JSON knows."""
    import dataclasses

    return {
        "metric": found.metric,
        "judged_on": "validation",
        "ended": found.ended,
        "best": found.best,
        "error": found.best_trial.error,
        "gain": found.gain,
        "sentence": found.sentence,
        "command": command,
        "trials": [dataclasses.asdict(trial) for trial in found.trials],
    }
