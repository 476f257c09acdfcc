"""``minirnn forecast``: an honest forecast of one column of a CSV, judged against naive forecasts."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from minirnn.cli import UsageError, devices, launcher, note, positive

EXAMPLES = """examples:
  minirnn forecast                                    daily maximum temperature in Seattle, a week ahead
  minirnn forecast load.csv                           the last numeric column of your file
  minirnn forecast load.csv --target MW --horizon 24 --out report/
  minirnn forecast load.csv --cell gru --json > metrics.json
  minirnn forecast load.csv --checkpoint run.safetensors --resume     the same line again after a crash
  minirnn forecast load.csv --num-processes 2                         in two processes on this machine

The file needs a column of dates and a column of numbers. What was decided and repaired is printed. The last quarter of
the rows is the test part: it is never used in training, and every figure in the table is measured on it.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "forecast",
        help="forecast a column of a CSV, and say whether the network beats simpler forecasts",
        description="Trains a recurrent network on a time series and judges it, on rows that it has not seen, against "
        "six simpler forecasts. What the network learns is added to a linear forecast of the same inputs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data", nargs="?", metavar="data.csv", help="a CSV file; without it, embedded weather of Seattle"
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column to forecast (default: the last numeric one)")
    parser.add_argument("--date-column", metavar="COLUMN", help="the column of dates (default: found)")
    parser.add_argument(
        "--horizon", type=positive, metavar="N", help="steps ahead (default: 7 days, 24 hours, 12 months, ...)"
    )
    parser.add_argument(
        "--window", type=positive, metavar="N", help="rows that the network reads (default: 30 days, 72 hours, ...)"
    )
    parser.add_argument(
        "--cell", choices=("lstm", "gru", "rnn"), default="lstm", help="kind of network (default: lstm)"
    )
    parser.add_argument("--hidden-size", type=positive, default=32, metavar="H", help="units of a layer (default: 32)")
    parser.add_argument("--layers", type=positive, default=1, metavar="L", help="recurrent layers (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights and shuffles (default: 0)")
    parser.add_argument(
        "--backend",
        choices=("fast", "readable"),
        default="fast",
        help="fast: JAX; readable: NumPy with the hand-derived backward pass (default: fast)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="write metrics.json, forecast.csv, forecast.png, model.safetensors"
    )
    parser.add_argument("--json", action="store_true", help="print what metrics.json holds, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no word about devices")
    group = parser.add_argument_group("checkpoints")
    group.add_argument("--checkpoint", metavar="FILE", help="keep the training in this file (.safetensors)")
    often = group.add_mutually_exclusive_group()
    often.add_argument("--checkpoint-every", type=positive, metavar="N", help="write it every N epochs (default: 1)")
    often.add_argument("--checkpoint-minutes", type=_minutes, metavar="M", help="write it every M minutes instead")
    group.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint, to the same result; anew if there is none"
    )
    devices.add_options(parser)
    parser.set_defaults(run=run)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return value


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.data import DataError, load, prepare, read_csv
    from minirnn.models.forecaster import Forecaster

    devices.check(arguments)
    checkpoint = _checkpoint(arguments)
    out = _writable(arguments.out)
    if checkpoint is not None and out is not None and _absolute(checkpoint.path) in map(_absolute, _files(out)):
        raise UsageError(f"--checkpoint {checkpoint.path}: --out writes a result there; choose another file")
    if arguments.seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {arguments.seed}")
    if devices.launches(arguments):
        return launcher.run(arguments, arguments.command_line)
    if arguments.data is None:
        if arguments.date_column is not None:
            raise UsageError("--date-column belongs to a CSV file, and none was given")
        table = prepare(load("seattle_weather"), arguments.target or "temp_max")
        source = "the embedded series seattle_weather (no file was given)"
    else:
        table = read_csv(arguments.data, target=arguments.target, date_column=arguments.date_column)
        source = str(arguments.data)

    model = Forecaster(
        cell=arguments.cell,
        hidden_size=arguments.hidden_size,
        num_layers=arguments.layers,
        window=arguments.window,
        horizon=arguments.horizon,
        seed=arguments.seed,
        backend=arguments.backend,
    )
    try:
        with devices.watched(arguments):
            count, first = devices.prepare(arguments, model.batch_shape(table))
            model.progress = first and not arguments.quiet and sys.stderr.isatty()
            model.fit(table, checkpoint=checkpoint, resume=arguments.resume, devices=count)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    if not first:
        return 0
    if model.history_.ended == "interrupted":
        note(f"interrupted after {model.history_.epochs} epochs: going on with the best weights so far")
    evaluation = model.evaluate()
    forecast = model.predict()

    if out is not None:
        _write(out, model, evaluation, forecast)
    if arguments.json:
        print(_json(evaluation))
        for line in (*table.notes, *model.notes_):
            note(line)
    else:
        print(_report(source, table, model, evaluation, forecast))
        if out is not None:
            print(f"\nwritten to {out}: metrics.json, forecast.csv, forecast.png, model.safetensors")
    return 0


