"""What a report is about, and the numbers that its sections share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.data.calendar import steps_in_words

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table

MOST = 4  # pairs of series and target that are shown one by one


class Pair(NamedTuple):
    """One target of one series.

    `error` is its mean absolute scaled error (MASE) on the test rows, NaN where that is not known.
    """

    series: int
    target: int
    error: float


@dataclass(frozen=True, eq=False)
class Subject:
    """What :func:`minirnn.inspect.report.report_html` was given, under the same names."""

    table: Table
    backtest: Any
    forecast: pd.DataFrame
    history: Any = None
    notes: Sequence[str] = ()
    source: str = ""
    command: str = ""
    explanation: Any = None

    def title(self, forecast: str) -> str:
        """What a forecast is called."""
        return self.backtest.title_of(forecast)

    @property
    def single(self) -> bool:
        """Whether there is one target of one series."""
        return len(self.backtest.targets) == 1 and len(self.backtest.names) == 1

    @property
    def unit(self) -> str:
        """Of the errors that forecasts are ranked by: that of the only target, or an empty text."""
        return self.backtest.units.get(self.backtest.targets[0], "") if self.single else ""

    @property
    def error(self) -> str:
        """Of these errors, in words and with the unit."""
        if self.backtest.ranked_by == "MASE":
            return "mean absolute scaled error"
        return f"mean absolute error ({self.unit})" if self.unit else "mean absolute error"

    def ahead(self, steps: int) -> str:
        """So many steps in words, such as "7 days"."""
        return steps_in_words(steps, self.backtest.frequency)

    def called(self, pair: Pair) -> str:
        """Target and series of a pair, as far as there are several."""
        backtest = self.backtest
        names = [backtest.targets[pair.target]] if len(backtest.targets) > 1 or len(backtest.names) == 1 else []
        if len(backtest.names) > 1:
            names.append(backtest.names[pair.series])
        return " of ".join(names)

    def labelled(self, pair: Pair) -> str:
        """The target with its unit."""
        target = self.backtest.targets[pair.target]
        unit = self.backtest.units.get(target, "")
        return f"{target} ({unit})" if unit else target

    # ---------------------------------------------------------------- pairs

    @cached_property
    def pairs(self) -> list[Pair]:
        """All of them, in the order of the data."""
        backtest = self.backtest
        difference = np.abs(backtest.forecasts[backtest.network] - np.where(backtest.counts, backtest.actual, 0))
        K, C = len(backtest.names), len(backtest.targets)
        found = []
        for c in range(C):
            count = np.bincount(backtest.series, backtest.counts[:, :, c].sum(axis=1), minlength=K)
            inside = np.where(backtest.counts, difference, 0)[:, :, c].sum(axis=1)
            total = np.bincount(backtest.series, inside, minlength=K)
            scale = backtest.mase_scale[:, c]
            known = (count > 0) & (scale > 0)
            mean = np.where(known, total / np.where(known, count * scale, 1), np.nan)
            found.append(mean)
        return [Pair(k, c, float(found[c][k])) for k in range(K) for c in range(C)]

    @cached_property
    def chosen(self) -> list[tuple[str, Pair]]:
        """The pairs that are shown one by one, each with a word: all of a few, or the best and the worst."""
        if len(self.pairs) <= MOST:
            return [("", pair) for pair in self.pairs]
        ranked = sorted((pair for pair in self.pairs if math.isfinite(pair.error)), key=lambda pair: pair.error)
        if len(ranked) < MOST:
            return [("", pair) for pair in self.pairs[:MOST]]
        half = MOST // 2
        best = [
            (f"best forecast but {place}" if place else "best forecast", pair)
            for place, pair in enumerate(ranked[:half])
        ]
        last = [
            (f"worst but {place}" if place else "worst forecast", pair)
            for place, pair in enumerate(ranked[: -half - 1 : -1])
        ]
        return [(word.replace("but 1", "but one"), pair) for word, pair in (*best, *last)]

    def observed(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Times and values of the known rows of a pair, NaN where they hold none."""
        rows = self.table.rows_of(pair.series)
        values = self.table.values[rows, pair.target]
        stop = int(self.table.last_known[pair.series]) - rows.start + 1
        return self.table.times(pair.series).to_numpy()[:stop], values[:stop]

    def forecast_of(self, pair: Pair) -> pd.DataFrame:
        """The rows of the forecast that belong to a pair."""
        frame = self.forecast
        if "series" in frame and len(self.backtest.names) > 1:
            frame = frame[(frame["series"] == self.backtest.names[pair.series]).to_numpy()]
        if "target" in frame and len(self.backtest.targets) > 1:
            frame = frame[(frame["target"] == self.backtest.targets[pair.target]).to_numpy()]
        return frame

    @cached_property
    def levels(self) -> list[str]:
        """The levels of the forecast's intervals in percent, as its columns name them, the narrowest first."""
        found = [str(column)[6:] for column in self.forecast.columns if str(column).startswith("lower_")]
        return sorted(found, key=float)

    # ---------------------------------------------------------------- test points

    @cached_property
    def intervals(self) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        """Level -> lower and upper ends (n, horizon, C) in the backtest, the narrowest first."""
        quantiles = self.backtest.quantiles
        found = {}
        for low in sorted((level for level in quantiles if level < 0.5), reverse=True):
            high = next((level for level in quantiles if abs(low + level - 1) < 1e-9), None)
            if high is not None:
                found[round(high - low, 10)] = (quantiles[low], quantiles[high])
        return found

    def covered(self, level: float) -> float:
        """The share of the test values inside the interval of this level."""
        lower, upper = self.intervals[level]
        actual = self.backtest.actual
        return float(((actual >= lower) & (actual <= upper))[self.backtest.counts].mean())

    @property
    def stated(self) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        """Those of the intervals that the forecast has too; all of them where it has none of these."""
        shared = {level: ends for level, ends in self.intervals.items() if f"{100 * level:.10g}" in self.levels}
        return shared or self.intervals

    @cached_property
    def when(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (U, horizon) of the rows that are forecast from the distinct origins, and which (n,) each origin is."""
        import pandas as pd

        backtest = self.backtest
        origins, which = np.unique(backtest.origins, return_inverse=True)
        steps = np.arange(1, backtest.horizon + 1)
        if backtest.frequency is None:
            return origins[:, None] + steps, which
        grid = pd.date_range(origins[0], origins[-1], freq=backtest.frequency)
        rest = pd.date_range(origins[-1], periods=backtest.horizon + 1, freq=backtest.frequency)
        whole = grid.append(rest[1:]).to_numpy()
        return whole[np.searchsorted(whole, origins)[:, None] + steps], which

    @cached_property
    def truths(self) -> int:
        """How many different values were forecast: each is judged from several origins."""
        times, which = self.when
        _, place = np.unique(times, return_inverse=True)
        place = place.reshape(times.shape)[which]  # (n, horizon)
        total = 0
        for c in range(len(self.backtest.targets)):
            counted = self.backtest.counts[:, :, c]
            keys = place.astype(np.int64) * len(self.backtest.names) + self.backtest.series[:, None]
            total += len(np.unique(keys[counted]))
        return total


def binomial_range(count: int, share: float, level: float = 0.95) -> tuple[float, float]:
    """The central range of the share that hits among so many independent trials, each of which hits with `share`.

    >>> binomial_range(100, 0.8)
    (0.72, 0.88)
    """
    tail = (1 - level) / 2
    if count * share * (1 - share) > 1000:
        half = 1.959964 * math.sqrt(share * (1 - share) / count)
        return max(share - half, 0.0), min(share + half, 1.0)
    k = np.arange(count + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])  # log k!
    mass = np.exp(logs[-1] - logs - logs[::-1] + k * math.log(share) + k[::-1] * math.log1p(-share))
    below = np.cumsum(mass)
    low, high = np.searchsorted(below, (tail, 1 - tail))
    return float(low / max(count, 1)), float(min(high, count) / max(count, 1))
