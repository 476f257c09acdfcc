"""The command line as its users meet it: what it prints, what it writes, how it refuses."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import minirnn
from minirnn import data
from minirnn.cli import main

METRICS = ["MAE", "RMSE", "MSE", "MASE", "sMAPE"]
NAIVE = ["last_value", "seasonal_naive", "drift", "mean", "climatology", "linear"]


@pytest.fixture
def quick(monkeypatch):
    """Trainings of two epochs, where a test is not about accuracy."""
    from minirnn.models import forecaster

    fit = forecaster.Forecaster.fit

    def quick_fit(self, *args, **kwargs):
        return fit(self.set_params(max_epochs=2, ensemble=1, hidden_size=4), *args, **kwargs)

    monkeypatch.setattr(forecaster.Forecaster, "fit", quick_fit)


def csv(tmp_path, text, name="data.csv"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def daily(rows, **columns):
    dates = pd.date_range("2020-01-01", periods=rows, freq="D")
    return pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), **columns})


@pytest.fixture
def sine(tmp_path):
    t = np.arange(200)
    y = np.round(10 + 3 * np.sin(2 * np.pi * t / 7) + 0.01 * t, 3)
    daily(200, y=y).to_csv(tmp_path / "sine.csv", index=False)
    return str(tmp_path / "sine.csv")


def test_without_a_file_it_forecasts_the_weather_and_says_so(capsys):
    assert main(["forecast", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for line in (
        "the embedded series seattle_weather (no file was given)",
        "target      temp_max (°C); also read: precipitation, temp_min, wind",
        "dates       column date, frequency D",
        "train       2012-01-01 to 2014-05-26, 877 rows",
        "validation  2014-05-27 to 2014-12-31, 219 rows",
        "test        2015-01-01 to 2015-12-31, 365 rows",
        "horizon 7",
        "The LSTM beats the best other forecast, linear, by",
        "2016-01-07",
    ):
        assert line in out, line


def test_json_holds_what_is_promised_and_nothing_else_is_printed(sine, capsys, quick):
    assert main(["forecast", sine, "--json", "--horizon", "5", "--cell", "gru"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"target", "horizon", "frequency", "splits", "test", "best_naive", "skill"} <= set(result)
    assert (result["target"], result["horizon"], result["frequency"]) == ("y", 5, "D")
    assert list(result["splits"]) == ["train", "validation", "test"]
    assert result["splits"]["test"] == {"start": "2020-05-30", "end": "2020-07-18", "rows": 50, "observed": 50}
    assert list(result["test"]) == ["gru", *NAIVE]
    assert all(list(row) == METRICS for row in result["test"].values())
    for row in result["test"].values():
        assert row["RMSE"] == pytest.approx(np.sqrt(row["MSE"]))
    best = min(NAIVE, key=lambda name: result["test"][name]["MAE"])
    assert result["best_naive"] == best
    assert result["skill"] == pytest.approx(1 - result["test"]["gru"]["MAE"] / result["test"][best]["MAE"])


def test_out_writes_four_whole_files(sine, tmp_path, capsys, quick):
    out = tmp_path / "new" / "report"
    assert main(["forecast", sine, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert sorted(p.name for p in out.iterdir()) == [
        "forecast.csv", "forecast.png", "metrics.json", "model.safetensors",
    ]  # fmt: skip
    assert json.loads((out / "metrics.json").read_text()) == printed
    forecast = pd.read_csv(out / "forecast.csv", parse_dates=["date"], index_col="date")
    assert forecast.index[0] == pd.Timestamp("2020-07-19")
    assert len(forecast) == 7
    loaded = minirnn.load(out / "model.safetensors").predict()
    np.testing.assert_allclose(loaded["mean"], forecast["mean"])
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")


def test_repairs_are_said(tmp_path, capsys, quick):
    frame = daily(120, y=np.arange(120) % 7).drop(index=[40, 41])
    frame.iloc[::-1].to_csv(tmp_path / "gaps.csv", index=False)
    assert main(["forecast", str(tmp_path / "gaps.csv")]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note")]
    assert any("order" in line for line in notes)
    assert any("2020-02-10" in line for line in notes)


def test_a_worthless_network_is_called_so(tmp_path, capsys, quick):
    y = np.random.default_rng(0).standard_normal(300).cumsum().round(4)  # a random walk: nothing to learn
    daily(300, y=y).to_csv(tmp_path / "walk.csv", index=False)
    main(["forecast", str(tmp_path / "walk.csv"), "--horizon", "1"])
    out = capsys.readouterr().out
    assert "do not use this network" in out or "use the simpler" in out


def test_a_perfect_simple_forecast_is_no_crash(tmp_path, capsys, quick):
    daily(140, y=np.arange(140) % 7).to_csv(tmp_path / "week.csv", index=False)  # the seasonal naive makes no error
    assert main(["forecast", str(tmp_path / "week.csv"), "--json", "--out", str(tmp_path / "out")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["best_naive"], result["test"]["seasonal_naive"]["MAE"]) == ("seasonal_naive", 0)
    assert result["skill"] is None
    assert "do not use this network" in result["sentence"]


def test_the_result_can_be_traced(sine, capsys, quick):
    main(["forecast", sine, "--json", "--seed", "3", "--window", "9"])
    model = json.loads(capsys.readouterr().out)["model"]
    assert (model["cell"], model["seed"], model["window"], model["season"]) == ("lstm", 3, 9, 7)
    assert (model["ended"], model["version"], model["linear_part"]) == ("max_epochs", minirnn.__version__, True)


def test_names_that_look_like_mathematics_or_have_no_glyph(tmp_path, capsys, quick):
    daily(120, **{"$\\a 温度 $": np.arange(120) % 5 + 0.1}).to_csv(tmp_path / "odd.csv", index=False)
    assert main(["forecast", str(tmp_path / "odd.csv"), "--out", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_nothing_is_left_behind_when_a_file_cannot_be_made(sine, tmp_path, monkeypatch, capsys, quick):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minirnn.inspect.figures.save_figure", full)
    assert main(["forecast", sine, "--out", str(tmp_path / "out")]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_few_rows_take_a_smaller_window_and_say_so(tmp_path, capsys, quick):
    months = pd.date_range("2019-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    pd.DataFrame({"date": months, "y": np.arange(60) % 12}).to_csv(tmp_path / "months.csv", index=False)
    assert main(["forecast", str(tmp_path / "months.csv")]) == 0
    out = capsys.readouterr().out
    assert re.search(r"note +60 rows are too few for window 24 and horizon 12: took window 12 and horizon \d+", out)
    # What was asked for is not changed.
    assert main(["forecast", str(tmp_path / "months.csv"), "--window", "24", "--horizon", "12"]) == 2
    assert "months.csv: too few rows: 60, but window 24 and horizon 12 need" in capsys.readouterr().err


def test_a_part_without_values_is_refused(tmp_path, capsys, quick):
    y = np.where((np.arange(200) > 150) & (np.arange(200) < 195), np.nan, np.arange(200) % 7)
    daily(200, y=y).to_csv(tmp_path / "hole.csv", index=False)
    assert main(["forecast", str(tmp_path / "hole.csv")]) == 2
    err = capsys.readouterr().err
    assert "the test part (2020-05-30 to 2020-07-18) holds only 6 of 50 values of 'y'" in err


GOOD = "date,y\n" + "\n".join(f"2020-{1 + i // 28:02d}-{1 + i % 28:02d},{i % 5}" for i in range(60)) + "\n"


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        (["forecast", "{missing}"], None, "missing.csv"),
        (["forecast", "{dir}"], None, "is a folder"),
        (["forecast", "{csv}"], "", "empty"),
        (["forecast", "{csv}"], "a,b\n1,2\n3,4\n", "date"),
        (["forecast", "{csv}", "--target", "tmep"], "date,temp\n2020-01-01,1\n2020-01-02,2\n", "did you mean 'temp'"),
        (["forecast", "--target", "temp_mxa"], None, "did you mean 'temp_max'"),
        (["forecast", "{csv}"], "date,y\n2020-01-01,1\n2020-01-02,two\n2020-01-03,3\n2020-01-04,4\n", "line 3"),
        (["forecast", "{csv}"], "date,y\n2020-01-01,1\n2020-01-02,2\n2020-01-02,3\n2020-01-03,4\n", "2020-01-02"),
        (["forecast", "{csv}"], "date,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,1\n2020-01-04,4\n", "too few rows: 4"),
        (["forecast", "{good}", "--window", "0"], None, "at least 1, got '0'"),
        (["forecast", "{good}", "--horizon", "many"], None, "at least 1, got 'many'"),
        (["forecast", "{good}", "--cell", "ltsm"], None, "choose from"),
        (["forecast", "{good}", "--seed", "-1"], None, "--seed must be 0 or more"),
        (["forecast", "{good}", "--out", "{good}"], None, "is a file; expected a folder"),
        (["forecast", "--date-column", "when"], None, "belongs to a CSV file"),
        (["forecast", "a.csv", "b.csv"], None, "unrecognized arguments: b.csv"),
        (["froecast"], None, "invalid choice: 'froecast'"),
        ([], None, "required: COMMAND"),
    ],
)
def test_a_bad_input_ends_in_one_line_and_status_2(arguments, content, message, tmp_path):
    places = {"missing": str(tmp_path / "missing.csv"), "dir": str(tmp_path), "good": csv(tmp_path, GOOD, "good.csv")}
    places["csv"] = csv(tmp_path, content if content is not None else GOOD)
    before = sorted(p.name for p in tmp_path.iterdir())
    filled = [argument.format(**places) for argument in arguments]
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "minirnn", *filled], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("minirnn")
    assert message in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch, sine):
    def broken(*args, **kwargs):
        raise ValueError("operands could not be broadcast")

    monkeypatch.setattr("minirnn.data.read_csv", broken)
    with pytest.raises(ValueError, match="could not be broadcast"):
        main(["forecast", sine])


def test_help_and_version(capsys):
    for arguments, expected in (
        (["--help"], "forecast a column of a CSV"),
        (["forecast", "--help"], "minirnn forecast load.csv --target MW --horizon 24 --out report/"),
        (["--version"], f"minirnn {minirnn.__version__}"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_a_reader_that_leaves_is_no_error(sine):
    run = f"{sys.executable} -m minirnn forecast {sine} --quiet | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_both_backends_print_the_same_table(sine, capsys, quick):
    tables = []
    for backend in ("fast", "readable"):
        assert main(["forecast", sine, "--json", "--backend", backend]) == 0
        tables.append(json.loads(capsys.readouterr().out)["test"]["lstm"])
    for metric in METRICS:
        assert tables[0][metric] == pytest.approx(tables[1][metric], rel=1e-3)


def test_the_embedded_series_through_the_csv_door_gives_the_same(tmp_path, capsys, quick):
    data.load("air_passengers").to_csv(tmp_path / "air.csv")
    results = []
    assert main(["forecast", str(tmp_path / "air.csv"), "--json"]) == 0
    results.append(json.loads(capsys.readouterr().out)["test"])
    from minirnn.models.forecaster import Forecaster

    results.append(Forecaster().fit(data.load("air_passengers")).evaluate().test)
    assert results[0] == results[1]
