"""What the rooms of data say, and how: the error of a bad source, and the parts of one-line messages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Place = Callable[[int], str]
"""Where a row came from, in words: "line 7" of a file, or "row 5 (2012-01-06)" of a frame."""


class DataWarning(UserWarning):
    """Rows that can be used, though not as was meant; one line that says what is done about it."""


class DataError(ValueError):
    """A problem with the user's data: one line that says what, where, what was expected and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


def listed(names: Iterable[str], most: int = 20) -> str:
    """The names in quotes with commas between them; only the first `most` of a long list."""
    quoted = [repr(name) for name in names]
    tail = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + tail


def suggestion(name: str, names: Iterable[str]) -> str:
    """A question naming the entry of `names` that is spelled most like `name`, or an empty text.

    >>> suggestion("temp_mx", ["wind", "temp_max"])
    "did you mean 'temp_max'? "
    """
    by_lower = {known.lower(): known for known in reversed(list(names))}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[close[0]]!r}? " if close else ""


def quoted(cell: object) -> str:
    """A cell as it stands in the source, on one line and not longer than a message can bear."""
    text = repr(cell if isinstance(cell, str) else str(cell))
    return text if len(text) <= 42 else text[:38] + "..." + text[0]


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `count(1, "row")` is "1 row", `count(2, "row")` is "2 rows"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def plain_time(time: pd.Timestamp | int) -> str:
    """A time without the clock when it is midnight: 2012-01-07, or 2012-01-07 13:00:00; a position as "row 5"."""
    if isinstance(time, int):
        return f"row {time}"
    return str(time.date()) if time == time.normalize() else str(time)


def in_series(name: str) -> str:
    """The series of a row in a message: " of the series 'a'", or nothing where the only series has no name."""
    return f" of the series {name!r}" if name else ""
