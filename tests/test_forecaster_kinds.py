"""Every kind of data and of network: fitted, asked, saved and loaded, the same in both halves."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from forecasters import daily, long_form, quick, with_network

import minirnn
from minirnn.data import DataWarning
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import incoming, series, statics

SHOPS = {"target": "y", "past": ["temperature"], "future": ["plan"], "static": ["area", "kind"], "series": "shop"}
FEWER = (52, 44, 40)  # rows of the shops


def kept(model, tmp_path):
    """The model after it was saved and loaded: it forecasts the same, and saves the same bytes."""
    path, again = tmp_path / "model.safetensors", tmp_path / "again.safetensors"
    model.save(path)
    loaded = minirnn.load(path)
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    pd.testing.assert_frame_equal(loaded.predict(), model.predict(), check_exact=True)
    assert loaded.get_params() == {**model.get_params(), "progress": False}
    return loaded


def same_in_both_halves(model, frame=None):
    """The same weights, float32 in both halves: forecasts differ by rounding."""
    forecasts = [model.set_params(backend=backend).predict(frame) for backend in ("readable", "fast")]
    numbers = [forecast.select_dtypes("number") for forecast in forecasts]
    pd.testing.assert_index_equal(forecasts[0].index, forecasts[1].index)
    np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-5)


NETWORKS = {
    "lstm of two layers": {"cell": "lstm", "num_layers": 2},
    "rnn": {"cell": "rnn", "likelihood": "gaussian"},
    "bidirectional": {"bidirectional": True, "likelihood": "student"},
    "convolution and dropout": {"convolution": 3, "dropout": 0.3, "num_layers": 2, "likelihood": "none"},
    "segments": {"segment": 4, "dropout": 0.2},
    "fed back": {"strategy": "recursive", "likelihood": "gaussian"},
    "seq2seq": {"strategy": "seq2seq", "cell": "lstm", "dropout": 0.2},
    "season": {"reference": "season", "season": 7, "window": 14},
    "logarithm": {"transform": "log", "weight_decay": 0.1, "ensemble": 1},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_many_series_is_kept_as_it_is(name, tmp_path):
    frame = long_form(FEWER)
    before = frame.copy()
    model = with_network(quick(**NETWORKS[name]).fit(frame, **SHOPS))
    pd.testing.assert_frame_equal(frame, before)  # what was given is not changed
    forecast = model.predict(levels=(0.5,))
    assert list(forecast.columns) == ["series", "mean", "lower_50", "upper_50"]
    assert list(dict.fromkeys(forecast["series"])) == ["shop 0", "shop 1", "shop 2"]
    assert np.isfinite(forecast.select_dtypes("number")).all(axis=None)
    loaded = kept(model, tmp_path)
    same_in_both_halves(loaded)
    # The network does something: without it the forecast is another one.
    loaded.fitted_ = dataclasses.replace(loaded.fitted_, share=0.0)
    assert not np.allclose(loaded.predict()["mean"], forecast["mean"], rtol=1e-4)


def test_series_start_and_end_where_they_do():
    frame = long_form(FEWER)
    model = quick().fit(frame, **SHOPS)
    forecast = model.predict()
    for k, (shop, rows) in enumerate(zip(("shop 0", "shop 1", "shop 2"), FEWER)):
        end = pd.Timestamp("2020-01-01") + pd.Timedelta(days=7 * k + rows)
        own = forecast[forecast["series"] == shop]
        assert list(own.index) == list(pd.date_range(end, periods=3, freq="D"))
        scale = 10.0**k
        assert (own["mean"] / scale).between(20, 120).all()
        # Each by itself, in any order: the same forecast.
        alone = model.predict(frame[frame["shop"] == shop])
        pd.testing.assert_frame_equal(alone, own, check_freq=False, rtol=1e-9)
    shuffled = frame.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        model.predict(shuffled).sort_values("series", kind="stable"), forecast, check_freq=False, rtol=1e-9
    )


def test_a_new_series_is_forecast_in_its_own_size():
    frame = long_form(FEWER)
    for transform in ("none", "log"):
        model = quick(transform=transform).fit(frame, **SHOPS)
        new = daily(30, seed=9).assign(shop="new", area=np.nan, kind="unheard of")
        small = new.assign(y=new["y"] / 1e4, shop="small")
        forecast = model.predict(pd.concat([new, small]))
        means = [forecast.loc[forecast["series"] == name, "mean"].to_numpy() for name in ("new", "small")]
        assert (np.abs(means[0] - new["y"].mean()) < 4 * new["y"].std()).all(), transform
        np.testing.assert_allclose(means[1] * 1e4, means[0], rtol=1e-6, err_msg=transform)


def test_what_a_new_series_lacks_is_filled_from_its_own_rows():
    frame = long_form(FEWER)
    model = quick().fit(frame.drop(columns=["area", "kind"]), target="y", series="shop", future=["plan"])
    new = daily(30, seed=9).assign(shop="new")
    late = new.copy()
    late["temperature"] += 1000.0
    shifted = late.copy()
    late.iloc[:26, 2] = np.nan  # no value yet in most of the window
    assert np.allclose(model.predict(shifted)["mean"], model.predict(late)["mean"], atol=6 * new["y"].std())


def test_a_series_too_short_to_be_read_does_not_spoil_the_others(tmp_path):
    frame = long_form((*FEWER, 4))
    model = quick().fit(frame, **SHOPS)
    assert "1 series ('shop 3') left out: fewer than 6 rows before the validation part." in model.notes_
    forecast = kept(model, tmp_path).predict()
    assert list(dict.fromkeys(forecast["series"])) == ["shop 0", "shop 1", "shop 2"]
    with pytest.raises(ParameterError, match="4 rows of the series 'shop 3' given; the model reads windows of 6"):
        model.predict(frame)


def test_a_series_that_begins_after_the_training_rows_is_forecast():
    frame = long_form((90, 70))
    late = daily(24, seed=5, start="2020-03-10").assign(shop="late", area=1.0, kind="large")
    late["y"] += 1e4
    both = pd.concat([frame, late])
    model = quick().fit(both, **SHOPS)
    assert "1 series ('late') left out: fewer than 6 rows before the validation part." in model.notes_
    assert model.evaluate().names == ("shop 0", "shop 1")
    forecast = model.predict(both)  # as a new one
    own = forecast.loc[forecast["series"] == "late", "mean"]
    assert np.abs(own - late["y"].mean()).max() < 4 * late["y"].std()


def test_several_targets(tmp_path):
    frame = daily(70)
    frame["z"] = -1000 * frame["temperature"].shift(1).bfill() + 7
    model = with_network(quick().fit(frame, target=["y", "z"], future=["plan"]))
    forecast = model.predict(levels=(0.8,))
    assert list(forecast.columns) == ["target", "mean", "lower_80", "upper_80"]
    assert list(forecast["target"]) == ["y"] * 3 + ["z"] * 3
    assert forecast["mean"].iloc[:3].between(0, 150).all()
    assert forecast["mean"].iloc[3:].between(-25_000, 0).all()
    same_in_both_halves(kept(model, tmp_path))
    result = model.evaluate()
    assert result.actual.shape[1:] == (3, 2)
    assert result.ranked_by == "MASE"


def test_a_series_with_too_few_rows_for_its_seasons_is_not_forecast_but_the_others_are(tmp_path):
    frame = long_form((90, 80, 12))
    frame.index = frame.index.where(frame["shop"] != "shop 2", frame.index + pd.Timedelta("14D"))
    model = quick(reference="season", season=7).fit(frame, **SHOPS)
    assert model.least_ == 14
    assert "1 series ('shop 2') cannot be forecast: fewer than 14 rows." in model.notes_
    forecast = kept(model, tmp_path).predict()
    assert list(dict.fromkeys(forecast["series"])) == ["shop 0", "shop 1"]
    assert model.evaluate().forecasts["gru"].shape[0] > 0


def test_all_rows_ahead_of_a_known_column_are_seen_where_the_horizon_is_longer_than_the_window():
    model = quick(window=2, horizon=5).fit(daily(80), target="y", future=["plan"], past=["temperature"])
    frame = daily(80)
    for step in range(5):
        ahead = daily(85).iloc[80:].assign(y=np.nan, temperature=np.nan, plan=0.0)
        expected = model.predict(pd.concat([frame, ahead]))
        ahead.iloc[step, 1] = 1.0
        other = model.predict(pd.concat([frame, ahead]))
        moved = (other["mean"] - expected["mean"]).abs()
        assert moved.iloc[step] > 1
        assert moved.idxmax() == ahead.index[step]


@pytest.mark.parametrize("kind", ["line", "columns", "series"])
def test_arrays_and_series_of_pandas_go_in(kind, tmp_path):
    y = daily(70)["y"]
    data = {"line": y.to_numpy(), "columns": daily(70).to_numpy()[:, ::-1], "series": y}[kind]
    model = with_network(quick().fit(data))
    assert model.roles_.target == {"line": ("value",), "columns": ("column 3",), "series": ("y",)}[kind]
    forecast = kept(model, tmp_path).predict()
    ahead = daily(73).index[70:] if kind == "series" else range(70, 73)
    assert list(forecast.index) == list(ahead)
    pd.testing.assert_frame_equal(model.predict(data), forecast, check_freq=False)
    few = model.predict(data[-6:])
    np.testing.assert_allclose(few.to_numpy(), forecast.to_numpy(), rtol=1e-9)


@pytest.mark.parametrize("impute", ["auto", "last", "linear", "seasonal"])
def test_missing_values_are_filled_the_same_way_after_loading(impute, tmp_path):
    frame = daily(90)
    rng = np.random.default_rng(3)
    for name in ("y", "temperature"):
        frame.loc[rng.uniform(size=90) < 0.15, name] = np.nan
    model = with_network(quick(impute=impute, season=7).fit(frame, target="y", future=["plan"]))
    methods = model.fitted_.encoder.imputer.methods
    assert len(model.fitted_.encoder.masked) == 2
    assert impute == "auto" or set(methods) == {impute}
    loaded = kept(model, tmp_path)
    pd.testing.assert_frame_equal(loaded.predict(frame), model.predict(), check_freq=False, check_exact=True)
    same_in_both_halves(loaded, frame)


def test_a_gap_longer_than_what_is_read_is_filled_the_same_way_from_a_file(tmp_path):
    """The last rows are kept back to where their filling comes from."""
    for impute in ("last", "linear", "seasonal"):
        frame = daily(90)
        frame.iloc[75:88, 2] = np.nan
        frame.iloc[90 - 6 : 90 - 4, 0] = np.nan
        model = quick(impute=impute, season=7).fit(frame, target="y", past=["temperature"], future=["plan"])
        pd.testing.assert_frame_equal(model.predict(), model.predict(frame), check_freq=False, check_exact=True)
        kept(model, tmp_path)


@pytest.mark.parametrize("options", [{}, {"reference": "season", "season": 7}])
def test_a_forecast_depends_on_the_last_rows_alone(options):
    frame = daily(120)
    model = with_network(quick(**options).fit(frame, target="y", past=["temperature"], future=["plan"]))
    assert model.reach_ == (6 if not options else 35)
    expected = model.predict(frame)
    pd.testing.assert_frame_equal(model.predict(frame.iloc[-model.reach_ :]), expected, check_exact=True)
    other = model.predict(frame.iloc[7 - model.reach_ :]) if options else None
    least = 14 if options else 6
    fewer = model.predict(frame.iloc[-least:])
    assert np.isfinite(fewer).all(axis=None)
    if other is not None:
        assert not np.allclose(other["mean"], expected["mean"], rtol=1e-7)
    with pytest.raises(ParameterError, match=f"{least - 1} rows given; the model reads windows of {least}"):
        model.predict(frame.iloc[1 - least :])


def test_windows_that_are_cut_out_when_they_are_read_train_the_same(monkeypatch):
    from minirnn.models.forecasting import fitting

    frame = long_form(FEWER)
    whole = quick().fit(frame, **SHOPS)
    monkeypatch.setattr(fitting, "KEPT_BYTES", 0)
    cut = quick().fit(frame, **SHOPS)
    pd.testing.assert_frame_equal(cut.predict(), whole.predict(), check_exact=True)
    assert cut.history_.loss == whole.history_.loss


def test_clipped_outliers_are_clipped_wherever_rows_are_read(tmp_path):
    frame = daily(120)
    frame.iloc[[30, 116], 0] += 1e5
    plain, clipped = (quick(clip_outliers=clip).fit(frame, target="y", future=["plan"]) for clip in (False, True))
    assert any("outlier" in note for note in plain.notes_)
    assert any("clipped" in note for note in clipped.notes_), clipped.notes_
    assert plain.predict()["mean"].max() > 150
    forecast = kept(clipped, tmp_path).predict()
    assert forecast["mean"].max() < 120
    pd.testing.assert_frame_equal(clipped.predict(frame), forecast, check_freq=False, check_exact=True)
    result = clipped.evaluate()
    assert result.actual.max() > 1e5  # what came is what came
    assert np.abs(result.forecasts["gru"]).max() < 1000


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_what_a_new_series_is_decides_its_forecast(strategy):
    frame = long_form(FEWER)
    model = with_network(quick(strategy=strategy).fit(frame, **SHOPS))
    new = frame[frame["shop"] == "shop 1"].assign(shop="a new one")
    small, large = (model.predict(new.assign(area=area))["mean"].to_numpy() for area in (100.0, 300.0))
    assert not np.allclose(small, large, rtol=1e-4)


def test_a_column_that_ends_too_early_is_said_and_carried_on():
    frame = daily(60)
    ahead = daily(63).iloc[60:].assign(y=np.nan, temperature=np.nan)
    roles = {"target": "y", "past": ["temperature"], "future": ["plan"]}
    model = quick().fit(frame, **roles)
    with pytest.warns(DataWarning, match="'plan' has no value in 3 of the 3 rows ahead: .* filled"):
        carried = model.predict()
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        known = model.predict(pd.concat([frame, ahead.assign(plan=frame["plan"].iloc[-1])]))
    np.testing.assert_allclose(carried["mean"], known["mean"], rtol=1e-9)
    with pytest.warns(DataWarning, match="in 2 of the 3 rows"):
        model.predict(pd.concat([frame, ahead.iloc[:1]]))


def test_rows_of_another_frequency_are_no_rows_with_gaps():
    frame = daily(120)[["y"]]
    model = quick().fit(frame)
    with pytest.raises(ParameterError, match="all 2 steps apart; the model was trained on rows of frequency D"):
        model.predict(frame.iloc[::2])
    gaps = frame.drop(frame.index[[3, 10, 11, 40]])
    assert len(model.predict(gaps)) == 3


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_what_fills_a_value_is_kept_however_far_back_it_lies(strategy, tmp_path):
    """Seasonal filling where the window is shorter than the season, and gaps longer than what is read."""
    y = 20 + 10 * (np.arange(120) % 7) + np.random.default_rng(0).normal(size=120)
    frame = pd.DataFrame({"y": y, "open": (np.arange(120) % 7 < 5) * 1.0}, pd.date_range("2024-01-01", periods=120))
    frame.loc[frame.index[[20, 33, 48]], "y"] = np.nan
    frame.loc[frame.index[[30, 55]], "open"] = np.nan
    options = {"window": 4, "season": 7, "impute": "seasonal", "reference": "smoothing", "strategy": strategy}
    model = with_network(quick(**options).fit(frame, "y", future=["open"]))
    pd.testing.assert_frame_equal(model.predict(frame), model.predict(), check_freq=False)
    gap = frame.copy()
    gap.loc[gap.index[105:119], "y"] = np.nan  # two seasons, and then one known value
    whole = model.predict(gap)
    assert np.isfinite(whole["mean"]).all()
    recent = model.predict(gap.iloc[-40:])
    np.testing.assert_allclose(recent["mean"], whole["mean"], rtol=1e-6)
    loaded = kept(model, tmp_path)
    stream = loaded.stream()
    for _ in range(9):  # rows without a value go on with the season
        found = stream.push([np.nan, np.nan])
    rows = pd.DataFrame({"y": np.nan, "open": np.nan}, pd.date_range("2024-04-30", periods=9))
    expected = model.fitted_.forecast(*_at_the_end(model, pd.concat([frame, rows])))[0].mean(axis=0)[0]
    np.testing.assert_allclose(found.mean, expected, rtol=1e-5)


def _at_the_end(model, frame):
    """The rows as a model reads them, and the last of them as an origin, known or not."""
    last = len(frame) - 1
    values = frame[list(model.columns_)].to_numpy(float)
    start = frame.index.to_numpy()[:1].astype("datetime64[us]")
    ends, zero = np.array([0, len(values)]), np.array([0])
    return series.lay_out(values, ends, np.array([last]), start, "D", model.horizon_, zero), np.array([last])


def test_a_new_series_that_is_fed_back_is_scaled_by_all_of_its_rows():
    """One step ahead a model that feeds back is the model of one step."""
    frame = long_form(FEWER)
    model = quick(strategy="recursive").fit(frame, **SHOPS)
    new = frame[frame["shop"] == "shop 1"].assign(shop="new")
    new["y"] *= np.linspace(1, 20, len(new))
    rows = series.of_table(incoming.to_forecast(model, new), 1, model.fitted_.names)
    one = dataclasses.replace(model.fitted_, recursion=None)
    encoded = statics.encode(model.static_columns_, incoming.to_forecast(model, new).statics)
    means, _ = one.forecast(rows, rows.last, (), "readable", one.prepare(rows, encoded))
    np.testing.assert_allclose(model.predict(new)["mean"].iloc[0], means.mean(axis=0)[0, 0, 0], rtol=1e-9)


def test_one_late_series_does_not_shut_the_seasons_out():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=200)
    season = np.tile(rng.normal(size=28), 8)[:200] * 10

    def shop(k, rows):
        y = season[-rows:] + rng.normal(size=rows)
        return pd.DataFrame({"y": y, "shop": f"shop {k}"}, index[-rows:])

    shops = pd.concat([shop(k, 100 if k == 3 else 200) for k in range(4)])
    options = {"window": 7, "season": 28, "reference": "auto", "max_epochs": 1, "ensemble": 1}
    model = quick(**options).fit(shops, "y", series="shop")
    assert sum(choice.weight for choice in model.choices_ if choice.plan.season == 28) > 0.5
    assert all(np.isfinite(choice.error) for choice in model.choices_)
