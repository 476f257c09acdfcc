"""Text files and folders as documents, their splits, and the standard library's source."""

import ast
import gzip
import importlib.util
import io
import keyword
import re
import sys
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data.sequences import python_source
from minirnn.data.sequences.python_source import library, spans
from minirnn.data.sequences.texts import Document, read_texts, split
from minirnn.data.words import DataError


@pytest.fixture
def folder(tmp_path):
    for name, content in {
        "b.txt": b"two\nlines\n",
        "a.txt": b"\xef\xbb\xbfone\r\nmore\r",
        "deep/er/c.md": "ü\n".encode(),
        "deep/table.csv": b"1,2\n",
        ".hidden/x.txt": b"no",
        ".y.txt": b"no",
        "__pycache__/z.py": b"no",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_a_folder_is_read_with_all_folders_in_it(folder):
    documents, notes = read_texts(folder)
    assert [Path(name).relative_to(folder).as_posix() for name, _ in documents] == ["a.txt", "b.txt", "deep/er/c.md"]
    assert [text for _, text in documents] == ["one\nmore\n", "two\nlines\n", "ü\n"]
    assert notes == (f"Line ends were made '\\n' in 1 file: '{folder / 'a.txt'}'.",)


def test_names_of_files_can_be_asked_for(folder):
    assert [text for _, text in read_texts(folder, "*.csv")[0]] == ["1,2\n"]
    assert [text for _, text in read_texts(str(folder), ["er/*.md", "b.*"])[0]] == ["two\nlines\n", "ü\n"]
    with pytest.raises(DataError, match=r"the folder holds no file called '\*\.tex': name"):
        read_texts(folder, "*.tex")


def test_a_named_file_is_read_whatever_its_name_and_only_once(folder):
    (folder / "packed.gz").write_bytes(gzip.compress(b"packed"))
    documents, notes = read_texts([folder / "deep/table.csv", folder / "packed.gz", folder / "b.txt", folder])
    assert [text for _, text in documents] == ["1,2\n", "packed", "two\nlines\n", "one\nmore\n", "ü\n"]
    assert len(notes) == 1


def test_an_unreadable_file_in_a_folder_is_left_out_and_a_named_one_an_error(folder):
    bad = folder / "bad.txt"
    bad.write_bytes(b"ab\ncd\n\xff\n")
    documents, notes = read_texts(folder)
    assert len(documents) == 3
    assert notes[0] == f"Left out: {bad}: line 3: byte 0xff is not UTF-8 text: save the file as UTF-8."
    with pytest.raises(DataError, match=r"bad\.txt: line 3: byte 0xff is not UTF-8"):
        read_texts(bad)
    with pytest.raises(DataError, match=r"none of its 1 file is text; the first: .*bad\.txt: line 3"):
        read_texts(folder, "bad*")
    for k in range(7):
        (folder / f"bad{k}.txt").write_bytes(b"\xff")
    assert read_texts(folder)[1][5] == "Left out: 3 more files that cannot be read as text."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty: characters were expected"),
        (b" \n", "the file is empty: characters were expected"),
        (b"PK\x03\x04", r"binary \(a workbook or zip archive\): save or unpack it as text in UTF-8"),
        ("text".encode("utf-16"), "the text is UTF-16"),
        (b"a\0b", "the file is binary: save or unpack it as text in UTF-8"),
    ],
)
def test_what_is_no_text_is_said_without_a_word_of_csv(tmp_path, content, words):
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_texts(path)
    assert "CSV" not in str(caught.value)
    assert "header" not in str(caught.value)


