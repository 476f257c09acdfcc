"""The comparison with other libraries: what each one trains, how the times are taken, the table, the options."""

import argparse
import json

import numpy as np
import pytest

from minirnn import convert
from minirnn.bench import measure, own, peers, table, task
from minirnn.cli import UsageError, bench, main

SHAPE = (4, 6, 3, 5)  # B, T, D, H


@pytest.fixture(scope="module")
def batches():
    return task.make_batches(SHAPE, count=3)


def needs(name: str) -> None:
    # Not importorskip: Keras must not be imported before its builder has chosen the backend.
    if name not in peers.installed():
        pytest.skip(f"{name} is not installed")


def expected_parameters(name: str, cell: str) -> int:
    """What a layer and its head hold; see the notes of each builder."""
    _, _, D, H = SHAPE
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
    biases = gates * H
    if name == "torch" or (name == "keras" and cell == "gru"):
        biases *= 2
    elif cell == "gru" and name in ("minirnn", "equinox"):
        biases += H  # b_hn
    return gates * (D * H + H * H) + biases + H + 1


# ---------------------------------------------------------------- the task


def test_batches_are_the_same_numbers_every_time(batches):
    again = task.make_batches(SHAPE, count=3)
    assert batches.xs.shape == (3, 6, 4, 3)
    assert batches.ys.shape == (3, 4, 1)
    assert batches.xs.dtype == batches.ys.dtype == np.float32
    np.testing.assert_array_equal(batches.xs, again.xs)
    np.testing.assert_array_equal(batches.ys[2, 1, 0], batches.xs[2, -1, 1].mean())


@pytest.mark.parametrize("shape", table.SHAPES)
def test_minibatches_are_few_at_large_shapes(shape):
    assert 4 <= task.minibatches(shape) <= 64


@pytest.mark.parametrize("cell", task.CELLS)
def test_minirnn_trains_all_its_parameters(cell, batches):
    check_training(own.build(cell, SHAPE, raised(batches)), "minirnn", cell)


@pytest.mark.peers
@pytest.mark.parametrize("cell", task.CELLS)
@pytest.mark.parametrize("name", peers.PEERS)
def test_peer_trains_all_its_parameters(name, cell, batches):
    needs(name)
    check_training(peers.build(name, cell, SHAPE, raised(batches)), name, cell)


def raised(batches: task.Batches) -> task.Batches:
    """Targets one higher: far enough from every initial prediction that some hundred steps must show."""
    return batches._replace(ys=batches.ys + 1)


def check_training(run: task.TrainRun, name: str, cell: str) -> None:
    assert run.parameters == expected_parameters(name, cell)
    losses = [run() for _ in range(40)]
    assert all(isinstance(loss, float) and np.isfinite(loss) for loss in losses)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.peers
@pytest.mark.parametrize("cell", task.CELLS)
def test_torch_computes_the_same_loss_from_the_same_weights(cell):
    torch = pytest.importorskip("torch")
    one = task.make_batches(SHAPE, count=1)  # one minibatch: the loss is the one before the first update
    start = own.start(cell, SHAPE, seed=7)
    layer = start.layer._replace(b=np.linspace(-0.5, 0.5, start.layer.b.size, dtype=np.float32))
    if cell == "gru":
        layer = layer._replace(b_hn=np.linspace(-0.3, 0.4, layer.b_hn.size, dtype=np.float32))
    ours = own.build(cell, SHAPE, one, start._replace(layer=layer))
    theirs = peers.build("torch", cell, SHAPE, one)
    load_into_torch(torch, theirs.model, layer, start)
    assert theirs() == pytest.approx(ours(), rel=1e-5)


def load_into_torch(torch, model, layer, start) -> None:
    model["layer"].load_state_dict({name: torch.from_numpy(a) for name, a in convert.to_torch((layer,)).items()})
    with torch.no_grad():
        model["head"].weight.copy_(torch.tensor(start.W.T.copy()))
        model["head"].bias.copy_(torch.tensor(start.b))


@pytest.mark.peers
def test_torch_keeps_the_callers_threads_and_random_numbers(batches):
    torch = pytest.importorskip("torch")
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    peers.build("torch", "lstm", SHAPE, batches)()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_jax_peers_and_minirnn_do_not_touch_the_minibatches(batches):
    before = batches.xs.copy()
    own.build("gru", SHAPE, batches)()
    np.testing.assert_array_equal(batches.xs, before)


# ---------------------------------------------------------------- the times


def test_interleaved_takes_turns():
    calls: list[str] = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = measure.interleaved(runs, rounds=4, warmup=2)
    assert "".join(calls) == "aabbcc" + "abc" + "acb" + "cab" + "cba"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 4, "b": 4, "c": 4}


def test_interleaved_times_only_its_own_run():
    now = [0.0]

    def takes(duration):
        def run():
            now[0] += duration

        return run

    runs = {"slow": takes(3.0), "fast": takes(0.5)}
    seconds = measure.interleaved(runs, rounds=3, warmup=1, clock=lambda: now[0])
    assert seconds == {"slow": [3.0] * 3, "fast": [0.5] * 3}
    assert measure.medians({"a": [1.0, 9.0, 2.0]}) == {"a": 2.0}
    assert measure.spreads({"a": [1.0, 2.0, 3.0, 4.0, 5.0], "b": [7.0]}) == {"a": (2.0, 4.0), "b": (7.0, 7.0)}


