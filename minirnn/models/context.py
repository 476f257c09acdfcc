"""What a forecast that is compared with the network gets to see: a Context; and why it may have to stay away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Unsuitable(Exception):  # noqa: N818  (no error: a forecast that has nothing to say here is left out, with this reason)
    """Why a forecast is left out of a comparison, as the end of a sentence."""


@dataclass(frozen=True)
class Context:
    """One target of one or many series, whose rows lie one below the other.

    Args:
      y: (rows,) float64; what is missing has been filled from earlier rows.
      known: (rows,) False where a value was filled.
      bounds: (series + 1,) the rows of series k are ``bounds[k] : bounds[k + 1]``.
      train: (series,) the row after the last training row of each series.
      stop: (series,) the row after its last validation row: everything before it may be fitted on or chosen by.
      horizon: steps ahead.
      season: steps of the season that a naive forecast repeats; 1 for none.
      times: (rows,) datetime64, or integers where rows are only counted.
      frequency: pandas alias of a step, None where rows are only counted.
      window: rows that the linear forecast reads.
      inputs: origins (n,) -> (n, F), what the linear forecast reads instead of the last ``window`` values of y.
    """

    y: np.ndarray
    known: np.ndarray
    bounds: np.ndarray
    train: np.ndarray
    stop: np.ndarray
    horizon: int
    season: int
    times: np.ndarray
    frequency: str | None = None
    window: int = 1
    inputs: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def series(self) -> int:
        """How many series there are."""
        return len(self.bounds) - 1

    @property
    def steps(self) -> np.ndarray:
        """1 to horizon."""
        return np.arange(1, self.horizon + 1)

    def series_of(self, rows: np.ndarray) -> np.ndarray:
        """The series that each row belongs to."""
        return np.searchsorted(self.bounds, rows, side="right") - 1

    def starts(self, rows: np.ndarray) -> np.ndarray:
        """The first row of the series that each row belongs to."""
        return np.asarray(self.bounds)[self.series_of(rows)]

    def until(self, time) -> Context:
        """The same with everything up to a time, itself included, to be fitted on: for a forecast made at that time."""
        ends = []
        for start, end in zip(self.bounds[:-1], self.bounds[1:]):
            ends.append(start + np.searchsorted(self.times[start:end], time, side="right"))
        return dataclasses.replace(self, train=np.array(ends), stop=np.array(ends))


class Predictor(Protocol):
    """A forecast that has been fitted on the rows before ``context.stop``."""

    def forecast(self, context: Context, origins: np.ndarray) -> np.ndarray:
        """Absolute rows (n,), the last known ones -> (n, horizon); looks at no row after each origin."""
        ...

    def refit(self, context: Context) -> Predictor:
        """The same choices with numbers fitted on all rows before ``context.stop``."""
        ...


Fit = Callable[[Context], Predictor]
