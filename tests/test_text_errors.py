"""``minirnn text``: what it prints and writes; bad inputs, which end in one line, exit status 2, nothing written."""

import gzip
import io
import json
import shlex
import sys

import pytest
from commands import run

import minirnn
from minirnn import LanguageModel, data

TINY = "--hidden-size 4 --embedding-size 3 --window 8 --batch-size 4 --max-epochs 1 --backend readable"
STORY = "".join(f'say("{k}")  # no {k}\n' for k in range(150))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with good and bad files, and a model; no command may change it."""
    folder = tmp_path_factory.mktemp("place")
    settings = {"hidden_size": 4, "embedding_size": 3, "window": 8, "max_epochs": 1, "backend": "readable"}
    LanguageModel(**settings, min_count=2).fit([STORY] * 4).save(folder / "model.safetensors")
    LanguageModel(**settings, unit="words", min_count=2).fit([STORY] * 4).save(folder / "words.safetensors")
    (folder / "story.txt").write_text(STORY)
    (folder / "short.txt").write_text("too short\n")
    (folder / "rare.txt").write_text("".join(map(chr, range(0x4E00, 0x5000))))
    (folder / "blank.txt").write_text("  \n" * 200)
    (folder / "empty.txt").write_text("")
    (folder / "latin.txt").write_bytes(b"one line\nna\xefve\n" * 9)
    (folder / "binary.txt").write_bytes(b"\x00\x01\x02" * 99)
    (folder / "broken.txt.gz").write_bytes(gzip.compress(STORY.encode())[:60])
    (folder / "damaged.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-40])
    for name in ("texts", "none"):
        (folder / name).mkdir()
    for k in range(4):
        (folder / "texts" / f"{k}.txt").write_text(STORY[k * 40 :])
    return folder


def test_it_trains_judges_and_writes(place, tmp_path):
    out = tmp_path / "out"
    ended = run("text", place / "texts", *shlex.split(TINY), "--out", out)
    assert ended.status == 0, ended.err
    for part in ("bits per character", "5-gram", "The network needs", "inside quotes", "what it writes"):
        assert part in ended.out
    page = (out / "report.html").read_text()
    assert "LSTM, 4 units" in page.partition("<h1")[2].partition("<section")[0]
    assert "Validation" in page
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.json", "model.safetensors", "report.html", "units.png"
    ]  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["ranked_by"] == "bits per character"
    page = (out / "report.html").read_text()
    assert "What single units follow" in page
    assert "<script" not in page
    ended = run("explain", out / "model.safetensors", place / "story.txt", "--json")
    assert next(unit["feature"] for unit in json.loads(ended.out)["units"]) == "inside quotes"
    assert run("explain", out / "model.safetensors", place / "story.txt", "--out", tmp_path / "why").status == 0
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == ["explanation.json", "units.png"]


def test_a_model_of_words_has_no_units_to_show(place, tmp_path):
    ended = run("text", place / "story.txt", *shlex.split(TINY), "--unit", "words", "--out", tmp_path / "out", "--json")
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["splits"]["test"]["words"] > 0
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".html", ".json", ".safetensors"]


def test_without_a_file_it_reads_the_standard_library():
    ended = run("text", "--limit", 30_000, *shlex.split(TINY), "--json")
    assert ended.status == 0, ended.err
    result = json.loads(ended.out)
    assert result["source"].startswith("the standard library of Python 3.")
    assert 20_000 < sum(part["characters"] for part in result["splits"].values()) <= 30_000


def test_it_writes_on_from_a_prompt(place):
    model = place / "model.safetensors"
    ended = run("text", "--generate", model, "--prompt", "say(☃", "--length", 20, "--top-k", 3, "--seed", 1)
    written = "".join(minirnn.load(model).generate("say(☃", length=20, top_k=3, seed=1))
    assert ended.out == f"say(☃{written}\n"
    assert "unknown to the model" in ended.err
    ended = run("text", "--generate", model, "--temperature", 0, "--json")
    assert len(json.loads(ended.out)["text"]) == 500


def test_each_line_is_continued_before_the_next_is_read(place, tmp_path, monkeypatch):
    model = minirnn.load(place / "model.safetensors")
    expected = model.predict(["say", "", "# n"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("say\n\n# n\n"))
    assert run("predict", place / "model.safetensors").out == "".join(f"{line}\n" for line in expected)
    (tmp_path / "in.txt").write_text("say\n\n# n\n")
    arguments = (place / "model.safetensors", tmp_path / "in.txt", "--json", "--out", tmp_path / "out.jsonl")
    assert run("predict", *arguments).status == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["continuation"] for line in lines] == expected
    assert lines[0]["bits_per_character"] == pytest.approx(model.score("say"))
    assert lines[1]["bits_per_character"] is None


BAD = {
    "text missing.txt": "missing.txt: there is no such file",
    "text none": "holds no file called",
    "text empty.txt": "empty",
    "text short.txt": "too little text",
    "text rare.txt": "no symbol occurs 5 times",
    "text blank.txt --unit words": "the file is empty",
    "text latin.txt": "latin.txt: line 2",
    "text binary.txt": "binary.txt",
    "text broken.txt.gz": "gzip",
    "text story.txt --unit letters": "invalid choice",
    "text story.txt --hidden-size 0": "at least 1",
    "text story.txt --dropout 1": "dropout must be 0 or above and below 1",
    "text story.txt --test-fraction 0": "test_fraction must be positive",
    "text story.txt --test-fraction 0.6 --validation-fraction 0.5": "leave something to train on",
    "text story.txt --warm-up 1": "warm_up must be",
    "text story.txt --learning-rate -1": "learning_rate must be positive",
    "text story.txt --limit 0": "at least 1",
    "text story.txt --limit 30": "too little text",
    "text story.txt --pattern *.txt": "--pattern *.txt: says which files of a folder",
    "text story.txt --out story.txt": "is a file",
    "text story.txt --prompt x": "--prompt belongs to writing",
    "text story.txt --resume": "--resume needs --checkpoint",
    "text --generate model.safetensors story.txt": "reads no texts",
    "text --generate model.safetensors --out x": "--out belongs to training",
    "text --generate model.safetensors --hidden-size 4": "--hidden-size belongs to training",
    "text --generate model.safetensors --temperature -1": "temperature must be 0 or more",
    "text --generate model.safetensors --temperature nan": "temperature must be 0 or more",
    "text --generate model.safetensors --top-k 0": "at least 1",
    "text --generate damaged.safetensors": "cannot be read as a safetensors file",
    "text --generate story.txt": "story.txt: is no model",
    "text --generate missing.safetensors": "does not exist",
    "predict model.safetensors story.txt --levels 0.5": "--levels belongs to forecasts",
    "predict model.safetensors missing.txt": "there is no such file",
    "predict model.safetensors latin.txt --out x.txt": "line 2",
    "predict model.safetensors story.txt --out x.csv": "ends in .txt",
    "explain model.safetensors short.txt": "at least 200",
    "explain model.safetensors story.txt --target y": "--target belongs to forecasts",
    "explain words.safetensors story.txt": "needs a model of characters",
    "stream model.safetensors": "a LanguageModel; minirnn stream takes a model of minirnn forecast",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_input_ends_in_one_line(line, place, monkeypatch):
    monkeypatch.chdir(place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    tiny = shlex.split(TINY) if line.startswith("text") and "--generate" not in line else []
    command, *rest = shlex.split(line)
    ended = run(command, *tiny, *rest)
    assert ended.status == 2, ended.err
    assert BAD[line] in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert "Traceback" not in ended.err
    if "latin.txt --out" not in line:
        assert not ended.out
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_the_errors_are_those_of_the_library(place):
    with pytest.raises(data.words.DataError, match="no symbol occurs"):
        LanguageModel(min_count=10**6).fit(STORY)
    with pytest.raises(minirnn.models.estimator.ParameterError, match="data holds int"):
        LanguageModel().fit([1, 2])
