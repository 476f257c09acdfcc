"""Why a forecast is what it is: the forecast as a function of its rows, attributions, importance, gates, neighbours."""

import dataclasses
import json

import jax
import numpy as np
import pandas as pd
import pytest

import minirnn
from minirnn.cli import main
from minirnn.data import calendar
from minirnn.data.embedded import NAMES
from minirnn.models.forecasting import attributions, gates, importance, neighbours, program
from minirnn.models.forecasting.series import of_table
from minirnn.params import Direct, GRUParams, LSTMParams, Network, Recurrent, init_horizon

# The NumPy half trains: networks so small are trained before JAX has compiled their training.
QUICK = {"window": 8, "horizon": 3, "hidden_size": 4, "ensemble": 2, "max_epochs": 2, "batch_size": 64}
QUICK |= {"backend": "readable"}
VARIANTS = {
    "direct": {},
    "decoder": {"cell": "lstm", "strategy": "seq2seq", "likelihood": "student", "impute": "linear"},
    "segments": {
        "segment": 3,
        "likelihood": "gaussian",
        "horizon": 4,
        "reference": "season",
        "season": 7,
        "impute": "seasonal",
    },
    "both ways": {"bidirectional": True, "convolution": 3, "likelihood": "none", "reference": "calendar"},
}


def gappy(rows=150):
    """Gaps lie early, inside the last window, and at its end."""
    frame = minirnn.data.load("seattle_weather").iloc[:rows][["precipitation", "wind", "temp_max"]].copy()
    for column, first in (("temp_max", rows - 5), ("precipitation", rows - 2), ("wind", rows - 9), ("wind", 40)):
        frame.iloc[first : first + 2, frame.columns.get_loc(column)] = np.nan
    frame.iloc[-1, frame.columns.get_loc("temp_max")] = 12.5
    return frame


def with_share(model, share=0.7):
    """The model whose network counts: what it learned in two epochs would be given no share."""
    model.fitted_ = dataclasses.replace(model.fitted_, share=share)
    return model


@pytest.fixture(scope="module")
def decoder():
    return with_share(
        minirnn.Forecaster(**QUICK | VARIANTS["decoder"]).fit(gappy(), future=["wind"], target="temp_max")
    )


# ---------------------------------------------------------------- the forecast as one function


@pytest.mark.parametrize("name", VARIANTS)
def test_the_program_forecasts_as_the_model_does(name, decoder):
    if name == "decoder":
        model = decoder
    else:
        model = with_share(minirnn.Forecaster(**QUICK | VARIANTS[name]).fit(gappy(), target="temp_max"))
    series = of_table(model.table_, model.horizon_)
    origins = np.array([model.reach_ - 1, 100, series.last[0] - 1, series.last[0]])
    means, ends = model.fitted_.forecast(series, origins, (0.5, 0.95), "readable")
    with jax.enable_x64(True):
        own = program.Program(model.fitted_, np.float64)
        stacked = program.windows(model.fitted_, series, origins, model.reach_)
        mean, quantiles = jax.jit(jax.vmap(lambda window: own.forecast(window, (0.5, 0.95))))(stacked)
    np.testing.assert_allclose(mean, means.mean(axis=0), rtol=1e-6)
    assert quantiles.keys() == ends.keys()
    for level, values in ends.items():
        np.testing.assert_allclose(quantiles[level], values, rtol=1e-6)


def test_the_calendar_of_the_program_is_exact():
    days = np.arange("1600-01-01", "2500-01-01", 17, dtype="datetime64[D]")
    numbers = days.astype(np.int64).astype(np.int32)
    years = days.astype("datetime64[Y]")
    np.testing.assert_array_equal(program._year(numbers), years.astype(int) + 1970)
    np.testing.assert_array_equal(
        program._new_year(years.astype(int) + 1970), years.astype("datetime64[D]").astype(int)
    )
    times = np.arange("1999-11-30T05", "2001-01-03", 7, dtype="datetime64[h]").astype("datetime64[us]")
    days, seconds = program.clock(times)
    with jax.enable_x64(True):
        window = program.Window(None, None, None, days, seconds, None)
        for cycle in calendar.cycles("h"):
            got = program.Program(None, np.float64)._phase(window, cycle)
            np.testing.assert_allclose(got, calendar.phases(times, cycle), atol=1e-12)


