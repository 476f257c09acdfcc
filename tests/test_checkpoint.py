"""Checkpoints: a training that was cut off goes on to the very same numbers, or says why it cannot."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import resumable
from resumable import LONG, leaves, momentum, run
from safetensors.numpy import load_file, save_file

import minirnn
from minirnn.cli import main
from minirnn.models import storage
from minirnn.models.checkpoint import Checkpoint, CheckpointError, Keeper, Snapshot
from minirnn.readable import training


def equal(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def stopped_after(epochs):
    """The NumPy half, whose process is cut off in the epoch after that many."""

    class CutError(Exception):
        pass

    class Half:
        __name__ = training.__name__
        make_optimizer, start, place, evaluate, members, moments = (
            staticmethod(getattr(training, name))
            for name in ("make_optimizer", "start", "place", "evaluate", "members", "moments")
        )

        @staticmethod
        def epoch(*arguments, **options):
            nonlocal epochs
            epochs -= 1
            if epochs < 0:
                raise CutError
            return training.epoch(*arguments, **options)

    return Half(), CutError


@pytest.fixture
def cut_off(tmp_path):
    """A checkpoint of a training that was cut off in its third epoch."""
    half, cut = stopped_after(2)
    with pytest.raises(cut):
        run(tmp_path / "run.safetensors", half=half)
    return tmp_path / "run.safetensors"


def test_killed_in_the_middle_of_an_epoch_it_ends_as_if_nothing_had_happened(tmp_path):
    path = tmp_path / "run.safetensors"
    command = [sys.executable, "-W", "error", resumable.__file__, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(minirnn.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        said = [process.stdout.readline().strip() for _ in range(5)]
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    assert said == ["begins", "ends"] * 2 + ["begins"]  # in the third epoch
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]
    assert len(storage.read(path)[1]["history"]["loss"]) == 2
    resumed, history = run(path, resume=True, **LONG)
    assert history.notes == [f"went on from {path} after epoch 2."]
    whole, uninterrupted = run(**LONG)
    equal(resumed, whole)
    assert (history.loss, history.validation, history.best) == (
        uninterrupted.loss,
        uninterrupted.validation,
        uninterrupted.best,
    )


def test_the_numpy_half_resumes_too_and_remembers_its_best_weights(cut_off):
    resumed, history = run(cut_off, resume=True)
    whole, uninterrupted = run()
    equal(resumed, whole)
    assert (history.loss, history.best) == (uninterrupted.loss, uninterrupted.best)
    assert 0 < history.epochs == 6


def test_the_best_weights_may_be_older_than_the_checkpoint(tmp_path):
    """With a rate far too large the weights get worse after an early epoch: those are kept through a resumption."""
    path, bad = tmp_path / "run.safetensors", {"learning_rate": 2.0, "max_epochs": 6}
    half, cut = stopped_after(5)
    with pytest.raises(cut):
        run(path, half=half, **bad)
    resumed, history = run(path, resume=True, **bad)
    assert 0 < max(history.best) < 5
    equal(resumed, run(**bad)[0])


def test_a_finished_training_returns_at_once_and_goes_on_if_it_may_be_longer(tmp_path):
    path = tmp_path / "run.safetensors"
    first, _ = run(path)
    before = path.read_bytes()
    half, _ = stopped_after(0)
    again, history = run(path, resume=True, half=half)  # no epoch is begun
    equal(again, first)
    assert history.notes == [f"{path} holds a finished training of 6 epochs."]
    assert path.read_bytes() == before
    longer, _ = run(path, resume=True, max_epochs=9)
    equal(longer, run(max_epochs=9)[0])
    patient, history = run(path, resume=True, max_epochs=60, patience=1)
    assert (history.ended, history.epochs < 60) == ("patience", True)
    equal(patient, run(max_epochs=60, patience=1)[0])


def test_patience_goes_on_counting(tmp_path):
    path, settings = tmp_path / "run.safetensors", {"learning_rate": 0.5, "max_epochs": 40, "patience": 4}
    _, uninterrupted = run(**settings)
    assert uninterrupted.ended == "patience"
    half, cut = stopped_after(uninterrupted.epochs - 2)
    with pytest.raises(cut):
        run(path, half=half, **settings)
    _, history = run(path, resume=True, **settings)
    assert (history.epochs, history.ended) == (uninterrupted.epochs, "patience")


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"hidden_size": 4}, "network.layers.0.hidden_size was 3 and is 4"),
        ({"batch_size": 8}, "batch_size was 16 and is 8"),
        ({"learning_rate": 0.02}, "optimizer was 'Adam, rate 0.01, norm at most 1' and is 'Adam, rate 0.02"),
        ({"seed": 1}, "seed of the shuffles was"),
        ({"n": 39}, "training data.0 was 'float32 (40, 5, 2), checksum "),
        ({"noise": 1e-3}, "training data.0 was 'float32 (40, 5, 2), checksum "),
        ({"optimizer": momentum()}, "written with Adam, rate 0.01, norm at most 1, minirnn's own optimizer; pass none"),
    ],
)
def test_another_training_is_refused_and_the_difference_named(cut_off, changes, difference):
    before = cut_off.read_bytes()
    with pytest.raises(CheckpointError, match=re.escape(difference)) as refused:
        run(cut_off, resume=True, **changes)
    assert str(refused.value).startswith(str(cut_off))
    assert "\n" not in str(refused.value)
    assert cut_off.read_bytes() == before


def test_an_optimizer_of_the_callers_own_is_passed_again(tmp_path):
    path = tmp_path / "run.safetensors"
    half, cut = stopped_after(2)
    with pytest.raises(cut):
        run(path, half=half, optimizer=momentum())
    with pytest.raises(CheckpointError, match="an optimizer of the caller's own; pass the same one again"):
        run(path, resume=True)
    with pytest.raises(CheckpointError, match=r"another optimizer, pass the same one \(state\.optimizer\[0\]"):
        run(path, resume=True, optimizer=training.make_optimizer(0.01, 1.0))
    equal(run(path, resume=True, optimizer=momentum())[0], run(optimizer=momentum())[0])


def test_a_file_that_exists_is_not_overwritten_unasked(cut_off):
    before = cut_off.read_bytes()
    with pytest.raises(CheckpointError, match="exists already; resume to go on from it, or delete it"):
        run(cut_off)
    assert cut_off.read_bytes() == before


def test_a_refused_training_leaves_the_fitted_model_as_it_was(tmp_path):
    frame = minirnn.data.load("air_passengers")
    (tmp_path / "load.csv").touch()
    model = minirnn.Forecaster(hidden_size=2, horizon=2, window=4, ensemble=1, max_epochs=1, backend="readable")
    forecast = model.fit(frame).predict()
    with pytest.raises(CheckpointError):
        model.fit(100 * frame.iloc[:-12], checkpoint=tmp_path / "load.csv")
    assert model.predict().equals(forecast)


@pytest.mark.parametrize("name", ["model.safetensors", "load.csv", "folder"])
def test_what_is_no_checkpoint_is_never_to_be_deleted(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "load.csv").write_text("date,MW\n2020-01-01,1\n")
    storage.save(tmp_path / "model.safetensors", "Forecaster", {"x": np.zeros(2)}, {})
    for resume in (False, True):
        with pytest.raises(storage.ModelFileError, match=name) as refused:
            run(tmp_path / name, resume=resume)
        assert "delete" not in str(refused.value)


@pytest.mark.parametrize("name", ["a" * 300, "a" * 250, "load.csv/run.safetensors"])
def test_an_impossible_name_is_refused_before_the_training(tmp_path, name):
    half, _ = stopped_after(0)
    (tmp_path / "load.csv").touch()
    with pytest.raises(CheckpointError, match=r"cannot be .*; choose another"):
        run(tmp_path / name, half=half)


def test_without_a_file_it_starts_anew_and_says_so(tmp_path):
    path = tmp_path / "run.safetensors"
    members, history = run(path, resume=True)
    equal(members, run()[0])
    assert history.notes == [f"{path} did not exist: the training started anew."]
    assert path.exists()


def test_a_place_where_nothing_can_be_written_is_refused_before_the_training(tmp_path):
    half, _ = stopped_after(0)
    with pytest.raises(CheckpointError, match="there is no folder"):
        run(tmp_path / "nowhere" / "run.safetensors", half=half)


def test_a_full_disk_gets_one_clear_line_and_leaves_the_last_checkpoint(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "run.safetensors"
    run(path, max_epochs=1)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written \(File too large\)"):
            run(path, resume=True, max_epochs=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    run(path, max_epochs=1)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CheckpointError, match="cannot be written \\(No space left on device\\)"):
        run(path, resume=True, max_epochs=2)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def rewritten(path, change):
    """The file with another description."""
    with Path(path).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    description = json.loads(header["__metadata__"]["minirnn"])
    arrays = load_file(path)
    change(description, arrays)
    save_file(arrays, path, metadata={"minirnn": json.dumps(description)})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as a safetensors file"),
        (lambda path: path.write_bytes(b"\x93NUMPY" * 20), "is no model; expected a checkpoint saved by minirnn"),
        (lambda path: path.write_bytes(b""), "cannot be read as a safetensors file"),
        (lambda path: save_file({"x": np.ones(3)}, path), "not a checkpoint saved by minirnn"),
        (lambda path: rewritten(path, lambda d, a: d.update(format=99)), "format 99, written by minirnn .*update"),
        (lambda path: rewritten(path, lambda d, a: d.update(kind="Forecaster")), "a saved Forecaster, not a checkp"),
        (lambda path: rewritten(path, lambda d, a: d.pop("generator")), "damaged checkpoint .*generator"),
        (lambda path: rewritten(path, lambda d, a: d.update(history=3)), "damaged checkpoint"),
        (lambda path: rewritten(path, lambda d, a: d.update(generator={"x": 1})), "damaged checkpoint"),
        (lambda path: rewritten(path, lambda d, a: d["history"].update(loss=7)), "damaged checkpoint"),
        (lambda path: rewritten(path, lambda d, a: d["identity"].clear()), "damaged checkpoint .*optimizer"),
        (lambda path: rewritten(path, lambda d, a: a.pop("best[0].head.W")), "damaged checkpoint.*best.0..head.W"),
        (lambda path: rewritten(path, lambda d, a: a.update(best_loss=np.zeros(5))), "damaged checkpoint"),
    ],
)
def test_a_spoiled_file_gets_one_clear_line(cut_off, spoil, message):
    spoil(cut_off)
    with pytest.raises(storage.ModelFileError, match=message) as refused:
        run(cut_off, resume=True)
    assert str(refused.value).startswith(str(cut_off))
    assert "\n" not in str(refused.value)


def test_a_checkpoint_is_not_a_model(cut_off):
    with pytest.raises(storage.ModelFileError, match="a checkpoint of a training, not a model"):
        minirnn.load(cut_off)


def test_how_often():
    assert Checkpoint("x").due(1, 0)
    assert [Checkpoint("x", every_epochs=3).due(epochs, 1e9) for epochs in (1, 2, 3, 4)] == [False, False, True, True]
    assert [Checkpoint("x", every_minutes=2).due(99, seconds) for seconds in (119, 120)] == [False, True]
    both = Checkpoint("x", every_epochs=3, every_minutes=2)
    assert [both.due(3, 0), both.due(1, 121), both.due(2, 100)] == [True, True, False]
    with pytest.raises(CheckpointError, match="every_minutes must be positive, got 0"):
        Checkpoint("x", every_minutes=0)


def test_it_is_written_as_often_as_said_and_at_the_end(tmp_path, monkeypatch):
    written = []
    save = storage.save
    monkeypatch.setattr(storage, "save", lambda *a: (written.append(len(a[3]["history"]["loss"])), save(*a)))
    run(checkpoint=Checkpoint(tmp_path / "a", every_epochs=2), max_epochs=5)
    assert written == [2, 4, 5]
    written.clear()
    run(checkpoint=Checkpoint(tmp_path / "b", every_minutes=1000), max_epochs=5)
    assert written == [5]


def test_every_kind_of_state_comes_back(tmp_path):
    """Half precision, typed keys, counts, hyperparameters as arrays: what optimisers of optax keep."""
    optimizer = optax.chain(
        optax.adam(optax.linear_schedule(1e-3, 0, 10), mu_dtype=jnp.bfloat16),
        optax.add_noise(0.1, 0.5, key=jax.random.key(7)),
        optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9),
        optax.masked(optax.scale_by_rms(), {"w": True, "b": False}),
    )
    fresh = optimizer.init({"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)})
    moved = jax.tree.map(
        lambda leaf: jax.random.key(9) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf + 3, fresh
    )
    history = {"loss": [[0.5]], "validation": [[1.0], [0.25]], "best": [1]}
    best = [{"w": np.full((2, 3), 0.1)}]
    generator = np.random.default_rng(0).bit_generator.state
    keeper = Keeper(Checkpoint(tmp_path / "run"), {"optimizer": "x"})
    start = Snapshot(
        fresh, [{"w": np.zeros((2, 3))}], np.zeros(1), history, np.random.default_rng().bit_generator.state, 1
    )
    assert keeper.open(False, start) is None
    keeper.after_epoch(1, False, lambda: Snapshot(moved, best, np.array([0.25]), history, generator, 2))
    found = keeper.open(True, start)
    assert jax.tree.structure(found.state) == jax.tree.structure(moved)
    for a, b in zip(jax.tree.leaves(found.state), jax.tree.leaves(moved), strict=True):
        assert (type(a), a.dtype) == (type(b), b.dtype)
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found.best[0]["w"], best[0]["w"])
    assert found[2:] == (np.array([0.25]), history, generator, 2)


# ---------------------------------------------------------------- the Forecaster and the command


def test_a_forecaster_resumes_and_its_file_says_how_many_devices(tmp_path):
    frame = minirnn.data.load("air_passengers")
    path = tmp_path / "run.safetensors"

    def model(max_epochs):
        settings = {"hidden_size": 3, "horizon": 3, "window": 6, "ensemble": 2, "backend": "readable"}
        return minirnn.Forecaster(**settings, max_epochs=max_epochs)

    model(2).fit(frame, checkpoint=path)
    resumed = model(4).fit(frame, checkpoint=str(path), resume=True)
    assert resumed.notes_ == (f"went on from {path} after epoch 2.",)
    whole = model(4).fit(frame)
    equal(resumed.fitted_.members, whole.fitted_.members)
    with pytest.raises(CheckpointError, match=r"training data\.0 was"):
        model(4).fit(frame.iloc[:-12], checkpoint=path, resume=True)
    assert (resumed.devices_, resumed.evaluate().model["devices"]) == (1, 1)
    saved = tmp_path / "model.safetensors"
    resumed.save(saved)
    assert minirnn.load(saved).devices_ == 1
    rewritten(saved, lambda description, arrays: description.pop("devices"))  # as it was before there were several
    assert minirnn.load(saved).devices_ == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "--resume needs --checkpoint FILE"),
        (["--checkpoint-every", "3"], "--checkpoint-every needs --checkpoint FILE"),
        (["--checkpoint-minutes", "0"], "expected a positive number, got '0'"),
        (["--checkpoint", "x", "--checkpoint-minutes", "1", "--checkpoint-every", "1"], "not allowed with argument"),
        (["--checkpoint", "out/../out/model.safetensors", "--out", "out"], "--out writes a result there"),
        (["--out", "a" * 300], "cannot be a folder (File name too long)"),
        (["--checkpoint", "/nowhere/x.safetensors"], "there is no folder /nowhere"),
    ],
)
def test_the_command_refuses_in_one_line(options, message, capsys):
    try:
        status = main(["forecast", "--backend", "readable", "--hidden-size", "2", *options])
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_the_command_keeps_and_resumes(tmp_path, capsys, monkeypatch):
    from minirnn.models import forecaster

    fit = forecaster.Forecaster.fit
    epochs = iter([1, 2, 2])

    def short(self, *arguments, **options):
        return fit(self.set_params(max_epochs=next(epochs), ensemble=1, batch_size=200), *arguments, **options)

    monkeypatch.setattr(forecaster.Forecaster, "fit", short)
    path = str(tmp_path / "run.safetensors")
    line = ["forecast", "--backend", "readable", "--hidden-size", "2", "--window", "4", "--json"]
    assert main([*line, "--checkpoint", path, "--resume"]) == 0
    assert f"{path} did not exist: the training started anew." in capsys.readouterr().err
    assert main([*line, "--checkpoint", path, "--resume"]) == 0
    out, err = capsys.readouterr()
    assert f"went on from {path} after epoch 1." in err
    assert main(line) == 0
    assert json.loads(out) == json.loads(capsys.readouterr().out)
