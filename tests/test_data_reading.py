"""The door for files and frames: every repair, every refusal, and that nothing leaks backward in time."""

import re

import numpy as np
import pandas as pd
import pytest

from minirnn.data import DataError, load, prepare, read_csv

# What pandas calls calendar quarters: QS-JAN or, in earlier versions, QS-OCT.
QUARTERS = prepare(pd.Series(range(5), index=pd.date_range("2020-01-01", periods=5, freq="QS"))).frequency


def days(number, start="2020-01-01", step="D"):
    return [str(day.date()) for day in pd.date_range(start, periods=number, freq=step)]


def text(times, values=None, header="date,y", mark=","):
    values = range(1, len(times) + 1) if values is None else values
    return "\n".join([header, *(f"{time}{mark}{value}" for time, value in zip(times, values))]) + "\n"


@pytest.fixture
def read(tmp_path):
    def read(content, name="load.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_csv(path, **options)

    return read


def values(table, column=None):
    """The cells of a column, None where the source holds no value."""
    return [None if np.isnan(value) else value for value in table.frame[column or table.target]]


def told(table):
    """The notes, without what a file turned out to be."""
    return tuple(
        note for note in table.notes if not re.match(r"The column .* holds the times|To forecast|The delim", note)
    )


# plain files --------------------------------------------------------------------------------------


def test_a_clean_file_needs_no_notes(read):
    table = read("date,a,y\n2020-01-01,5,1.5\n2020-01-02,6,2.5\n2020-01-03,4,-3e1\n", target="y")
    assert values(table) == [1.5, 2.5, -30.0]
    assert values(table, "a") == [5.0, 6.0, 4.0]
    assert table.frame.dtypes.tolist() == [np.dtype("float64")] * 2
    assert table.observed.to_numpy().all()
    assert table.observed.shape == table.frame.shape
    assert (table.date_column, table.frequency, table.target) == ("date", "D", "y")
    assert (table.title, table.units, told(table)) == ("load", {}, ())
    assert table.frame.index.freqstr == "D"
    assert table.frame.index.name == "date"


@pytest.mark.parametrize(
    "content",
    [
        "date,y\n2020-01-01,1.5\n2020-01-02,-2.25\n",
        "date;y\n2020-01-01;1.5\n2020-01-02;-2.25\n",
        "date;y\n2020-01-01;1,5\n2020-01-02;-2,25\n",
        "date\ty\n2020-01-01\t1.5\n2020-01-02\t-2.25\n",
        "\ufeffdate,y\r\n2020-01-01,1.5\r\n2020-01-02,-2.25\r\n",
        "\n date , y \n\n2020-01-01 , 1.5\n2020-01-02,-2.25\n,\n\n",
        '"date","y"\n"2020-01-01","1.5"\n"2020-01-02","-2.25"\n',
        "date,y,\n2020-01-01,1.5,\n2020-01-02,-2.25,\n",
        ",y\n2020-01-01,1.5\n2020-01-02,-2.25\n",
        "y,date\n1.5,2020-01-01\n-2.25,2020-01-02\n",
        ",date,y\n0,2020-01-01,1.5\n1,2020-01-02,-2.25\n",
    ],
)
def test_the_same_figures_in_many_dresses(read, content):
    table = read(content)
    assert values(table) == [1.5, -2.25]
    assert list(table.frame) == ["y"]
    assert table.date_column == "date"
    assert table.frame.index.strftime("%Y-%m-%d").tolist() == ["2020-01-01", "2020-01-02"]


def test_a_decimal_comma_is_noted_and_thousands_are_understood(read):
    table = read("date;y\n2020-01-01;12\n2020-01-02;1.234,5\n2020-01-03;-0,5\n")
    assert values(table) == [12.0, 1234.5, -0.5]
    assert told(table) == ("Commas in numbers were read as decimal commas (first in line 3).",)


def test_a_number_that_can_only_be_decimal_settles_what_points_part(read):
    table = read("date;a;y\n2020-01-01;1.5;45.125\n2020-01-02;2.5;46.037\n")
    assert values(table) == [45.125, 46.037]


def test_counting_columns_are_left_out_with_a_note(read):
    table = read(",date,y\n0,2020-01-01,3\n1,2020-01-02,1\n")
    assert told(table) == ("Left out the nameless column 1: it only counts the rows.",)


@pytest.mark.parametrize("spelling", ["", "NA", "NaN", "nan", "null", "None", "-", "?", "n/a", " "])
def test_the_usual_spellings_of_missing(read, spelling):
    table = read(text(days(5), [1, 2, spelling, 4, 5]))
    assert values(table) == [1.0, 2.0, None, 4.0, 5.0]
    assert table.observed["y"].tolist() == [True, True, False, True, True]
    assert told(table) == ()


# dates --------------------------------------------------------------------------------------------


def times_of(table):
    return [str(time) for time in table.frame.index[:3]]


@pytest.mark.parametrize(
    ("cells", "expected", "frequency"),
    [
        (["2020/01/30", "2020/01/31", "2020/02/01"], "2020-01-30 00:00:00", "D"),
        (["20200130", "20200131", "20200201"], "2020-01-30 00:00:00", "D"),
        (["2020-01-30 13:00", "2020-01-30 14:00", "2020-01-30 15:00"], "2020-01-30 13:00:00", "h"),
        (["2020-01-30T13:15", "2020-01-30T13:30", "2020-01-30T13:45"], "2020-01-30 13:15:00", "15min"),
        (["1/30/2020 11:00 PM", "1/31/2020 12:00 AM", "1/31/2020 1:00 AM"], "2020-01-30 23:00:00", "h"),
        (["30.01.2020 9:30", "30.01.2020 10:00", "30.01.2020 10:30"], "2020-01-30 09:30:00", "30min"),
        (["01/30/20", "01/31/20", "02/01/20"], "2020-01-30 00:00:00", "D"),
        (["Jan 2020", "Feb 2020", "Mar 2020"], "2020-01-01 00:00:00", "MS"),
        (["30-Jan-2020", "31-Jan-2020", "01-Feb-2020"], "2020-01-30 00:00:00", "D"),
        (['"January 30, 2020"', '"January 31, 2020"', '"February 1, 2020"'], "2020-01-30 00:00:00", "D"),
        (["2020-01", "2020-02", "2020-03"], "2020-01-01 00:00:00", "MS"),
        (["2020Q1", "2020Q2", "2020Q3"], "2020-01-01 00:00:00", QUARTERS),
        (["202001", "202002", "202003"], "2020-01-01 00:00:00", "MS"),
        (["1580342400", "1580428800", "1580515200"], "2020-01-30 00:00:00", "D"),
        (["1580342400000", "1580428800000", "1580515200000"], "2020-01-30 00:00:00", "D"),
    ],
)
def test_ways_to_write_a_time(read, cells, expected, frequency):
    table = read(text(cells))
    assert times_of(table)[0] == expected
    assert table.frequency == frequency
    assert values(table) == [1.0, 2.0, 3.0]


def test_years_are_dates_by_name_or_when_nothing_else_is(read):
    years = list(range(1990, 1996))
    assert times_of(read(text(years, header="year,y")))[0] == "1990-01-01 00:00:00"
    assert times_of(read(text(years, header="x,y")))[0] == "1990-01-01 00:00:00"
    # Figures that look like years do not win over a column of real dates.
    table = read("sales,when\n" + "".join(f"{1500 + i * i},{day}\n" for i, day in enumerate(days(6))))
    assert (table.date_column, table.target) == ("when", "sales")
    assert values(table) == [1500.0, 1501.0, 1504.0, 1509.0, 1516.0, 1525.0]


def test_the_first_column_of_dates_is_taken_and_another_can_be_named(read):
    content = "a,b,y\n" + "".join(f"{a},{b},{i}\n" for i, (a, b) in enumerate(zip(days(4), days(4, "1990-05-01"))))
    first = read(content)
    assert first.date_column == "a"
    assert told(first) == ("Left out 'b': it holds text, not numbers.",)
    second = read(content, date_column="b")
    assert times_of(second)[0] == "1990-05-01 00:00:00"


def written(form, start, number, step):
    return text([f"{time:{form}}" for time in pd.date_range(start, periods=number, freq=step)])


def test_proven_orders_of_day_and_month_need_no_note(read):
    month_first = read(written("%m/%d/%Y", "2020-01-01", 20, "D"))
    day_first = read(written("%d/%m/%Y", "2020-01-01", 20, "D"))
    assert times_of(month_first) == times_of(day_first) == [f"2020-01-0{i} 00:00:00" for i in (1, 2, 3)]
    assert told(month_first) == told(day_first) == ()


def test_regular_steps_settle_the_order_and_are_noted(read):
    table = read(written("%d/%m/%Y", "2020-01-01", 30, "MS"))
    assert (table.frequency, times_of(table)[1]) == ("MS", "2020-02-01 00:00:00")
    assert len(told(table)) == 1
    assert "read as day/month because only then are the steps between them regular" in told(table)[0]


def test_an_ambiguous_order_is_noted(read):
    slashes = read(written("%m/%d/%Y", "2020-01-01", 10, "D"))
    assert (slashes.frequency, times_of(slashes)[1]) == ("D", "2020-01-02 00:00:00")
    assert "read as month/day because nothing in the file settles it" in told(slashes)[0]
    dots = read(written("%d.%m.%Y", "2020-01-01", 10, "MS"))
    assert (dots.frequency, times_of(dots)[1]) == ("MS", "2020-02-01 00:00:00")
    assert "read as day/month because that is usual with dots" in told(dots)[0]


def test_times_with_a_zone_become_utc_with_a_note(read):
    table = read(text([f"2020-01-0{i} 01:00:00+02:00" for i in (1, 2, 3)]))
    assert times_of(table)[0] == "2019-12-31 23:00:00"
    assert table.frame.index.tz is None
    assert told(table) == ("The times in 'date' have a time zone; they were converted to UTC.",)


@pytest.mark.parametrize(
    "cells",
    [
        ["Jan-10", "Feb-10", "Mar-10"],
        ["jan 10", "feb 10", "mar 10"],
        ["Jan '10", "Feb '10", "Mar '10"],
        ["January 2010", "February 2010", "March 2010"],
        ["Jan-2010", "Feb-2010", "Mar-2010"],
    ],
)
def test_a_month_and_a_year_are_the_first_of_the_month(read, cells):
    table = read(text(cells))
    assert times_of(table) == ["2010-01-01 00:00:00", "2010-02-01 00:00:00", "2010-03-01 00:00:00"]
    assert table.frequency == "MS"
    short = not cells[0].endswith("2010")
    assert told(table) == (("Two-digit years in 'date' were read as 1969 to 2068.",) if short else ())


def test_local_midnights_stay_days_over_a_change_of_the_clock(read):
    index = pd.date_range("2020-03-25", periods=10, freq="D", tz="Europe/Berlin")
    table = read(text([time.isoformat() for time in index]))
    assert (table.frequency, times_of(table)[0]) == ("D", "2020-03-25 00:00:00")
    assert table.frame.index[-1] == pd.Timestamp("2020-04-03")
    assert told(table) == ("The times in 'date' are midnights with a time zone; their local dates were kept.",)
    assert prepare(pd.DataFrame({"y": range(10)}, index=index)).frequency == "D"


# columns, target ----------------------------------------------------------------------------------


def test_the_last_numeric_column_is_the_default_target(read):
    table = read("date,a,b,name\n2020-01-01,1,5,x\n2020-01-02,2,7,y\n2020-01-03,4,6,z\n")
    assert table.target == "b"
    assert told(table) == (
        "Left out 'name': it holds text, not numbers.",
        "The target is 'b', the last column with numbers; name it to forecast another: 'a'.",
    )
    assert read("date,a,b\n2020-01-01,1,5\n2020-01-02,2,7\n", target="a").target == "a"


def test_constant_and_empty_columns_are_left_out(read):
    table = read("date,y,c,e\n2020-01-01,1,7,\n2020-01-02,2,,\n2020-01-03,4,7,\n")
    assert list(table.frame) == ["y"]
    assert table.target == "y"
    assert told(table) == ("Left out 'e': it is empty.", "Left out 'c': it never changes.")


def test_columns_that_are_mostly_text_are_text(read):
    table = read("date,code,y\n2020-01-01,1,1\n2020-01-02,A,2\n2020-01-03,B,3\n2020-01-04,2,5\n")
    assert list(table.frame) == ["y"]


@pytest.mark.parametrize(
    ("cell", "bare"),
    [
        ("45.1 kWh", "45.1"),
        ("45%", "45"),
        ("$45", "45"),
        ('"1,234.50"', "1234.50"),
        ('"45,1 °C"', "45.1"),
    ],
)
def test_numbers_with_a_dress_are_shown_and_how_to_write_them(read, cell, bare):
    shown = cell.strip('"')
    with pytest.raises(DataError) as caught:
        read(text(days(2), [cell, cell]))
    assert f"line 2: 'y' holds '{shown}': write bare numbers like {bare}" in str(caught.value)
    table = read(f"date,a,y\n2020-01-01,{cell},1\n2020-01-02,{cell},2\n")
    assert told(table) == (f"Left out 'a': it holds text such as '{shown}'; write bare numbers like {bare}.",)


def test_true_and_false_are_one_and_zero(read):
    assert values(read(text(days(5), ["true", "FALSE", "", "True", "0"]))) == [1.0, 0.0, None, 1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "last"), [("n", [0, 1, 2, 3]), ("n", [1, 2, 3, 4]), ("n", [4, 3, 2, 1]), ("Weekday", [3, 4, 5, 6])]
)
def test_a_column_that_counts_is_not_the_default_target(read, name, last):
    content = f"date,y,{name}\n" + "".join(f"{day},{i * i},{n}\n" for i, (day, n) in enumerate(zip(days(4), last)))
    table = read(content)
    assert table.target == "y"
    assert told(table) == (
        "The target is 'y', the last column with numbers that does not only count rows or name a part of the date; "
        f"name it to forecast another: '{name}'.",
    )
    assert read(content, target=name).target == name