def test_missing_files_and_no_files_are_said(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.txt: there is no such file"):
        read_texts(tmp_path / "nothing.txt")
    with pytest.raises(DataError, match="the folder holds no file called"):
        read_texts(tmp_path)
    with pytest.raises(DataError, match="no texts were named"):
        read_texts([])


# splits -------------------------------------------------------------------------------------------


def sizes(parts):
    return [sum(len(text) for _, text in part) for part in parts]


def test_parts_hold_their_share_of_the_characters(rng):
    documents = [Document(str(k), "x" * int(n)) for k, n in enumerate(rng.lognormal(7, 1.2, 300).astype(int) + 1)]
    total = sum(len(text) for _, text in documents)
    for seed in range(5):
        parts = split(documents, seed=seed)
        assert sorted(document for part in parts for document in part) == sorted(documents)
        for size, share in zip(sizes(parts), (0.8, 0.1, 0.1)):
            assert size / total == pytest.approx(share, abs=0.003)
        assert split(documents, seed=seed) == parts
    assert split(documents, seed=0) != split(documents, seed=1)
    train, validation, test = split(documents, (0.9, 0, 0.1))
    assert validation == []
    assert len(train) + len(test) == 300


@given(
    st.lists(st.text("ab \n", min_size=1, max_size=60), min_size=1, max_size=8),
    st.sampled_from([(0.8, 0.1, 0.1), (0.4, 0.3, 0.3), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)]),
    st.integers(0, 3),
)
def test_parts_are_whole_and_never_empty(texts, fractions, seed):
    documents = [Document(str(k), text) for k, text in enumerate(texts)]
    asked = [fraction for fraction in fractions if fraction]
    if len(set(texts)) < len(asked) and max(map(len, texts)) * min(asked) < 1:
        return  # too short to be cut; where that ends in an error is tested below
    parts = split(documents, fractions, seed)
    assert [bool(part) for part in parts] == [fraction > 0 for fraction in fractions]
    for name, text in documents:  # of a document that was cut the beginning is for training
        assert "".join(piece for part in parts for called, piece in part if called == name) == text
    if len(set(texts)) >= 3:
        assert all(document in documents for part in parts for document in part)
        own = [{text for _, text in part} for part in parts]
        assert len(set().union(*own)) == sum(map(len, own))  # no part holds a copy of what is in another


def test_copies_of_a_text_stay_in_one_part():
    documents = [Document(str(k), f"text {k // 2}, twice\n" * 5) for k in range(40)]
    parts = split(documents)
    assert sorted(document for part in parts for document in part) == sorted(documents)
    assert all(len(part) == 2 * len({text for _, text in part}) > 0 for part in parts)
    copies = split([Document(str(k), "a line\n" * 100) for k in range(5)])  # one text: cut by position
    assert sizes(copies) == [5 * 560, 5 * 70, 5 * 70]


def test_a_large_share_leaves_a_document_for_each_other_part():
    documents = [Document(name, name * 10) for name in "abc"]
    for fractions in ((0.01, 0.98, 0.01), (0.01, 0.01, 0.98), (0.98, 0.01, 0.01)):
        assert sizes(split(documents, fractions)) == [10, 10, 10]


def test_a_single_document_is_cut_at_line_ends():
    text = "".join(f"line {k} {'x' * (k % 7)}\n" for k in range(200))
    parts = split([Document("one", text)])
    assert all(part[0].text.endswith("\n") for part in parts)
    assert "".join(part[0].text for part in parts) == text
    for size, share in zip(sizes(parts), (0.8, 0.1, 0.1)):
        assert abs(size - share * len(text)) < 20
    words = split([Document("one", "word " * 100)])
    assert [part[0].text[-5:] for part in words] == ["word "] * 3
    assert sizes(split([Document("one", "x" * 100)])) == [80, 10, 10]


def test_too_little_text_says_how_much_is_needed():
    with pytest.raises(DataError, match=r"1 document with 5 characters .* give about 10 characters or more"):
        split([Document("one", "abc\nd")])
    with pytest.raises(DataError, match=r"parts of 80, 10 and 10 characters, but each needs 50: give about 500"):
        split([Document("one", "x" * 100)], least=50)
    with pytest.raises(DataError, match="0 documents"):
        split([])


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0, 0.5, 0.5), (0.9, 0.2, -0.1), (1, 1, 1), (float("nan"), 0, 1)])
def test_fractions_that_are_no_shares_are_refused(fractions):
    with pytest.raises(DataError, match="fractions must be three shares"):
        split([Document("one", "x" * 100)], fractions)


# Python source ------------------------------------------------------------------------------------


def test_the_library_is_shuffled_by_its_seed_and_kept_below_a_limit():
    documents = library(300_000, seed=1)
    assert documents == library(300_000, seed=1)
    assert documents != library(300_000, seed=2)
    assert 290_000 < sum(len(text.encode()) for _, text in documents) <= 300_000
    for name, text in documents:
        parts = Path(name).parts
        assert not {"test", "tests", "idle_test", "site-packages", "encodings"} & set(parts)
        assert "\r" not in text
        ast.parse(text)
    with pytest.raises(DataError, match="limit_bytes is 1, but no file"):
        library(1)


