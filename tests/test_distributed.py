"""Several processes on one machine: the same weights as in one, and a clear end when one of them is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from test_devices import ENVIRONMENT, python

from minirnn.fast import devices

LIMIT = 180  # seconds; far more than is needed, for a machine that has other things to do


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Two weeks of hours with structure, and noise enough to train on for a while."""
    rng = np.random.default_rng(0)
    t = np.arange(350)
    y = np.sin(2 * np.pi * t / 24) * (1 + 0.5 * np.sin(t / 50)) + 0.2 * rng.standard_normal(350)
    dates = pd.date_range("2024-01-01", periods=350, freq="h").strftime("%Y-%m-%d %H:%M")
    path = tmp_path_factory.mktemp("series") / "series.csv"
    pd.DataFrame({"date": dates, "y": y.round(4)}).to_csv(path, index=False)
    return str(path)


def command(series, *options):
    return [
        *(sys.executable, "-m", "minirnn", "forecast", series, "--cell", "rnn", "--hidden-size", "4", "--window", "6"),
        *("--horizon", "2", "--json", "--quiet", *options),
    ]


def finish(process):
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def start(*line):
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def run(*line):
    return finish(start(*line))


def until(condition, process):
    """Waits for something to happen while a process runs."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def weights(out):
    return {name: array for name, array in load_file(out / "model.safetensors").items() if name.startswith("members")}


@pytest.fixture(scope="module")
def whole(series, tmp_path_factory):
    """An uninterrupted training in two processes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    status, printed, err = run(*command(series, "--num-processes", "2", "--out", str(out)))
    assert status == 0
    assert err.count("holds the times") == 1, err  # process 0 alone says what was decided, and prints
    return out, json.loads(printed)


def test_two_processes_get_the_weights_of_one(series, tmp_path):
    odd = ("--batch-size", "31")  # odd, as in test_forecaster_halves
    out = tmp_path / "two"
    status, printed, _ = run(*command(series, *odd, "--num-processes", "2", "--out", str(out)))
    assert status == 0
    printed = json.loads(printed)
    status, alone, _ = run(*command(series, *odd, "--devices", "1", "--out", str(tmp_path / "out")))
    assert status == 0
    ours, single = weights(out), weights(tmp_path / "out")
    assert ours.keys() == single.keys()
    for name, array in single.items():
        assert np.linalg.norm(ours[name] - array) <= 1e-5 * max(np.linalg.norm(array), 1), name
    assert any((ours[name] != array).any() for name, array in single.items())  # they did share the batches
    assert (printed["model"]["devices"], json.loads(alone)["model"]["devices"]) == (2, 1)
    assert sorted(p.name for p in out.iterdir()) == [
        "forecast.csv", "forecast.png", "metrics.json", "model.safetensors", "report.html",
    ]  # fmt: skip


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_killed_process_ends_the_run_with_a_clear_line_and_it_resumes_to_the_same_weights(series, whole, tmp_path):
    path, out = tmp_path / "run.safetensors", tmp_path / "out"
    line = command(series, "--num-processes", "2", "--out", str(out), "--checkpoint", str(path))
    process = start(*line)
    until(path.exists, process)
    pids = children(process)
    os.kill(pids[1], signal.SIGKILL)
    began = time.monotonic()
    status, printed, err = finish(process)
    assert time.monotonic() - began < 30
    assert (status, printed) == (1, "")
    assert err == (
        f"minirnn forecast: process 1 of 2 was killed (SIGKILL) and the others were ended; the same command with "
        f"--resume goes on from {path}\n"
    )
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not out.exists()
    status, printed, err = run(*line, "--resume")
    assert status == 0
    assert f"went on from {path} after epoch " in err
    assert json.loads(printed) == whole[1]
    for name, array in weights(whole[0]).items():
        np.testing.assert_array_equal(weights(out)[name], array)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_processes_end_with_their_launcher(name, tmp_path):
    number = getattr(signal, name, None) or pytest.skip(f"no {name} here")
    waiting = tmp_path / "waiting"
    waiting.write_text(f"#!/bin/sh\ntouch {tmp_path}/$$.pid\nexec sleep {LIMIT}\n")
    waiting.chmod(0o755)
    code = f"import sys; from minirnn.cli import main; sys.executable = {str(waiting)!r}; "
    code += "sys.exit(main(['forecast', '--num-processes', '2']))"
    process = start(sys.executable, "-c", code)
    until(lambda: len(list(tmp_path.glob("*.pid"))) == 2, process)
    process.send_signal(number)
    assert finish(process) == (128 + number, "", "")
    for path in tmp_path.glob("*.pid"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.stem), 0)


def test_without_a_launcher_the_process_that_is_left_says_it(series, tmp_path):
    path = tmp_path / "run.safetensors"
    together = ["--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", "2", "--checkpoint", str(path)]
    first, second = (start(*command(series, *together, "--process-id", str(i))) for i in range(2))
    until(path.exists, first)
    second.kill()
    status, printed, err = finish(first)
    finish(second)
    assert (status, printed) == (1, "")
    assert err.splitlines()[-1] == (
        f"minirnn forecast: another process of this training has ended; the same command with --resume goes on from "
        f"{path}, in all processes"
    )


def test_processes_that_do_not_train_the_same_are_refused(series):
    together = ["--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", "2"]
    processes = [start(*command(series, *together, "--process-id", str(i), "--seed", str(i))) for i in range(2)]
    first, second = (finish(process) for process in processes)
    assert second[:2] == (2, "")
    assert "the processes do not train the same: seed of the shuffles is " in second[2].splitlines()[-1]
    assert first[:2] == (1, "")


def test_bad_input_is_said_once(tmp_path):
    status, printed, err = run(*command(str(tmp_path / "missing.csv"), "--num-processes", "2"))
    assert (status, printed) == (2, "")
    assert err.count("\n") == 1
    assert "missing.csv" in err


@pytest.mark.parametrize(
    ("address", "process", "message"),
    [
        ("here", 1, "the coordinator is 'here'; expected host:port"),
        ("127.0.0.1:99999", 1, "expected host:port"),
        ("127.0.0.1:²", 0, "expected host:port"),
        ("nowhere.invalid:4567", 0, "'nowhere.invalid' is not the name of a machine"),
        ("nowhere.invalid:4567", 1, "'nowhere.invalid' is not the name of a machine"),
        (f"{'a' * 70}:4567", 1, "is not the name of a machine"),
        ("{busy}", 0, "process 0 cannot wait there"),
        ("{free}", 1, "nobody answered within 0.3 s"),
    ],
)
def test_a_wrong_address_is_said_in_one_line(address, process, message):
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        address = address.format(busy=f"127.0.0.1:{busy.getsockname()[1]}", free=f"127.0.0.1:{free_port()}")
        with pytest.raises(devices.DevicesError, match=message) as refused:
            devices.connect(address, 2, process, timeout=0.3)
    assert "\n" not in str(refused.value)


def test_processes_that_do_not_come_are_said_in_time():
    code = f"""
import os
from minirnn.fast import devices
try:
    devices.connect("127.0.0.1:{free_port()}", 2, 0, timeout=0.5)
except devices.DevicesError as error:
    print(error, flush=True)
os._exit(0)
"""
    assert python(code).startswith("waited 0.5 s at 127.0.0.1")


def test_no_cluster_is_detected_here():
    code = """
import os
from minirnn.fast import devices
try:
    devices.connect()
except devices.DevicesError as error:
    print(error, flush=True)
os._exit(0)
"""
    assert python(code).startswith("JAX detects no cluster here (")
