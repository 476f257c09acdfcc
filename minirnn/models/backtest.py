"""The verdict on a forecast: the network's errors on the test rows beside those of every other forecast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.models import metrics, verdict
from minirnn.models.wording import digits_for, in_digits, title

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Backtest:
    """Forecasts from many origins, beside what came.

    n origins, C targets. With one target of one series everything is judged by the mean absolute error in its unit;
    with several, whose units and sizes differ, by the mean absolute scaled error (MASE).

    Args:
      network: the name of the network's row: its cell.
      targets: columns.
      units: target -> unit, for the targets whose unit is known.
      names: of the series; ("",) for a single one without a name.
      horizon: steps ahead.
      frequency: pandas alias of a step, None where rows are only counted.
      season: steps of the season of the naive forecast.
      series: (n,) which series each origin belongs to.
      origins: (n,) the time of the last known row, datetime64 or integers.
      actual: (n, horizon, C) true values.
      counts: (n, horizon, C) True where the true value is in the data and not filled.
      forecasts: forecast -> (n, horizon, C), the network first.
      quantiles: level -> (n, horizon, C) of the network; may be empty.
      mase_scale: (series, C) from :func:`minirnn.models.metrics.mase_scale`.
      rmsse_scale: (series, C) from :func:`minirnn.models.metrics.rmsse_scale`.
      splits: part -> first and last time and number of rows.
      model: what made the network's row: cell, sizes, seed, version, how the training ended.
      notes: one sentence for each thing worth knowing.
      refit: whether everything was fitted anew at each origin.
      members: (K, n, horizon, C) the forecast of each member (seed) of the network by itself.
      without: (n, horizon, C) the same forecast without its network: the smoothing and the regression alone.
    """

    network: str
    targets: tuple[str, ...]
    units: dict[str, str]
    names: tuple[str, ...]
    horizon: int
    frequency: str | None
    season: int
    series: np.ndarray
    origins: np.ndarray
    actual: np.ndarray
    counts: np.ndarray
    forecasts: dict[str, np.ndarray]
    quantiles: dict[float, np.ndarray]
    mase_scale: np.ndarray
    rmsse_scale: np.ndarray
    splits: dict[str, dict[str, Any]]
    model: dict[str, Any]
    notes: tuple[str, ...] = ()
    refit: bool = False
    members: np.ndarray | None = None
    without: np.ndarray | None = None

    # ------------------------------------------------------------ numbers

    @property
    def single(self) -> bool:
        """Whether there is one target of one series, and errors have one unit."""
        return len(self.targets) == 1 and len(self.names) == 1

    def _scales(self, scale) -> np.ndarray:
        """(series, C) -> (n, 1, C), of the series of each origin."""
        return scale[self.series][:, None, :]

    @cached_property
    def test(self) -> dict[str, dict[str, float | None]]:
        """Forecast -> metric -> value; the network first, with the metrics of its quantiles."""
        absolute, squared = self._scales(self.mase_scale), self._scales(self.rmsse_scale)
        rows = {
            name: metrics.table(self.actual, forecast, absolute, squared, self.counts)
            for name, forecast in self.forecasts.items()
        }
        rows[self.network] |= metrics.quantile_table(self.actual, self.quantiles, self.counts)
        return rows

    @property
    def table(self) -> pd.DataFrame:
        """Forecast x metric, the best first: by MAE, or by MASE where there are several targets or series.

        With several targets MAE, RMSE, MSE and widths are means over numbers of different units, if theirs differ.
        """
        import pandas as pd

        frame = pd.DataFrame(self.test).T.astype(float)
        return frame.loc[sorted(frame.index, key=self._score)]

    @property
    def _scale(self) -> np.ndarray:
        """What errors are divided by before they are averaged, broadcasting to (n, horizon, C)."""
        return np.ones((1, 1, 1)) if self.ranked_by == "MAE" else self._scales(self.mase_scale)

    @cached_property
    def _errors(self) -> dict[str, np.ndarray]:
        """Absolute errors (n, horizon, C), divided by the scale of their series and target where there are several.

        0 where a point does not count, or has no scale.
        """
        scale = self._scale
        divisor = np.where(scale > 0, scale, np.inf)
        return {
            name: np.where(self.counts, np.abs(forecast - np.where(self.counts, self.actual, 0)) / divisor, 0.0)
            for name, forecast in self.forecasts.items()
        }

    @cached_property
    def _weights(self) -> np.ndarray:
        """(n, horizon, C) True where an error of ``_errors`` counts."""
        return self.counts & (self._scale > 0)

    def _mean(self, name: str, axes: tuple[int, ...]) -> np.ndarray:
        """The mean error over these axes; NaN where nothing counts, which is not an error of zero."""
        total = self._weights.sum(axis=axes)
        return np.where(total > 0, self._errors[name].sum(axis=axes) / np.maximum(total, 1), np.nan)

    @property
    def ranked_by(self) -> str:
        """``"MAE"`` for one target of one series, else ``"MASE"``; MAE too where no series has a scale."""
        return "MAE" if self.single or self.test[self.network]["MASE"] is None else "MASE"

    def _error_of(self, forecast: np.ndarray) -> float:
        """The error by which forecasts are ranked, of any forecast."""
        row = metrics.table(
            self.actual, forecast, self._scales(self.mase_scale), self._scales(self.rmsse_scale), self.counts
        )
        value = row[self.ranked_by]
        assert value is not None
        return value

    def _score(self, name: str) -> float:
        value = self.test[name][self.ranked_by]
        assert value is not None
        return value

    @property
    def by_horizon(self) -> pd.DataFrame:
        """Forecast x steps ahead (1 to horizon): MAE, or MASE where there are several targets or series."""
        import pandas as pd

        rows = {name: self._mean(name, (0, 2)) for name in self.forecasts}
        return pd.DataFrame(rows, index=pd.RangeIndex(1, self.horizon + 1, name="steps ahead")).T

    @property
    def by_series(self) -> pd.DataFrame:
        """Forecast x series: MAE in the unit of the target, or MASE where there are several targets."""
        import pandas as pd

        divisor = np.ones((1, 1, 1)) if len(self.targets) == 1 else self._scales(self.mase_scale)
        weights = self.counts & (divisor > 0)
        total = np.bincount(self.series, weights.sum(axis=(1, 2)), minlength=len(self.names))
        rows = {}
        for name, forecast in self.forecasts.items():
            difference = np.abs(forecast - np.where(self.counts, self.actual, 0))
            errors = np.where(weights, difference / np.where(divisor > 0, divisor, 1), 0)
            sums = np.bincount(self.series, errors.sum(axis=(1, 2)), minlength=len(self.names))
            rows[name] = np.where(total > 0, sums / np.maximum(total, 1), np.nan)
        return pd.DataFrame(rows, index=pd.Index(self.names, name="series")).T

    @property
    def by_target(self) -> pd.DataFrame:
        """Forecast x target: MAE in the unit of each; NaN where no value of a target counts."""
        import pandas as pd

        def error(forecast, c):
            mask = self.counts[:, :, c]
            return metrics.mae(self.actual[:, :, c], forecast[:, :, c], mask) if mask.any() else np.nan

        rows = {name: [error(each, c) for c in range(len(self.targets))] for name, each in self.forecasts.items()}
        return pd.DataFrame(rows, index=pd.Index(self.targets, name="target")).T

    @property
    def seeds(self) -> dict[str, float] | None:
        """MAE of the members of the network, each by itself: mean, least and largest; None where they are not known."""
        if self.members is None:
            return None
        errors = [metrics.mae(self.actual, member, self.counts) for member in self.members]
        return {"members": len(errors), "mean": float(np.mean(errors)), "min": min(errors), "max": max(errors)}

    @property
    def forecasts_frame(self) -> pd.DataFrame:
        """One row for each origin, target and step ahead: what came (NaN where that is not known) and each forecast.

        Columns: series, target, origin, step, time, actual, the forecasts by name, and ``lower_80``, ``upper_80``, ...
        """
        import pandas as pd

        n, steps, targets = self.actual.shape

        def column(array):  # (n, horizon, C) -> one line, steps fastest
            return np.asarray(array).transpose(0, 2, 1).reshape(-1)

        times = self._times()
        columns: dict[str, Any] = {
            "series": np.repeat(np.array(self.names, object)[self.series], targets * steps),
            "target": np.tile(np.repeat(np.array(self.targets, object), steps), n),
            "origin": np.repeat(self.origins, targets * steps),
            "step": np.tile(np.arange(1, steps + 1), n * targets),
            "time": np.repeat(times[:, None, :], targets, axis=1).reshape(-1),
            "actual": column(np.where(self.counts, self.actual, np.nan)),
        }
        columns |= {name: column(forecast) for name, forecast in self.forecasts.items()}
        for percent, (lower, upper) in metrics.intervals(self.quantiles).items():
            columns |= {f"lower_{percent}": column(lower), f"upper_{percent}": column(upper)}
        return pd.DataFrame(columns)

    def _times(self) -> np.ndarray:
        """(n, horizon) the times of the steps ahead."""
        steps = np.arange(1, self.horizon + 1)
        if self.frequency is None:
            return self.origins[:, None] + steps
        import pandas as pd

        times = np.empty((len(self.origins), self.horizon), self.origins.dtype)
        for k in np.unique(self.series):
            chosen = self.series == k
            origins = self.origins[chosen]
            grid = pd.date_range(origins.min(), origins.max(), freq=self.frequency)
            ahead = pd.date_range(origins.max(), periods=self.horizon + 1, freq=self.frequency)
            whole = grid.append(ahead[1:])
            times[chosen] = whole.to_numpy()[whole.get_indexer(origins)[:, None] + steps]
        return times

    # ------------------------------------------------------------ the verdict

    @property
    def best_naive(self) -> str:
        """The best of the other forecasts."""
        return min((name for name in self.forecasts if name != self.network), key=self._score)

    @property
    def skill(self) -> float | None:
        """1 - error / error of the best other forecast: positive where the network is worth using.

        None where the best other forecast makes no error at all and the network does: no ratio says that.
        """
        own, best = self._score(self.network), self._score(self.best_naive)
        if best > 0:
            return 1 - own / best
        return 0.0 if own == 0 else None

    @cached_property
    def skill_interval(self) -> verdict.Interval | None:
        """The 95 % interval of the skill by :func:`minirnn.models.verdict.skill_interval`; None for too few origins.

        The other forecast is the one that did best on these very origins, which favours it.
        """
        own, other = (self._errors[name].sum(axis=(1, 2)) for name in (self.network, self.best_naive))
        return verdict.skill_interval(own, other, self.origins, self.horizon)

    @cached_property
    def shifted(self) -> bool:
        """Whether the network's forecasts are merely the last value: see :func:`minirnn.models.verdict.shifted`."""
        if "last_value" not in self.forecasts:
            return False
        scale = np.where(self._weights, self._scale, 1.0)
        last = self.forecasts["last_value"][:, :1]
        return verdict.shifted(
            np.where(self.counts, self.actual, 0) / scale,
            self.forecasts[self.network] / scale,
            np.broadcast_to(last, self.actual.shape) / scale,
            self._weights,
        )

    @property
    def sentence(self) -> str:
        """Who wins, by how much, and whether the network is worth using; a further sentence where it only repeats."""
        return self._winner() + self._adds() + self._repeats()

    @cached_property
    def network_adds(self) -> float | None:
        """1 - error / error of the same forecast without its network; None where that is not known."""
        if self.without is None:
            return None
        own, bare = self._score(self.network), self._error_of(self.without)
        return 1 - own / bare if bare > 0 else 0.0

    def title_of(self, name: str) -> str:
        """What a forecast is called; that of the network is a hybrid where it has parts that are no network."""
        hybrid = name == self.network and self.without is not None
        return f"{title(name)} hybrid" if hybrid else title(name)

    def _adds(self) -> str:
        """What the network has to do with it, in words."""
        if self.without is None or self.network_adds is None:
            return ""
        network, percent = title(self.network), 100 * self.network_adds
        if np.allclose(self.without, self.forecasts[self.network], rtol=1e-9, atol=0):
            return f" The {network} was given no weight in it: the smoothing and the regression do it all."
        if abs(percent) < 0.5:
            return f" The {network} itself changes it by less than 0.5 %."
        if percent > 0:
            return f" The {network} itself accounts for {percent:.1f} % of it."
        return f" Without the {network} it would be {-percent:.1f} % better."

    def _winner(self) -> str:
        own, best = self._score(self.network), self._score(self.best_naive)
        network, other = self.title_of(self.network), self.title_of(self.best_naive)
        digits = digits_for(min(own, best) or max(own, best))
        unit = self.units.get(self.targets[0], "") if self.single else ""
        error = "mean absolute error" if self.ranked_by == "MAE" else "mean absolute scaled error"
        error += "" if self.single else f", averaged over {self.several},"
        wins = self.skill is not None and self.skill > 0
        named = [in_digits(each, digits) for each in ((own, best) if wins else (best, own))]  # the winner's first
        figures = f"{error} {' against '.join(named)}{' ' + unit if unit else ''}"
        if self.skill is not None and abs(self.skill) < 0.01:
            return (
                f"The {network} and the best other forecast, {other}, are within 1 % ({figures}): use the simpler one."
            )
        found = self.skill_interval
        chance = found is not None and found.chance
        if self.skill is not None and wins:
            gain = f"The {network} beats the best other forecast, {other}, by {100 * self.skill:.1f} % ({figures})"
            if chance:
                low, high = (f"{round(100 * each)}" for each in found or ())
                return f"{gain}, but that is within chance (95 % interval {low} to {high} %): the simpler one may do."
            if found is None:
                return f"{gain}; the test part is too short to tell that from chance."
            return f"{gain}: it is worth using."
        loses = f"The {other} forecast is better than the {network} ({figures})"
        if chance:
            return f"{loses}, but that is within chance: take the simpler one."
        if found is None and best > 0:
            return f"{loses}; the test part is too short to tell that from chance: take the simpler one."
        return f"{loses}: do not use this network."

    @property
    def several(self) -> str:
        """How many targets and series there are, of which there is more than one."""
        parts = ((len(self.targets), "targets"), (len(self.names), "series"))
        return " and ".join(f"{count:,} {noun}" for count, noun in parts if count > 1)

    def _repeats(self) -> str:
        """The lag check in words, or nothing."""
        if not self.shifted:
            return ""
        says = f" The forecasts of the {self.title_of(self.network)} are merely the last value shifted"
        if self._score(self.best_naive) >= 0.99 * self._score("last_value"):
            return f"{says}, and no other forecast here finds anything better."
        return f"{says}, while the {title(self.best_naive)} forecast shows that more can be known."

    def as_dict(self) -> dict[str, Any]:
        """What ``metrics.json`` holds: plain numbers and texts, None where a number is not finite."""
        found = self.skill_interval
        return _plain(
            {
                "target": self.targets[0],
                "unit": self.units.get(self.targets[0], ""),
                "targets": self.targets,
                "units": {name: self.units.get(name, "") for name in self.targets},
                "series": self.names,
                "horizon": self.horizon,
                "frequency": self.frequency,
                "season": self.season,
                "splits": self.splits,
                "origins": len(self.origins),
                "refit": self.refit,
                "points": int(self.counts.sum()),
                "zeros": metrics.zeros(self.actual, self.counts),
                "test": self.test,
                "by_horizon": {name: self._mean(name, (0, 2)) for name in self.forecasts},
                "ranked_by": self.ranked_by,
                "best_naive": self.best_naive,
                "skill": self.skill,
                "skill_interval": found,
                "network_adds": self.network_adds,
                "shifted": self.shifted,
                "seeds": self.seeds,
                "sentence": self.sentence,
                "notes": self.notes,
                "model": self.model,
            }
        )


def _plain(value):
    """The same in what JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
