"""The command ``forecast`` and what all commands share, as their users meet it."""

import inspect
import json
import math
import re
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from commands import NAIVE, QUICK, daily, panel, run, sine, without_slow_forecasts, written

import minirnn
from minirnn import data
from minirnn.cli import COMMANDS, main, model, options, printing, rows, tag, text, translate
from minirnn.cli import parser as whole_parser
from minirnn.cli.loading import TRAINED_BY

METRICS = ["MAE", "RMSE", "MSE", "MAPE", "sMAPE", "MASE", "RMSSE"]
FILES = ["forecast.csv", "forecast.png", "metrics.json", "model.safetensors", "report.html"]


@pytest.fixture(autouse=True)
def few_forecasts(monkeypatch):
    without_slow_forecasts(monkeypatch)


@pytest.fixture
def week(tmp_path):
    return written(tmp_path, daily(200, y=sine()), "week.csv")


# ---------------------------------------------------------------- what is printed and written


def test_without_a_file_it_forecasts_the_weather_and_says_so():
    ended = run("forecast", *QUICK, "--quiet")
    assert (ended.status, ended.err) == (0, "")
    for line in (
        "the embedded series seattle_weather (no file was given)",
        "target      temp_max (°C); also read: precipitation, temp_min, wind",
        "dates       column date, frequency D",
        "train       2012-01-01 to 2014-05-26, 877 rows",
        "validation  2014-05-27 to 2014-12-31, 219 rows",
        "test        2015-01-01 to 2015-12-31, 365 rows",
        "window 30, horizon 7; 1 member; 2 epochs",
        "the best other forecast, ",
        "2016-01-07",
    ):
        assert line in ended.out, line


def test_json_holds_what_is_promised_and_nothing_else_is_printed(week):
    ended = run("forecast", week, "--json", "--horizon", 5, "--cell", "lstm", *QUICK)
    result = json.loads(ended.out)
    assert (result["target"], result["horizon"], result["frequency"]) == ("y", 5, "D")
    assert result["splits"]["test"] == {"start": "2020-05-30", "end": "2020-07-18", "rows": 50, "observed": 50}
    assert list(result["test"]) == ["lstm", *NAIVE]
    assert all(list(row)[: len(METRICS)] == METRICS for row in result["test"].values())
    best = min(NAIVE, key=lambda name: result["test"][name]["MAE"])
    assert result["best_naive"] == best
    assert result["skill"] == pytest.approx(1 - result["test"]["lstm"]["MAE"] / result["test"][best]["MAE"])
    assert "holds the times, from 2020-01-01" in ended.err


def test_out_writes_whole_files_that_agree(week, tmp_path):
    out = tmp_path / "new" / "report"
    ended = run("forecast", week, "--out", out, "--json", "--levels", "0.5,0.9", *QUICK)
    assert ended.status == 0
    assert sorted(p.name for p in out.iterdir()) == FILES
    assert json.loads((out / "metrics.json").read_text()) == json.loads(ended.out)
    forecast = pd.read_csv(out / "forecast.csv", parse_dates=["date"], index_col="date")
    assert forecast.index[0] == pd.Timestamp("2020-07-19")
    assert list(forecast.columns) == ["mean", "lower_50", "upper_50", "lower_90", "upper_90"]
    loaded = minirnn.load(out / "model.safetensors").predict(levels=(0.5, 0.9))
    np.testing.assert_allclose(loaded, forecast)
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")
    report = (out / "report.html").read_text()
    assert json.loads(ended.out)["sentence"] in report
    assert f"minirnn forecast {week}" in report


def test_the_forecast_is_printed_with_its_intervals(week):
    out = run("forecast", week, "--levels", "0.8", *QUICK).out
    block = out[out.index("forecast of y") :].splitlines()
    assert block[1].split("  ")[-2:] == ["lower 80 %", "upper 80 %"]
    assert len(block) == 2 + 7
    for line in block[2:]:
        time, mean, lower, upper = line.split()
        assert float(lower) <= float(mean) <= float(upper)
    assert re.search(r"the interval that should hold  50 %: [\d.]+ %, 80 %: [\d.]+ %, 95 %: [\d.]+ %", out)


