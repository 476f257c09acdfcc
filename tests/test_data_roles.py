"""Tables of one or many series: roles, arrays, long frames, the known future, and every refusal that names a series."""

import re
import time

import numpy as np
import pandas as pd
import pytest

from minirnn.data import DataError, Roles, prepare, read_csv
from minirnn.data.table import Table

DAYS = pd.date_range("2020-01-01", periods=8, freq="D", name="day")


def wide(**changes):
    columns = {
        "a": np.arange(8.0) ** 2,
        "plan": np.arange(8.0) % 3,
        "y": np.sin(np.arange(8.0)),
        "z": np.cos(np.arange(8.0)),
    }
    return pd.DataFrame(columns | changes, index=DAYS)


def long(number=3, rows=6, start="2020-01-01", step="D"):
    """Series of different starts: series k starts k steps later; rows of all series mixed by time."""
    parts = []
    for k in range(number):
        times = pd.date_range(start, periods=rows + k, freq=step)[k:]
        values = 100.0 * k + np.arange(rows) ** 2
        parts.append(
            pd.DataFrame({"ds": times, "id": f"s{k}", "y": values, "x": -values, "kind": "ab"[k % 2], "size": k})
        )
    return pd.concat(parts).sort_values(["ds", "id"], kind="stable").reset_index(drop=True)


# roles --------------------------------------------------------------------------------------------


def test_without_roles_all_other_numbers_are_past():
    table = prepare(wide(), "y")
    assert table.roles == Roles(("y",), ("a", "plan", "z"))
    assert table.columns == ("y", "a", "plan", "z")
    np.testing.assert_array_equal(table.values, wide()[["y", "a", "plan", "z"]].to_numpy())
    assert (table.names, table.series, table.target) == (("",), 1, "y")
    assert table.bounds.tolist() == [0, 8]
    assert table.starts.tolist() == [DAYS[0].to_pydatetime()]
    assert table.starts.dtype == np.dtype("datetime64[us]")
    assert table.last_known.tolist() == [7]
    assert table.rows_of(0) == slice(0, 8)
    assert table.statics.shape == (1, 0)
    assert (table.date_column, table.series_column) == ("day", None)
    pd.testing.assert_index_equal(table.times(0), DAYS.as_unit("us"))
    pd.testing.assert_frame_equal(table.frame, wide()[list(table.columns)].set_axis(DAYS.as_unit("us")))


def test_named_roles_are_kept_in_order_and_nothing_else_is():
    table = prepare(wide(), ["z", "y"], past=[], future="plan")
    assert table.columns == ("z", "y", "plan")
    assert table.roles == Roles(("z", "y"), (), ("plan",))
    assert prepare(wide(), past=["a"]).roles == Roles(("z",), ("a",))
    assert prepare(wide(), future=["z"]).roles == Roles(("y",), ("a", "plan"), ("z",))


def test_a_constant_column_is_kept_where_it_was_asked_for():
    frame = wide(c=3.0)
    assert prepare(frame, "y").columns == ("y", "a", "plan", "z")
    table = prepare(frame, "y", past=["c"])
    assert table.columns == ("y", "c")
    assert table.notes == ("The past column 'c' never changes: it can tell a model nothing.",)
    table = prepare(wide(c=np.nan), "y", past=[], future=["c"])
    assert table.notes == ("The future column 'c' is empty: it can tell a model nothing.",)


def test_the_known_future_is_kept_and_other_rows_after_the_target_are_not():
    y = np.where(np.arange(8) < 5, np.arange(8.0), np.nan)
    plan = np.where(np.arange(8) < 7, 1.0 * (np.arange(8) % 2), np.nan)
    table = prepare(wide(y=y, plan=plan), "y", past="a", future="plan")
    assert table.bounds.tolist() == [0, 7]
    assert table.last_known.tolist() == [4]
    assert np.isnan(table.values[5:, 0]).all()
    assert table.values[5:, 2].tolist() == [1.0, 0.0]
    assert "Dropped the last 1 row, from 2020-01-08 on: the target 'y' has no value there." in table.notes
    assert prepare(wide(y=y, plan=plan), "y").bounds.tolist() == [0, 5]
    assert prepare(wide(y=y, plan=np.nan), "y", past=[], future="plan").bounds.tolist() == [0, 5]


