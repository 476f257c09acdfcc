"""Nothing is learned from what was not known: rows are changed, and what must not depend on them stays the same."""

import numpy as np
import pandas as pd
import pytest
from forecasters import arrays_of, daily, long_form, quick, weights_of, with_network

from minirnn.data import prepare
from minirnn.data.imputing import Imputer
from minirnn.models.forecasting import choosing, series
from minirnn.models.forecasting.encoder import Encoder, Plan

# Fitted on training rows alone: scales, fillings, and each encoder's usual, spread and level of its windows.
ENCODING = ("scaler.", "imputer.", "floor", "statics", "encoder.")
# Fitted before the test rows: everything but the rows that a forecast starts from.
LEARNED = (*ENCODING, "bases.", "members.", "scale", "calibration.scores")
ROLES = {"target": "y", "past": ["temperature"], "future": ["plan"]}
SHOPS = {"target": "y", "past": ["temperature"], "future": ["plan"], "static": ["area", "kind"], "series": "shop"}
AUTO = {"reference": "auto", "transform": "auto"}
ROWS = 120
TRAIN, VALIDATION = 72, 90  # rows before the end of each part, with the default fractions


@pytest.fixture(scope="module")
def frame():
    found = daily(ROWS)
    found.iloc[[20, 21, 50], 0] = np.nan
    found.iloc[[30, 31, 60], 2] = np.nan
    return found


