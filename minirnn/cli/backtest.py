"""``minirnn backtest``: forecasts from many origins, beside what came and beside every other forecast."""

from __future__ import annotations

import argparse
import json
import sys

from minirnn.cli import UsageError, devices, model, note, options, places, positive, printing, rows

EXAMPLES = """examples:
  minirnn backtest load.csv --target MW                                every origin of the last quarter of the rows
  minirnn backtest load.csv --start 2024-01-01 --stride 24             once a day from a date on, without retraining
  minirnn backtest air.csv --horizon 6 --start 1959-01-01 --refit      fitted anew at every origin: takes long
  minirnn backtest load.csv --json > metrics.json
  minirnn backtest load.csv --out forecasts.csv                        every forecast from every origin

Everything before the start trains and validates the network, and every other forecast; nothing from the start on is
seen by either, unless --refit asks for that.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "backtest",
        help="judge forecasts from many origins, beside simpler ones and what came",
        description="Trains on the rows before a start, forecasts from every origin after it, and compares with what "
        "came: the network, the last value, seasonal naive, drift, mean, climatology, linear, exponential "
        "smoothing, ARIMA.",
        usage="minirnn backtest [FILE] [options]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rows.add_options(parser)
    group = parser.add_argument_group("origins")
    group.add_argument("--start", metavar="TIME", help="the first time that is forecast (default: the test part's)")
    group.add_argument("--stride", type=positive, default=1, metavar="N", help="rows between two origins (default: 1)")
    group.add_argument("--refit", action="store_true", help="fit everything anew at every origin")
    options.add(parser, model.GROUPS)
    group = parser.add_argument_group("results")
    group.add_argument("--out", metavar="FILE", help="write every forecast from every origin (.csv)")
    group.add_argument("--json", action="store_true", help="print the metrics as JSON, and nothing else")
    group.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.data import DataError
    from minirnn.models.storage import write_atomically

    out = places.file(arguments.out, arguments.data)
    start = _time(arguments.start)
    forecaster = model.forecaster(arguments)
    table, source = rows.read(arguments)
    try:
        devices.use_cores(forecaster.backend, forecaster.batch_shape(table))
        forecaster.progress = not arguments.quiet and sys.stderr.isatty()
        result = forecaster.backtest(table, start=start, stride=arguments.stride, refit=arguments.refit)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    if forecaster.history_.ended == "interrupted":
        note(f"interrupted after {forecaster.history_.epochs} epochs: going on with the best weights so far")
    if out is not None:
        try:
            write_atomically(
                out, lambda temporary: result.forecasts_frame.to_csv(temporary, index=False, lineterminator="\n")
            )
        except OSError as error:
            raise places.cannot_write(out, error) from None
    said = (*table.notes, *forecaster.notes_, *result.notes)
    if arguments.json:
        print(json.dumps(result.as_dict(), indent=2, allow_nan=False))
        for line in said:
            note(line)
        return 0
    lines = [
        result.sentence,
        "",
        *printing.heading(source, table),
        *printing.decided(forecaster, result),
        *printing.notes(said),
        "",
        *printing.errors(result),
        *_seeds(result),
        "",
        *printing.by_horizon(result),
    ]
    print("\n".join(lines))
    if out is not None:
        print(f"\nwritten to {out}")
    return 0


def _time(text: str | None):
    """A time of the command line.

    Raises:
      UsageError: it is none.
    """
    import pandas as pd

    if text is None:
        return None
    wrong = UsageError(f"--start: expected a time without zone, like 2024-01-31 or 2024-01-31T06:00, got {text!r}")
    try:
        time = pd.Timestamp(text)
    except (ValueError, TypeError, OverflowError):
        raise wrong from None
    if pd.isna(time) or time.tzinfo is not None:
        raise wrong
    return time


def _seeds(result) -> list[str]:
    """The spread of the members, each by itself."""
    from minirnn.models.wording import digits_for, in_digits

    spread = result.seeds
    if spread is None or spread["members"] < 2:
        return []
    digits = digits_for(spread["min"])
    least, mean, most = (in_digits(spread[name], digits) for name in ("min", "mean", "max"))
    return [f"  MAE of the {spread['members']} members by themselves: {least} to {most}, mean {mean}"]
