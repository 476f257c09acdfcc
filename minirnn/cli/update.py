"""``minirnn update``: a saved model goes on with the rows that have come since."""

from __future__ import annotations

import argparse
import json
import os

from minirnn.cli import UsageError, loading, note, positive

EXAMPLES = """examples:
  minirnn update model.safetensors new.csv                      the file is replaced at the very end, or not at all
  minirnn update model.safetensors new.csv --out newer.safetensors
  minirnn update model.safetensors new.csv --epochs 50 --replay 2 --json

The last quarter of the new rows is held out. Training ends when it no longer helps there, and what did not help is
rolled back. Rows that the model knows already are left out; a history of all updates stays in the file.
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "update",
        help="go on with the training of a saved model on new rows",
        description="Trains a saved model on new rows and on a small sample of old windows, from where its optimiser "
        "was; keeps what does better on held-out new rows; warns where the data has drifted.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument("data", metavar="NEW.csv", help="the new rows, with the columns of the training")
    parser.add_argument("--out", metavar="FILE", help="write here instead of replacing MODEL")
    parser.add_argument("--date-column", metavar="COLUMN", help="the column of dates (default: found)")
    parser.add_argument("--epochs", type=positive, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--patience", type=positive, default=3, metavar="N", help="epochs without gain (default: 3)")
    parser.add_argument(
        "--learning-rate", type=float, metavar="RATE", help="of Adam (default: a third of the training's)"
    )
    parser.add_argument(
        "--replay", type=float, default=1.0, metavar="R", help="old windows for each new one (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.data import DataError, read
    from minirnn.models.forecasting import incoming

    out = arguments.out or arguments.model
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK) or os.path.isdir(out):
        raise UsageError(f"{out}: cannot be written; choose another file")
    model = loading.load(arguments.model, "update", "Forecaster")
    table = read(arguments.data, **incoming.as_trained(model), date_column=arguments.date_column)
    try:
        done = model.update(
            table,
            epochs=arguments.epochs,
            learning_rate=arguments.learning_rate,
            replay=arguments.replay,
            patience=arguments.patience,
        )
    except DataError as error:
        raise DataError(f"{arguments.data}: {error}") from None
    try:
        model.save(out)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror})") from None
    if arguments.json:
        print(json.dumps(done._asdict(), indent=2, allow_nan=False))
        for line in (*table.notes, *done.notes):
            note(line)
        return 0
    for line in table.notes:
        note(line)
    print(f"{done.rows:,} new rows, {done.first} to {done.last}")
    for line in done.notes:
        print(line)
    if done.before is not None and done.after is not None:
        for name, before, after in zip(model.roles_.target, done.before, done.after):
            print(f"mean absolute error of {name} on the held-out rows: {before:.4g} before, {after:.4g} after")
    print(f"written to {out}")
    return 0
