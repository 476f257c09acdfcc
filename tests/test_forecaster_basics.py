"""The Forecaster: the main job, parts in order, what is scored, parameters, what it refuses."""

import dataclasses
import re
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from forecasters import QUICK, arrays_of, daily, quick, with_network

import minirnn
from minirnn import data
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import jobs, series


@pytest.fixture(scope="module")
def weather():
    return data.load("seattle_weather").iloc[:300]


@pytest.fixture(scope="module")
def fitted(weather):
    return with_network(quick().fit(weather, target="temp_max"))


def test_the_forecast_beats_every_other_one_of_the_weather():
    """The main job on the whole series; two members instead of five, to be quick."""
    result = minirnn.Forecaster(ensemble=2).fit(data.load("seattle_weather"), target="temp_max").evaluate()
    for metric in ("MAE", "RMSE"):
        others = {name: row[metric] for name, row in result.test.items() if name != "gru"}
        assert result.test["gru"][metric] < min(others.values()), metric
    assert result.skill > 0.005


def test_the_forecast_follows_the_last_row(fitted, weather):
    forecast = fitted.predict()
    assert list(forecast.index) == list(pd.date_range("2012-10-27", periods=3, freq="D"))
    assert forecast.index.name == "date"
    assert list(forecast) == ["mean", "lower_80", "upper_80", "lower_95", "upper_95"]
    # Given the same rows again, or only the last ones that it reads, it says the same.
    for rows in (weather, weather.iloc[-20:], weather[["wind", "temp_min", "temp_max", "precipitation"]]):
        pd.testing.assert_frame_equal(fitted.predict(rows), forecast, check_freq=False)
    earlier = fitted.predict(weather.iloc[:-1])
    assert earlier.index[0] == pd.Timestamp("2012-10-26")
    assert not np.allclose(earlier["mean"], forecast["mean"])
    assert list(fitted.predict(levels=())) == ["mean"]
    for levels in ((0,), (1.0,), (80,), ("x",)):
        with pytest.raises(ValueError, match="between 0 and 1"):
            fitted.predict(levels=levels)


def test_a_change_of_level_moves_the_forecast_with_it(weather):
    """Measured from what moves with the rows: the level is not learned, so it cannot be lost."""
    temperatures = weather[["temp_max"]]
    model = with_network(quick().fit(temperatures))
    model.fitted_ = without_level(model)
    shifted = model.predict(temperatures + 100)
    for name, column in model.predict().items():
        np.testing.assert_allclose(shifted[name], column + 100, atol=1e-3)


def without_level(model):
    """Bases that revert to a level may not be left when it moves."""
    kept = [base for base in model.fitted_.bases if not base.encoder.plan.revert]
    total = sum(base.weight for base in kept)
    assert total > 0
    bases = tuple(base._replace(weight=base.weight / total) for base in kept)
    return dataclasses.replace(model.fitted_, bases=bases)


def test_parts_are_in_order_and_windows_stay_in_their_part(fitted):
    parts = fitted.parts_
    assert [parts.rows(name) for name in ("train", "validation", "test")] == [180, 45, 75]
    rows = series.of_table(fitted.table_, 3)
    seen = []
    for name in ("train", "validation", "test"):
        start, stop = parts.of(name)
        seen += range(start[0], stop[0])
        origins = rows.origins(6, start, stop, 3)
        assert origins[0] + 1 == max(start[0], 6)
        assert origins[-1] + 3 == stop[0] - 1
    assert seen == list(range(300))


