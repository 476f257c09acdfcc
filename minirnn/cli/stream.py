"""``minirnn stream``: one row in, one forecast out, at once."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from minirnn.cli import UsageError, loading, note

EXAMPLES = """examples:
  minirnn stream model.safetensors < rows.csv > forecasts.csv
  tail -n +1 -f log.csv | minirnn stream model.safetensors --json-lines
  minirnn stream model.safetensors --alarm 0.99 --skip-bad < sensor.csv
  minirnn stream model.safetensors --columns time,load < without_header.csv
  minirnn stream model.safetensors --plan holidays.csv < rows.csv      columns that are known ahead

The first line of a CSV names its columns; others than those of the model are ignored. Lines that begin with a brace are
read as JSON objects. Times are written year first; rows that are missing between two lines are filled as the model
fills missing values, and said on standard error.

Each row gives one line: its time, its value, its score on the forecast that was made for it one row before (0 is the
middle, -1.96 and 1.96 the ends of 95 %), whether it is an anomaly (1 or 0), and for each step ahead mean_1, lower_80_1,
upper_80_1, ... Where there are several targets, names begin with the target and a dot. The model goes on from the last
row that it knows; --fresh forgets these and says nothing until it has read enough rows.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "stream",
        help="read rows line by line and forecast after each, with flags for anomalies",
        description="Reads one row from standard input and writes one forecast to standard output, at once, in NumPy.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument("--columns", metavar="A,B,...", help="names of the columns, where the CSV has no header")
    parser.add_argument("--date-column", metavar="COLUMN", help="the column of times (default: that of the training)")
    parser.add_argument("--levels", default="0.8,0.95", metavar="A,B,...", help="of the intervals (default: 0.8,0.95)")
    parser.add_argument(
        "--alarm",
        type=float,
        default=0.95,
        metavar="LEVEL",
        help="rows outside the interval of this level are anomalies; of ordinary rows 1 - LEVEL are (default: 0.95)",
    )
    parser.add_argument("--plan", metavar="FILE", help="a CSV of times and the columns that are known ahead")
    parser.add_argument(
        "--fresh", action="store_true", help="start anew instead of after the rows that the model knows"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave a wrong line out and go on, instead of ending")
    parser.add_argument("--json-lines", action="store_true", help="write a JSON object for each row instead of CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.cli import lines
    from minirnn.models.forecasting.streaming import plain

    model = loading.load(arguments.model, "stream", "Forecaster")
    levels, alarm = _levels(arguments.levels), arguments.alarm
    if not 0 < alarm < 1:
        raise UsageError(f"--alarm must lie between 0 and 1, got {alarm:g}")
    names = model.fitted_.names
    several = len(names) > 1
    counted = model.frequency_ is None
    planned = model.roles_.future if arguments.plan else ()
    time_column = "" if counted else arguments.date_column or model.date_column_
    wanted = lines.Wanted(time_column, model.series_column_ if several else None, model.columns_, planned)
    plan = _plan(arguments.plan, model, lines) if arguments.plan else ()
    write = (_json_lines if arguments.json_lines else _csv)(model, levels, several)
    columns = [name.strip() for name in arguments.columns.split(",")] if arguments.columns else None
    streams: dict[str, Any] = {}

    def stream_of(row):
        name = names[0] if not several else row.series
        if name not in streams:
            if name not in names:
                raise UsageError(f"the model has no series {name!r}; expected one of {', '.join(names[:5])}")
            start = 0 if counted else row.time
            streams[name] = model.stream(name, levels, alarm=alarm, history=not arguments.fresh, start=start)
            for planned_row in plan:
                if planned_row.series in (None, name):
                    streams[name].plan([planned_row.time], [planned_row.values])
        return streams[name]

    def missing_before(row, stream) -> int:
        return 0 if row.time is None else stream.until(row.time)

    note(
        f"anomaly: a value outside the {100 * alarm:.10g} % interval of the forecast one row before it; of ordinary "
        f"rows {100 * (1 - alarm):.10g} % are flagged."
    )
    read = rejected = 0
    for number, row in lines.rows(iter(sys.stdin.readline, ""), wanted, columns):
        try:
            if isinstance(row, UsageError):
                raise row
            stream = stream_of(row)
            missing = missing_before(row, stream)
        except ValueError as error:
            if not arguments.skip_bad:
                raise UsageError(f"line {number}: {error}; --skip-bad leaves such lines out") from None
            note(f"line {number} left out: {error}")
            rejected += 1
            continue
        if missing:
            rows = "1 row is" if missing == 1 else f"{missing:,} rows are"
            note(f"line {number}: {rows} missing before {plain(row.time)}; filled as missing values")
            stream.skip(missing)
        step = stream.push(row.values)
        read += 1
        if step is None:
            if read == 1:
                note(f"the first {stream.least - 1} rows of a series are read without a forecast")
            continue
        write(step, row.series)
        sys.stdout.flush()
    if rejected:
        note(f"{rejected} line{'s' if rejected > 1 else ''} left out")
    return 0


def _levels(text: str) -> tuple[float, ...]:
    try:
        levels = tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        levels = (math.nan,)
    if not levels or not all(0 < level < 1 for level in levels):
        raise UsageError(f"--levels: expected numbers between 0 and 1 such as 0.8,0.95, got {text!r}")
    return levels


def _plan(path: str, model, lines) -> list[Any]:
    """The rows of the file of columns known ahead."""
    if not model.roles_.future:
        raise UsageError(f"--plan {path}: the model has no columns that are known ahead")
    if model.frequency_ is None:
        raise UsageError(f"--plan {path}: the rows of the model have no times")
    several = len(model.fitted_.names) > 1
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header = file.readline()
            named = model.series_column_ in header if several else False
            wanted = lines.Wanted(model.date_column_, model.series_column_ if named else None, model.roles_.future)
            file.seek(0)
            found = list(lines.rows(file, wanted))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"--plan {path}: cannot be read ({reason})") from None
    for number, row in found:
        if isinstance(row, UsageError):
            raise UsageError(f"--plan {path}: line {number}: {row}")
    return [row for _, row in found]


# ------------------------------------------------------------ writing


def _parts(levels) -> list[tuple[str, float | None]]:
    """The figures of each step ahead: their name, and which quantile; None is the mean."""
    from minirnn.models.forecasting.frames import percent
    from minirnn.models.forecasting.intervals import ends

    parts: list[tuple[str, float | None]] = [("mean", None)]
    for level in levels:
        lower, upper = ends(level)
        parts += [(f"lower_{percent(level)}", lower), (f"upper_{percent(level)}", upper)]
    return parts


def _csv(model, levels, several: bool) -> Callable:
    """Writes the header, and gives what writes a row."""
    import csv

    import numpy as np

    from minirnn.data.calendar import step_days
    from minirnn.models.forecasting.streaming import plain

    clock = step_days(model.frequency_) < 1
    targets, N, parts = model.roles_.target, model.horizon_, _parts(levels)
    prefixes = [f"{name}." for name in targets] if len(targets) > 1 else [""]
    names = [model.date_column_ or "row", *([model.series_column_] if several else [])]
    for prefix in prefixes:
        names += [f"{prefix}{name}" for name in ("value", "score", "anomaly")]
        names += [f"{prefix}{name}_{n}" for n in range(1, N + 1) for name, _ in parts]
    table = csv.writer(sys.stdout, lineterminator="\n")
    header = [names]

    def write(step, series) -> None:
        table.writerows(header)  # before the first row, and not before it is known that there is one
        header.clear()
        cells = [plain(step.time, clock), *([series] if several else [])]
        figures = np.stack([step.mean if end is None else step.quantiles[end] for _, end in parts], axis=1)  # (N, p, C)
        for c in range(len(targets)):
            cells += [_cell(step.values[c]), _cell(step.score[c]), int(step.anomaly[c])]
            cells += [f"{value:.9g}" for value in figures[:, :, c].ravel().tolist()]
        table.writerow(cells)

    return write


def _cell(value) -> str:
    return "" if math.isnan(value) else f"{value:.9g}"


def _json_lines(model, levels, several: bool) -> Callable:
    from minirnn.data.calendar import step_days
    from minirnn.models.forecasting.streaming import plain

    clock = step_days(model.frequency_) < 1
    targets, parts = model.roles_.target, _parts(levels)

    def number(value):
        return None if math.isnan(value) else float(f"{value:.9g}")

    def write(step, series) -> None:
        found: dict[str, Any] = {"time": plain(step.time, clock)}
        if several:
            found["series"] = series
        found["ahead"] = [plain(time, clock) for time in step.times]
        found["targets"] = {}
        for c, name in enumerate(targets):
            figures = {key: step.mean if end is None else step.quantiles[end] for key, end in parts}
            found["targets"][name] = {
                "value": number(step.values[c]),
                "score": number(step.score[c]),
                "anomaly": bool(step.anomaly[c]),
                **{key: [number(value) for value in values[:, c].tolist()] for key, values in figures.items()},
            }
        sys.stdout.write(json.dumps(found) + "\n")

    return write
