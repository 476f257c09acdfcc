"""Bad inputs of all commands: one line that says what, where and what to do; exit status 2; nothing written."""

import contextlib
import json
import os
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands import QUICK, daily, panel, run, sine, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

import minirnn
from minirnn import data
from minirnn.models import storage

SMALL = {
    "reference": "last", "transform": "none", "season": 7, "max_epochs": 1, "ensemble": 1, "hidden_size": 4,
    "window": 14, "backend": "readable",
}  # fmt: skip


def text(rows):
    """Lines of a CSV."""
    return "\n".join(["date,y", *rows]) + "\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with good and bad files; no command may change it."""
    folder = tmp_path_factory.mktemp("place")
    week, shops = written(folder, daily(200, y=sine()), "week.csv"), written(folder, panel(), "shops.csv")
    minirnn.Forecaster(**SMALL).fit(data.read(week)).save(folder / "week.safetensors")
    table = data.read(shops, ["sales", "returns"], future=["plan"], static=["town", "size"], series="shop")
    minirnn.Forecaster(**SMALL).fit(table).save(folder / "shops.safetensors")
    bad_files(folder, pd.read_csv(week), pd.read_csv(shops))
    bad_models(folder)
    (folder / "folder").mkdir()
    return folder


def bad_files(folder, week, shops):
    days = [f"2020-01-{day:02d}" for day in range(1, 32)]
    for name, content in {
        "empty": "",
        "header": "date,y\n",
        "nodates": "a,b\n" + "1,2\n" * 20,
        "text": text([*(f"{d},{i}" for i, d in enumerate(days[:5])), "2020-01-06,many"]),
        "infinite": text([*(f"{d},{i}" for i, d in enumerate(days[:5])), "2020-01-06,inf"]),
        "twice": text(["2020-01-01,1", "2020-01-02,2", "2020-01-02,3", "2020-01-03,4"]),
        "nodate": text(["2020-01-01,1", ",2", "2020-01-03,3"]),
        "baddate": text(["2020-01-01,1", "2020-02-31,2", "2020-03-03,3"]),
        "irregular": text(["2020-01-01,1", "2020-01-02,2", "2020-01-04T13:11:07,3", "2020-03-01,4", "2020-03-09,5"]),
        "four": text(f"{d},{i}" for i, d in enumerate(days[:4])),
        "columns": "date,y,y\n2020-01-01,1,2\n2020-01-02,1,2\n",
        "ragged": text(["2020-01-01,1", "2020-01-02,2,7", "2020-01-03,3"]),
        "quotes": 'date,y\n2020-01-01,"1\n2020-01-02,2\n',
        "constant": text(f"{d:%Y-%m-%d},5" for d in pd.date_range("2020-01-01", periods=100)),
    }.items():
        (folder / f"{name}.csv").write_text(content)
    (folder / "binary.csv").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "latin.csv").write_bytes("date,größe\n2020-01-01,1\n".encode("latin-1"))
    (folder / "cut.csv.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00")
    (folder / "bad.parquet").write_bytes(b"PAR1 nothing")
    hole = week.copy()
    hole.loc[151:194, "y"] = np.nan
    written(folder, hole, "hole.csv")
    written(folder, week.iloc[-5:], "short.csv")
    written(folder, week.rename(columns={"y": "z"}), "renamed.csv")
    hours = week.assign(date=pd.date_range("2020-01-01", periods=len(week), freq="h").astype(str))
    written(folder, hours, "hours.csv")
    written(folder, shops.drop(columns="plan"), "noplan.csv")
    written(folder, shops.drop(columns="town"), "notown.csv")
    written(folder, shops.assign(size="huge"), "huge.csv")
    written(folder, shops.rename(columns={"shop": "store"}), "noshop.csv")
    moving = shops.copy()
    moving.loc[3, "town"] = "south"
    written(folder, moving, "moving.csv")


def bad_models(folder):
    whole = (folder / "week.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "none.safetensors").write_bytes(b"")
    (folder / "foreign.safetensors").write_bytes(b"not a model at all, only some text")
    save_file({"weight": np.zeros(3)}, folder / "torch.safetensors", metadata={"format": "pt"})
    save_file({"weight": np.zeros(3)}, folder / "json.safetensors", metadata={"minirnn": "{"})
    for name, change in {
        "later": {"format": 99},
        "kind": {"kind": "os.system"},
        "checkpoint": {"kind": "Checkpoint"},
        "columns": {"columns": ["z"]},
        "nowhere": {"horizon": 10**9},
    }.items():
        changed(folder / "week.safetensors", folder / f"{name}.safetensors", change)
    arrays, about = contents(folder / "week.safetensors")
    huge = about["parameters"] | {"hidden_size": 10**6}
    changed(folder / "week.safetensors", folder / "huge.safetensors", {"parameters": huge})
    save_file(
        {n: a for n, a in arrays.items() if n != "scale"}, folder / "less.safetensors", {"minirnn": json.dumps(about)}
    )
    arrays["scale"] = np.full_like(arrays["scale"], np.nan)
    save_file(arrays, folder / "nan.safetensors", {"minirnn": json.dumps(about)})


def contents(path):
    """Arrays and description of a model file."""
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["minirnn"])  # noqa: SIM118


