"""What an explanation holds: numbers, tables, and a sentence for each of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.calendar import steps_in_words
from minirnn.models.forecasting.attributions import Attribution
from minirnn.models.forecasting.gates import FOLLOWS, WORDS, Gates
from minirnn.models.forecasting.importance import Importance
from minirnn.models.wording import digits_for, in_digits

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the forecast of one target after one window is what it is.

    Args:
      target: its column.
      unit: of it, or an empty text.
      series: its name, empty for a single one.
      horizon: N.
      window: W.
      frequency: pandas alias, or None.
      share: of the network's mean in the forecast, 0 to 1.
      network_adds: what the network adds to the mean of the rows ahead.
      times: (R+N,) of the rows that were read, and of those ahead.
      history: (R,) of the target, as it was read: gaps are filled.
      forecast: (N,) of the model.
      attribution: integrated gradients of this window.
      typical: mean sizes of those of other windows; None without other windows.
      columns: of the model.
      future: those that are known ahead.
      importance: by permutation; None without windows whose truth is known.
      judged_in: where these windows lie, in words.
      gates: of the network.
      season: rows of it; 1 for none.
      neighbours: a row for each of the nearest windows, and its values by step; None without other windows.
      past_in: where these lie, in words.
      notes: what else should be known.
    """

    target: str
    unit: str
    series: str
    horizon: int
    window: int
    frequency: str | None
    share: float
    network_adds: float
    times: np.ndarray
    history: np.ndarray
    forecast: np.ndarray
    attribution: Attribution
    typical: Attribution | None
    columns: tuple[str, ...]
    future: tuple[str, ...]
    importance: Importance | None
    judged_in: str
    gates: Gates
    season: int
    neighbours: pd.DataFrame | None
    past_in: str
    notes: tuple[str, ...]

    # ------------------------------------------------------------ attributions

    @property
    def attributions(self) -> pd.DataFrame:
        """What each value adds to the mean forecast of the rows ahead (time x column), in the unit of the target."""
        return self._over_time(self.attribution.values[0], self._index)

    @property
    def attributions_by_step(self) -> pd.DataFrame:
        """The same for each step ahead: index step, time; empty unless it was asked for."""
        return self._by_step(self.attribution, self._index)

    @property
    def typical_attributions(self) -> pd.DataFrame:
        """Mean sizes of the attributions in other windows (lag x column); lag 0 is the last known row, -1 the next."""
        found = np.empty((0, len(self.columns))) if self.typical is None else self.typical.values[0]
        return self._over_time(found, self._lags[: len(found)])

    @property
    def typical_by_step(self) -> pd.DataFrame:
        """The same for each step ahead: index step, lag; empty unless it was asked for."""
        return self._by_step(self.typical, self._lags)

    @property
    def _rows(self) -> int:
        """Rows that can have attributions: those ahead only where columns are known ahead."""
        return len(self.times) - (0 if self.future else self.horizon)

    @property
    def _index(self) -> pd.Index:
        import pandas as pd

        times = self.times
        return (pd.DatetimeIndex(times) if times.dtype.kind == "M" else pd.Index(times)).rename("time")

    @property
    def _lags(self) -> pd.Index:
        import pandas as pd

        read = len(self.times) - self.horizon
        return pd.Index(np.arange(read - 1, -self.horizon - 1, -1), name="lag")

    def _over_time(self, values, index) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(values[: self._rows], index[: self._rows], list(self.columns))

    def _by_step(self, found: Attribution | None, index) -> pd.DataFrame:
        import pandas as pd

        steps = [] if found is None else list(found.values[1:])
        if not steps:
            return pd.DataFrame(columns=list(self.columns))
        parts = {h + 1: self._over_time(values, index) for h, values in enumerate(steps)}
        return pd.concat(parts, names=["step"])

    @property
    def gap(self) -> float:
        """The largest completeness gap, as a part of the change of the forecast."""
        return float(np.abs(self.attribution.gap).max())

    # ------------------------------------------------------------ tables

    @property
    def permutation(self) -> pd.DataFrame:
        """The increase of the error by column, the largest first, and its spread over the exchanges."""
        import pandas as pd

        found = {} if self.importance is None else self.importance.columns
        frame = pd.DataFrame(list(found.values()), pd.Index(list(found), name="column"), ["increase", "spread"])
        return frame.sort_values("increase", ascending=False, kind="stable")

    @property
    def permutation_blocks(self) -> pd.DataFrame:
        """The same by blocks of rows: lag 0 is the last known row, negative lags lie ahead."""
        import pandas as pd

        found = {} if self.importance is None else self.importance.blocks
        lines = [(name, *lags, *value) for name, blocks in found.items() for lags, value in blocks.items()]
        return pd.DataFrame(lines, columns=["column", "first_lag", "last_lag", "increase", "spread"])

    @property
    def gate_table(self) -> pd.DataFrame:
        """By layer and gate: mean opening, and the share of steps and units below 0.1 and above 0.9."""
        import pandas as pd

        lines = [
            (layer.name, WORDS[gate], layer.mean[gate], layer.closed[gate], layer.open[gate])
            for layer in self.gates.layers
            for gate in layer.mean
        ]
        return pd.DataFrame(lines, columns=["layer", "gate", "mean", "below_0.1", "above_0.9"])

    @property
    def gates_over_time(self) -> pd.DataFrame:
        """Mean opening of each gate at each step of this window, a column for each layer and gate."""
        import pandas as pd

        several = len(self.gates.layers) > 1
        return pd.DataFrame(
            {
                f"{layer.name} {WORDS[gate]}" if several else WORDS[gate]: values
                for layer in self.gates.layers
                for gate, values in layer.over_time.items()
            }
        )

    @property
    def memory(self) -> pd.DataFrame:
        """By layer: rows after which 10 %, 50 % and 90 % of the units keep less than 1/e; and what else units do."""
        import pandas as pd

        lines = []
        for layer in self.gates.layers:
            follows = np.nan if layer.season is None else float((layer.season >= FOLLOWS).mean())
            best = np.nan if layer.season is None else float(layer.season.max())
            lines.append((layer.name, *(layer.memory or [np.nan] * 3), layer.saturated, follows, best))
        names = ["layer", "rows_10", "rows_50", "rows_90", "saturated", "follow_season", "largest_correlation"]
        return pd.DataFrame(lines, columns=names)

    # ------------------------------------------------------------ sentences

    @cached_property
    def sentences(self) -> dict[str, str]:
        """One plain sentence for each part."""
        return {
            "attributions": self._about_attributions(),
            "importance": self._about_importance(),
            "gates": self._about_gates(),
            "neighbours": self._about_neighbours(),
        }

    @cached_property
    def _digits(self) -> int:
        return digits_for(float(self.attribution.size[0]), 3)

    def _number(self, value: float, sign: bool = False) -> str:
        text = in_digits(abs(value) if sign else value, self._digits)
        return f"{'-' if value < 0 else '+'}{text}" if sign else text

    def _time(self, time) -> str:
        import pandas as pd

        from minirnn.data.words import plain_time

        return plain_time(pd.Timestamp(time)) if self.times.dtype.kind == "M" else f"row {time}"

    @property
    def _unit(self) -> str:
        return f" {self.unit}" if self.unit else ""

    def _about_attributions(self) -> str:
        found = self.attribution
        values = found.values[0][: self._rows]  # (rows, columns)
        change, sums = float(found.change[0]), values.sum(axis=0)
        c = int(np.abs(sums).argmax())
        r = int(np.abs(values[:, c]).argmax())
        parts = f"{self._time(self.times[r])} ({self._number(values[r, c], True)})"
        if len(self.columns) > 1:
            parts = f"{self.columns[c]} ({self._number(sums[c], True)}), and of its rows that of {parts}"
        ahead = steps_in_words(self.horizon, self.frequency)
        return (
            f"On average over the next {ahead} {self.target} is forecast at {self._number(found.forecast[0])}"
            f"{self._unit}, {self._number(abs(change))} {'above' if change >= 0 else 'below'} what would be forecast "
            f"({self._number(found.baseline[0])}) had every column stood at its mean over the training rows; the "
            f"largest part is that of {parts}."
        )

    def _about_importance(self) -> str:
        if self.importance is None:
            return "How important each column is in general cannot be told without rows to try it on."
        error = f"{self._number(self.importance.error)}{self._unit}"
        least = 0.01 * self.importance.error
        ranked = sorted(self.importance.columns.items(), key=lambda each: -each[1][0])
        useless = [_named(name) for name, (rise, spread) in ranked if rise <= max(2 * spread, least)]
        if len(useless) == len(ranked):
            return f"No column is important: exchanging any of them leaves the mean error of {error} as it is."
        name, (rise, _) = ranked[0]
        text = f"If {_named(name)} came from another time, the mean error of {error} would grow by {self._number(rise)}"
        blocks = self.importance.blocks.get(name)
        if blocks:
            lags, (most, _) = max(blocks.items(), key=lambda each: each[1][0])
            text += f"; what counts most is {_lags_in_words(*lags)} (by {self._number(most)})"
        if useless:
            text += f"; {_and(useless)} hardly matter{'s' if len(useless) == 1 else ''}"
        return f"{text}."

    def _about_gates(self) -> str:
        if not self.share:
            return (
                "The network adds nothing to this forecast: the validation rows gave it a share of 0, so its gates "
                "explain nothing here."
            )
        layer = self.gates.layers[-1]
        moved = self._number(self.network_adds, True)
        some = f"moves this forecast by {moved}{self._unit}" if moved.strip("+-0.") else "hardly moves this forecast"
        text = f"The network {some} (share {self.share:.2f})"
        if layer.memory is not None:
            low, middle, high = (f"{max(each, 0):.2g}" if each < 10 else f"{each:,.0f}" for each in layer.memory)
            text += (
                f"; half of its units have forgotten most of a row after {middle} rows (from {low} to {high} in 80 % "
                f"of them), of {self.window} that they read"
            )
        if layer.season is not None:
            count, of = int((layer.season >= FOLLOWS).sum()), layer.season.size
            text += (
                f"; {count or 'none'} of {of} units follow{'s' if count == 1 else ''} the season of {self.season} rows"
            )
        return f"{text}."

    def _about_neighbours(self) -> str:
        if self.neighbours is None or not len(self.neighbours):
            return "Which windows looked alike before cannot be told without rows to look through."
        first = self.neighbours.iloc[0]
        values = first[list(range(1, self.horizon + 1))].to_numpy(float)
        last = float(first[0])
        after = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
        of = f" of {first['series']}" if self.series != first["series"] else ""
        text = (
            f"To the network this window looks most like the one that ended on {self._time(first['to'])}{of} "
            f"(distance {first['distance']:.2g}, where {self.neighbours.attrs['usual']:.2g} is usual)"
        )
        if np.isnan(after) or np.isnan(last):
            return f"{text}."
        moved = "above" if after >= last else "below"
        return (
            f"{text}; after it {self.target} was {self._number(abs(after - last))}{self._unit} {moved} its last value, "
            f"on average over {steps_in_words(self.horizon, self.frequency)}."
        )

    @property
    def completeness(self) -> str:
        """How well the attributions add up."""
        found = self.attribution
        total, change = float(found.values[0].sum()), float(found.change[0])
        verdict = "" if found.complete else " This is more than 1 %: read them with care."
        return (
            f"The attributions add up to {self._number(total, True)}, the forecast differs by "
            f"{self._number(change, True)}: a gap of {100 * self.gap:.2g} % ({found.nodes} nodes).{verdict}"
        )

    # ------------------------------------------------------------ for files

    def as_dict(self) -> dict[str, Any]:
        """Everything in what JSON knows."""
        names = [str(self._time(time)) for time in self.times[: self._rows]]
        found = self.attribution
        return {
            "target": self.target,
            "unit": self.unit,
            "series": self.series,
            "horizon": self.horizon,
            "network_share": self.share,
            "network_adds": self.network_adds,
            "forecast": list(map(float, self.forecast)),
            "mean_forecast": float(found.forecast[0]),
            "mean_forecast_from_baseline": float(found.baseline[0]),
            "baseline": "every column at its mean over the training rows",
            "completeness_gap": self.gap,
            "nodes": found.nodes,
            "times": names,
            "attributions": {name: list(map(float, each)) for name, each in self.attributions.items()},
            "attributions_by_step": [
                {name: list(map(float, each)) for name, each in part.items()}
                for _, part in self.attributions_by_step.groupby(level=0)
            ],
            "typical_attributions": _records(self.typical_attributions.reset_index()),
            "error": None if self.importance is None else self.importance.error,
            "importance": _records(self.permutation.reset_index()),
            "importance_blocks": _records(self.permutation_blocks),
            "gates": _records(self.gate_table),
            "memory": _records(self.memory),
            "neighbours": [] if self.neighbours is None else _records(self.neighbours),
            "sentences": self.sentences,
            "completeness": self.completeness,
            "notes": list(self.notes),
        }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table, NaN as None."""

    def plain(value):
        if isinstance(value, float | np.floating):
            return float(value) if np.isfinite(value) else None
        return value.item() if isinstance(value, np.integer) else str(value)

    return [{str(name): plain(value) for name, value in zip(frame.columns, line)} for line in frame.to_numpy(object)]


def _lags_in_words(first: int, last: int) -> str:
    if first < 0:
        return "its values ahead"
    if first == last:
        return {0: "its last row", 1: "the row before its last"}.get(first, f"its row {first} before the last")
    return f"its rows {first} to {last} before the last"


def _named(name: str) -> str:
    return "the calendar" if name == "calendar" else name


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
