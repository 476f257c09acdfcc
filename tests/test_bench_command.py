"""``minirnn bench``: its options, what it prints, what it writes."""

import argparse
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from minirnn.bench import measure, peers, ratios, suite, task
from minirnn.cli import UsageError, bench, main

SHAPE = (4, 6, 3, 5)  # B, T, D, H
jax.devices()  # from here on the command finds JAX in use, and leaves its devices as they are


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    return parser.parse_args(["bench", *options])


def test_command_prints_json_and_nothing_else_to_stdout(capsys):
    options = parse("--cells", "rnn", "--shapes", "2,3,1,2", "--peers", "none", "--rounds", "1", "--json")
    assert options.run(options) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert set(result) == {"machine", "rows", "geometric_means", "targets", "seconds"}
    assert {"one device", "as used"} <= {row["comparison"] for row in result["rows"]}
    assert "rnn 2,3,1,2" in err


def test_the_command_makes_each_core_a_device():
    options = ["--cells", "rnn", "--shapes", "2,3,1,2", "--peers", "none", "--rounds", "1", "--json"]
    code = f"from minirnn.cli import main; raise SystemExit(main({['bench', *options]}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    machine = json.loads(done.stdout)["machine"]
    assert len(machine["devices"]) == machine["cores"] == measure.cores()


def test_the_figure_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    rows = [
        {
            "cell": "lstm",
            "shape": [4, 6, 3, 5],
            "measure": "train_step",
            "comparison": "as used",
            "ms": {"minirnn": 1.0, "torch": 2.0},
            "ratio": {"torch": 0.5},
            "devices": {"minirnn": 1, "torch": 1},
        }
    ]
    result = {"machine": {}, "rows": rows, "geometric_means": ratios.geometric_means(rows), "targets": []}
    monkeypatch.setattr(peers, "installed", lambda: {"torch": "2.6"})
    monkeypatch.setattr(suite, "run", lambda parts, names: result)
    path = tmp_path / "bench.png"
    bench.run(parse("--figure", str(path)))
    assert path.read_bytes().startswith(b"\x89PNG")
    path.unlink()
    monkeypatch.setattr("minirnn.inspect.speed.speed_figure", lambda result: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.run(parse("--figure", str(path)))
    assert not list(tmp_path.iterdir())
    rows[0]["ratio"] = {}  # the other library could not run
    bench.run(parse("--figure", str(path)))
    assert not list(tmp_path.iterdir())


def test_command_prints_the_table(capsys):
    options = parse("--cells", "rnn", "--shapes", "2,3,1,2", "--peers", "none", "--rounds", "1")
    assert bench.run(options) == 0
    assert "rnn (B, T, D, H)" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "32,100,16", "32,100,16,64,1", "32,100,16,0", "a,b,c,d", "1,2,3,4;", "1.5,2,3,4"])
def test_bad_shapes_are_refused_in_one_line(text):
    with pytest.raises(UsageError, match="--shapes: expected four whole numbers") as error:
        bench.parse_shapes(text)
    assert "\n" not in str(error.value)


def test_shapes():
    assert bench.parse_shapes("32,100,16,64;64, 96,7,128;32,100,16,64") == [(32, 100, 16, 64), (64, 96, 7, 128)]


def test_cells():
    assert bench.parse_cells("gru, lstm,gru") == ["gru", "lstm"]
    with pytest.raises(UsageError, match=r"--cells: expected names out of lstm, gru, rnn, .* got 'gnu'"):
        bench.parse_cells("lstm,gnu")


