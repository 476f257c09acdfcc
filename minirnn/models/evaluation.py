"""The verdict on a forecast: the network's errors on the test rows beside those of every naive forecast."""

from __future__ import annotations

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


def time_text(time: pd.Timestamp) -> str:
    """A timestamp as ISO text, without the clock where it is midnight."""
    return str(time.date()) if time == time.normalize() else str(time)


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

    @property
    def best_naive(self) -> str:
        """The other forecast with the smallest MAE."""
        others = {name: row["MAE"] for name, row in self.test.items() if name != self.network}
        return min(others, key=lambda name: others[name] or 0.0)

    @property
    def skill(self) -> float:
        """1 - MAE / MAE of the best other forecast: positive where the network is worth using."""
        best = self.test[self.best_naive]["MAE"] or 0.0
        own = self.test[self.network]["MAE"] or 0.0
        return 1 - own / best if best > 0 else (0.0 if own == 0 else float("-inf"))

    @property
    def table(self) -> pd.DataFrame:
        """Forecast x metric, the smallest MAE first."""
        frame = pd.DataFrame(self.test).T.astype(float)
        return frame.sort_values("MAE", kind="stable")

    @property
    def by_step(self) -> pd.DataFrame:
        """MAE by steps ahead (rows 1 to horizon) for every forecast (columns)."""
        weights = self.counts.astype(float)
        total = np.maximum(weights.sum(axis=0), 1)
        errors = {n: (np.abs(f - self.actual) * weights).sum(axis=0) / total for n, f in self.forecasts.items()}
        return pd.DataFrame(errors, index=pd.RangeIndex(1, self.horizon + 1, name="steps ahead"))

    @property
    def sentence(self) -> str:
        """Who wins, and by how much, in one plain sentence."""
        own, best = self.test[self.network]["MAE"] or 0.0, self.test[self.best_naive]["MAE"] or 0.0
        unit = f" {self.unit}" if self.unit else ""
        network, other = TITLES[self.network], TITLES[self.best_naive]
        figures = f"mean absolute error {own:.3g} against {best:.3g}{unit}"
        if abs(self.skill) < 5e-4:
            return f"The {network} is no better than the best other forecast, {other} ({figures}): use the simpler one."
        if self.skill > 0:
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
        }