def changed(path, new, change):
    """The same file with another description."""
    arrays, about = contents(path)
    save_file(arrays, new, {"minirnn": json.dumps(about | change)})


SHOPS = "--series shop --target sales,returns --future plan --static town,size"
BAD = [
    # files
    ("forecast missing.csv", "missing.csv: there is no such file"),
    ("forecast folder", "folder: is a folder, not a file"),
    ("forecast empty.csv", "empty.csv: the file is empty"),
    ("forecast header.csv", "header.csv: there is a header but no rows of data"),
    ("forecast binary.csv", "binary.csv: the file is binary"),
    ("forecast latin.csv", "latin.csv: line 1: byte 0xf6 is not UTF-8 text"),
    ("forecast cut.csv.gz", "cut.csv.gz: the gzip file is damaged or cut short"),
    ("forecast bad.parquet", "bad.parquet: "),
    ("forecast ragged.csv", "ragged.csv: line 3"),
    ("forecast quotes.csv", "quotes.csv: line"),
    ("forecast columns.csv", "columns.csv: line 1: the header names 'y' twice"),
    # dates
    ("forecast nodates.csv", "nodates.csv: no column holds dates"),
    ("forecast nodate.csv", "nodate.csv: line 3: the date column 'date' is empty"),
    ("forecast baddate.csv", "baddate.csv: line 3"),
    ("forecast twice.csv", "2020-01-02"),
    ("forecast irregular.csv", "irregular.csv: "),
    ("forecast week.csv --date-column when", "week.csv: there is no date column 'when'"),
    # columns and values
    ("forecast week.csv --target x", "week.csv: there is no column 'x' to forecast"),
    ("forecast --target temp_mxa", "did you mean 'temp_max'"),
    ("forecast week.csv --target y,y", "named twice"),
    ("forecast week.csv --target y --past y", "the column 'y' is named as target and as past"),
    ("forecast week.csv --target ''", "target is an empty list"),
    ("forecast week.csv --target a,,b", "argument --target: expected names with commas between them, got 'a,,b'"),
    ("forecast week.csv --target date", "the target 'date' is the date column"),
    ("forecast week.csv --future plan", "there is no future column 'plan'"),
    ("forecast shops.csv --target sales", "shops.csv: "),
    (f"forecast moving.csv {SHOPS}", "moving.csv: "),
    (f"forecast noshop.csv {SHOPS}", "noshop.csv: there is no series column 'shop'"),
    ("forecast text.csv", "text.csv: line 7: "),
    ("forecast infinite.csv", "infinite.csv: line 7: the column 'y'"),
    ("forecast constant.csv", "constant.csv: "),
    ("forecast hole.csv", "hole.csv: the test part (2020-05-30 to 2020-07-18) holds only 6 of 50 values of 'y'"),
    # sizes
    ("forecast four.csv", "four.csv: too few rows: 4"),
    ("forecast week.csv --window 150", "week.csv: too few rows: 200, but window 150 and horizon"),
    ("forecast week.csv --horizon 100", "week.csv: too few rows: 200"),
    # options
    ("forecast week.csv --window 0", "argument --window: expected a whole number of at least 1, got '0'"),
    ("forecast week.csv --horizon many", "argument --horizon: expected a whole number of at least 1, got 'many'"),
    ("forecast week.csv --cell ltsm", "argument --cell: invalid choice: 'ltsm'"),
    ("forecast week.csv --dropout 1", "dropout must be 0 or above and below 1, got 1.0"),
    ("forecast week.csv --dropout nan", "dropout must be 0 or above and below 1, got nan"),
    ("forecast week.csv --learning-rate 0", "learning_rate must be positive, got 0.0"),
    ("forecast week.csv --learning-rate fast", "argument --learning-rate: invalid float value: 'fast'"),
    ("forecast week.csv --seed -1", "seed must be a whole number of at least 0, got -1"),
    ("forecast week.csv --validation-fraction 0", "validation_fraction must be above 0 and below 1, got 0.0"),
    ("forecast week.csv --validation-fraction 0.6 --test-fraction 0.6", "must leave rows for training"),
    ("forecast week.csv --segment 5 --strategy seq2seq", "segment needs strategy='direct'"),
    ("forecast week.csv --segment 5 --layers 2", "segment has one layer of its own"),
    ("forecast week.csv --strategy seq2seq --bidirectional", "cannot be bidirectional"),
    (
        "forecast week.csv --levels 80,95",
        "levels are shares of the truth that intervals cover, between 0 and 1; got 80",
    ),
    ("forecast week.csv --levels most", "argument --levels: expected shares of the truth with commas between them"),
    ("forecast week.csv --test-fraction 0", "there is no test part"),
    ("forecast week.csv --backend readable --devices 2", "--devices needs --backend fast"),
    ("forecast week.csv --resume", "--resume needs --checkpoint FILE"),
    ("forecast week.csv --checkpoint week.csv", "week.csv: exists already and is not a checkpoint"),
    ("forecast --date-column when", "--date-column belongs to a file, and none was given"),
    ("forecast --missing=-1", "--missing belongs to a file, and none was given"),
    ("forecast a.csv b.csv", "unrecognized arguments: b.csv"),
    ("froecast", "invalid choice: 'froecast'"),
    ("", "the following arguments are required: COMMAND"),
    # where results go
    ("forecast week.csv --out week.csv", "--out week.csv: week.csv is a file; expected a folder"),
    ("forecast week.csv --out week.csv/new", "expected a folder or a name for a new one"),
    ("predict week.safetensors --out folder.csv/ahead.csv", "there is no folder folder.csv; make it first"),
    ("predict week.safetensors --out ahead.txt", "--out ahead.txt: expected a name that ends in .csv"),
    ("predict week.safetensors --json --out ahead.csv", "expected a name that ends in .json"),
    ("predict week.safetensors week.csv --out week.csv", "--out week.csv: that is what is read"),
    ("backtest week.safetensors", "week.safetensors: the file is a saved model"),
    ("search week.csv --out ./week.csv", "--out ./week.csv: that is what is read"),
    # models
    ("predict", "the following arguments are required: MODEL"),
    ("predict missing.safetensors", "missing.safetensors: "),
    ("predict folder", "folder: "),
    ("predict week.csv", "week.csv: is no model; expected a model saved by minirnn (.safetensors)"),
    ("predict none.safetensors", "none.safetensors: cannot be read as a safetensors file"),
    ("predict cut.safetensors", "cut.safetensors: cannot be read as a safetensors file"),
    ("predict foreign.safetensors", "foreign.safetensors: is no model"),
    ("predict torch.safetensors", "torch.safetensors: a safetensors file, but not a model saved by minirnn"),
    ("predict json.safetensors", "json.safetensors: a safetensors file, but not a model saved by minirnn"),
    ("predict later.safetensors", "later.safetensors: format 99"),
    ("predict kind.safetensors", "kind.safetensors: unknown kind of model 'os.system'"),
    ("predict checkpoint.safetensors", "checkpoint.safetensors: a checkpoint of a training, not a model"),
    ("predict columns.safetensors", "columns.safetensors: damaged model"),
    ("predict nowhere.safetensors", "nowhere.safetensors: damaged model"),
    ("predict huge.safetensors", "huge.safetensors: damaged model (ValueError: a network of this size has more than"),
    ("predict less.safetensors", "less.safetensors: damaged model"),
    ("predict nan.safetensors", "nan.safetensors: damaged model (ValueError: scale holds numbers that are not finite)"),
    # rows for a model
    ("predict week.safetensors missing.csv", "missing.csv: there is no such file"),
    ("predict week.safetensors renamed.csv", "renamed.csv: there is no column 'y'"),
    ("predict week.safetensors short.csv", "short.csv: 5 rows given; the model reads windows of 14"),
    ("predict week.safetensors hours.csv", "hours.csv: "),
    ("predict week.safetensors --levels 0", "between 0 and 1; got 0.0"),
    ("predict week.safetensors --levels 0.8,1", "between 0 and 1; got 1.0"),
    ("predict week.safetensors --date-column date", "--date-column belongs to a file of rows, and none was given"),
    ("predict shops.safetensors noplan.csv", "noplan.csv: there is no future column 'plan'"),
    ("predict shops.safetensors notown.csv", "notown.csv: there is no static column 'town'"),
    (
        "predict shops.safetensors huge.csv",
        "huge.csv: the static column 'size' held numbers in the training and now holds texts",
    ),
    ("predict shops.safetensors noshop.csv", "noshop.csv: there is no series column 'shop'"),
    # backtests
    ("backtest week.csv --start soon", "--start: expected a time without zone"),
    ("backtest week.csv --start NaT", "--start: expected a time without zone"),
    ("backtest week.csv --start 2020-01-01T00:00Z", "--start: expected a time without zone"),
    ("backtest week.csv --window 14 --horizon 7 --start 2020-01-10", "week.csv: only 9 rows come before 2020-01-10"),
    (
        "backtest week.csv --horizon 7 --start 2030-01-01",
        "week.csv: fewer rows than the horizon of 7 come from 2030-01-01",
    ),
    ("backtest week.csv --stride 0", "argument --stride: expected a whole number of at least 1, got '0'"),
    ("backtest week.csv --test-fraction 0", "there is no test part"),
    # searches
    ("search week.csv --budget 5", "argument --budget: expected a time like 30s, 5m or 1h30m, got '5'"),
    ("search week.csv --budget 0s", "argument --budget: expected a time like 30s, 5m or 1h30m, got '0s'"),
    ("search week.csv --trials 0", "argument --trials: expected a whole number of at least 1, got '0'"),
    ("search week.csv --resume", "--resume needs --out FILE"),
    ("search week.csv --out short.csv", "short.csv: exists already; resume to go on from it, or name another file"),
    ("search week.csv --out short.csv --resume", "short.csv: not a table of trials of a search"),
    ("search week.csv --window 150", "week.csv: too few rows"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line or "nothing" for line, _ in BAD])