def test_a_code_for_missing_is_noted_and_kept(read):
    table = read(text(days(8), [1.5, 2, -9999, 3, 2.5, -9999, 1, 99]))
    assert values(table) == [1.5, 2.0, -9999.0, 3.0, 2.5, -9999.0, 1.0, 99.0]
    assert told(table) == (
        "'y' holds -9999 in 2 rows (first line 4), far from its other values; it was taken as a number: "
        'leave the cell empty if it stands for a missing value, or say missing=["-9999"].',
        "'y' holds 99 in 1 row (first line 9), far from its other values; it was taken as a number: "
        'leave the cell empty if it stands for a missing value, or say missing=["99"].',
    )
    assert told(read(text(days(6), [97, 98, 99, 101, 95, 99]))) == ()


# order, gaps, filling -----------------------------------------------------------------------------


def test_rows_out_of_order_are_sorted(read):
    table = read(text(["2020-01-03", "2020-01-01", "2020-01-02"], [30, 10, 20]))
    assert values(table) == [10.0, 20.0, 30.0]
    assert told(table) == ("The rows were not in order of time (first at line 3); they were sorted.",)


def test_exact_repetitions_are_dropped(read):
    table = read(text([*days(3), "2020-01-03", "2020-01-04"], [1, 2, 3, 3, 4]))
    assert values(table) == [1.0, 2.0, 3.0, 4.0]
    assert told(table) == ("Dropped 1 row that repeated another exactly (first line 5).",)


