"""Pairs of sequences: files of two columns, series, generated dates; and their parts."""

import gzip
import re
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.data import DataError
from minirnn.data.sequences.date_pairs import FORMATS, dates
from minirnn.data.sequences.pairs import Pairs, numeric, read_pairs, split, to_numbers

SETTINGS = settings(derandomize=True, database=None, deadline=None, max_examples=60)


@pytest.fixture
def file(tmp_path):
    def file(content, name="pairs.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return file


def both(pairs):
    return list(zip(pairs.sources, pairs.targets))


NO_HEADER = "The file has no header: the first line is a pair like all others."


# files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "options", "expected", "note"),
    [
        ('Go.\tVa !\n\n"Hi", he said\t"Salut"\n', {}, [("Go.", "Va !"), ('"Hi", he said', '"Salut"')], NO_HEADER),
        ('a,b\n"c, d","e\nf"\n', {}, [("a", "b"), ("c, d", "e\nf")], NO_HEADER),
        ("a;b\nc;d\n", {}, [("a", "b"), ("c", "d")], NO_HEADER),
        ("Source\tTARGET\na\tb\n", {}, [("a", "b")], "The first line is the header: 'Source', 'TARGET'."),
        ("id,target,source\n1,b,a\n", {}, [("a", "b")], "The first line is the header: 'source', 'target'."),
        (
            "id\tfr\ten\n1\tb\ta\n",
            {"columns": ["en", "fr"]},
            [("a", "b")],
            "The first line is the header: 'en', 'fr'.",
        ),
        (
            "a\tb\tCC-BY\nc\td\t\n",
            {"columns": (2, 1)},
            [("b", "a"), ("d", "c")],
            "The columns 2 and 1 were read; the first line is a pair like all others.",
        ),
        (
            '{"x": "a", "y": "b"}\n{"y": 2, "x": "c"}\n',
            {},
            [("a", "b"), ("c", "2")],
            "The pairs are 'x', 'y' of each line.",
        ),
        (
            '{"target": "a", "id": 3, "source": "b"}\n',
            {},
            [("b", "a")],
            "The pairs are 'source', 'target' of each line.",
        ),
        (
            '{"p": "a", "q": "b", "r": "c"}',
            {"columns": ("r", "p")},
            [("c", "a")],
            "The pairs are 'r', 'p' of each line.",
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_pairs_in_many_dresses(file, content, options, expected, note, packed):
    found = read_pairs(file(gzip.compress(content.encode()) if packed else content), **options)
    assert both(found) == expected
    assert found.notes == (note,)
    assert found.title == "pairs"


def test_the_lines_of_pairs(file):
    assert read_pairs(file('a,b\n\n"c\nd",e\nf,g\n')).places == ["line 1", "line 3", "line 5"]
    found = read_pairs(file("source\ttarget\na\tb\n"))
    assert (found.places, found.names) == (["line 2"], ("source", "target"))
    assert both(found.take(np.array([0]))) == [("a", "b")]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "a\tb\nc\td\te\n",
            {},
            "line 2: 3 cells where 2 were expected, with a tab between them: correct or delete the line",
        ),
        (
            "a\tb\n\nc\n",
            {},
            "line 3: 1 cell where 2 were expected, with a tab between them: correct or delete the line",
        ),
        ("a\tb\nc\t \n", {}, "line 2: the target is empty: fill it in or delete the line"),
        ("a\tb\n\tc\n", {}, "line 2: the source is empty: fill it in or delete the line"),
        ("en,fr\na,\n", {"columns": ("en", "fr")}, "line 2: the fr is empty: fill it in or delete the line"),
        (
            "just text\nmore\n",
            {},
            "line 1: 1 cell where two were expected, with a comma between them: write a tab between the two",
        ),
        (
            "a\tb\tc\n",
            {},
            "line 1: 3 cells where two were expected, with a tab between them: say which columns to take",
        ),
        (
            "en\tfr\na\tb\n",
            {"columns": ("en", "frr")},
            "line 1: there is no column 'frr' in the header; did you mean 'fr'? it names 'en', 'fr'",
        ),
        ("a\tb\n", {"columns": (1, 3)}, "line 1: there is no column 3: the line has 2 cells"),
        (
            "a\tb\n",
            {"columns": ("x",)},
            "columns \"('x',)\": two different names, or two positions from 1 on, were expected",
        ),
        (
            "a\tb\n",
            {"columns": (0, 1)},
            "columns '(0, 1)': two different names, or two positions from 1 on, were expected",
        ),
        (
            "a\tb\n",
            {"columns": (1, "b")},
            "columns \"(1, 'b')\": two different names, or two positions from 1 on, were expected",
        ),
        ("source\ttarget\n", {}, "there is a header but there are no pairs"),
        ("", {}, "the file is empty: a header line and rows of data were expected"),
        (b"a\tb\nc\t\xff\n", {}, "line 2: byte 0xff is not UTF-8 text: save the file as UTF-8"),
        ('a,b\n"c,d\n', {}, "line 2: unexpected end of data: check the quotation marks"),
        ('{"x": "a"}', {}, "line 1: 1 key where two were expected, 'x': say which two"),
        (
            '{"x": "a", "y": "b"}\n{"x": "a"}',
            {},
            "line 2: there is no 'y' in '{\"x\": \"a\"}': every line needs 'x', 'y'",
        ),
        ('{"x": "a", "y": null}', {}, "line 1: the y is empty: fill it in or delete the line"),
        ('{"x": "a", "y": {}}', {}, "line 1: 'y' holds '{}': text or a number was expected"),
        ('{"x": 1, "y": 2}', {"columns": (1, 2)}, "columns '(1, 2)': JSON lines have names, not positions: 'x', 'y'"),
    ],
)
def test_bad_files_of_pairs(file, content, options, message):
    path = file(content)
    with pytest.raises(DataError) as caught:
        read_pairs(path, **options)
    assert str(caught.value) == f"{path}: {message}"


