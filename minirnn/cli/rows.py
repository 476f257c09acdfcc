"""Options that say what the rows are: a file, and what each of its columns is for."""

from __future__ import annotations

import argparse
import csv
from typing import TYPE_CHECKING, Any

from minirnn.cli import UsageError

if TYPE_CHECKING:
    from minirnn.data.table import Table

ROLES = ("target", "past", "future", "static", "series", "date_column", "missing")
EMBEDDED, EMBEDDED_TARGET = "seattle_weather", "temp_max"


def names(text: str) -> list[str]:
    """``a,b`` or ``"a, with a comma",b``, as in a line of a CSV file -> names; an empty text names none.

    >>> names('load,"wind, m/s"')
    ['load', 'wind, m/s']
    """
    if not text.strip():
        return []
    (found,) = csv.reader([" ".join(text.splitlines())], skipinitialspace=True)
    found = [name.strip() for name in found]
    if "" in found:
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds FILE and the roles of its columns."""
    parser.add_argument(
        "data",
        nargs="?",
        metavar="FILE",
        help="a CSV file (also .csv.gz) or a parquet file; without it, embedded weather of Seattle",
    )
    group = parser.add_argument_group(
        "columns", 'Several names: with commas between them ("a name, with a comma" in quotes), or the option again.'
    )
    several: dict[str, Any] = {"type": names, "action": "extend", "metavar": "COLUMNS"}
    group.add_argument("--target", **several, help="to forecast (default: the last column of numbers)")
    group.add_argument("--past", **several, help="known up to now (default: all other columns of numbers; '' for none)")
    group.add_argument("--future", **several, help="known ahead: plans, holidays, forecasts of others (default: none)")
    group.add_argument("--static", **several, help="what each series is: numbers or texts (default: none)")
    group.add_argument("--series", metavar="COLUMN", help="tells the series of a long file apart (default: one series)")
    group.add_argument("--date-column", metavar="COLUMN", help="the times (default: the first column of dates)")
    group.add_argument(
        "--missing", type=names, action="extend", metavar="CODES", help="stand for no value, as in --missing=-9999,n/a"
    )


def read(arguments: argparse.Namespace) -> tuple[Table, str]:
    """The rows as a table, and where they come from in words.

    Raises:
      DataError: the file or its columns cannot be used.
      UsageError: an option belongs to a file, and none was given.
    """
    from minirnn import data

    asked = {role: getattr(arguments, role) for role in ROLES}
    if arguments.data is not None:
        asked["missing"] = asked["missing"] or ()
        return data.read(arguments.data, **asked), str(arguments.data)
    for role in ("series", "date_column", "missing"):
        if asked.pop(role) is not None:
            raise UsageError(f"--{role.replace('_', '-')} belongs to a file, and none was given")
    asked["target"] = asked["target"] or EMBEDDED_TARGET
    return data.prepare(data.load(EMBEDDED), **asked), f"the embedded series {EMBEDDED} (no file was given)"


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The options as they would be typed again."""
    words = [] if arguments.data is None else [arguments.data]
    for role in ROLES:
        value = getattr(arguments, role)
        if value is None:
            continue
        value = value if isinstance(value, str) else ",".join(_quoted(name) for name in value)
        # What begins with a minus sign would be read as an option.
        option = f"--{role.replace('_', '-')}"
        words += [f"{option}={value}"] if value.startswith("-") else [option, value]
    return words


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"') else name