# ---------------------------------------------------------------- attributions


def window_of(model):
    recent = model.recent_
    return program.windows(model.fitted_, recent, recent.last[:1], model.reach_)


@pytest.mark.parametrize("name", NAMES)
def test_attributions_are_complete_on_every_embedded_series(name):
    frame = minirnn.data.load(name).iloc[-200:]
    model = with_share(minirnn.Forecaster(**QUICK | {"max_epochs": 10, "learning_rate": 0.03}).fit(frame), 1.0)
    fitted = model.fitted_
    (found,) = attributions.integrated(program.Program(fitted, np.float64), window_of(model), 0, by_step=True)
    np.testing.assert_allclose(found.forecast[0], model.predict()["mean"].mean(), rtol=1e-5)
    least = 0.05 * fitted.encoder.scaler.std[0, 0] * (1 if not fitted.encoder.plan.log else found.baseline[0])
    gap = found.values.sum(axis=(1, 2)) - (found.forecast - found.baseline)
    assert (np.abs(gap) < 0.01 * np.maximum(np.abs(found.change), least)).all()
    assert found.complete


def test_attributions_of_a_linear_forecast_are_what_each_value_changes(decoder):
    """Against the model itself: a value moved by one moves the forecast by its attribution over what it deviates."""
    recent = decoder.recent_
    linear = dataclasses.replace(decoder.fitted_, share=0.0)
    stacked = window_of(decoder)
    (found,) = attributions.integrated(program.Program(linear, np.float64), stacked, 0, by_step=True)
    usual = linear.encoder.scaler.mean[0]
    origin, R = int(recent.last[0]), decoder.reach_
    before = linear.forecast(recent, recent.last)[0].mean(axis=0)[0, :, 0]
    seen = 0
    for back in range(R):
        for c in range(3):
            row = origin - back
            after = row + 1 if c == 2 else min(row + 1, origin)  # the plan is read ahead too
            if np.isnan(recent.values[max(row - 1, 0) : after + 1, c]).any():
                continue  # a value beside a gap moves what fills it too
            values = recent.values.copy()
            values[row, c] += 1.0
            moved = linear.forecast(dataclasses.replace(recent, values=values), recent.last)[0].mean(axis=0)[0, :, 0]
            deviation = recent.values[row, c] - usual[c]
            np.testing.assert_allclose((moved - before) * deviation, found.values[1:, R - 1 - back, c], atol=1e-5)
            seen += 1
    assert seen > 10
    assert np.abs(found.values[1:, :, 0]).max() > 0.1


def test_more_nodes_are_taken_where_the_path_has_a_bend():
    """A logarithm's floor lies between the usual value and a value near zero."""
    rng = np.random.default_rng(0)
    y = 100 * np.exp(0.05 * rng.normal(size=120))
    model = minirnn.Forecaster(**QUICK | {"transform": "log", "reference": "last"}).fit(y)
    last = np.concatenate([y[-20:], [0.0]])
    model.recent_ = dataclasses.replace(model.recent_, values=np.r_[last[-8:], [np.nan] * 3][:, None])
    (found,) = attributions.integrated(program.Program(model.fitted_, np.float64), window_of(model), 0)
    assert found.nodes > attributions.NODES
    assert found.complete


DRIVEN = QUICK | {"reference": "last", "transform": "none", "ensemble": 1, "max_epochs": 4, "horizon": 3}


def driven(seed, rows=260, lag=5):
    """y follows the driver ``lag`` rows later; two other columns have nothing to do with it."""
    rng = np.random.default_rng(seed)
    driver, first, second = rng.normal(size=(3, rows))
    week = 0.1 * np.sin(2 * np.pi * np.arange(rows) / 7)
    y = 0.9 * np.r_[np.zeros(lag), driver[:-lag]] + week + 0.05 * rng.normal(size=rows)
    columns = {"first": first, "driver": driver, "second": second, "y": y}
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=rows, freq="D"))