def test_a_gap_in_the_known_future_is_open():
    y = np.where(np.arange(8) < 5, np.arange(8.0), np.nan)
    table = prepare(wide(y=y).drop(DAYS[6]), "y", past=[], future="plan")
    assert table.bounds.tolist() == [0, 8]
    assert np.isnan(table.values[6]).all()
    assert table.values[7].tolist()[1:] == [1.0]
    assert table.notes == ("Inserted 1 missing step of 'D' (first 2020-01-07).",)


def test_a_series_starts_where_any_target_is_known():
    y, z = np.arange(8.0), np.arange(8.0) ** 2
    y[:3], z[:2] = np.nan, np.nan
    table = prepare(wide(y=y, z=z), ["y", "z"], past=[])
    assert table.bounds.tolist() == [0, 6]
    assert table.values[0, 1] == 4.0
    assert np.isnan(table.values[0, 0])
    assert table.notes == ("Dropped the first 2 rows: every target of 'y', 'z' starts at 2020-01-03.",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "Y1"}, "there is no column 'Y1' to forecast; did you mean 'y'"),
        ({"target": "y", "past": ["b"]}, "there is no past column 'b'"),
        ({"target": "y", "future": ["plam"]}, "there is no future column 'plam'; did you mean 'plan'"),
        ({"target": "y", "static": "q"}, "there is no static column 'q'"),
        ({"target": "y", "series": "id"}, "there is no series column 'id'"),
        ({"target": "y", "past": ["y"]}, "the column 'y' is named as target and as past: give it one role"),
        ({"target": ["y", "y"]}, "the column 'y' is named twice as target"),
        ({"target": "y", "past": ["plan"], "future": ["plan"]}, "'plan' is named as past and as future"),
        ({"target": "y", "series": "y"}, "'y' is named as target and as series"),
        ({"target": "name"}, r"row 0 \(2020-01-01\): the target 'name' should hold numbers but holds 'p'"),
        ({"target": "y", "past": ["name"]}, "the past column 'name' should hold numbers but holds 'p'"),
        ({"target": "y", "future": ["name"]}, "the future column 'name' should hold numbers but holds 'p'"),
        ({"target": "y", "static": ["a"]}, r"row 1 .*: the static column 'a' changes within the rows, from 0.0 to 1.0"),
        ({"target": []}, "target is an empty list"),
        ({"target": "y", "past": 3.5}, "past should be the name of a column or a list of names, not float"),
        ({"target": "y", "series": ["a"]}, "series should be the name of a column, not list"),
        ({"target": "y", "frequency": "MS"}, r"row 1 .*: 2020-01-02 lies between the steps of 'MS' \(7 of 8 rows"),
    ],
)
def test_roles_that_cannot_be(options, message):
    with pytest.raises(DataError, match=message) as caught:
        prepare(wide(name=list("pqrstuvw")), **options)
    assert "\n" not in str(caught.value)


# rows for a fitted model --------------------------------------------------------------------------


def test_with_a_given_frequency_few_or_constant_rows_will_do():
    one = prepare(wide().iloc[[0]], "y", past=["a"], frequency="D")
    assert one.values.shape == (1, 2)
    still = prepare(wide(y=2.0), "y", past=["a"], frequency="D")
    assert still.values[:, 0].tolist() == [2.0] * 8
    holes = prepare(wide().iloc[[0, 4]], "y", past=[], frequency="D")
    assert (holes.frequency, np.isnan(holes.values[:, 0]).tolist()) == ("D", [False, True, True, True, False])
    months = pd.DataFrame({"y": [1.0, 2.0]}, index=pd.DatetimeIndex(["2020-01-15", "2020-03-15"]))
    table = prepare(months, "y", frequency="MS")
    assert table.frame.index.strftime("%m-%d").tolist() == ["01-01", "02-01", "03-01"]
    with pytest.raises(DataError, match="'quux' is no frequency: use an alias of pandas such as 'D'"):
        prepare(wide(), "y", frequency="quux")
    with pytest.raises(DataError, match="no time stands on a step of 'W-SUN'"):
        prepare(wide().iloc[:2], "y", past=["a"], frequency="W-SUN")
    with pytest.raises(DataError, match=r"2120-01-01 comes 36523 days after .* the usual step is 1 day"):
        prepare(wide().iloc[:2].set_axis(pd.DatetimeIndex(["2020-01-02", "2120-01-01"])), "y", frequency="D")