def test_several_targets_and_series_print_a_summary(tmp_path):
    path = written(tmp_path, panel(towns=("north", "south", "north", "west")), "shops.csv.gz")
    roles = [
        "--series",
        "shop",
        "--target",
        "sales,returns",
        "--future",
        "plan",
        "--static",
        "town",
        "--static",
        "size",
    ]
    ended = run("forecast", path, *roles, *QUICK, "--window", 14, "--out", tmp_path / "out")
    assert ended.status == 0, ended.err
    for line in (
        "target      sales, returns; also read: plan (ahead), town, size (of each)",
        "series      4 by shop: 'shop 0', 'shop 1', 'shop 2', 'shop 3'",
        "from 64 origins, 2 targets and 4 series",
        "forecast of sales of the series shop 0",
        "forecast of returns of the series shop 2",
        "and 2 more: --json or --out holds all of them",
    ):
        assert line in ended.out, line
    assert "of the series shop 3" not in ended.out
    table = ended.out[ended.out.index("errors on") :].splitlines()
    assert table[1].split() == ["MASE", "RMSSE", "MAPE", "sMAPE"]
    scaled = [float(re.search(r"[\d.]+", line)[0]) for line in table[2:9]]
    assert scaled == sorted(scaled)
    forecast = pd.read_csv(tmp_path / "out" / "forecast.csv")
    assert forecast.groupby(["series", "target"], sort=False).size().tolist() == [7] * 8


def test_every_parameter_reaches_the_model(week):
    given = shlex.split(
        "--window 10 --horizon 3 --seed 5 --layers 2 --strategy seq2seq --likelihood student --dropout 0.1 "
        "--weight-decay 0.01 --learning-rate 0.01 --batch-size 16 --patience 2 --max-norm 2 --convolution 3 "
        "--validation-fraction 0.2 --test-fraction 0.2 --impute last --clip-outliers"
    )
    about = json.loads(run("forecast", week, "--json", *QUICK, *given).out)["model"]
    expected = {
        "window": 10, "horizon": 3, "seed": 5, "num_layers": 2, "strategy": "seq2seq", "likelihood": "student",
        "dropout": 0.1, "weight_decay": 0.01, "learning_rate": 0.01, "batch_size": 16, "patience": 2, "max_norm": 2.0,
        "convolution": 3, "validation_fraction": 0.2, "test_fraction": 0.2, "impute": "last", "clip_outliers": True,
        "hidden_size": 4, "backend": "readable", "reference": "last", "transform": "none", "season": 7, "ensemble": 1,
    }  # fmt: skip
    assert {name: about[name] for name in expected} == expected


def test_the_help_states_the_defaults_of_the_forecaster():
    usual = {name: p.default for name, p in inspect.signature(minirnn.Forecaster).parameters.items()}
    assert set(model.OPTIONS) == set(usual) - {"progress"}
    for name, option in model.OPTIONS.items():
        stated = re.search(r"\(default: ([^,)]+)", option.help)
        if usual[name] is False:
            assert option.kind is None
        elif usual[name] is not None:
            assert stated, name
            assert stated[1] == f"{usual[name]:g}" if isinstance(usual[name], float) else str(usual[name]), name


def test_options_can_be_typed_again(week):
    words = ["forecast", str(week), "--target", 'a,"b, c",d', "--past", "", "--missing=-9,n/a", "--series", "s"]
    words += ["--layers", "2", "--clip-outliers", "--learning-rate", "0.001", "--max-norm", "1"]
    chosen = whole_parser().parse_args(words)
    assert (chosen.target, chosen.past, chosen.missing) == (["a", "b, c", "d"], [], ["-9", "n/a"])
    again = ["forecast", *rows.command_line(chosen), *model.command_line(options.given(chosen, model.GROUPS))]
    assert "--max-norm" not in again  # stands at its default
    repeated = whole_parser().parse_args([*again, "--max-norm", "1"])
    assert vars(repeated) == vars(chosen)


