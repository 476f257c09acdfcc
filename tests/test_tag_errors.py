"""``minirnn tag`` and ``predict`` with its models: what comes out, and one line for what cannot be used."""

import io
import json
import sys
from typing import ClassVar

import pytest
from commands import run

QUICK = ["--backend", "readable", "--hidden-size", "4", "--letter-size", "3", "--max-epochs", "1"]
NAMES = "Ada\tNNP\tB-PER\nLovelace\tNNP\tI-PER\nwrote\tVBD\tO\n\nthe\tDT\tO\nRhine\tNNP\tB-LOC\n\n"
SOURCE = 'def f(x):\n    """Two\n    lines."""\n    return x + 1  # one more\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good inputs, and a model of each kind."""
    place = tmp_path_factory.mktemp("tag")
    (place / "names.conll").write_text(NAMES * 15)
    (place / "src").mkdir()
    for k in range(4):
        (place / "src" / f"m{k}.py").write_text(SOURCE * 12)
    for data, out in (("names.conll", "words"), ("src", "source")):
        ended = run("tag", place / data, *QUICK, "--out", place / out)
        assert ended.status == 0, ended.err
    return place


def test_what_is_printed_and_written(folder):
    ended = run("tag", folder / "names.conll", *QUICK, "--json")
    metrics = json.loads(ended.out)
    assert ended.status == 0
    assert metrics == json.loads((folder / "words" / "metrics.json").read_text())
    assert metrics["ranked_by"] == "F1"
    assert set(metrics["splits"]) == {"train", "validation", "test"}
    assert {path.name for path in (folder / "words").iterdir()} == {"report.html", "metrics.json", "model.safetensors"}
    ended = run("tag", folder / "src", *QUICK, "--bidirectional", "no")
    assert ended.status == 0
    for words in ("LSTM, one direction", "7-gram majority", "micro average", "KEYWORD", "200 characters before it"):
        assert words in ended.out, words
    page = (folder / "source" / "report.html").read_text()
    assert "OPERATOR" in page
    assert 'id="example"' in page
    assert "7-gram majority" in page
    assert "<script" not in page


def test_a_test_file_of_its_own(folder, tmp_path):
    (tmp_path / "test.conll").write_text("Grace NNP B-PER\nsaw VBD O\n")
    ended = run("tag", folder / "names.conll", *QUICK, "--test", tmp_path / "test.conll", "--json")
    assert json.loads(ended.out)["splits"]["test"] == {"sentences": 1, "words": 2, "spans": 1}


def test_sentences_get_a_column_more_and_are_answered_one_by_one(folder, monkeypatch, tmp_path):
    model = folder / "words" / "model.safetensors"
    text = "# a comment\nAda\tNNP\n\n-DOCSTART-\n\nthe\tDT\nRhine\tNNP\n"
    ended = run("predict", model, _written(tmp_path, text))
    lines = ended.out.split("\n")
    assert ended.status == 0
    assert [line.rsplit("\t", 1)[0] if "\t" in line else line for line in lines] == text.split("\n")
    assert all(line.split("\t")[2][0] in "OBI" for line in lines if "\t" in line)

    class Slow(io.StringIO):
        """Standard input that says how much had been answered when a line was asked for."""

        seen: ClassVar[list[int]] = []

        def readline(self, *arguments):
            self.seen.append(sys.stdout.getvalue().count("\n"))
            return super().readline(*arguments)

    monkeypatch.setattr("sys.stdin", Slow("Ada\nwrote\n\nAda\n"))
    ended = run("predict", model)
    assert Slow.seen == [0, 0, 0, 3, 3]
    assert ended.out.count("\n") == 4
    monkeypatch.setattr("sys.stdin", io.StringIO("Ada\nwrote\n\n"))
    found = [json.loads(line) for line in run("predict", model, "--json").out.splitlines()]
    assert len(found) == 1
    assert found[0]["tokens"] == ["Ada", "wrote"]
    assert len(found[0]["tags"]) == 2