# arrays -------------------------------------------------------------------------------------------


def test_arrays_have_no_times():
    table = prepare(np.array([3, 1, 2], dtype=np.int32))
    assert (table.columns, table.frequency, table.date_column) == (("value",), None, "")
    assert table.values.dtype == np.float64
    assert table.starts.tolist() == [0]
    assert table.starts.dtype == np.int64
    assert list(table.frame.index) == [0, 1, 2]
    late = prepare(
        np.array([[np.nan, 5.0], [np.nan, 1.0], [2.0, 6.0], [np.nan, 2.0], [4.0, 3.0], [5.0, 5.0]]), "column 1"
    )
    assert late.columns == ("column 1", "column 2")
    assert late.starts.tolist() == [2]
    assert list(late.times(0)) == [2, 3, 4, 5]
    assert np.isnan(late.values[1, 0])
    assert late.notes == ("Dropped the first 2 rows: the target 'column 1' starts at row 2.",)
    many = prepare(np.array([[7.0, 1.0], [8.0, 5.0], [7.0, 2.0], [8.0, 6.0]]), "column 2", series="column 1")
    assert (many.names, many.values[:, 0].tolist(), many.starts.tolist()) == (("7", "8"), [1.0, 2.0, 5.0, 6.0], [0, 0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 2, 2)), r"an array of shape \(rows,\) or \(rows, columns\) was expected, not \(2, 2, 2\)"),
        (np.float64(3.0) * np.ones(()), "was expected, not"),
        (np.zeros((0, 2)), "there are no rows"),
        (np.zeros((3, 0)), "there are no rows"),
        (np.array([1.0]), "there is only one row"),
        (np.array([1.0, np.inf, 2.0]), "row 1: the column 'value' is infinite"),
        (np.array([1j, 2j]), "no column holds numbers"),
        (np.array(["a", "b"]), "row 0: 'value' holds 'a'"),
        (np.full(3, np.nan), "no column holds numbers"),
        (np.ones(5), "the target 'value' is 1 in all 5 rows"),
        (np.array([1.0, np.nan, np.nan, 2.0]), "the target 'value' is missing at 2 of 4 steps, more than 30%"),
    ],
)
def test_bad_arrays_end_in_one_line(data, message):
    with pytest.raises(DataError, match=message):
        prepare(data)


# long frames --------------------------------------------------------------------------------------


@pytest.mark.parametrize("indexed", [False, True])
def test_long_frames_become_series_one_below_the_other(indexed):
    frame = long().set_index("ds") if indexed else long()
    table = prepare(frame, "y", future="x", static=["kind", "size"], series="id")
    assert table.names == ("s0", "s1", "s2")
    assert table.bounds.tolist() == [0, 6, 12, 18]
    assert [str(start)[:10] for start in table.starts] == ["2020-01-01", "2020-01-02", "2020-01-03"]
    for k in range(3):
        rows = table.values[table.rows_of(k)]
        assert rows[:, 0].tolist() == [100.0 * k + i**2 for i in range(6)]
        np.testing.assert_array_equal(rows[:, 1], -rows[:, 0])
        assert table.times(k)[0] == pd.Timestamp("2020-01-01") + pd.Timedelta(days=k)
    assert table.last_known.tolist() == [5, 11, 17]
    assert table.statics["kind"].tolist() == ["a", "b", "a"]
    assert table.statics["size"].tolist() == [0.0, 1.0, 2.0]
    assert table.statics.index.tolist() == list(table.names)
    assert (table.series_column, table.date_column, table.notes) == ("id", "ds", ())
    with pytest.raises(DataError, match="there are 3 series, 's0', 's1', 's2': a single frame"):
        _ = table.frame


def test_series_stand_in_order_of_first_appearance_whatever_the_order_of_rows():
    frame = long()
    turned = frame.iloc[::-1]
    table = prepare(turned, "y", past=["x"], series="id")
    assert table.names == ("s2", "s1", "s0")
    straight = prepare(frame, "y", past=["x"], series="id")
    np.testing.assert_array_equal(table.values[table.rows_of(0)], straight.values[straight.rows_of(2)])
    assert table.notes == ("The rows were not in order of time (first at row 1 (2020-01-07)); they were sorted.",)


