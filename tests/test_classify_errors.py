"""Bad inputs of ``minirnn classify`` and of ``minirnn predict`` with its models: one line, exit status 2, no file."""

import io
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
from commands import daily, run, written

from minirnn import Classifier

QUICK = {"hidden_size": 2, "max_epochs": 1, "backend": "readable"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with good and bad files; no command may change it."""
    folder = tmp_path_factory.mktemp("place")
    for name, content in {
        "empty": "",
        "header": "text,label\n",
        "names": "review,stars\n" + "good,5\nbad,1\n" * 10,
        "unlabelled": "text,label\na good one,pos\na bad one,\n",
        "textless": 'text,label\na good one,pos\n"",neg\n',
        "one": "text,label\n" + "".join(f"text {k},pos\n" for k in range(20)),
        "rare": "text,label\n" + "".join(f"text {k},{'neg' if k == 7 else 'pos'}\n" for k in range(20)),
        "ragged": "text,label\na,b\nc,d,e\n",
        "quotes": 'text,label\n"a,b\nc,d\n',
        "long": "id,x,kind\n" + "".join(f"s{k // 3},{k},{'ab'[k // 3 % 2]}\n" for k in range(60)),
        "changing": "id,x,kind\ns1,1,a\ns1,2,b\n",
        "words": "id,x,kind\ns1,1,a\ns1,2,a\ns2,many,b\ns2,4,b\n",
        "numberless": "id,x,kind\ns1,u,a\ns2,v,b\n",
        "other": "id,y\ns1,1\ns1,2\n",
        "holes": "id,x\ns1,one\n",
    }.items():
        (folder / f"{name}.csv").write_text(content)
    (folder / "texts.csv").write_text("text,label\n" + "".join(f"word {k},{'ab'[k % 2]}\n" for k in range(40)))
    (folder / "latin.csv").write_bytes("text,label\nschön,gut\n".encode("latin-1"))
    (folder / "binary.csv").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "latin.txt").write_bytes("good\nschön\n".encode("latin-1"))
    kinds = np.where(np.arange(60) % 3 == 0, "on", "off")
    week = daily(60, y=np.arange(60.0), state=kinds)
    written(folder, week, "week.csv")
    written(folder, week.iloc[:3], "short.csv")
    written(folder, week.assign(state="unheard of"), "unseen.csv")
    written(folder, week.drop(columns="state"), "stateless.csv")
    written(folder, week.drop(columns="date"), "dateless.csv")
    written(folder, week.assign(state=[f"state {k}" for k in range(60)]), "many.csv")
    for name, options in {
        "texts": "texts.csv",
        "long": "long.csv --series id --label kind",
        "week": "week.csv --label state --window 5",
    }.items():
        quick = "--backend readable --hidden-size 2 --max-epochs 1 --quiet"
        ended = run("classify", *_words(folder, options), *quick.split(), "--out", folder / "out")
        assert ended.status == 0, ended.err
        (folder / "out" / "model.safetensors").rename(folder / f"{name}.safetensors")
        for path in (folder / "out").iterdir():
            path.unlink()
        (folder / "out").rmdir()
    Classifier(**QUICK).fit(np.random.default_rng(0).normal(size=(40, 3)), ["a", "b"] * 20).save(
        folder / "arrays.safetensors"
    )
    (folder / "folder").mkdir()
    return folder


def _words(folder, line):
    return [
        str(folder / word) if word.endswith((".csv", ".txt", ".safetensors")) or word == "folder" else word
        for word in shlex.split(line)
    ]


BAD = [
    # files of texts
    ("classify missing.csv", "missing.csv: there is no such file"),
    ("classify folder", "folder: is a folder, not a file"),
    ("classify empty.csv", "empty.csv: the file is empty"),
    ("classify header.csv", "header.csv: "),
    ("classify binary.csv", "binary.csv: the file is binary"),
    ("classify latin.csv", "latin.csv: line 2: byte 0xf6 is not UTF-8 text"),
    ("classify ragged.csv", "ragged.csv: line 3"),
    ("classify quotes.csv", "quotes.csv: line"),
    ("classify names.csv", "names.csv: there is no column 'text'; the columns are 'review', 'stars'"),
    ("classify names.csv --text review --label star", "there is no label column 'star'; did you mean 'stars'?"),
    ("classify names.csv --text review --label review", "is named as text and as label"),
    ("classify unlabelled.csv", "unlabelled.csv: line 3: the label is empty in 'label'"),
    ("classify textless.csv", "textless.csv: line 3: the text is empty in 'text'"),
    ("classify one.csv", "one.csv: all 20 examples have the label 'pos': at least two classes are needed"),
    ("classify rare.csv", "rare.csv: the class 'neg' has only 1 different example"),
    # sequences and windows
    ("classify long.csv --series id", "--label COLUMN is missing"),
    ("classify long.csv --series ids --label kind", "there is no series column 'ids'; did you mean 'id'?"),
    ("classify long.csv --series id --label kind --columns z", "there is no numeric column 'z'"),
    ("classify changing.csv --series id --label kind", "line 3: the sequence 's1' has the label 'b' here but 'a'"),
    ("classify words.csv --series id --label kind", "line 4: the column 'x' should hold numbers but holds 'many'"),
    ("classify numberless.csv --series id --label kind", "numberless.csv: no column holds numbers"),
    ("classify week.csv --label status --window 5", "there is no label column 'status'; did you mean 'state'?"),
    ("classify week.csv --label date --window 5", "the label column 'date' is the date column"),
    ("classify week.csv --label state --window 100", "window 100 needs more than 100 rows"),
    ("classify many.csv --label state --window 5", "holds 60 different values"),
    ("classify dateless.csv --label state --window 5", "dateless.csv: no column holds dates"),
    # options
    ("classify --text review", "--text belongs to a file, and none was given"),
    ("classify --unit words", "--unit belongs to texts"),
    ("classify long.csv --series id --label kind --text x", "--text belongs to texts"),
    ("classify texts.csv --columns x", "--columns belongs to numbers: add --series COLUMN or --window N"),
    ("classify --window 0", "argument --window: expected a whole number of at least 1, got '0'"),
    ("classify texts.csv --unit letters", "argument --unit: invalid choice: 'letters'"),
    ("classify texts.csv --pooling max", "argument --pooling: invalid choice: 'max'"),
    ("classify texts.csv --bidirectional maybe", "argument --bidirectional: expected yes or no, got 'maybe'"),
    ("classify texts.csv --dropout 1", "dropout must be 0 or above and below 1, got 1.0"),
    ("classify texts.csv --memory 1", "memory must be a whole number of at least 2, got 1"),
    ("classify texts.csv --memory 9 --cell rnn", "memory is a matter of gates, and an rnn has none"),
    ("classify texts.csv --test-fraction 0", "--test-fraction 0 leaves nothing to judge on"),
    ("classify texts.csv --validation-fraction 0.5 --test-fraction 0.5", "together must be below 1"),
    ("classify texts.csv --out texts.csv", "is a file; expected a folder"),
    ("classify texts.csv --resume", "--resume needs --checkpoint FILE"),
    # predict
    ("predict texts.safetensors missing.txt", "missing.txt: there is no such file"),
    ("predict texts.safetensors latin.txt", "latin.txt: line 2: byte 0xf6 is not UTF-8 text"),
    ("predict texts.safetensors texts.csv --levels 0.8", "--levels belongs to forecasts"),
    ("predict texts.safetensors texts.csv --out answers.json", "expected a name that ends in .csv"),
    ("predict texts.safetensors texts.csv --json --out answers.csv", "expected a name that ends in .json"),
    ("predict long.safetensors other.csv", "other.csv: there is no numeric column 'x'"),
    ("predict long.safetensors holes.csv", "line 2: the column 'x' should hold numbers but holds 'one'"),
    ("predict long.safetensors texts.csv", "there is no series column 'id'"),
    ("predict week.safetensors short.csv", "short.csv: 3 rows: the model reads the last 5; give more rows"),
    ("predict week.safetensors unseen.csv", "'unheard of' in 'state' is none of the classes"),
    ("predict week.safetensors stateless.csv", "stateless.csv: there is no label column 'state'"),
    ("predict arrays.safetensors week.csv", "was fitted to arrays, not to a file"),
    ("stream texts.safetensors", "a Classifier; minirnn stream takes a model of minirnn forecast"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_a_bad_input_ends_in_one_line(place, line, message):
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    writes = ["--out", str(place / "new")] if line.startswith("classify") and "--out" not in line else []
    ended = run(*_words(place, line), *writes)
    assert ended.status == 2, (ended.out, ended.err)
    last = ended.err.splitlines()[-1]
    assert message in last
    assert "Traceback" not in ended.err
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_rows_on_standard_input_are_named_as_such(place, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id,x\ns1,many\n")))
    ended = run("predict", place / "long.safetensors")
    assert ended.status == 2
    assert ended.err.startswith("minirnn predict: standard input: line 2: the column 'x' should hold numbers")


def test_answers_before_a_bad_line_are_given(place):
    ended = run("predict", place / "texts.safetensors", place / "latin.txt")
    assert len(ended.out.splitlines()) == 2  # the header, and the answer to line 1
    frame = pd.read_csv(io.StringIO(ended.out))
    assert frame["label"].isin(["a", "b"]).all()
