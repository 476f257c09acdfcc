"""The forecast as a file that runs without minirnn."""

import dataclasses
import json
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

import minirnn
from minirnn.cli import main
from minirnn.models.forecasting import exporting

pytest.importorskip("flatbuffers")
QUICK = {"window": 8, "horizon": 3, "hidden_size": 4, "ensemble": 2, "max_epochs": 1, "backend": "readable"}

RUN = """
import sys
{loading}
np.savez({result!r}, **result)
assert "minirnn" not in sys.modules and "optax" not in sys.modules
"""


def frame():
    """Two columns with gaps: in the rows that are read, at their end, and in a plan's rows ahead."""
    weather = minirnn.data.load("seattle_weather").iloc[:120][["wind", "temp_max"]].copy()
    for column, row in (("temp_max", 114), ("temp_max", 60), ("wind", 115), ("wind", 116), ("wind", 119), ("wind", 30)):
        weather.iloc[row, weather.columns.get_loc(column)] = np.nan
    return weather


@pytest.fixture(scope="module")
def models():
    several = frame()[["temp_max"]].reset_index()
    several = pd.concat([several.assign(place="a"), several.assign(place="b", temp_max=2 * several["temp_max"] + 9)])
    plain = minirnn.Forecaster(**QUICK, impute="linear", strategy="seq2seq", reference="calendar")
    season = minirnn.Forecaster(**QUICK, impute="seasonal", season=7, cell="lstm")
    counted = minirnn.Forecaster(**QUICK, transform="log", likelihood="gaussian")
    found = {
        "plan": plain.fit(frame(), target="temp_max", future=["wind"]),
        "series": season.fit(several.set_index("date"), target="temp_max", series="place"),
        "counted": counted.fit(np.exp(np.sin(np.arange(90) / 3)) + np.arange(90) / 50),
    }
    for model in found.values():  # what a network learns in one epoch would be given no share
        model.fitted_ = dataclasses.replace(model.fitted_, share=0.6)
    return found


def inputs_of(model):
    """What a user would make of the last rows, with pandas as the README says."""
    recent, R, N = model.recent_, model.reach_, model.horizon_
    last = recent.last
    given = {"values": np.stack([recent.values[o - R + 1 : o + 1] for o in last]).astype("float32")}
    if model.roles_.future:
        columns = [model.columns_.index(name) for name in model.roles_.future]
        given["ahead"] = np.stack([recent.values[o + 1 : o + N + 1][:, columns] for o in last]).astype("float32")
    if model.frequency_ is not None:
        first = pd.Timestamp(recent.times[last[0] - R + 1])
        times = pd.date_range(first, periods=R + N, freq=model.frequency_)
        days, seconds = np.divmod(times.to_numpy("datetime64[s]").astype("int64"), 86400)
        given["days"] = np.repeat(days[None], len(last), 0).astype("int32")
        given["seconds"] = np.repeat(seconds[None], len(last), 0).astype("float32")
    if len(last) > 1:
        given["series"] = np.arange(len(last), dtype="int32")
    return given


