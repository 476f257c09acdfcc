"""What the commands that train a model of sequences have in common: options, the order of the work, the results."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from minirnn.cli import checkpoints, devices, launcher, note, options, places

if TYPE_CHECKING:
    from minirnn.models.sequences.evaluation import Evaluation

FILES = ("report.html", "metrics.json", "model.safetensors")


class Inputs(NamedTuple):
    """What a command has read.

    Args:
      data: as the model's ``fit`` takes it.
      source: where it came from, in words.
      notes: what was repaired or decided, one sentence each.
    """

    data: Any
    source: str
    notes: tuple[str, ...] = ()


class Trained(NamedTuple):
    """A finished training: what reports and files are made of."""

    model: Any
    evaluation: Evaluation
    inputs: Inputs
    notes: tuple[str, ...]  # all of them
    command: str  # as it was typed


class Command(NamedTuple):
    """One command that trains.

    Args:
      name: of the command.
      help: one line for the list of commands.
      description: a sentence or two.
      examples: shown at the end of the help.
      groups: options that stand for parameters of the model.
      add_inputs: adds what says which data are read.
      make: the model of these options; a ParameterError where one is out of its range.
      read: the data.
      report: what is printed, line by line.
      page: the report as the text of an HTML page.
      figures: file name -> a function that makes the matplotlib figure, or None where there is nothing to draw.
    """

    name: str
    help: str
    description: str
    examples: str
    groups: options.Groups
    add_inputs: Callable[[argparse.ArgumentParser], None]
    make: Callable[[argparse.Namespace], Any]
    read: Callable[[argparse.Namespace], Inputs]
    report: Callable[[Trained], Sequence[str]]
    page: Callable[[Trained], str]
    figures: dict[str, Callable[[Trained], Any]]

    @property
    def files(self) -> tuple[str, ...]:
        """What ``--out`` writes."""
        return (*FILES, *self.figures)


def add_parser(subparsers, command: Command) -> argparse.ArgumentParser:
    """Adds the command and its options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        command.name,
        help=command.help,
        description=command.description,
        usage=f"minirnn {command.name} [FILE] [options]",
        epilog=command.examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_inputs(parser)
    options.add(parser, command.groups)
    group = parser.add_argument_group("results")
    group.add_argument("--out", metavar="DIR", help=f"write {', '.join(command.files)}")
    group.add_argument("--json", action="store_true", help="print what metrics.json holds, and nothing else")
    group.add_argument("--quiet", action="store_true", help="no progress bar, no word about devices")
    checkpoints.add_options(parser)
    devices.add_options(parser)
    parser.set_defaults(run=lambda arguments: run(arguments, command))
    return parser


def run(arguments: argparse.Namespace, command: Command) -> int:
    """Reads, trains, judges, prints and writes; returns the exit status."""
    devices.check(arguments)
    out = places.folder(arguments.out)
    checkpoint = checkpoints.of(arguments, out, command.files)
    model = command.make(arguments)
    if devices.launches(arguments):
        return launcher.run(arguments, arguments.command_line)
    inputs = command.read(arguments)
    with devices.watched(arguments), named(inputs.source):
        count, first = devices.prepare(arguments, model.batch_shape(inputs.data))
        model.progress = first and not arguments.quiet and sys.stderr.isatty()
        model.fit(inputs.data, checkpoint=checkpoint, resume=arguments.resume, devices=count)
    if not first:
        return 0
    if model.history_.ended == "interrupted":
        note(f"interrupted after {model.history_.epochs} epochs: going on with the best weights so far")
    evaluation = model.evaluate()
    said = tuple(dict.fromkeys((*inputs.notes, *model.notes_, *evaluation.notes)))
    trained = Trained(model, evaluation, inputs, said, shlex.join(["minirnn", *arguments.command_line]))
    written = [] if out is None else _write(out, command, trained)
    if arguments.json:
        print(_json(trained))
        for line in said:
            note(line)
    else:
        print("\n".join(command.report(trained)))
        if out is not None:
            print(f"\nwritten to {out}: {', '.join(written)}")
    return 0


class named:
    """Around work on data: their errors name the source."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, trace) -> None:
        from minirnn.data.words import DataError

        if isinstance(error, DataError) and not str(error).startswith(self.source):
            raise DataError(f"{self.source}: {error}") from None


def _json(trained: Trained) -> str:
    about = trained.evaluation.as_dict() | {"source": trained.inputs.source, "notes": list(trained.notes)}
    return json.dumps(about, indent=2, allow_nan=False)


def _write(out: Path, command: Command, trained: Trained) -> list[str]:
    """Writes everything, or nothing; returns the names."""
    from minirnn.inspect.figures import save_figure
    from minirnn.models.storage import staged

    page = command.page(trained)
    figures = {name: make(trained) for name, make in command.figures.items()}
    figures = {name: figure for name, figure in figures.items() if figure is not None}
    try:
        with staged(out) as folder:
            (folder / "report.html").write_text(page, encoding="utf-8")
            (folder / "metrics.json").write_text(_json(trained) + "\n", encoding="utf-8")
            for name, figure in figures.items():
                save_figure(figure, folder / name)
            trained.model.save(folder / "model.safetensors")
    except OSError as error:
        raise places.cannot_write(out, error) from None
    return [*FILES, *figures]
