"""``minirnn tag``: spans in source or sentences, found by a tag for each character or word."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, options, positive, printing, training
from minirnn.cli.options import TRAINING, Groups, Option, stating, yes_or_no
from minirnn.cli.tagging import predict
from minirnn.cli.training import Inputs, Trained

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.sequences.tagged import TaggedSequences
    from minirnn.models.tagger import Tagger

__all__ = ["add_parser", "predict"]

LIMIT = 1_000_000  # characters of the standard library: minutes on two cores
SHOWN = 3_000  # characters of the test part in the report, and a quarter as many words
EXAMPLES = """examples:
  minirnn tag                                     tokens in the Python standard library's own source
  minirnn tag --limit 5000000 --out report/       on more of it
  minirnn tag src/ --bidirectional no             in a folder of Python source, from what stands before alone
  minirnn tag train.conll --test test.conll       names in sentences: a token and its tag in each line
  minirnn tag train.tsv --token-column 1 --tag-column -1
  minirnn predict report/model.safetensors new.py > spans.tsv

Python source is tagged by the standard library's tokenize: the network has to find out from the characters alone what
is a name, a keyword, a number, a string, a comment or an operator. CoNLL files have a line for each word, columns with
tabs or blanks between them, and an empty line after each sentence. Test texts are never used in training.
"""


GROUPS: Groups = {
    "network": (
        Option("cell", ("lstm", "gru", "rnn"), "kind of recurrent layer (default: lstm)"),
        Option("hidden_size", positive, "units of a layer and direction (default: 96)", "H"),
        Option("num_layers", positive, "recurrent layers (default: 1)", "L", "--layers"),
        Option("bidirectional", yes_or_no, "read in both directions (default: yes)", "yes|no"),
        Option("embedding_size", positive, "of the vectors of characters or words (default: 32 or 64)", "E"),
        Option("letter_size", positive, "units of the network that reads a word's letters (default: 25)", "H"),
        Option("window", positive, "characters or words of a window that count (default: 400)", "N"),
        Option("context", int, "characters or words around them that are only read (default: 200)", "N"),
        Option("dropout", float, "rate (default: 0.2)", "X"),
        Option("word_dropout", float, "rate at which words are unknown in training (default: 0.1)", "X"),
        Option("validation_fraction", float, "of the text, for early stopping (default: 0.1)", "X"),
        Option("test_fraction", float, "of the text, for the verdict alone (default: 0.1)", "X"),
    ),
    "training": stating(
        TRAINING,
        {
            "learning_rate": 8e-3,
            "weight_decay": 0.0,
            "batch_size": 32,
            "max_epochs": "8 for source, 30 for sentences",
            "patience": 5,
            "max_norm": 1.0,
            "backend": "fast",
        },
        rows="windows or sentences",
    ),
}


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    training.add_parser(
        subparsers,
        training.Command(
            name="tag",
            help="find spans in Python source or in sentences (CoNLL): a tag for each character or word",
            description="Trains a recurrent network that finds spans, such as strings in source or names in sentences, "
            "and judges it on texts that it has not seen, beside the tags that a step's neighbours suggest.",
            examples=EXAMPLES,
            groups=GROUPS,
            add_inputs=_add_inputs,
            make=_make,
            read=_read,
            report=_report,
            page=_page,
            figures={},
        ),
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="?",
        metavar="FILE",
        help="a CoNLL file, a Python file, or a folder of them; without it, the Python standard library's own source",
    )
    group = parser.add_argument_group("data")
    group.add_argument(
        "--kind", choices=("python", "conll"), help="of FILE (default: python for a folder and *.py, else conll)"
    )
    group.add_argument("--test", metavar="FILE", help="for the verdict alone (default: a part of FILE)")
    group.add_argument("--token-column", type=int, metavar="N", help="from 0 on, or -1 for the last (default: 0)")
    group.add_argument("--tag-column", type=int, metavar="N", help="from 0 on, or -1 for the last (default: -1)")
    group.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help=f"characters of source at most (default: {LIMIT:,} of the standard library, all of a folder)",
    )


def _make(arguments: argparse.Namespace) -> Tagger:
    from minirnn.models import tagger

    model = tagger.Tagger(**options.given(arguments, GROUPS))
    tagger.check(model.get_params())
    return model


def _kind(arguments: argparse.Namespace, path: str) -> str:
    if arguments.kind is not None:
        return str(arguments.kind)
    return "python" if Path(path).is_dir() or path.endswith((".py", ".py.gz", ".pyi")) else "conll"


def _read(arguments: argparse.Namespace) -> Inputs:
    from minirnn.data.sequences import tagged

    path = arguments.data
    kind = "python" if path is None else _kind(arguments, path)
    if path is None and arguments.kind == "conll":
        raise UsageError("--kind conll belongs to a file, and none was given")
    for name in ("token_column", "tag_column"):
        if kind == "python" and getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} belongs to a CoNLL file; this is Python source")
    if kind == "conll" and arguments.limit is not None:
        raise UsageError("--limit belongs to Python source; of a CoNLL file give fewer sentences")
    seed = arguments.seed or 0
    if path is None:
        data = tagged.library(arguments.limit or LIMIT, seed)
    else:
        data = _file(arguments, path, kind, arguments.limit)
    notes = data.notes
    about = f"{data.title} (no file was given)" if path is None else data.title
    if arguments.test is not None:
        if arguments.kind is None and _kind(arguments, arguments.test) != kind and os.path.exists(arguments.test):
            raise UsageError(
                f"--test {arguments.test}: looks like another kind of data than {about}; give both as Python source or "
                "both as CoNLL, or name the kind with --kind"
            )
        test = _file(arguments, arguments.test, kind, None)
        notes = (*notes, *test.notes)
        data = data.with_test(test)
    return Inputs(data, about, notes)


def _file(arguments: argparse.Namespace, path: str, kind: str, limit: int | None) -> TaggedSequences:
    from minirnn.data.sequences import tagged

    if kind == "python":
        return tagged.read_python(path, limit, arguments.seed or 0)
    token = 0 if arguments.token_column is None else arguments.token_column
    tag = -1 if arguments.tag_column is None else arguments.tag_column
    return tagged.read_sentences(path, token, tag)


# what is printed and written ----------------------------------------------------------------------------


def _report(trained: Trained) -> list[str]:
    from minirnn.models.tagging import judging

    model, evaluation = trained.model, trained.evaluation
    return [
        f"data        {trained.inputs.source}",
        *(f"{part:<11} {_part(about)}" for part, about in evaluation.splits.items()),
        f"network     {_network(evaluation.model, evaluation.network)}",
        *printing.padding(evaluation.padding),
        *printing.notes(trained.notes),
        "",
        "scores on the test part: F1 of all spans together decides",
        *printing.scores(evaluation.scores),
        "",
        evaluation.sentence,
        "",
        "scores of the network by type of span",
        *printing.scores(evaluation.tables[judging.BY_TYPE]),
        *([] if model.unit_ == "characters" else ["", *_by_tag(evaluation.tables[judging.BY_TAG])]),
    ]


def _by_tag(table: pd.DataFrame) -> list[str]:
    return ["scores of the network by tag", *printing.scores(table)]


def _part(about: dict[str, int]) -> str:
    """How much a part holds."""
    from minirnn.data.words import count

    return ", ".join(count(number, things[:-1]) for things, number in about.items())


def _network(about: dict[str, Any], name: str) -> str:
    return f"{name}, {about['hidden_size']} units, {about['weights']:,} weights; {printing.epochs(about)}"


def _page(trained: Trained) -> str:
    from minirnn.inspect.report.scores import models_table, score_table
    from minirnn.inspect.report.sequences import report_html
    from minirnn.models.tagging import judging

    model, evaluation = trained.model, trained.evaluation
    frame, types = evaluation.scores, evaluation.tables[judging.BY_TYPE]
    spans = evaluation.splits["test"]["spans"]
    tiles = [
        ("F1 of the spans", f"{evaluation.score:.3f}", "all types together; boundaries and type must be right"),
        (
            str(frame.index[1]),
            f"{frame[evaluation.ranked_by].iloc[1]:.3f}",
            "the same F1 of the simple model",
        ),
        ("Right tags", f"{100 * frame['accuracy'].iloc[0]:.1f} %", f"of the {model.unit_} of the test part"),
    ]
    chapters = [
        ("models", "Beside a simple model", models_table(frame, own=evaluation.network)),
        ("types", f"The {spans:,} spans by type", score_table(types, first="type", label="Scores of spans by type")),
        (
            "tags",
            f"The {model.unit_} by tag",
            score_table(evaluation.tables[judging.BY_TAG], first="tag", label="Scores of steps by tag"),
        ),
        ("example", "What it found", _example(trained)),
    ]
    sizes = [(part.capitalize(), _part(about)) for part, about in evaluation.splits.items()]
    return report_html(
        f"Spans in {trained.inputs.source}",
        evaluation.sentence,
        tiles,
        chapters,
        about=_network(evaluation.model, evaluation.network),
        model=evaluation.model,
        history=model.history_,
        unit=f"nats per {model.unit_[:-1]}",
        data=[("Source", trained.inputs.source), *sizes, *printing.padding_row(evaluation.padding)],
        notes=trained.notes,
        command=trained.command,
    )


def _example(trained: Trained) -> str:
    """The beginning of the test part, with what was found and what there is."""
    from minirnn.inspect.report.texts import tagged_text

    model, test = trained.model, trained.model.parts_.test
    pieces: list[str] = []
    room = SHOWN if model.unit_ == "characters" else SHOWN // 4
    for k, sequence in enumerate(test.sequences):
        if room <= 0 or len(pieces) == 10:
            break
        shown = sequence[:room]
        room -= len(shown)
        inside = [
            [span for span in spans if span.stop <= len(shown)]
            for spans in (model.predict([sequence])[0], model.labels_.spans(test.tags[k]))
        ]
        words = model.unit_ == "words"
        pieces.append(tagged_text(shown, *inside, caption=test.names[k], names=words))
    return "".join(pieces)
