"""``minirnn predict``: the forecast of a saved model, from the rows that it holds or from new ones."""

from __future__ import annotations

import argparse
import importlib
import io
import json
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, levels, loading, note, places, positive, printing
from minirnn.cli.rows import names

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table
    from minirnn.models.forecaster import Forecaster

EXAMPLES = """examples:
  minirnn predict report/model.safetensors                       after the last rows that the model was given
  minirnn predict report/model.safetensors new.csv > ahead.csv   after the last row of new.csv
  minirnn predict report/model.safetensors new.csv --levels 0.5,0.9 --out ahead.csv
  minirnn predict report/model.safetensors new.csv --json
  minirnn predict report/model.safetensors --backend readable    without JAX: starts sooner, equal to 1e-5

The new rows need the columns of the training, under the same names; they may be few, but not fewer than the forecast
reads. Of a model with columns that are known ahead, the file also holds these of the rows ahead.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "predict",
        help="forecast with a saved model, from its last rows or from new ones",
        description="Loads a model that minirnn forecast --out or Forecaster.save has written, and prints its forecast "
        "as CSV.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument(
        "data",
        nargs="?",
        metavar="FILE",
        help="rows to start from: CSV (also .csv.gz) or parquet (default: the model's)",
    )
    parser.add_argument(
        "--date-column", metavar="COLUMN", help="the times in FILE (default: as in the training, or found)"
    )
    parser.add_argument(
        "--missing", type=names, action="extend", metavar="CODES", help="stand for no value, as in --missing=-9999,n/a"
    )
    parser.add_argument(
        "--levels",
        type=levels,
        metavar="X,Y",
        help="of the intervals (default: 0.8,0.95; '' for none)",
    )
    parser.add_argument(
        "--backend", choices=("fast", "readable"), help="JAX or NumPy (default: the one that trained the model)"
    )
    group = parser.add_argument_group("models of minirnn translate")
    group.add_argument("--beam", type=positive, metavar="N", help="hypotheses (default: as the model was trained)")
    group.add_argument("--attention", action="store_true", help="with --json: where the decoder looked")
    parser.add_argument("--out", metavar="FILE", help="write the CSV (or JSON) there instead of printing it")
    parser.add_argument("--json", action="store_true", help="JSON instead of CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    loaded = loading.load(arguments.model, "predict")
    kind = type(loaded).__name__
    for option in ("beam", "attention"):
        if getattr(arguments, option) and kind != "Seq2Seq":
            raise UsageError(f"--{option} belongs to models of minirnn translate; {arguments.model} is a {kind}")
    if kind == "Forecaster":
        return _forecast(arguments, loaded)
    for option in ("levels", "date_column", "missing"):
        if getattr(arguments, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} belongs to forecasts; {arguments.model} is a {kind}")
    if arguments.backend is not None:
        loaded.set_params(backend=arguments.backend)
    command = importlib.import_module(f"minirnn.cli.{loading.TRAINED_BY[kind]}")
    status: int = command.predict(arguments, loaded)
    return status


def _forecast(arguments: argparse.Namespace, forecaster: Forecaster) -> int:
    """The forecast of a Forecaster, as CSV or JSON."""
    from minirnn.data.words import DataError
    from minirnn.models import storage
    from minirnn.models.estimator import ParameterError
    from minirnn.models.forecasting.frames import check_levels

    out = places.file(
        arguments.out, arguments.model, arguments.data, endings=(".json",) if arguments.json else (".csv",)
    )
    chosen = check_levels((0.8, 0.95) if arguments.levels is None else arguments.levels)
    for option in ("date_column", "missing"):
        if arguments.data is None and getattr(arguments, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} belongs to a file of rows, and none was given")
    if arguments.backend is not None:
        forecaster.set_params(backend=arguments.backend)
    table = None if arguments.data is None else read(arguments, forecaster)
    try:
        frame = forecaster.predict(table, levels=chosen)
    except (DataError, ParameterError) as error:
        if arguments.data is None:
            raise
        raise type(error)(f"{arguments.data}: {error}") from None
    for line in () if table is None else table.notes:
        note(line)
    text = _json(forecaster, frame, chosen) if arguments.json else _csv(frame)
    if out is None:
        print(text, end="")
        return 0
    try:
        storage.write_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))
    except OSError as error:
        raise places.cannot_write(out, error) from None
    return 0


def read(arguments: argparse.Namespace, forecaster: Forecaster) -> Table:
    """The rows of FILE, in the roles of the training.

    Raises:
      DataError: the file cannot be used, or lacks a column of the training.
    """
    from minirnn import data
    from minirnn.models.forecasting import incoming

    return data.read(
        arguments.data,
        **incoming.as_trained(forecaster),
        date_column=arguments.date_column or forecaster.date_column_ or None,
        missing=arguments.missing or (),
    )


def _csv(frame: pd.DataFrame) -> str:
    text = io.StringIO()
    frame.to_csv(text, index_label=str(frame.index.name or "time"), lineterminator="\n")
    return text.getvalue()


def _json(forecaster: Forecaster, frame: pd.DataFrame, chosen: tuple[float, ...]) -> str:
    return json.dumps(printing.forecast_as_dict(forecaster, frame, chosen), indent=2, allow_nan=False) + "\n"