def test_interleaved_leaves_garbage_collection_as_it_was_when_a_run_fails():
    import gc

    def fails():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        measure.interleaved({"a": fails}, warmup=0)
    assert gc.isenabled()


def test_geometric_mean():
    assert measure.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert np.isnan(measure.geometric_mean([]))


def test_machine_is_complete_and_plain_json():
    description = json.loads(json.dumps(measure.machine({"torch": "9.9"})))
    assert {"jax", "jaxlib", "numpy", "torch"} <= set(description["versions"])
    assert description["cores"] >= 1
    assert description["devices"]
    assert {"processor", "memory_gib", "os", "python", "xla_flags", "torch_threads"} <= set(description)


# ---------------------------------------------------------------- the table


def check_form(result: dict, names: set[str]) -> None:
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {"machine", "rows", "geometric_mean"}
    for row in result["rows"]:
        assert {"cell", "shape", "measure", "ms", "ratio", "spread"} <= set(row)
        assert row["measure"] == "train_step"
        assert set(row["ms"]) == names
        assert all(value > 0 for value in row["ms"].values())
        for name in names - {"minirnn"}:
            assert row["ratio"][name] == pytest.approx(row["ms"]["minirnn"] / row["ms"][name])


def test_run_without_peers():
    result = table.run(["rnn", "lstm"], [SHAPE], [], rounds=2, warmup=0, count=2)
    check_form(result, {"minirnn"})
    assert [(row["cell"], row["shape"], row["minibatches"]) for row in result["rows"]] == [
        ("rnn", [4, 6, 3, 5], 2),
        ("lstm", [4, 6, 3, 5], 2),
    ]


@pytest.mark.peers
def test_run_with_a_peer():
    needs("equinox")
    result = table.run(["gru"], [SHAPE, (2, 3, 1, 2)], ["equinox"], rounds=2, warmup=0, count=2)
    check_form(result, {"minirnn", "equinox"})
    ratios = [row["ratio"]["equinox"] for row in result["rows"]]
    assert result["geometric_mean"]["gru"]["equinox"] == pytest.approx(measure.geometric_mean(ratios))


def test_a_peer_that_fails_costs_only_its_own_column(monkeypatch):
    def broken(cell, shape, batches):
        raise TypeError("does not go with this version\nand a second line")

    monkeypatch.setitem(peers.BUILDERS, "torch", broken)
    result = table.run(["rnn"], [SHAPE], ["torch"], rounds=1, warmup=0, count=1)
    assert result["rows"][0]["failed"] == {"torch": "TypeError: does not go with this version"}
    assert result["geometric_mean"] == {"rnn": {}}
    assert "torch (rnn): TypeError: does not go with this version" in table.render(result)


def test_minirnns_own_failure_is_not_hidden(monkeypatch):
    monkeypatch.setattr(own, "build", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        table.run(["rnn"], [SHAPE], [], rounds=1)


def row(cell, shape, ms, **extra):
    return {"cell": cell, "shape": shape, "measure": "train_step", "ms": ms, **extra}


def test_render():
    result = {
        "machine": {"processor": "A Processor", "cores": 2, "versions": {"jax": "0.10.2"}, "python": "3.11.9"},
        "rows": [
            row(
                "lstm", [32, 100, 16, 64], {"minirnn": 2.0, "torch": 4.0, "flax": 5.0}, notes={"flax": "one bias less"}
            ),
            row("lstm", [32, 24, 1, 32], {"minirnn": 0.342, "torch": 0.1710}),
            row("gru", [1, 1000, 16, 128], {"minirnn": 110.2, "flax": 55.1}, notes={"flax": "one bias less"}),
        ],
        "geometric_mean": {"lstm": {"torch": 1.0, "flax": 0.4}, "gru": {"flax": 2.0}},
    }
    expected = """\
Train step (forward, backward, Adam; float32), ms: median over rounds.
In parentheses: minirnn's time divided by that library's; below 1, minirnn is faster.

lstm (B, T, D, H)  minirnn         torch         flax
32, 100, 16, 64       2.00   4.00 (0.50)  5.00 (0.40)
32, 24, 1, 32        0.342  0.171 (2.00)            -
geometric mean                    (1.00)       (0.40)

gru (B, T, D, H)  minirnn  torch         flax
1, 1000, 16, 128      110      -  55.1 (2.00)
geometric mean                 -       (2.00)

Notes:
  flax (lstm, gru): one bias less

A Processor, 2 cores
Python 3.11.9, jax 0.10.2"""
    assert table.render(result) == expected


# ---------------------------------------------------------------- the command


def parse(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    return parser.parse_args(["bench", *options])


def test_command_prints_json_and_nothing_else_to_stdout(capsys):
    options = parse("--cells", "rnn", "--shapes", "2,3,1,2", "--peers", "none", "--rounds", "1", "--json")
    assert options.run(options) == 0
    out, err = capsys.readouterr()
    check_form(json.loads(out), {"minirnn"})
    assert "rnn 2,3,1,2" in err


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


def test_a_busy_machine_is_said(monkeypatch):
    monkeypatch.setattr(measure, "_cores", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (1.9, 0.0, 0.0), raising=False)
    assert measure.busy() == "other programs keep this machine busy (load 1.9 on 2 cores)"
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.0, 0.0), raising=False)
    assert measure.busy() == ""


def test_installed_imports_nothing():
    import subprocess
    import sys

    code = (
        "import sys, minirnn.bench.peers as peers; peers.installed();"
        "print([n for n in (*peers.PEERS, 'jax') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


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
