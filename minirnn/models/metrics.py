"""Errors of forecasts, each in one line of mathematics. y is the truth, p the forecast, n the number of scored points.

All take ``actual`` and ``forecast`` of one shape and an optional ``mask`` that is True where a point counts: points
that were filled because they are missing from the data are never scored. A metric that is not defined (a percentage
where every truth is 0, a scaled error where the scale is 0) is None.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def _counted(mask, *arrays) -> list[np.ndarray]:
    """The points that count, of each array, in float64 and in one line."""
    mask = np.ones(np.shape(arrays[0]), bool) if mask is None else np.asarray(mask, bool)
    if not mask.any():
        raise ValueError("there is no point to score: every one is masked")
    return [np.broadcast_to(np.asarray(array, np.float64), mask.shape)[mask] for array in arrays]


def mae(actual, forecast, mask=None) -> float:
    """Mean absolute error, in the unit of the target: Σ |y - p| / n."""
    y, p = _counted(mask, actual, forecast)
    return float(np.mean(np.abs(y - p)))


def mse(actual, forecast, mask=None) -> float:
    """Mean squared error, in the squared unit of the target: Σ (y - p)² / n."""
    y, p = _counted(mask, actual, forecast)
    with np.errstate(over="ignore"):  # the square of a huge error is infinite, which is no reason to stop
        return float(np.mean((y - p) ** 2))


def rmse(actual, forecast, mask=None) -> float:
    """Root of the mean squared error, in the unit of the target: sqrt(Σ (y - p)² / n)."""
    return float(np.sqrt(mse(actual, forecast, mask)))


def mape(actual, forecast, mask=None) -> float | None:
    """Mean absolute percentage error: 100 Σ |y - p| / |y| / n over the points whose truth is not 0; None if all are.

    A percentage of nothing is not defined: those points leave the mean, and :func:`zeros` says how many they are.

    >>> mape([0.0, 2.0, 4.0], [1.0, 1.0, 5.0]), zeros([0.0, 2.0, 4.0])
    (37.5, 1)
    """
    y, p = _counted(mask, actual, forecast)
    y, p = y[y != 0], p[y != 0]
    with np.errstate(over="ignore"):
        return float(np.mean(100 * np.abs((y - p) / y))) if len(y) else None


def zeros(actual, mask=None) -> int:
    """The number of scored points whose truth is 0, which :func:`mape` leaves out."""
    return int(np.sum(_counted(mask, actual)[0] == 0))


def smape(actual, forecast, mask=None) -> float:
    """Symmetric mean absolute percentage error, 0 to 200: 100 Σ 2 |y - p| / (|y| + |p|) / n; 0/0 counts as 0."""
    y, p = _counted(mask, actual, forecast)
    scale = np.abs(y) + np.abs(p)
    return float(np.mean(200 * np.abs(y - p) / np.where(scale == 0, 1, scale)))


def mase(actual, forecast, scale, mask=None) -> float | None:
    """Mean absolute scaled error: Σ |y - p| / scale / n, with ``scale`` from :func:`mase_scale`.

    Below 1 a forecast is better than the seasonal naive one was, one season ahead, on the training part (Hyndman and
    Koehler 2006). ``scale`` is a number, or an array that broadcasts to ``actual``: of several series or targets each
    point has its own. Points whose scale is zero (the training part repeats itself exactly) leave the mean; None if
    all do.
    """
    y, p, s = _counted(mask, actual, forecast, scale)
    return float(np.mean(np.abs(y - p)[s > 0] / s[s > 0])) if (s > 0).any() else None


def rmsse(actual, forecast, scale, mask=None) -> float | None:
    """Root mean squared scaled error: sqrt(Σ ((y - p) / scale)² / n), with ``scale`` from :func:`rmsse_scale`.

    As in the M5 competition (Makridakis et al. 2022), but scaled by the error of the seasonal naive forecast, as
    :func:`mase` is, where M5 takes that of the last value. Zero scales as in :func:`mase`.
    """
    y, p, s = _counted(mask, actual, forecast, scale)
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(((y - p)[s > 0] / s[s > 0]) ** 2))) if (s > 0).any() else None


def mase_scale(train, season: int, mask=None) -> float:
    """Mean |y_t - y_{t-season}| over the training rows: the in-sample error of the seasonal naive forecast."""
    changes = _seasonal_changes(train, season, mask)
    return float(np.abs(changes).mean()) if len(changes) else 0.0


def rmsse_scale(train, season: int, mask=None) -> float:
    """Root of the mean (y_t - y_{t-season})² over the training rows."""
    changes = _seasonal_changes(train, season, mask)
    with np.errstate(over="ignore"):
        return float(np.sqrt((changes**2).mean())) if len(changes) else 0.0


def _seasonal_changes(train, season, mask) -> np.ndarray:
    """y_t - y_{t-season} where both are known; one step apart where the rows are fewer than a season."""
    train = np.asarray(train, np.float64)
    known = np.ones(len(train), bool) if mask is None else np.asarray(mask)
    season = season if len(train) > season else 1
    both = known[season:] & known[:-season]
    return train[season:][both] - train[:-season][both]


def pinball(actual, quantile, level: float, mask=None) -> float:
    """Pinball loss of a quantile q at a level L, in the unit of the target: Σ max(L (y - q), (L - 1) (y - q)) / n.

    At the level 0.5 it is half the mean absolute error of the median.

    >>> pinball([1.0, 3.0], [2.0, 2.0], 0.9)
    0.5
    """
    y, q = _counted(mask, actual, quantile)
    return float(np.mean(np.maximum(level * (y - q), (level - 1) * (y - q))))


def wql(actual, quantiles: Mapping[float, np.ndarray], mask=None) -> float | None:
    """Weighted quantile loss over the levels L: the mean over L of 2 Σ pinball_L / Σ |y|; None where every truth is 0.

    With the level 0.5 alone it is Σ |y - median| / Σ |y|.

    >>> wql([1.0, 3.0], {0.5: np.array([2.0, 2.0])})
    0.5
    """
    size = float(np.mean(np.abs(_counted(mask, actual)[0])))
    return 2 * mean_pinball(actual, quantiles, mask) / size if size > 0 else None


def mean_pinball(actual, quantiles: Mapping[float, np.ndarray], mask=None) -> float:
    """The mean over the levels of :func:`pinball`, in the unit of the target."""
    return float(np.mean([pinball(actual, quantile, level, mask) for level, quantile in quantiles.items()]))


def coverage(actual, lower, upper, mask=None) -> float:
    """The part of the points inside the interval, 0 to 1: Σ [lower <= y <= upper] / n."""
    y, low, high = _counted(mask, actual, lower, upper)
    return float(np.mean((low <= y) & (y <= high)))


def width(lower, upper, mask=None) -> float:
    """Mean width of the interval, in the unit of the target: Σ (upper - lower) / n."""
    low, high = _counted(mask, lower, upper)
    return float(np.mean(high - low))


def intervals(quantiles: Mapping[float, np.ndarray]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The central intervals that the levels give, the narrowest first: percent -> (lower, upper).

    >>> list(intervals({0.025: np.zeros(1), 0.1: np.zeros(1), 0.5: np.zeros(1), 0.9: np.ones(1), 0.975: np.ones(1)}))
    [80, 95]
    """
    found = {}
    for low in sorted((level for level in quantiles if level < 0.5), reverse=True):
        for high in quantiles:
            if abs(low + high - 1) < 1e-9:
                found[round(100 * (high - low))] = (quantiles[low], quantiles[high])
    return found