def test_measures():
    assert bench.parse_measures("step, train_step,step") == ["step", "train_step"]
    assert bench.parse_measures(None) == ["train_step"]
    assert bench.parse_measures(None, full=True) == list(task.MEASURES)
    with pytest.raises(UsageError, match=r"--measures: expected names out of forward, .* got 'speed'"):
        bench.parse_measures("speed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--figure", "bench.txt"], r"--figure: expected a file that ends in .png, .svg or .pdf, got 'bench.txt'"),
        (["--figure", "no/such/folder/bench.png"], "--figure: cannot write to the folder 'no/such/folder'"),
        (["--figure", "bench.png", "--peers", "none"], "keep train_step and --peers"),
        (["--figure", "bench.png", "--measures", "step"], "keep train_step and --peers"),
        (["--half", "readable", "--full"], "--half readable times forward and backward passes only"),
        (["--half", "readable", "--measures", "step"], "--half readable times forward and backward passes only"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_work(options, message, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda: {"torch": "2.6"})
    with pytest.raises(UsageError, match=message):
        bench.run(parse(*options))


def test_what_the_sizes_of_a_run_mean(monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(peers, "installed", lambda: {"torch": "2.6", "flax": "0.12"})
    monkeypatch.setattr(suite, "jobs", lambda *arguments: seen.update(arguments=arguments) or [])
    result = {"machine": {}, "rows": [], "geometric_means": [], "targets": [], "seconds": 0.0}
    monkeypatch.setattr(suite, "run", lambda parts, names: result)
    everybody = ["torch", "flax"]
    all_three = {"lstm": everybody, "gru": everybody, "rnn": everybody}
    for option, expected in {
        "--quick": (all_three, task.QUICK_SHAPES, ["train_step"], ("as used",), None, False),
        "--json": (all_three, task.SHAPES, ["train_step"], ratios.COMPARISONS, None, False),
        "--full": (
            all_three | {"rnn": ["torch"]},
            task.SHAPES,
            list(task.MEASURES),
            ratios.COMPARISONS,
            None,
            True,
        ),
    }.items():
        bench.run(parse(option))
        assert seen["arguments"] == expected, option


def test_the_parts_of_a_run():
    names = {"lstm": ["torch", "flax"], "rnn": ["torch"]}
    parts = suite.jobs(names, [SHAPE, (1, 2, 3, 4)], task.MEASURES)
    assert [part.label for part in parts] == [
        *("lstm 4,6,3,5", "lstm 1,2,3,4", "rnn 4,6,3,5", "rnn 1,2,3,4"),
        *(
            "step lstm",
            "compile lstm",
            "step rnn",
            "compile rnn",
            "growth",
            "memory",
            "fit",
            "text 32,64,64,256",
            "text 64,128,64,256",
            "text 64,256,64,256",
        ),
    ]
    assert [part.label for part in suite.jobs(names, [SHAPE], ["fit"])] == ["fit"]


def test_the_parts_of_a_brief_run():
    names = {"lstm": ["torch", "flax"], "rnn": ["torch"]}
    parts = suite.jobs(names, [SHAPE, (1, 2, 3, 4)], ["forward", "train_step"], brief=True)
    assert [part.rows.args[3] for part in parts] == [["forward", "train_step"], *[["train_step"]] * 3]
    assert [part.rows.args[4] for part in parts] == [ratios.COMPARISONS] * 2 + [["as used"]] * 2
    assert all(part.rows.keywords == {"finalists": 2} for part in parts)
    parts = suite.jobs(names, [SHAPE, (1, 2, 3, 4)], ["forward"], brief=True)
    assert [part.label for part in parts] == ["lstm 4,6,3,5"]
    parts = suite.jobs(names, [SHAPE], ["step", "compile"], brief=True)
    assert [part.label for part in parts] == ["step lstm", "compile lstm", "step rnn"]


def test_peers(monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda: {"torch": "2.6", "keras": "3.8"})
    assert bench.parse_peers("all") == (["torch", "keras"], ["flax", "equinox", "haiku"])
    assert bench.parse_peers("none") == ([], [])
    assert bench.parse_peers("keras, torch") == (["keras", "torch"], [])
    with pytest.raises(UsageError, match=r'not installed: flax; install with pip install "minirnn\[peers\]"'):
        bench.parse_peers("torch,flax")
    with pytest.raises(UsageError, match=r"--peers: expected names out of .* got 'tensorflow'"):
        bench.parse_peers("tensorflow")
    with pytest.raises(UsageError, match="stand alone"):
        bench.parse_peers("all,torch")


def test_missing_peers_are_named_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(peers, "installed", dict)
    bench.run(parse("--cells", "rnn", "--shapes", "2,3,1,2", "--rounds", "1"))
    assert "not installed, left out: torch, flax, equinox, haiku, keras" in capsys.readouterr().err


# ---------------------------------------------------------------- the NumPy half


@pytest.mark.peers
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_numpy_half_is_timed_on_the_same_work_as_torch(cell):
    pytest.importorskip("torch")
    from minirnn.bench import numpy_half

    runs = numpy_half.passes(cell, (3, 5, 2, 4), torch=True)
    _, dxs, _ = runs["minirnn"]()
    np.testing.assert_allclose(dxs, runs["torch"]().numpy(), rtol=1e-4, atol=1e-6)


def test_the_command_times_the_numpy_half(capsys):
    assert (
        main(
            [
                "bench",
                "--half",
                "readable",
                "--cells",
                "lstm",
                "--shapes",
                "2,3,1,4",
                "--peers",
                "none",
                "--rounds",
                "1",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "forward and backward pass of minirnn.readable" in out
    assert "2, 3, 1, 4" in out