def test_files_that_are_no_python_are_left_out(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_bytes(b"x = 1\r\n")
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    (tmp_path / "old.py").write_bytes(b"print 1\n")
    (tmp_path / "empty.py").write_bytes(b"")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "other.py").write_bytes(b"y = 1\n")
    monkeypatch.setattr(python_source.sysconfig, "get_path", lambda name: str(tmp_path))
    assert library() == [Document("good.py", "x = 1\n")]
    (tmp_path / "good.py").unlink()
    monkeypatch.setattr(python_source.sysconfig, "get_path", lambda name: str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="source is not installed here"):
        library()


MODULES = (
    *("argparse", "ast", "bisect", "calendar", "collections", "copy", "csv", "dataclasses", "datetime", "decimal"),
    *(
        "difflib",
        "enum",
        "fractions",
        "heapq",
        "inspect",
        "json.decoder",
        "keyword",
        "random",
        "statistics",
        "textwrap",
    ),
)


@pytest.mark.parametrize("name", MODULES)
def test_spans_cut_out_the_tokens(name):
    """Against the positions that `tokenize` gives line by line, and against what is left between the spans."""
    text = Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")
    lines = text.split("\n")
    expected = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        (row, start), (last, stop) = token.start, token.end
        if row == last and token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.COMMENT):
            expected.append(lines[row - 1][start:stop])
    found = spans(text)
    pieces = [text[start:stop] for start, stop, _ in found]
    if sys.version_info < (3, 12):  # later ones also give the tokens inside of f-strings
        assert [piece for piece, span in zip(pieces, found) if span.type != "STRING"] == expected
    position, between = 0, []
    for start, stop, _ in found:
        assert position <= start < stop
        between.append(text[position:start])
        position = stop
    assert not "".join([*between, text[position:]]).replace("\\\n", "").strip()
    for piece, (_, _, type_) in zip(pieces, found):
        if type_ == "STRING":
            assert piece.lstrip("rbfuRBFU")[0] == piece[-1]
            assert piece[-1] in "'\""
        else:
            form = {"COMMENT": "#.*", "NUMBER": r"\.?\d[\w.+-]*", "OPERATOR": r"[^\w\s#'\"]+"}.get(type_, r"[^\W\d]\w*")
            assert re.fullmatch(form, piece)
            assert keyword.iskeyword(piece) == (type_ == "KEYWORD")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = f'{a!r:>{w}} {{' 'b'\n", ["NAME x", "OPERATOR =", "STRING f'{a!r:>{w}} {{'", "STRING 'b'"]),
        ("ü='''é\n\tñ'''#ö", ["NAME ü", "OPERATOR =", "STRING '''é\n\tñ'''", "COMMENT #ö"]),
        ('f"""\n{x}\n""" + 1e3', ['STRING f"""\n{x}\n"""', "OPERATOR +", "NUMBER 1e3"]),
        ("f'{f\"{x}\"}'", ["STRING f'{f\"{x}\"}'"]),
        ("\tif x:\n\t  match\n", ["KEYWORD if", "NAME x", "OPERATOR :", "NAME match"]),
        ("a\n\x0cb # \x85\u2028c\nd", ["NAME a", "NAME b", "COMMENT # \x85\u2028c", "NAME d"]),
        ("a = \\\n  None", ["NAME a", "OPERATOR =", "KEYWORD None"]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_spans_of_awkward_source(text, expected):
    assert [f"{type_} {text[start:stop]}" for start, stop, type_ in spans(text)] == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x\ny = 'abc\n", 2),
        ("a\nx = (\n1", 3),
        ("if a:\n    b\n  c\n", 3),
        ("\nx = $\n", 2),
        ("a\nb ? c", 2),
        ("a\n'''abc\n", 2),
        ("a\nb\n\ud800 = 1", 3),
        ("a\n\x00", 2),
    ],
)
def test_what_is_no_python_is_said_with_its_line(text, line):
    with pytest.raises(DataError, match=f"^line {line}: .*no Python"):
        spans(text)
