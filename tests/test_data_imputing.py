"""Filling missing values: what each method gives, how one is chosen, and that nothing later is ever read."""

import json

import numpy as np
import pandas as pd
import pytest

from minirnn.data import imputing, prepare
from minirnn.data.imputing import METHODS, Imputer, at
from minirnn.data.rows import training_part

N = np.nan


def column(*values):
    return np.array(values, dtype=float)[:, None]


def fill(method, values, bounds=None, season=1, fallback=None):
    bounds = np.array([0, len(values)] if bounds is None else bounds)
    start = np.full((len(bounds) - 1, values.shape[1]), -5.0) if fallback is None else fallback
    return Imputer((method,) * values.shape[1], start, season).transform(values, bounds)


def several(rng, missing=0.3):
    """Three series of unequal lengths with three columns and many gaps."""
    values = rng.normal(size=(90, 3)).cumsum(axis=0)
    values[rng.random(values.shape) < missing] = N
    return values, np.array([0, 20, 55, 90])


# methods ------------------------------------------------------------------------------------------


def test_last_carries_forward_within_a_series():
    filled = fill("last", column(N, 1, N, N, 4, N, N, 7), [0, 6, 8])
    assert filled.carried[:, 0].tolist() == [-5, 1, 1, 1, 4, 4, -5, 7]
    assert filled.known[:, 0].tolist() == [-1, 1, 1, 1, 4, 4, -1, 7]
    np.testing.assert_array_equal(filled.between, filled.carried)
    assert filled.known.dtype == np.int64


def test_linear_draws_lines_between_known_values_only():
    filled = fill("linear", column(N, 1, N, N, 4, N, N, 7), [0, 6, 8])
    assert filled.carried[:, 0].tolist() == [-5, 1, 1, 1, 4, 4, -5, 7]
    np.testing.assert_allclose(filled.between[:, 0], [-5, 1, 2, 3, 4, 4, -5, 7])


def test_seasonal_repeats_the_season_before():
    values = column(1, 2, 3, N, 5, N, N, N, 9, 10, N, N)
    assert fill("seasonal", values, season=3).carried[:, 0].tolist() == [1, 2, 3, 1, 5, 3, 1, 5, 9, 10, 5, 9]
    other = fill("seasonal", values, [0, 4, 12], season=3).carried[:, 0]
    # Series 2 starts at row 4: row 6 has no value of its phase before it, and takes the last known one.
    assert other.tolist() == [1, 2, 3, 1, 5, 5, 5, 5, 9, 10, 5, 9]


@pytest.mark.parametrize("method", METHODS)
def test_by_the_row(method, rng):
    """Every filling against a loop that says in words what it should be."""
    values, bounds = several(rng)
    season, fallback = 4, rng.normal(size=(3, 3))
    filled = fill(method, values, bounds, season, fallback)
    for k in range(3):
        for t in range(bounds[k], bounds[k + 1]):
            for c in range(3):
                back = [j for j in range(bounds[k], t + 1) if not np.isnan(values[j, c])]
                ahead = [j for j in range(t, bounds[k + 1]) if not np.isnan(values[j, c])]
                carried = values[back[-1], c] if back else fallback[k, c]
                phase = [j for j in back if (t - j) % season == 0]
                if method == "seasonal" and phase:
                    carried = values[phase[-1], c]
                between = carried
                if method == "linear" and back and ahead:
                    between = np.interp(t, [back[-1], ahead[0]], values[[back[-1], ahead[0]], c])
                assert filled.carried[t, c] == carried
                assert filled.between[t, c] == pytest.approx(between, rel=1e-12)
                assert filled.known[t, c] == (back[-1] if back else -1)


