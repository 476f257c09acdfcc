"""Exponential smoothing and ARIMA, fitted by statsmodels to one series at a time.

The parameters are fitted once, on all rows before the test part, training and validation rows alike. The form is chosen
among a few by the error at all steps ahead, from origins within the same rows, with a penalty for parameters: unlike a
likelihood that compares forms with any differences and logarithms, and it judges what is wanted, not one step ahead.
Then the state is carried through the test rows with these parameters, and forecasts are made from every origin.

Of long series the last ``ROWS`` rows (or ``SEASONS`` seasons) before the test part are read. Seasons longer than
``SEASON`` steps are too slow for a state that holds a whole season: they are taken out as sines and cosines, and added
to the forecasts again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minirnn.data import calendar
from minirnn.models.context import Context, Unsuitable

ROWS = 2_000  # the last rows before the test part that the models are fitted on
SEASONS = 40  # and at most so many seasons, where a whole season is part of the state
SEASON = 24  # steps of the longest season that is part of a model's state
SERIES = 20  # more series than that would take too long
LEAST = 12  # known values that a series must hold


class One(Protocol):
    """A model of one series."""

    def forecast(self, y: np.ndarray, known: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
        """Rows y (n,) from where the fit began, origins among them -> (origins, horizon)."""
        ...


FitOne = Callable[[np.ndarray, np.ndarray, int, int, Any], One]
"""y (n,), known (n,), season, horizon, and an earlier model whose form is kept or None -> a model."""


@dataclass(frozen=True)
class Season:
    """A long season of one series as a sum of sines and cosines of the row's number."""

    period: float  # rows
    coefficients: np.ndarray  # (2 K,): K sines, K cosines

    @classmethod
    def fit(cls, y: np.ndarray, known: np.ndarray, period: float, most: int = 60) -> Season:
        """By least squares on what a moving average over one period leaves; K by the criterion of Schwarz (BIC).

        The first and the last half period have no such average and are not read. No season where two whole periods
        are not there.
        """
        half = int(period // 2)
        if len(y) < 2 * period + 1:
            return cls(period, np.zeros(0))
        sums = np.concatenate([[0.0], np.cumsum(y)])
        rows = np.arange(half, len(y) - half)
        rest = y[rows] - (sums[rows + half + 1] - sums[rows - half]) / (2 * half + 1)
        rows, rest = rows[known[rows]], rest[known[rows]]
        most = min(most, half, len(rows) // 4)
        best, chosen = np.inf, np.zeros(0)
        design = cls._design(rows, period, most)
        gram, cross, squares = design.T @ design, design.T @ rest, float(rest @ rest)
        for k in range(most + 1):
            columns = np.r_[:k, most : most + k]
            found = np.linalg.lstsq(gram[np.ix_(columns, columns)], cross[columns], rcond=None)[0]
            error = max(squares - float(found @ cross[columns]), 1e-12 * squares, 1e-300)
            score = len(rows) * np.log(error) + 2 * k * np.log(max(len(rows), 2))
            if score < best:
                best, chosen = score, found
        return cls(period, chosen)

    @staticmethod
    def _design(rows, period, count):
        angle = 2 * np.pi * (np.asarray(rows) / period)[..., None] * np.arange(1, count + 1)
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """The season at row numbers of any shape, counted from the first row of the series."""
        return self._design(rows, self.period, len(self.coefficients) // 2) @ self.coefficients


def _period(season: int, frequency: str | None) -> float:
    """The exact length of a season in rows: a year of weeks has 52.18."""
    if frequency is not None:
        for cycle in calendar.cycles(frequency):
            rows = cycle.days / calendar.step_days(frequency)
            if abs(rows - season) < 1:
                return rows
    return float(season)


@dataclass(frozen=True)
class Fitted:
    """A model for each series, and the long season that was taken out of each."""

    fit_one: FitOne
    begins: tuple[int, ...]  # the first row that each model reads
    seasons: tuple[Season, ...]
    models: tuple[One, ...]

    def forecast(self, context: Context, origins: np.ndarray) -> np.ndarray:
        """The state carried through the rows up to each origin, and from there on; (n, horizon)."""
        result = np.empty((len(origins), context.horizon))
        series = context.series_of(origins)
        for k in np.unique(series):
            chosen, begin, start = series == k, self.begins[k], context.bounds[k]
            o = origins[chosen]
            rows = np.arange(begin, o.max() + 1)
            y = context.y[rows] - self.seasons[k].at(rows - start)
            with _quiet():
                found = self.models[k].forecast(y, context.known[rows], o - begin, context.horizon)
            result[chosen] = found + self.seasons[k].at(o[:, None] + context.steps - start)
        if not np.isfinite(result).all():
            raise Unsuitable("its forecasts are not finite")
        return result

    def refit(self, context: Context) -> Fitted:
        """The same forms, fitted on the rows before ``context.stop``; seasons that were taken out stay as they are."""
        models = []
        for k, model in enumerate(self.models):
            rows = slice(self.begins[k], context.stop[k])
            y = context.y[rows] - self.seasons[k].at(np.arange(rows.start, rows.stop) - context.bounds[k])
            short = context.season if context.season <= SEASON else 1
            models.append(_fit_one(self.fit_one, y, context.known[rows], short, context.horizon, model))
        return Fitted(self.fit_one, self.begins, self.seasons, tuple(models))


def fit_each(context: Context, fit_one: FitOne) -> Fitted:
    """One model for each series; Unsuitable where the series are too many, too short or constant."""
    try:
        # Imported here, not where warnings are kept quiet: at import statsmodels adds filters of its own.
        import statsmodels.tsa.holtwinters
        import statsmodels.tsa.statespace.sarimax  # noqa: F401
    except ImportError:
        raise Unsuitable("statsmodels is not installed (pip install 'minirnn[compare]')") from None
    if context.series > SERIES:
        raise Unsuitable(f"{context.series:,} series would take too long; at most {SERIES} are fitted one by one")
    begins, seasons, models = [], [], []
    for start, stop in zip(context.bounds[:-1], context.stop):
        y, known = context.y[start:stop], context.known[start:stop]
        if known.sum() < LEAST:
            raise Unsuitable(f"a series has only {int(known.sum())} values before the test part; {LEAST} are needed")
        if np.ptp(y[known]) == 0:
            raise Unsuitable("a series never changes before the test part")
        season = Season(1.0, np.zeros(0))
        if context.season > SEASON:
            season = Season.fit(y, known, _period(context.season, context.frequency))
        short = context.season if context.season <= SEASON and len(y) >= 2 * context.season + LEAST else 1
        first = max(len(y) - (ROWS if short == 1 else SEASONS * short), 0)
        y = (y - season.at(np.arange(len(y))))[first:]
        models.append(_fit_one(fit_one, y, known[first:], short, context.horizon, None))
        begins.append(int(start + first))
        seasons.append(season)
    return Fitted(fit_one, tuple(begins), tuple(seasons), tuple(models))


def _fit_one(fit_one, y, known, season, horizon, like):
    with _quiet():
        try:
            return fit_one(y, known, season, horizon, like)
        except (ValueError, np.linalg.LinAlgError, FloatingPointError) as error:
            raise Unsuitable(f"statsmodels cannot fit it ({' '.join(str(error).split())})") from None


class _quiet(warnings.catch_warnings):
    """Keeps to itself what statsmodels warns of: starting values, interpolated tables, searches that stop early.

    None of it is an error here: whatever parameters a search ends with are judged by their forecasts.
    """

    def __enter__(self):
        found = super().__enter__()
        warnings.simplefilter("ignore")
        self._numbers = np.errstate(all="ignore")
        self._numbers.__enter__()
        return found

    def __exit__(self, *info):
        self._numbers.__exit__(*info)
        super().__exit__(*info)


def aicc(log_likelihood: float, parameters: int, rows: int) -> float:
    """Akaike's criterion, corrected for few rows: -2 log L + 2 k n / (n - k - 1)."""
    if rows <= parameters + 1:
        return np.inf
    return -2 * log_likelihood + 2 * parameters * rows / (rows - parameters - 1)


def penalised_error(model: One, parameters: int, y: np.ndarray, known: np.ndarray, season: int, horizon: int) -> float:
    """Mean absolute error at all steps ahead from origins among the rows of the fit, times (n + k) / (n - k).

    The factor of Akaike's final prediction error for k parameters and n rows. The first quarter of the rows, or the
    first two seasons, only lead up to it. ValueError where the rows are too few or the forecasts not finite.
    """
    origins = np.arange(max(len(y) // 4, 2 * season), len(y) - horizon)
    rows = origins[:, None] + np.arange(1, horizon + 1)
    n = int(known.sum())
    if n <= parameters + 1 or not known[rows].any():
        raise ValueError("too few rows")
    error = float(np.abs(model.forecast(y, known, origins, horizon) - y[rows])[known[rows]].mean())
    if not np.isfinite(error):
        raise ValueError("the forecasts are not finite")
    return error * (n + parameters) / (n - parameters)
