"""The verdict on a forecast: the network's errors on the test rows beside those of every naive forecast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

TITLES = {
    "lstm": "LSTM",
    "gru": "GRU",
    "rnn": "RNN",
    "last_value": "last value",
    "seasonal_naive": "seasonal naive",
    "drift": "drift",
    "mean": "mean",
    "climatology": "climatology",
    "linear": "linear",
}


def digits_for(smallest: float, significant: int = 4) -> int:
    """Digits after the point that show the smallest of some numbers with four significant digits; at most 12."""
    if not smallest > 0:
        return significant - 1
    return min(max(significant - 1 - math.floor(math.log10(smallest)), 0), 12)


def in_digits(value: float, digits: int) -> str:
    """A number with so many digits after the point; in powers of ten where it is far too large or too small for that.

    >>> in_digits(2.7034, 3), in_digits(37240.2, 0), in_digits(1.5e-9, 12), in_digits(2.3e20, 0)
    ('2.703', '37,240', '1.5e-09', '2.3e+20')
    """
    if value != 0 and not 1e-8 < abs(value) < 1e12:
        return f"{value:.4g}"
    return f"{value:,.{digits}f}"


@dataclass(frozen=True)
class Evaluation:
    """Errors on the test rows.

    Args:
      network: the name of the network's row: its cell.
      target: column.
      unit: of the target, or an empty text.
      horizon: steps ahead.
      frequency: pandas alias of a step.
      splits: part -> first and last time and number of rows.
      test: forecast -> metric -> value; the network first.
      origins: the time of the last known row of each test window.
      actual: (windows, horizon) true values.
      counts: (windows, horizon) True where the true value is in the data and not filled.
      forecasts: forecast -> (windows, horizon).
      model: what made the network's row: cell, sizes, seed, version, how the training ended.
    """

    network: str
    target: str
    unit: str
    horizon: int
    frequency: str
    splits: dict[str, dict[str, Any]]
    test: dict[str, dict[str, float | None]]
    origins: pd.DatetimeIndex
    actual: np.ndarray
    counts: np.ndarray
    forecasts: dict[str, np.ndarray]
    model: dict[str, Any]

    def _mae(self, name: str) -> float:
        value = self.test[name]["MAE"]
        assert value is not None
        return value

    @property
    def best_naive(self) -> str:
        """The other forecast with the smallest MAE."""
        return min((name for name in self.test if name != self.network), key=self._mae)

    @property
    def skill(self) -> float | None:
        """1 - MAE / MAE of the best other forecast: positive where the network is worth using.

        None where the best other forecast makes no error at all and the network does: no ratio says that.
        """
        own, best = self._mae(self.network), self._mae(self.best_naive)
        if best > 0:
            return 1 - own / best
        return 0.0 if own == 0 else None

    @property
    def table(self) -> pd.DataFrame:
        """Forecast x metric, the smallest MAE first."""
        frame = pd.DataFrame(self.test).T.astype(float)
        return frame.sort_values("MAE", kind="stable")

    @property
    def by_step(self) -> pd.DataFrame:
        """MAE by steps ahead (rows 1 to horizon) for every forecast (columns)."""
        total = self.counts.sum(axis=0)
        sums = {n: (np.abs(f - self.actual) * self.counts).sum(axis=0) for n, f in self.forecasts.items()}
        # A step at which no true value is known has no error, which is not an error of zero.
        errors = {n: np.where(total > 0, each / np.maximum(total, 1), np.nan) for n, each in sums.items()}
        return pd.DataFrame(errors, index=pd.RangeIndex(1, self.horizon + 1, name="steps ahead"))

    @property
    def sentence(self) -> str:
        """Who wins, and by how much, in one plain sentence."""
        own, best = self._mae(self.network), self._mae(self.best_naive)
        unit = f" {self.unit}" if self.unit else ""
        digits = digits_for(min(own, best) or max(own, best))
        network, other = TITLES[self.network], TITLES[self.best_naive]
        figures = f"mean absolute error {in_digits(own, digits)} against {in_digits(best, digits)}{unit}"
        if self.skill is not None and abs(self.skill) < 0.01:
            return (
                f"The {network} and the best other forecast, {other}, are within 1 % ({figures}): use the simpler one."
            )
        if self.skill is not None and self.skill > 0:
            return f"The {network} beats the best other forecast, {other}, by {100 * self.skill:.1f} % ({figures})."
        return f"The {other} forecast is better than the {network} ({figures}): do not use this network."

    def as_dict(self) -> dict[str, Any]:
        """What ``metrics.json`` holds."""
        return {
            "target": self.target,
            "unit": self.unit,
            "horizon": self.horizon,
            "frequency": self.frequency,
            "splits": self.splits,
            "test": self.test,
            "best_naive": self.best_naive,
            "skill": self.skill,
            "sentence": self.sentence,
            "model": self.model,
        }
