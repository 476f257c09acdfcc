"""Outliers: found where they are, not where there are none, and by the rows before them only."""

import numpy as np
import pandas as pd
import pytest

from minirnn.data import NAMES, load, outliers, prepare
from minirnn.data.calendar import season_length
from minirnn.data.outliers import Outliers

BOUNDS = np.array([0, 400, 700])
STOP = np.array([300, 600])


def noisy(rng):
    """Two series of different scale with a season of 12 and noise."""
    t = np.arange(400)
    first = np.sin(2 * np.pi * t / 12) + 0.1 * rng.normal(size=400)
    second = 1000 + 50 * np.sin(2 * np.pi * t[:300] / 12) + 5 * rng.normal(size=300)
    return np.concatenate([first, second])[:, None]


def test_spikes_are_found_and_nothing_else(rng):
    y = noisy(rng)
    assert not Outliers.fit(y, BOUNDS, STOP, 12).flags(y, BOUNDS).any()
    y[[50, 380, 500]] = [[19.0], [-19.0], [0.0]]
    fitted = Outliers.fit(y, BOUNDS, STOP, 12)
    assert fitted.seasonal.tolist() == [True]
    assert np.flatnonzero(fitted.flags(y, BOUNDS)).tolist() == [50, 380, 500]
    assert Outliers.fit(y, BOUNDS, STOP, 1).flags(y, BOUNDS)[:, 0].nonzero()[0].tolist() == [50, 380, 500]


@pytest.mark.parametrize(("season", "offsets"), [(None, range(1, 10)), (12, (12, 24, 36))])
def test_the_median_is_that_of_rows_before(season, offsets, rng):
    y = noisy(rng)[:, 0]
    y[rng.random(700) < 0.3] = np.nan
    found = outliers._medians(y, BOUNDS, season)
    for t in (*range(60), *range(395, 460)):
        first = 0 if t < 400 else 400
        near = [y[t - offset] for offset in offsets if t - offset >= first and not np.isnan(y[t - offset])]
        np.testing.assert_allclose(found[t], np.median(near) if 2 * len(near) > len(offsets) else np.nan)


def test_limits_of_a_series_are_its_own(rng):
    y = noisy(rng)
    y[500] = 1300.0
    y[40] = 3.0  # nothing to the second series, much to the first
    assert np.flatnonzero(Outliers.fit(y, BOUNDS, STOP, 12).flags(y, BOUNDS)).tolist() == [40, 500]


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(400),
        np.full(400, 1e9) + 1e-7 * np.sin(np.arange(400)),
        (np.arange(400) % 20 == 0) * 1.0,
        (np.arange(400) % 100 == 3) * 1.0,
        (np.arange(400) > 250) * 1.0,
        np.full(400, np.nan),
        np.where(np.arange(400) % 9 == 0, 1.0, np.nan),
        np.arange(400.0),
        np.exp(np.arange(400) / 200),
    ],
)
def test_columns_without_spread_are_not_all_outliers(column):
    y, bounds = column[:, None], np.array([0, 400])
    flags = Outliers.fit(y, bounds, np.array([300]), 7).flags(y, bounds)
    assert flags.sum() <= 4


def test_too_few_rows_to_judge_by():
    y = np.array([1.0, 2.0, 1.5, 1e6, 2.0, 1.0])[:, None]
    fitted = Outliers.fit(y, np.array([0, 6]), np.array([6]), 1)
    assert np.isinf([fitted.low, fitted.high]).all()
    assert not fitted.flags(y, np.array([0, 6])).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_embedded_series_have_few(name):
    table = prepare(load(name))
    stop = np.array([int(0.6 * len(table.values))])
    fitted = Outliers.fit(table.values, table.bounds, stop, season_length(table.frequency))
    flags = fitted.flags(table.values, table.bounds)
    assert flags.sum() <= 0.003 * len(flags)
    assert len(fitted.notes(table)) == flags.any(axis=0).sum()


def test_fitting_reads_no_row_after_the_training_part(rng):
    y = noisy(rng)
    fitted = Outliers.fit(y, BOUNDS, STOP, 12)
    for junk in (np.nan, 1e9):
        changed = y.copy()
        changed[300:400] = changed[600:] = junk
        again = Outliers.fit(changed, BOUNDS, STOP, 12)
        for name in ("low", "high", "seasonal"):
            assert getattr(again, name).tobytes() == getattr(fitted, name).tobytes()
    assert Outliers.fit(y, BOUNDS, STOP - 1, 12).low.tobytes() != fitted.low.tobytes()


def test_clipping_reads_no_later_row_and_only_moves_outliers(rng):
    y = noisy(rng)
    y[[50, 380, 500]] = [[9.0], [-9.0], [0.0]]
    y[200:203] = np.nan
    fitted = Outliers.fit(y, BOUNDS, STOP, 12)
    flags, clipped = fitted.flags(y, BOUNDS), fitted.clip(y, BOUNDS)
    np.testing.assert_array_equal(clipped[~flags], y[~flags])
    assert 1 < clipped[50, 0] < 4
    assert -4 < clipped[380, 0] < -1
    assert 800 < clipped[500, 0] < 1040
    for t in (49, 50, 100, 399, 400, 420, 500):
        changed = y.copy()
        changed[t + 1 :] = 7e7
        np.testing.assert_array_equal(fitted.clip(changed, BOUNDS)[: t + 1], clipped[: t + 1])


def test_long_rows_are_taken_in_blocks(rng, monkeypatch):
    y = noisy(rng)
    whole = Outliers.fit(y, BOUNDS, STOP, 12)
    monkeypatch.setattr("minirnn.data.outliers._BLOCK", 37)
    parts = Outliers.fit(y, BOUNDS, STOP, 12)
    assert (whole.low.tobytes(), whole.high.tobytes()) == (parts.low.tobytes(), parts.high.tobytes())


def test_notes_say_how_many_where_first_and_how_large(rng):
    y = noisy(rng)[:400]
    y[[50, 80]] = 9.25
    frame = pd.DataFrame({"load": y[:, 0]}, index=pd.date_range("2020-01-01", periods=400))
    table = prepare(frame)
    fitted = Outliers.fit(table.values, table.bounds, np.array([300]), 12)
    assert fitted.notes(table) == [
        "'load' holds 2 outliers (first 2020-02-20: 9.25), beyond 6 robust standard deviations of the training rows; "
        "left as found."
    ]
    clean = prepare(frame.mask(frame > 5))
    assert fitted.notes(clean) == []
