"""The season is the one that repeats: the calendar's, another lag, or none."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn.data
from minirnn.data import calendar
from minirnn.data.season import guess_season
from minirnn.models.baselines import last_value, seasonal_naive


def train_part(name, column):
    y = np.array(minirnn.data.load(name)[column], float)
    return y[: round(len(y) * 0.6)]


@pytest.mark.parametrize(
    ("name", "column", "frequency", "season"),
    [
        ("air_passengers", "passengers", "MS", 12),
        ("elnino", "temperature", "MS", 12),
        ("co2", "co2", "W-SAT", 52),
        ("seattle_weather", "temp_max", "D", 365),  # a week says nothing about the weather
        ("seattle_weather", "temp_min", "D", 365),
        ("seattle_weather", "precipitation", "D", 1),
        ("seattle_weather", "wind", "D", 1),
        ("sunspots", "sunspots", "YS", 11),
    ],
)
def test_the_season_of_the_embedded_series(name, column, frequency, season):
    y = train_part(name, column)
    assert guess_season(y, frequency) == season
    y[5::19] = np.nan
    assert guess_season(y, frequency) == season
    assert guess_season(-3e200 * y, frequency) == season
    assert guess_season(y, frequency, longest=season // 2) == 1


@pytest.mark.parametrize(("name", "column", "season"), [("air_passengers", "passengers", 12), ("co2", "co2", 52)])
def test_the_season_is_found_without_a_calendar(name, column, season):
    assert guess_season(train_part(name, column), None) == season


def test_repeating_eleven_sunspot_years_beats_the_last_value_on_the_training_rows():
    y = train_part("sunspots", "sunspots")
    horizon = calendar.default_horizon("YS")
    origins = np.arange(33, len(y) - horizon)
    actual = y[origins[:, None] + np.arange(1, horizon + 1)]

    def error(forecast):
        return np.abs(forecast - actual).mean()

    errors = {season: error(seasonal_naive(y, origins, horizon, season)) for season in range(2, 60)}
    assert min(errors, key=errors.__getitem__) == 11
    assert errors[11] < 0.7 * error(last_value(y, origins, horizon))


def load(rows, seed, day=1.0, week=1.0, noise=0.2):
    """Hourly load: the hours of a day, at weekends less of them."""
    hours = np.arange(rows)
    weekend = (hours // 24) % 7 >= 5
    values = day * np.sin(2 * np.pi * hours / 24) - week * weekend
    return values + noise * np.random.default_rng(seed).normal(size=rows)


@pytest.mark.parametrize("seed", range(5))
def test_a_day_or_a_week_of_hours_by_which_repeats_better(seed):
    assert guess_season(load(1500, seed), "h") == 168
    assert guess_season(load(1500, seed, week=0.0), "h") == 24
    assert guess_season(load(1500, seed, week=0.0), None) == 24
    assert guess_season(load(1500, seed, week=0.0)[::3], "3h") == 8
    assert guess_season(load(1500, seed), "h", longest=100) == 24
    assert guess_season(load(300, seed), "h") == 24  # less than two weeks show no week
    assert guess_season(load(40, seed), "h") == 1


def test_a_longer_season_only_where_it_repeats_clearly_better():
    days, noise = np.arange(1500), np.random.default_rng(0).normal(size=1500)
    week = np.array([0, 1, 1, 1, 2, 5, 4])[days % 7]
    year = np.sin(2 * np.pi * days / 365.25)
    assert guess_season(week + 2 * year + 0.5 * noise, "D") == 7
    assert guess_season(0.1 * week + 5 * year + 0.5 * noise, "D") == 365


def noise_of(kind, rows, rng):
    steps = rng.standard_t(3, size=rows)
    return {"white": steps, "walk": np.cumsum(steps), "trend": np.arange(rows) + steps}[kind]


@pytest.mark.parametrize("frequency", [None, "YS", "MS", "D", "h", "W-SUN", "QS-JAN"])
@pytest.mark.parametrize("kind", ["white", "walk", "trend"])
def test_noise_has_no_season(kind, frequency):
    rng = np.random.default_rng(5)
    found = [guess_season(noise_of(kind, rows, rng), frequency) for rows in (20, 60, 200, 600, 1500) for _ in range(20)]
    assert sum(season != 1 for season in found) <= 4  # 1 of 100 on average


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(100),
        np.full(100, 1 / 3),
        np.arange(100.0) / 7,
        np.full(100, np.nan),
        np.where(np.arange(100) == 50, 1.0, np.nan),
        np.array([]),
        np.array([1.0]),
    ],
)
@pytest.mark.parametrize("frequency", [None, "MS", "D", "h", "ms", "2QS-JAN", "5h"])
def test_where_nothing_varies_there_is_no_season(y, frequency):
    assert guess_season(y, frequency) == 1


@settings(max_examples=60, deadline=None)
@given(
    y=st.lists(st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 2.0])), max_size=60),
    frequency=st.sampled_from([None, "YS", "QS", "MS", "W", "B", "D", "2D", "h", "bh", "5h", "s"]),
    longest=st.one_of(st.none(), st.integers(0, 60)),
)
def test_anything_has_an_answer_and_always_the_same(y, frequency, longest):
    before = np.array(y)
    with np.errstate(all="raise", under="ignore"):
        season = guess_season(before, frequency, longest)
    assert isinstance(season, int)
    assert 1 <= season <= max(1, len(y) // 2)
    assert season == 1 or longest is None or season <= longest
    assert guess_season(y, frequency, longest) == season
    np.testing.assert_array_equal(before, y)


def test_one_wrong_value_does_not_hide_the_season():
    y = load(1000, 0, week=0.0)
    y[500] = -9999
    assert guess_season(y, "h") == 24


@pytest.mark.parametrize("frequency", ["B", "bh", "MS", "QE-DEC", "W-MON", "15min", "2D", "5h", "2QS-JAN"])
def test_cycles_that_are_whole_numbers_of_steps_are_tried(frequency):
    season = {"B": 5, "bh": 8, "MS": 12, "QE-DEC": 4, "W-MON": 52, "15min": 96, "2D": 7, "5h": 24, "2QS-JAN": 2}[
        frequency
    ]
    pattern = np.random.default_rng(1).normal(size=season)
    y = np.tile(pattern, 8) + 0.1 * np.random.default_rng(2).normal(size=8 * season)
    assert guess_season(y, frequency) == season


def test_a_million_rows_take_seconds():
    y = load(1_000_000, 0, week=0.0)
    started = time.process_time()
    assert guess_season(y, "h") == 24
    assert time.process_time() - started < 30


def test_a_random_walk_of_two_years_has_no_year():
    # Pairs of rows are many there, but few of them are independent.
    walks = (np.cumsum(np.random.default_rng(seed).normal(size=800)) for seed in range(150))
    assert sum(guess_season(walk, "D") != 1 for walk in walks) <= 4