# nothing after the origin -------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_window_never_reads_after_its_origin(method, rng):
    values, bounds = several(rng)
    season, W = 4, 6
    imputer = Imputer((method,) * 3, rng.normal(size=(3, 3)), season)
    origins = np.concatenate([np.arange(bounds[k] + W - 1, bounds[k + 1]) for k in range(3)])
    rows = origins[:, None] + np.arange(1 - W, 1)
    windows = at(imputer.transform(values, bounds), rows, origins)
    assert windows.shape == (len(origins), W, 3)
    assert not np.isnan(windows).any()
    np.testing.assert_array_equal(np.where(np.isnan(values[rows]), windows, values[rows]), windows)
    for i, origin in enumerate(origins):
        for junk in (N, 1e6):
            changed = values.copy()
            changed[origin + 1 :] = junk
            again = at(imputer.transform(changed, bounds), rows[i : i + 1], origins[i : i + 1])
            np.testing.assert_array_equal(again[0], windows[i])


def test_a_window_does_use_what_is_known_within_it():
    filled = fill("linear", column(0, N, N, 3, N, 5))
    assert at(filled, np.array([[1, 2, 3, 4]]), np.array([4]))[0, :, 0].tolist() == [1, 2, 3, 3]
    assert at(filled, np.array([[1, 2]]), np.array([2]))[0, :, 0].tolist() == [0, 0]


@pytest.mark.parametrize("method", [None, *METHODS])
def test_fitting_reads_no_row_after_the_training_part(method, rng):
    values, bounds = several(rng)
    stop = bounds[1:] - np.array([5, 12, 9])
    fitted = Imputer.fit(values, bounds, stop, 4, method)
    for junk in (N, 0.0, 1e9):
        changed = values.copy()
        for k in range(3):
            changed[stop[k] : bounds[k + 1]] = junk
        again = Imputer.fit(changed, bounds, stop, 4, method)
        assert again.methods == fitted.methods
        assert again.fallback.tobytes() == fitted.fallback.tobytes()
    assert Imputer.fit(values, bounds, stop - 1, 4, method).fallback.tobytes() != fitted.fallback.tobytes()


# choosing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "shape", "expected"), [
    (3, lambda t: t * 1.0, "linear"),
    (12, lambda t: 10.0 * np.sin(2 * np.pi * t / 12) + 1e-3 * t, "seasonal"),
    (3, lambda t: np.floor(t / 40) * 5.0, "last"),
    (None, lambda t: t * 1.0, "last"),
])  # fmt: skip
def test_the_method_is_chosen_on_gaps_like_those_that_occur(gap, shape, expected):
    y = np.stack([shape(np.arange(400)), shape(np.arange(400)) * 100 + 7], axis=1)
    if gap:
        y[100 : 100 + gap] = N
        y[231 : 231 + gap] = N
    fitted = Imputer.fit(y, np.array([0, 400]), np.array([300]), 12)
    assert fitted.methods == (expected, expected)
    assert Imputer.fit(y, np.array([0, 400]), np.array([300]), 12, "seasonal").methods == ("seasonal",) * 2


@pytest.mark.parametrize("lengths", [[1], [2, 5], [30, 1, 3], [400]])
def test_artificial_gaps_lie_between_known_rows_of_one_series(lengths, rng):
    y = np.where(rng.random(600) < 0.05, N, 1.0)
    y[:150] = y[430:] = 1.0
    bounds = np.array([0, 150, 430, 433, 600])
    cut = np.zeros(600, dtype=bool)
    rows = imputing._cut(y, bounds, np.array(lengths))
    cut[rows] = True
    assert 0 < len(rows) == cut.sum() <= np.sum(~np.isnan(y)) // 5
    assert not np.isnan(y[cut]).any()
    assert not np.isnan(y[np.flatnonzero(cut) + 1]).any()
    assert not np.isnan(y[np.flatnonzero(cut) - 1]).any()
    assert not cut[bounds[:-1]].any()
    assert not cut[bounds[1:] - 1].any()


def test_gaps_outside_the_training_rows_choose_nothing():
    y = column(*np.arange(100.0))
    y[80:83] = N
    assert Imputer.fit(y, np.array([0, 100]), np.array([70]), 1).methods == ("last",)
    y[40:42] = N
    assert Imputer.fit(y, np.array([0, 100]), np.array([70]), 1).methods == ("linear",)


