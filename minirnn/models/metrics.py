"""Errors of forecasts, each in one line of mathematics. y is the truth, p the forecast, n the number of scored points.

All take ``actual`` and ``forecast`` of one shape and an optional ``mask`` that is True where a point counts: points
that were filled because they are missing from the data are never scored.
"""

from __future__ import annotations

import numpy as np


def _errors(actual, forecast, mask):
    mask = np.ones(np.shape(actual), bool) if mask is None else mask
    if not np.any(mask):
        raise ValueError("there is no point to score: every one is masked")
    return np.asarray(actual, np.float64)[mask], np.asarray(forecast, np.float64)[mask]


def mae(actual, forecast, mask=None) -> float:
    """Mean absolute error, in the unit of the target: Σ |y - p| / n."""
    y, p = _errors(actual, forecast, mask)
    return float(np.mean(np.abs(y - p)))


def mse(actual, forecast, mask=None) -> float:
    """Mean squared error, in the squared unit of the target: Σ (y - p)² / n."""
    y, p = _errors(actual, forecast, mask)
    return float(np.mean((y - p) ** 2))


def rmse(actual, forecast, mask=None) -> float:
    """Root of the mean squared error, in the unit of the target: sqrt(Σ (y - p)² / n)."""
    return float(np.sqrt(mse(actual, forecast, mask)))


def smape(actual, forecast, mask=None) -> float:
    """Symmetric mean absolute percentage error, 0 to 200: 100 Σ 2 |y - p| / (|y| + |p|) / n; 0/0 counts as 0."""
    y, p = _errors(actual, forecast, mask)
    scale = np.abs(y) + np.abs(p)
    return float(np.mean(200 * np.abs(y - p) / np.where(scale == 0, 1, scale)))


def mase(actual, forecast, scale: float, mask=None) -> float | None:
    """Mean absolute scaled error: MAE divided by ``scale`` from :func:`mase_scale` (Hyndman and Koehler 2006).

    Below 1 a forecast is better than the seasonal naive one was, one season ahead, on the training part. None where
    the scale is zero (the training part repeats itself exactly).
    """
    return mae(actual, forecast, mask) / scale if scale > 0 else None


def mase_scale(train, season: int, mask=None) -> float:
    """Mean |y_t - y_{t-season}| over the training rows: the in-sample error of the seasonal naive forecast."""
    train = np.asarray(train, np.float64)
    known = np.ones(len(train), bool) if mask is None else np.asarray(mask)
    season = season if len(train) > season else 1
    both = known[season:] & known[:-season]
    return float(np.abs(train[season:] - train[:-season])[both].mean()) if both.any() else 0.0


def table(actual, forecast, scale: float, mask=None) -> dict[str, float | None]:
    """The five metrics of one forecast, in the order in which they are printed."""
    return {
        "MAE": mae(actual, forecast, mask),
        "RMSE": rmse(actual, forecast, mask),
        "MSE": mse(actual, forecast, mask),
        "MASE": mase(actual, forecast, scale, mask),
        "sMAPE": smape(actual, forecast, mask),
    }
