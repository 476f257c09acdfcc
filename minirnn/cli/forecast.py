"""``minirnn forecast``: an honest forecast from a file, with intervals, judged beside simpler forecasts."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from minirnn.cli import checkpoints, devices, launcher, levels, model, note, options, places, printing, rows

if TYPE_CHECKING:
    from minirnn.data.table import Table
    from minirnn.models.backtest import Backtest
    from minirnn.models.forecaster import Forecaster

FILES = ("report.html", "metrics.json", "forecast.csv", "forecast.png", "model.safetensors")
MOST_LINES = 6  # forecasts in the figure
EXAMPLES = """examples:
  minirnn forecast                                    daily maximum temperature in Seattle, a week ahead
  minirnn forecast load.csv                           the last column of numbers in your file
  minirnn forecast load.csv --target MW --horizon 24 --out report/
  minirnn forecast load.csv --target MW --future temp_forecast,holiday --past wind
  minirnn forecast shops.csv.gz --series shop --static town --target sales
  minirnn forecast load.csv --cell lstm --layers 2 --json > metrics.json
  minirnn forecast load.csv --checkpoint run.safetensors --resume     the same line again after a crash
  minirnn forecast load.csv --num-processes 2                         in two processes on this machine

The file needs a column of dates and a column of numbers. What was decided and repaired is printed. The last quarter of
the rows is the test part: it is never used in training, and every figure in the table is measured on it.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "forecast",
        help="forecast columns of a file, and say whether the network beats simpler forecasts",
        description="Trains a recurrent network on time series and judges it, on rows that it has not seen, beside "
        "simpler forecasts. What the network learns is added to linear forecasts of the same rows.",
        usage="minirnn forecast [FILE] [options]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rows.add_options(parser)
    options.add(parser, model.GROUPS)
    group = parser.add_argument_group("results")
    group.add_argument(
        "--levels", type=levels, default=(0.8, 0.95), metavar="X,Y", help="of the intervals (default: 0.8,0.95)"
    )
    group.add_argument("--out", metavar="DIR", help=f"write {', '.join(FILES)}")
    group.add_argument("--json", action="store_true", help="print what metrics.json holds, and nothing else")
    group.add_argument("--quiet", action="store_true", help="no progress bar, no word about devices")
    checkpoints.add_options(parser)
    devices.add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.data import DataError
    from minirnn.models.forecasting.frames import check_levels

    devices.check(arguments)
    out = places.folder(arguments.out)
    checkpoint = checkpoints.of(arguments, out, FILES)
    forecaster = model.forecaster(arguments)
    check_levels(arguments.levels)
    if devices.launches(arguments):
        return launcher.run(arguments, arguments.command_line)
    table, source = rows.read(arguments)
    try:
        with devices.watched(arguments):
            count, first = devices.prepare(arguments, forecaster.batch_shape(table))
            forecaster.progress = first and not arguments.quiet and sys.stderr.isatty()
            forecaster.fit(table, checkpoint=checkpoint, resume=arguments.resume, devices=count)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    if not first:
        return 0
    if forecaster.history_.ended == "interrupted":
        note(f"interrupted after {forecaster.history_.epochs} epochs: going on with the best weights so far")
    evaluation = forecaster.evaluate()
    forecast = forecaster.predict(levels=arguments.levels)

    if out is not None:
        typed = shlex.join(["minirnn", *arguments.command_line])
        _write(out, forecaster, evaluation, forecast, source, typed)
    said = (*table.notes, *forecaster.notes_, *evaluation.notes)
    if arguments.json:
        print(_json(evaluation))
        for line in said:
            note(line)
    else:
        print("\n".join(_report(source, table, forecaster, evaluation, forecast, said)))
        if out is not None:
            print(f"\nwritten to {out}: {', '.join(FILES)}")
    return 0


def _report(source: str, table: Table, forecaster: Forecaster, evaluation: Backtest, forecast, said) -> list[str]:
    """What is printed: the decisions, the table, the sentence, the forecast."""
    error = evaluation.test[evaluation.network]["MAE"] if evaluation.single else None
    return [
        *printing.heading(source, table),
        *printing.decided(forecaster, evaluation),
        *printing.notes(said),
        "",
        *printing.errors(evaluation),
        "",
        evaluation.sentence,
        "",
        *printing.forecast(forecast, table.units, table.roles.target, error),
    ]


def _json(evaluation: Backtest) -> str:
    return json.dumps(evaluation.as_dict(), indent=2, allow_nan=False)


def _write(out: Path, forecaster: Forecaster, evaluation: Backtest, forecast, source: str, typed: str) -> None:
    from minirnn.inspect.figures import save_figure
    from minirnn.inspect.report import report_html
    from minirnn.models.storage import staged

    report = report_html(
        table=forecaster.table_,
        backtest=evaluation,
        forecast=forecast,
        history=forecaster.history_,
        notes=(*forecaster.notes_, *evaluation.notes),
        source=source,
        command=typed,
        explanation=_explanation(forecaster),
    )
    figure = _figure(forecaster, evaluation, forecast)
    try:
        with staged(out) as folder:
            (folder / "report.html").write_text(report, encoding="utf-8")
            (folder / "metrics.json").write_text(_json(evaluation) + "\n", encoding="utf-8")
            forecast.to_csv(folder / "forecast.csv", lineterminator="\n")
            save_figure(figure, folder / "forecast.png")
            forecaster.save(folder / "model.safetensors")
    except OSError as error:
        raise places.cannot_write(out, error) from None


def _explanation(forecaster: Forecaster):
    """What moved the forecast of the first target of the first series; None for forecasts that cannot be explained."""
    from minirnn.models.estimator import ParameterError

    try:
        return forecaster.explain()
    except ParameterError:
        return None


def _figure(forecaster: Forecaster, evaluation: Backtest, forecast):
    """The forecast of the first target of the first series, and the errors of all by steps ahead."""
    import pandas as pd

    from minirnn.data.calendar import steps_in_words
    from minirnn.inspect.figures import forecast_figure

    table, test = forecaster.table_, evaluation.splits["test"]
    target, first = table.target, table.bounds[0]
    known = table.values[first : table.last_known[0] + 1, 0]
    shown = dict.fromkeys([evaluation.network, *evaluation.table.index[:MOST_LINES]])
    names = {name: evaluation.title_of(name) for name in shown}
    return forecast_figure(
        pd.Series(known, table.times(0)[: len(known)], name=target),
        forecast.iloc[: evaluation.horizon],
        evaluation.by_horizon.loc[list(names)].rename(index=names).T,
        network=names[evaluation.network],
        best=names[evaluation.best_naive],
        unit=evaluation.units.get(target, "") if evaluation.single else "",
        ahead=steps_in_words(evaluation.horizon, evaluation.frequency),
        period=f"{test['start']} to {test['end']}",
        error="mean absolute error" if evaluation.ranked_by == "MAE" else "mean absolute scaled error",
    )
