"""The Forecaster: honest splits, no leakage, determinism, the file format, what it refuses."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import minirnn
from minirnn import data
from minirnn.models.baselines import Climatology, Ridge
from minirnn.models.storage import FORMAT, ModelFileError, read
from minirnn.readable.optimizers import tree_leaves

GOLDEN = Path(__file__).parent / "golden"
QUICK = {"hidden_size": 4, "window": 8, "horizon": 3, "ensemble": 2, "max_epochs": 2}


@pytest.fixture(scope="module")
def weather():
    return data.load("seattle_weather").iloc[:300]


@pytest.fixture(scope="module")
def fitted(weather):
    return minirnn.Forecaster(**QUICK).fit(weather, target="temp_max")


def weights_of(model):
    return [a.tobytes() for member in model.members_ for a in tree_leaves(member)]


def test_the_lstm_beats_every_other_forecast_of_the_weather():
    """The main job, with default settings on the whole series."""
    result = minirnn.Forecaster().fit(data.load("seattle_weather"), target="temp_max").evaluate()
    for metric in ("MAE", "RMSE"):
        others = {name: row[metric] for name, row in result.test.items() if name != "lstm"}
        assert result.test["lstm"][metric] < min(others.values()), metric
    assert result.best_naive == "linear"
    assert result.skill > 0.01
    assert "beats the best other forecast, linear, by" in result.sentence


def test_the_forecast_follows_the_last_row(fitted, weather):
    forecast = fitted.predict()
    assert list(forecast.index) == list(pd.date_range("2012-10-27", periods=3, freq="D"))
    assert forecast.index.name == "date"
    assert list(forecast.columns) == ["mean"]
    # Given the same rows again, or only the last ones that the network reads, it says the same.
    for rows in (weather, weather.iloc[-20:]):
        pd.testing.assert_frame_equal(fitted.predict(rows), forecast, check_freq=False)
    earlier = fitted.predict(weather.iloc[:-1])
    assert earlier.index[0] == pd.Timestamp("2012-10-26")
    assert not np.allclose(earlier["mean"], forecast["mean"])


def test_a_change_of_level_moves_the_forecast_with_it(weather):
    """Forecasting the change: the level is not learned, so it cannot be lost."""
    model = minirnn.Forecaster(**QUICK).fit(weather[["temp_max"]])
    shifted = model.predict(weather[["temp_max"]] + 100)
    np.testing.assert_allclose(shifted["mean"], model.predict()["mean"] + 100, atol=1e-3)


def test_parts_are_in_order_and_windows_stay_in_their_part(fitted):
    split = fitted.split_
    parts = split.parts
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [180, 45, 75]
    assert [r for part in parts.values() for r in part] == list(range(300))
    for name, rows in parts.items():
        origins = split.origins(name, window=8, horizon=3)
        assert origins[0] + 1 == max(rows.start, 8)
        assert origins[-1] + 3 == rows.stop - 1
        if name != "test":
            assert origins[-1] < parts["test"].start  # no input of theirs is a test row


def test_later_rows_leave_no_trace_in_what_is_fitted_on_earlier_ones(fitted, weather):
    changed_test, changed_validation = weather.copy(), weather.copy()
    numeric = weather.select_dtypes("number").columns
    changed_test.loc[weather.index[225:], numeric] *= 3.0
    changed_validation.loc[weather.index[180:], numeric] *= 3.0
    same = minirnn.Forecaster(**QUICK).fit(changed_test, target="temp_max")
    assert weights_of(same) == weights_of(fitted)
    assert same.linear_.coefficients.tobytes() == fitted.linear_.coefficients.tobytes()
    assert same.scaler_.mean.tobytes() == fitted.scaler_.mean.tobytes()
    other = minirnn.Forecaster(**QUICK).fit(changed_validation, target="temp_max")
    assert other.scaler_.mean.tobytes() == fitted.scaler_.mean.tobytes()
    assert other.scaler_.std.tobytes() == fitted.scaler_.std.tobytes()


def test_every_forecast_of_the_table_is_blind_to_rows_after_its_origin(fitted, weather):
    """Changing the last row may change the forecasts made from it, and no other."""
    changed = weather.copy()
    changed.iloc[-1, changed.columns.get_loc("temp_max")] += 50
    before = fitted.evaluate()
    after = minirnn.Forecaster(**QUICK).fit(changed, target="temp_max").evaluate()
    assert before.origins[-1] < weather.index[-1]
    for name, forecast in before.forecasts.items():
        np.testing.assert_array_equal(forecast, after.forecasts[name], err_msg=name)


def test_filled_values_are_not_scored(weather):
    holes = weather.copy()
    holes.iloc[250:255, holes.columns.get_loc("temp_max")] = np.nan
    result = minirnn.Forecaster(**QUICK).fit(holes, target="temp_max").evaluate()
    missing = set(weather.index[250:255])
    for origin, row in zip(result.origins, result.counts):
        expected = [origin + pd.Timedelta(days=step) not in missing for step in (1, 2, 3)]
        assert list(row) == expected
    kept = result.forecasts["last_value"][result.counts] - result.actual[result.counts]
    assert result.test["last_value"]["MAE"] == pytest.approx(np.abs(kept).mean())


def test_the_same_seed_gives_the_same_bytes(fitted, weather, tmp_path):
    again = minirnn.Forecaster(**QUICK).fit(weather, target="temp_max")
    other = minirnn.Forecaster(**QUICK, seed=1).fit(weather, target="temp_max")
    assert weights_of(again) == weights_of(fitted)
    assert weights_of(other) != weights_of(fitted)
    for name, model in {"a": fitted, "b": again}.items():
        model.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_saved_weights_forecast_the_same_in_both_halves(cell, weather, tmp_path):
    model = minirnn.Forecaster(cell, num_layers=2, **QUICK).fit(weather, target="temp_max")
    model.save(tmp_path / "model.safetensors")
    loaded = minirnn.load(tmp_path / "model.safetensors")
    pd.testing.assert_frame_equal(loaded.predict(), model.predict(), check_exact=True)
    assert loaded.get_params() == model.get_params()
    # A parameter that is changed after the training does not change what was trained, nor what is kept.
    loaded.set_params(backend="readable", cell="rnn", hidden_size=99, ensemble=7)
    readable = loaded.predict(weather)
    loaded.save(tmp_path / "again.safetensors")
    pd.testing.assert_frame_equal(minirnn.load(tmp_path / "again.safetensors").predict(), model.predict())
    np.testing.assert_allclose(readable["mean"], model.predict()["mean"], rtol=1e-5)


def test_a_golden_file_of_every_format_loads():
    for version in range(1, FORMAT + 1):
        expected = json.loads((GOLDEN / f"forecaster-format{version}.json").read_text())
        forecast = minirnn.load(GOLDEN / f"forecaster-format{version}.safetensors").predict()
        assert [str(t.date()) for t in forecast.index] == expected["times"]
        np.testing.assert_allclose(forecast["mean"], expected["mean"], rtol=1e-5)


def test_a_file_cut_short_or_changed_is_refused_in_one_line(fitted, tmp_path):
    whole = tmp_path / "model.safetensors"
    fitted.save(whole)
    content = whole.read_bytes()
    for tenth in range(10):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(content[: len(content) * tenth // 10])
        with pytest.raises(ModelFileError, match="cannot be read as a safetensors file") as caught:
            minirnn.load(cut)
        assert "\n" not in str(caught.value)


def rewrite(path, change_description=None, change_arrays=None):
    arrays, description = read(path)
    if change_description:
        change_description(description)
    if change_arrays:
        change_arrays(arrays)
    save_file(arrays, path, metadata={"minirnn": json.dumps(description)})


@pytest.mark.parametrize(
    ("description", "arrays", "message"),
    [
        (lambda d: d.update(format=FORMAT + 1), None, rf"format {FORMAT + 1}, written by minirnn .* update minirnn"),
        (lambda d: d.update(kind="Oracle"), None, "unknown kind of model 'Oracle'; expected one of Forecaster"),
        (lambda d: d.pop("frequency"), None, "damaged model"),
        (lambda d: d.update(frequency="every blue moon"), None, "damaged model"),
        (lambda d: d["parameters"].update(cell="__import__"), None, "damaged model"),
        (lambda d: d.update(columns=["x"]), None, "damaged model"),
        (None, lambda a: a.pop("members.0.head.W"), "damaged model .*members.0.head.W"),
        (lambda d: d.update(format=True), None, "format True"),
        (lambda d: d.update(window=10**8), None, "damaged model .*last_rows"),
        (lambda d: d.update(columns=["temp_max"] * 4), None, "damaged model .*not distinct"),
        (lambda d: d["parameters"].update(ensemble=1), None, "damaged model .*unexpected array members.1"),
        (lambda d: d["parameters"].update(hidden_size=5), None, "damaged model .*layers.0.Wx"),
        (None, lambda a: a.update({"scaler.mean": np.zeros(9)}), "damaged model"),
        (None, lambda a: a.update({"scaler.std": -a["scaler.std"]}), "damaged model .*must be positive"),
        (None, lambda a: a.update({"last_rows": a["last_rows"] * np.nan}), "damaged model .*not finite"),
        (None, lambda a: a.update({"members.0.head.b": np.zeros(3, int)}), "damaged model .*head.b is int64"),
        (None, lambda a: a.update({"members.0.layers.0.Wh": np.zeros((2, 2), np.float32)}), "damaged model"),
    ],
)
def test_a_hostile_or_later_file_is_refused_in_one_line(description, arrays, message, fitted, tmp_path):
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    rewrite(path, description, arrays)
    with pytest.raises(ModelFileError, match=message) as caught:
        minirnn.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_foreign_and_missing_files_are_named(tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="not a model saved by minirnn"):
        minirnn.load(tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="does not exist; expected a model"):
        minirnn.load(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="is a directory"):
        minirnn.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_text("precious")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "ltsm"}, "unknown cell 'ltsm'; expected lstm, gru or rnn"),
        ({"backend": "torch"}, "unknown backend 'torch'; expected fast or readable"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
        ({"window": 2.5}, "window must be a whole number of at least 1, got 2.5"),
        ({"ensemble": True}, "ensemble must be a whole number of at least 1, got True"),
        ({"learning_rate": 0}, "learning_rate must be positive, got 0"),
        ({"validation_fraction": 0}, "validation_fraction must be above 0 and below 1, got 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "must leave rows for training, got 0.5 and 0.5"),
    ],
)
def test_parameters_out_of_range_are_named(options, message, weather):
    with pytest.raises(ValueError, match=re.escape(message)):
        minirnn.Forecaster(**options).fit(weather)


def test_unfit_use_is_named(fitted, weather, tmp_path):
    with pytest.raises(ValueError, match="not fitted yet; call fit"):
        minirnn.Forecaster().predict()
    fitted.save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="a loaded model holds no test rows"):
        minirnn.load(tmp_path / "m.safetensors").evaluate()
    with pytest.raises(ValueError, match="trained with the column 'wind', which is missing"):
        fitted.predict(weather.drop(columns="wind"))
    with pytest.raises(ValueError, match="5 rows given; the model reads windows of 8"):
        fitted.predict(weather.iloc[:5])
    with pytest.raises(ValueError, match="frequency"):
        fitted.predict(weather.iloc[::2])
    with pytest.raises(ValueError, match="unknown parameter 'celll'; expected one of cell"):
        minirnn.Forecaster().set_params(celll="gru")
    whole = minirnn.Forecaster(**QUICK, test_fraction=0).fit(weather, target="temp_max")
    with pytest.raises(ValueError, match="there is no test part"):
        whole.evaluate()
    assert len(whole.split_.parts["train"]) == 255


def test_too_few_rows_says_how_many_are_needed(weather):
    with pytest.raises(
        data.DataError, match=r"too few rows: 20, but window 8 and horizon 3 need at least (\d+)"
    ) as caught:
        minirnn.Forecaster(**QUICK).fit(weather.iloc[:20], target="temp_max")
    needed = int(re.search(r"at least (\d+)", str(caught.value)).group(1))
    minirnn.Forecaster(**QUICK).fit(weather.iloc[:needed], target="temp_max").evaluate()
    with pytest.raises(data.DataError, match=f"need at least {needed}"):
        minirnn.Forecaster(**QUICK).fit(weather.iloc[: needed - 1], target="temp_max")


@pytest.mark.parametrize("name", data.NAMES)
def test_every_embedded_series_can_be_forecast(name):
    model = minirnn.Forecaster(hidden_size=4, ensemble=1, max_epochs=1).fit(data.load(name))
    result = model.evaluate()
    assert np.isfinite([v for row in result.test.values() for v in row.values()]).all()
    assert np.isfinite(model.predict()["mean"]).all()
    assert list(result.by_step.columns) == list(result.test)


def test_parameters_follow_scikit_learn():
    model = minirnn.Forecaster("gru", hidden_size=7)
    assert model.get_params()["hidden_size"] == 7
    assert repr(model) == "Forecaster(cell='gru', hidden_size=7)"
    assert model.set_params(seed=3) is model
    assert model.get_params()["seed"] == 3


def test_missing_targets_cost_the_linear_forecast_only_their_own_points(rng):
    """Each step ahead is fitted on every window that knows its target, not only on windows that know all of them."""
    inputs = rng.standard_normal((400, 5))
    targets = inputs @ rng.standard_normal((5, 3)) + 0.1 * rng.standard_normal((400, 3))
    weights = (rng.uniform(size=(400, 3)) > 0.5).astype(float)
    spoiled = np.where(weights > 0, targets, 1e3)
    train, validation = slice(0, 300), slice(300, 400)

    def fit(targets, weights):
        return Ridge.fit(
            (inputs[train], targets[train], weights[train]),
            (inputs[validation], targets[validation], weights[validation]),
        )

    with_gaps, whole = fit(spoiled, weights), fit(targets, np.ones_like(weights))
    np.testing.assert_allclose(with_gaps.coefficients, whole.coefficients, atol=0.05)
    for step in range(3):  # and what it fits is ordinary ridge regression on the windows that count
        kept = weights[train][:, step] > 0
        x, t = inputs[train][kept], targets[train][kept, step]
        x, t = x - x.mean(axis=0), t - t.mean()
        expected = np.linalg.solve(x.T @ x + with_gaps.penalty * np.eye(5), x.T @ t)
        np.testing.assert_allclose(with_gaps.coefficients[:, step], expected, rtol=1e-8)


def test_the_wide_and_the_tall_way_of_solving_agree(rng):
    inputs, targets = rng.standard_normal((40, 30)), rng.standard_normal((40, 2))
    weights = np.ones((40, 2))
    tall = Ridge.fit((inputs, targets, weights), (inputs, targets, weights))
    wide_inputs = np.concatenate([inputs, np.zeros((40, 30))], axis=1)  # the same, with columns that say nothing
    wide = Ridge.fit((wide_inputs, targets, weights), (wide_inputs, targets, weights))
    np.testing.assert_allclose(wide.predict(wide_inputs), tall.predict(inputs), atol=1e-6)


def test_a_climatology_does_not_invent_the_rest_of_a_year():
    index = pd.date_range("2020-01-01", periods=100, freq="D")
    y = np.arange(100.0)
    fitted = Climatology.fit(y, index, "D", range(60), range(60, 75))
    assert fitted.counts[0] == 0  # two months of a trend are no year
    index = pd.date_range("2012-01-01", periods=1200, freq="D")
    y = np.cos(2 * np.pi * index.day_of_year.to_numpy() / 365.25)
    fitted = Climatology.fit(y, index, "D", range(800), range(800, 1000))
    assert fitted.counts[0] >= 1
    assert np.abs(fitted.predict(index) - y).max() < 0.05


def test_the_verdict_is_honest_about_ties_and_zeros(fitted):
    result = fitted.evaluate()

    def verdict(own, best):
        rows = {name: {**row, "MAE": best if name == "linear" else 100.0} for name, row in result.test.items()}
        return dataclasses.replace(result, test={**rows, "lstm": {**rows["lstm"], "MAE": own}})

    assert verdict(0.9, 1.0).skill == pytest.approx(0.1)
    assert "beats the best other forecast, linear, by 10.0 %" in verdict(0.9, 1.0).sentence
    assert "do not use this network" in verdict(1.1, 1.0).sentence
    for own in (0.995, 1.0, 1.005):
        assert "within 1 %" in verdict(own, 1.0).sentence
    assert verdict(0.5, 0.0).skill is None
    assert "do not use this network" in verdict(0.5, 0.0).sentence
    assert verdict(0.0, 0.0).skill == 0