@pytest.mark.parametrize("seed", range(10))
def test_the_driver_and_its_lag_come_first(seed):
    model = with_share(minirnn.Forecaster(**DRIVEN, seed=seed).fit(driven(seed), target="y"))
    found = model.explain(by_step=True)
    typical = found.typical_attributions
    assert typical.sum().idxmax() == "driver"
    assert found.permutation.index[0] == "driver"
    for step in (1, 2, 3):  # row t + step follows the driver's row t + step - 5
        assert found.typical_by_step.loc[step].stack().idxmax() == (5 - step, "driver")
    blocks = found.permutation_blocks.set_index(["column", "first_lag"])["increase"]
    assert set(blocks.nlargest(2).index) == {("driver", 2), ("driver", 4)}  # rows 2 to 3, and 4 to 7


# ---------------------------------------------------------------- importance


def test_importance_is_the_error_with_another_windows_rows(decoder):
    series = of_table(decoder.table_, 3)
    origins = np.arange(60, 90)
    stacked = program.windows(decoder.fitted_, series, origins, decoder.reach_)
    truth = series.values[origins[:, None] + np.arange(1, 4), 0]
    own = program.Program(decoder.fitted_, np.float64)
    found = importance.permuted(own, stacked, truth, 0, decoder.columns_, 1, 3)
    mean = decoder.fitted_.forecast(series, origins)[0].mean(axis=0)[:, :, 0]
    np.testing.assert_allclose(found.error, np.nanmean(np.abs(mean - truth)), rtol=1e-5)
    order = importance._derangement(np.random.default_rng(3), 30)
    assert (order != np.arange(30)).all()
    assert sorted(order) == list(range(30))
    values = stacked.values.copy()
    values[:, -4:-2, 0] = values[order][:, -4:-2, 0]  # lags 2 and 3
    missing = stacked.missing.copy()
    j = decoder.fitted_.encoder.masked.index(0) if 0 in decoder.fitted_.encoder.masked else None
    if j is not None:
        missing[:, -4:-2, j] = missing[order][:, -4:-2, j]
    with jax.enable_x64(True):
        moved = jax.jit(jax.vmap(own.mean))(stacked._replace(values=values, missing=missing))
    moved = np.asarray(moved)[:, :, 0]
    expected = np.nanmean(np.abs(moved - truth)) - found.error
    assert found.blocks["temp_max"][2, 3][0] == pytest.approx(expected, abs=1e-9)
    assert abs(expected) > 1e-4
    assert (-3, -1) in found.blocks["wind"]


