"""The trainings of a search, and the file that keeps them."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minirnn.models import storage
from minirnn.models.configurations import SPACE


class SearchError(ValueError):
    """A budget, or a table of trials, that cannot be used; one line that says what was expected."""


@dataclass(frozen=True)
class Trial:
    """One training.

    Args:
      trial: its number, from 1.
      configuration: which parameters; 0 is those that were given, with every other at its default.
      epochs: at most so many.
      parameters: of the Forecaster, those that are searched.
      error: of the forecast on the validation rows: MAE, or MASE for several targets or series; None if it failed.
      alone: the same if the network counted in full, not only as much as the validation rows speak for it.
      share: of the network in the forecast, 0 to 1.
      seconds: that it took.
      problem: why there is no error, else an empty text.
    """

    trial: int
    configuration: int
    epochs: int
    parameters: dict[str, Any]
    error: float | None
    alone: float | None
    share: float | None
    seconds: float
    problem: str = ""

    @property
    def rank(self) -> tuple[float, float, int]:
        """The smaller the better; where no network counts for anything, by what it would do by itself."""
        worst = math.inf
        return (
            worst if self.error is None else self.error,
            worst if self.alone is None else self.alone,
            self.configuration,
        )


def row_of(trial: Trial) -> dict[str, Any]:
    """A training as a row of a table."""
    about = {name: getattr(trial, name) for name in ("trial", "configuration", "epochs")}
    found = {name: getattr(trial, name) for name in ("error", "alone", "share", "seconds", "problem")}
    return about | {name: trial.parameters[name] for name in SPACE} | found


def write(path: str | os.PathLike, done: Iterable[Trial], identity: str) -> None:
    """Writes every training so far, whole."""
    rows = [{**row_of(trial), "search": identity} for trial in done]

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    storage.write_atomically(path, write)


def kept(path: str | os.PathLike | None, resume: bool, identity: str) -> list[dict[str, Any]]:
    """The rows of an earlier search, as text; none without a file.

    Raises:
      SearchError: the file is there and is not to be gone on with, or it is not that of this search.
    """
    if path is None or not os.path.lexists(path):
        return []
    if not resume:
        raise SearchError(f"{os.fspath(path)}: exists already; resume to go on from it, or name another file")
    foreign = SearchError(f"{os.fspath(path)}: not a table of trials of a search; name another file")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise SearchError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error):
        raise foreign from None
    expected = {"trial", "configuration", "epochs", *SPACE, "error", "alone", "share", "seconds", "problem", "search"}
    if not rows or set(rows[0]) != expected:
        raise foreign
    for row in rows:
        if row["search"] != identity:
            raise SearchError(
                f"{os.fspath(path)}: a search over other rows or with other options; repeat the same line, or name "
                "another file"
            )
    return rows


def replayed(
    row: dict[str, Any], trial: int, number: int, epochs: int, parameters: dict[str, Any], path: str | os.PathLike
) -> Trial:
    """A training of an earlier search, whose parameters were drawn again.

    Raises:
      SearchError: the row is not that of this training.
    """
    try:
        if (int(row["trial"]), int(row["configuration"]), int(row["epochs"])) != (trial, number, epochs):
            raise ValueError("another training was expected")
        error, alone, share = (float(row[name]) if row[name] else None for name in ("error", "alone", "share"))
        return Trial(
            trial,
            number,
            epochs,
            parameters,
            error,
            alone,
            share,
            float(row["seconds"]),
            row["problem"] or "",
        )
    except (TypeError, ValueError):
        raise SearchError(
            f"{os.fspath(path)}: line {trial + 1} does not belong there; restore the file, or name another"
        ) from None