def test_filled_values_are_not_scored(weather):
    holes = weather.copy()
    holes.iloc[250:255, holes.columns.get_loc("temp_max")] = np.nan
    result = quick().fit(holes, target="temp_max").evaluate()
    missing = set(weather.index[250:255])
    for origin, row in zip(result.origins, result.counts):
        expected = [pd.Timestamp(origin) + pd.Timedelta(days=step) not in missing for step in (1, 2, 3)]
        assert list(row[:, 0]) == expected
    kept = result.forecasts["last_value"][result.counts] - result.actual[result.counts]
    assert result.test["last_value"]["MAE"] == pytest.approx(np.abs(kept).mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "ltsm"}, "unknown cell 'ltsm'; expected lstm, gru or rnn"),
        ({"backend": "torch"}, "unknown backend 'torch'; expected fast or readable"),
        ({"strategy": "both"}, "unknown strategy 'both'; expected direct, recursive or seq2seq"),
        ({"likelihood": "normal"}, "unknown likelihood 'normal'; expected"),
        ({"reference": "first"}, "unknown reference 'first'; expected"),
        ({"impute": "mean"}, "unknown impute 'mean'; expected auto, last, linear or seasonal"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
        ({"window": 2.5}, "window must be a whole number of at least 1, got 2.5"),
        ({"ensemble": True}, "ensemble must be a whole number of at least 1, got True"),
        ({"segment": 0}, "segment must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be positive, got 0"),
        ({"dropout": 1}, "dropout must be 0 or above and below 1, got 1"),
        ({"validation_fraction": 0}, "validation_fraction must be above 0 and below 1, got 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "must leave rows for training, got 0.5 and 0.5"),
        ({"segment": 2, "strategy": "seq2seq"}, "segment needs strategy='direct', got strategy='seq2seq'"),
        ({"segment": 2, "num_layers": 2}, "segment has one layer of its own; leave num_layers at its default"),
        ({"strategy": "seq2seq", "bidirectional": True}, "it cannot be bidirectional"),
    ],
)
def test_parameters_out_of_range_are_named(options, message, weather):
    with pytest.raises(ValueError, match=re.escape(message)):
        minirnn.Forecaster(**options).fit(weather)


def test_unfit_use_is_named(fitted, weather, tmp_path):
    for use in ("predict", "evaluate", "score"):
        with pytest.raises(ValueError, match="not fitted yet; call fit"):
            getattr(minirnn.Forecaster(), use)()
    with pytest.raises(ValueError, match="not fitted yet; call fit"):
        minirnn.Forecaster().save(tmp_path / "m.safetensors")
    fitted.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="a loaded model holds no test rows"):
        minirnn.load(tmp_path / "m.safetensors").evaluate()
    with pytest.raises(ValueError, match="trained with the column 'wind', which is missing"):
        fitted.predict(weather.drop(columns="wind"))
    with pytest.raises(ValueError, match="5 rows given; the model reads windows of 6"):
        fitted.predict(weather.iloc[:5])
    with pytest.raises(ValueError, match="unknown parameter 'celll'; expected one of cell"):
        minirnn.Forecaster().set_params(celll="gru")
    with pytest.raises(ValueError, match="the table was read for the target 'temp_max'; read it again for 'wind'"):
        quick().fit(fitted.table_, target="wind")
    whole = quick(test_fraction=0).fit(weather, target="temp_max")
    assert whole.parts_.rows("train") == 255
    with pytest.raises(ValueError, match="there is no test part"):
        whole.evaluate()


def test_a_fit_that_fails_leaves_the_model_as_it_was(weather):
    model = quick().fit(weather, target="temp_max")
    before, state = model.predict(), arrays_of(model)
    with pytest.raises(data.DataError):
        model.fit(weather.iloc[:9], target="wind", valid=0.4)
    assert arrays_of(model) == state
    assert model.validation_fraction == 0.15
    pd.testing.assert_frame_equal(model.predict(), before)


def test_too_few_rows_says_how_many_are_needed(weather):
    with pytest.raises(
        data.DataError, match=r"too few rows: 16, but window 6 and horizon 3 need at least (\d+)"
    ) as caught:
        quick().fit(weather.iloc[:16], target="temp_max")
    needed = int(re.search(r"at least (\d+)", str(caught.value)).group(1))
    model = quick().fit(weather.iloc[:needed], target="temp_max")
    model.evaluate()
    assert np.isfinite(model.predict()).all(axis=None)
    with pytest.raises(data.DataError, match=f"need at least {needed}"):
        quick().fit(weather.iloc[: needed - 1], target="temp_max")