def test_gaps_repetitions_and_ends_of_each_series():
    frame = long(rows=9)
    frame.loc[(frame["id"] == "s1") & (frame["ds"] == "2020-01-02"), "y"] = np.nan
    frame.loc[(frame["id"] == "s2") & (frame["ds"] == "2020-01-11"), "y"] = np.nan
    frame = frame[~((frame["id"] == "s0") & (frame["ds"] == "2020-01-04"))]
    frame = pd.concat([frame, frame.iloc[[0]]]).reset_index(drop=True)
    table = prepare(frame, "y", past=["x"], series="id")
    assert np.diff(table.bounds).tolist() == [9, 8, 8]
    assert np.isnan(table.values[:, 0]).nonzero()[0].tolist() == [3]
    assert [note.split(" (")[0] for note in table.notes] == [
        "The rows were not in order of time",
        "Dropped 1 row that repeated another exactly",
        "Dropped 1 row before the target 'y' starts",
        "Dropped 1 row after the target 'y' ends",
        "Inserted 1 missing step of 'D'",
    ]
    assert table.notes[2].endswith("(first in 's1').")
    assert table.notes[4].endswith("(first 2020-01-04 of the series 's0').")


def test_names_of_numbers_and_categories():
    frame = long()
    for names, expected in (
        ({"s0": 7, "s1": 8, "s2": 9}, ("7", "8", "9")),
        ({"s0": 1.0, "s1": 2.5, "s2": 3.0}, ("1", "2.5", "3")),
    ):
        assert prepare(frame.assign(id=frame["id"].map(names)), "y", series="id").names == expected
    assert prepare(frame.assign(id=frame["id"].astype("category")), "y", series="id").names == ("s0", "s1", "s2")
    mixed = frame.assign(id=[{"s0": 1, "s1": "1", "s2": "a"}[name] for name in frame["id"]])
    with pytest.raises(DataError, match=r"have the same time .* of the series '1' but different values"):
        prepare(mixed, "y", series="id")


def of_series(name, **changes):
    frame = long(rows=12)
    frame.loc[frame["id"] == name, list(changes)] = pd.DataFrame(changes, index=frame.index[frame["id"] == name])
    return frame


def late(frame, hours):
    return frame.assign(ds=frame["ds"] + pd.to_timedelta(hours, "h"))


