"""The forecasts to beat: each against its definition, over many series, with gaps, and blind to the future."""

import builtins
import dataclasses
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from minirnn.data import load
from minirnn.models import baselines, linear, statistical
from minirnn.models.arima import Arima, Form
from minirnn.models.climatology import Harmonics
from minirnn.models.context import Context, Unsuitable
from minirnn.models.linear import Ridge
from minirnn.models.smoothing import Smoothing

SIMPLE = ("last_value", "seasonal_naive", "drift", "mean", "climatology", "linear")


def context_of(*series, season=1, horizon=2, frequency="D", window=5, known=None):
    """Series of daily rows, 60 % of each to train on, 20 % to choose by."""
    lengths = np.array([len(each) for each in series])
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    y = np.concatenate(series).astype(np.float64)
    times = np.concatenate([np.arange(n) for n in lengths]).astype("datetime64[D]").astype("datetime64[us]")
    return Context(
        y,
        np.ones(len(y), bool) if known is None else known,
        bounds,
        bounds[:-1] + (0.6 * lengths).astype(int),
        bounds[:-1] + (0.8 * lengths).astype(int),
        horizon,
        season,
        times,
        frequency,
        window,
    )


def origins_of(context):
    """All rows after which a whole horizon of test rows lies in the same series."""
    ends = context.bounds[1:] - context.horizon
    return np.concatenate([np.arange(stop - 1, end) for stop, end in zip(context.stop, ends)])


def wave(rng, rows, period=7, level=20.0):
    return level + 3 * np.sin(2 * np.pi * np.arange(rows) / period) + rng.standard_normal(rows)


def test_each_series_is_forecast_as_if_it_were_alone(rng):
    series = [wave(rng, rows, level=level) for rows, level in ((80, 20.0), (60, 500.0), (90, -3.0))]
    together = context_of(*series, season=7)
    origins = origins_of(together)
    found = baselines.compare([together], origins, names=SIMPLE[:5]).forecasts
    for k, each in enumerate(series):
        alone = context_of(each, season=7)
        mine = together.series_of(origins) == k
        expected = baselines.compare([alone], origins[mine] - together.bounds[k], names=SIMPLE[:5]).forecasts
        for name in SIMPLE[:5]:
            np.testing.assert_allclose(found[name][mine], expected[name], rtol=1e-9, err_msg=name)


def test_the_simple_ones_equal_their_definitions(rng):
    y = wave(rng, 40)
    known = rng.uniform(size=40) > 0.3
    known[:2] = False, True
    context = context_of(wave(rng, 30), y, season=7, known=np.r_[np.ones(30, bool), known])
    found = baselines.compare([context], np.array([30 + 20]), names=SIMPLE[:4]).forecasts
    at = {name: each[0, :, 0] for name, each in found.items()}
    np.testing.assert_array_equal(at["last_value"], [y[20], y[20]])
    np.testing.assert_array_equal(at["seasonal_naive"], [y[14], y[15]])
    np.testing.assert_allclose(at["drift"], y[20] + (y[20] - y[1]) / 19 * np.arange(1, 3))
    np.testing.assert_allclose(at["mean"], np.mean(y[:21][known[:21]]))
    early = baselines.compare([context], np.array([30 + 3]), names=["seasonal_naive"]).forecasts["seasonal_naive"]
    np.testing.assert_array_equal(early.ravel(), [y[3], y[3]])  # not a value of the series before


@pytest.mark.peers
@pytest.mark.parametrize(("refit", "season"), [(False, 7), (True, 1)])
def test_no_forecast_looks_at_rows_after_its_origin_or_fits_on_test_rows(rng, refit, season):
    pytest.importorskip("statsmodels")
    y = wave(rng, 70, level=0.0)  # not positive: fewer forms to fit
    context = context_of(y, season=season)
    changed = dataclasses.replace(context, y=np.where(np.arange(70) > 56, 1e3, y))
    before, after = (baselines.compare([each], np.array([56, 58]), refit=refit) for each in (context, changed))
    assert before.forecasts.keys() == baselines.BASELINES.keys() == baselines.TITLES.keys()
    for name, forecast in before.forecasts.items():
        assert after.forecasts[name][0].tobytes() == forecast[0].tobytes(), name


