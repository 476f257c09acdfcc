"""Backtests of a Forecaster: forecasts from many origins, beside those of every other forecast."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.models import baselines, metrics
from minirnn.models.backtest import Backtest
from minirnn.models.context import Context
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import frames, incoming, intervals
from minirnn.models.forecasting.fitted import Rows
from minirnn.models.forecasting.intervals import Calibration
from minirnn.models.forecasting.parts import Parts
from minirnn.models.forecasting.series import Series, of_table
from minirnn.params import QUANTILES

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster

LEVELS = (0.0, 0.5, 0.8, 0.95)  # 0 is the median
MOST_ROLLING = 20_000  # origins; intervals of more of them are calibrated on the validation rows alone


def rolling(model: Forecaster, frame, roles: dict[str, Any], start, stride: int, refit: bool) -> Backtest:
    """What :meth:`Forecaster.backtest` does."""
    from minirnn.models.forecaster import Forecaster

    if isinstance(stride, bool) or not isinstance(stride, int | np.integer) or stride < 1:
        raise ParameterError(f"stride must be a whole number of at least 1, got {stride!r}")
    if frame is None:
        if not hasattr(model, "table_"):
            raise ParameterError("there are no rows to judge: pass a frame, or fit the model first")
        table = model.table_
    else:
        table = incoming.to_fit(frame, roles)
    if start is None and frame is None:
        judged = model
    else:
        judged = Forecaster(**(model.get_params() if frame is not None else model.fitted_params_))
        judged._fit(judged.get_params(), table, start)
        if not hasattr(model, "fitted_"):
            model.__dict__.update(judged.__dict__)
    if not judged.parts_.rows("test"):
        raise ParameterError("there is no test part: pass a start, or fit with a test_fraction above 0")
    return backtest(judged, judged.parts_, stride, refit)


def origins_of(model: Forecaster, series: Series, parts: Parts, stride: int) -> np.ndarray:
    """The origins of the test part, every ``stride``-th of each series."""
    least = model.least_
    found = series.origins(least, *parts.of("test"), model.horizon_)
    first = np.maximum(parts.validation - 1, parts.first + least - 1)
    which = np.searchsorted(series.bounds, found, side="right") - 1
    return found[(found - first[which]) % stride == 0]


def backtest(model: Forecaster, parts: Parts, stride: int = 1, refit: bool = False) -> Backtest:
    """The test part of a fitted model."""
    table, N, C = model.table_, model.horizon_, len(model.roles_.target)
    series = of_table(table, N)
    origins = origins_of(model, series, parts, stride)
    if not len(origins):
        raise ParameterError(f"the test part is shorter than the horizon of {N} rows; choose an earlier start")
    ahead = origins[:, None] + np.arange(1, N + 1)
    actual = series.values[ahead][..., :C]
    counts = ~np.isnan(actual)
    if refit:
        members, quantiles = _refitted(model, series, origins)
        without = None
    else:
        rows = model.fitted_.prepare(series)
        members, quantiles = _forecasts(model, rows, origins)
        bare = dataclasses.replace(model.fitted_, share=0.0)
        without = model.fitted_.encoder.unscale(bare.curves(rows, origins, model.backend)[0][0], series, origins)
    contexts = [context(model, series, parts, c) for c in range(C)]
    others = baselines.compare(contexts, origins, refit=refit)
    cell = model.fitted_params_["cell"]
    about = model._about()
    which = np.searchsorted(series.bounds, origins, side="right") - 1
    scales = np.array([[_scales(model, series, parts, k, c) for c in range(C)] for k in range(len(series.which))])
    return Backtest(
        network=cell,
        targets=model.roles_.target,
        units={name: model.units_[name] for name in model.roles_.target if name in model.units_},
        names=table.names,
        horizon=N,
        frequency=table.frequency,
        season=model.season_,
        series=which,
        origins=series.times[origins],
        actual=np.where(counts, actual, 0.0),
        counts=counts,
        forecasts={cell: members.mean(axis=0), **others.forecasts},
        quantiles=quantiles,
        mase_scale=scales[..., 0],
        rmsse_scale=scales[..., 1],
        splits=_splits(series, parts, C),
        model=about,
        notes=others.notes,
        refit=refit,
        members=members,
        without=without,
    )


def _forecasts(model: Forecaster, rows: Rows, origins: np.ndarray):
    """Means of each member (K, n, N, C), and quantiles calibrated with all errors that were known at each origin."""
    fitted, series = model.fitted_, rows.series
    means, values = fitted.curves(rows, origins, model.backend)
    if len(origins) > MOST_ROLLING:
        ends = Calibration.of(fitted.calibration.scores).intervals(values, QUANTILES, LEVELS)
    else:
        truth, known = fitted.truth(rows, origins)
        seen = np.where(known, intervals.score(np.where(known, truth, 0.0), values, QUANTILES), np.nan)
        when = np.searchsorted(np.unique(series.times), series.times[origins])
        wanted = fitted.calibration.rolling(seen, when, LEVELS)
        ends = {end: intervals.at_score(each, values, QUANTILES) for end, each in wanted.items()}
    unscale = fitted.encoder.unscale
    return (
        np.stack([unscale(mean, series, origins) for mean in means]),
        {end: unscale(value, series, origins) for end, value in ends.items()},
    )


def context(model: Forecaster, series: Series, parts: Parts, c: int) -> Context:
    """What the other forecasts see of one target."""
    filled = model.fitted_.encoder.imputer.transform(series.values, series.bounds, np.maximum(series.which, 0))
    return Context(
        y=filled.carried[:, c],
        known=~np.isnan(series.values[:, c]),
        bounds=series.bounds,
        train=parts.train,
        stop=parts.validation,
        horizon=model.horizon_,
        season=model.season_,
        times=series.times,
        frequency=model.frequency_,
        window=model.window_,
    )


def _scales(model: Forecaster, series: Series, parts: Parts, k: int, c: int) -> tuple[float, float]:
    rows = slice(int(parts.first[k]), int(parts.train[k]))
    values = series.values[rows, c]
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    season = model.season_
    return metrics.mase_scale(filled, season, known), metrics.rmsse_scale(filled, season, known)


def _splits(series: Series, parts: Parts, targets: int) -> dict[str, dict[str, Any]]:
    found = {}
    known = ~np.isnan(series.values[:, :targets])
    for name in ("train", "validation", "test"):
        start, stop = parts.of(name)
        some = stop > start
        if not some.any():
            continue
        begin, end = series.times[start[some]], series.times[stop[some] - 1]
        first, last = start[some][np.argmin(begin)], stop[some][np.argmax(end)] - 1
        observed = sum(int(known[a:b].all(axis=1).sum()) for a, b in zip(start, stop))
        found[name] = {
            "start": frames.time_of(series, first),
            "end": frames.time_of(series, last),
            "rows": parts.rows(name),
            "observed": observed,
        }
    return found


def _refitted(model: Forecaster, series: Series, origins: np.ndarray):
    """Forecasts of models that are fitted anew on all rows up to each origin."""
    from minirnn.models.forecaster import Forecaster

    members: Any = None
    quantiles: dict[float, np.ndarray] = {}
    times = series.times[origins]
    for time in np.unique(times):
        now = np.flatnonzero(times == time)
        own = {"window": model.window_, "horizon": model.horizon_, "progress": False}
        fresh = Forecaster(**model.fitted_params_ | own)
        after = series.times[origins[now[0]] + 1]
        fresh._fit(fresh.get_params(), model.table_, after)
        if fresh.history_.ended == "interrupted":  # the next origin's training would begin all the same
            raise KeyboardInterrupt
        # What came after the origin may not widen its intervals.
        known = dataclasses.replace(fresh.fitted_, calibration=Calibration.of(fresh.fitted_.calibration.scores))
        found, ends = known.forecast(series, origins[now], LEVELS, model.backend)
        if members is None:
            members = np.empty((len(found), len(origins), *found.shape[2:]))
            quantiles = {level: np.empty(members.shape[1:]) for level in ends}
        members[:, now] = found
        for level, values in ends.items():
            quantiles[level][now] = values
    return members, quantiles
