"""Bad inputs of ``minirnn translate`` and of its models: one line, exit status 2, nothing written."""

import contextlib
import gzip
import json
import os
import shlex

import numpy as np
import pytest
from commands import daily, run, sine, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from test_cli_errors import ODD, contents, places_in, with_part

import minirnn
from minirnn.data import DataError
from minirnn.models import storage
from minirnn.models.estimator import ParameterError
from minirnn.models.seq2seq import Seq2Seq

TINY = {"hidden_size": 3, "embedding_size": 2, "backend": "readable", "max_epochs": 1}
TEXTS = [a + b for a in "abcd" for b in "abcd"]
SERIES = [f"{a} {b}.5" for a in range(4) for b in range(4)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with good and bad files; no command may change it."""
    folder = tmp_path_factory.mktemp("place")
    Seq2Seq(**TINY).fit(TEXTS, TEXTS[::-1]).save(folder / "texts.safetensors")
    Seq2Seq(**TINY).fit(SERIES, SERIES[::-1]).save(folder / "series.safetensors")
    Seq2Seq(**TINY, attention="none").fit(TEXTS, TEXTS[::-1]).save(folder / "plain.safetensors")
    quick = {"reference": "last", "transform": "none", "season": 7, "max_epochs": 1, "ensemble": 1, "hidden_size": 3}
    week = written(folder, daily(120, y=sine(120)), "week.csv")
    table = minirnn.data.read(week)
    minirnn.Forecaster(**quick, window=14, backend="readable").fit(table).save(folder / "week.safetensors")
    for name, content in {
        "pairs.tsv": "".join(f"{text}\t{text[::-1]}\n" for text in TEXTS),
        "two.tsv": "a\tb\nc\td\n",
        "empty.tsv": "",
        "header.tsv": "source\ttarget\n",
        "three.tsv": "a\tb\tc\nd\te\tf\n",
        "one.tsv": "only one column\nof text\n",
        "ragged.tsv": "a\tb\nc\td\te\n",
        "hole.tsv": "a\tb\nc\t\n",
        "pairs.json": '{"source": "a", "target": "b"}\n{"source": "c"}\n',
        "mixed.tsv": "1 2\t3\n4 5\tsix\n7\t8\n9\t10\n",
        "lines.txt": "ab\ncd\n",
        "numbers.txt": "1 2\n\n3 x\n",
    }.items():
        (folder / name).write_text(content)
    (folder / "latin.tsv").write_bytes("a\tb\nö\tc\n".encode("latin-1"))
    (folder / "latin.txt").write_bytes("ab\nö\n".encode("latin-1"))
    (folder / "binary.tsv").write_bytes(b"\x00\x01\x02" * 100)
    (folder / "cut.tsv.gz").write_bytes(gzip.compress(b"a\tb\n" * 100)[:20])
    arrays, about = contents(folder / "texts.safetensors")

    def changed(name, description, held=None):
        save_file(
            arrays if held is None else held, folder / f"{name}.safetensors", {"minirnn": json.dumps(description)}
        )

    changed("huge", about | {"parameters": about["parameters"] | {"hidden_size": 10**7}})
    changed("wide", about | {"parameters": about["parameters"] | {"embedding_size": 10**12}})
    changed("endless", about | {"longest": 10**9})
    changed("twice", about | {"source": about["source"] | {"symbols": ["a", "a"]}})
    changed("nostart", about | {"target": about["target"] | {"special": ["<pad>", "<unknown>"]}})
    changed("nan", about, arrays | {"network.output.W": np.full_like(arrays["network.output.W"], np.nan)})
    changed("less", about, {name: array for name, array in arrays.items() if name != "network.output.b"})
    return folder


BAD = [
    # files
    ("translate missing.tsv", "missing.tsv: there is no such file"),
    ("translate .", ".: is a folder, not a file"),
    ("translate empty.tsv", "empty.tsv: the file is empty"),
    ("translate header.tsv", "header.tsv: there is a header but there are no pairs"),
    ("translate binary.tsv", "binary.tsv: the file is binary"),
    ("translate latin.tsv", "latin.tsv: line 2: byte 0xf6 is not UTF-8 text"),
    ("translate cut.tsv.gz", "cut.tsv.gz: the gzip file is damaged or cut short"),
    ("translate three.tsv", "three.tsv: line 1: 3 cells where two were expected"),
    ("translate one.tsv", "one.tsv: line 1: 1 cell where two were expected"),
    ("translate ragged.tsv", "ragged.tsv: line 2: 3 cells where 2 were expected"),
    ("translate hole.tsv", "hole.tsv: line 2: the target is empty"),
    ("translate pairs.json", "pairs.json: line 2: there is no 'target'"),
    ("translate mixed.tsv --unit numbers", "mixed.tsv: line 2: the target holds 'six'"),
    ("translate two.tsv", "two.tsv: there are only 2 different examples, but each of the 3 parts needs one"),
    # options
    ("translate pairs.tsv --columns a", "--columns 'a': expected two names, or two positions"),
    ("translate pairs.tsv --columns a,", "--columns 'a,': expected two names, or two positions"),
    ("translate pairs.tsv --columns aa,target", "pairs.tsv: line 1: there is no column 'target' in the header"),
    ("translate pairs.tsv --columns 1,3", "pairs.tsv: line 1: there is no column 3"),
    ("translate --columns a,b", "--columns belongs to a file, and none was given"),
    ("translate pairs.tsv --pairs 50", "--pairs belongs to generated dates"),
    ("translate pairs.tsv --beam 0", "argument --beam: expected a whole number of at least 1, got '0'"),
    ("translate pairs.tsv --unit bytes", "argument --unit: invalid choice: 'bytes'"),
    ("translate pairs.tsv --attention dot", "with bidirectional=True take bilinear attention"),
    ("translate pairs.tsv --dropout 1", "dropout must be 0 or above and below 1, got 1.0"),
    ("translate pairs.tsv --bidirectional maybe", "argument --bidirectional: expected yes or no, got 'maybe'"),
    ("translate pairs.tsv --validation-fraction 0", "validation_fraction must be above 0 and below 1"),
    ("translate pairs.tsv --validation-fraction 0.6 --test-fraction 0.5", "together must be below 1"),
    ("translate pairs.tsv --test-fraction 0 --max-epochs 1", "there is no test part"),
    ("translate pairs.tsv --resume", "--resume needs --checkpoint FILE"),
    ("translate pairs.tsv --checkpoint pairs.tsv", "pairs.tsv: exists already and is not a checkpoint"),
    ("translate pairs.tsv --out lines.txt", "--out lines.txt: lines.txt is a file; expected a folder"),
    # models
    ("predict huge.safetensors lines.txt", "damaged model (ValueError: the file holds fewer weights"),
    ("predict wide.safetensors lines.txt", "damaged model (ValueError: the file holds fewer weights"),
    ("predict endless.safetensors lines.txt", "damaged model (ValueError: longest is 1000000000"),
    ("predict twice.safetensors lines.txt", "damaged model (ValueError: the symbols of a vocabulary must differ"),
    ("predict nostart.safetensors lines.txt", "damaged model (ValueError: targets have no start and end"),
    ("predict nan.safetensors lines.txt", "damaged model (ValueError: network.output.W holds numbers that are not"),
    ("predict less.safetensors lines.txt", "damaged model (KeyError"),
    # predicting
    ("predict texts.safetensors missing.txt", "missing.txt: there is no such file"),
    ("predict texts.safetensors latin.txt --out answers.txt", "latin.txt: line 2: byte 0xf6 is not UTF-8 text"),
    ("predict series.safetensors numbers.txt --out answers.txt", "numbers.txt: line 3: the text holds 'x': numbers"),
    ("predict texts.safetensors lines.txt --beam none", "argument --beam: expected a whole number of at least 1"),
    ("predict texts.safetensors lines.txt --attention", "--attention needs --json"),
    ("predict plain.safetensors lines.txt --attention --json", "plain.safetensors was trained with --attention none"),
    (
        "predict texts.safetensors lines.txt --levels 0.8",
        "--levels belongs to forecasts; texts.safetensors is a Seq2Seq",
    ),
    ("predict texts.safetensors lines.txt --out lines.txt", "--out lines.txt: that is what is read"),
    ("predict texts.safetensors lines.txt --out answers.csv", "expected a name that ends in .txt"),
    (
        "predict week.safetensors week.csv --beam 3",
        "--beam belongs to models of minirnn translate; week.safetensors is a",
    ),
    ("predict week.safetensors week.csv --attention", "--attention belongs to models of minirnn translate"),
    ("explain texts.safetensors", "texts.safetensors: a Seq2Seq; minirnn explain takes a model of minirnn forecast"),
]
QUICK = shlex.split("--backend readable --hidden-size 3 --embedding-size 2 --quiet")


@pytest.mark.parametrize(("line", "message"), BAD, ids=[line for line, _ in BAD])
def test_a_bad_input_ends_in_one_line_and_status_2(line, message, place, monkeypatch):
    monkeypatch.chdir(place)
    before = {name: os.stat(name).st_mtime_ns for name in os.listdir()}
    words = shlex.split(line)
    ended = run(*words[:1], *(QUICK if words[0] == "translate" else []), *words[1:])
    assert ended.status == 2, ended
    assert ended.out == ""
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("minirnn")
    assert message in ended.err
    assert {name: os.stat(name).st_mtime_ns for name in os.listdir()} == before


def test_lines_before_a_bad_one_are_answered(place):
    ended = run("predict", place / "series.safetensors", place / "numbers.txt")
    assert ended.status == 2
    assert len(ended.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Seq2Seq().predict(["a"]), ParameterError, "not fitted yet"),
        (lambda: Seq2Seq().fit(["a"]), ParameterError, "a list of sources and one of targets"),
        (lambda: Seq2Seq().fit("abc", "cba"), ParameterError, "a list of sources and one of targets"),
        (lambda: Seq2Seq().fit(["a", "b"], ["c"]), ParameterError, "2 sources and 1 target"),
        (lambda: Seq2Seq().fit([], []), DataError, "there are no pairs"),
        (lambda: Seq2Seq().fit(["a", 3], ["c", "d"]), DataError, "pair 1: the source is '3': a text was expected"),
        (lambda: Seq2Seq().fit(["a", "b"], ["c", " "]), DataError, "pair 1: the target is empty"),
        (lambda: Seq2Seq(beam=True).fit(TEXTS, TEXTS), ParameterError, "beam must be a whole number"),
        (lambda: Seq2Seq(bidirectional=1).fit(TEXTS, TEXTS), ParameterError, "bidirectional must be True or False"),
    ],
)
def test_what_a_caller_gets_wrong_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_is_asked_of_a_fitted_model_is_checked(place):
    model = minirnn.load(place / "texts.safetensors")
    for wrong, error, message in (
        ("ab", ParameterError, "a list of sources, got one text"),
        (["ab", ""], DataError, "source 1: the text is empty"),
        ([3], DataError, "source 0: the text is '3'"),
    ):
        with pytest.raises(error, match=message):
            model.predict(wrong)
    with pytest.raises(ParameterError, match="beam must be a whole number of at least 1, got 0"):
        model.predict(["ab"], beam=0)
    assert model.predict([]) == []


@pytest.mark.parametrize("name", ["texts", "series"])
def test_no_description_leads_to_a_traceback(name, place, tmp_path):
    arrays, about = contents(place / f"{name}.safetensors")
    paths, path = list(places_in(about)), tmp_path / "odd.safetensors"

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(paths), ODD)
    def check(where, part):
        save_file(arrays, path, {"minirnn": json.dumps(with_part(about, where, part))})
        with contextlib.suppress(storage.ModelFileError):
            model = storage.load(path).set_params(backend="readable", beam=1)
            model.longest_ = min(model.longest_, 5)
            assert len(model.predict(["1 2"])) == 1

    check()
