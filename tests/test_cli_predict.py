"""The commands ``predict`` and ``backtest``."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands import NAIVE, QUICK, daily, panel, run, sine, without_slow_forecasts, written

import minirnn
from minirnn import data


@pytest.fixture(autouse=True)
def few_forecasts(monkeypatch):
    without_slow_forecasts(monkeypatch)


@pytest.fixture(scope="module")
def week(tmp_path_factory):
    """A file, and a model trained on it."""
    folder = tmp_path_factory.mktemp("week")
    path = written(folder, daily(200, y=sine()))
    small = {"reference": "last", "transform": "none", "season": 7, "max_epochs": 2, "ensemble": 2, "hidden_size": 4}
    minirnn.Forecaster(backend="readable", **small).fit(data.read(path)).save(folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    """The same of many series, with two targets and a column that is known ahead."""
    folder = tmp_path_factory.mktemp("shops")
    path = written(folder, panel())
    table = data.read(path, ["sales", "returns"], future=["plan"], static=["town", "size"], series="shop")
    small = {"reference": "last", "transform": "none", "season": 7, "max_epochs": 1, "ensemble": 1, "hidden_size": 4}
    minirnn.Forecaster(backend="readable", window=14, **small).fit(table).save(folder / "model.safetensors")
    return folder


def frame_of(text, tmp_path, index="date"):
    (tmp_path / "printed.csv").write_text(text)
    return pd.read_csv(tmp_path / "printed.csv", parse_dates=[index], index_col=index)


def test_predict_without_rows_goes_on_from_those_in_the_model(week, tmp_path):
    ended = run("predict", week / "model.safetensors")
    assert (ended.status, ended.err) == (0, "")
    frame = frame_of(ended.out, tmp_path)
    pd.testing.assert_frame_equal(
        frame, minirnn.load(week / "model.safetensors").predict(), check_index_type=False, check_freq=False
    )
    assert frame.index[0] == pd.Timestamp("2020-07-19")


def test_predict_from_new_rows_starts_after_their_last(week, tmp_path):
    rows = pd.read_csv(week / "data.csv")
    new = written(tmp_path, rows.iloc[100:150], "new.csv")
    ended = run("predict", week / "model.safetensors", new, "--levels", "0.5,0.9")
    frame = frame_of(ended.out, tmp_path)
    assert list(frame.columns) == ["mean", "lower_50", "upper_50", "lower_90", "upper_90"]
    assert frame.index[0] == pd.Timestamp(rows["date"][149]) + pd.Timedelta(days=1)
    assert "holds the times" in ended.err
    # The whole file gives another forecast than its last rows only if they were cut within what a forecast reads.
    longer = run(
        "predict", week / "model.safetensors", written(tmp_path, rows.iloc[:150], "long.csv"), "--levels", "0.5,0.9"
    )
    np.testing.assert_allclose(frame, frame_of(longer.out, tmp_path), rtol=1e-9)


def test_predict_takes_another_name_of_the_dates_and_codes(week, tmp_path):
    rows = pd.read_csv(week / "data.csv").rename(columns={"date": "when"})
    rows["y"] = rows["y"].astype(str)
    rows.loc[rows.index[-3], "y"] = "n.a."
    path = written(tmp_path, rows)
    ended = run("predict", week / "model.safetensors", path, "--date-column", "when", "--missing", "n.a.")
    assert ended.status == 0, ended.err
    assert ended.out.startswith("date,mean,lower_80")  # as it was called in the training


def test_predict_as_json(week):
    whole = json.loads(run("predict", week / "model.safetensors", "--json", "--levels", "0.8").out)
    assert (whole["targets"], whole["horizon"], whole["frequency"], whole["levels"]) == (["y"], 7, "D", [0.8])
    assert list(whole["forecast"][0]) == ["time", "mean", "lower_80", "upper_80"]
    assert [row["time"] for row in whole["forecast"]][::6] == ["2020-07-19", "2020-07-25"]
    bare = json.loads(run("predict", week / "model.safetensors", "--json", "--levels", "").out)
    assert list(bare["forecast"][0]) == ["time", "mean"]


def test_predict_writes_a_file_whole_and_prints_nothing(week, tmp_path):
    printed = run("predict", week / "model.safetensors").out
    ended = run("predict", week / "model.safetensors", "--out", tmp_path / "ahead.csv")
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert (tmp_path / "ahead.csv").read_text() == printed
    assert [p.name for p in tmp_path.iterdir()] == ["ahead.csv"]


def test_predict_in_either_half_is_the_same(week, tmp_path):
    halves = [
        frame_of(run("predict", week / "model.safetensors", "--backend", b).out, tmp_path) for b in ("fast", "readable")
    ]
    np.testing.assert_allclose(*halves, rtol=1e-5)


def test_predict_of_many_series_reads_the_rows_ahead(shops, tmp_path):
    rows = pd.read_csv(shops / "data.csv")
    inside = frame_of(run("predict", shops / "model.safetensors").out, tmp_path)
    assert list(inside.columns[:3]) == ["series", "target", "mean"]
    assert len(inside) == 3 * 2 * 7
    same = frame_of(run("predict", shops / "model.safetensors", shops / "data.csv").out, tmp_path)
    pd.testing.assert_frame_equal(inside, same, rtol=1e-9)
    rows.loc[rows["sales"].isna(), "plan"] += 3
    changed = frame_of(run("predict", shops / "model.safetensors", written(tmp_path, rows)).out, tmp_path)
    assert (changed["mean"] != inside["mean"]).all()


def test_predict_of_a_series_that_is_new_and_a_town_that_is_new(shops, tmp_path):
    rows = pd.read_csv(shops / "data.csv")
    new = rows[rows["shop"] == "shop 1"].assign(shop="shop 9", town="nowhere")
    ended = run("predict", shops / "model.safetensors", written(tmp_path, new))
    assert ended.status == 0, ended.err
    assert np.isfinite(frame_of(ended.out, tmp_path)["mean"]).all()


# ---------------------------------------------------------------- backtest


def test_backtest_says_who_wins_first_and_by_how_much_at_each_step(week):
    ended = run("backtest", week / "data.csv", "--start", "2020-06-15", "--stride", 3, "--horizon", 4, *QUICK)
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("The ")
    assert lines[0].endswith((".", "shifted."))
    assert "mean absolute error" in lines[0]
    assert "test        2020-06-15 to 2020-07-18, 34 rows" in lines
    assert "errors on the test rows, 4 steps ahead together, from 11 origins" in lines
    at = lines.index("MAE by steps ahead")
    assert lines[at + 1].split() == ["1", "2", "3", "4"]
    assert len(lines) == at + 2 + 1 + len(NAIVE)


def test_backtest_writes_every_forecast(week, tmp_path):
    out = tmp_path / "forecasts.csv"
    ended = run("backtest", week / "data.csv", "--start", "2020-06-15", "--stride", 3, "--json", "--out", out, *QUICK)
    result, frame = json.loads(ended.out), pd.read_csv(out)
    assert len(frame) == result["points"] == result["origins"] * 7 == 10 * 7
    assert np.abs(frame["actual"] - frame["gru"]).mean() == pytest.approx(result["test"]["gru"]["MAE"])
    assert np.abs(frame["actual"] - frame["drift"]).mean() == pytest.approx(result["test"]["drift"]["MAE"])
    assert frame["time"][0] == "2020-06-15"


def test_backtest_refits_on_what_came(week):
    kept = ["backtest", week / "data.csv", "--start", "2020-07-08", "--horizon", 2, "--stride", 4, "--json", *QUICK]
    fixed, anew = (json.loads(run(*kept, *more).out) for more in ([], ["--refit"]))
    assert (fixed["refit"], anew["refit"]) == (False, True)
    assert fixed["origins"] == anew["origins"] == 3
    assert fixed["test"]["gru"]["MAE"] != anew["test"]["gru"]["MAE"]


def test_backtest_of_many_series(shops):
    roles = ["--series", "shop", "--target", "sales", "--target", "returns", "--future", "plan", "--past", ""]
    ended = run("backtest", shops / "data.csv", *roles, "--window", 14, *QUICK, "--stride", 5)
    assert ended.status == 0, ended.err
    assert "averaged over 2 targets and 3 series" in ended.out
    assert "MASE by steps ahead" in ended.out


def test_an_interrupted_refit_ends(week, monkeypatch):
    from minirnn.readable import forecasting

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(forecasting, "epoch", interrupted)
    ended = run("backtest", week / "data.csv", "--start", "2020-07-08", "--horizon", 2, "--refit", *QUICK)
    assert (ended.status, ended.err) == (130, "minirnn backtest: interrupted\n")


def test_a_reader_that_leaves_is_no_error(week):
    model = week / "model.safetensors"
    command = f"{sys.executable} -m minirnn predict {model} --backend readable | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("date,")
