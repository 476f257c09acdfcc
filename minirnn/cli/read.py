"""``minirnn read``: every equation beside the lines that compute it in NumPy and in JAX."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import webbrowser
from pathlib import Path

from minirnn.cli import UsageError, note, places

EXAMPLES = """examples:
  minirnn read                                      what there is to read
  minirnn read lstm                                 its equations and lines, as text
  minirnn read L10                                  one equation
  minirnn read lstm --open                          the page with three columns, in the browser
  minirnn read gru --out gru.html                   the page as one file, without network and script
  minirnn read --all --out equations.html           everything on one page
  minirnn read --all --out EQUATIONS.md             the same for GitHub
  minirnn read lstm --json                          for machines
"""


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "read",
        help="read every equation beside the lines that compute it in NumPy and in JAX",
        description="Shows the numbered equations of a cell beside the lines that compute them in both halves, taken "
        "from the source as it is.",
        usage="minirnn read [NAME | NUMBER | --all] [options]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a cell or module, such as lstm, or an equation: L10")
    parser.add_argument("--all", action="store_true", help="everything")
    parser.add_argument("--out", metavar="FILE", help="write a page (.html), or Markdown for GitHub (.md)")
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    parser.add_argument(
        "--base",
        metavar="URL",
        help="of the folder that holds minirnn/, for links to its files (default: from --out to this installation)",
    )
    parser.add_argument("--json", action="store_true", help="print as JSON, and nothing else")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    from minirnn.learn.reading import text
    from minirnn.learn.reading.source import MissingEquationError
    from minirnn.learn.reading.subjects import SUBJECTS, Sources, UnknownSubjectError, find, read
    from minirnn.learn.reading.symbols import UnknownSymbolError

    out = places.file(arguments.out, endings=(".html", ".md"))
    _check(arguments, out)
    if arguments.name is None and not arguments.all:
        if arguments.json:
            print(json.dumps(SUBJECTS, indent=2))
        else:
            print(f"minirnn read NAME, or the number of an equation; NAME is one of\n\n{text.index()}")
        return 0
    try:
        chosen, number = ([*SUBJECTS], "") if arguments.all else ([find(arguments.name)[0]], find(arguments.name)[1])
        sources = Sources()
        readings = [read(name, sources) for name in chosen]
    except UnknownSubjectError as error:
        raise UsageError(str(error)) from None
    except (MissingEquationError, UnknownSymbolError) as error:
        raise UsageError(f"the source cannot be read: {error.args[0]}") from None
    if out is not None or arguments.open:
        _write(arguments, readings, number, out)
    elif arguments.json:
        print(json.dumps([text.data(reading, number) for reading in readings], indent=2, ensure_ascii=False))
    elif number:
        print("\n".join(text.equation(next(row for row in readings[0].rows if row.number == number))))
    else:
        print("\n".join(text.terminal(reading) for reading in readings), end="")
    return 0


def _check(arguments: argparse.Namespace, out: Path | None) -> None:
    """Options that exclude each other.

    Raises:
      UsageError: two of them were given.
    """
    if arguments.all and arguments.name is not None:
        raise UsageError(f"--all reads everything: leave out {arguments.name!r}, or --all")
    page = out is not None or arguments.open
    if page and arguments.json:
        raise UsageError("--json prints, --out and --open show a page: leave out one of them")
    if page and arguments.name is None and not arguments.all:
        raise UsageError("name what the page shall show, such as lstm, or give --all")
    if arguments.open and out is not None and out.suffix.lower() != ".html":
        raise UsageError(f"--open shows a page: expected --out with a name that ends in .html, got {arguments.out}")
    if arguments.base is not None and not page:
        raise UsageError("--base is for the links of a page: give --out or --open too")


def _write(arguments: argparse.Namespace, readings, number: str, out: Path | None) -> None:
    """Writes the page, and opens it if asked to."""
    from minirnn.learn.reading import text
    from minirnn.learn.reading.page import page
    from minirnn.learn.reading.source import PACKAGE

    asked = out is not None
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="minirnn-")) / f"{'all' if arguments.all else readings[0].name}.html"
    base = arguments.base
    if base is None:
        try:
            base = f"{Path(os.path.relpath(PACKAGE.parent, out.resolve().parent)).as_posix()}/"
        except ValueError:  # another drive
            base = PACKAGE.parent.as_uri()
    base = base if base.endswith("/") else f"{base}/"
    command = "minirnn read --all" if arguments.all else f"minirnn read {readings[0].name}"
    made = text.markdown(readings, base) if out.suffix.lower() == ".md" else page(readings, base, command)
    places.put([made], out)
    note(f"written to {out}" if asked else f"shown from {out}")
    if arguments.open and not webbrowser.open(out.resolve().as_uri() + (f"#{number}" if number else "")):
        note("there is no browser to open: open that file in one")
