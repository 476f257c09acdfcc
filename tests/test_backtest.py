"""The verdict: tables against direct computation, the sentence, the lag check, and what chance allows."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from minirnn.models import metrics, verdict
from minirnn.models.backtest import Backtest
from minirnn.models.baselines import last_value, seasonal_naive


def backtest_of(forecasts, actual, counts=None, **changes):
    """One daily series and target, the network first; scales 2 and 3."""
    n, horizon, targets = actual.shape
    values = {
        "network": next(iter(forecasts)),
        "targets": ("y",) if targets == 1 else ("y", "z"),
        "units": {"y": "mm"},
        "names": ("",),
        "horizon": horizon,
        "frequency": "D",
        "season": 1,
        "series": np.zeros(n, int),
        "origins": np.arange(n).astype("datetime64[D]").astype("datetime64[us]"),
        "actual": actual,
        "counts": np.ones(actual.shape, bool) if counts is None else counts,
        "forecasts": forecasts,
        "quantiles": {},
        "mase_scale": np.full((1, targets), 2.0),
        "rmsse_scale": np.full((1, targets), 3.0),
        "splits": {"test": {"start": "1970-01-01", "rows": n}},
        "model": {"hidden_size": np.int64(3)},
    }
    return Backtest(**{**values, **changes})


def made(own, best, n=40, horizon=2, noise=0.0, **changes):
    """A network whose absolute errors are ``own`` beside a drift forecast whose are ``best``."""
    rng = np.random.default_rng(0)
    actual = 10 + rng.standard_normal((n, horizon, 1))
    jitter = noise * rng.standard_normal((n, 1, 1))
    # 9 % more and 9 % less than the mean, so that neither forecast wins by the same amount everywhere
    wobble = 1 + 0.09 * np.where(np.arange(n) % 2, 1, -1)[:, None, None]
    forecasts = {"lstm": actual + own * wobble + jitter, "mean": actual + 100.0, "drift": actual + best}
    return backtest_of(forecasts, actual, **changes)


def test_the_table_holds_the_metrics_best_first():
    result = made(0.9, 1.0, quantiles={})
    assert list(result.table.index) == ["lstm", "drift", "mean"]
    assert list(result.table) == ["MAE", "RMSE", "MSE", "MAPE", "sMAPE", "MASE", "RMSSE"]
    assert result.table.loc["drift"].to_dict() == pytest.approx(
        metrics.table(result.actual, result.forecasts["drift"], 2.0, 3.0)
    )
    assert result.table.loc["drift", "MASE"] == pytest.approx(0.5)


def test_quantiles_belong_to_the_network_alone():
    actual = np.arange(20.0).reshape(10, 2, 1)
    levels = {level: np.full(actual.shape, 19 * level) for level in (0.025, 0.1, 0.5, 0.9, 0.975)}
    result = backtest_of({"gru": actual + 1, "last_value": actual + 2}, actual, quantiles=levels)
    assert result.table.loc["gru", "coverage_80"] == 16 / 20  # 2 to 17
    assert result.table.loc["gru", "width_95"] == pytest.approx(0.95 * 19)
    assert np.isnan(result.table.loc["last_value", "wQL"])
    assert {"lower_80", "upper_95"} <= set(result.forecasts_frame)


def test_errors_by_step_series_and_target_count_known_points_only(rng):
    actual, forecast = rng.standard_normal((6, 3, 2)), rng.standard_normal((6, 3, 2))
    counts = rng.uniform(size=actual.shape) > 0.3
    counts[:, 2] = False
    spoiled = np.where(counts, actual, np.nan)
    series = np.array([0, 0, 1, 1, 1, 1])
    scale = np.array([[2.0, 0.0], [4.0, 5.0]])  # the second target of the first series has no scale
    result = backtest_of(
        {"lstm": forecast, "mean": forecast + 1},
        spoiled,
        counts,
        names=("a", "b"),
        series=series,
        mase_scale=scale,
        rmsse_scale=scale,
    )
    each = scale[series][:, None, :] * np.ones(actual.shape)
    kept = counts & (each > 0)
    errors = np.abs(actual - forecast) / np.where(each > 0, each, 1)
    assert result.by_horizon.loc["lstm", 1] == pytest.approx(errors[:, 0][kept[:, 0]].mean())
    assert np.isnan(result.by_horizon.loc["lstm", 3])
    assert result.by_series.loc["lstm", "b"] == pytest.approx(errors[2:][kept[2:]].mean())
    assert result.by_target.loc["lstm", "z"] == pytest.approx(np.abs(actual - forecast)[..., 1][counts[..., 1]].mean())
    assert result.table.loc["lstm", "MASE"] == pytest.approx(errors[kept].mean())
    assert result.skill == pytest.approx(1 - result.table.loc["lstm", "MASE"] / result.table.loc["mean", "MASE"])
    assert "mean absolute scaled error, averaged over 2 targets and 2 series," in result.sentence
    assert "None" not in result.sentence
    assert "nan" not in result.sentence


def test_seeds_are_the_members_by_themselves():
    actual = np.zeros((5, 2, 1))
    result = backtest_of({"lstm": actual, "mean": actual + 1}, actual)
    assert result.seeds is None
    members = np.array([1.0, 3.0, 2.0])[:, None, None, None] * np.ones((3, 5, 2, 1))
    seeds = dataclasses.replace(result, members=members).seeds
    assert seeds == {"members": 3, "mean": 2.0, "min": 1.0, "max": 3.0}


@pytest.mark.parametrize("frequency", ["D", "W-SAT", "ME", "BME", "15min", "B"])
def test_the_frame_of_forecasts_is_in_order_and_knows_its_times(frequency, rng):
    grid = pd.date_range("2024-01-31 10:00", periods=40, freq=frequency)
    origins, series = np.r_[grid[[3, 7, 20]], grid[[5, 30]]], np.array([0, 0, 0, 1, 1])
    rows = np.array([3, 7, 20, 5, 30])
    actual = rng.standard_normal((5, 3, 2))
    counts = np.ones(actual.shape, bool)
    counts[1, 2, 1] = False
    scale = np.ones((2, 2))
    forecasts = {"lstm": actual + 1, "drift": actual + 2}
    frame = backtest_of(
        forecasts,
        actual,
        counts,
        frequency=frequency,
        origins=origins,
        series=series,
        names=("a", "b"),
        mase_scale=scale,
        rmsse_scale=scale,
    ).forecasts_frame
    assert list(frame) == ["series", "target", "origin", "step", "time", "actual", "lstm", "drift"]
    assert len(frame) == 30
    for _, row in frame.iterrows():
        position = int(np.flatnonzero((origins == row.origin) & (np.array(["a", "b"])[series] == row.series))[0])
        c, h = ("y", "z").index(row.target), row.step - 1
        assert row.time == grid[rows[position] + row.step]
        assert row.lstm == actual[position, h, c] + 1
        known = counts[position, h, c]
        assert row.actual == actual[position, h, c] if known else np.isnan(row.actual)


def test_rows_that_are_only_counted_have_numbers_for_times():
    actual = np.zeros((2, 3, 1))
    result = backtest_of({"lstm": actual, "mean": actual + 1}, actual, frequency=None, origins=np.array([4, 9]))
    assert result.forecasts_frame["time"].tolist() == [5, 6, 7, 10, 11, 12]


# ------------------------------------------------------------ the sentence


def test_the_verdict_is_honest_about_ties_and_zeros():
    assert made(0.9, 1.0).skill == pytest.approx(0.1)
    sentence = made(0.9, 1.0).sentence
    assert sentence.startswith("The LSTM beats the best other forecast, drift, by 10.0 % (mean absolute error 0.9000")
    assert sentence.endswith("against 1.0000 mm): it is worth using.")
    sentence = made(1.1, 1.0).sentence
    assert sentence.startswith("The drift forecast is better than the LSTM (mean absolute error 1.000 against 1.100")
    assert sentence.endswith(": do not use this network.")
    assert made(1.1, 1.0, n=8).sentence.endswith("too short to tell that from chance: take the simpler one.")
    for own in (0.995, 1.0, 1.005):
        assert "within 1 %" in made(own, 1.0).sentence
    assert made(0.5, 0.0).skill is None
    assert "do not use this network" in made(0.5, 0.0).sentence
    assert made(0.0, 0.0).skill == 0
    assert "too short to tell that from chance" in made(0.9, 1.0, n=8).sentence


def test_a_difference_within_chance_is_called_so():
    noisy = made(0.0, 0.95, n=30, noise=1.0)
    assert noisy.skill > 0.01
    assert noisy.skill_interval.chance
    assert "within chance (95 % interval -" in noisy.sentence
    assert "worth using" not in noisy.sentence
    assert not made(0.5, 1.0).skill_interval.chance


def test_the_interval_covers_the_true_skill(rng):
    """Errors that depend on each other over a horizon of 5: the interval holds the true skill about 95 times in 100."""
    held, wide = 0, 0
    for _ in range(100):
        shared = np.convolve(rng.standard_normal(204), np.ones(5) / np.sqrt(5), "valid")
        own = np.abs(1 + 0.5 * shared)
        other = np.abs(1 + 0.5 * np.convolve(rng.standard_normal(204), np.ones(5) / np.sqrt(5), "valid"))
        found = verdict.skill_interval(own, other, np.arange(200), 5)
        held += found.chance
        wide += verdict.skill_interval(own, other, np.arange(200), 1).chance
    assert 86 <= held <= 100
    assert wide <= held  # blocks shorter than the dependence promise too much


def test_the_interval_is_the_same_every_time_and_takes_series_together(rng):
    own, other = rng.uniform(1, 2, 60), rng.uniform(1, 2, 60)
    first = verdict.skill_interval(own, other, np.arange(60), 3)
    assert first == verdict.skill_interval(own, other, np.arange(60), 3)
    # Ten copies of one series are no more evidence than one.
    many = verdict.skill_interval(np.tile(own, 10), np.tile(other, 10), np.tile(np.arange(60), 10), 3)
    assert many == pytest.approx(first)
    assert verdict.skill_interval(own[:11], other[:11], np.arange(11), 3) is None
    assert verdict.skill_interval(own, 0 * other, np.arange(60), 3) is None


# ------------------------------------------------------------ the lag check


def of_series(y, horizon, network, season=12):
    origins = np.arange(60, len(y) - horizon)
    actual = y[origins[:, None] + np.arange(1, horizon + 1)]
    forecasts = {
        "lstm": network(y, origins, actual),
        "last_value": last_value(y, origins, horizon),
        "seasonal_naive": seasonal_naive(y, origins, horizon, season),
    }
    forecasts = {name: each[:, :, None] for name, each in forecasts.items()}
    return backtest_of(forecasts, actual[:, :, None])


def waves(rng):
    return 10 * np.sin(2 * np.pi * np.arange(400) / 12) + rng.standard_normal(400)


def shifted_value(y, origins, actual):
    return last_value(y, origins, actual.shape[1])


def noisy_value(y, origins, actual):
    spread = np.abs(actual - y[origins][:, None]).mean()
    return shifted_value(y, origins, actual) + 0.5 * spread * np.random.default_rng(1).standard_normal(actual.shape)


def good(y, origins, actual):
    return actual + np.random.default_rng(1).standard_normal(actual.shape)


def half_way(y, origins, actual):
    """A cautious forecast: half the move that comes."""
    return y[origins][:, None] + 0.5 * (actual - y[origins][:, None])


def seasonal(y, origins, actual):
    return seasonal_naive(y, origins, actual.shape[1], 12)


@pytest.mark.parametrize("horizon", [1, 6])
@pytest.mark.parametrize(
    ("network", "named"),
    [(shifted_value, True), (noisy_value, True), (good, False), (half_way, False), (seasonal, False)],
)
def test_the_last_value_shifted_is_named(rng, horizon, network, named):
    result = of_series(waves(rng), horizon, network)
    assert result.shifted is named
    assert ("merely the last value shifted" in result.sentence) is named
    if named:
        assert result.sentence.endswith("while the seasonal naive forecast shows that more can be known.")


@pytest.mark.parametrize("network", [shifted_value, noisy_value])
@pytest.mark.parametrize("horizon", [1, 6])
def test_of_a_random_walk_nothing_better_is_found(rng, network, horizon):
    result = of_series(np.cumsum(rng.standard_normal(600)), horizon, network)
    assert result.shifted
    assert result.sentence.endswith("and no other forecast here finds anything better.")
    assert not of_series(np.cumsum(rng.standard_normal(600)), horizon, lambda *a: shifted_value(*a) + 9).shifted


def test_a_series_that_stands_still_is_its_last_value():
    result = of_series(np.ones(100), 3, shifted_value)
    assert result.shifted
    assert result.skill == 0


def test_without_any_scale_several_series_are_ranked_by_their_error():
    actual = np.ones((20, 2, 1))
    zero = np.zeros((2, 1))
    result = backtest_of(
        {"lstm": actual + 1, "last_value": actual + 2},
        actual,
        names=("a", "b"),
        series=np.arange(20) % 2,
        mase_scale=zero,
        rmsse_scale=zero,
    )
    assert result.ranked_by == "MAE"
    assert result.skill == pytest.approx(0.5)
    assert not result.shifted
    assert "(mean absolute error, averaged over 2 series, 1.000 against 2.000)" in result.sentence


def test_what_is_not_known_does_not_enter_the_lag_check(rng):
    result = of_series(waves(rng), 3, good)
    counts = rng.uniform(size=result.actual.shape) > 0.5
    spoiled = dataclasses.replace(result, counts=counts, actual=np.where(counts, result.actual, np.nan))
    assert not spoiled.shifted
    assert not np.isnan(spoiled.skill)


# ------------------------------------------------------------ what is written


def test_the_dictionary_is_json_and_keeps_its_keys():
    result = made(0.9, 1.0, notes=("One.",))
    written = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    old = ["target", "unit", "horizon", "frequency", "splits", "test", "best_naive", "skill", "sentence", "model"]
    assert set(old) < set(written)
    assert (written["target"], written["unit"], written["notes"]) == ("y", "mm", ["One."])
    assert written["model"] == {"hidden_size": 3}
    assert len(written["by_horizon"]["lstm"]) == 2
    huge = made(1e200, 1.0)  # squares that are not finite
    assert json.loads(json.dumps(huge.as_dict(), allow_nan=False))["test"]["lstm"]["MSE"] is None