def test_spans_of_a_text_point_into_it(folder, tmp_path, monkeypatch):
    model, text = folder / "source" / "model.safetensors", SOURCE + "\tx = 'é'\n"
    out = tmp_path / "spans.tsv"
    assert run("predict", model, _written(tmp_path, text), "--out", out).out == ""
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows
    for start, stop, kind, cell in rows:
        assert text[int(start) : int(stop)] == json.loads(cell)
        assert kind in ("NAME", "KEYWORD", "NUMBER", "STRING", "COMMENT", "OPERATOR")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    found = [json.loads(line) for line in run("predict", model, "--json").out.splitlines()]
    assert [[str(each["start"]), str(each["stop"]), each["type"]] for each in found] == [row[:3] for row in rows]


def _written(folder, content, name="input.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "there is no such file"),
        ("", [], "the file is empty"),
        ("-DOCSTART- O\n\n", [], "no sentence"),
        (b"Ada B-PER\n\xff\xfe O\n", [], "line 2"),
        ("Ada NNP B-PER\nwrote O\n", [], "line 2: 2 columns, but the first line, 1, has 3"),
        ("Ada B-PER\nwrote O\n\nRhine I-LOC\nX B-PER\n", [], "line 4"),
        ("Ada B-PER\nwrote Q-LOC\n", [], "line 2: the tag 'Q-LOC'"),
        ("Ada\nwrote\n", [], "has one column"),
        ("Ada O\n\nwrote O\n", [], "every tag is 'O'"),
        ("Ada B-PER\n\nwrote O\n", [], "2 sentences; expected at least 3"),
        ("Ada B-PER\n", ["--tag-column", "7"], "column 7 was named for the tags"),
        ("Ada B-PER\n", ["--token-column", "1"], "cannot hold both"),
        ("Ada B-PER\n", ["--limit", "10"], "--limit belongs to Python source"),
        (NAMES * 9, ["--test", "nowhere.conll"], "nowhere.conll: there is no such file"),
        (NAMES * 9, ["--test", "."], "--test .: looks like another kind of data"),
        (NAMES * 9, ["--context", "-1"], "context must be a whole number of at least 0"),
        (NAMES * 9, ["--bidirectional", "maybe"], "expected yes or no"),
        (NAMES * 9, ["--test-fraction", "0.95"], "leave nothing to train on"),
        ("def f(:\n  'x", ["--kind", "python"], "no Python"),
        ("x = 1\n", ["--kind", "python", "--tag-column", "1"], "--tag-column belongs to a CoNLL file"),
        ("x = 1\n", ["--kind", "python"], "too little text"),
    ],
)
def test_a_bad_input_ends_in_one_line(tmp_path, content, options, message):
    path = tmp_path / "data.conll"
    if content is not None:
        _written(tmp_path, content, "data.conll")
    ended = run("tag", path, *QUICK, *options, "--out", tmp_path / "out")
    assert ended.status == 2
    assert not ended.out
    assert message in ended.err, ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_python_and_a_type_that_only_the_test_has(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    ended = run("tag", tmp_path, *QUICK)
    assert ended.status == 2
    assert "no file called '*.py'" in ended.err
    _written(tmp_path, "Rome B-CITY\n", "test.conll")
    ended = run("tag", folder / "names.conll", *QUICK, "--test", tmp_path / "test.conll")
    assert ended.status == 2
    assert "'CITY' do not occur" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "content", "options", "message"),
    [
        ("words", "Ada NNP\nwrote\n", [], "line 2: 1 column, but the first line, 1, has 2"),
        ("words", "Ada\tNNP\n\tVBD\n", [], "line 2: the token is empty"),
        ("words", b"Ada\n\xff\n", [], "line 2"),
        ("words", "Ada\n", ["--levels", "0.8"], "--levels belongs to forecasts"),
        ("words", "Ada\n", ["--out", "tags.csv"], "ends in .tsv or .txt or .conll"),
        ("source", b"x = \xff\n", [], "line 1"),
        ("source", "x = 1\n", ["--json", "--out", "spans.tsv"], "ends in .jsonl or .json"),
    ],
)
def test_what_predict_cannot_read_or_write(folder, tmp_path, kind, content, options, message):
    options = [tmp_path / each if each.startswith(("tags", "spans")) else each for each in options]
    ended = run("predict", folder / kind / "model.safetensors", _written(tmp_path, content), *options)
    assert message in ended.err, ended.err
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["input.txt"]