def test_the_same_seed_gives_the_same_importance_and_a_spread(decoder):
    series = of_table(decoder.table_, 3)
    origins = np.arange(60, 80)
    own = program.Program(dataclasses.replace(decoder.fitted_, share=0.0), np.float64)
    stacked = program.windows(decoder.fitted_, series, origins, decoder.reach_)
    truth = series.values[origins[:, None] + np.arange(1, 4), 0]
    first, again, other = (
        importance.permuted(own, stacked, truth, 0, decoder.columns_, 3, seed).columns for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other
    assert first["temp_max"][1] > 0


# ---------------------------------------------------------------- gates


def constant_gates(cell, b):
    """A network whose gates do not depend on anything: what they say of memory is known."""
    description = Direct(Network((Recurrent(cell, 2),), 3, "last"), 3)
    params = init_horizon(0, description, 1, 0)
    weights = params.layers[0].weights
    zeros = {name: np.zeros_like(array) for name, array in weights._asdict().items()}
    layer = params.layers[0]._replace(weights=type(weights)(**zeros | {"b": np.array(b, np.float32)}))
    return description, params._replace(layers=(layer,))


def logit(share):
    return np.log(share / (1 - share))


def test_memory_and_saturation_of_gates_that_are_known():
    inputs = np.random.default_rng(0).normal(size=(5, 6, 1)).astype(np.float32)
    # z is 0.25 in one unit and 0.95 in the other: they keep 0.75 and 0.05 of themselves.
    description, params = constant_gates("gru", [0, 0, logit(0.25), logit(0.95), 0, 0])
    assert isinstance(params.layers[0].weights, GRUParams)
    (layer,) = gates.examined(description, [params, params], inputs, None, 1).layers
    expected = np.sort(-1 / np.log([0.75, 0.05]))
    np.testing.assert_allclose(layer.memory, np.quantile(np.repeat(expected, 2), (0.1, 0.5, 0.9)), rtol=1e-4)
    assert layer.mean == pytest.approx({"r": 0.5, "z": 0.6}, rel=1e-5)
    assert (layer.open["z"], layer.closed["z"], layer.open["r"]) == (0.5, 0.0, 0.0)
    np.testing.assert_allclose(layer.over_time["z"], np.full(6, 0.6), rtol=1e-5)
    description, params = constant_gates("lstm", [0, 0, logit(0.9), logit(0.9), 0, 0, logit(0.05), 0])
    assert isinstance(params.layers[0].weights, LSTMParams)
    (layer,) = gates.examined(description, [params], inputs, None, 1).layers
    assert layer.memory[1] == pytest.approx(-1 / np.log(0.9), rel=1e-4)
    assert layer.closed["o"] == 0.5


def test_a_unit_that_follows_the_season_is_found():
    description, params = constant_gates("rnn", [0, 0])
    weights = params.layers[0].weights._replace(Wx=np.array([[0.3, 0.0]], np.float32))
    params = params._replace(layers=(params.layers[0]._replace(weights=weights),))
    place = np.arange(40)[:, None] + np.arange(6)
    inputs = np.sin(2 * np.pi * place / 7 + 0.4).astype(np.float32)[:, :, None]
    (layer,) = gates.examined(description, [params], inputs, place, 7).layers
    assert layer.memory is None
    assert layer.season[0, 0] > 0.99
    assert layer.season[0, 1] == 0
    noise = np.random.default_rng(1).normal(size=46)[place].astype(np.float32)[:, :, None]
    (layer,) = gates.examined(description, [params], noise, place, 7).layers
    assert layer.season[0, 0] < 0.6


@pytest.mark.parametrize("name", VARIANTS)
def test_gates_of_every_kind_of_network_are_read(name):
    changed = QUICK | VARIANTS[name]
    settings = {**minirnn.Forecaster(**changed).get_params()}
    from minirnn.models.forecasting.fitting import describe

    description = describe(settings, changed["horizon"], 1).horizon
    params = init_horizon(0, description, 2, 0 if isinstance(description, Direct) else 1)
    inputs = np.random.default_rng(0).normal(size=(3, 8, 2)).astype(np.float32)
    found = gates.examined(description, [params], inputs, None, 1)
    assert [layer.name for layer in found.layers] == {
        "direct": ["layer 1"],
        "decoder": ["layer 1"],
        "segments": ["segments"],
        "both ways": ["layer 1", "layer 1 backwards"],
    }[name]
    assert found.rows == (3 if name == "segments" else 1)
    assert all(len(each) == (3 if name == "segments" else 8) for each in found.layers[0].over_time.values())


# ---------------------------------------------------------------- neighbours


def test_the_nearest_windows_of_a_periodic_series_are_whole_periods_away():
    rng = np.random.default_rng(0)
    y = np.tile(rng.normal(size=9), 30) + 1e-3 * rng.normal(size=270)
    model = minirnn.Forecaster(**QUICK | {"reference": "last"}).fit(y)
    found = model.explain(y)
    last = 269
    distance = last - found.neighbours["to"].to_numpy()
    assert len(distance) == neighbours.COUNT
    assert (distance % 9 == 0).all()
    assert (distance >= model.window_).all()
    assert found.neighbours["distance"].max() < 0.05 < found.neighbours.attrs["usual"]
    np.testing.assert_allclose(found.neighbours[list(range(1, 4))], np.tile(y[0:3], (5, 1)), atol=0.02)


# ---------------------------------------------------------------- all together


def test_explanation_of_a_saved_model(decoder, tmp_path):
    decoder.save(tmp_path / "model.safetensors")
    loaded = minirnn.load(tmp_path / "model.safetensors")
    bare = loaded.explain()
    assert bare.importance is None
    assert bare.neighbours is None
    assert "need rows" in bare.notes[0]
    np.testing.assert_allclose(bare.forecast, loaded.predict()["mean"], rtol=1e-6)
    full = loaded.explain(gappy())
    # Columns known ahead have attributions in the rows ahead, others have none.
    assert len(full.attributions) == decoder.reach_ + 3
    ahead = full.attributions.iloc[-3:]
    assert (ahead.drop(columns="wind") == 0).all(axis=None)
    assert (ahead["wind"] != 0).any()
    np.testing.assert_allclose(full.attributions.sum().sum(), full.attribution.change[0], rtol=1e-3)
    assert "Every" not in full.completeness
    json.dumps(full.as_dict(), allow_nan=False)
    none = with_share(loaded, 0.0).explain(gappy())
    assert none.network_adds == 0
    assert "adds nothing" in none.sentences["gates"]
    with pytest.raises(ValueError, match="there is no target 'wind'"):
        loaded.explain(target="wind")


def test_one_of_several_series_and_targets():
    one = gappy()[["temp_max", "wind"]].ffill().bfill().iloc[:80]
    frame = pd.concat([one.assign(place="a"), (3 * one + 40).assign(place="b")]).reset_index()
    model = minirnn.Forecaster(**QUICK | {"reference": "last", "ensemble": 1})
    model.fit(frame.set_index("date"), target=["temp_max", "wind"], series="place")
    found = model.explain(series="b", target="wind")
    forecast = model.predict()
    of = (forecast["series"] == "b") & (forecast["target"] == "wind")
    np.testing.assert_allclose(found.forecast, forecast[of]["mean"], rtol=1e-6)
    np.testing.assert_allclose(found.attribution.forecast[0], forecast[of]["mean"].mean(), rtol=1e-5)
    assert found.notes == () or "series" not in found.notes[0]
    assert set(found.neighbours["series"]) <= {"a", "b"}
    assert any("explains the forecast of 'a'" in note for note in model.explain().notes)
    with pytest.raises(ValueError, match="there is no series 'c'"):
        model.explain(series="c")


def test_the_command_writes_all_or_nothing(decoder, tmp_path, capsys):
    decoder.save(tmp_path / "model.safetensors")
    gappy().to_csv(tmp_path / "rows.csv")
    model, rows, out = (str(tmp_path / name) for name in ("model.safetensors", "rows.csv", "why"))
    assert main(["explain", model, rows, "--out", out, "--by-step"]) == 0
    text = capsys.readouterr().out
    assert "completeness" not in text
    assert "a gap of" in text
    written = sorted(path.name for path in (tmp_path / "why").iterdir())
    assert written == [
        "attributions.csv", "attributions.png", "attributions_by_step.csv", "explanation.json", "gates.csv",
        "gates.png", "importance.csv", "importance.png", "importance_by_rows.csv", "neighbours.csv", "neighbours.png",
    ]  # fmt: skip
    kept = json.loads((tmp_path / "why" / "explanation.json").read_text())
    assert len(kept["attributions_by_step"]) == 3
    assert main(["explain", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["importance"] == []
    for wrong, message in (
        ([model, rows, "--target", "wind"], "there is no target 'wind'"),
        ([model, "--missing", "9"], "belongs to a file of rows"),
        ([model, rows, "--seed", "-1"], "--seed must be 0 or more"),
        ([str(tmp_path / "none.safetensors")], "does not exist"),
        ([model, rows, "--out", model], "is a file"),
    ):
        assert main(["explain", *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