def test_a_part_without_values_is_refused(weather):
    holes = weather.copy()
    holes.loc[holes.index[225:275], "temp_max"] = np.nan
    with pytest.raises(data.DataError, match=r"the test part \(2012-08-13 to 2012-10-26\) holds only 25 of 75 values"):
        quick().fit(holes, target="temp_max")


@pytest.mark.parametrize("name", data.NAMES)
def test_every_embedded_series_can_be_forecast(name):
    options = {"hidden_size": 4, "ensemble": 1, "max_epochs": 1, "backend": "readable"}
    model = minirnn.Forecaster(**options).fit(data.load(name))
    result = model.evaluate()
    assert np.isfinite(pd.DataFrame(result.test).T.drop(columns="MAPE").iloc[:, :4].astype(float)).all(axis=None)
    assert np.isfinite(model.predict()).all(axis=None)
    assert list(result.by_horizon.index) == list(result.forecasts)


def test_parameters_follow_scikit_learn():
    model = minirnn.Forecaster("lstm", hidden_size=7)
    assert model.get_params()["hidden_size"] == 7
    assert repr(model) == "Forecaster(cell='lstm', hidden_size=7)"
    assert model.set_params(seed=3) is model
    assert model.get_params()["seed"] == 3
    assert quick().get_params() == {**minirnn.Forecaster().get_params(), **QUICK}


def test_a_logarithm_of_what_is_not_positive_is_refused():
    frame = daily(80)
    frame.iloc[40, 0] = -1.0
    with pytest.raises(ValueError, match="transform='log' needs targets above 0; 'y' is -1 on 2020-02-10"):
        quick(transform="log").fit(frame, target="y")


def test_intervals_are_nested_and_in_order_for_every_likelihood():
    frame = daily(160)
    levels = (0.5, 0.8, 0.9, 0.95)
    for likelihood in ("quantiles", "gaussian", "student", "none"):
        model = quick(likelihood=likelihood).fit(frame, target="y", future=["plan"])
        result = model.predict(levels=levels)
        ends = [f"lower_{100 * level:.0f}" for level in levels[::-1]] + [f"upper_{100 * level:.0f}" for level in levels]
        assert (np.diff(result[ends].to_numpy(), axis=1) >= 0).all(), likelihood
        assert result["mean"].between(result["lower_80"], result["upper_80"]).all(), likelihood


@pytest.mark.parametrize("transform", ["none", "log"])
def test_intervals_cover_as_stated(transform):
    """Noise of known size around a week: 80 % and 95 % intervals of a backtest, and their width."""
    rng = np.random.default_rng(7)
    index = pd.date_range("2020-01-01", periods=1600, freq="D")
    week = np.sin(2 * np.pi * np.arange(1600) / 7)
    y = (
        np.exp(2 + 0.3 * week + 0.1 * rng.standard_normal(1600))
        if transform == "log"
        else 5 * week + rng.normal(size=1600)
    )
    options = {"window": 14, "horizon": 2, "reference": "season", "season": 7, "transform": transform, "ensemble": 1}
    model = quick(**options).fit(pd.DataFrame({"y": y}, index=index))
    result = model.evaluate()
    assert len(result.origins) > 390
    test = result.test["gru"]
    assert test["coverage_80"] == pytest.approx(0.8, abs=0.04)
    assert test["coverage_95"] == pytest.approx(0.95, abs=0.03)
    if transform == "none":  # no forecast of independent noise can do with less
        assert 2 * 1.2816 * 0.93 < test["width_80"] < 2 * 1.2816 * 1.25


