"""Intervals that cover what they say: scores on curves, their ranks, and what may be known when."""

import numpy as np
import pytest

from minirnn.models.forecasting.fitting import shrunken
from minirnn.models.forecasting.intervals import ENOUGH, Calibration, at_score, normal_scores, score
from minirnn.params import QUANTILES


def curves(rng, *shape):
    return np.sort(rng.standard_normal((*shape, len(QUANTILES))), axis=-1)


def test_scores_and_values_are_inverse_to_each_other(rng):
    values = curves(rng, 40, 3)
    truth = 3 * rng.standard_normal((40, 3))  # beyond the ends too
    z = score(truth, values, QUANTILES)
    i = np.stack([[at_score(np.array(z[a, b]), values[a, b], QUANTILES) for b in range(3)] for a in range(40)])
    np.testing.assert_allclose(i, truth, atol=1e-9)
    np.testing.assert_allclose(score(values[..., 2], values, QUANTILES), normal_scores(QUANTILES)[2], atol=1e-9)


def test_intervals_cover_as_stated_whatever_the_shape_of_the_errors(rng):
    """Errors far from normal, curves far too narrow: with scores of the same kind the coverage is exact."""
    covered = {0.8: [], 0.95: []}
    for _ in range(40):
        errors = rng.exponential(2.0, (200 + 300, 2, 1)) - 1.0
        values = np.broadcast_to(0.1 * normal_scores(QUANTILES), (*errors.shape, len(QUANTILES)))
        scores = score(errors, values, QUANTILES)
        calibration = Calibration.of(scores[:200])
        ends = calibration.intervals(values[200:], QUANTILES, (0.8, 0.95))
        for level, hits in covered.items():
            low, high = ends[round((1 - level) / 2, 10)], ends[round((1 + level) / 2, 10)]
            hits.append(((errors[200:] >= low) & (errors[200:] <= high)).mean())
    assert np.mean(covered[0.8]) == pytest.approx(0.8, abs=0.01)
    assert np.mean(covered[0.95]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("count", [0, 3, ENOUGH - 1, ENOUGH, 200])
def test_wider_levels_hold_narrower_ones_however_few_scores_there_are(count, rng):
    calibration = Calibration.of(rng.standard_normal((count, 4, 2)))
    levels = (0.01, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.99)
    found = np.stack([calibration.quantile(level) for level in levels])
    assert (np.diff(found, axis=0) >= 0).all()
    assert np.isfinite(found).all()


def test_a_backtest_uses_the_errors_that_had_come_by_then_and_no_others(rng):
    calibration = Calibration.of(rng.standard_normal((60, 3, 1)))
    scores = 5 * rng.standard_normal((80, 3, 1))
    when = np.arange(80)
    before = calibration.rolling(scores, when, (0.8,))
    for end in (0.1, 0.9):
        np.testing.assert_allclose(before[end][0], calibration.quantile(end))  # nothing has come yet
        assert not np.allclose(before[end][-1], calibration.quantile(end))
    changed = scores.copy()
    changed[40:] = 100.0
    after = calibration.rolling(changed, when, (0.8,))
    np.testing.assert_array_equal(after[0.9][:41], before[0.9][:41])
    assert not np.array_equal(after[0.9][42:], before[0.9][42:])
    # One step ahead of origin 40 comes at 41, three steps ahead at 43.
    assert after[0.9][41, 0] > before[0.9][41, 0]
    np.testing.assert_array_equal(after[0.9][42, 2], before[0.9][42, 2])


def test_missing_truths_have_no_say(rng):
    scores = rng.standard_normal((100, 2, 1))
    holes = np.concatenate([scores, np.full((50, 2, 1), np.nan)])
    np.testing.assert_array_equal(Calibration.of(holes).quantile(0.9), Calibration.of(scores).quantile(0.9))


@pytest.mark.parametrize("series", [1, 10, 50])
def test_a_gain_by_chance_gets_no_share_however_many_series_move_together(series, rng):
    """Gains of mean zero that all series of a time have in common: few of them may count."""
    times = np.tile(np.arange(60), series)
    shares = [shrunken(np.tile(rng.normal(size=60), series), times, 3) for _ in range(300)]
    assert np.mean(np.array(shares) > 0) < 0.08
    apart = rng.normal(size=(series, 60)) + 0.5  # a gain that more series make more certain
    assert series == 1 or shrunken(apart.ravel(), times, 3) > 0.6
