"""``minirnn predict``: the answers of a saved model of any kind, to a file or to lines as they come in."""

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
  minirnn predict report/model.safetensors                       a forecast after the last rows that the model was given
  minirnn predict report/model.safetensors new.csv > ahead.csv   a forecast after the last row of new.csv
  minirnn predict report/model.safetensors new.csv --levels 0.5,0.9 --out ahead.csv
  minirnn predict classes/model.safetensors new.txt              the class of each line
  echo 'a lovely film' | minirnn predict classes/model.safetensors --json
  minirnn predict classes/model.safetensors gestures.csv         the class of each sequence of numbers
  minirnn predict tags/model.safetensors new.py > spans.tsv      the spans in a source
  minirnn predict tags/model.safetensors words.conll             each line with its tag as one more column
  minirnn predict text/model.safetensors starts.txt              the most probable rest of each line
  minirnn predict pairs/model.safetensors new.txt --beam 4       the target of each line
  minirnn predict report/model.safetensors --backend readable    without JAX: starts sooner, equal to 1e-5

What INPUT holds, and what is printed, is what the model was trained for by

  forecast    rows, CSV or parquet, with the columns of the training; they may be few, but not fewer than the forecast
              reads. Of a model with columns that are known ahead, the file also holds these of the rows ahead. Without
              INPUT the rows that the model holds. A CSV of the forecast.
  classify    lines of text, each of them whole: no header, no other columns. A CSV: label,probability. Of a model of
              numbers: rows with the columns of the training. A CSV: sequence,label,probability.
  tag         Python source; lines of start, stop, type, text. Of a model of sentences: a word in each line, or the
              columns of the training, and an empty line after each sentence. The same lines, each with its tag.
  text        lines of text. The most probable rest of each; minirnn text --generate writes freely.
  translate   lines of sources. Their targets.

Each line of the standard input is answered before the next is read, or each sentence; source is read to its end. With
--json there is a JSON object for each line, sequence, sentence or span, and one for a whole forecast.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "predict",
        help="answer with a saved model: forecasts, classes, tags, texts, translations",
        description="Loads a model that minirnn forecast, classify, tag, text or translate has written with --out, or "
        "its save method, and prints its answers to INPUT.",
        usage="minirnn predict MODEL [INPUT] [options]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument(
        "data",
        nargs="?",
        metavar="INPUT",
        help="a file, also .gz (default: the standard input; for forecasts the rows that the model holds)",
    )
    parser.add_argument(
        "--backend",
        choices=("fast", "readable"),
        help="JAX or NumPy (default: for forecasts and files of numbers as in the training, line by line NumPy)",
    )
    parser.add_argument("--out", metavar="FILE", help="write there instead of printing")
    parser.add_argument("--json", action="store_true", help="JSON instead of CSV or lines")
    group = parser.add_argument_group("models of minirnn forecast")
    group.add_argument(
        "--date-column", metavar="COLUMN", help="the times in INPUT (default: as in the training, or found)"
    )
    group.add_argument(
        "--missing", type=names, action="extend", metavar="CODES", help="stand for no value, as in --missing=-9999,n/a"
    )
    group.add_argument("--levels", type=levels, metavar="X,Y", help="of the intervals (default: 0.8,0.95; '' for none)")
    group = parser.add_argument_group("models of minirnn translate")
    group.add_argument("--beam", type=positive, metavar="N", help="hypotheses (default: as the model was trained)")
    group.add_argument("--attention", action="store_true", help="with --json: where the decoder looked")
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
    places.put([text], out)
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