def test_refitting_learns_from_test_rows(rng):
    """A series whose level jumps after the validation rows: only what is fitted again finds out."""
    y = rng.standard_normal(200) + np.where(np.arange(200) >= 160, 50.0, 0.0)
    context = context_of(y, horizon=1, frequency="D")
    fixed, again = (
        baselines.compare([context], np.array([198]), names=["climatology"], refit=refit).forecasts["climatology"]
        for refit in (False, True)
    )
    assert abs(fixed[0, 0, 0]) < 2
    assert 5 < again[0, 0, 0] < 20  # the mean of all rows


def test_what_cannot_be_fitted_is_left_out_and_said(rng):
    context = context_of(wave(rng, 60), frequency=None, window=50)
    found = baselines.compare([context], np.array([50]), names=("climatology", "linear", "last_value"))
    assert list(found.forecasts) == ["last_value"]
    assert found.notes == (
        "Climatology is left out: no cycle of the calendar is longer than two of these steps.",
        "Linear is left out: no series has training and validation rows for windows of 50 rows.",
    )


# ------------------------------------------------------------ climatology


def test_a_climatology_does_not_invent_the_rest_of_a_year():
    days = np.arange("2020-01-01", "2020-04-10", dtype="datetime64[D]")[:75]
    fitted = Harmonics.fit(np.arange(75.0), np.ones(75, bool), days, "D", 60)
    assert fitted.counts[0] == 0  # two months of a trend are no year
    days = pd.date_range("2012-01-01", periods=1200, freq="D")
    y = np.cos(2 * np.pi * days.day_of_year.to_numpy() / 365.25)
    known = np.arange(1200) % 5 > 0
    spoiled = np.where(known, y, 1e3)  # filled values are not fitted on
    fitted = Harmonics.fit(spoiled[:1000], known[:1000], days[:1000].to_numpy(), "D", 800)
    assert fitted.counts[0] >= 1
    assert np.abs(fitted.predict(days.to_numpy()) - y).max() < 0.05


# ------------------------------------------------------------ linear


def arrays(x, t, w):
    return lambda rows: (x[rows], t[rows], w[rows])


@pytest.mark.parametrize("block", [1 << 22, 64])
def test_missing_targets_cost_the_linear_forecast_only_their_own_points(rng, monkeypatch, block):
    """Each step ahead is fitted on every window that knows its target, not only on windows that know all of them."""
    monkeypatch.setattr(linear, "BLOCK", block)
    inputs = 5 + rng.standard_normal((400, 5))
    targets = inputs @ rng.standard_normal((5, 3)) + 0.1 * rng.standard_normal((400, 3))
    weights = (rng.uniform(size=(400, 3)) > 0.5).astype(float)
    spoiled = np.where(weights > 0, targets, np.nan)
    train, validation = np.arange(300), np.arange(300, 400)
    with_gaps = Ridge.fit(arrays(inputs, spoiled, weights), train, validation)
    whole = Ridge.fit(arrays(inputs, targets, np.ones_like(weights)), train, validation)
    np.testing.assert_allclose(with_gaps.coefficients, whole.coefficients, atol=0.05)
    for step in range(3):  # and what it fits is ordinary ridge regression on the windows that count
        kept = weights[train][:, step] > 0
        x, t = inputs[train][kept], targets[train][kept, step]
        middle, mean = x.mean(axis=0), t.mean()
        x, t = x - middle, t - mean
        expected = np.linalg.solve(x.T @ x + with_gaps.penalty * np.eye(5), x.T @ t)
        np.testing.assert_allclose(with_gaps.coefficients[:, step], expected, rtol=1e-8)
        np.testing.assert_allclose(with_gaps.intercept[step], mean - middle @ expected, rtol=1e-8)


def test_the_penalty_is_the_one_with_the_least_validation_error(rng):
    inputs, truth = rng.standard_normal((120, 20)), rng.standard_normal((20, 2))
    targets = inputs @ truth + 5 * rng.standard_normal((120, 2))
    windows = arrays(inputs, targets, np.ones((120, 2)))
    train, validation = np.arange(60), np.arange(60, 120)

    def error(model):
        return np.mean((model.predict(inputs[validation]) - targets[validation]) ** 2)

    chosen = Ridge.fit(windows, train, validation)
    others = [Ridge.fit_with(windows, train, chosen.penalty * 10.0**k) for k in (-2, -1, -0.25, 0.25, 1, 2)]
    assert error(chosen) <= min(map(error, others))
    slack = Ridge.fit(windows, train, validation, slack=0.05)
    assert slack.penalty > chosen.penalty
    assert error(slack) <= 1.05 * error(chosen) * (1 + 1e-9)