@pytest.mark.parametrize("name", ["plan", "series", "counted"])
def test_the_file_forecasts_without_minirnn_what_the_model_does(name, models, tmp_path):
    model = models[name]
    path, data, result = (str(tmp_path / each) for each in ("forecast.zip", "inputs.npz", "result.npz"))
    model.export(path, platforms=("cpu", "cuda", "tpu"))
    given = inputs_of(model)
    assert np.isnan(given["values"]).any() == (name != "counted")
    # Twice the windows, the second half shifted: the number of windows is free.
    both = {key: np.concatenate([each, each]) for key, each in given.items()}
    half = len(given["values"])
    both["values"][half:] *= np.float32(1.1)
    np.savez(data, **both)
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read("inputs.json"))
        readme = file.read("README.txt").decode()
    assert about["platforms"] == ["cpu", "cuda", "tpu"]
    assert list(about["inputs"]) == list(given)
    for key, each in about["inputs"].items():
        assert [half, *each["shape"][1:]] == list(given[key].shape)
        assert each["dtype"] == str(given[key].dtype)
        assert key in readme
    lines = [
        line for line in readme.splitlines() if line.startswith(("import", "from", "with", "    forecast", "result"))
    ]
    assert len(lines) == 5
    load = f"import numpy as np\nglobals().update(np.load({data!r}))"
    script = RUN.format(loading=load + "\n" + "\n".join(lines).replace("forecast.zip", path), result=result)
    subprocess.run([sys.executable, "-c", script], check=True, cwd="/")
    with np.load(result) as file:
        found = dict(file)
    expected = model.predict()
    assert set(found) == {"mean", "lower_80", "upper_80", "lower_95", "upper_95"}
    for column in found:
        got = found[column][:half].transpose(0, 2, 1).ravel()
        np.testing.assert_allclose(got, expected[column], rtol=1e-5, atol=1e-5)
    assert np.abs(found["mean"][half:] - found["mean"][:half]).max() > 0.01


def test_the_same_model_gives_the_same_bytes_and_no_paths(models, tmp_path):
    model = models["counted"]
    model.save(tmp_path / "model.safetensors")
    script = "import sys; from minirnn.cli import main; sys.exit(main(sys.argv[1:]))"
    written = []
    for name in ("first.zip", "second.zip"):
        path = tmp_path / name
        arguments = ["export", str(tmp_path / "model.safetensors"), "--out", str(path), "--platforms", "cuda"]
        subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)
        with zipfile.ZipFile(path) as file:
            written.append({info.filename: file.read(info) for info in file.infolist()})
    assert written[0]["forecast.stablehlo"] == written[1]["forecast.stablehlo"]
    assert b".py" not in written[0]["forecast.stablehlo"]
    assert set(written[0]) == {"forecast.stablehlo", "inputs.json", "README.txt"}


def test_levels_name_the_outputs(models):
    about = exporting.description(models["plan"], ("cpu",), (0.5, 0.975))
    assert list(about["outputs"]) == ["mean", "lower_50", "upper_50", "lower_97.5", "upper_97.5"]


def test_wrong_exports_are_refused_and_write_nothing(models, tmp_path, capsys):
    model = models["counted"]
    with pytest.raises(minirnn.models.forecaster.ParameterError, match="platforms: got 'gpu'"):
        model.export(tmp_path / "a.zip", platforms=("cpu", "gpu"))
    with pytest.raises(minirnn.models.forecaster.ParameterError, match=r"ends in \.zip"):
        model.export(tmp_path / "a.bin")
    with pytest.raises(minirnn.models.forecaster.ParameterError, match="not fitted"):
        minirnn.Forecaster().export(tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())
    saved = tmp_path / "model.safetensors"
    model.save(saved)
    for wrong, message in (
        (["--platforms", "abacus"], "got 'abacus'"),
        (["--out", str(tmp_path / "no" / "a.zip")], "there is no folder"),
        (["--out", str(tmp_path / "a.bin")], "ends in .zip"),
        (["--levels", "2"], "between 0 and 1"),
    ):
        assert main(["export", str(saved), "--out", str(tmp_path / "a.zip"), *wrong]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [saved]


def test_what_cannot_be_exported_is_named(models, tmp_path):
    model = models["counted"]
    kept = model.fitted_
    try:
        for change, message in (
            ({"recursion": np.ones((3, 1))}, "recursive"),
            ({"outliers": object()}, "clip_outliers"),
        ):
            model.fitted_ = dataclasses.replace(kept, **change)
            with pytest.raises(minirnn.models.forecaster.ParameterError, match=message):
                model.export(tmp_path / "a.zip")
        model.fitted_ = dataclasses.replace(kept, recursion=np.ones((3, 1)))
        with pytest.raises(minirnn.models.forecaster.ParameterError, match="cannot be explained"):
            model.explain()
    finally:
        model.fitted_ = kept
    assert not list(tmp_path.iterdir())
