"""ARIMA: autoregression and moving averages of a differenced series (Box and Jenkins 1970)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.models.context import Context, Unsuitable
from minirnn.models.statistical import Fitted, aicc, fit_each, penalised_error

# Variances of the first state, in units of the values' changes: of the differenced values, and of the values.
FIRST, FIRST_LEVEL = 10.0, 1e6


class Form(NamedTuple):
    """One form: orders (p, d, q), seasonal orders (P, D, Q, s), whether there is a constant."""

    order: tuple[int, int, int]
    seasonal: tuple[int, int, int, int]
    constant: bool


@dataclass(frozen=True)
class Arima:
    """An ARIMA model of one series.

    Args:
      form: orders.
      log: whether it is a model of the logarithms.
      middle: subtracted from the values (or logarithms), which are then divided by ``scale``.
      scale: see ``middle``.
      params: in the order of statsmodels' SARIMAX.
    """

    form: Form
    log: bool
    middle: float
    scale: float
    params: np.ndarray

    @classmethod
    def fit(cls, y: np.ndarray, known: np.ndarray, season: int, horizon: int, like: Arima | None = None) -> Arima:
        """The form with the least :func:`penalised_error`, which compares whatever differences and logarithms.

        Logarithms are taken of positive values where they improve the first form.
        """
        if like is not None:
            return cls._of_form(y, known, like.form, like.log, like.params)
        forms = _forms(y, season)
        tried = []
        for log in (False, True) if y.min() > 0 else (False,):
            tried += cls._try(y, known, horizon, forms[0], log)
        log = min(tried, key=lambda pair: pair[0])[1].log if tried else False
        for form in forms[1:]:
            tried += cls._try(y, known, horizon, form, log)
        if not tried:
            raise Unsuitable("none of its forms can be fitted to a series")
        return min(tried, key=lambda pair: pair[0])[1]

    @classmethod
    def _try(cls, y, known, horizon, form, log):
        """[(error, model)]; empty where the form cannot be fitted to these values."""
        try:
            model = cls._of_form(y, known, form, log)
            return [(penalised_error(model, len(model.params), y, known, form.seasonal[3], horizon), model)]
        except (ValueError, np.linalg.LinAlgError):
            return []

    @classmethod
    def _of_form(cls, y, known, form, log, start=None):
        values = np.log(y) if log else y
        middle, scale = float(values[known].mean()), float(np.diff(values).std()) or 1.0
        model = cls(form, log, middle, scale, np.zeros(0))
        # Differenced beforehand, the state is far smaller; the parameters and their meaning are the same.
        process = model._process(y, known, FIRST, simple_differencing=True)
        result = process.fit(start_params=start, disp=False, maxiter=50)
        if not np.isfinite(result.params).all():
            raise ValueError("its parameters are not finite")
        return cls(form, log, middle, scale, np.asarray(result.params))

    def forecast(self, y: np.ndarray, known: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
        """One pass of the Kalman filter over the rows; from each origin the predicted state goes on by itself."""
        from statsmodels.tsa.statespace import kalman_filter as kalman

        process = self._process(y, known, FIRST_LEVEL)
        process.update(self.params)
        process.ssm.set_conserve_memory(kalman.MEMORY_CONSERVE & ~kalman.MEMORY_NO_PREDICTED_MEAN)
        found = process.ssm.filter()
        design, transition = found.design[:, :, -1], found.transition[:, :, -1]
        intercept = found.state_intercept[:, -1:]
        state = found.predicted_state[:, origins + 1]  # (k, n)
        ahead = np.empty((len(origins), horizon))
        for step in range(horizon):
            ahead[:, step] = (design @ state)[0]
            state = transition @ state + intercept
        ahead = self.middle + self.scale * ahead
        return np.exp(ahead) if self.log else ahead

    def _process(self, y, known, variance, **options):
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        if self.log:
            known = known & (y > 0)
            y = np.log(np.where(known, y, 1.0))
        values = np.where(known, (y - self.middle) / self.scale, np.nan)
        trend = "c" if self.form.constant else "n"
        process = SARIMAX(values, order=self.form.order, seasonal_order=self.form.seasonal, trend=trend, **options)
        # A wide normal distribution of the first state stands for the stationary one, whose equations take longer to
        # solve, at every trial of the search, than all rows together.
        process.ssm.initialize_approximate_diffuse(variance=variance)
        process.loglikelihood_burn = 0
        return process


def _forms(y, season) -> list[Form]:
    """The forms that are tried: of the whole season first, where there is one, then those without."""
    none, by_season = (0, 0, 0, 0), (0, 1, 1, season)
    forms = []
    if season > 1:
        forms += [Form((0, 1, 1), by_season, False), Form((1, 0, 1), by_season, True), Form((2, 0, 0), by_season, True)]
    forms += [Form((0, 1, 1), none, False), Form((2, 1, 2), none, False), Form((1, 0, 1), none, True)]
    lags = _lags(y)
    if lags:
        forms.append(Form((lags, 0, 0), none, True))
    return forms


def _lags(y, most: int = 12) -> int:
    """The order p of the autoregression with the least AICc, by least squares on the same rows for every p."""
    most = min(most, len(y) // 10)
    rows = np.arange(most, len(y))
    y = y - y.mean()
    design = np.stack([np.ones(len(rows)), *(y[rows - lag] for lag in range(1, most + 1))], axis=1)
    gram, cross, squares = design.T @ design, design.T @ y[rows], float(y[rows] @ y[rows])
    scores = []
    for p in range(most + 1):
        found = np.linalg.lstsq(gram[: p + 1, : p + 1], cross[: p + 1], rcond=None)[0]
        error = max(squares - float(found @ cross[: p + 1]), 1e-12 * squares, np.finfo(float).tiny) / len(rows)
        scores.append(aicc(-len(rows) / 2 * np.log(error), p + 2, len(rows)))
    return int(np.argmin(scores))


def fit(context: Context) -> Fitted:
    """An ARIMA model of every series."""
    return fit_each(context, Arima.fit)