def test_missing_steps_are_inserted_and_stay_missing(read):
    table = read("date,a,y\n2020-01-01,8,1\n2020-01-02,9,2\n2020-01-04,7,4\n2020-01-05,,5\n", target="y")
    assert values(table) == [1.0, 2.0, None, 4.0, 5.0]
    assert values(table, "a") == [8.0, 9.0, None, 7.0, None]
    assert table.observed["y"].tolist() == [True, True, False, True, True]
    assert table.observed["a"].tolist() == [True, True, False, True, False]
    assert told(table) == ("Inserted 1 missing step of 'D' (first 2020-01-03).",)


def test_the_start_waits_for_the_target(read):
    table = read(
        "date,a,y\n2020-01-01,1,\n2020-01-02,,\n2020-01-03,,3\n2020-01-04,,4\n2020-01-05,7,5\n2020-01-06,,6\n2020-01-07,8,7\n"
    )
    assert times_of(table)[0] == "2020-01-03 00:00:00"
    assert values(table) == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert values(table, "a") == [None, None, 7.0, None, 8.0]
    assert table.observed["a"].tolist() == [False, False, True, False, True]
    assert told(table)[1:] == ("Dropped the first 2 rows: the target 'y' starts at 2020-01-03.",)


def test_rows_after_the_last_target_value_are_dropped(read):
    table = read(
        "date,a,y\n2020-01-01,8,1\n2020-01-02,9,\n2020-01-03,5,3\n2020-01-04,7,4\n2020-01-05,2,\n2020-01-06,1,\n"
    )
    assert values(table) == [1.0, None, 3.0, 4.0]
    assert table.frequency == "D"
    assert table.frame.index[-1] == pd.Timestamp("2020-01-04")
    assert told(table)[1] == "Dropped the last 2 rows, from 2020-01-05 on: the target 'y' has no value there."