@SETTINGS
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)] * 2), min_size=1))
def test_what_is_written_with_tabs_is_read_again(tmp_path_factory, drawn):
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in drawn), encoding="utf-8")
    assert both(read_pairs(path)) == drawn


# series -------------------------------------------------------------------------------------------


def test_series_are_known_by_their_numbers(file):
    pairs = read_pairs(file("1 2 .5\t-3e2\n4\t+5. 6\n"))
    assert numeric(pairs)
    sources, targets = to_numbers(pairs)
    assert [source[:, 0].tolist() for source in sources] == [[1, 2, 0.5], [4]]
    assert [target.shape for target in targets] == [(1, 1), (2, 1)]
    assert sources[0].dtype == np.float32


@pytest.mark.parametrize("word", ["x", "nan", "inf", "1_000", "1,5", "0x1"])
def test_words_are_no_series(file, word):
    pairs = read_pairs(file(f"1\t2\n3 {word}\t4\n"))
    assert not numeric(pairs)
    with pytest.raises(DataError, match=f"line 2: the source holds '{word}': numbers with blanks between them"):
        to_numbers(pairs)


def test_numbers_that_are_too_large_are_refused(file):
    with pytest.raises(DataError, match="line 1: the target holds '1e39'"):
        to_numbers(read_pairs(file("1\t1e39\n")))


# parts --------------------------------------------------------------------------------------------


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60), st.sampled_from(["source", "both"]))
def test_no_source_stands_in_two_parts(drawn, by):
    drawn = [*drawn, (100, 100), (101, 101), (102, 102)]
    pairs = Pairs([str(a) for a, _ in drawn], [str(b) for _, b in drawn], [""] * len(drawn))
    parts = split(pairs, seed=2, by=by)
    assert sorted(np.concatenate(parts[:3]).tolist()) == list(range(len(drawn)))
    for side in (0, 1)[: 1 if by == "source" else 2]:
        held = [{drawn[row][side] for row in part} for part in parts[:3]]
        assert all(held)
        assert sum(map(len, held)) == len(set.union(*held))