def test_repairs_are_said(tmp_path):
    frame = daily(120, y=np.arange(120) % 7 + 0.5).drop(index=[40, 41])
    path = written(tmp_path, frame.iloc[::-1])
    out = run("forecast", path, *QUICK).out
    said = [line for line in out.splitlines() if line.startswith("note")]
    assert any("order" in line for line in said)
    assert any("2020-02-10" in line for line in said)


def test_codes_for_missing_values_and_a_column_of_dates(tmp_path):
    y = sine()
    y[[50, 51]] = -999
    path = written(tmp_path, daily(200, y=y).assign(seen="2020-01-01")[["seen", "date", "y"]])
    ended = run("forecast", path, "--date-column", "date", "--missing=-999,n/a", *QUICK, "--json")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["splits"]["train"]["observed"] == 118


def test_a_worthless_network_is_called_so(tmp_path):
    y = np.random.default_rng(0).standard_normal(300).cumsum().round(4)  # a random walk: nothing to learn
    out = run("forecast", written(tmp_path, daily(300, y=y)), "--horizon", 1, *QUICK).out
    assert "do not use this network" in out or "take the simpler" in out or "use the simpler" in out


def test_a_perfect_simple_forecast_is_no_crash(tmp_path):
    path = written(tmp_path, daily(140, y=np.arange(140) % 7))  # the seasonal naive makes no error
    ended = run("forecast", path, "--json", "--out", tmp_path / "out", *QUICK)
    result = json.loads(ended.out)
    assert result["test"]["seasonal_naive"]["MAE"] == 0
    assert ended.status == 0


def test_names_that_look_like_mathematics_or_have_no_glyph(tmp_path):
    path = written(tmp_path, daily(120, **{"$\\a 温度 $": np.arange(120) % 5 + 0.1}))
    assert run("forecast", path, "--out", tmp_path / "out", *QUICK).status == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES


