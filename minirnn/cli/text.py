"""``minirnn text``: a network that writes on, trained on your texts; and what it writes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError, loading, note, options, places, positive, text_report, training
from minirnn.cli.options import TRAINING, Groups, Option, stating

if TYPE_CHECKING:
    from minirnn.data.sequences.texts import Document
    from minirnn.models.language_model import LanguageModel

EXAMPLES = """examples:
  minirnn text                                        on the source of Python's standard library, a few minutes
  minirnn text --limit 5000000 --out model/           on five times as much of it
  minirnn text book.txt                               on your text; its end is held out
  minirnn text notes/ letters/ --unit words           on all text files of folders; whole files are held out
  minirnn text --generate model/model.safetensors --prompt "def " --temperature 0.7
  minirnn predict model/model.safetensors starts.txt  the most probable rest of each line
  minirnn explain model/model.safetensors some.py     what single units follow

Of the texts 85 % are trained on, 5 % choose the best epoch, and 10 % judge, beside n-gram models: bits per character
say how well the next one was foreseen, 0 being always right. The state of the network goes on through a whole text.
"""
LIMIT = 1_000_000  # characters of the standard library
WRITING = ("prompt", "length", "temperature", "top_k")
ENDINGS = {False: (".txt",), True: (".jsonl", ".json")}


GROUPS: Groups = {
    "network": (
        Option("unit", ("characters", "bytes", "words"), "what is predicted (default: characters)"),
        Option("cell", ("lstm", "gru", "rnn"), "kind of recurrent layer (default: lstm)"),
        Option("hidden_size", positive, "units of a layer (default: 256)", "H"),
        Option("num_layers", positive, "recurrent layers (default: 1)", "L", "--layers"),
        Option("embedding_size", positive, "of the vectors of symbols (default: 64)", "E"),
        Option("dropout", float, "rate, of outputs (default: 0.1)", "X"),
        Option("window", positive, "symbols that a gradient goes back (default: 64)", "N"),
        Option("min_count", positive, "rarer symbols are taken for one (default: 5)", "N"),
        Option("vocabulary_size", positive, "different symbols at most (default: 20000)", "N"),
        Option("validation_fraction", float, "of the text, for early stopping (default: 0.05)", "X"),
        Option("test_fraction", float, "of the text, for the verdict alone (default: 0.1)", "X"),
    ),
    "training": (
        *stating(
            TRAINING,
            {
                "learning_rate": 4e-3,
                "weight_decay": 0.0,
                "batch_size": 32,
                "max_epochs": "what makes 8 million symbols, 8 to 100",
                "patience": 3,
                "max_norm": 1.0,
                "backend": "fast",
            },
            rows="streams",
        ),
        Option("warm_up", float, "share of updates in which the rate rises (default: 0.03)", "X"),
    ),
}


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    command = _command()
    parser = training.add_parser(subparsers, command)
    parser.usage = "minirnn text [FILE or FOLDER ...] [options]\n       minirnn text --generate MODEL [options]"
    group = parser.add_argument_group("writing, instead of training")
    group.add_argument("--generate", metavar="MODEL", help="write with a saved model, symbol by symbol")
    group.add_argument("--prompt", metavar="TEXT", help="what it goes on from (default: the start of a text)")
    group.add_argument("--length", type=positive, metavar="N", help="symbols that are written (default: 500)")
    group.add_argument(
        "--temperature", type=float, metavar="X", help="0: always the most probable; 1: as likely as it is (default: 1)"
    )
    group.add_argument("--top-k", type=positive, metavar="K", help="only the K most probable (default: all)")
    parser.set_defaults(run=lambda arguments: _run(arguments, command))


def _command() -> training.Command:
    return training.Command(
        name="text",
        help="train a network that writes on: characters, bytes or words; and let it write",
        description="Trains a recurrent network on texts to predict each symbol from all before it, and judges it on "
        "texts that it has not seen, beside n-gram models.",
        examples=EXAMPLES,
        groups=GROUPS,
        add_inputs=_add_inputs,
        make=_make,
        read=_read,
        report=text_report.report,
        page=text_report.page,
        figures={"units.png": text_report.figure},
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data",
        nargs="*",
        metavar="FILE",
        help="texts in UTF-8 (also .gz), and folders of them (default: the source of Python's standard library)",
    )
    parser.add_argument(
        "--pattern", metavar="GLOB", help="which files of folders, as '*.txt' (default: the usual ones)"
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help=f"characters at most (default: all, of the library {LIMIT:,})"
    )


def _make(arguments: argparse.Namespace) -> LanguageModel:
    from minirnn.models.language_model import LanguageModel

    model = LanguageModel(**options.given(arguments, GROUPS))
    model._check()
    return model


def _read(arguments: argparse.Namespace) -> training.Inputs:
    from minirnn.data.sequences import python_source, texts

    if arguments.pattern is not None and not any(Path(name).is_dir() for name in arguments.data):
        raise UsageError(f"--pattern {arguments.pattern}: says which files of a folder are read, and none was given")
    if not arguments.data:
        documents = python_source.library(arguments.limit or LIMIT)
        version = ".".join(map(str, sys.version_info[:2]))
        return training.Inputs(documents, f"the standard library of Python {version}")
    pattern = texts.PATTERNS if arguments.pattern is None else arguments.pattern
    documents, notes = texts.read_texts(arguments.data, pattern)
    if arguments.limit is not None:
        documents = limited(documents, arguments.limit)
    source = ", ".join(arguments.data[:3]) + (f" and {len(arguments.data) - 3} more" if len(arguments.data) > 3 else "")
    return training.Inputs(documents, source, notes)


def limited(documents: list[Document], most: int) -> list[Document]:
    """The first documents with so many characters together; the last of them is cut."""
    found = []
    for document in documents:
        if most <= 0:
            break
        found.append(document._replace(text=document.text[:most]))
        most -= len(document.text)
    return found


def _run(arguments: argparse.Namespace, command: training.Command) -> int:
    if arguments.generate is not None:
        return _generate(arguments, command)
    for name in WRITING:
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} belongs to writing: give --generate MODEL too")
    return training.run(arguments, command)


def _generate(arguments: argparse.Namespace, command: training.Command) -> int:
    """Writes with a saved model: each piece as soon as it is there."""
    training_only = {*options.given(arguments, command.groups)} - {"seed", "backend"}
    for name in ("out", "limit", "pattern", "checkpoint", *sorted(training_only)):
        if getattr(arguments, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} belongs to training; --generate only writes")
    if arguments.data:
        raise UsageError(f"{arguments.data[0]}: --generate reads no texts; what it goes on from is its --prompt")
    model = loading.load(arguments.generate, "text --generate", "LanguageModel")
    prompt = arguments.prompt or ""
    given = {name: getattr(arguments, name) for name in ("temperature", "top_k", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    pieces = model.generate(prompt, 500 if arguments.length is None else arguments.length, **given)
    unknown = model.vocabulary_.unknown_share(model.vocabulary_.encode(prompt))
    if unknown:
        note(
            f"{100 * unknown:.2g} % of the prompt's {model.unit} are unknown to the model: it reads them as one symbol"
        )
    if arguments.json:
        print(json.dumps({"prompt": prompt, "text": "".join(pieces)}))
        return 0
    print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return 0


# ---------------------------------------------------------------- with a saved model


def predict(arguments: argparse.Namespace, model: LanguageModel) -> int:
    """``minirnn predict`` for a model of this command: the rest of each line; returns its exit status."""
    from minirnn.data.sequences.lines import read_lines

    out = places.file(arguments.out, arguments.model, arguments.data, endings=ENDINGS[arguments.json])
    if arguments.backend is None:
        model.set_params(backend="readable")  # nothing to be compiled for a line
    answers = (_answer(model, line, arguments.json) for _, line in read_lines(arguments.data))
    places.put((f"{answer}\n" for answer in answers), out)
    return 0


def _answer(model: LanguageModel, line: str, as_json: bool) -> str:
    (rest,) = model.predict([line])
    if not as_json:
        return rest
    known = len(model.vocabulary_.encode(line)) > 0
    answer: dict[str, Any] = {"prompt": line, "continuation": rest}
    return json.dumps(answer | {"bits_per_character": model.score(line) if known else None})


def explain(arguments: argparse.Namespace, model: LanguageModel) -> int:
    """``minirnn explain`` for a model of this command: what its units follow; returns its exit status."""
    from minirnn.data.sequences import python_source, texts
    from minirnn.inspect.figures import save_figure
    from minirnn.models.storage import staged

    out = places.folder(arguments.out)
    if arguments.data is None:
        documents, source = python_source.library(LIMIT // 10), "the standard library of Python"
        note("no text was given: the standard library of Python is read, which the model may know")
    else:
        documents, notes = texts.read_texts(arguments.data)
        source = arguments.data
        for line in notes:
            note(line)
    with training.named(source):
        explanation = model.explain("".join(text for _, text in documents))
    about = json.dumps(explanation.as_dict(), indent=2, allow_nan=False) + "\n"
    if out is not None:
        try:
            with staged(out) as folder:
                (folder / "explanation.json").write_text(about, encoding="utf-8")
                save_figure(text_report.units_figure(explanation), folder / "units.png")
        except OSError as error:
            raise places.cannot_write(out, error) from None
    if arguments.json:
        print(about, end="")
        return 0
    print("\n".join(text_report.units(explanation)))
    if out is not None:
        print(f"\nwritten to {out}: explanation.json, units.png")
    return 0
