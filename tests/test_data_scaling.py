"""Standardising each series by its own training rows, and what stands in where these say nothing."""

import numpy as np
import pytest

from minirnn.data.scaling import Scaler

N = np.nan
BOUNDS = np.array([0, 50, 120, 150])
STOP = np.array([40, 90, 140])


@pytest.fixture
def values(rng):
    y = rng.normal(size=(150, 2)) * [1.0, 20.0] + [0.0, 1e3]
    y[50:120] *= 100
    y[rng.random(y.shape) < 0.2] = N
    return y


def test_each_series_has_mean_zero_and_spread_one_on_its_known_training_values(values):
    scaler = Scaler.fit(values, BOUNDS, STOP)
    assert scaler.mean.shape == scaler.std.shape == (3, 2)
    for k in range(3):
        rows = values[BOUNDS[k] : STOP[k]]
        np.testing.assert_allclose(scaler.mean[k], np.nanmean(rows, axis=0), rtol=1e-12)
        np.testing.assert_allclose(scaler.std[k], np.nanstd(rows, axis=0), rtol=1e-12)


def test_fitting_reads_no_row_after_the_training_part(values):
    fitted = Scaler.fit(values, BOUNDS, STOP)
    for junk in (N, 1e12):
        changed = values.copy()
        for k in range(3):
            changed[STOP[k] : BOUNDS[k + 1]] = junk
        again = Scaler.fit(changed, BOUNDS, STOP)
        assert (again.mean.tobytes(), again.std.tobytes()) == (fitted.mean.tobytes(), fitted.std.tobytes())
    assert Scaler.fit(values, BOUNDS, STOP - 1).mean.tobytes() != fitted.mean.tobytes()


def test_what_stands_in_for_series_that_say_nothing():
    y = np.array([[1.0, 5, 0], [3, 5, 0], [7, N, 0], [N, N, 0], [9, 5, 0], [9, 5, 0], [2, 8, 0], [8, 8, 0]])
    scaler = Scaler.fit(y, np.arange(0, 9, 2), np.arange(2, 9, 2))
    pooled = np.sqrt((1.0 + 9.0) / 2)
    np.testing.assert_allclose(scaler.std[:, 0], [1, pooled, pooled, 3])
    np.testing.assert_allclose(scaler.mean[:, 0], [2, 7, 9, 5])
    np.testing.assert_allclose(scaler.std[:, 1:], 1.0)
    np.testing.assert_allclose(scaler.mean[:, 1], [5, 6, 5, 8])  # the second series has the mean of the others


def test_a_constant_column_of_large_numbers_is_not_blown_up():
    for rows in range(1, 60):
        y = np.full((rows, 1), 0.1)
        assert Scaler.fit(y, np.array([0, rows]), np.array([rows])).std.tolist() == [[1.0]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_there_and_back_for_every_shape(values, dtype):
    scaler = Scaler.fit(values, BOUNDS, STOP)
    series = np.array([2, 0, 1, 1])
    windows = np.nan_to_num(values[:60]).reshape(4, 3, 5, 2).astype(dtype)
    scaled = scaler.transform(windows, series)
    assert scaled.dtype == dtype
    for i, k in enumerate(series):
        expected = (windows[i] - scaler.mean[k].astype(dtype)) / scaler.std[k].astype(dtype)
        np.testing.assert_array_equal(scaled[i], expected)
        np.testing.assert_array_equal(scaler.transform(windows[i], k), expected)
        np.testing.assert_array_equal(scaler.transform(windows[i, 0, 0], k), expected[0, 0])
    back = scaler.inverse(scaled, series)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, windows, rtol=1e-5, atol=1e-2 if dtype == np.float32 else 1e-9)
    for column in (0, 1):
        np.testing.assert_array_equal(scaler.inverse(scaled[..., column], series, column), back[..., column])
    np.testing.assert_array_equal(scaler.transform(values), scaler.transform(values, np.zeros(150, int)))
