"""The comparison with other libraries: what each one trains, who runs how, how the times are taken, the rows."""

import json
import subprocess
import sys

import numpy as np
import pytest

from minirnn import convert
from minirnn.bench import compare, devices, measure, own, peers, pytorch, scan, task

SHAPE = (4, 6, 3, 5)  # B, T, D, H


@pytest.fixture(scope="module")
def batches():
    return task.make_batches(SHAPE, count=3)


def needs(*names: str) -> None:
    # Not importorskip: Keras must not be imported before its builder has chosen the backend.
    for name in names:
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


@pytest.mark.parametrize("shape", task.SHAPES)
def test_minibatches_are_few_at_large_shapes(shape):
    assert 1 <= task.minibatches(shape, 0.05) <= task.minibatches(shape, 0.1) <= 64


def run_of(name: str, cell: str, measure: str, batches: task.Batches) -> task.Run:
    if name == "torch":
        return pytorch.run(pytorch.build(cell, SHAPE), measure, batches)
    model = own.build(cell, SHAPE) if name == "minirnn" else peers.BUILDERS[name](cell, SHAPE)
    return scan.run(model, measure, batches)


@pytest.mark.parametrize("cell", task.CELLS)
def test_minirnn_trains_all_its_parameters(cell, batches):
    check_training("minirnn", cell, batches)


@pytest.mark.peers
@pytest.mark.parametrize("cell", task.CELLS)
@pytest.mark.parametrize("name", peers.PEERS)
def test_peer_trains_all_its_parameters(name, cell, batches):
    needs(name)
    check_training(name, cell, batches)


def check_training(name: str, cell: str, batches: task.Batches) -> None:
    # Targets one higher: far enough from every initial prediction that some hundred steps must show.
    run = run_of(name, cell, "train_step", batches._replace(ys=batches.ys + 1))
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
    ours = scan.run(own.build(cell, SHAPE, start._replace(layer=layer)), "train_step", one)
    model = pytorch.build(cell, SHAPE)
    load_into_torch(torch, model.modules, layer, start)
    assert pytorch.run(model, "train_step", one)() == pytest.approx(ours(), rel=1e-5)


def load_into_torch(torch, model, layer, start) -> None:
    model["layer"].load_state_dict({name: torch.from_numpy(a) for name, a in convert.to_torch((layer,)).items()})
    with torch.no_grad():
        model["head"].weight.copy_(torch.tensor(start.W.T.copy()))
        model["head"].bias.copy_(torch.tensor(start.b))


@pytest.mark.peers
def test_torch_keeps_the_callers_threads_and_random_numbers(batches):
    torch = pytest.importorskip("torch")
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    run_of("torch", "lstm", "train_step", batches)()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["minirnn", pytest.param("torch", marks=pytest.mark.peers)])
def test_passes_without_an_update_change_nothing_and_agree(name, batches):
    if name == "torch":
        needs(name)
    forward, both, trained = (run_of(name, "gru", measure, batches) for measure in task.PASSES)
    first = forward()
    assert forward() == first == pytest.approx(both())
    assert both() == pytest.approx(first)
    assert trained() != pytest.approx(first)  # the last minibatch after two updates


def test_a_run_does_not_touch_the_minibatches(batches):
    before = batches.xs.copy()
    run_of("minirnn", "gru", "train_step", batches)()
    np.testing.assert_array_equal(batches.xs, before)


def test_a_batch_that_cannot_be_shared_equally_is_refused(batches):
    with pytest.raises(ValueError, match="3 devices cannot share a batch of 4"):
        scan.run(own.build("rnn", SHAPE), "train_step", batches, devices=3)


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


def test_machine_is_complete_and_plain_json():
    description = json.loads(json.dumps(measure.machine({"torch": "9.9"})))
    assert {"jax", "jaxlib", "numpy", "torch"} <= set(description["versions"])
    assert description["cores"] >= 1
    assert description["devices"]
    assert {"processor", "memory_gib", "os", "python", "xla_flags", "torch_threads"} <= set(description)


def test_a_busy_machine_is_said(monkeypatch):
    monkeypatch.setattr(measure, "cores", lambda: 2)
    monkeypatch.setattr("os.getloadavg", lambda: (1.9, 0.0, 0.0), raising=False)
    assert measure.busy() == "other programs keep this machine busy (load 1.9 on 2 cores)"
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.0, 0.0), raising=False)
    assert measure.busy() == ""


