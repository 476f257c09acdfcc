"""The model file: every format loads, the same seed gives the same bytes, damage is refused in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forecasters import arrays_of, daily, long_form, quick, weights_of, with_network
from safetensors.numpy import save_file

import minirnn
from minirnn.models import storage
from minirnn.models.storage import FORMAT, ModelFileError, read

GOLDEN = Path(__file__).parent / "golden"
SHOPS = {"target": "y", "past": ["temperature"], "future": ["plan"], "static": ["area", "kind"], "series": "shop"}


@pytest.fixture(scope="module")
def frame():
    return daily(70)


@pytest.fixture(scope="module")
def fitted(frame):
    return with_network(quick().fit(frame, target="y", future=["plan"]))


@pytest.fixture(scope="module")
def content(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    fitted.save(path)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return path


def test_there_is_a_golden_file_of_every_format():
    formats = {read(path)[1]["format"] for path in GOLDEN.glob("forecaster-*.safetensors")}
    assert formats == set(range(1, FORMAT + 1))


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("forecaster-*.safetensors"))])
def test_a_golden_file_forecasts_as_it_did(name, tmp_path):
    expected = json.loads((GOLDEN / f"{name}.json").read_text())
    times = expected.pop("times")
    model = minirnn.load(GOLDEN / f"{name}.safetensors")
    model.save(tmp_path / "again.safetensors")  # in today's format
    for each in (model, minirnn.load(tmp_path / "again.safetensors")):
        for backend in ("fast", "readable"):
            forecast = each.set_params(backend=backend).predict()
            assert [str(t.date()) for t in forecast.index] == times
            assert list(forecast.columns) == list(expected)
            for column, values in expected.items():
                np.testing.assert_allclose(forecast[column], values, rtol=1e-5, err_msg=column)


def test_a_model_that_was_never_calibrated_says_so_and_gives_the_mean():
    model = minirnn.load(GOLDEN / "forecaster-format1-columns.safetensors").set_params(backend="readable")
    assert "its forecasts come without intervals" in model.notes_[0]
    assert list(model.predict(levels=(0.9,))) == ["mean"]
    with pytest.raises(ValueError, match="between 0 and 1"):
        model.predict(levels=(9,))
    weather = minirnn.data.load("seattle_weather").iloc[:120]
    pd.testing.assert_frame_equal(model.predict(weather), model.predict(), check_freq=False)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    frame, files = long_form((52, 44, 40)), {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path = tmp_path / f"{name}.safetensors"
        quick(seed=seed, dropout=0.2).fit(frame.copy(), **SHOPS).save(path)
        files[name] = path.read_bytes()
    assert files["a"] == files["b"] != files["c"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "c.safetensors"]


def test_the_same_seed_gives_the_same_bytes_in_jax(frame):
    models = [quick(backend="fast").fit(frame, target="y") for _ in range(2)]
    assert arrays_of(models[0]) == arrays_of(models[1])
    assert weights_of(models[0]) != weights_of(quick(backend="fast", seed=1).fit(frame, target="y"))


def test_a_parameter_changed_after_the_training_changes_neither_the_forecast_nor_the_file(path, fitted, tmp_path):
    loaded = minirnn.load(path)
    assert loaded.get_params() == fitted.get_params()
    loaded.set_params(cell="rnn", hidden_size=99, ensemble=7, horizon=2, window=3, likelihood="none")
    pd.testing.assert_frame_equal(loaded.predict(), fitted.predict(), check_exact=True)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_what_a_file_holds_is_told(path, fitted):
    loaded = minirnn.load(path)
    assert loaded.plan_ == fitted.plan_
    assert loaded.choices_ == fitted.choices_
    assert loaded.history_ == fitted.history_
    assert loaded.history_.epochs == 2
    assert loaded.reach_ == fitted.reach_
    assert loaded.roles_ == fitted.roles_


def test_a_file_cut_short_is_refused_in_one_line(content, tmp_path):
    for tenth in range(10):
        cut = tmp_path / "cut.safetensors"
        cut.write_bytes(content[: len(content) * tenth // 10])
        with pytest.raises(ModelFileError, match="cannot be read as a safetensors file") as caught:
            minirnn.load(cut)
        assert "\n" not in str(caught.value)


def rewrite(path, change_description=None, change_arrays=None):
    arrays, description = read(path)
    if change_description:
        change_description(description)
    if change_arrays:
        change_arrays(arrays)
    save_file(arrays, path, metadata={"minirnn": json.dumps(description)})


HOSTILE = [
    (lambda d: d.update(format=FORMAT + 1), None, rf"format {FORMAT + 1}, written by minirnn .* update minirnn"),
    (lambda d: d.update(format=True), None, "format True"),
    (lambda d: d.update(kind="Oracle"), None, "unknown kind of model 'Oracle'; expected one of Forecaster"),
    (lambda d: d.pop("frequency"), None, "damaged model"),
    (lambda d: d.update(frequency="every blue moon"), None, "damaged model"),
    (lambda d: d["parameters"].update(cell="__import__"), None, "damaged model"),
    (lambda d: d["parameters"].update(strategy="recursive"), None, "damaged model"),
    (lambda d: d["parameters"].update(celll="gru"), None, "damaged model .*celll"),
    (lambda d: d.update(columns=["x"]), None, "damaged model .*not those of the roles"),
    (lambda d: (d.update(columns=["y"] * 3), d["roles"].update(past=["y"], future=["y"])), None, "not distinct"),
    (lambda d: d["roles"].update(target=[]), None, "damaged model .*not those of the roles"),
    (lambda d: d.update(window=10**8), None, "damaged model .*window is"),
    (lambda d: d.update(window=10**6), None, "damaged model"),
    (lambda d: d.update(horizon=10**6), None, "damaged model"),
    (lambda d: d.update(horizon=2.5), None, "damaged model .*horizon is"),
    (lambda d: d.update(share=2.0), None, "damaged model .*share is"),
    (lambda d: d.update(masked=[7]), None, "damaged model .*masked"),
    (lambda d: d.update(names=["a", "b"]), None, "damaged model"),
    (lambda d: d.update(bases=[]), None, "damaged model"),
    (lambda d: d["bases"][0]["plan"].update(season=10**9), None, "damaged model"),
    (lambda d: d["bases"][0]["plan"].update(alpha="x"), None, "damaged model"),
    (lambda d: d["imputer"].update(methods=["guess"] * 3), None, "damaged model .*imputer.methods"),
    (lambda d: d["parameters"].update(ensemble=1), None, "damaged model .*unexpected array members.1"),
    (lambda d: d["parameters"].update(segment=10**9), None, "damaged model"),
    (lambda d: d["parameters"].update(ensemble=10**9), None, "damaged model .*a network of this size has more"),
    (lambda d: d["parameters"].update(hidden_size=2), None, "damaged model .*layers.0"),
    (lambda d: d["parameters"].update(hidden_size=10**6), None, "damaged model"),
    (lambda d: d["parameters"].update(num_layers=10**9), None, "damaged model"),
    (lambda d: d["parameters"].update(convolution=10**9), None, "damaged model"),
    (None, lambda a: a.pop("members.0.head.W"), "damaged model .*members.0.head.W"),
    (None, lambda a: a.update({"scaler.mean": np.zeros(9)}), "damaged model"),
    (None, lambda a: a.update({"scaler.std": -a["scaler.std"]}), "damaged model .*must be positive"),
    (None, lambda a: a.update({"scale": a["scale"] * np.nan}), "damaged model .*not finite"),
    (None, lambda a: a.update({"members.0.head.b": np.zeros(3, int)}), "damaged model .*head.b is int64"),
    (None, lambda a: a.update({"members.0.layers[0].weights.Wh": np.zeros((2, 2), np.float32)}), "damaged model"),
    (None, lambda a: a.update({"recent.bounds": a["recent.bounds"] + 1}), "damaged model .*recent rows"),
    (None, lambda a: a.update({"recent.last": a["recent.last"] - 1}), "damaged model .*recent rows"),
    (None, lambda a: a.update({"extra": np.zeros(2)}), "damaged model .*unexpected array extra"),
]


@pytest.mark.parametrize(("description", "arrays", "message"), HOSTILE)
def test_a_hostile_or_later_file_is_refused_in_one_line(description, arrays, message, path):
    rewrite(path, description, arrays)
    with pytest.raises(ModelFileError, match=message) as caught:
        minirnn.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("description", "arrays"),
    [
        (lambda d: d.update(columns=["passengers"] * 2), None),
        (lambda d: d.update(target="x"), None),
        (lambda d: d.update(window=10**8), None),
        (lambda d: d.update(window=-4), None),
        (lambda d: d.update(last_time="yesterday"), None),
        (lambda d: d.pop("linear_penalty"), None),
        (None, lambda a: a.update({"members.0.layers.0.Wx": np.zeros((5, 8), np.float32)})),
        (None, lambda a: a.update({"last_rows": a["last_rows"] * np.nan})),
        (None, lambda a: a.pop("linear.coefficients")),
    ],
)
def test_a_damaged_file_of_format_1_is_refused_in_one_line(description, arrays, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((GOLDEN / "forecaster-format1.safetensors").read_bytes())
    rewrite(path, description, arrays)
    with pytest.raises(ModelFileError, match="damaged model") as caught:
        minirnn.load(path)
    assert "\n" not in str(caught.value)


def test_foreign_and_missing_files_are_named(tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="not a model saved by minirnn"):
        minirnn.load(tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match="does not exist; expected a model"):
        minirnn.load(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="is a directory"):
        minirnn.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_text("precious")

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.numpy.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert path.read_text() == "precious"


def test_a_folder_takes_all_files_or_none_and_what_a_killed_writer_left_goes(tmp_path):
    out = tmp_path / "out"
    dead, alive = out / ".minirnn.999999999.abc", out / f".minirnn.{os.getppid()}.abc"
    for each in (dead, alive):
        each.mkdir(parents=True)
        (each / "metrics.json").write_text("half")

    def fails():
        with storage.staged(out) as folder:
            (folder / "first.txt").write_text("whole")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert [path.name for path in out.iterdir()] == [alive.name]
    with storage.staged(out) as folder:
        (folder / "first.txt").write_text("whole")
        assert not (out / "first.txt").exists()
    assert sorted(path.name for path in out.iterdir()) == [alive.name, "first.txt"]
