"""New rows: what an update trains, keeps, rolls back, says, and writes."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from forecasters import daily, quick

import minirnn
import minirnn.cli
from minirnn.models import storage
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import fitting, intervals, series, updating
from minirnn.readable.optimizers import tree_leaves

QUICK = {"hidden_size": 6, "window": 12, "horizon": 4, "ensemble": 2, "max_epochs": 2, "backend": "readable"}
QUICK |= {"reference": "last", "transform": "none"}


def generated(rows, start="2020-01-01", seed=0, shift=None):
    """Hours; from the row ``shift`` on the driver works three times as strongly, and not linearly."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    effect = np.tanh(2 * np.roll(x, 1))
    if shift is not None:
        effect[shift:] *= -3.0
    y = 20 + effect + np.sin(2 * np.pi * np.arange(rows) / 24) + rng.normal(0, 0.2, rows)
    return pd.DataFrame({"y": y, "x": x}, pd.date_range(start, periods=rows, freq="h", name="time"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("update") / "model.safetensors"
    frame = generated(600, shift=400)
    minirnn.Forecaster(**QUICK).fit(frame.iloc[:400], "y").save(path)
    return path, frame


def weights(model):
    return [leaf.tobytes() for member in model.fitted_.members for leaf in tree_leaves(member)]


def test_an_update_learns_what_has_changed(trained):
    path, frame = trained
    model = minirnn.load(path)
    model.fitted_ = dataclasses.replace(model.fitted_, share=1.0)
    done = model.update(frame.iloc[400:600], epochs=30, learning_rate=0.01, patience=30)
    assert done.kept
    assert done.rows == 200
    assert (done.first, done.last) == ("2020-01-17 16:00:00", "2020-01-25 23:00:00")
    assert done.after[0] < 0.95 * done.before[0]
    assert model.predict().index[0] == pd.Timestamp("2020-01-26 00:00")
    assert done.drift
    assert done.outside > 0.1
    assert any("drift: " in note for note in done.notes)


def test_no_drift_is_seen_where_there_is_none(trained):
    path, _ = trained
    model = minirnn.load(path)
    done = model.update(generated(600).iloc[400:600], epochs=1)
    assert not done.drift
    assert done.outside < 0.1
    assert 0.01 < done.chance <= 1


def test_what_does_not_help_is_rolled_back(trained):
    path, frame = trained
    model, before = minirnn.load(path), minirnn.load(path)
    done = model.update(frame.iloc[400:500], epochs=5, learning_rate=10.0, patience=2)
    assert not done.kept
    assert done.after == done.before
    assert weights(model) == weights(before)
    assert done.epochs == 2
    assert any("rolled back" in note for note in done.notes)
    # The rows and the errors are taken in all the same.
    assert model.predict().index[0] == frame.index[500]
    assert len(model.fitted_.calibration.every) > len(before.fitted_.calibration.every)


def test_the_optimiser_goes_on_where_it_was(trained):
    """Two updates of a member equal a training that never stopped."""
    path, frame = trained
    model = minirnn.load(path)
    moments = model.memory_.moments
    assert [each.steps for each in moments] == [2 * 8, 2 * 8]  # 2 epochs of 8 batches
    model.fitted_ = dataclasses.replace(model.fitted_, share=1.0)
    done = model.update(frame.iloc[400:600], epochs=3, learning_rate=0.01, patience=9)
    assert done.kept
    new = (done.windows + done.replayed + 31) // 32
    assert model.memory_.moments[0].steps == moments[0].steps + done.epochs * new
    fresh = minirnn.load(path)
    fresh.memory_ = fresh.memory_._replace(moments=None)
    fresh.update(frame.iloc[400:600], epochs=3, learning_rate=0.01, patience=9)
    assert weights(fresh) != weights(model)


def test_both_halves_keep_the_same_moments(trained):
    _, frame = trained
    kept = {}
    for backend in ("readable", "fast"):
        model = minirnn.Forecaster(**{**QUICK, "backend": backend}).fit(frame.iloc[:200], "y")
        kept[backend] = model.memory_.moments
    for a, b in zip(kept["readable"], kept["fast"]):
        assert a.steps == b.steps
        for one, other in zip(tree_leaves(a[1:]), tree_leaves(b[1:])):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    done = model.update(frame.iloc[200:260], epochs=2, learning_rate=1e-3)
    assert done.windows > 0


def test_the_sample_of_old_windows_stays_small_and_fair(monkeypatch, trained):
    path, frame = trained
    monkeypatch.setattr(updating, "MOST", 50)
    model = minirnn.Forecaster(**QUICK).fit(frame.iloc[:300], "y")
    assert len(model.memory_.replay[0]) == 50
    seen = model.memory_.seen
    model.update(frame.iloc[300:400], epochs=1)
    assert len(model.memory_.replay[0]) == 50
    assert model.memory_.seen > seen
    new = sum(
        not any(np.array_equal(window, old) for old in minirnn.load(path).memory_.replay[0])
        for window in model.memory_.replay[0]
    )
    assert new > 0


def test_an_update_survives_the_file(trained, tmp_path):
    path, frame = trained
    model = minirnn.load(path)
    model.update(frame.iloc[400:500], epochs=2)
    model.save(tmp_path / "a.safetensors")
    again = minirnn.load(tmp_path / "a.safetensors")
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_freq=False)
    (record,) = again.memory_.updates
    assert record["rows"] == 100
    assert record["last"] == "2020-01-21 19:00:00"
    one, other = model.update(frame.iloc[500:600], epochs=2), again.update(frame.iloc[500:600], epochs=2)
    assert one == other
    assert weights(model) == weights(again)


def test_known_rows_are_left_out_gaps_are_said(trained):
    path, frame = trained
    model, other = minirnn.load(path), minirnn.load(path)
    done = model.update(frame.iloc[395:500], epochs=1)
    assert done.rows == 100
    assert "5 rows up to 2020-01-17 15:00:00: known already" in done.notes
    other.update(frame.iloc[400:500], epochs=1)
    assert weights(model) == weights(other)
    gap = minirnn.load(path)
    done = gap.update(frame.iloc[403:500], epochs=1)
    assert done.rows == 100
    assert any(
        note.startswith("3 rows between 2020-01-17 15:00:00 and the first new one are missing") for note in done.notes
    )
    few = minirnn.load(path)
    done = few.update(frame.iloc[400:402])
    assert not done.kept
    assert "too few to train on" in done.notes[0]
    assert few.predict().index[0] == frame.index[402]


def test_what_an_update_refuses(trained):
    path, frame = trained
    model = minirnn.load(path)
    for rows, message in (
        (frame.iloc[300:400], "no row is new: the model knows rows up to 2020-01-17 15:00:00"),
        (frame.iloc[398:420] + 1, "differs from what the model knows"),
        (frame.iloc[400:420].set_axis(frame.index[400:420] + pd.Timedelta("30min")), "lies between two rows"),
        (frame.iloc[400:420][["y"]], "column 'x'"),
    ):
        with pytest.raises(ParameterError, match=message):
            model.update(rows)
    for name, value in (("epochs", 0), ("patience", 0), ("learning_rate", -1.0), ("replay", -1)):
        with pytest.raises(ParameterError, match=name):
            model.update(frame.iloc[400:420], **{name: value})
    assert model.memory_.updates == ()


def test_several_series_some_of_them_with_new_rows():
    frame = pd.concat([generated(300, seed=k).assign(id=f"s{k}") for k in range(3)])
    model = minirnn.Forecaster(**QUICK).fit(frame, "y", series="id")
    new = pd.concat([generated(40, "2020-01-13 12:00", seed=k).assign(id=f"s{k}") for k in (0, 2)])
    done = model.update(new, epochs=1)
    assert done.rows == 80
    forecast = model.predict()
    assert [forecast[forecast["series"] == f"s{k}"].index[0].day for k in range(3)] == [15, 13, 15]
    with pytest.raises(ParameterError, match="the series 'new' is not one of the model's"):
        model.update(new[new["id"] == "s0"].assign(id="new"))


# ------------------------------------------------------------ the command, and kills


def test_the_command(trained, tmp_path, capsys):
    path, frame = trained
    rows, out = tmp_path / "new.csv", tmp_path / "out.safetensors"
    frame.iloc[400:500].to_csv(rows)
    original = path.read_bytes()
    assert minirnn.cli.main(["update", str(path), str(rows), "--out", str(out), "--epochs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "100 new rows, 2020-01-17 16:00:00 to 2020-01-21 19:00:00" in printed
    assert path.read_bytes() == original
    assert len(minirnn.load(out).memory_.updates) == 1
    assert minirnn.cli.main(["update", str(out), str(rows)]) == 2
    assert "no row is new" in capsys.readouterr().err


def test_a_kill_leaves_a_whole_file(trained, tmp_path):
    path, frame = trained
    model, rows = tmp_path / "model.safetensors", tmp_path / "new.csv"
    frame.iloc[400:600].to_csv(rows)
    code = (
        "import sys, minirnn\n"
        f"model = minirnn.load({str(path)!r})\n"
        "print('ready', flush=True)\n"
        f"while True: model.save({str(model)!r})\n"
    )
    for delay in (0.02, 0.05, 0.11, 0.17):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(delay)
            os.kill(process.pid, signal.SIGKILL)
        if model.exists():
            assert minirnn.load(model).predict().index[0] == frame.index[400]
    leftover = tmp_path / ".model.safetensors.999999999.abc.safetensors"
    alive = tmp_path / f".model.safetensors.{os.getppid()}.abc.safetensors"
    for each in (leftover, alive):
        each.write_bytes(b"half")
    other = tmp_path / ".another.safetensors.999999999.abc.safetensors"
    other.write_bytes(b"half")
    storage.write_atomically(model, lambda temporary: temporary.write_bytes(b"whole"))
    names = {p.name for p in tmp_path.iterdir()}
    assert names >= {alive.name, other.name, "model.safetensors", "new.csv"}
    # A number of a process that was killed may have gone to another one by now.
    own = [int(name.split(".")[3]) for name in names if name.startswith(".model.safetensors")]
    assert leftover.name not in names
    assert all(storage._lives(number) for number in own)


def shops(rows, common, seed=0):
    """Thirty series with a shock of their own, or with one in common."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(30, rows))
    y = 100 + (0.3 * own + rng.normal(size=rows) if common else own)
    index = pd.date_range("2024-01-01", periods=rows)
    return pd.concat([pd.DataFrame({"y": y[k], "shop": f"shop {k}"}, index) for k in range(30)])


def test_series_that_move_together_are_no_drift():
    frame = shops(300, common=True)
    model = quick(ensemble=1, max_epochs=1)
    first = frame.index < "2024-07-19"  # 200 rows
    model.fit(frame[first], "y", series="shop")
    drifts = []
    for k in range(200, 300, 10):
        now = (frame.index >= frame.index[k]) & (frame.index < frame.index[k] + pd.Timedelta(days=10))
        drifts.append(model.update(frame[now], epochs=1).drift)
    assert sum(drifts) == 0


def test_the_times_of_an_update_are_those_of_the_earliest_and_the_latest_row():
    frame = shops(120, common=False)
    short = frame[(frame["shop"] != "shop 1") | (frame.index < "2024-03-11")]
    model = quick(ensemble=1, max_epochs=1)
    model.fit(short[short.index < "2024-04-01"], "y", series="shop")
    done = model.update(frame[frame.index >= "2024-03-11"], epochs=1)
    assert (done.first, done.last) == ("2024-03-11", "2024-04-29")


def test_of_many_errors_those_of_all_series_are_kept_in_the_order_of_time(monkeypatch):
    frame = shops(60, common=False)
    model = quick(ensemble=1, max_epochs=1).fit(frame, "y", series="shop")
    rows = series.of_table(model.table_, model.horizon_)
    origins = rows.origins(model.least_, rows.bounds[:-1], rows.last + 1, model.horizon_)
    seen = []
    monkeypatch.setattr(intervals, "MOST", 60)
    monkeypatch.setattr(fitting, "scores", lambda fitted, rows, origins, backend: seen.append(origins))
    fitting.latest_scores(model.fitted_, model.fitted_.prepare(rows), origins, "readable")
    assert len(seen[0]) == 60
    assert (np.diff(rows.times[seen[0]].astype(np.int64)) >= 0).all()
    assert len(np.unique(rows.of_rows[seen[0]])) > 20


def test_what_was_missing_and_what_was_planned_is_not_lost():
    frame = daily(110)
    roles = {"target": "y", "past": ["temperature"], "future": ["plan"]}
    known = frame.iloc[:103].copy()
    known.loc[known.index[98:100], "temperature"] = np.nan
    known.loc[known.index[100:], ["y", "temperature"]] = np.nan  # three rows that are planned
    model = quick(window=14).fit(known, **roles)
    done = model.update(frame.iloc[[95, 96, 97, 98, 99, 102, 103, 104, 105, 106, 107, 108, 109]], epochs=1)
    assert "now with 2 values that had been missing" in "\n".join(done.notes)
    kept = pd.DataFrame(model.recent_.values, model.recent_.times, list(model.columns_)).loc[frame.index[98:102]]
    np.testing.assert_array_equal(kept["temperature"].iloc[:2], frame["temperature"].iloc[98:100])
    np.testing.assert_array_equal(kept["plan"].iloc[2:], frame["plan"].iloc[100:102])
