"""What the rest of minirnn receives from a data source: a Table; and the error a bad source ends in."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

Place = Callable[[int], str]
"""Where a row came from, in words: "line 7" of a file, or "row 5 (2012-01-06)" of a frame."""


class DataError(ValueError):
    """A problem with the user's data: one line that says what, where, what was expected and what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))


@dataclass(frozen=True)
class Table:
    """A regular multivariate time series, ready to be split, scaled and cut into windows.

    Args:
        frame: float64 columns over a DatetimeIndex in which every step of the frequency is present.
        observed: booleans of the same shape, False where a value was filled and not in the source.
        date_column: the name of the column (or index) that held the times.
        frequency: the pandas alias of the step, e.g. "D", "W-SAT", "MS".
        target: the column to forecast.
        title: what the series is called in reports.
        units: column -> unit, for the columns whose unit is known.
        notes: one plain sentence for each thing that was decided or repaired on the way in.
    """

    frame: pd.DataFrame
    observed: pd.DataFrame
    date_column: str
    frequency: str
    target: str
    title: str
    units: dict[str, str]
    notes: tuple[str, ...]


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


def plain_time(time: pd.Timestamp) -> str:
    """A time without the clock when it is midnight: 2012-01-07, or 2012-01-07 13:00:00."""
    return str(time.date()) if time == time.normalize() else str(time)
