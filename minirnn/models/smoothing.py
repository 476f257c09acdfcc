"""Exponential smoothing: level, trend and season of a series, each a mean that forgets (Holt 1957, Winters 1960)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minirnn.models.context import Context, Unsuitable
from minirnn.models.statistical import Fitted, fit_each, penalised_error


@dataclass(frozen=True)
class Smoothing:
    """Holt-Winters smoothing of one series with its parameters and the state before the first row.

    Args:
      trend: whether there is one.
      damped: whether it fades.
      seasonal: ``"add"``, ``"mul"`` or None.
      alpha: of the level.
      beta: of the trend.
      gamma: of the season.
      phi: damping of the trend, 1 for none.
      level: before the first row.
      slope: before the first row.
      places: (season,) the season before the first row.
    """

    trend: bool
    damped: bool
    seasonal: str | None
    alpha: float
    beta: float
    gamma: float
    phi: float
    level: float
    slope: float
    places: np.ndarray

    @classmethod
    def fit(cls, y: np.ndarray, known: np.ndarray, season: int, horizon: int, like: Smoothing | None = None):
        """The form with the least :func:`penalised_error`, among trends (none, plain, damped) and seasons.

        A season that multiplies is tried where every value is positive. statsmodels fits it by least squares, and
        knows no missing values: filled ones are fitted as they are.
        """
        if like is not None:
            return cls._of_form(y, season, like.trend, like.damped, like.seasonal)
        seasonal: list[str | None] = [None]
        if season > 1:
            seasonal += ["add", "mul"] if y.min() > 0 else ["add"]
        tried = []
        for kind in seasonal:
            for trend, damped in ((False, False), (True, False), (True, True)):
                try:
                    model = cls._of_form(y, season, trend, damped, kind)
                    parameters = 2 + 2 * trend + damped + (season + 1 if kind else 0)
                    error = penalised_error(model, parameters, y, known, season if kind else 0, horizon)
                except (ValueError, np.linalg.LinAlgError):
                    continue  # a form that these values do not allow
                tried.append((error, model))
        if not tried:
            raise Unsuitable("none of its forms can be fitted to a series")
        return min(tried, key=lambda pair: pair[0])[1]

    @classmethod
    def _of_form(cls, y, season, trend, damped, seasonal):
        from statsmodels.tsa.holtwinters import ExponentialSmoothing

        p = (
            ExponentialSmoothing(
                y,
                trend="add" if trend else None,
                damped_trend=damped,
                seasonal=seasonal,
                seasonal_periods=season if seasonal else None,
                initialization_method="estimated",
            )
            .fit()
            .params
        )
        return cls(
            trend,
            damped,
            seasonal,
            alpha=float(p["smoothing_level"]),
            beta=float(p["smoothing_trend"]) if trend else 0.0,
            gamma=float(p["smoothing_seasonal"]) if seasonal else 0.0,
            phi=float(p["damping_trend"]) if damped else 1.0,
            level=float(p["initial_level"]),
            slope=float(p["initial_trend"]) if trend else 0.0,
            places=np.array(p["initial_seasons"], np.float64) if seasonal else np.zeros(1),
        )

    def forecast(self, y: np.ndarray, known: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
        """The recursions over the rows; at rows whose value is not known the state is only carried forward."""
        m = len(self.places)
        level, slope, places = self.level, self.slope, list(self.places)
        a, b, g, phi = self.alpha, self.beta, self.gamma, self.phi
        seasonal, multiplies = self.seasonal is not None, self.seasonal == "mul"
        steps = np.arange(1, horizon + 1)
        damping = np.cumsum(phi**steps)
        wanted = {int(row) for row in origins}
        found = {}
        for row, (value, seen) in enumerate(zip(y.tolist(), known.tolist())):
            base, place = level + phi * slope, places[row % m]
            if not seen:
                level, slope = base, phi * slope
            else:
                adjusted = value if not seasonal else value / place if multiplies else value - place
                level, before = a * adjusted + (1 - a) * base, level
                slope = b * (level - before) + (1 - b) * phi * slope
                if seasonal:
                    places[row % m] = g * (value / base if multiplies else value - base) + (1 - g) * place
            if row in wanted:
                ahead = level + damping * slope
                if seasonal:
                    usual = np.array(places)[(row + steps) % m]
                    ahead = ahead * usual if multiplies else ahead + usual
                found[row] = ahead
        return np.stack([found[int(row)] for row in origins])


def fit(context: Context) -> Fitted:
    """Exponential smoothing of every series."""
    return fit_each(context, Smoothing.fit)
