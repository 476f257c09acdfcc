"""Kinds of files: gzip, parquet, other delimiters, codes for missing values, dates of numbers; and bytes of no kind."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirnn.data import DataError, opening, read, read_csv

PLAIN = "date,y\n2020-01-01,1.5\n2020-01-02,2\n2020-01-03,4\n"


@pytest.fixture
def file(tmp_path):
    def file(content, name="load.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return file


# gzip ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["load.csv.gz", "load.CSV.GZ", "load.csv", "load"])
def test_a_packed_file_is_read_whatever_its_name(file, name):
    table = read(file(gzip.compress(PLAIN.encode()), name))
    assert table.values[:, 0].tolist() == [1.5, 2.0, 4.0]
    assert table.title == "load"
    assert table.notes == read_csv(file(PLAIN)).notes


@pytest.mark.parametrize("cut", range(10))
def test_a_packed_file_cut_short_is_damaged(file, cut):
    packed = gzip.compress(PLAIN.encode())
    with pytest.raises(DataError, match=r"load\.csv\.gz: (the gzip file is damaged or cut short|the file is empty)"):
        read(file(packed[: max(2, len(packed) * cut // 10)], "load.csv.gz"))


@pytest.mark.parametrize("at", [3, 12, 20, -6, -2])
def test_a_packed_file_with_a_wrong_byte_is_damaged(file, at):
    packed = bytearray(gzip.compress(PLAIN.encode()))
    packed[at] ^= 0xFF
    with pytest.raises(DataError) as caught:
        read(file(bytes(packed)))
    assert "\n" not in str(caught.value)


def test_a_packed_file_that_grows_without_end_is_refused(file, monkeypatch):
    monkeypatch.setattr(opening, "LARGEST_UNPACKED", 2**20)
    assert len(read(file(gzip.compress(PLAIN.encode() + b"\n" * (2**20 - 100)))).values) == 3
    with pytest.raises(DataError, match="the gzip file unpacks to more than 1 MiB"):
        read(file(gzip.compress(PLAIN.encode() + b"\n" * 2**20)))


def test_packed_twice_is_said(file):
    with pytest.raises(DataError, match=r"the file is binary \(gzip inside gzip\)"):
        read(file(gzip.compress(gzip.compress(PLAIN.encode()))))


# parquet ------------------------------------------------------------------------------------------


def test_parquet_without_an_engine_says_what_to_install(file, monkeypatch):
    def missing(path):
        raise ImportError("Unable to find a usable engine;\ntried using: 'pyarrow', 'fastparquet'.")

    monkeypatch.setattr(pd, "read_parquet", missing)
    for name in ("load.parquet", "load.pq", "load"):
        with pytest.raises(DataError, match="parquet files need the package pyarrow: pip install pyarrow"):
            read(file(b"PAR1....PAR1", name))


def test_what_an_engine_says_of_a_damaged_file_is_one_line(file, monkeypatch):
    def broken(path):
        raise OSError("Could not open Parquet\ninput source")

    monkeypatch.setattr(pd, "read_parquet", broken)
    with pytest.raises(DataError, match=r"load\.parquet: cannot be read as parquet: Could not open Parquet input"):
        read(file(b"PAR1", "load.parquet"))


@pytest.mark.parametrize("kind", ["index", "column", "text", "numbers", "named", "ids"])
def test_a_frame_from_parquet_is_a_table(file, monkeypatch, kind):
    times = pd.date_range("2020-01-01", periods=4)
    frame = pd.DataFrame({"date": times, "a": [1.0, 5, 2, 4], "y": [3, 1, 2, 5]})
    options, column = {}, "date"
    if kind == "index":
        frame = frame.set_index("date")
    elif kind == "text":
        frame["date"] = frame["date"].dt.strftime("%m/%d/%Y 00:00")
    elif kind == "numbers":
        frame["date"] = [20200101, 20200102, 20200103, 20200104]
    elif kind == "named":
        frame["other"] = times + pd.Timedelta(days=400)
        options, column = {"date_column": "date", "past": ["a"]}, "date"
    elif kind == "ids":
        frame["id"] = [1, 1, 1, 1]
        frame, options = frame.set_index("id"), {"series": "id"}
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame)
    table = read(file(b"PAR1", "load.parquet"), "y", **options)
    assert (table.date_column, table.columns, table.frequency) == (column, ("y", "a"), "D")
    assert table.times(0)[0] == times[0]
    assert table.values.T.tolist() == [[3, 1, 2, 5], [1, 5, 2, 4]]
    assert (table.title, table.names) == ("load", ("1",) if kind == "ids" else ("",))


def test_a_bad_cell_of_a_parquet_frame_names_its_row(file, monkeypatch):
    frame = pd.DataFrame({"date": ["2020-01-01", "2020-01-02", "soon"], "y": [1.0, 2.0, 3.0]})
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame)
    with pytest.raises(DataError, match="row 2: 'soon' in the date column 'date' is not a date"):
        read(file(b"PAR1", "load.parquet"))


# delimiters, codes, dates -------------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "vertical bar")])
def test_other_delimiters_and_decimal_commas_are_said(file, mark, name):
    content = PLAIN.replace(",", mark).replace("1.5", "1,5")
    table = read(file(content))
    assert table.values[:, 0].tolist() == [1.5, 2.0, 4.0]
    assert table.notes[1:] == (
        f"The delimiter is the {name}.",
        "Commas in numbers were read as decimal commas (first in line 2).",
    )


def test_codes_for_missing_values_are_compared_as_numbers(file):
    days = pd.date_range("2020-01-01", periods=12).strftime("%Y-%m-%d")
    cells = ["1", "-9999", "2", "-9999.00", "99", "3", "4", "closed", "5", "6", "7", "8"]
    path = file("date,y\n" + "".join(f"{day},{cell}\n" for day, cell in zip(days, cells)))
    table = read(path, missing=("-9999", "Closed "))
    assert [None if np.isnan(value) else value for value in table.values[:, 0]] == [
        1,
        None,
        2,
        None,
        99,
        3,
        4,
        None,
        5,
        6,
        7,
        8,
    ]
    assert "'y' holds -9999 in 2 rows" in read(path, missing="closed").notes[1]
    assert "-9999" not in "".join(read(path, missing=[-9999.0, "closed"]).notes)
    with pytest.raises(DataError, match="line 9: the column 'y' should hold numbers but holds 'closed'"):
        read(path, missing="-9999")


@pytest.mark.parametrize(
    ("name", "cells", "first", "frequency"),
    [
        ("timestamp", [1580342400 + 3600 * i for i in range(5)], "2020-01-30", "h"),
        ("unix_ts", [(1580342400 + 86400 * i) * 1000 for i in range(5)], "2020-01-30", "D"),
        ("epoch", [(1580342400 + 60 * i) * 1000 for i in range(5)], "2020-01-30", "min"),
        ("day", [20240130, 20240131, 20240201, 20240202], "2024-01-30", "D"),
        ("year", [1700, 1701, 1702, 1703], "1700-01-01", "YS-JAN"),
    ],
)
def test_dates_of_bare_numbers(file, name, cells, first, frequency):
    table = read(file(f"id,{name},y\n" + "".join(f"{i},{cell},{i * i}\n" for i, cell in enumerate(cells))), "y")
    assert (table.date_column, table.frequency, str(table.starts[0])[:10]) == (name, frequency, first)


def test_the_line_of_a_late_fault_is_right_after_many_chunks(file, monkeypatch):
    monkeypatch.setattr("minirnn.data.cells._CHUNK", 7)
    monkeypatch.setattr("minirnn.data.cells._SHARED", 3)
    days = pd.date_range("2020-01-01", periods=40).strftime("%Y-%m-%d")
    lines = ["date,y,z", *(f" {day} , {i % 11} ,{i}" for i, day in enumerate(days))]
    table = read(file("\n".join(lines)), "y")
    assert table.values.T.tolist() == [[float(i % 11) for i in range(40)], [float(i) for i in range(40)]]
    with pytest.raises(DataError, match="line 41: the column 'z' should hold numbers but holds '39x'"):
        read(file("\n".join(lines) + "x"), "y")
    with pytest.raises(DataError, match="line 42: 1 field where the header has 3"):
        read(file("\n".join([*lines, "2020"])), "y")


# never anything but a DataError -------------------------------------------------------------------

SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CELLS = st.sampled_from(
    ["", "1", "-2.5", "1,5", "1e400", "nan", "x", "2020-01-01", "2020-01-02", "2020-01-03", "01/02/2020", "Jan 20",
     "1999", "2000", "20240131", "1580342400", "a", "b", '"', "-9999", "\x00", "é", "99999999999999999999", " ", "|"]
)  # fmt: skip
GRIDS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=9)


def one_line(path, **options):
    try:
        table = read(path, **options)
    except DataError as error:
        message = str(error)
    else:
        message = f"{path}: "
        assert table.bounds[-1] == len(table.values)
        assert not np.isinf(table.values).any()
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@SETTINGS
@given(GRIDS, st.sampled_from([",", ";", "\t", "|"]), st.booleans(), st.sampled_from(["", "y", "id", "date"]))
def test_files_of_odd_cells(tmp_path, grid, mark, packed, series):
    content = "\n".join(
        [mark.join(["id", "date", "y", "x"][: len(grid[0])]), *(mark.join(row) for row in grid)]
    ).encode()
    path = tmp_path / "odd.csv"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    one_line(path, **({"series": series, "static": ["x"]} if series else {}))


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.sampled_from(["", "1", "2.5", "7"])), max_size=30))
def test_long_files_of_odd_rows(tmp_path, rows):
    path = tmp_path / "long.csv"
    lines = [f"{'abc'[k]},2020-01-{day + 1:02},{cell},{day}" for k, day, cell in rows]
    path.write_text("\n".join(["id,date,y,plan", *lines]))
    one_line(path, target="y", past=[], future="plan", series="id")


@SETTINGS
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"date,y\n", gzip.compress(PLAIN.encode())]))
def test_files_of_any_bytes(tmp_path, content, start):
    path = tmp_path / "bytes.csv"
    path.write_bytes(start + content)
    one_line(path)


@SETTINGS
@given(st.integers(0, 10**6), st.integers(0, 255), st.sampled_from(["a", "b", None]))
def test_packed_long_files_with_a_changed_byte(tmp_path, at, byte, series):
    rows = [f"{k},2020-01-{day:02},{day * k}" for day in range(1, 9) for k in (1, 2)]
    packed = bytearray(gzip.compress("\n".join(["a,b,c", *rows]).encode(), mtime=0))
    packed[at % len(packed)] = byte
    path = tmp_path / "packed.csv.gz"
    path.write_bytes(packed)
    one_line(path, series=series)