def test_parts_depend_on_the_seed_alone_and_say_what_repeats():
    pairs = dates(200)
    one, same, other = (split(pairs, seed=seed) for seed in (1, 1, 2))
    assert [len(part) for part in one[:3]] == [140, 30, 30]
    assert all((a == b).all() for a, b in zip(one[:3], same[:3]))
    assert (one.train != other.train).any()
    twice = Pairs(list("aabc"), list("wxyz"), [""] * 4)
    assert split(twice).notes == ("1 pair of 4 repeat a source; equal sources were kept in one part.",)


def test_pairs_that_cannot_be_split():
    with pytest.raises(DataError, match="there are only 2 different examples, but each of the 3 parts needs one"):
        split(Pairs(list("aab"), list("xyz"), [""] * 3))
    with pytest.raises(DataError, match='by is \'target\': "source" or "both" was expected'):
        split(Pairs(list("abc"), list("xyz"), [""] * 3), by="target")


# dates --------------------------------------------------------------------------------------------


def meant(text):
    """The date that a text means, by rules of its own: a word is the month; else by the signs between the figures."""
    words = re.findall(r"[a-z]+", text.lower())
    figures = [int(figure) for figure in re.findall(r"\d+", text)]
    months = [datetime(2000, k, 1).strftime("%B").lower() for k in range(1, 13)]
    named = [k for k, month in enumerate(months, 1) for word in words if word in (month, month[:3])]
    if named:
        year, day = max(figures), min(figures)
        return date(year, named[0], day)
    if "/" in text:
        return date(*figures)
    return date(*reversed(figures))


def test_every_way_of_writing_means_one_date():
    start = date(1900, 1, 1)
    found = {}
    days = [start + timedelta(days=k) for k in (*range(800), *range(36000, 36800), *range(73000, 73414))]
    for day in days:
        for form in FORMATS:
            assert found.setdefault(form(day), day) == day
            assert meant(form(day)) == day
    assert len(FORMATS) >= 12


def test_the_weekdays_and_endings_are_right():
    day = date(1979, 5, 3)
    written = [form(day) for form in FORMATS]
    assert {"Thursday, 3 May 1979", "may 3rd, 1979", "3.5.1979", "thu 3 may 1979", "the 3rd of may, 1979"} <= set(
        written
    )
    endings = [FORMATS[6](date(2000, 1, k)).split()[0] for k in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)]
    assert " ".join(endings) == "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th 31st"


def test_dates_are_all_different_and_the_same_for_the_same_seed_only():
    pairs = dates(5000, seed=3)
    assert len(pairs) == len(set(pairs.sources)) == 5000
    assert both(pairs) == both(dates(5000, seed=3))
    assert both(pairs) != both(dates(5000, seed=4))
    assert all(meant(source).isoformat() == target for source, target in both(pairs))
    years = {int(target[:4]) for target in pairs.targets}
    assert years == set(range(1900, 2101))
    parts = split(pairs, by="both")
    held = [{pairs.targets[row] for row in part} for part in parts[:3]]
    assert sum(map(len, held)) == len(set.union(*held))


def test_more_dates_than_there_are(monkeypatch):
    monkeypatch.setattr("minirnn.data.sequences.date_pairs.YEARS", (2000, 2000))
    texts = {form(date(2000, 1, 1) + timedelta(days=k)) for k in range(366) for form in FORMATS}
    with pytest.raises(DataError, match=f"n is 10,000: there are only {len(texts):,} different texts of dates"):
        dates(10_000)
    with pytest.raises(DataError, match="n is 0: at least one pair was expected"):
        dates(0)
