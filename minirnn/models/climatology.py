"""What is usual at this place of the calendar: harmonic regression, one for each series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minirnn.data import calendar
from minirnn.models.context import Context, Unsuitable

BLOCK = 65536  # rows whose harmonics are in memory at once


@dataclass(frozen=True)
class Harmonics:
    """What is usual in one series on this day of the year, day of the week, hour of the day.

    Args:
      frequency: pandas alias of a step.
      counts: harmonics of each of ``calendar.cycles(frequency)``.
      coefficients: of the intercept, then of each cycle's harmonics.
    """

    frequency: str
    counts: tuple[int, ...]
    coefficients: np.ndarray

    @classmethod
    def fit(cls, y, known, times, frequency: str, train: int, counts: tuple[int, ...] | None = None) -> Harmonics:
        """From the values y (rows,) and their times (rows,); the coefficients by least squares on the first rows.

        Args:
          train: rows that the coefficients are fitted on; the rest chooses how many harmonics each cycle has. A cycle
            that the training rows do not span is left out: the rest of it would be invented.
          counts: those numbers, where they have been chosen already.
        """
        seasons = calendar.cycles(frequency)
        days = train * calendar.step_days(frequency)
        most = tuple(cycle.harmonics if cycle.days <= days else 0 for cycle in seasons)
        most = most if counts is None else tuple(min(pair) for pair in zip(most, counts))
        shift = float(y[:train].mean()) if train else 0.0
        fitted_on = _moments(y[:train] - shift, known[:train], times[:train], frequency, most)
        chosen_by = _moments(y[train:] - shift, known[train:], times[train:], frequency, most)

        def attempt(trial):
            columns = _columns(most, trial)
            gram, cross, _ = fitted_on
            found = np.linalg.lstsq(gram[np.ix_(columns, columns)], cross[columns], rcond=None)[0]
            gram, cross, squares = chosen_by
            error = found @ gram[np.ix_(columns, columns)] @ found - 2 * found @ cross[columns] + squares
            return float(error), trial, found

        if counts is not None:
            best = attempt(most)
        else:
            best = attempt((0,) * len(seasons))
            # One cycle after the other, each with the harmonics that predict the validation rows best.
            for position in range(len(seasons)):
                for count in range(1, most[position] + 1):
                    found = attempt((*best[1][:position], count, *best[1][position + 1 :]))
                    best = min(best, found, key=lambda each: each[0])
        coefficients = best[2].copy()
        coefficients[0] += shift
        return cls(frequency, best[1], coefficients)

    def predict(self, times: np.ndarray) -> np.ndarray:
        """The usual value at each time (rows,)."""
        parts = [
            _design(times[row : row + BLOCK], self.frequency, self.counts) @ self.coefficients
            for row in range(0, len(times), BLOCK)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)


def _design(times, frequency, counts) -> np.ndarray:
    """The intercept and the harmonics at each time, (rows, 1 + 2 Σ counts): of each cycle all sines, then cosines."""
    import pandas as pd

    parts = [np.ones((len(times), 1))]
    for cycle, count in zip(calendar.cycles(frequency), counts):
        if count:
            parts.append(calendar.harmonics(pd.DatetimeIndex(times), cycle, count))
    return np.concatenate(parts, axis=1)


def _columns(most, counts) -> np.ndarray:
    """The columns of ``counts`` harmonics in the design of ``most`` harmonics."""
    columns, first = [0], 1
    for largest, count in zip(most, counts):
        columns += [*range(first, first + count), *range(first + largest, first + largest + count)]
        first += 2 * largest
    return np.array(columns)


def _moments(y, known, times, frequency, counts):
    """Sums X^T X, X^T y and y^T y over the known rows, block by block: no design of all rows is ever in memory."""
    size = 1 + 2 * sum(counts)
    gram, cross, squares = np.zeros((size, size)), np.zeros(size), 0.0
    for row in range(0, len(y), BLOCK):
        kept = known[row : row + BLOCK]
        x, t = _design(times[row : row + BLOCK][kept], frequency, counts), y[row : row + BLOCK][kept]
        gram, cross, squares = gram + x.T @ x, cross + x.T @ t, squares + float(t @ t)
    return gram, cross, squares


@dataclass(frozen=True)
class Climatology:
    """Harmonic regression on the calendar, one for each series.

    Coefficients are fitted on the training rows; the number of harmonics is chosen on the validation rows.
    """

    parts: tuple[Harmonics, ...]  # one for each series

    @classmethod
    def fit(cls, context: Context) -> Climatology:
        """From the rows before ``context.stop``; Unsuitable where the calendar has no cycle for this frequency."""
        return cls._fit(context, (None,) * context.series)

    @classmethod
    def _fit(cls, context, counts):
        if context.frequency is None or not calendar.cycles(context.frequency):
            raise Unsuitable("no cycle of the calendar is longer than two of these steps")
        parts = []
        for k, (start, stop) in enumerate(zip(context.bounds[:-1], context.stop)):
            rows = slice(start, stop)
            parts.append(
                Harmonics.fit(
                    context.y[rows],
                    context.known[rows],
                    context.times[rows],
                    context.frequency,
                    int(context.train[k] - start),
                    counts[k],
                )
            )
        return cls(tuple(parts))

    def forecast(self, context: Context, origins: np.ndarray) -> np.ndarray:
        """The usual values after each origin, (n, horizon); those rows all lie in the context."""
        result = np.empty((len(origins), context.horizon))
        series = context.series_of(origins)
        for k in np.unique(series):
            chosen = series == k
            first, last = origins[chosen].min() + 1, origins[chosen].max() + context.horizon + 1
            usual = self.parts[k].predict(context.times[first:last])
            result[chosen] = usual[origins[chosen][:, None] + context.steps - first]
        return result

    def refit(self, context: Context) -> Climatology:
        """The same harmonics, fitted on all rows before ``context.stop``."""
        return self._fit(context, tuple(part.counts for part in self.parts))
