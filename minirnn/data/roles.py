"""What a caller asks of the columns: names in roles, checked against the names that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minirnn.data.words import DataError, listed, suggestion

KINDS = {
    "target": "the target",
    "past": "the past column",
    "future": "the future column",
    "static": "the static column",
    "series": "the series column",
}
"""Role -> what a column in that role is called in messages."""


@dataclass(frozen=True)
class Request:
    """Names in roles as a caller gave them; None where the columns decide.

    Args:
        target: the columns to forecast.
        past: None takes all the numeric columns that have no other role.
        future: known ahead.
        static: constant within a series.
        series: the column that tells series apart.
        missing: numbers or texts that stand for a missing value.
        frequency: of the rows where it is known already.
    """

    target: tuple[str, ...] | None = None
    past: tuple[str, ...] | None = None
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    series: str | None = None
    missing: tuple[object, ...] = ()
    frequency: str | None = None

    def roles_of_names(self) -> dict[str, str]:
        """Column -> its role, for every column that was named.

        Raises:
            DataError: a column is named twice.
        """
        found: dict[str, str] = {}
        for role in KINDS:
            given = getattr(self, role)
            for name in (given,) if isinstance(given, str) else given or ():
                if name in found:
                    twice = f"twice as {role}" if found[name] == role else f"as {found[name]} and as {role}"
                    raise DataError(f"the column {name!r} is named {twice}: give it one role")
                found[name] = role
        return found

    def check(self, names: Sequence[str], dates: str | None) -> None:
        """Every column that was named is one of `names`, and none is the column of dates.

        Raises:
            DataError: it is not; the message suggests a name.
        """
        for name, role in self.roles_of_names().items():
            if name == dates and name not in names:
                advice = "name a column with numbers" if role != "series" else "name the column that tells series apart"
                raise DataError(f"{KINDS[role]} {name!r} is the date column: {advice}")
            if name not in names:
                what = "column" if role == "target" else KINDS[role].removeprefix("the ")
                there = f"the columns are {listed(names)}"
                raise DataError(
                    f"there is no {what} {name!r}{' to forecast' if role == 'target' else ''}; "
                    f"{suggestion(name, names)}{there}"
                )


def request(
    target: str | Iterable[str] | None,
    past: str | Iterable[str] | None,
    future: str | Iterable[str] | None,
    static: str | Iterable[str] | None,
    series: str | None,
    missing: object,
    frequency: str | None = None,
) -> Request:
    """The arguments of `prepare` and `read` as a Request: a single name counts as a list of one.

    Raises:
        DataError: an argument is not a name or a list of names; a column is named twice.
    """
    wanted = _names("target", target)
    if wanted == ():
        raise DataError("target is an empty list: name a column to forecast, or leave it out")
    if series is not None and not isinstance(series, str | int):
        raise DataError(f"series should be the name of a column, not {type(series).__name__}")
    codes = (missing,) if isinstance(missing, str) or not isinstance(missing, Iterable) else tuple(missing)
    asked = Request(
        wanted,
        _names("past", past),
        _names("future", future) or (),
        _names("static", static) or (),
        None if series is None else str(series),
        tuple(code for code in codes if code is not None),
        frequency,
    )
    asked.roles_of_names()
    return asked


def _names(role: str, given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str | int):
        return (str(given),)
    if not isinstance(given, Iterable):
        raise DataError(f"{role} should be the name of a column or a list of names, not {type(given).__name__}")
    return tuple(str(name) for name in given)
