"""The embedded series: their figures, their description, their size, and the error for a wrong name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import minirnn.data
from minirnn.data import NAMES, DataError, load, read_csv
from minirnn.data.embedded import path_of

# name: rows, frequency, first and last time; per column: first, middle (row n // 2), last value, sum, gaps
FIGURES = {
    "seattle_weather": (
        1461,
        "D",
        "2012-01-01",
        "2015-12-31",
        {
            "precipitation": (0.0, 0.5, 0.0, 4426.0, 0),
            "temp_max": (12.8, 8.3, 5.6, 24017.5, 0),
            "temp_min": (5.0, 5.0, -2.1, 12031.0, 0),
            "wind": (4.7, 1.7, 3.5, 4735.3, 0),
        },
    ),
    "co2": (2284, "W-SAT", "1958-03-29", "2001-12-29", {"co2": (316.1, 338.6, 371.5, 756816.5, 59)}),
    "sunspots": (309, "YS-JAN", "1700-01-01", "2008-01-01", {"sunspots": (5.0, 20.6, 2.9, 15373.4, 0)}),
    "elnino": (732, "MS", "1950-01-01", "2010-12-01", {"temperature": (23.11, 21.26, 22.07, 16903.8, 0)}),
    "air_passengers": (
        144,
        "MS",
        "1949-01-01",
        "1960-12-01",
        {"passengers": (112.0, 242.0, 432.0, 40363.0, 0)},
    ),
}


def test_names_are_the_five_series():
    assert list(NAMES) == list(FIGURES)


@pytest.mark.parametrize("name", NAMES)
def test_known_figures(name):
    rows, frequency, start, end, columns = FIGURES[name]
    frame = load(name)
    assert len(frame) == rows
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame.index.name == "date"
    assert frame.index.freqstr == frequency
    assert frame.index[0] == pd.Timestamp(start)
    assert frame.index[-1] == pd.Timestamp(end)
    numeric = frame.select_dtypes("number")
    assert list(numeric) == list(columns)
    assert set(numeric.dtypes) == {np.dtype("float64")}
    for column, (first, middle, last, total, gaps) in columns.items():
        values = frame[column]
        assert (values.iloc[0], values.iloc[rows // 2], values.iloc[-1]) == (first, middle, last)
        assert values.sum() == pytest.approx(total, abs=1e-6)
        assert values.isna().sum() == gaps


def test_months_of_the_reshaped_series_are_in_the_right_places():
    temperature = load("elnino")["temperature"]
    # 1950 in the order January to December, as in the table of years and months
    assert temperature["1950"].tolist() == [
        23.11, 24.2, 25.37, 23.86, 23.03, 21.57, 20.63, 20.15, 19.67, 20.03, 20.02, 21.8,
    ]  # fmt: skip
    passengers = load("air_passengers")["passengers"]
    assert passengers.idxmax() == pd.Timestamp("1960-07-01")
    assert passengers.max() == 622.0


def test_the_gaps_of_the_co2_series_are_where_they_were():
    missing = load("co2")["co2"].isna()
    assert missing.idxmax() == pd.Timestamp("1958-05-10")
    assert missing["1964-01-25":"1964-05-23"].all()
    assert missing["1964-01-25":"1964-05-23"].size == 18
    assert not missing["1986":].any()


def test_the_weather_is_text():
    weather = load("seattle_weather")["weather"]
    assert all(type(cell) is str for cell in weather)
    assert weather.value_counts().to_dict() == {
        "sun": 714,
        "fog": 411,
        "rain": 259,
        "drizzle": 54,
        "snow": 23,
    }
    assert weather.iloc[[0, 1, -1]].tolist() == ["drizzle", "rain", "sun"]


@pytest.mark.parametrize("name", NAMES)
def test_attributes_describe_every_column(name):
    frame = load(name)
    assert set(frame.attrs) == {"title", "units", "source", "licence"}
    assert list(frame.attrs["units"]) == list(frame.columns)
    assert all(isinstance(frame.attrs[key], str) and frame.attrs[key] for key in ("title", "source", "licence"))


def test_two_loads_share_nothing():
    frame = load("co2")
    frame.attrs["units"]["co2"] = "wrong"
    frame.iloc[0] = -1.0
    assert load("co2").attrs["units"] == {"co2": "ppmv"}
    assert load("co2")["co2"].iloc[0] == 316.1


def test_the_files_are_small_and_described():
    folder = Path(minirnn.data.__file__).parent / "series"
    files = sorted(folder.glob("*.csv"))
    assert sorted(NAMES) == [file.stem for file in files]
    assert sum(file.stat().st_size for file in files) < 150_000
    described = (folder / "SOURCES.md").read_text(encoding="utf-8")
    assert all(f"## {name}.csv" in described for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_plain(name):
    header, *lines = path_of(name).read_bytes().decode("ascii").rstrip("\n").split("\n")
    assert header.startswith("date,")
    for line in lines:
        date, *cells = line.split(",")
        assert pd.Timestamp(date).strftime("%Y-%m-%d") == date
        assert all(len(cell) <= 7 for cell in cells), line  # no float noise


@pytest.mark.parametrize("name", NAMES)
def test_the_csv_door_reads_what_load_gives(name):
    frame = load(name)
    column = next(iter(FIGURES[name][4]))
    table = read_csv(path_of(name), target=column)
    known = frame[column].notna()
    assert table.frequency == FIGURES[name][1]
    assert list(table.frame.index) == list(frame.index)
    assert (table.frame[column][known] == frame[column][known]).all()
    assert table.observed[column].tolist() == known.tolist()


@pytest.mark.parametrize(
    ("name", "suggested"), [("seatle", "seattle_weather"), ("CO", "co2"), ("airpassengers", "air_passengers")]
)
def test_an_unknown_name_is_answered_in_one_line(name, suggested):
    with pytest.raises(DataError) as caught:
        load(name)
    message = str(caught.value)
    assert "\n" not in message
    assert repr(name) in message
    assert f"did you mean {suggested!r}?" in message
    assert all(repr(known) in message for known in NAMES)


def test_a_name_like_no_other_gets_the_list_only():
    with pytest.raises(DataError) as caught:
        load("zzzzzz")
    assert "did you mean" not in str(caught.value)
    assert "'sunspots'" in str(caught.value)