def test_a_dropped_stray_row_leaves_no_filled_end():
    index = pd.date_range("2020-01-01", periods=30, freq="D")
    target = [*np.arange(29.0), np.nan, 7.0]
    table = prepare(pd.DataFrame({"y": target}, index=index.append(pd.DatetimeIndex(["2020-01-30 05:00"]))))
    assert list(table.frame.index) == list(index[:29])
    assert "Dropped 1 step after the target 'y' ends." in told(table)


# frequencies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(
    ("step", "start", "alias"),
    [
        ("D", "2020-01-01", "D"),
        ("2D", "2020-01-01", "2D"),
        ("B", "2020-01-01", "B"),
        ("W-SAT", "2020-01-04", "W-SAT"),
        ("2W-WED", "2020-01-01", "2W-WED"),
        ("MS", "2020-01-01", "MS"),
        ("ME", "2020-01-31", "ME"),
        ("BMS", "2020-01-01", "BMS"),
        ("BME", "2020-01-31", "BME"),
        ("QS-JAN", "2020-01-01", QUARTERS),
        ("QE-FEB", "2020-02-29", "QE-NOV"),
        ("YS-JAN", "1850-01-01", "YS-JAN"),
        ("YS-JUL", "1850-07-01", "YS-JUL"),
        ("YE-DEC", "2000-12-31", "YE-DEC"),
        ("2MS", "2020-01-01", "2MS"),
        ("h", "2020-01-01", "h"),
        ("15min", "2020-01-01 06:00", "15min"),
        ("30s", "2020-01-01", "30s"),
    ],
)
def test_frequencies_are_found_with_and_without_a_gap(step, start, alias, gap):
    index = pd.date_range(start, periods=30, freq=step)
    frame = pd.DataFrame({"y": np.arange(30.0)}, index=index)
    table = prepare(frame.drop(index[[7]]) if gap else frame)
    assert table.frequency == alias
    assert table.frame.index.freqstr == alias
    assert list(table.frame.index) == list(index)
    assert values(table) == [None if gap and i == 7 else float(i) for i in range(30)]
    assert table.observed["y"].tolist() == [not (gap and i == 7) for i in range(30)]
    assert any("Inserted 1 missing step" in note for note in told(table)) == gap


