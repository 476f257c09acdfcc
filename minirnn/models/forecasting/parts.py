"""Training, validation and test rows of one or many series: cut at the same times for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minirnn.data import calendar
from minirnn.data.splits import Split, chronological_split
from minirnn.data.words import DataError
from minirnn.models.forecasting.series import Series


@dataclass(frozen=True, eq=False)
class Parts:
    """The rows of each part: those of series k are ``start[k] .. stop[k] - 1``.

    Args:
      first: (series,) the first row.
      train: (series,) the row after the last training row.
      validation: (series,) the row after the last validation row.
      end: (series,) the row after the last known one.
    """

    first: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    end: np.ndarray

    def of(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Start and stop (series,) of ``"train"``, ``"validation"`` or ``"test"``."""
        return {
            "train": (self.first, self.train),
            "validation": (self.train, self.validation),
            "test": (self.validation, self.end),
        }[part]

    def rows(self, part: str) -> int:
        """How many rows a part has."""
        start, stop = self.of(part)
        return int((stop - start).sum())


def positions(series: Series, frequency: str | None) -> np.ndarray:
    """(series,) how many steps each series starts after the first of them."""
    starts = series.times[series.bounds[:-1]]
    earliest = starts.min()
    if frequency is None:
        return starts - earliest
    if (starts == earliest).all():
        return np.zeros(len(starts), np.int64)
    # No step is longer than its mean length by more than a tenth, nor is the gap between the first and the last start.
    days = float((starts.max() - earliest) / np.timedelta64(1, "D"))
    steps = int(days / calendar.step_days(frequency) * 1.5) + 400
    grid = np.concatenate([[earliest], calendar.later(earliest, steps, frequency)])
    return np.searchsorted(grid, starts)


def split(
    series: Series, frequency: str | None, window: int, horizon: int, validation_fraction: float, test_fraction: float
) -> Parts:
    """Cuts all series at the same times, by fractions of the whole span.

    Raises:
      DataError: a part would be too short for one window.
    """
    offset = positions(series, frequency)
    first, end = series.bounds[:-1], series.last + 1
    span = int((offset + end - first).max())
    cut: Split = chronological_split(span, window, horizon, validation_fraction, test_fraction)
    train, validation = (np.clip(first + row - offset, first, end) for row in (cut.train, cut.validation))
    return Parts(first, train, validation, end)


def until(series: Series, time, share: float, window: int, horizon: int) -> Parts:
    """What comes before a time is for training and, the last ``share`` of it, validation; the rest is the test.

    Raises:
      DataError: too few rows come before it, or none after it.
    """
    dated = series.times.dtype.kind == "M"
    try:
        time = np.datetime64(time, "us") if dated else int(time)
    except (TypeError, ValueError):
        wanted = "a time such as '2024-03-01'" if dated else "the number of a row, as the rows have no times"
        raise DataError(f"start is {time!r}; expected {wanted}") from None
    first, end = series.bounds[:-1], series.last + 1
    stop = np.array([a + np.searchsorted(series.times[a:b], time, side="left") for a, b in zip(first, end)])
    held = np.maximum(np.round((stop - first) * share).astype(np.int64), horizon)
    train = np.maximum(stop - held, first)
    most = int((train - first).max())
    if most < window + 2 * horizon - 1:
        raise DataError(
            f"only {int((stop - first).max())} rows come before {_in_words(time)}, of which {most} are left for "
            f"training; window {window} and horizon {horizon} need {window + 2 * horizon - 1}: choose a later start, "
            "or smaller ones"
        )
    if (end - stop).max() < horizon:
        raise DataError(
            f"fewer rows than the horizon of {horizon} come from {_in_words(time)} on; choose an earlier start, or a "
            "smaller horizon"
        )
    return Parts(first, train, stop, end)


def _in_words(time) -> str:
    from minirnn.data.regular import time_in_words

    return time_in_words(time)
