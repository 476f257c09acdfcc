"""``minirnn classify``: a label for each sequence, numbers or text, judged beside simpler classifiers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, options, positive, training
from minirnn.cli.classifying import predicting, printed
from minirnn.cli.options import TRAINING, Groups, Option, stating, yes_or_no
from minirnn.cli.rows import EMBEDDED, names
from minirnn.cli.training import Command, Inputs, Trained

if TYPE_CHECKING:
    from minirnn.data.sequences.labelled import Labelled
    from minirnn.models.classifier import Classifier

EMBEDDED_LABEL, EMBEDDED_WINDOW = "weather", 7
EXAMPLES = """examples:
  minirnn classify                                          the day's weather in Seattle, from the week before
  minirnn classify reviews.csv                              texts: a CSV with the columns text and label
  minirnn classify reviews.csv --text review --label stars --unit characters
  minirnn classify gestures.csv --series id --label gesture --columns x,y,z     a row for each step of a sequence
  minirnn classify plant.csv --label state --window 48      the class of a row from the 48 rows before it
  minirnn classify reviews.csv --out report/ && minirnn predict report/model.safetensors new.txt

The examples are cut into parts for training, validation and test: by time where they have times, else by chance, class
by class. Every figure in the tables is measured on the test part, which is never used in training.
"""


GROUPS: Groups = {
    "reading": (
        Option("unit", ("words", "characters", "bytes"), "of texts (default: words)"),
        Option("vocabulary_size", positive, "different symbols at most (default: 20000)", "N"),
        Option("class_weights", ("balanced",), "rare classes count as much as frequent ones (default: as they occur)"),
        Option("validation_fraction", float, "of the examples, for early stopping (default: 0.15)", "X"),
        Option("test_fraction", float, "of the examples, for the verdict alone (default: 0.15)", "X"),
    ),
    "network": (
        Option("cell", ("lstm", "gru", "rnn"), "kind of recurrent layer (default: gru)"),
        Option("hidden_size", positive, "units of a layer and direction (default: 32)", "H"),
        Option("num_layers", positive, "recurrent layers (default: 1)", "L", "--layers"),
        Option("bidirectional", yes_or_no, "read in both directions (default: yes)", "yes|no"),
        Option(
            "pooling",
            ("attention", "mean", "last"),
            "how a sequence becomes one vector (default: last for numbers, attention for texts)",
        ),
        Option(
            "memory", positive, "steps that gates keep at first what they hold: for events long ago (default: off)", "N"
        ),
        Option("embedding_size", positive, "of the vectors of symbols (default: 32)", "E"),
        Option("dropout", float, "rate, of features (default: 0.3)", "X"),
    ),
    "training": stating(
        TRAINING,
        {
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "batch_size": 32,
            "max_epochs": 100,
            "patience": 10,
            "max_norm": 1.0,
            "backend": "fast",
        },
        rows="sequences",
    ),
}


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    training.add_parser(subparsers, COMMAND)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="?",
        metavar="FILE",
        help="CSV or JSON lines (also .gz); without it, embedded weather of Seattle",
    )
    group = parser.add_argument_group("columns", "Texts; or with --series or --window sequences of numbers.")
    group.add_argument("--label", metavar="COLUMN", help="the classes (default for texts: the column label)")
    group.add_argument("--text", metavar="COLUMN", help="the texts (default: the column text)")
    group.add_argument("--series", metavar="COLUMN", help="long form: tells the sequences, or series, apart")
    group.add_argument(
        "--window", type=positive, metavar="N", help="the class of a row from the N rows before it (default: off)"
    )
    group.add_argument(
        "--columns", type=names, action="extend", metavar="COLUMNS", help="those to read (default: all of numbers)"
    )
    group.add_argument("--date-column", metavar="COLUMN", help="the times (default: the first column of dates)")


def _make(arguments: argparse.Namespace) -> Classifier:
    from minirnn.models.classifier import Classifier
    from minirnn.models.classifying import jobs

    model = Classifier(**options.given(arguments, GROUPS))
    jobs.check(model.get_params())
    if not model.test_fraction:
        raise UsageError("--test-fraction 0 leaves nothing to judge on; give a share of the examples above 0")
    return model


def _read(arguments: argparse.Namespace) -> Inputs:
    """The examples of FILE, in the form that the options say.

    Raises:
      UsageError: options do not go together.
      DataError: the file cannot be used.
    """
    path = arguments.data
    numbers = path is None or arguments.series is not None or arguments.window is not None
    unfit = {
        "belongs to a file, and none was given": () if path else ("text", "label", "series", "columns", "date_column"),
        "belongs to texts; --series and --window are for numbers": ("text", "unit", "vocabulary_size", "embedding_size")
        if numbers
        else (),
        "belongs to numbers: add --series COLUMN or --window N": () if numbers else ("columns", "date_column"),
    }
    for reason, refused in unfit.items():
        for option in refused:
            if getattr(arguments, option) is not None:
                raise UsageError(f"--{option.replace('_', '-')} {reason}")
    if path is not None and numbers and arguments.label is None:
        raise UsageError("--label COLUMN is missing: which column holds the classes?")
    found = _found(arguments)
    source = str(path) if path is not None else f"the embedded series {EMBEDDED} (no file was given)"
    return Inputs(found, source)


def _found(arguments: argparse.Namespace) -> Labelled:
    if arguments.data is None:
        from minirnn.data.embedded import path_of
        from minirnn.data.sequences.class_windows import read_windows

        return read_windows(path_of(EMBEDDED), EMBEDDED_LABEL, arguments.window or EMBEDDED_WINDOW)
    columns = arguments.columns or None
    if arguments.window is not None:
        from minirnn.data.sequences.class_windows import read_windows

        return read_windows(
            arguments.data, arguments.label, arguments.window, columns, arguments.series, arguments.date_column
        )
    if arguments.series is not None:
        from minirnn.data.sequences.long_form import read_sequences

        return read_sequences(arguments.data, arguments.series, arguments.label, columns, arguments.date_column)
    from minirnn.data.sequences.labelled import read_texts
    from minirnn.data.words import DataError

    try:
        return read_texts(arguments.data, arguments.text, arguments.label)
    except DataError as error:
        if "say which of them holds" not in str(error):
            raise
        raise DataError(f"{error} (--text, --label); for sequences of numbers add --series or --window") from None


def _page(trained: Trained) -> str:
    from minirnn.cli.classifying.page import page

    return page(trained)


def _confusion(trained: Trained) -> Any:
    from minirnn.inspect.figures_sequences import confusion_figure
    from minirnn.models.classifying.judging import CONFUSION

    table = trained.evaluation.tables[CONFUSION]
    return confusion_figure(table.to_numpy(), list(table.index))


def _report(trained: Trained) -> Sequence[str]:
    return printed.report(trained)


COMMAND = Command(
    name="classify",
    help="learn the classes of sequences or texts, and say whether the network beats simpler classifiers",
    description="Trains a recurrent network to tell classes of sequences apart, texts or numbers of any lengths, and "
    "judges it, on examples that it has not seen, beside simpler classifiers.",
    examples=EXAMPLES,
    groups=GROUPS,
    add_inputs=_add_inputs,
    make=_make,
    read=_read,
    report=_report,
    page=_page,
    figures={"confusion.png": _confusion},
)


def predict(arguments: argparse.Namespace, model: Any) -> int:
    """``minirnn predict`` for a model of this command; returns its exit status."""
    return predicting.run(arguments, model)