BAD_SERIES = {
    "lists": (long().assign(id=[[1]] * 18), r"row 0 .*: the series column 'id' should hold names but holds '\[1\]'"),
    "empty name": (long().assign(id=lambda f: f["id"].mask(f.index == 4)), r"row 4 .*: the series column 'id' is empt"),
    "one row": (
        long().pipe(lambda f: f[(f["id"] != "s2") | ~f["id"].duplicated()]),
        "'y' of the series 's2' has only one value",
    ),
    "no target": (of_series("s1", y=np.full(12, np.nan)), "'y' is missing in all 12 rows of the series 's1'"),
    "two values at one time": (
        pd.concat([long(), long().query("id == 's1'").iloc[[2]].assign(y=5.0)]).reset_index(drop=True),
        r"row 7 .* and row 18 .* have the same time 2020-01-04 of the series 's1' but different values",
    ),
    "much missing": (
        of_series("s2", y=[1.0, *[np.nan] * 5, *range(6)]),
        "'y' is missing at 5 of 12 steps of 'D' of the series 's2'",
    ),
    "many absent": (
        long(rows=20).query("id != 's1' or ds < '2020-01-09' or ds > '2020-01-19'"),
        r"'y' is missing at 11 of 20 steps of 'D' of the series 's1' \(11 rows are absent\)",
    ),
    "another frequency": (
        pd.concat([long(1, 30), long(1, 10, step="W-SUN").assign(id="weekly")]),
        "the usual step is 1 day in 's0' but 7 days in 'weekly': bring them to one step",
    ),
    "hours between days": (
        pd.concat([long(1, 30), long(1, 30, "2020-01-01 05:00", "D").assign(id="shifted")]),
        "2020-01-02 lies between the steps of '5h', the step of all series together .24 of 30 rows of the series 's0'",
    ),
    "irregular": (
        pd.concat([long(2, 30), late(long(1, 9).assign(id="odd"), [0, 0, 0, 5, 5, 5, 0, 0, 0])]),
        r"2020-01-04 05:00:00 comes 1 day, 5:00:00 after .* \(3 of 9 rows of the series 'odd' lie between",
    ),
    "a static that changes": (
        of_series("s1", size=[1] * 11 + [2]),
        "the static column 'size' changes within the rows of the series 's1', from 1(.0)? to 2(.0)?: a column",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SERIES)
def test_bad_series_are_named_in_one_line(case):
    frame, message = BAD_SERIES[case]
    with pytest.raises(DataError, match=message) as caught:
        prepare(frame, "y", past=["x"], static=["size"], series="id")
    assert "\n" not in str(caught.value)


def test_months_of_many_series_share_a_grid_though_their_lengths_differ():
    table = prepare(long(rows=24, step="MS"), "y", past=[], series="id")
    assert (table.frequency, np.diff(table.bounds).tolist()) == ("MS", [24, 24, 24])


def test_missing_statics_are_said():
    frame = long().assign(
        size=lambda f: f["size"].where(f["id"] != "s1"), kind=lambda f: f["kind"].mask(f["id"] == "s0")
    )
    table = prepare(frame, "y", past=[], static=["size", "kind"], series="id")
    assert table.statics["kind"].tolist() == ["", "b", "a"]
    np.testing.assert_array_equal(table.statics["size"], [0.0, np.nan, 2.0])
    assert table.notes == ("'size' is missing for 1 series.", "'kind' is missing for 1 series.")


def test_the_same_table_from_a_file(tmp_path):
    path = tmp_path / "shops.csv"
    long().to_csv(path, index=False)
    table = read_csv(path, "y", past=["x"], static=["kind", "size"], series="id")
    other = prepare(long(), "y", past=["x"], static=["kind", "size"], series="id")
    np.testing.assert_array_equal(table.values, other.values)
    assert (table.names, table.bounds.tolist()) == (other.names, other.bounds.tolist())
    pd.testing.assert_frame_equal(table.statics, other.statics)
    assert table.notes == (
        "The column 'ds' holds the times, from 2020-01-01 to 2020-01-08 in steps of 'D' (3 series by 'id', 18 rows).",
        "To forecast 'y', these columns are read too: 'x' (known up to now only); 'kind', 'size' (of each series).",
    )
    with pytest.raises(DataError, match=r"seem to hold several series, 3 by the column 'id' .*: say series='id'"):
        read_csv(path, "y")
    with pytest.raises(DataError, match="line 3: the static column 'y' changes within the rows of the series 's0'"):
        read_csv(path, "x", static="y", series="id")


@pytest.mark.parametrize("ids", [[3, 7], [20200131, 20200201], [1999, 2000], ["2020-01-31", "2021-01-31"]])
@pytest.mark.parametrize("times", [list(range(1990, 1996)), ["20240131", "20240229", "20240331", "20240430"]])
def test_ids_and_dates_of_bare_numbers(tmp_path, ids, times):
    path = tmp_path / "ids.csv"
    rows = [f"{k},{time},{i * i + 3 * ids.index(k)}" for i, time in enumerate(times) for k in ids]
    path.write_text("\n".join(["id,date,y", *rows]))
    table = read_csv(path, series="id")
    assert table.names == tuple(map(str, ids))
    assert table.date_column == "date"
    assert table.columns == ("y",)
    assert np.diff(table.bounds).tolist() == [len(times)] * 2


def test_many_series_are_quick():
    """A guard against a loop in pandas over the series: two thousand of them in well under that loop's time."""
    number = 2000
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(number), 20),
            "ds": np.tile(pd.date_range("2020-01-01", periods=20), number),
            "y": np.random.default_rng(0).normal(size=number * 20),
        }
    )
    before = time.process_time()
    table = prepare(frame, "y", series="id")
    assert table.series == number
    assert time.process_time() - before < 1.5


def test_a_table_does_not_change_with_what_is_taken_from_it():
    table = prepare(wide(), "y")
    assert isinstance(table, Table)
    frame = table.frame
    frame.iloc[:] = 0.0
    assert table.values.any()
    assert re.fullmatch(r"2020-01-0\d", table.where(3))