def test_nothing_is_left_behind_when_a_file_cannot_be_made(week, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minirnn.inspect.figures.save_figure", full)
    ended = run("forecast", week, "--out", tmp_path / "out", *QUICK)
    assert (ended.status, ended.out) == (2, "")
    assert "No space left on device" in ended.err
    assert not (tmp_path / "out").exists()


def test_few_rows_take_a_smaller_window_and_say_so(tmp_path):
    months = pd.date_range("2019-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    path = written(tmp_path, pd.DataFrame({"date": months, "y": np.arange(60) % 12}))
    out = run("forecast", path, *QUICK).out
    assert re.search(r"note +60 rows are too few for window 24 and horizon 12: took window 12 and horizon \d+", out)
    # What was asked for is not changed.
    ended = run("forecast", path, "--window", 24, "--horizon", 12, *QUICK)
    assert ended.status == 2
    assert "data.csv: too few rows: 60, but window 24 and horizon 12 need" in ended.err


def test_the_embedded_series_through_the_door_for_files_gives_the_same(tmp_path):
    path = tmp_path / "air.csv"
    data.load("air_passengers").to_csv(path)
    quick = {"backend": "readable", "reference": "last", "transform": "none", "max_epochs": 2, "ensemble": 1}
    ended = run("forecast", path, "--json", *(w for n, v in quick.items() for w in (f"--{n.replace('_', '-')}", v)))
    assert json.loads(ended.out)["test"] == minirnn.Forecaster(**quick).fit(data.load("air_passengers")).evaluate().test


def test_the_same_seed_gives_the_same_bytes(week, tmp_path):
    for name in ("one", "two"):
        assert run("forecast", week, "--out", tmp_path / name, *QUICK).status == 0
    for name in ("forecast.csv", "metrics.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_both_backends_print_the_same_table(week):
    tables = [
        json.loads(run("forecast", week, "--json", "--quiet", *QUICK, "--backend", b).out) for b in ("fast", "readable")
    ]
    for metric in METRICS:
        assert tables[0]["test"]["gru"][metric] == pytest.approx(tables[1]["test"]["gru"][metric], rel=1e-3)


def test_a_checkpoint_goes_on_to_the_same_forecast(week, tmp_path):
    kept = ["--checkpoint", tmp_path / "run.safetensors"]
    whole = run("forecast", week, "--json", *QUICK, "--max-epochs", 4)
    assert run("forecast", week, *kept, *QUICK).status == 0
    again = run("forecast", week, "--json", *kept, "--resume", *QUICK, "--max-epochs", 4)
    assert json.loads(again.out)["test"] == json.loads(whole.out)["test"]
    assert "went on from" in again.err


# ---------------------------------------------------------------- how commands end


def test_help_and_version():
    for arguments, expected in (
        (["--help"], "forecast columns of a file"),
        (["forecast", "--help"], "minirnn forecast load.csv --target MW --horizon 24 --out report/"),
        (["--version"], f"minirnn {minirnn.__version__}"),
        *(([name, "--help"], "examples:") for name in COMMANDS),
    ):
        ended = run(*arguments)
        assert ended.status == 0
        assert expected in ended.out


def test_the_help_of_predict_serves_every_kind_of_model():
    told = run("predict", "--help").out.partition("examples:")[2]
    for kind, command in TRAINED_BY.items():
        assert f"\n  {command:<10}  " in told, kind
    assert "[INPUT]" in run("predict", "--help").out


@pytest.mark.parametrize(
    ("kind", "groups"), [("Tagger", tag.GROUPS), ("LanguageModel", text.GROUPS), ("Seq2Seq", translate.GROUPS)]
)
def test_the_help_states_the_defaults_of_each_model(kind, groups):
    usual = getattr(minirnn, kind)().get_params()
    for option in (option for group in groups.values() for option in group):
        value = usual[option.parameter]
        if value is not None and value != "auto":  # what depends on the data is said in words
            value = "yes" if value is True else f"{value:g}" if isinstance(value, float) else value
            assert re.search(rf"\(default: {value}\b", option.help), option.parameter


@pytest.mark.parametrize("command", ["classify", "tag", "translate"])
def test_what_is_read_in_both_directions_is_asked_for_alike(command):
    assert "--bidirectional yes|no" in run(command, "--help").out


def test_an_unknown_option_leads_to_the_help_of_its_command():
    ended = run("text", "book.txt", "--horizon", "3")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "minirnn text: error: unrecognized arguments: --horizon 3 (see minirnn text --help)\n"


def test_scores_have_three_digits_or_more_where_all_are_small():
    table = pd.DataFrame({"F1": [0.5, 1.0], "MAE": [0.00012, math.nan], "support": [1200, 3]}, ["GRU", "none"])
    assert [line.split() for line in printing.scores(table)] == [
        ["F1", "MAE", "support"], ["GRU", "0.500", "0.000120", "1,200"], ["none", "1.000", "-", "3"]
    ]  # fmt: skip


def test_help_is_light():
    code = "from minirnn import cli; cli.parser(); import sys; print({'numpy', 'jax', 'pandas'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch, week):
    def broken(*args, **kwargs):
        raise ValueError("operands could not be broadcast")

    monkeypatch.setattr("minirnn.data.reading.read", broken)
    with pytest.raises(ValueError, match="could not be broadcast"):
        main(["forecast", str(week)])


def test_ctrl_c_ends_with_130(monkeypatch, week, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("minirnn.models.forecasting.fitting.chosen", interrupted)
    for command in ("forecast", "backtest", "search"):
        out = tmp_path / ("out" if command == "forecast" else "out.csv")
        ended = run(command, week, "--out", out, *QUICK)
        assert (ended.status, ended.out) == (130, "")
        assert ended.err == f"minirnn {command}: interrupted\n"
        assert not out.exists()


def test_a_training_that_is_interrupted_goes_on_with_the_best_weights(monkeypatch, week):
    from minirnn.readable import forecasting

    epoch = forecasting.epoch
    calls = iter(range(10))

    def second_is_interrupted(*args, **kwargs):
        if next(calls) == 1:
            raise KeyboardInterrupt
        return epoch(*args, **kwargs)

    monkeypatch.setattr(forecasting, "epoch", second_is_interrupted)
    ended = run("forecast", week, *QUICK, "--max-epochs", 5)
    assert ended.status == 0
    assert ended.err == "interrupted after 1 epochs: going on with the best weights so far\n"
