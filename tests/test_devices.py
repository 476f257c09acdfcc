"""Devices: the size rule, meshes of the devices that exist, and what the command makes of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import minirnn
from minirnn.cli import main
from minirnn.fast import devices

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(minirnn.__file__).parents[1]), *sys.path[:1]])}
TESTS = Path(__file__).parent


def python(code, *arguments):
    """Runs code in a process of its own, where JAX has not been used yet."""
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}{os.pathsep}{TESTS}"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_size_rule():
    for available in (1, 2, 3, 8):
        assert devices.devices_for(1, 1000, 16, 4096, available) == 1  # a single sequence cannot be shared
        assert devices.devices_for(4096, 128, 64, 4096, available) == available
        assert devices.devices_for(4, 24, 1, 1, available) == 1
    counts = [devices.devices_for(64, 100, 16, hidden, 64) for hidden in (1, 16, 64, 256, 1024, 4096)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] == 64 // devices.LEAST_ROWS  # rows, not units, are what ends it
    for chosen in range(1, 9):  # whoever made as many devices as the rule says gets the same answer from those
        count = devices.devices_for(64, 100, 16, 8 * chosen**2, 8)
        assert devices.devices_for(64, 100, 16, 8 * chosen**2, count) == count


def test_a_mesh_of_the_devices_that_exist():
    exist = jax.device_count()
    assert (devices.mesh() is None) == (exist == 1)
    for count in (0, exist + 1):
        with pytest.raises(devices.DevicesError, match=rf"{count} devices are asked for, and JAX has {exist} \(cpu\)"):
            devices.mesh(count)


TWO = """
import sys, jax
jax.config.update("jax_num_cpu_devices", 2)
import numpy as np
import resumable
from minirnn.fast import devices, training
mesh = devices.mesh()
assert (mesh.size, mesh.axis_names, devices.mesh(1)) == (2, ("data",), None)
settings = {"half": training, "hidden_size": 8, "optimizer": resumable.SCHEDULED}
one, _ = resumable.run(sys.argv[1], max_epochs=3, **settings)
two, history = resumable.run(sys.argv[1], resume=True, mesh=mesh, **settings)
print(*history.notes, sep="\\n")
again, _ = resumable.run(sys.argv[2], max_epochs=3, mesh=mesh, **settings)
again, history = resumable.run(sys.argv[2], resume=True, mesh=mesh, **settings)
assert len(history.notes) == 1
uninterrupted, _ = resumable.run(**settings)
shared, _ = resumable.run(mesh=mesh, **settings)
def error(a, b):
    pairs = zip(resumable.leaves(a), resumable.leaves(b), strict=True)
    return max(np.linalg.norm(x - y) / np.linalg.norm(y) for x, y in pairs)
assert error(one, uninterrupted) > 1e-3
assert 0 < error(two, uninterrupted) < 1e-5
assert error(again, shared) == 0
assert 0 < error(again, uninterrupted) < 1e-5
"""


def test_a_training_on_two_devices_resumes_and_one_may_take_over_from_the_other(tmp_path):
    path = tmp_path / "run.safetensors"
    notes = python(TWO, str(path), str(tmp_path / "two.safetensors")).splitlines()
    assert notes == [
        f"went on from {path} after epoch 3.",
        f"{path} was written with 1 device(s) and went on with 2: the result is that of an uninterrupted training to "
        "rounding only.",
    ]


# The command in a fresh process, with trainings of two epochs.
COMMAND = """
import sys
from minirnn.cli import main
from minirnn.models.forecaster import Forecaster
fit = Forecaster.fit
Forecaster.fit = lambda self, *a, **o: fit(self.set_params(max_epochs=2, ensemble=1), *a, **o)
status = main(sys.argv[1:])
import jax
print(status, jax.device_count())
"""


def test_the_command_makes_devices_and_says_why(tmp_path):
    out = tmp_path / "out"
    options = ["forecast", "--hidden-size", "4", "--window", "5", "--devices", "2", "--out", str(out)]
    told = python(COMMAND, *options)
    assert told.endswith("0 2\n")
    assert minirnn.load(out / "model.safetensors").devices_ == 2
    assert json.loads((out / "metrics.json").read_text())["model"]["devices"] == 2


def test_the_command_says_what_it_chose(capsys, tmp_path, monkeypatch):
    """In this process JAX is in use already: its one device stays."""
    from minirnn.models import forecaster

    fit = forecaster.Forecaster.fit
    monkeypatch.setattr(
        forecaster.Forecaster, "fit", lambda self, *a, **o: fit(self.set_params(max_epochs=1, ensemble=1), *a, **o)
    )
    line = ["forecast", "--hidden-size", "4", "--window", "5"]
    assert main(line) == 0
    assert re.search(
        r"^1 device: a batch of 32 sequences \(5 steps, 8 inputs, 4 hidden units\) is too small to be shared",
        capsys.readouterr().err,
    )
    assert main([*line, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert main([*line, "--devices", "99"]) == 2
    assert capsys.readouterr().err == "minirnn forecast: --devices 99: there are 1 (cpu); expected at most as many\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "0"], "at least 1, got '0'"),
        (["--process-id", "1"], "--process-id needs --coordinator HOST:PORT and --num-processes N"),
        (["--coordinator", "here:1"], "--coordinator HOST:PORT needs --num-processes N and --process-id I"),
        (["--coordinator", "a:1", "--num-processes", "2", "--process-id", "2"], "expected at most 1, got 2"),
        (["--num-processes", "2", "--backend", "readable"], "--num-processes needs --backend fast"),
        (["--devices", "2", "--backend", "readable"], "--devices needs --backend fast"),
        (["--process-id", "-1", "--coordinator", "a:1"], "at least 0, got '-1'"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_one_line(options, message, capsys):
    try:
        status = main(["forecast", *options])
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert message in err


def test_a_library_leaves_jax_as_it_is():
    code = """
import jax
before = dict(jax.config.values)
import numpy as np, minirnn, resumable
from minirnn.fast import devices, training
resumable.run(half=training, max_epochs=1, mesh=devices.mesh())
changed = [name for name, value in jax.config.values.items() if before.get(name) != value]
assert not changed, changed
assert jax.device_count() == 1
"""
    python(code)