def test_holidays_on_business_days_are_gaps():
    index = pd.bdate_range("2024-12-02", "2025-01-31")
    table = prepare(pd.DataFrame({"y": np.arange(len(index)) % 7.0}, index=index).drop(["2024-12-25", "2025-01-01"]))
    assert table.frequency == "B"
    assert list(table.frame.index) == list(index)
    assert table.observed.index[~table.observed["y"]].strftime("%m-%d").tolist() == ["12-25", "01-01"]


def test_a_fixed_day_of_the_month_is_moved_to_the_first():
    index = pd.DatetimeIndex([f"20{year}-{month:02d}-15" for year in (20, 21) for month in range(1, 13)])
    table = prepare(pd.DataFrame({"y": np.arange(24.0)}, index=index))
    assert table.frequency == "MS"
    assert list(table.frame.index) == list(pd.date_range("2020-01-01", periods=24, freq="MS"))
    assert table.frame["y"].tolist() == list(range(24))
    assert told(table) == ("The times are on day 15 of the month; they were moved to the first.",)


def test_a_stray_row_is_dropped():
    index = pd.date_range("2020-01-01", periods=30, freq="D")
    stray = index.insert(10, pd.Timestamp("2020-01-10 05:00"))
    table = prepare(pd.DataFrame({"y": np.arange(31.0)}, index=stray))
    assert list(table.frame.index) == list(index)
    assert 10.0 not in table.frame["y"].tolist()
    assert told(table) == ("Dropped 1 row between the regular steps of 'D' (first row 10 (2020-01-10 05:00:00)).",)


def test_a_target_is_never_filled_from_later_rows_even_when_the_first_row_is_dropped():
    index = pd.date_range("2020-01-01", periods=30, freq="D").insert(0, pd.Timestamp("2019-12-31 05:00"))
    target = np.arange(31.0)
    target[1:3] = np.nan
    table = prepare(pd.DataFrame({"y": target}, index=index))
    assert list(table.frame.index) == list(index[3:])
    assert values(table) == target[3:].tolist()
    assert told(table)[1] == "Dropped 2 steps before the target 'y' starts."
    assert table.frame.index.freqstr == "D"


def test_two_rows_have_the_step_between_them(read):
    assert read(text(["2020-01-01", "2020-01-03"])).frequency == "2D"


# frames -------------------------------------------------------------------------------------------


def test_prepare_takes_titles_and_units_from_the_frame():
    table = prepare(load("seattle_weather"), target="temp_max")
    assert table.title == "Daily weather in Seattle, 2012-2015"
    assert table.units == {"precipitation": "mm", "temp_max": "°C", "temp_min": "°C", "wind": "m/s"}
    assert told(table) == ("Left out 'weather': it holds text, not numbers.",)
    assert prepare(load("co2"), title="Air", units={"co2": "ppm"}).title == "Air"
    assert prepare(load("co2"), units={"co2": "ppm", "other": "x"}).units == {"co2": "ppm"}


def test_the_frame_given_is_not_changed():
    index = pd.DatetimeIndex(["2020-01-04", "2020-01-01", "2020-01-02", "2020-01-02"], tz="Europe/Berlin", name="t")
    frame = pd.DataFrame({"a": ["1", "x", "y", "y"], "y": [4.0, np.nan, 2.0, 2.0], 3: [1, 2, 3, 3]}, index=index)
    frame.attrs["title"] = "mine"
    copy = frame.copy(deep=True)
    table = prepare(frame, "y")
    pd.testing.assert_frame_equal(frame, copy)
    assert frame.attrs == {"title": "mine"}
    table.values[:] = 0.0
    pd.testing.assert_frame_equal(frame, copy)


def test_the_table_does_not_share_memory_with_a_clean_frame():
    frame = pd.DataFrame({"y": [1.0, 2.0, 3.0]}, index=pd.date_range("2020-01-01", periods=3))
    table = prepare(frame)
    table.values[:] = 0.0
    assert frame["y"].tolist() == [1.0, 2.0, 3.0]