def test_a_bad_input_ends_in_one_line_and_status_2(line, message, place, monkeypatch):
    monkeypatch.chdir(place)
    before = {name: os.stat(name).st_mtime_ns for name in os.listdir()}
    words = shlex.split(line)
    quick = QUICK if words and words[0] in ("forecast", "backtest", "search") else []
    ended = run(*words[:1], *(word for word in quick if word), *words[1:])
    assert ended.status == 2, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("minirnn")
    assert message in ended.err
    assert {name: os.stat(name).st_mtime_ns for name in os.listdir()} == before


def test_the_table_is_long_enough():
    assert len({line for line, _ in BAD}) == len(BAD) >= 100


def test_without_a_traceback_in_a_process_of_its_own(place):
    for words in (["forecast", "text.csv"], ["predict", "cut.safetensors"]):
        command = [sys.executable, "-W", "error", "-m", "minirnn", *words]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("tenths", range(10))
def test_a_model_cut_at_every_tenth(place, tenths, tmp_path):
    whole = (place / "shops.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) * tenths // 10])
    ended = run("predict", tmp_path / "cut.safetensors")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([10**6, 10**12, -(10**12), 1e308, -0.5, float("nan"), float("inf")]),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places_in(value, path=()):
    """The path of every part of a description."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places_in(part, (*path, key))


def with_part(value, path, part):
    """The same with one part replaced."""
    if not path:
        return part
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_part(value[path[0]], path[1:], part)
    return copy


@pytest.mark.parametrize("name", ["week", "shops"])
def test_no_description_leads_to_a_traceback(name, place, tmp_path):
    arrays, about = contents(place / f"{name}.safetensors")
    paths, path = list(places_in(about)), tmp_path / "odd.safetensors"

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(paths), ODD)
    def check(where, part):
        save_file(arrays, path, {"minirnn": json.dumps(with_part(about, where, part))})
        with contextlib.suppress(storage.ModelFileError, minirnn.models.forecaster.ParameterError):
            forecast = storage.load(path).predict()
            assert len(forecast)

    check()


@pytest.mark.parametrize("name", ["week", "shops"])
def test_no_arrays_lead_to_a_traceback(name, place, tmp_path):
    arrays, about = contents(place / f"{name}.safetensors")
    path = tmp_path / "odd.safetensors"

    def change(array, how):
        if how == "type":
            return np.nan_to_num(array).astype(np.int64 if array.dtype.kind == "f" else np.float64)
        if how == "shape":
            return array.reshape(-1)[:-1] if array.size else np.zeros(3, array.dtype)
        if how == "nan":
            return np.full_like(array, np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).min)
        return -array if how == "sign" else np.full_like(array, 10**9)

    for each in sorted(arrays):
        for how in ("type", "shape", "nan", "sign", "large"):
            save_file(arrays | {each: change(arrays[each], how)}, path, {"minirnn": json.dumps(about)})
            with contextlib.suppress(storage.ModelFileError), np.errstate(all="ignore"):
                storage.load(path).predict()