def table(actual, forecast, scale, squared_scale, mask=None) -> dict[str, float | None]:
    """The metrics of one forecast, in the order in which they are printed.

    Args:
      scale: from :func:`mase_scale`, a number or an array that broadcasts to ``actual``.
      squared_scale: the same from :func:`rmsse_scale`.
    """
    return {
        "MAE": mae(actual, forecast, mask),
        "RMSE": rmse(actual, forecast, mask),
        "MSE": mse(actual, forecast, mask),
        "MAPE": mape(actual, forecast, mask),
        "sMAPE": smape(actual, forecast, mask),
        "MASE": mase(actual, forecast, scale, mask),
        "RMSSE": rmsse(actual, forecast, squared_scale, mask),
    }


def quantile_table(actual, quantiles: Mapping[float, np.ndarray], mask=None) -> dict[str, float | None]:
    """The metrics of quantile forecasts: pinball loss, wQL, coverage and width of each central interval."""
    if not quantiles:
        return {}
    found: dict[str, float | None] = {
        "pinball": mean_pinball(actual, quantiles, mask),
        "wQL": wql(actual, quantiles, mask),
    }
    for percent, (lower, upper) in intervals(quantiles).items():
        found[f"coverage_{percent}"] = coverage(actual, lower, upper, mask)
        found[f"width_{percent}"] = width(lower, upper, mask)
    return found