def test_periods_series_zones_and_other_dtypes():
    periods = pd.Series([1, 2, 4], index=pd.period_range("2020-01", periods=3, freq="M"), name="load")
    table = prepare(periods)
    assert (table.frequency, table.target) == ("MS", "load")
    assert told(table) == ("The index holds periods; each was taken at its start.",)
    zoned = pd.DataFrame({"y": [1.0, 2.0, 3.0]}, index=pd.date_range("2020-01-01", periods=3, tz="Asia/Tokyo"))
    table = prepare(zoned)
    assert times_of(table)[0] == "2020-01-01 00:00:00"
    assert told(table) == ("The times are midnights in Asia/Tokyo; their local dates were kept.",)
    zoned.index += pd.Timedelta(hours=1)
    table = prepare(zoned)
    assert times_of(table)[0] == "2019-12-31 16:00:00"
    assert told(table) == ("The times were converted from Asia/Tokyo to UTC.",)
    frame = pd.DataFrame(
        {
            "b": [True, False, True],
            "i": pd.array([1, None, 3], dtype="Int64"),
            "s": ["1.5", "NA", "2"],
            "c": pd.Categorical(["x", "y", "x"]),
            "y": np.array([1, 2, 4], dtype="float32"),
        },
        index=pd.date_range("2020-01-01", periods=3),
    )
    table = prepare(frame)
    assert {name: values(table, name) for name in table.columns} == {
        "y": [1.0, 2.0, 4.0],
        "b": [1.0, 0.0, 1.0],
        "i": [1.0, None, 3.0],
        "s": [1.5, None, 2.0],
    }
    assert set(table.frame.dtypes) == {np.dtype("float64")}


# refusals -----------------------------------------------------------------------------------------