def test_the_intervals_of_a_forecast_cover_as_stated():
    """Noise whose distribution ahead is known, so that each interval's coverage is, too: on average over forecasts."""
    normal, covered = NormalDist(), {80: [], 95: []}
    rows, horizon = 500, 3
    week = 5 * np.sin(2 * np.pi * np.arange(rows + horizon) / 7)
    for seed in range(12):
        y = (week + np.random.default_rng(seed).normal(size=rows + horizon))[:rows]
        frame = pd.DataFrame({"y": y}, index=pd.date_range("2020-01-01", periods=rows, freq="D"))
        model = quick(window=14, reference="season", season=7, ensemble=1, test_fraction=(0.0, 0.25)[seed % 2])
        forecast = model.fit(frame).predict()
        for percent, found in covered.items():
            low, high = (forecast[f"{side}_{percent}"] - week[rows:] for side in ("lower", "upper"))
            found += [normal.cdf(b) - normal.cdf(a) for a, b in zip(low, high)]
    assert np.mean(covered[80]) == pytest.approx(0.8, abs=0.04)
    assert np.mean(covered[95]) == pytest.approx(0.95, abs=0.03)


def test_a_forecast_learns_from_the_errors_of_the_test_rows_and_their_verdict_does_not(weather):
    rows = weather.iloc[:300].copy()
    model = quick().fit(rows, "temp_max")
    before = model.evaluate()
    louder = rows.copy()
    louder.loc[louder.index[-40:-8], "temp_max"] += 30 * np.random.default_rng(0).standard_normal(32)
    other = quick().fit(louder, "temp_max")
    width = [(m.predict()["upper_80"] - m.predict()["lower_80"]).mean() for m in (model, other)]
    assert width[1] > 1.5 * width[0]
    first = {level: values[0] for level, values in before.quantiles.items()}  # from the last validation row
    for level, values in other.evaluate().quantiles.items():
        np.testing.assert_array_equal(values[0], first[level])


def test_a_reference_that_is_asked_for_is_used_or_refused():
    y = 5 * np.sin(2 * np.pi * np.arange(300) / 7) + np.random.default_rng(0).normal(size=300)
    frame = pd.DataFrame({"y": y}, index=pd.date_range("2020-01-01", periods=300, freq="D"))
    for reference in ("season", "calendar", "smoothing", "last"):
        plans = [choice.plan for choice in quick(reference=reference, season=7).fit(frame).choices_]
        assert all((plan.season > 1) == (reference == "season") for plan in plans)
        assert all(any(plan.harmonics) == (reference == "calendar") for plan in plans)
        assert reference != "last" or all(plan.alpha == 1 for plan in plans)
    with pytest.raises(
        ParameterError, match=r"reference='season' needs a season of 2 to \d+ rows, and none was found: "
    ):
        quick(reference="season", season=1).fit(frame)
    with pytest.raises(ParameterError, match="reference='calendar' needs dates"):
        quick(reference="calendar").fit(frame["y"].to_numpy())


def test_a_validation_fraction_of_one_fit_changes_no_parameter(weather):
    model = quick().fit(weather.iloc[:200], valid=0.3)
    assert model.validation_fraction == 0.15
    assert model.parts_.rows("validation") == 60
    assert model.fitted_params_["validation_fraction"] == 0.3
    assert model.fit(weather.iloc[:200]).parts_.rows("validation") == 30


def test_refits_and_backtests_use_the_parameters_of_the_fit(weather):
    model = quick().fit(weather.iloc[:150], "temp_max", valid=0.3).set_params(hidden_size=9)
    shares = []
    with pytest.MonkeyPatch.context() as patch:
        usual = jobs.make
        patch.setattr(jobs, "make", lambda settings, *rest: shares.append(settings) or usual(settings, *rest))
        model.backtest(start="2012-05-10", stride=9)
        model.backtest(stride=30, refit=True)
    assert len(shares) > 1
    assert {(each["validation_fraction"], each["hidden_size"]) for each in shares} == {(0.3, 3)}


def test_levels_and_starts_that_make_no_sense_are_named(fitted, weather):
    with pytest.raises(ParameterError, match=r"levels are shares of the truth .* got 80"):
        fitted.predict(levels=80)
    with pytest.raises(ValueError, match="start is 'soon'; expected a time such as '2024-03-01'"):
        quick().backtest(weather, target="temp_max", start="soon")
