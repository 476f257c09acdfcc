"""The command ``minirnn``: one verb for each job, one file for each verb.

Results go to standard output, progress and notes to standard error. Exit status: 0 success, 1 a process of a training
was lost, 2 a bad input or option (one line on standard error), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import NoReturn

from minirnn._version import __version__

COMMANDS = (
    "forecast",
    "classify",
    "tag",
    "text",
    "translate",
    "predict",
    "update",
    "stream",
    "backtest",
    "search",
    "explain",
    "export",
    "read",
    "learn",
    "bench",
)
LOST = 3  # exit status of a process that misses another one, for the launcher


class UsageError(ValueError):
    """An option or input that the command cannot work with; one line that says what was expected and what to do."""


class LostProcessError(RuntimeError):
    """Another process of a training has ended; one line that says how to go on."""


class Parser(argparse.ArgumentParser):
    """argparse, with one line for an error, and options by their whole names: a short one may mean two tomorrow."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False} | options)

    def error(self, message: str) -> NoReturn:
        """Ends with exit status 2 and one line on standard error."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


def levels(text: str) -> tuple[float, ...]:
    """``0.8,0.95`` -> (0.8, 0.95), for argparse; ranges are checked by the model."""
    try:
        return tuple(float(part) for part in text.split(",")) if text.strip() else ()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected shares of the truth with commas between them, like 0.8,0.95; got {text!r}"
        ) from None


def note(message: str) -> None:
    """One line on standard error."""
    print(message, file=sys.stderr)


def parser(commands: Sequence[str] = COMMANDS) -> Parser:
    """The whole command line, or that of some of its commands."""
    top = Parser(
        prog="minirnn",
        description="Recurrent networks that read like the mathematics and train at full speed.",
        epilog="Each command explains itself: minirnn forecast --help",
    )
    top.add_argument("--version", action="version", version=f"minirnn {__version__}")
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands:
        importlib.import_module(f"minirnn.cli.{name}").add_parser(subparsers)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    # One that is named is imported alone: a stream should start at once.
    top = parser(given[:1] if given and given[0] in COMMANDS else COMMANDS)
    chosen, unknown = top.parse_known_args(arguments)
    if unknown:
        top.prog = f"minirnn {chosen.command}"  # whose help says what there is
        top.error(f"unrecognized arguments: {' '.join(unknown)}")
    chosen.command_line = list(sys.argv[1:] if arguments is None else arguments)
    chosen.joined = False  # whether this process trains together with others
    try:
        status = _run(chosen)
    except BaseException:
        if not chosen.joined:
            raise
        traceback.print_exc()
        status = 1
    if status and chosen.joined:
        # At its end JAX waits for the other processes, and some of them may wait for this one.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


@contextlib.contextmanager
def _noted_warnings() -> Iterator[None]:
    """Warnings about the rows are notes like others, and not lines of a program."""
    from minirnn.data.words import DataWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        usual = warnings.showwarning

        def show(message, category, *where, **more) -> None:
            if issubclass(category, DataWarning):
                note(f"note: {message}")
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _run(chosen: argparse.Namespace) -> int:
    try:
        with _noted_warnings():
            status: int = chosen.run(chosen)
        sys.stdout.flush()
        return status
    except LostProcessError as error:
        if chosen.launched:
            return LOST  # the launcher knows which one it was
        note(f"minirnn {chosen.command}: {error}")
        return 1
    except ValueError as error:
        # The library's errors about data, files and options are ValueErrors of one line that are meant to be read by
        # people. Any other ValueError would be a mistake of ours: it keeps its traceback.
        if not _for_people(error):
            raise
        note(f"minirnn {chosen.command}: {error}")
        return 2
    except BrokenPipeError:
        # Whoever read our output has gone (``minirnn forecast | head -1``): not an error, and nothing left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        note(f"minirnn {chosen.command}: interrupted")
        return 130


# Errors of the library that are one line for people: about data, files, options, and what students hand in.
_FOR_PEOPLE = {
    "UsageError",
    "DataError",
    "ModelFileError",
    "TrainingError",
    "ParameterError",
    "SearchError",
    "WorkspaceError",
    "AnswerError",
    "SubmissionError",
}


def _for_people(error: ValueError) -> bool:
    return bool(_FOR_PEOPLE & {cls.__name__ for cls in type(error).__mro__})
