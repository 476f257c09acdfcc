"""A stream: every row's forecast equals the batch forecast; faults are flagged as often as is said."""

import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from forecasters import daily, quick, with_network

import minirnn
import minirnn.cli
from minirnn.models.forecasting import fitting, series, stateful, stepping
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.encoder import Plan
from minirnn.models.forecasting.streaming import Stream
from minirnn.readable.optimizers import tree_leaves, tree_map

QUICK = {"hidden_size": 6, "window": 12, "horizon": 5, "ensemble": 2, "max_epochs": 1, "backend": "readable"}
PLANS = (
    Choice(Plan(season=24, seasons=2, alpha=0.2, revert=True), 1e-3, 1.0, 0.5),
    Choice(Plan(alpha=1.0, linear_calendar=False), 1e-2, 1.0, 0.2),
    Choice(Plan(harmonics=(0, 1, 3), alpha=0.1, revert=True, linear_others=False), 1e-2, 1.0, 0.2),
    Choice(Plan(harmonics=(0, 0, 2), alpha=0.4), 1e-2, 1.0, 0.1),
)


def generated(rows, seed=0, missing=0.05):
    """Hours with a daily cycle, a driver one row ahead, and gaps of one or several rows."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    driver = rng.normal(size=rows)
    y = 40 + 3 * np.sin(2 * np.pi * t / 24) + 0.3 * np.roll(driver, 1) + rng.normal(0, 0.5, rows)
    frame = pd.DataFrame({"y": y, "x": driver}, pd.date_range("2020-01-01", periods=rows, freq="h", name="time"))
    for name in frame:
        frame.loc[rng.random(rows) < missing, name] = np.nan
        for start in rng.integers(0, rows, int(missing * rows / 5)):
            frame.iloc[start : start + rng.integers(1, 30), frame.columns.get_loc(name)] = np.nan
    return frame


def fit(monkeypatch, frame, choices=PLANS, log=False, **parameters):
    """A model of these plans whose network counts, with weights that no training has made similar."""
    choices = tuple(dataclasses.replace(c, plan=dataclasses.replace(c.plan, log=log)) for c in choices)
    monkeypatch.setattr(fitting, "chosen", lambda job: choices)
    model = minirnn.Forecaster(**QUICK | parameters).fit(frame, "y")
    rng = np.random.default_rng(1)
    members = [tree_map(lambda a: a + rng.normal(0, 0.2, a.shape).astype(a.dtype), m) for m in model.fitted_.members]
    model.fitted_ = dataclasses.replace(model.fitted_, members=members, share=0.7)
    return model


def batch(model, values, levels):
    """The batch forecasts at the last rows of what the model keeps and these rows (n, columns)."""
    recent = model.recent_
    whole = np.concatenate([recent.values[: recent.last[0] + 1], values])
    rows = series.lay_out(
        whole,
        np.array([0, len(whole)]),
        np.array([len(whole) - 1]),
        recent.times[:1],
        model.frequency_,
        model.horizon_,
        np.array([0]),
    )
    origins = np.arange(len(whole) - len(values), len(whole))
    means, quantiles = model.fitted_.forecast(rows, origins, levels)
    return means.mean(axis=0), quantiles, rows


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"cell": "lstm", "num_layers": 2, "log": True, "impute": "linear"},
        {"impute": "seasonal", "likelihood": "gaussian"},
        {"impute": "last", "cell": "rnn", "likelihood": "none"},
        {"segment": 4},
        {"strategy": "seq2seq"},
        {"bidirectional": True, "convolution": 3},
        {"clip_outliers": True, "impute": "linear"},
        {"strategy": "recursive", "impute": "seasonal"},
    ],
    ids=str,
)
def test_a_stream_equals_the_batch(monkeypatch, parameters):
    frame = generated(900)
    model = fit(monkeypatch, frame.iloc[:600], **parameters)
    values = frame.to_numpy()[600:]
    stream = Stream(model.fitted_, model.recent_)
    steps = [stream.push(row) for row in values]
    means, quantiles, rows = batch(model, values, (0.8, 0.95))
    np.testing.assert_allclose([s.mean for s in steps], means, rtol=2e-6, atol=1e-5)
    for level, expected in quantiles.items():
        np.testing.assert_allclose([s.quantiles[level] for s in steps], expected, rtol=2e-6, atol=1e-5)
    assert [s.time for s in steps] == list(frame.index[600:].to_numpy())
    assert list(steps[-1].times) == list(rows.times[-5:])


@pytest.mark.parametrize("stateful", [False, True])
def test_ten_thousand_rows_equal_the_batch(monkeypatch, stateful):
    """The buffer is laid out anew many times; nothing drifts."""
    frame = generated(10_400, missing=0.02)
    model = fit(monkeypatch, frame.iloc[:400], impute="linear", stateful=stateful)
    values = frame.to_numpy()[400:]
    stream = Stream(model.fitted_, model.recent_)
    found = np.array([stream.push(row).mean for row in values])
    means, _, _ = batch(model, values, ())
    np.testing.assert_allclose(found, means, rtol=2e-6, atol=1e-5)


def test_a_fresh_stream_speaks_from_the_least_rows_on_and_equals_predict(monkeypatch):
    frame = generated(600)
    model = fit(monkeypatch, frame.iloc[:500])
    later = frame.iloc[500:600].copy()
    later.iloc[[0, 47, 59, 99]] = 40.0  # a table begins and ends where a target is known
    stream = model.stream(history=False, start=later.index[0])
    steps = [stream.push(row) for row in later.to_numpy()]
    assert [step is None for step in steps] == [True] * 47 + [False] * 53  # two seasons of 24
    for count in (48, 60, 100):  # fewer than the reach of 72, and more
        expected = model.predict(later.iloc[:count])
        np.testing.assert_allclose(steps[count - 1].mean[:, 0], expected["mean"], rtol=1e-6)
        np.testing.assert_allclose(steps[count - 1].quantiles[0.975][:, 0], expected["upper_95"], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"strategy": "seq2seq"}], ids=str)
def test_columns_known_ahead_come_from_a_plan(monkeypatch, options):
    frame = generated(500)
    frame.iloc[439] = 40.0  # a forecast follows the last known row
    monkeypatch.setattr(fitting, "chosen", lambda job: PLANS[:2])
    model = minirnn.Forecaster(**QUICK | options).fit(frame.iloc[:400], "y", future=["x"])
    stream = model.stream()
    stream.plan(frame.index[420:460].to_numpy(), frame["x"].to_numpy()[420:460, None])
    for row in frame.to_numpy()[400:440]:
        step = stream.push(row)
    rows = frame.iloc[:445].copy()
    rows.loc[rows.index[440:], "y"] = np.nan
    np.testing.assert_allclose(step.mean[:, 0], model.predict(rows)["mean"], rtol=1e-6)
    rows["x"] = rows["x"].where(rows.index < rows.index[440])  # without the plan it would have said something else
    assert abs(step.mean[:, 0] - model.predict(rows)["mean"]).max() > 1e-4


def test_false_alarms_are_as_frequent_as_stated_and_faults_are_seen(monkeypatch):
    frame = generated(8000, missing=0)
    choices = (Choice(Plan(season=24, seasons=4, alpha=0.1), 1e-3, 1.0, 1.0),)
    monkeypatch.setattr(fitting, "chosen", lambda job: choices)
    model = minirnn.Forecaster(**QUICK, validation_fraction=0.4).fit(frame.iloc[:5000], "y")
    values = frame.to_numpy()[5000:]
    for alarm in (0.95, 0.8):
        stream = model.stream(alarm=alarm)
        flags = np.array([stream.push(row).anomaly[0] for row in values])
        assert abs(flags.mean() - (1 - alarm)) < (0.015 if alarm == 0.95 else 0.03)
    fault = stream.push([values[-1, 0] + 20, 0.0])
    assert fault.anomaly[0]
    assert fault.score[0] > 5
    missing = stream.push([np.nan, 0.0])
    assert not missing.anomaly[0]
    assert np.isnan(missing.score[0])


# ------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("stream") / "model.safetensors"
    frame = generated(400)
    with pytest.MonkeyPatch.context() as patch:
        fit(patch, frame.iloc[:300]).save(path)
    return path, frame.iloc[300:]


def run(capsys, monkeypatch, text, *options):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status = minirnn.cli.main(["stream", *map(str, options)])
    return status, *capsys.readouterr()


def test_the_command_says_what_the_stream_says(saved, capsys, monkeypatch):
    path, frame = saved
    status, out, notes = run(capsys, monkeypatch, frame.iloc[:20].to_csv(), path)
    assert status == 0
    assert "5 % are flagged" in notes
    found = pd.read_csv(io.StringIO(out), index_col="time", parse_dates=True)
    stream = minirnn.load(path).stream()
    steps = [stream.push(row) for row in frame.iloc[:20].to_numpy()]
    assert list(found.index) == list(frame.index[:20])
    np.testing.assert_allclose(found[[f"mean_{n}" for n in range(1, 6)]], [s.mean[:, 0] for s in steps], rtol=1e-7)
    np.testing.assert_allclose(found["upper_95_5"], [s.quantiles[0.975][4, 0] for s in steps], rtol=1e-7)
    np.testing.assert_allclose(found["score"], [s.score[0] for s in steps], rtol=1e-7)
    assert list(found["anomaly"]) == [s.anomaly[0] for s in steps]
    lines = "".join(
        json.dumps({"time": str(t), "y": None if y != y else y, "x": None if x != x else x}) + "\n"
        for t, y, x in frame.iloc[:20].itertuples()
    )
    status, out, _ = run(capsys, monkeypatch, lines, path, "--json-lines")
    objects = [json.loads(line) for line in out.splitlines()]
    assert [o["time"] for o in objects][:2] == ["2020-01-13 12:00:00", "2020-01-13 13:00:00"]
    assert objects[0]["ahead"][0] == "2020-01-13 13:00:00"
    np.testing.assert_allclose([o["targets"]["y"]["mean"] for o in objects], [s.mean[:, 0] for s in steps], rtol=1e-7)


def test_rows_that_are_missing_are_filled_and_said(saved, capsys, monkeypatch):
    path, frame = saved
    gap = frame.iloc[:20].copy()
    gap.iloc[5:9] = np.nan
    _, expected, _ = run(capsys, monkeypatch, gap.to_csv(), path)
    status, out, notes = run(capsys, monkeypatch, gap.drop(gap.index[5:9]).to_csv(), path)
    assert status == 0
    assert "line 7: 4 rows are missing before 2020-01-13 21:00:00" in notes
    assert out.splitlines()[-1] == expected.splitlines()[-1]


BAD = {
    "2020-01-13 12:00:00,1": "2 cells; expected 3",
    "yesterday,1,2": "'yesterday' in 'time' is no time",
    "2020-01-13 12:00:00,one,2": "'one' in 'y' is no finite number",
    "2020-01-13 12:00:00,inf,2": "'inf' in 'y' is no finite number",
    "2020-01-13 11:00:00,1,2": "2020-01-13 11:00:00 is known already, the next row is due at 2020-01-13 12:00:00",
    "2020-01-13 12:30:00,1,2": "lies between two rows",
    "3020-01-13 12:00:00,1,2": "more than 100,000 rows ahead",
    '{"time": "2020-01-13 12:00:00", "y": 1}': "the column 'x' is missing",
    '{"time": ': "neither a row of the CSV nor a JSON object",
}


@pytest.mark.parametrize("line", BAD)
def test_a_wrong_line_is_named(saved, capsys, monkeypatch, line):
    path, frame = saved
    good = frame.iloc[:2].to_csv(header=False)
    status, out, notes = run(capsys, monkeypatch, f"time,y,x\n{line}\n{good}", path)
    assert status == 2
    assert not out
    assert notes.splitlines()[-1].startswith("minirnn stream: line 2: ")
    assert BAD[line] in notes
    status, out, notes = run(capsys, monkeypatch, f"time,y,x\n{line}\n{good}", path, "--skip-bad")
    assert status == 0
    assert "line 2 left out: " in notes
    assert BAD[line] in notes
    assert out.splitlines() == run(capsys, monkeypatch, f"time,y,x\n{good}", path)[1].splitlines()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", (), "line 1: the header lacks the column 'time'"),
        ("time,y,y,x\n", (), "twice"),
        ("", ("--alarm", "1"), "--alarm"),
        ("", ("--levels", "80"), "--levels"),
        ("", ("--plan", "plan.csv"), "no columns that are known ahead"),
    ],
)
def test_what_the_command_refuses(saved, capsys, monkeypatch, text, options, message):
    status, out, notes = run(capsys, monkeypatch, text, saved[0], *options)
    assert status == 2
    assert not out
    assert message in notes.splitlines()[-1]


def test_a_stream_needs_neither_jax_nor_pandas(saved):
    path, frame = saved
    code = (
        "import sys, minirnn.cli\n"
        f"assert minirnn.cli.main(['stream', {str(path)!r}]) == 0\n"
        "print([m for m in ('jax', 'pandas', 'matplotlib', 'optax', 'tqdm') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=frame.iloc[:2].to_csv(), capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) == 3


def test_each_row_is_answered_at_once(saved):
    path, frame = saved
    command = [sys.executable, "-m", "minirnn", "stream", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        header, *lines = frame.iloc[:3].to_csv().splitlines(keepends=True)
        process.stdin.write(header + lines[0])
        process.stdin.flush()
        assert process.stdout.readline().startswith("time,value,")
        for line in lines[1:]:
            assert process.stdout.readline().startswith("2020-01-13 1")
            process.stdin.write(line)
            process.stdin.flush()
        process.stdin.close()


# ------------------------------------------------------------ the state carried


@pytest.mark.parametrize(
    "parameters",
    [{}, {"cell": "lstm", "num_layers": 2, "impute": "linear"}, {"impute": "seasonal", "log": True}],
    ids=str,
)
def test_a_carried_state_equals_one_pass(monkeypatch, parameters, tmp_path):
    frame = generated(900)
    frame.iloc[528:552] = frame.iloc[528:552].fillna(
        40.0
    )  # the first rows that are kept: nothing is filled from before
    model = fit(monkeypatch, frame.iloc[:600], stateful=True, **parameters)
    model.fitted_ = stateful.carried_to(model.fitted_, series.of_table(model.table_, 5), model.recent_)
    model.save(tmp_path / "model.safetensors")
    loaded = minirnn.load(tmp_path / "model.safetensors")
    stream = loaded.stream()
    steps = [stream.push(row) for row in frame.to_numpy()[600:]]
    # The state at the first row that is kept is that of all rows before, and not zero.
    members = stepping.stack(model.fitted_.description.horizon.network, model.fitted_.members)
    prepared = model.fitted_.encoder.prepare(series.of_table(model.table_, 5))
    before = int(np.flatnonzero(prepared.series.times == loaded.recent_.times[0])[0])
    assert before > 100
    _, expected = stepping.walk(members, stateful.row_inputs(model.fitted_.encoder, prepared, np.arange(before)))
    for state, part in zip(
        tree_leaves(stateful.start(loaded.fitted_, members, loaded.recent_, 0)), tree_leaves(expected)
    ):
        np.testing.assert_allclose(state, part, rtol=1e-5, atol=1e-6)
        assert abs(part).max() > 0.1
    # One pass over all rows from the very first.
    whole = dataclasses.replace(model.fitted_, carried=stateful.NOTHING)
    rows = series.lay_out(
        frame.to_numpy(), np.array([0, 900]), np.array([899]), frame.index.to_numpy()[:1], "h", 5, np.array([0])
    )
    means, quantiles = whole.forecast(rows, np.arange(600, 900), (0.95,))
    np.testing.assert_allclose([s.mean for s in steps], means.mean(axis=0), rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose([s.quantiles[0.975] for s in steps], quantiles[0.975], rtol=2e-5, atol=1e-4)
    assert abs(steps[0].mean - model.predict(frame.iloc[540:601])["mean"].to_numpy()[:, None]).max() > 1e-6


def test_what_a_carried_state_rules_out():
    for name, value in (
        ("strategy", "seq2seq"),
        ("segment", 4),
        ("bidirectional", True),
        ("convolution", 3),
        ("clip_outliers", True),
    ):
        with pytest.raises(ValueError, match=f"stateful=True .* needs {name}="):
            minirnn.Forecaster(**QUICK, stateful=True, **{name: value}).fit(generated(300), "y")


def test_explaining_and_exporting_need_windows(monkeypatch):
    model = fit(monkeypatch, generated(300), stateful=True)
    with pytest.raises(ValueError, match="cannot be explained"):
        model.explain()
    with pytest.raises(ValueError, match="cannot be exported"):
        model.export("nothing")


def test_a_stream_knows_the_plan_that_the_model_holds_and_what_it_is_told_before_the_first_row():
    frame = daily(110)
    known = frame.iloc[:103].copy()
    known.loc[known.index[100:], ["y", "temperature"]] = np.nan  # three rows that are planned
    model = with_network(quick(horizon=3).fit(known, "y", past=["temperature"], future=["plan"]))
    expected = model.predict()
    low, high = expected[["lower_80", "upper_80"]].iloc[0]
    first = frame.iloc[100]
    at_the_end = model.stream(alarm=0.8).push([high, first["temperature"], np.nan])
    assert at_the_end.score[0] == pytest.approx(model.fitted_.calibration.quantile(0.9)[0, 0], rel=1e-6)
    assert low < high
    other = model.stream(alarm=0.8)
    other.plan(frame.index[100:103].to_numpy(), 1 - frame[["plan"]].to_numpy()[100:103])
    step = other.push([high, first["temperature"], np.nan])
    assert abs(step.score[0] - at_the_end.score[0]) > 1e-3


@pytest.mark.parametrize("row", [[1.0], [1.0, 2.0, 3.0], [np.inf, 0.0], 5.0], ids=str)
def test_rows_of_another_shape_or_without_end_are_refused(monkeypatch, row):
    model = fit(monkeypatch, generated(300))
    stream = model.stream()
    with pytest.raises(ValueError, match="a row holds 2 finite numbers, NaN for those that are missing"):
        stream.push(row)
    assert np.isfinite(stream.push([40.0, 0.0]).mean).all()


def test_times_between_two_rows_are_not_known_already(monkeypatch):
    stream = fit(monkeypatch, generated(300)).stream()
    last = stream.next_time - np.timedelta64(1, "h")
    with pytest.raises(ValueError, match="lies between two rows: rows are h apart"):
        stream.until(last + np.timedelta64(30, "m"))
    with pytest.raises(ValueError, match="is known already"):
        stream.until(last)
