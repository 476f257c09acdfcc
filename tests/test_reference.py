"""What windows are measured from: a linear map of the last rows, which repeats what repeats."""

import numpy as np
import pytest

from minirnn.models.forecasting.reference import Reference

VARIANTS = [
    Reference(window=5, horizon=4),
    Reference(window=7, horizon=3, alpha=0.3),
    Reference(window=6, horizon=9, alpha=1.0, season=4, gamma=0.0, seasons=3),
    Reference(window=9, horizon=5, alpha=0.4, season=3, gamma=0.5, seasons=4),
]


@pytest.mark.parametrize("reference", VARIANTS)
def test_the_maps_are_what_reading_the_rows_gives(reference, rng):
    for available in range(reference.least, reference.reach + 3):
        z = rng.standard_normal(available)
        maps = reference.maps(available)
        padded = np.concatenate([np.full(max(reference.reach - available, 0), 1e3), z])[-reference.reach :]
        for found, expected in zip(maps, reference.read(z[-int(reference.readable(available)) :])):
            np.testing.assert_allclose(padded @ found, expected, atol=1e-10)


@pytest.mark.parametrize("reference", VARIANTS)
def test_a_shift_of_all_rows_shifts_the_reference_and_no_deviation(reference, rng):
    z = rng.standard_normal(reference.reach)
    (d0, a0, l0), (d1, a1, l1) = reference.read(z), reference.read(z + 7.0)
    np.testing.assert_allclose(d1, d0, atol=1e-12)
    np.testing.assert_allclose(a1, a0 + 7.0)
    np.testing.assert_allclose(l1, l0 + 7.0)


@pytest.mark.parametrize("reference", VARIANTS)
def test_deviations_and_reference_give_the_rows_back(reference, rng):
    """The season of the window is that of the rows ahead, a whole number of seasons earlier."""
    z = rng.standard_normal(reference.reach)
    deviations, ahead, level = reference.read(z)
    m = reference.season
    for i in range(reference.window):
        row = i - reference.window  # -1 is the origin
        same = row % m if m > 1 else 0  # the row ahead of this place in the season
        season = ahead[same] - level if same < reference.horizon else None
        if season is not None:
            np.testing.assert_allclose(deviations[i] + level + season, z[row], atol=1e-12)


def test_what_repeats_exactly_is_forecast_exactly():
    season = np.array([3.0, -1.0, 4.0, -6.0])
    z = 10.0 + np.tile(season, 5)
    for gamma in (0.0, 0.4, 1.0):
        reference = Reference(window=6, horizon=7, alpha=0.3, season=4, gamma=gamma, seasons=3)
        deviations, ahead, level = reference.read(z)
        np.testing.assert_allclose(deviations, 0, atol=1e-12)
        np.testing.assert_allclose(ahead, 10.0 + np.resize(season, 7))
        np.testing.assert_allclose(level, 10.0)


def test_alpha_one_takes_the_last_value_and_small_ones_the_mean():
    z = np.arange(10.0)
    assert Reference(window=4, horizon=1, alpha=1.0).read(z)[2] == 9.0
    np.testing.assert_allclose(Reference(window=4, horizon=1, alpha=1e-9).read(z)[2], 7.5, atol=1e-6)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="7 rows; the reference reads at least 8"):
        Reference(window=5, horizon=1, season=4).maps(7)