def test_fewer_windows_than_inputs_give_the_same_ridge_regression(rng):
    inputs, targets = 3 + rng.standard_normal((40, 70)), rng.standard_normal((40, 2))
    rows = np.arange(40)
    model = Ridge.fit_with(arrays(inputs, targets, np.ones((40, 2))), rows, 0.5)
    x, t = inputs - inputs.mean(axis=0), targets - targets.mean(axis=0)
    expected = np.linalg.solve(x.T @ x + 0.5 * np.eye(70), x.T @ t)
    np.testing.assert_allclose(model.coefficients, expected, atol=1e-10)
    np.testing.assert_allclose(model.predict(inputs).mean(axis=0), targets.mean(axis=0), atol=1e-10)


def test_windows_are_read_in_blocks_and_not_all_of_a_million(monkeypatch, rng):
    monkeypatch.setattr(linear, "MOST", 5_000)
    monkeypatch.setattr(linear, "BLOCK", 20_000)
    values = rng.standard_normal(1_000_000)
    read = []

    def windows(rows):
        read.append(len(rows))
        x = values[rows[:, None] + np.arange(20)]
        return x, x[:, :1] * 2 + 1, np.ones((len(rows), 1))

    rows = np.arange(999_000)
    tracemalloc.start()
    model = Ridge.fit(windows, rows[:900_000], rows[900_000:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(read) * 20 <= 20_000
    assert sum(read) <= 4 * 5_000
    assert peak < 3e6
    np.testing.assert_allclose(model.coefficients[:, 0], 2 * (np.arange(20) == 0), atol=1e-6)


# ------------------------------------------------------------ exponential smoothing and ARIMA


def air():
    frame = load("air_passengers")
    y = frame["passengers"].to_numpy(np.float64)
    bounds, times = np.array([0, 144]), frame.index.to_numpy()
    return Context(y, np.ones(144, bool), bounds, np.array([96]), np.array([120]), 6, 12, times, "MS", 24)


@pytest.mark.peers
def test_known_figures_of_air_passengers():
    """Six months ahead, fitted up to 1958-12, 19 targets: what the literature's forecasts reach on it."""
    pytest.importorskip("statsmodels")
    context = air()
    targets = np.arange(125, 144)

    def mape(forecast):
        return 100 * np.mean(np.abs(forecast[:, -1] / context.y[targets] - 1))

    found = baselines.compare([context], targets - 6, names=["seasonal_naive", "smoothing"]).forecasts
    assert mape(found["seasonal_naive"][:, :, 0]) == pytest.approx(10.71, abs=0.01)
    assert mape(found["smoothing"][:, :, 0]) == pytest.approx(3.28, abs=0.05)
    fit = lambda y, known, season, horizon, like: Arima._of_form(  # noqa: E731
        y, known, Form((0, 1, 1), (0, 1, 1, 12), False), True
    )
    airline = statistical.fit_each(context, fit).forecast(context, targets - 6)
    assert mape(airline) == pytest.approx(3.18, abs=0.1)


@pytest.mark.peers
@pytest.mark.parametrize("seasonal", [None, "add", "mul"])
def test_the_smoothing_recursions_are_those_of_statsmodels(seasonal):
    holtwinters = pytest.importorskip("statsmodels.tsa.holtwinters")
    y = air().y[:60]
    places = np.linspace(0.8, 1.2, 12) if seasonal == "mul" else np.linspace(-9, 9, 12)
    model = Smoothing(True, True, seasonal, 0.4, 0.2, 0.3, 0.9, 110.0, 2.0, places if seasonal else np.zeros(1))
    found = model.forecast(y, np.ones(60, bool), np.array([30, 59]), 15)
    for origin, row in ((30, 0), (59, 1)):
        season = {"initial_seasonal": places} if seasonal else {}
        smoothing = {"smoothing_seasonal": 0.3} if seasonal else {}
        expected = (
            holtwinters.ExponentialSmoothing(
                y[: origin + 1],
                trend="add",
                damped_trend=True,
                seasonal=seasonal,
                seasonal_periods=12 if seasonal else None,
                initialization_method="known",
                initial_level=110.0,
                initial_trend=2.0,
                **season,
            )
            .fit(smoothing_level=0.4, smoothing_trend=0.2, damping_trend=0.9, optimized=False, **smoothing)
            .forecast(15)
        )
        # At exactly one season ahead statsmodels takes the place in the season as it was before the last value.
        steps = np.arange(15) != 11 if seasonal else slice(None)
        np.testing.assert_allclose(found[row][steps], expected[steps], rtol=1e-10)
    gap = model.forecast(np.r_[y, 1e9], np.r_[np.ones(60, bool), False], np.array([60]), 14)
    np.testing.assert_allclose(gap[0], found[1, 1:], rtol=1e-10)  # a row without a value is a step ahead


@pytest.mark.peers
def test_the_state_of_arima_is_carried_as_statsmodels_carries_it():
    sarimax = pytest.importorskip("statsmodels.tsa.statespace.sarimax")
    y = np.log(air().y[:80])
    known = np.arange(80) % 11 > 0
    form = Form((1, 0, 1), (0, 1, 1, 12), True)
    params = np.array([0.01, 0.8, -0.3, -0.5, 0.02])
    found = Arima(form, False, 0.0, 1.0, params).forecast(np.where(known, y, 99.0), known, np.array([60, 79]), 9)
    for origin, row in ((60, 0), (79, 1)):
        values = np.where(known, y, np.nan)[: origin + 1]
        model = sarimax.SARIMAX(values, order=form.order, seasonal_order=form.seasonal, trend="c")
        model.ssm.initialize_approximate_diffuse(variance=1e6)
        np.testing.assert_allclose(found[row], model.filter(params).forecast(9), rtol=1e-6)


def test_a_long_season_is_taken_out_and_put_back(rng):
    rows = np.arange(400)
    usual = 5 * np.sin(2 * np.pi * rows / 52.18) + 2 * np.cos(4 * np.pi * rows / 52.18)
    y = 100 + 0.1 * rows + usual + 0.1 * rng.standard_normal(400)
    season = statistical.Season.fit(y, rng.uniform(size=400) > 0.1, 52.1775)
    assert len(season.coefficients) >= 4
    np.testing.assert_allclose(season.at(rows), usual, atol=0.4)
    assert not len(statistical.Season.fit(y[:90], np.ones(90, bool), 52.0).coefficients)  # less than two periods


@pytest.mark.peers
def test_a_long_season_is_part_of_the_forecast(rng):
    pytest.importorskip("statsmodels")
    rows = np.arange(300)
    y = 9 * np.sin(2 * np.pi * rows / 52) + 0.1 * rng.standard_normal(300)
    context = context_of(y, season=52, frequency=None, horizon=20)
    origins = origins_of(context)
    forecast = statistical.fit_each(context, lambda *_: Smoothing(False, False, None, 0.1, 0, 0, 1, 0, 0, np.zeros(1)))
    error = forecast.forecast(context, origins) - y[origins[:, None] + context.steps]
    assert np.abs(error).max() < 1


@pytest.mark.peers
def test_a_statistical_forecast_is_left_out_with_its_reason(rng, monkeypatch):
    pytest.importorskip("statsmodels")

    def note(context):
        return baselines.compare([context], origins_of(context)[:1], names=("smoothing", "arima")).notes

    said = note(context_of(*[wave(rng, 40) for _ in range(21)]))
    assert said == (
        "Exponential smoothing and ARIMA are left out: 21 series would take too long; at most 20 are fitted one by "
        "one.",
    )
    assert "only 8 values" in note(context_of(wave(rng, 10)))[0]
    assert "never changes" in note(context_of(np.ones(40)))[0]
    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("statsmodels"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "statsmodels is not installed (pip install 'minirnn[compare]')" in note(context_of(wave(rng, 40)))[0]


@pytest.mark.peers
def test_forecasts_that_are_not_finite_are_left_out(rng):
    pytest.importorskip("statsmodels")
    context = context_of(wave(rng, 40))

    class Explodes:
        def forecast(self, y, known, origins, horizon):
            return np.full((len(origins), horizon), np.inf)

    with pytest.raises(Unsuitable, match="not finite"):
        statistical.fit_each(context, lambda *_: Explodes()).forecast(context, np.array([35]))
