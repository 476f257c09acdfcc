"""``minirnn translate``: a sequence for each sequence, learned from pairs and judged beside simpler answers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, options, places, positive, printing, training
from minirnn.cli.options import TRAINING, Groups, Option, stating, yes_or_no
from minirnn.cli.training import Command, Inputs, Trained

if TYPE_CHECKING:
    from minirnn.models.seq2seq import Seq2Seq, Translation

PAIRS = 10_000  # generated dates
MAPS = 4  # attention maps that are shown
EXAMPLES = """examples:
  minirnn translate                                      10,000 generated dates, as people write them, to 1979-05-03
  minirnn translate pairs.tsv                            two columns with a tab (or a comma) between them
  minirnn translate pairs.csv --columns german,english --unit words --beam 4
  minirnn translate pairs.tsv --out report/ && minirnn predict report/model.safetensors new.txt
  echo 'the 3rd of may, 1979' | minirnn predict report/model.safetensors --beam 4 --json

Characters are read and written, or words; where all cells are numbers with blanks between them, series of numbers. The
pairs are cut by chance into parts for training, validation and test, with equal sources in one part; every figure in
the table is measured on the test part, which is never used in training. Of the generated dates no date of one part is
in another, in whatever form.
"""


GROUPS: Groups = {
    "reading and writing": (
        Option(
            "unit", ("auto", "characters", "words", "numbers"), "what a symbol is (default: numbers, else characters)"
        ),
        Option("beam", positive, "hypotheses kept while writing (default: 1, the likeliest symbol at each step)", "N"),
        Option(
            "unseen",
            ("source", "both"),
            "what no two parts share: sources, or targets too (default: source; dates: both)",
        ),
        Option("validation_fraction", float, "of the pairs, for early stopping (default: 0.1)", "X"),
        Option("test_fraction", float, "of the pairs, for the verdict alone (default: 0.1)", "X"),
    ),
    "network": (
        Option("cell", ("lstm", "gru", "rnn"), "kind of recurrent layer (default: gru)"),
        Option("hidden_size", positive, "units of a layer and direction (default: 64)", "H"),
        Option("num_layers", positive, "of the encoder, and of the decoder (default: 1)", "L", "--layers"),
        Option("embedding_size", positive, "of the vectors of symbols (default: 32)", "E"),
        Option("bidirectional", yes_or_no, "read sources in both directions (default: yes)", "yes|no"),
        Option("attention", ("bilinear", "additive", "dot", "none"), "how the decoder looks back (default: bilinear)"),
        Option("dropout", float, "rate, of embeddings and between layers (default: 0)", "X"),
    ),
    "training": stating(
        TRAINING,
        {
            "learning_rate": 4e-3,
            "weight_decay": 0.0,
            "batch_size": 64,
            "max_epochs": "30; dates: 6",
            "patience": 8,
            "max_norm": 1.0,
            "backend": "fast",
        },
        rows="pairs",
    ),
}
DATES = {"unseen": "both", "max_epochs": 6}
"""Parameters for the generated dates, where no others are given: they are learned soon."""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    training.add_parser(subparsers, COMMAND)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="?",
        metavar="FILE",
        help="pairs, one a line: with a tab between them, CSV, or JSON lines (also .gz); without it, generated dates",
    )
    group = parser.add_argument_group("data")
    group.add_argument(
        "--columns", metavar="A,B", help="of sources and targets: names, or positions from 1 on (default: the only two)"
    )
    group.add_argument("--pairs", type=positive, metavar="N", help=f"generated dates (default: {PAIRS})")


def _make(arguments: argparse.Namespace) -> Seq2Seq:
    from minirnn.models.seq2seq import Seq2Seq
    from minirnn.models.translating import jobs

    given = options.given(arguments, GROUPS)
    model = Seq2Seq(**(given if arguments.data is not None else DATES | given))
    jobs.check(model.get_params())
    return model


def _read(arguments: argparse.Namespace) -> Inputs:
    """The pairs of FILE, or generated ones.

    Raises:
      UsageError: options do not go together.
      DataError: the file cannot be used.
    """
    if arguments.data is None:
        from minirnn.data.sequences.date_pairs import dates

        if arguments.columns is not None:
            raise UsageError("--columns belongs to a file, and none was given")
        found = dates(arguments.pairs or PAIRS)
        return Inputs(found, "generated dates (no file was given)")
    from minirnn.data.sequences.pairs import read_pairs

    if arguments.pairs is not None:
        raise UsageError("--pairs belongs to generated dates; all pairs of a file are taken")
    return Inputs(read_pairs(arguments.data, _columns(arguments.columns)), str(arguments.data))


def _columns(text: str | None) -> list[str] | list[int] | None:
    """``a,b`` -> two names, ``1,3`` -> two positions."""
    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    if len(names) != 2 or not all(names):
        raise UsageError(f"--columns {text!r}: expected two names, or two positions, with a comma between them")
    return [int(name) for name in names] if all(name.isdecimal() for name in names) else names


# ---------------------------------------------------------------- what is printed and written


def _report(trained: Trained) -> list[str]:
    from minirnn.data.words import count

    evaluation = trained.evaluation
    return [
        f"data        {trained.inputs.source}",
        *(f"{name:<11} {count(about['pairs'], 'pair')}" for name, about in evaluation.splits.items()),
        f"network     {_network(evaluation.model, evaluation.network)}",
        *printing.padding(evaluation.padding),
        *printing.notes(trained.notes),
        "",
        "scores on the test part",
        *printing.scores(evaluation.scores),
        "",
        evaluation.sentence,
        "",
        "examples, mistakes first",
        *_examples(trained),
    ]


def _network(about: dict[str, Any], name: str) -> str:
    looks = "no attention" if about["attention"] == "none" else f"{about['attention']} attention"
    return f"{name}, {about['hidden_size']} units, {looks}, {about['weights']:,} weights; {printing.epochs(about)}"


def _examples(trained: Trained, most: int = 5, width: int = 36) -> list[str]:
    from minirnn.models.translating.judging import EXAMPLES as TABLE

    rows = []
    for source, target, written in trained.evaluation.tables[TABLE].head(most).itertuples(index=False, name=None):
        cells = [cell if len(cell) <= width else f"{cell[: width - 1]}…" for cell in (source, target, written)]
        rows.append([*cells, "right" if target == written else "wrong"])
    widths = [max(map(len, column)) for column in zip(["source", "target", "written", ""], *rows)]
    return [
        "  " + "  ".join(f"{cell:<{wide}}" for cell, wide in zip(row, widths)).rstrip()
        for row in [["source", "target", "written", ""], *rows]
    ]


def _page(trained: Trained) -> str:
    from minirnn.data.words import count
    from minirnn.inspect.report.matrices import attention_map
    from minirnn.inspect.report.scores import models_table
    from minirnn.inspect.report.sequences import report_html
    from minirnn.models.translating import judging

    model, evaluation = trained.model, trained.evaluation
    scores = evaluation.scores
    titles = {f"{name[:1].upper()}{name[1:]}": name for name in map(str, scores.columns)}
    tiles = [(title, _shown(name, scores[name].iloc[0]), "on unseen pairs") for title, name in titles.items()]
    maps = [attention_map(each.weights, each.source, each.target) for each in _maps(trained)]
    chapters = [
        ("models", "Beside simpler answers", models_table(scores, own=evaluation.network, less=judging.LESS)),
        ("examples", "What it wrote", _written(evaluation.tables[judging.EXAMPLES])),
        ("attention", "Where it looked", "\n".join(maps)),
    ]
    sizes = [(part.capitalize(), count(about["pairs"], "pair")) for part, about in evaluation.splits.items()]
    return report_html(
        f"Translation: {trained.inputs.source}",
        evaluation.sentence,
        tiles[:3],
        chapters,
        about=_network(evaluation.model, evaluation.network),
        model=evaluation.model,
        history=model.history_,
        unit="nats per target symbol",
        data=[("Source", trained.inputs.source), *sizes, *printing.padding_row(evaluation.padding)],
        notes=trained.notes,
        command=trained.command,
    )


def _shown(name: str, value: float) -> str:
    from minirnn.models.translating.judging import CER, EXACT

    return f"{100 * value:.1f} %" if name in (EXACT, CER) else f"{value:.4g}"


def _written(table: Any) -> str:
    from minirnn.inspect.report.markup import name
    from minirnn.inspect.report.markup import table as set_table

    rows = [
        [name(source), name(target), name(written), "right" if target == written else "<strong>wrong</strong>"]
        for source, target, written in table.itertuples(index=False, name=None)
    ]
    return set_table(["source", "target", "written", ""], rows, label="Examples, mistakes first")


def _maps(trained: Trained) -> list[Any]:
    """Attention on some test sources of different lengths; none of a network without attention."""
    model = trained.model
    if model.network_.attention is None:
        return []
    test = model.job_.pairs.take(model.job_.parts.test).sources
    test = sorted(
        {source for source in test if len(source) <= 80} or test[:1], key=lambda source: (len(source), source)
    )
    places = [round(k * (len(test) - 1) / (MAPS - 1)) for k in range(MAPS)]
    return [model.attention_of(test[place]) for place in dict.fromkeys(places)]


def _figure(trained: Trained) -> Any:
    from minirnn.inspect.figures_sequences import attention_figures

    maps = _maps(trained)
    return attention_figures([tuple(each) for each in maps]) if maps else None


COMMAND = Command(
    name="translate",
    help="learn to write a sequence for each sequence, from pairs: translation, dates, series",
    description="Trains an encoder-decoder with attention on pairs of sequences, and judges it, on pairs that it has "
    "not seen, beside copying the source and looking up the most similar one.",
    examples=EXAMPLES,
    groups=GROUPS,
    add_inputs=_add_inputs,
    make=_make,
    read=_read,
    report=_report,
    page=_page,
    figures={"attention.png": _figure},
)


# ---------------------------------------------------------------- predicting


def predict(arguments: argparse.Namespace, model: Seq2Seq) -> int:
    """``minirnn predict`` for a model of this command: a target for each line; returns its exit status."""
    out = places.file(
        arguments.out, arguments.model, arguments.data, endings=(".json", ".jsonl") if arguments.json else (".txt",)
    )
    if arguments.attention and not arguments.json:
        raise UsageError("--attention needs --json: weights are written there")
    if arguments.attention and model.network_.attention is None:
        raise UsageError(f"--attention: {arguments.model} was trained with --attention none")
    if arguments.backend is None:
        model.set_params(backend="readable")  # line by line there is nothing that compiling would pay for
    answers = _answers(arguments, model)
    places.put((f"{answer}\n" for answer in answers), out)
    return 0


def _answers(arguments: argparse.Namespace, model: Seq2Seq) -> Iterator[str]:
    """The answer to each line as soon as it is there; an empty one to an empty one."""
    from minirnn.data.sequences.lines import read_lines
    from minirnn.data.words import DataError

    name = arguments.data if arguments.data not in (None, "-") else "standard input"
    for number, line in read_lines(arguments.data):
        if not line.strip():
            yield json.dumps({"source": line, "target": None}) if arguments.json else ""
            continue
        try:
            (found,) = model.translate([line.strip()], arguments.beam)
            yield _json(model, line.strip(), found, arguments) if arguments.json else " ".join(found.text.splitlines())
        except DataError as error:
            raise DataError(f"{name}: line {number}: {str(error).removeprefix('source 0: ')}") from None


def _json(model: Seq2Seq, line: str, found: Translation, arguments: argparse.Namespace) -> str:
    answer: dict[str, Any] = {"source": line, "target": found.text, "log_probability": found.log_probability}
    if arguments.attention:
        weights, source, target = model.attention_of(line, arguments.beam)
        shares = [[round(float(weight), 6) for weight in row] for row in weights]
        answer["attention"] = {"source": source, "target": target, "weights": shares}
    return json.dumps(answer, ensure_ascii=False, allow_nan=False)