def test_series_count_by_their_own_scale():
    """A large series does not decide for the small ones."""
    t = np.arange(120.0)
    zigzag, sawtooth = np.where(t % 2 == 0, 1.0, -1.0) * 1e3, t % 8
    y = np.concatenate([zigzag, *[sawtooth] * 6])[:, None]
    bounds = np.arange(8) * 120
    y[np.arange(20, 800, 40)] = N
    assert Imputer.fit(y, bounds, bounds[1:], 2).methods == ("linear",)
    alone = Imputer.fit(y[:120], bounds[:2], bounds[1:2], 2)
    assert alone.methods == ("seasonal",)


@pytest.mark.parametrize("values", [
    column(*[N] * 10), column(1, *[N] * 9), column(1, N, 2), column(N, 1), column(*[1, N] * 20), column(1, 2, 3),
])  # fmt: skip
def test_little_to_choose_from(values):
    bounds = np.array([0, len(values)])
    fitted = Imputer.fit(values, bounds, bounds[1:], 12)
    assert fitted.methods[0] in METHODS
    filled = fitted.transform(values, bounds)
    assert np.isfinite(filled.carried).all()
    assert np.isfinite(filled.between).all()


def test_before_the_first_value_stands_the_mean_of_the_training_rows():
    values = column(N, 2, 4, N, N, N, 9, 50)
    fitted = Imputer.fit(values, np.array([0, 4, 8]), np.array([3, 6]), 1)
    assert fitted.fallback.tolist() == [[3.0], [3.0]]  # series 2 knows nothing in its training rows
    assert fitted.transform(values, np.array([0, 4, 8])).carried[:, 0].tolist() == [3, 2, 4, 4, 3, 3, 9, 50]
    one = fitted.transform(column(N, 1), np.array([0, 2]), series=np.array([1]))
    assert one.carried[:, 0].tolist() == [3, 1]


def test_it_is_plain_data():
    fitted = Imputer.fit(column(1, N, 3, 4), np.array([0, 4]), np.array([4]), 2)
    text = json.dumps({"methods": fitted.methods, "season": fitted.season, "fallback": fitted.fallback.tolist()})
    kept = json.loads(text)
    again = Imputer(tuple(kept["methods"]), np.array(kept["fallback"]), kept["season"])
    np.testing.assert_array_equal(again.fallback, fitted.fallback)
    assert again.methods == fitted.methods


def test_unknown_methods_and_stops():
    with pytest.raises(ValueError, match="unknown method 'mean' to fill missing values; expected one of last, linear"):
        Imputer.fit(column(1, 2), np.array([0, 2]), np.array([2]), 1, "mean")
    for stop in ([3], [1, 2], [-1]):
        with pytest.raises(ValueError, match="stop must be a row of each of the 1 series"):
            training_part(column(1, 2), np.array([0, 2]), np.array(stop))


def test_notes_say_what_was_filled_and_how():
    index = pd.date_range("2020-01-01", periods=10)
    frame = pd.DataFrame(
        {"y": [1, N, 3, N, 5, 6, 7, 9, N, N], "a": [N, N, 1, 2, 3, 4, 5, 6, N, N], "p": [1, 2, 3, 4, 5, 6, 5, 4, N, 8]},
        index,
    )
    table = prepare(frame, "y", past="a", future="p")
    fitted = Imputer(("linear", "last", "seasonal"), np.zeros((1, 3)), 2)
    assert fitted.notes(table) == [
        "2 missing values of 'y' were filled on the line between the known values beside them, or with the last one "
        "while the next is not known (first 2020-01-02).",
        "'a' has no value yet at 2 steps (first 2020-01-01): the mean of the training rows stands there.",
        "1 missing value of 'p' was filled with the value of the season before (first 2020-01-09).",
    ]
    assert fitted.notes(prepare(frame.fillna(0.5), "y", past="a", future="p")) == []
