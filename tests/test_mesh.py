"""The number of devices, their mesh and where windows lie change no result beyond rounding."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import mesh_worker
import numpy as np
import pytest
from jax.sharding import Mesh
from parity import relative_error

from minirnn import random
from minirnn.fast import recurrent
from minirnn.fast import training as fast
from minirnn.models.training import batches_of
from minirnn.readable import training as readable

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("float64", 1e-10)])
def test_the_number_of_devices_changes_nothing_but_rounding(dtype, bound):
    """One, two and three devices: unequal lengths, dropout, weights, a last batch that is not full, 30 updates."""
    worker = [sys.executable, str(ROOT / "tests" / "mesh_worker.py"), dtype]
    path = [str(ROOT), str(ROOT / "tests")]
    run = subprocess.run(worker, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": ":".join(path)})
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    assert results["finite"]
    assert results["moved"] > 1e-2  # every array has been trained
    names = ("1", "2", "3", "2, streamed") if dtype == "float32" else ("3",)
    for name in names:
        for what in ("weights", "record", "forecasts"):
            assert results[name][what] < bound, (name, what, results)
    assert results["on rows"] < bound
    if dtype == "float32":  # an epoch and a forecast are compiled, and nothing twice
        assert (results["1"]["compiled"], results["2, streamed"]["compiled"]) == (2, 1)


def test_a_device_drops_its_rows_of_what_the_whole_batch_drops():
    key = recurrent.RowsKey(jax.random.key(3), 4, 12)
    mine = recurrent.dropout_scale(recurrent.fold_in(key, 7), (2, 5), 0.4, np.float32)
    whole = recurrent.dropout_scale(jax.random.fold_in(jax.random.key(3), 7), (12, 5), 0.4, np.float32)
    np.testing.assert_array_equal(mine, whole[4:6])


def test_a_compiled_loss_takes_the_key_of_some_rows():
    key = recurrent.RowsKey(jax.random.key(3), 4, 12)
    draw = lambda key: recurrent.dropout_scale(recurrent.fold_in(key, 7), (2, 5), 0.4, np.float32)  # noqa: E731
    np.testing.assert_array_equal(jax.jit(draw)(key), draw(key))


def test_rows_that_fill_up_a_batch_are_its_own(monkeypatch):
    """Window 0 is in no batch, and may hold anything: no device may read it."""
    monkeypatch.setattr(fast.placement, "put", lambda array, mesh, *spec: array)
    order = np.array([[[1, 2, 3, 4], [5, 6, 7, 1]]])
    data = (np.arange(8.0),)
    for budget in (1, 10**6):
        for block in fast.placement.blocks(data, order, np.ones((2, 4)), None, SimpleNamespace(size=3), budget):
            assert block.batches.shape[2] == 6
            assert block.counts.sum() == 4 * len(block.steps)
            assert 0 not in block.data[0][block.batches]


def test_other_meshes_are_refused():
    mesh = Mesh(np.array(jax.devices()[:1]), ("batch",))
    with pytest.raises(ValueError, match=r"mesh has the axes \('batch',\); expected one axis, 'data'"):
        fast.epoch(None, None, None, None, np.zeros((1, 1, 1)), None, mesh=mesh)
    with pytest.raises(ValueError, match="mesh is given; the NumPy half computes on one processor"):
        readable.epoch(None, None, None, None, np.zeros((1, 1, 1)), None, mesh=mesh)


def files(data, folder):
    """The same arrays, as memory-mapped files."""
    mapped = []
    for index, array in enumerate(data):
        path = folder / f"{index}.npy"
        np.save(path, array)
        mapped.append(np.load(path, mmap_mode="r"))
    return tuple(mapped)


def test_windows_from_a_file_larger_than_the_budget_train_to_the_same_bits(tmp_path, monkeypatch):
    network, members, data = mesh_worker.problem(np.float32, n=31)
    mapped = files(data, tmp_path)
    assert all(isinstance(array, np.memmap) for array in mapped)
    optimizer = fast.make_optimizer(1e-2, 1.0)
    order, counts = batches_of(np.random.default_rng(0), 31, 3, members=2)  # 11 batches, the last one not full
    budget, placed = 1500, []  # two batches of both members, twice
    put = fast.placement.put

    def spy(array, *arguments):
        placed.append(array)
        return put(array, *arguments)

    def run(windows, **options):
        state, record = fast.epoch(
            network, optimizer, fast.start(optimizer, members), windows, order, counts, random.key(5), **options
        )
        return fast.members(state), record

    expected = run(data)
    monkeypatch.setattr(fast.placement, "put", spy)
    streamed = run(mapped, budget_bytes=budget)
    for a, b in zip(*map(jax.tree.leaves, (expected, streamed)), strict=True):
        np.testing.assert_array_equal(a, b)
    floats = [array for array in placed if isinstance(array, np.ndarray) and array.ndim == 3 and array.dtype == "f4"]
    inputs = [array for array in floats if array.shape[1:] == data[0].shape[1:]]
    assert len(inputs) == 6  # blocks, of which the last holds one batch only
    assert 2 * max(array.nbytes for array in inputs) <= budget < sum(array.nbytes for array in data)
    theirs, record = readable.epoch(
        network, (o := readable.make_optimizer(1e-2, 1.0)), readable.start(o, members), mapped, order, counts,
        random.key(5), budget_bytes=budget,
    )  # fmt: skip
    for ours, other in zip(*map(jax.tree.leaves, (expected, (theirs.members, record)))):
        assert relative_error(other, ours) < 1e-5


def test_windows_stay_where_they_are_unless_they_fit():
    data = (np.zeros((4, 2, 1), np.float32), np.zeros((4, 1), np.float32), np.ones((4, 1), np.float32))
    assert fast.place(data, budget_bytes=63) is data
    assert all(isinstance(array, jax.Array) for array in fast.place(data, budget_bytes=64))
    assert all(isinstance(array, jax.Array) for array in fast.place(data))
    assert readable.place(data) is data
    assert 2**28 < fast.placement.default_budget() < 2**46
