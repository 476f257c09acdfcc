"""Metrics against numbers computed by hand, masks, and what is not defined."""

import numpy as np
import pytest

from minirnn.models import metrics

Y, P = np.array([2.0, 0.0, -4.0, 5.0]), np.array([1.0, 1.0, -4.0, 8.0])


def test_every_metric_equals_its_line_of_mathematics():
    assert metrics.mae(Y, P) == 5 / 4
    assert metrics.mse(Y, P) == 11 / 4
    assert metrics.rmse(Y, P) == pytest.approx(np.sqrt(11 / 4))
    assert metrics.mape(Y, P) == pytest.approx(100 * (1 / 2 + 0 + 3 / 5) / 3)  # the point whose truth is 0 is left out
    assert metrics.zeros(Y) == 1
    assert metrics.smape(Y, P) == pytest.approx(100 * (2 / 3 + 2 + 0 + 6 / 13) / 4)
    assert metrics.mase(Y, P, 2.0) == pytest.approx(5 / 8)
    assert metrics.rmsse(Y, P, 2.0) == pytest.approx(np.sqrt(11 / 4) / 2)
    assert metrics.pinball(Y, P, 0.9) == pytest.approx((0.9 * 1 + 0.1 * 1 + 0.1 * 3) / 4)
    assert metrics.coverage(Y, P - 1, P) == 2 / 4  # -4 and 0 lie on a border: inside
    assert metrics.width(P - 1, P + 2) == 3


def test_weighted_quantile_loss_is_the_mean_over_the_levels():
    quantiles = {0.1: P - 1, 0.9: P + 1}
    losses = [2 * 4 * metrics.pinball(Y, q, level) / np.abs(Y).sum() for level, q in quantiles.items()]
    assert metrics.wql(Y, quantiles) == pytest.approx(np.mean(losses))
    assert metrics.wql(np.zeros(4), quantiles) is None


@pytest.mark.parametrize("worst", [np.nan, np.inf, 1e300])
def test_what_is_masked_is_never_read(worst):
    mask = np.array([True, True, False, True])
    spoiled, forecast = np.where(mask, Y, worst), np.where(mask, P, worst)
    kept = metrics.table(Y[mask], P[mask], 2.0, 3.0)
    assert metrics.table(spoiled, forecast, 2.0, 3.0, mask) == kept
    quantiles = {0.1: forecast - 1, 0.5: forecast, 0.9: forecast + 1}
    expected = metrics.quantile_table(Y[mask], {level: q[mask] for level, q in quantiles.items()})
    assert metrics.quantile_table(spoiled, quantiles, mask) == expected
    assert list(expected) == ["pinball", "wQL", "coverage_80", "width_80"]
    with pytest.raises(ValueError, match="no point to score"):
        metrics.mae(Y, P, np.zeros(4, bool))


def test_what_is_not_defined_is_none():
    assert metrics.mape(np.zeros(3), np.ones(3)) is None
    assert metrics.mase(Y, P, 0.0) is None
    assert metrics.rmsse(Y, P, 0.0) is None
    assert metrics.smape(np.zeros(2), np.zeros(2)) == 0
    assert metrics.mse(np.array([1e200]), np.array([-1e200])) == np.inf


def test_every_point_has_the_scale_of_its_own_series():
    actual, forecast = np.zeros((3, 2, 1)), np.array([1.0, 10.0, 7.0])[:, None, None] * np.ones((3, 2, 1))
    scale = np.array([1.0, 10.0, 0.0])[:, None, None]  # the last series has none, and leaves the mean
    assert metrics.mase(actual, forecast, scale) == 1
    assert metrics.rmsse(actual, forecast, scale) == 1


def test_scales_are_errors_of_the_seasonal_naive_forecast_on_known_rows():
    train = np.array([1.0, 2.0, 4.0, np.nan, 7.0])
    known = np.isfinite(train)
    assert metrics.mase_scale(train, 2, known) == pytest.approx((3 + 3) / 2)
    assert metrics.rmsse_scale(train, 2, known) == pytest.approx(3)
    assert metrics.mase_scale(train, 9, known) == pytest.approx((1 + 2) / 2)  # shorter than a season: one step
    assert metrics.mase_scale(np.ones(1), 1) == metrics.rmsse_scale(np.ones(1), 1) == 0


def test_intervals_are_found_in_any_order():
    levels = {0.975: 4, 0.1: 2, 0.5: 0, 0.025: 1, 0.9: 3, 0.3: 9}
    assert metrics.intervals(levels) == {80: (2, 3), 95: (1, 4)}
