"""The calendar in NumPy is the calendar of pandas: every alias, every start; and no pandas is loaded for it."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minirnn.data import calendar, frequency

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
PLAIN = ("us", "ms", "s", "min", "h", "bh", "D", "B", "W", "MS", "ME", "BMS", "BME")
EDGES = ("QS", "QE", "BQS", "BQE", "YS", "YE", "BYS", "BYE")
ALIASES = (
    *PLAIN,
    *EDGES,
    *(f"W-{day}" for day in DAYS),
    *(f"{edge}-{month}" for edge in EDGES for month in MONTHS),
    *(f"WOM-{week}{day}" for week in (1, 2, 3, 4) for day in DAYS),
)
OLD = {"H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "BH": "bh", "M": "ME", "BM": "BME", "A-MAR": "YE-MAR"}
OLD |= {"Q-FEB": "QE-FEB", "BQ": "BQE", "Y": "YE", "AS": "YS", "BA-JUN": "BYE-JUN", "BAS-JUL": "BYS-JUL", "BY": "BYE"}

starts = st.datetimes(min_value=pd.Timestamp("1800-01-01"), max_value=pd.Timestamp("2100-01-01"))
counts = st.integers(1, 5)


def of_pandas(start, steps: int, alias: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # business hours: pandas says that its own steps are not vectorised
        times = pd.date_range(pd.Timestamp(start).as_unit("us"), periods=steps + 1, freq=alias)
    return times[1:].to_numpy().astype("datetime64[us]")


@pytest.mark.parametrize("alias", ALIASES)
@settings(max_examples=15, deadline=None)
@given(start=starts, count=counts)
@example(start=pd.Timestamp("2024-02-29").to_pydatetime(), count=1)  # on a month's end, in a leap year
@example(start=pd.Timestamp("2023-12-30 23:59").to_pydatetime(), count=2)  # a Saturday
@example(start=pd.Timestamp("2024-01-01 09:00").to_pydatetime(), count=3)  # on nearly every grid
@example(start=pd.Timestamp("2024-01-05 17:00").to_pydatetime(), count=1)  # when business closes, on a Friday
def test_the_times_that_follow_are_those_of_pandas(alias, start, count):
    name = f"{count}{alias}" if count > 1 else alias
    ours = calendar.later(start, 7, name)
    assert ours.dtype == "datetime64[us]"
    np.testing.assert_array_equal(ours, of_pandas(start, 7, name))


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_names_before_pandas_2_2_mean_the_same(old, new):
    assert frequency.parse(old) == frequency.parse(new)
    assert frequency.parse(f"3{old}") == frequency.parse(f"3{new}")
    assert calendar.unit_of(old) == calendar.unit_of(new)


@pytest.mark.parametrize("alias", ["36h", "90min", "15min", "250ms", "10s", "7W-MON", "5MS", "2BQE-NOV"])
def test_what_pandas_makes_of_an_offset_is_understood(alias):
    assert pd.tseries.frequencies.to_offset(alias).freqstr == alias  # what a table records
    parts = frequency.parse(alias)
    assert f"{parts.units}{alias.lstrip('0123456789')}" == alias


@pytest.mark.parametrize(
    "alias",
    ["", "0D", "-1D", "x", "d-MON", "W-XXX", "QS-SUN", "MS-JAN", "WOM-5FRI", "ns", "D\n", "1.5h", "\u0661D", None],
)
def test_what_is_no_frequency_is_said_in_one_line(alias):
    with pytest.raises(ValueError, match="expected a pandas alias such as 'h'") as error:
        frequency.parse(alias)
    assert "\n" not in str(error.value)


def test_a_step_beyond_a_thousand_years_is_refused():
    assert calendar.later(np.datetime64("1970-01-01"), 1, "1000YS") == np.datetime64("2970-01-01")
    for alias in ("1001YS", "999999999999999999W"):
        with pytest.raises(ValueError, match="more than 1000 years"):
            frequency.parse(alias)


@pytest.mark.parametrize("alias", ["D", "B", "W-SAT", "h", "BMS", "ME", "BQE-FEB", "YE-FEB", "WOM-2TUE", "bh"])
@given(start=starts, centuries=st.sampled_from([-40, -8, 4, 100]))
@settings(max_examples=15, deadline=None)
def test_no_year_is_too_early_or_too_late(alias, start, centuries):
    # The calendar, its weekdays too, repeats after 400 years; in nanoseconds the years would end at 1677 and 2262.
    assert centuries % 4 == 0
    moved = np.timedelta64(146097 * centuries // 4, "D")
    here = np.datetime64(start, "us")
    np.testing.assert_array_equal(calendar.later(here + moved, 9, alias), calendar.later(here, 9, alias) + moved)


def test_without_times_rows_are_counted():
    following = calendar.later(np.int64(99), 3, None)
    assert following.dtype == np.int64
    assert following.tolist() == [100, 101, 102]
    assert calendar.later(np.datetime64("2024-01-01"), 0, "D").shape == (0,)
    assert calendar.cycles(None) == ()
    names, values = calendar.calendar_features(np.arange(4), None)
    assert (names, values.shape) == ((), (4, 0))
    assert [calendar.steps_in_words(n, None) for n in (1, 2)] == ["1 row", "2 rows"]
    assert (calendar.default_horizon(None), calendar.default_window(None, 5)) == (5, 24)
    assert np.isnan(calendar.step_days(None))


@settings(max_examples=50, deadline=None)
@given(times=st.lists(starts, min_size=1, max_size=5), unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_phases_are_those_of_pandas(times, unit):
    index = pd.DatetimeIndex(pd.to_datetime(times)).as_unit(unit)
    clock = ((index - index.normalize()) / pd.Timedelta(days=1)).to_numpy()
    expected = {
        "day": clock,
        "week": (index.day_of_week.to_numpy() + clock) / 7,
        "year": (index.day_of_year.to_numpy() - 1 + clock) / np.where(index.is_leap_year, 366, 365),
    }
    for cycle in calendar.cycles("h"):
        for same in (index, index.to_numpy()):
            np.testing.assert_array_equal(calendar.phases(same, cycle), expected[cycle.name])


@pytest.mark.parametrize(
    ("alias", "names"),
    [
        ("15min", ("year", "week", "day")),
        ("bh", ("year", "week", "day")),
        ("12h", ("year", "week")),
        ("B", ("year", "week")),
        ("D", ("year", "week")),
        ("W-SUN", ("year",)),
        ("QS-JAN", ("year",)),
        ("2QS-JAN", ()),
        ("YE-DEC", ()),
    ],
)
def test_features_are_what_the_frequency_resolves(alias, names):
    found, values = calendar.calendar_features(calendar.later(np.datetime64("2024-01-01"), 3, alias), alias)
    assert found == tuple(f"{name}_{wave}" for name in names for wave in ("sin", "cos"))
    assert values.shape == (3, len(found))
    assert values.dtype == np.float64


def test_business_hours_have_a_day_of_eight_and_a_week_of_forty():
    week = calendar.later(np.datetime64("2024-01-01T09"), 40, "bh")
    assert week[-1] == np.datetime64("2024-01-08T09")
    assert calendar.season_length("bh") == 8
    assert calendar.step_days("bh") * 40 == pytest.approx(7)


def test_the_calendar_loads_no_pandas():
    code = """
import sys
import numpy as np
import minirnn.data
from minirnn.data import calendar, season
times = calendar.later(np.datetime64("2024-01-31"), 30, "D")
calendar.calendar_features(times, "D")
season.guess_season(np.arange(30.0), "D")
print([name for name in ("pandas", "jax", "matplotlib") if name in sys.modules], dir(minirnn.data))
minirnn.data.DataError
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("[] ")
    assert "'read_csv'" in result.stdout


def test_an_unknown_name_of_the_data_room_is_refused():
    import minirnn.data

    with pytest.raises(AttributeError, match="no attribute 'raed_csv'"):
        _ = minirnn.data.raed_csv