def test_installed_imports_nothing():
    code = (
        "import sys, minirnn.bench.peers as peers; peers.installed();"
        "print([n for n in (*peers.PEERS, 'jax') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# ---------------------------------------------------------------- who runs how


def test_the_three_comparisons(monkeypatch):
    monkeypatch.setattr(compare, "devices_for", lambda shape, available: 2)
    monkeypatch.setattr(own, "compiler_options", lambda: {"some": 1})
    names = ["minirnn", "torch", "flax"]

    def keys(comparison, B=6, available=4):
        return {key.name: key[1:] for key in compare.keys_of(comparison, (B, 9, 9, 9), names, available)}

    assert keys("one device") == {"minirnn": (1, False), "torch": (1, False), "flax": (1, False)}
    assert keys("same mesh") == {"minirnn": (3, False), "flax": (3, False)}  # 4 devices cannot share 6 equally
    assert keys("same mesh", B=1) == {"minirnn": (1, False), "flax": (1, False)}
    assert keys("as used") == {"minirnn": (2, True), "torch": (1, False), "flax": (1, False)}
    monkeypatch.setattr(own, "compiler_options", dict)  # on a platform without options there is nothing to tell apart
    assert keys("as used")["minirnn"] == (2, False)


def test_the_finalists_are_the_quickest_on_one_device(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(compare.time, "perf_counter", lambda: now[0])

    def run(seconds):
        return lambda: now.__setitem__(0, now[0] + seconds)

    taken = {"minirnn": 9.0, "torch": 8.0, "flax": 3.0, "equinox": 1.0, "haiku": 2.0}
    runs = {compare.Key(name, 1, False): run(seconds) for name, seconds in taken.items()}
    assert compare._all_but(2, runs) == ["flax"]
    assert compare._all_but(0, runs) == ["equinox", "haiku", "flax"]
    assert compare._all_but(None, runs) == []


@pytest.mark.parametrize("shape", task.SHAPES)
def test_the_default_number_of_devices_divides_the_batch(shape):
    assert devices.devices_for(shape, 1) == 1
    assert shape[0] % devices.devices_for(shape, 2) == 0


def rows_of(*arguments, **options) -> list[dict]:
    return compare.rows(*arguments, **{"rounds": 2, "seconds": 1e-6} | options)


def check_rows(rows: list[dict], names: set[str]) -> None:
    assert json.loads(json.dumps(rows)) == rows
    for row in rows:
        assert {"cell", "shape", "measure", "comparison", "ms", "ratio", "spread", "devices", "rounds"} <= set(row)
        assert set(row["ms"]) == (names - {"torch"} if row["comparison"] == "same mesh" else names)
        assert all(value > 0 for value in row["ms"].values())
        for name in set(row["ms"]) - {"minirnn"}:
            assert row["ratio"][name] == pytest.approx(row["ms"]["minirnn"] / row["ms"][name])


def test_rows_without_peers():
    rows = rows_of("rnn", SHAPE, [], ("forward", "train_step"), available=1)
    check_rows(rows, {"minirnn"})
    assert [(row["measure"], row["comparison"], row["minibatches"]) for row in rows] == [
        ("forward", "one device", 1),
        ("train_step", "one device", 1),
        ("train_step", "as used", 1),
    ]


ON_TWO_DEVICES = """
import json, sys, jax
jax.config.update("jax_num_cpu_devices", 2)
from minirnn.bench import compare, own, peers, scan, task
shape = (4, 6, 3, 5)
batches = task.make_batches(shape, 3)
models = {"minirnn": own.build("gru", shape), "keras": peers.BUILDERS["keras"]("gru", shape)}
losses = {}
for name, model in models.items():
    for devices in (1, 2):
        run = scan.run(model, "train_step", batches, devices)
        losses[f"{name} {devices}"] = [run() for _ in range(3)]
compare.devices_for = lambda shape, available: available
rows = compare.rows("lstm", shape, ["torch", "equinox"], rounds=2, seconds=1e-6)
print(json.dumps({"losses": losses, "rows": rows}))
"""


@pytest.mark.peers
def test_on_two_devices_all_comparisons_run_and_train_the_same_weights():
    needs("torch", "equinox", "keras")
    done = subprocess.run([sys.executable, "-c", ON_TWO_DEVICES], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    for name in ("minirnn", "keras"):
        losses = [result["losses"][f"{name} {count}"] for count in (1, 2)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
        assert losses[0][2] != losses[0][0]
    check_rows(result["rows"], {"minirnn", "torch", "equinox"})
    assert {row["comparison"]: row["devices"] for row in result["rows"]} == {
        "one device": {"minirnn": 1, "torch": 1, "equinox": 1},
        "same mesh": {"minirnn": 2, "equinox": 2},
        "as used": {"minirnn": 2, "torch": 1, "equinox": 1},
    }
    one, mesh, used = result["rows"]
    assert [used["ms"][name] for name in ("torch", "equinox")] == [one["ms"][name] for name in ("torch", "equinox")]
    assert len({row["ms"]["minirnn"] for row in result["rows"]}) == 3  # two devices with and without its options, one
    assert mesh["ms"]["equinox"] != one["ms"]["equinox"]
    assert [row["best_jax"] for row in result["rows"]] == ["equinox"] * 3
    assert not any(row["failed"] for row in result["rows"])


@pytest.mark.parametrize("name", ["torch", "flax"])
def test_a_peer_that_fails_costs_only_its_own_column(name, monkeypatch):
    def broken(cell, shape):
        raise TypeError("does not go with this version\nand a second line")

    monkeypatch.setattr(pytorch, "build", broken)
    monkeypatch.setitem(peers.BUILDERS, "flax", broken)
    rows = rows_of("rnn", SHAPE, [name], available=1)
    assert [row["failed"] for row in rows] == [{name: "TypeError: does not go with this version"}] * 2
    check_rows(rows, {"minirnn"})


def test_a_peer_that_does_not_compile_costs_only_its_own_column(monkeypatch):
    monkeypatch.setitem(
        peers.BUILDERS, "flax", lambda cell, shape: scan.Model(lambda params, xs, ys: xs @ params, np.ones(99))
    )
    rows = rows_of("rnn", SHAPE, ["flax"], available=1)
    assert [list(row["failed"]) for row in rows] == [["flax"]] * 2
    check_rows(rows, {"minirnn"})


def test_minirnns_own_failure_is_not_hidden(monkeypatch):
    monkeypatch.setattr(own, "build", lambda *_: scan.Model(lambda params, xs, ys: 1 / 0, np.ones(1)))
    with pytest.raises(ZeroDivisionError):
        rows_of("rnn", SHAPE, [])