def _checkpoint(arguments: argparse.Namespace):
    """Where the training is kept, and how often."""
    from minirnn.models.checkpoint import Checkpoint

    if arguments.checkpoint is not None:
        return Checkpoint(arguments.checkpoint, arguments.checkpoint_every, arguments.checkpoint_minutes)
    for option in ("checkpoint_every", "checkpoint_minutes", "resume"):
        if getattr(arguments, option):
            raise UsageError(f"--{option.replace('_', '-')} needs --checkpoint FILE")
    return None


def _files(out: Path) -> list[Path]:
    return [out / name for name in ("metrics.json", "forecast.csv", "forecast.png", "model.safetensors")]


def _absolute(path) -> str:
    return os.path.realpath(path)


def _writable(directory: str | None) -> Path | None:
    """The folder of --out, checked before the work and not after it. It is made at the end."""
    if directory is None:
        return None
    path = Path(directory)
    existing = path
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except OSError as error:
        raise UsageError(f"--out {directory}: cannot be a folder ({error.strerror}); choose another name") from None
    if not existing.is_dir():
        raise UsageError(f"--out {directory}: {existing} is a file; expected a folder or a name for a new one")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"--out {directory}: no permission to write in {existing}; choose another folder")
    return path


def _write(out: Path, model, evaluation, forecast) -> None:
    from minirnn.data.calendar import steps_in_words
    from minirnn.inspect.figures import forecast_figure, save_figure
    from minirnn.models.storage import staged
    from minirnn.models.wording import TITLES

    test = evaluation.splits["test"]
    figure = forecast_figure(
        model.table_.frame[model.target_].where(model.table_.observed[model.target_]),
        forecast["mean"],
        evaluation.by_step.rename(columns=TITLES),
        network=TITLES[evaluation.network],
        best=TITLES[evaluation.best_naive],
        unit=evaluation.unit,
        ahead=steps_in_words(evaluation.horizon, evaluation.frequency),
        period=f"{test['start']} to {test['end']}",
    )
    try:
        with staged(out) as folder:
            (folder / "metrics.json").write_text(_json(evaluation) + "\n", encoding="utf-8")
            forecast.to_csv(folder / "forecast.csv", lineterminator="\n")
            save_figure(figure, folder / "forecast.png")
            model.save(folder / "model.safetensors")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write ({error.strerror}); choose another folder") from None


def _json(evaluation) -> str:
    return json.dumps(evaluation.as_dict(), indent=2, allow_nan=False)


def _report(source, table, model, evaluation, forecast) -> str:
    """What is printed: the decisions, the table, the sentence, the forecast."""
    from minirnn.models.wording import digits_for, in_digits

    unit = f" ({evaluation.unit})" if evaluation.unit else ""
    others = [name for name in model.columns_ if name != model.target_]
    lines = [
        f"data        {source}",
        f"target      {table.target}{unit}" + (f"; also read: {', '.join(others)}" if others else ""),
        f"dates       column {table.date_column}, frequency {table.frequency}",
    ]
    for name, part in evaluation.splits.items():
        known = "" if part["observed"] == part["rows"] else f", {part['observed']:,} of them with a value"
        lines.append(f"{name:<11} {part['start']} to {part['end']}, {part['rows']:,} rows{known}")
    lines.append(
        f"network     {evaluation.network}, {model.hidden_size} units, window {model.window_}, horizon "
        f"{model.horizon_}: adds to a linear forecast; mean of {len(model.members_)} members; "
        f"{model.history_.epochs} epochs"
    )
    season = evaluation.model["season"]
    lines.append(f"season      {season} steps" if season > 1 else "season      none")
    lines += [f"note        {line}" for line in (*table.notes, *model.notes_)]
    ahead = f"{evaluation.horizon} steps ahead together" if evaluation.horizon > 1 else "1 step ahead"
    lines += ["", f"errors on the test rows, {ahead}{unit}", _table(evaluation), ""]
    lines += [evaluation.sentence, "", f"forecast of {table.target}{unit}"]
    digits = digits_for(evaluation.test[evaluation.network]["MAE"])
    clock = "%Y-%m-%d" if (forecast.index == forecast.index.normalize()).all() else "%Y-%m-%d %H:%M:%S"
    lines += [f"  {time.strftime(clock)}  {in_digits(value, digits)}" for time, value in forecast["mean"].items()]
    return "\n".join(lines)


def _table(evaluation) -> str:
    """The table, every column with as many digits as its smallest number needs."""
    from minirnn.models.wording import TITLES, digits_for, in_digits

    table = evaluation.table
    columns = [["", *(TITLES[name] for name in table.index)]]
    for metric, values in table.items():
        digits = digits_for(values[values > 0].min())
        columns.append([str(metric), *("-" if value != value else in_digits(value, digits) for value in values)])
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *cells in zip(*columns):
        aligned = "".join(f"  {cell:>{max(width, 8)}}" for cell, width in zip(cells, widths[1:]))
        lines.append(f"  {first:<{widths[0]}}{aligned}")
    return "\n".join(lines)