@pytest.fixture(scope="module", autouse=True)
def few_plans():
    """Less to choose from: what may be seen by the choice does not depend on how much there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "ALPHAS", (0.2, 1.0))
        patch.setattr(choosing, "GAMMAS", (0.2,))
        yield


@pytest.fixture(scope="module")
def fitted(frame):
    model = quick(**AUTO).fit(frame, **ROLES)
    assert [model.parts_.rows(part) for part in ("train", "validation", "test")] == [TRAIN, VALIDATION - TRAIN, 30]
    return with_network(model)


def changed_from(frame, row, columns=("y", "temperature", "plan")):
    """The same frame with other numbers, some of them missing, from this row on."""
    other = frame.copy()
    for name in columns:
        place = other.columns.get_loc(name)
        other.iloc[row:, place] = other.iloc[row:, place] * -3.0 + 100.0
        other.iloc[row + 3 : row + 5, place] = np.nan
    return other


def test_test_rows_leave_no_trace_in_anything_learned(fitted, frame):
    other = with_network(quick(**AUTO).fit(changed_from(frame, VALIDATION), **ROLES))
    assert arrays_of(other, *LEARNED) == arrays_of(fitted, *LEARNED)
    assert weights_of(other) == weights_of(fitted)
    assert other.choices_ == fitted.choices_
    assert other.history_.validation == fitted.history_.validation


def test_validation_rows_leave_no_trace_in_scales_and_fillings(frame):
    model, other = (quick().fit(rows, **ROLES) for rows in (frame, changed_from(frame, TRAIN)))
    encoding = arrays_of(model, *ENCODING)
    assert {"scaler.mean", "scaler.std", "imputer.fallback", "encoder.spread"} < set(encoding)
    assert arrays_of(other, *ENCODING) == encoding
    assert other.fitted_.encoder.imputer.methods == model.fitted_.encoder.imputer.methods
    assert other.fitted_.encoder.masked == model.fitted_.encoder.masked
    assert other.season_ == model.season_
    assert arrays_of(other, "bases.") != arrays_of(model, "bases.")  # these are fitted on both, in the end


def test_the_usual_of_the_calendar_is_that_of_the_training_rows():
    rng = np.random.default_rng(0)
    index = pd.date_range("2020-01-01", periods=300, freq="D")
    y = np.sin(2 * np.pi * index.day_of_year.to_numpy() / 7) + rng.normal(size=300) / 9
    y[[40, 41, 200, 201]] = np.nan
    stop = np.array([150])

    def fitted(y):
        rows = series.of_table(prepare(pd.DataFrame({"y": y}, index=index)), 3)
        imputer = Imputer.fit(rows.values, rows.bounds, stop, 7)
        sizes = {"window": 6, "horizon": 3, "targets": 1, "ahead": (), "frequency": "D", "imputer": imputer}
        return Encoder.fit(Plan(log=False, harmonics=(1, 3), season=7, alpha=0.3), rows, stop, **sizes)

    one, two = fitted(y), fitted(np.where(np.arange(300) < 150, y, -9 * y + 4))
    assert np.abs(one.usual).max() > 0.1
    for name in ("usual", "spread", "level", "floor"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    assert one.scaler.mean.tobytes() == two.scaler.mean.tobytes()
    assert one.scaler.std.tobytes() == two.scaler.std.tobytes()


def test_the_choice_between_several_series_does_not_see_their_test_rows():
    frame = long_form()
    other = frame.copy()
    second = (other["shop"] == "shop 1").to_numpy()
    late = np.asarray(other.index >= pd.Timestamp("2020-03-10"))
    other.loc[second & late, "y"] *= 50
    one, two = (quick(**AUTO).fit(rows, **SHOPS) for rows in (frame, other))
    changed = np.flatnonzero(~np.isclose(two.table_.values[:, 0], one.table_.values[:, 0]))
    changed += one.horizon_  # the parts are counted with the rows ahead of the first shop
    assert one.parts_.validation[1] <= changed[0] < changed[-1] < one.parts_.end[1]
    assert arrays_of(two, *LEARNED) == arrays_of(one, *LEARNED)
    assert two.choices_ == one.choices_


def test_rows_after_an_origin_change_no_forecast_from_it(fitted, frame):
    """Of the model, of its intervals, and of every other forecast of the table."""
    row = VALIDATION + 12
    before = fitted.evaluate()
    other = quick(**AUTO).fit(changed_from(frame, row, ("y", "temperature")), **ROLES)
    after = with_network(other).evaluate()
    kept = before.origins < np.datetime64(frame.index[row])
    assert 8 < kept.sum() < len(kept)
    for name, forecast in before.forecasts.items():
        np.testing.assert_array_equal(forecast[kept], after.forecasts[name][kept], err_msg=name)
        assert not np.array_equal(forecast[~kept], after.forecasts[name][~kept]) or name in ("climatology",), name
    assert before.quantiles.keys() == after.quantiles.keys()
    for level, values in before.quantiles.items():
        np.testing.assert_array_equal(values[kept], after.quantiles[level][kept], err_msg=str(level))


def test_the_future_of_a_past_column_is_not_read_and_that_of_a_future_column_is(fitted, frame):
    known, ahead = frame.iloc[:-3], frame.iloc[-3:].copy()
    ahead["y"] = np.nan

    def forecast(**columns):
        return fitted.predict(pd.concat([known, ahead.assign(**columns)]))

    expected = forecast()
    assert list(expected.index) == list(ahead.index)
    for values in (1e6, np.nan):
        pd.testing.assert_frame_equal(forecast(temperature=values), expected, check_exact=True)
    other = forecast(plan=1 - ahead["plan"])
    assert (np.abs(other["mean"] - expected["mean"]) > 0.1).all()


def test_the_future_of_a_past_column_is_not_read_between_two_values(frame):
    """A gap is filled on a line only if its end is known at the origin."""
    holes = frame.copy()
    holes.iloc[100:103, :] = np.nan
    model = with_network(quick(impute="linear").fit(holes, target="y"))
    result = model.evaluate()
    other = holes.copy()
    other.iloc[103:, :] *= 2
    after = with_network(quick(impute="linear").fit(other, target="y")).evaluate()
    kept = result.origins < np.datetime64(holes.index[103])
    for name, forecast in result.forecasts.items():
        np.testing.assert_array_equal(forecast[kept], after.forecasts[name][kept], err_msg=name)


def test_a_new_series_is_scaled_by_its_own_rows_alone():
    frame = long_form()
    model = quick().fit(frame, **SHOPS)
    new = daily(40, seed=9).assign(shop="new", area=150.0, kind="large")
    alone = model.predict(new)
    together = model.predict(pd.concat([frame, new]))
    pd.testing.assert_frame_equal(together[together["series"] == "new"], alone, check_freq=False, rtol=1e-9)


def test_stopping_and_shares_do_not_see_the_test_rows(frame):
    """The same through the door of backtest(start=...): what comes after the start does not change the model."""
    start = frame.index[VALIDATION]
    models = []
    for rows in (frame, changed_from(frame, VALIDATION)):
        model = quick()
        model.backtest(rows, **ROLES, start=start)
        models.append(model)
    assert arrays_of(models[0], *LEARNED) == arrays_of(models[1], *LEARNED)
    assert models[0].fitted_.share == models[1].fitted_.share