BAD_FILES = {
    "empty": (b"", {}, "the file is empty"),
    "blank": (b" \n\n", {}, "the file is empty"),
    "odd blanks": (" \x1c\u2028\n\t", {}, "the file is empty"),
    "header only": ("date,y\n", {}, "there is a header but no rows of data"),
    "no header": (text(days(3), header="2019-12-31,0"), {}, "line 1: '2019-12-31,0' looks like data"),
    "latin-1": (b"date,y\n2020-01-01,1\n2020-01-02,\xe9\n", {}, "line 3: byte 0xe9 is not UTF-8 text: save"),
    "utf-16": ("date,y\n".encode("utf-16"), {}, "the text is UTF-16: save it as UTF-8"),
    "workbook": (b"PK\x03\x04abc", {}, r"the file is binary \(a workbook or zip archive\)"),
    "zeros": (b"date,y\n\0\0", {}, "the file is binary: save"),
    "one column": (
        "date:y\n2020-01-01:1\n",
        {},
        "only one column, 'date:y': .* commas, semicolons, tabs or vertical bars",
    ),
    "long line": ("date,y\n2020-01-01,1\n\n2020-01-02,2,3\n", {}, "line 4: 3 fields where the header has 2"),
    "short line": ("date,a,y\n2020-01-01,1,1\n2020-01-02,2\n", {}, "line 3: 2 fields where the header has 3"),
    "line breaks in cells": (
        'date,a,y\n2020-01-01,"b\nc",1\n2020-01-02,d,1,1\n',
        {},
        "line 4: 4 fields where the header has 3",
    ),
    "open quote": ('date,y\n2020-01-01,1\n2020-01-02,"2\n', {}, "line 3: .*check the quotation marks"),
    "same name twice": ("\ndate,y,y\n2020-01-01,1,2\n", {}, "line 2: the header names 'y' twice"),
    "no dates": ("a,b\nx,1\ny,2\n", {}, "no column holds dates; the columns are 'a', 'b': add one"),
    "bare counts": (text([1, 2, 3]), {}, "no column holds dates"),
    "parts of dates": (
        "year,month,y\n2020,1,3\n2020,2,4\n2020,3,4\n",
        {},
        "no column holds dates.*join 'year', 'month' into one column",
    ),
    "bad date": (text([*days(4), "Total"]), {}, "line 6: 'Total' in the date column 'date' is not a date"),
    "impossible date": (text([*days(4), "2020-02-30"]), {}, "line 6: '2020-02-30' in the date column"),
    "no date": (text([*days(4), ""]), {}, "line 6: the date column 'date' is empty"),
    "both orders": (
        text(["13/01/2020", "14/01/2020", "01/15/2020"]),
        {},
        "line 4: the dates in 'date' start with the day in line 2 but with the month in line 4",
    ),
    "some zones": (
        text(["2020-01-01 00:00Z", "2020-01-02 00:00"]),
        {},
        "line 3: '2020-01-02 00:00' in the date column 'date' has no time zone",
    ),
    "date column unknown": (
        text(days(3)),
        {"date_column": "dat"},
        "no date column 'dat'; did you mean 'date'?",
    ),
    "date column of figures": (
        text(days(3)),
        {"date_column": "y"},
        "line 2: '1' in the date column 'y' is not",
    ),
    "no numbers": (text(days(3), "abc"), {}, "no column holds numbers besides the dates; line 2: 'y' holds 'a': add"),
    "days without a year": (
        text(["1 Jan", "2 Jan", "3 Jan"]),
        {},
        "the dates in 'date', such as '1 Jan', have no year: write 2012-01-31",
    ),
    "a year of two digits": (text(["0020-01-01", "0020-01-02"]), {"date_column": "date"}, "line 2: .* is not a date"),
    "points that may part thousands": (
        text(days(3), ["950", "", "46.037"], header="date;y", mark=";"),
        {},
        "line 4: '46.037' in 'y' is ambiguous, .* write 46037 if it means thousands, 46,037 if it means decimals$",
    ),
    "millions": (
        text(days(2), ["1.046.037", "950.000"], header="date;y", mark=";"),
        {},
        "write 1046037 if it means thousands",
    ),
    "target with units": (
        "date,a,y\n2020-01-01,3,45%\n2020-01-02,4,46%\n",
        {"target": "y"},
        "line 2: the target 'y' should hold numbers but holds '45%': write bare numbers like 45$",
    ),
    "beyond": (
        text(days(4), [1, 2, "-1e150", 4]),
        {},
        r"line 4: the column 'y' holds -1e\+150, beyond 1e\+100: correct",
    ),
    "several series": (
        "date,store,y\n" + "".join(f"{day},{store},{i}\n" for i, day in enumerate(days(4)) for store in "AB"),
        {},
        "line 2 and line 3 .* but the rows seem to hold several series, 2 by the column 'store' .* say series='store'",
    ),
    "date and clock": (
        "date,clock,y\n" + "".join(f"{day},{hour:02d}:00,{hour}\n" for day in days(3) for hour in range(24)),
        {},
        "but the date and the clock stand in two columns .the clock is 'clock'.: join them into one",
    ),
    "date and hour": (
        "date,hour,y\n" + "".join(f"{day},{hour},{hour}\n" for day in days(3) for hour in range(24)),
        {},
        "the clock is 'hour'.: join them into one",
    ),
    "no regular step": (
        text([str(pd.Timestamp("2020-01-01") + pd.Timedelta(hours=i * i % 17 + 20 * i)) for i in range(40)]),
        {},
        r"the times have no regular step: the most common, .*, the median is 21:00:00: resample first",
    ),
    "target unknown": (
        "date,temp_min,temp_max\n2020-01-01,1,2\n",
        {"target": "tmp_max"},
        r"no column 'tmp_max' to forecast; did you mean 'temp_max'\? the columns are 'temp_min', 'temp_max'$",
    ),
    "target is the date": (text(days(3)), {"target": "date"}, "the target 'date' is the date column"),
    "target holds text": (
        "date,a,y\n2020-01-01,,1\n2020-01-02,sun,2\n2020-01-03,fog,3\n",
        {"target": "a"},
        "line 3: the target 'a' should hold numbers but holds 'sun': the columns with numbers are 'y'",
    ),
    "text among numbers": (
        "date,a,y\n2020-01-01,1,1\n\n2020-01-02,1.5x,2\n2020-01-03,3,3\n2020-01-04,bad,4\n2020-01-05,5,5\n",
        {"target": "y"},
        "line 4: the column 'a' should hold numbers but holds '1.5x': correct that cell or leave it empty",
    ),
    "thousands": (
        'date,y\n2020-01-01,900\n2020-01-02,950\n2020-01-03,"1,000"\n',
        {},
        "line 4: the column 'y' should hold numbers but holds '1,000'",
    ),
    "infinite": (text(days(4), [1, 2, "-inf", 4]), {}, "line 4: the column 'y' is infinite"),
    "too large": (text(days(4), [1, 2, 3, "1e999"]), {}, "line 5: the column 'y' (is infinite|should hold numbers)"),
    "commas and points": (
        "date;a;y\n2020-01-01;1;2\n2020-01-02;1.5;2,5\n",
        {},
        "line 3: '2,5' has a decimal comma but line 3: '1.5' a decimal point",
    ),
    "constant target": (text(days(3), [7, 7, 7]), {}, "the target 'y' is 7 in all 3 rows"),
    "target empty": (
        "date,a,y\n2020-01-01,1,\n2020-01-02,2,\n",
        {"target": "y"},
        "the target 'y' is missing in all 2 rows",
    ),
    "one row": (text(days(1)), {}, "there is only one row"),
    "one value": (
        "date,a,y\n2020-01-01,1,\n2020-01-02,2,\n2020-01-03,3,1\n",
        {"target": "y"},
        "'y' is 1 in all 1 row",
    ),
    "two rows at one time": (
        text(["2020-01-02", "2020-01-01", "2020-01-03", "2020-01-01"]),
        {},
        "line 3 and line 5 have the same time 2020-01-01 but different values",
    ),
    "rows that differ in text": (
        "date,name,y\n2020-01-01,a,1\n2020-01-01,b,1\n2020-01-02,b,2\n",
        {},
        "line 2 and line 3 have the same time 2020-01-01",
    ),
    "much missing": (
        text(days(10), [1, 2, "", "", "", "", 7, 8, 9, 10]),
        {},
        "'y' is missing at 4 of 10 steps of 'D'",
    ),
    "many absent rows": (
        text([*days(6), *days(4, "2020-01-12")]),
        {},
        r"'y' is missing at 5 of 15 steps of 'D' \(5 rows are absent\), more than 30%",
    ),
    "irregular": (
        text([*days(3), "2020-01-04 05:00", *days(4, "2020-01-05")]),
        {},
        r"line 5: 2020-01-04 05:00:00 comes 1 day, 5:00:00 after .* the usual step is 1 day \(1 of 8 rows",
    ),
    "shifted": (
        text([*days(8), *(f"{day} 05:00" for day in days(50, "2020-01-09"))]),
        {},
        "line 10: 2020-01-09 05:00:00 comes 1 day, 5:00:00 after .*bring the rows to a regular step",
    ),
    "mistyped year": (text([*days(30), "2120-01-31"]), {}, "line 32: 2120-01-31 comes 36525 days after"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_end_in_one_line(read, tmp_path, case):
    content, options, message = BAD_FILES[case]
    with pytest.raises(DataError, match=message) as caught:
        read(content, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'load.csv'}: ")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_thirty_percent_missing_are_taken(read):
    table = read(text(days(10), [1, "", 3, 4, "", 6, 7, "", 9, 10]))
    assert table.observed["y"].sum() == 7


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file"):
        read_csv(tmp_path / "nothing.csv")
    with pytest.raises(DataError, match="is a folder, not a file"):
        read_csv(str(tmp_path))


def simple(index, **columns):
    return pd.DataFrame(columns or {"y": np.arange(float(len(index)))}, index=index)


BAD_FRAMES = {
    "no times": (simple(pd.RangeIndex(3)), "needs times as its index .*, not RangeIndex"),
    "no rows": (simple(pd.DatetimeIndex([]), y=[]), "there are no rows|no column holds numbers"),
    "a time missing": (simple(pd.DatetimeIndex(["2020-01-01", None])), "row 1: the time is missing"),
    "infinite": (
        simple(pd.date_range("2020-01-01", periods=3), y=[1.0, np.inf, 2.0]),
        r"row 1 \(2020-01-02\): the column 'y' is infinite",
    ),
    "text": (
        simple(pd.date_range("2020-01-01", periods=4), y=[1.0, 2.0, 3.0, "x\ny"]),
        r"row 3 \(2020-01-04\): the column 'y' should hold numbers but holds 'x\\ny'",
    ),
    "same name twice": (
        pd.DataFrame(np.eye(2), columns=["a", "a"], index=pd.date_range("2020-01-01", periods=2)),
        r"1 column name used twice \('a'\): rename one",
    ),
    "levels": (
        pd.DataFrame(np.eye(2), columns=[["a", "a"], ["b", "c"]], index=pd.date_range("2020-01-01", periods=2)),
        "the columns have several levels",
    ),
    "not a frame": ([1, 2, 3], "a pandas DataFrame, a Series or a NumPy array was expected, not list"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frames_end_in_one_line(case):
    frame, message = BAD_FRAMES[case]
    with pytest.raises(DataError, match=message) as caught:
        prepare(frame)
    assert "\n" not in str(caught.value)


def test_damaged_files_never_end_in_a_traceback(tmp_path):
    """Whatever single bytes are changed, removed or added: a Table or a DataError, never a warning."""
    rng = np.random.default_rng(0)
    good = ("date;a;y\n" + "".join(f"{day};{i},5;{i % 5}\n" for i, day in enumerate(days(40)))).encode()
    path = tmp_path / "damaged.csv"
    refused: list[str] = []
    read = 0
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(9, len(content)))
            byte = int(rng.choice(list(b'0159-:;,.\n\r\t"xTZ \xff')))
            content[at : at + int(rng.integers(0, 3))] = bytes([byte])
        path.write_bytes(content)
        try:
            table = read_csv(path)
        except DataError as error:
            refused.append(str(error))
            continue
        read += 1
        assert not np.isinf(table.values).any()
        assert table.frame.index.freqstr == table.frequency
    assert read > 2
    assert len(set(refused)) > 20
    assert not any("\n" in message for message in refused)
