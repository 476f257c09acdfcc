"""Labelled sequences: files of texts, long files, windows before a class, generated events; and their parts."""

import gzip
import io
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.data import DataError, load
from minirnn.data.sequences.class_windows import read_windows, windows
from minirnn.data.sequences.events import event_task
from minirnn.data.sequences.labelled import Labelled, read_texts, split
from minirnn.data.sequences.lines import read_lines
from minirnn.data.sequences.long_form import read_sequences
from minirnn.data.sequences.parting import by_chance, by_time, joined

SETTINGS = settings(derandomize=True, database=None, deadline=None, max_examples=60)


@pytest.fixture
def file(tmp_path):
    def file(content, name="reviews.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return file


def refused(read, path, message, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert str(caught.value) == f"{path}: {message}"


# texts --------------------------------------------------------------------------------------------


def test_texts_with_commas_quotation_marks_and_line_ends(file):
    path = file('id,Text,label\n1,"Good, but\n""long""",1\n\n2, plain ,none\n')
    found = read_texts(path)
    assert found.texts == ['Good, but\n"long"', "plain"]
    assert found.labels == ["1", "none"]
    assert found.places == ["line 2", "line 5"]
    assert (found.classes, found.title, found.sequences) == (("1", "none"), "reviews", None)
    assert found.notes == ("Left out 'id': only 'Text', 'label' are read.",)
    assert read_texts(file(gzip.compress(path.read_bytes()), "packed.csv.gz")).texts == found.texts


def test_quotation_marks_are_letters_between_tabs(file):
    found = read_texts(file('text\tlabel\n"Good" it is\tyes\nthe "\tno\n', "a.tsv"))
    assert found.texts == ['"Good" it is', 'the "']


def test_json_lines_are_texts_too(file):
    found = read_texts(file('{"text": " a\\nb", "label": 1}\n\n{"label": true, "text": "c", "x": null}\n'))
    assert (found.texts, found.labels, found.places) == (["a\nb", "c"], ["1", "true"], ["line 1", "line 3"])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "review,label\na,b\n",
            {},
            "there is no column 'text'; the columns are 'review', 'label': say which of them holds the text",
        ),
        (
            "text,label\na,b\n",
            {"label": "lable"},
            "there is no label column 'lable'; did you mean 'label'? the columns are 'text', 'label'",
        ),
        (
            "text,label\na,b\n",
            {"text": "label"},
            "the column 'label' is named as text and as label: name two columns",
        ),
        (
            'text,label\n"a\nb",x\n,x\nc,\n,y\n',
            {},
            "line 4: the text is empty in 'text' (and 1 line more): fill it in or delete the line",
        ),
        ("text,label\na,x\nc,\n", {}, "line 3: the label is empty in 'label': fill it in or delete the line"),
        (
            '{"text": "a", "label": "b"}\n{"text": "a"}',
            {},
            "line 2: the label is empty in 'label': fill it in or delete the line",
        ),
        ('{"text": "a", "label": null}', {}, "line 1: the label is empty in 'label': fill it in or delete the line"),
        (
            "text,label\na,x\nc,d,e\n",
            {},
            "line 3: 3 fields where the header has 2 (the delimiter is the comma): add or remove delimiters",
        ),
        ('text,label\na,x\n"c,d\n', {}, "line 3: unexpected end of data: check the quotation marks"),
        ("text,label\n", {}, "there is a header but no rows of data"),
        ("", {}, "the file is empty: a header line and rows of data were expected"),
        (b"text,label\nab,c\nd\xffe,c\n", {}, "line 3: byte 0xff is not UTF-8 text: save the file as UTF-8"),
        ('{"text": ["a"], "label": 1}', {}, "line 1: 'text' holds '[\"a\"]': text or a number was expected"),
        (
            '{"text": "a", "label": 1}\n{"text"',
            {},
            "line 2: not a JSON object (Expecting ':' delimiter): write one object on each line",
        ),
        (
            '{"text": "a", "label": 1}\n[1, 2]',
            {},
            "line 2: '[1, 2]' is not a JSON object: write one on each line",
        ),
        ('[\n{"text": "a"}]', {}, "line 1: not a JSON object (Expecting value): write one object on each line"),
    ],
)
def test_bad_files_of_texts(file, content, options, message):
    refused(read_texts, file(content), message, **options)


def test_a_label_that_is_no_class_is_named_with_its_place(file):
    found = read_texts(file("text,label\na,yes\nb,no\nc,yess\n"))
    assert found.numbers().tolist() == [1, 0, 2]
    with pytest.raises(DataError, match="line 4: the label 'yess' is none of the classes; did you mean 'yes'"):
        found.numbers(("no", "yes"))
    assert found.take([2, 0]).places == ["line 4", "line 2"]
    with pytest.raises(ValueError, match="either sequences or texts"):
        Labelled(["a"], ["line 1"])
    with pytest.raises(ValueError, match="a label, a place"):
        Labelled(["a"], ["line 1"], texts=["a", "b"])


# long files ---------------------------------------------------------------------------------------

LONG = "id,x,note,y,kind\na,1,p,5,u\nb,2,q,,v\na,3,r,7,u\na,NA,s,8,u\n"


def test_a_long_file_of_unequal_sequences(file):
    found = read_sequences(file(LONG), "id", "kind")
    assert [sequence.shape for sequence in found.sequences] == [(3, 2), (1, 2)]
    assert found.sequences[0].dtype == np.float32
    np.testing.assert_array_equal(found.sequences[0], [[1, 5], [3, 7], [np.nan, 8]])
    np.testing.assert_array_equal(found.sequences[1], [[2, np.nan]])
    assert (found.columns, found.labels, found.times) == (("x", "y"), ["u", "v"], None)
    assert found.places == ["the sequence 'a' (line 2)", "the sequence 'b' (line 3)"]
    assert found.notes == (
        "Left out 'note': it holds text such as 'p'.",
        "No number in 2 cells of 8 (first line 3): they stay missing.",
    )
    assert read_sequences(file(LONG), "id", "kind", ["y", "x"]).sequences[0][0].tolist() == [5, 1]


def test_rows_are_put_in_the_order_of_their_dates(file):
    path = file("id,when,x,kind\na,2020-01-03,3,u\na,2020-01-01,1,u\nb,2020-02-02,9,v\nb,2020-02-01,8,v\n")
    found = read_sequences(path, "id", "kind")
    assert [sequence[:, 0].tolist() for sequence in found.sequences] == [[1, 3], [8, 9]]
    assert found.times.astype(str).tolist() == ["2020-01-03T00:00:00.000000", "2020-02-02T00:00:00.000000"]
    path.write_text(path.read_text().replace("2020-02", "2020-01"))
    found = read_sequences(path, "id", "kind")
    assert found.times is None
    assert found.notes[-1] == "Sequences overlap in time: they can be split by chance only."


def test_whole_numbers_like_years_are_measurements_unless_their_column_says_otherwise(file):
    found = read_sequences(file("id,x,kind\na,1998,u\na,1990,u\nb,1995,v\n"), "id", "kind")
    assert found.sequences[0][:, 0].tolist() == [1998, 1990]
    found = read_sequences(file("id,year,x,kind\na,1998,1,u\na,1990,2,u\nb,1995,3,v\n"), "id", "kind")
    assert found.columns == ("x",)
    assert found.sequences[0][:, 0].tolist() == [2, 1]


def test_decimal_commas_and_nameless_counters(file):
    found = read_sequences(file(";id;x;kind\n0;a;1,5;u\n1;b;2,25;v\n"), "id", "kind")
    assert [sequence.tolist() for sequence in found.sequences] == [[[1.5]], [[2.25]]]
    assert found.columns == ("x",)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            LONG + "b,3,t,1,u\n",
            {},
            "line 6: the sequence 'b' has the label 'u' here but 'v' in line 3: give all rows of a sequence one label",
        ),
        (LONG + ",3,t,1,u\n", {}, "line 6: the name of the sequence is empty in 'id': fill it in or delete the line"),
        (LONG + "b,3,t,1,\n", {}, "line 6: the label is empty in 'kind': fill it in or delete the line"),
        (
            LONG + "b,3x,t,1,v\n",
            {},
            "line 6: the column 'x' should hold numbers but holds '3x': correct that cell or leave it empty",
        ),
        (
            LONG,
            {"columns": ["note"]},
            "line 2: the column 'note' should hold numbers but holds 'p': leave the column out",
        ),
        (
            LONG,
            {"columns": "z"},
            "there is no numeric column 'z'; the columns are 'id', 'x', 'note', 'y', 'kind'",
        ),
        (
            LONG,
            {"columns": ["id"]},
            "the column 'id' tells sequences apart, or holds labels or dates: it is no number",
        ),
        (
            LONG,
            {"series": "ids"},
            "there is no series column 'ids'; did you mean 'id'? the columns are 'id', 'x', 'note', 'y', 'kind'",
        ),
        (
            LONG + "b,1e39,t,1,v\n",
            {},
            "line 6: the column 'x' holds 1e+39, beyond 3.40282e+38: correct that cell or leave it empty",
        ),
        (
            "id,kind,x\na,u,p\n",
            {},
            "no column holds numbers; the columns are 'id', 'kind', 'x': add one, or write bare numbers in them",
        ),
        (
            "id,date,x,kind\na,2020-01-01,1,u\nb,2020-01-01,1,u\na,2020-01-01,1,u\n",
            {},
            "line 4: the sequence 'a' has the time 2020-01-01T00:00:00 in line 2 already: keep one of these rows",
        ),
        (
            "id,date,x,kind\na,2020-01-01,1,u\na,,1,u\n",
            {},
            "line 3: the date column 'date' is empty: add the time or delete the line",
        ),
    ],
)
def test_bad_long_files(file, content, options, message):
    refused(read_sequences, file(content), message, **({"series": "id", "label": "kind"} | options))


# windows ------------------------------------------------------------------------------------------


def test_the_weather_of_a_day_from_the_week_before():
    frame = load("seattle_weather")
    found = windows(frame, "weather", window=7)
    assert len(found) == 1461 - 7
    assert found.columns[:4] == ("precipitation", "temp_max", "temp_min", "wind")
    assert found.labels == frame["weather"].tolist()[7:]
    for k in (0, 700, 1453):
        days = frame.iloc[k : k + 7]
        np.testing.assert_array_equal(found.sequences[k][:, :4], days[list(found.columns[:4])].astype(np.float32))
        shown = [found.columns[4 + column] for column in found.sequences[k][:, 4:].argmax(axis=1)]
        assert shown == [f"weather={name}" for name in days["weather"]]
        assert (found.sequences[k][:, 4:].sum(axis=1) == 1).all()
        assert found.times[k] == frame.index[k + 7].to_datetime64()


def test_the_row_itself_and_later_ones_are_not_read():
    frame = load("seattle_weather").iloc[:60].copy()
    before = windows(frame, "weather", window=5)
    frame.iloc[30:, :4] += 100
    frame.iloc[31:, 4] = "sun"
    after = windows(frame, "weather", window=5)
    for k in range(30 - 5 + 1):  # the window of row 30 ends with row 29
        np.testing.assert_array_equal(before.sequences[k][:, :4], after.sequences[k][:, :4])
    assert (before.sequences[26][:, :4] != after.sequences[26][:, :4]).any()


def test_windows_of_a_file_with_gaps_and_several_series(file):
    rows = [f"{s},2020-01-{day:02},{day},{'xy'[day % 2]}" for s in "ab" for day in (1, 2, 3, 5, 6)]
    path = file("id,date,v,kind\n" + "\n".join(rows))
    found = read_windows(path, "kind", 2, series="id")
    assert found.columns == ("v", "kind=x", "kind=y")
    assert found.places == [f"2020-01-{day:02} of the series {s!r}" for s in "ab" for day in (3, 5, 6)]
    assert found.labels == ["y", "y", "x"] * 2
    np.testing.assert_array_equal(found.sequences[1], [[3, 0, 1], [np.nan, 0, 0]])
    np.testing.assert_array_equal(found.sequences[2], [[np.nan, 0, 0], [5, 0, 1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "wether"}, "there is no label column 'wether'; did you mean 'weather'?"),
        ({"label": "date"}, "the label column 'date' is the date column: name a column of classes"),
        ({"label": "wind"}, "the label column 'wind' holds .. different values in 100 rows"),
        ({"label": "same"}, "the label column 'same' is 'k' in all 100 rows: at least two classes are needed"),
        ({"window": 0}, "window is 0: a number of rows from 1 on was expected"),
        ({"window": 100}, "window 100 needs more than 100 rows before a row with a label, but there are 100"),
    ],
)
def test_windows_that_cannot_be(options, message):
    frame = load("seattle_weather").iloc[:100].assign(same="k")
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        windows(frame, **({"label": "weather", "window": 7} | options))


# parts --------------------------------------------------------------------------------------------


def texts(words, labels):
    return Labelled(list(labels), [f"line {k}" for k in range(len(words))], texts=list(words))


def all_once(parts, n):
    assert sorted(np.concatenate(parts[:3]).tolist()) == list(range(n))


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=80), st.integers(0, 5))
def test_equal_texts_never_stand_in_two_parts(drawn, seed):
    words = [f"own {name} {k}" for name in "abc" for k in range(4)] + [f"text {word}" for word, _ in drawn]
    labels = [name for name in "abc" for _ in range(4)] + ["abc"[kind] for _, kind in drawn]
    found = texts(words, labels)
    parts = split(found, seed=seed)
    all_once(parts, len(words))
    held = [{words[row] for row in part} for part in parts[:3]]
    assert sum(map(len, held)) == len(set.union(*held))
    for part in parts[:3]:
        assert {labels[row] for row in part} == set("abc")


def test_parts_by_chance_have_the_shares_of_each_class_and_depend_on_the_seed_alone():
    found = texts([f"t{k}" for k in range(1000)], ["x"] * 900 + ["y"] * 100)
    parts = split(found, seed=3)
    assert [(int((part < 900).sum()), int((part >= 900).sum())) for part in parts[:3]] == [
        (630, 70),
        (135, 15),
        (135, 15),
    ]
    again, other = split(found, seed=3), split(found, seed=4)
    assert all((one == two).all() for one, two in zip(parts[:3], again[:3]))
    assert (parts.train != other.train).any()
    assert len(split(found, (0.9, 0.1, 0)).test) == 0


def test_copies_are_said():
    parts = split(texts(["a", "a", "b", "c", "d", "e", "f", "a"], "xyxxyyyx"))
    assert parts.notes == (
        "2 examples of 8 repeat others; equal ones were kept in one part.",
        "1 of them has another label than the first one like it (first line 1).",
    )


def test_parts_by_time_are_in_order_and_equal_times_stay_together():
    weather = windows(load("seattle_weather"), "weather", window=7)
    parts = split(weather)
    all_once(parts, len(weather))
    assert [len(part) for part in parts[:3]] == [1018, 218, 218]
    assert weather.times[parts.train].max() < weather.times[parts.validation].min()
    assert weather.times[parts.validation].max() < weather.times[parts.test].min()
    parts = by_time(np.array([3, 1, 2, 2, 2, 1, 0, 3]), (0.5, 0.25, 0.25))
    assert [part.tolist() for part in parts[:3]] == [[1, 5, 6], [2, 3, 4], [0, 7]]


def test_a_text_that_an_earlier_part_holds_is_left_out_of_later_ones():
    found = texts(["a", "b", "c", "d", "a", "c", "e", "d"], "xyxyxyxy")
    dated = Labelled(found.labels, found.places, texts=found.texts, times=np.arange(8).astype("datetime64[us]"))
    parts = split(dated, (0.5, 0.25, 0.25))
    assert [part.tolist() for part in parts[:3]] == [[0, 1, 2, 3], [], [6]]
    assert parts.notes == ("Left out 3 texts that an earlier part holds already.",)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ("xxxx", {}, "all 4 examples have the label 'x': at least two classes are needed"),
        ("", {}, "there are no examples: at least two classes are needed"),
        ("xxxxyy", {}, "the class 'y' has only 2 different examples, but each of the 3 parts needs one"),
        ("xxxyyy", {"by": "time"}, 'the examples have no times: split them by="random"'),
        ("xxxyyy", {"by": "chance"}, 'by is \'chance\': "random" or "time" was expected'),
        ("xxxyyy", {"fractions": (0.5, 0.2, 0.2)}, "three numbers that add up to 1 were expected"),
        ("xxxyyy", {"fractions": (0, 0.5, 0.5)}, "three numbers that add up to 1 were expected"),
        ("xxxyyy", {"fractions": (1.2, -0.1, -0.1)}, "three numbers that add up to 1 were expected"),
    ],
)
def test_examples_that_cannot_be_split(labels, options, message):
    with pytest.raises(DataError, match=message):
        split(texts([f"t{k}" for k in range(len(labels))], labels), **options)


def test_one_time_cannot_be_split_by_time():
    with pytest.raises(DataError, match="9 examples at 1 different time cannot be split by time"):
        by_time(np.zeros(9), (0.7, 0.15, 0.15))


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=30))
def test_chains_of_groups_are_joined(drawn):
    first, second = (np.array(side) for side in zip(*drawn))
    reached = (first[:, None] == first) | (second[:, None] == second)
    for _ in drawn:
        reached = reached @ reached
    groups = joined(first, second)
    np.testing.assert_array_equal(groups[:, None] == groups, reached)


def test_groups_without_classes():
    parts = by_chance(np.array([0, 0, 1, 2, 3, 3]), (0.5, 0.25, 0.25), seed=0)
    all_once(parts, 6)
    with pytest.raises(DataError, match="there are only 2 different examples"):
        by_chance(np.array([0, 0, 1]), (0.5, 0.25, 0.25), seed=0)


# events -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_the_marked_step_alone_tells_the_class(anywhere, ragged):
    task = event_task(300, steps=40, distance=20, classes=3, seed=5, anywhere=anywhere, ragged=ragged)
    kinds = task.numbers()
    assert np.bincount(kinds).tolist() == [100, 100, 100]
    back = []
    for sequence, kind in zip(task.sequences, kinds):
        (mark,) = np.flatnonzero(sequence[:, 0])
        assert sequence[mark].tolist() == [1, *(1 if k == kind else -1 for k in range(3))]
        back.append(len(sequence) - 1 - mark)
    lengths = {len(sequence) for sequence in task.sequences}
    assert lengths == (set(range(21, 41)) if ragged else {40})
    assert set(back) <= set(range(20, 40))
    assert set(range(20, 35)) <= set(back) if anywhere else set(back) == {20}
    # Apart from the marked step the classes look alike: the last 20 steps have the same means up to chance.
    tails = np.stack([sequence[-20:, 1:] for sequence in task.sequences])
    means = np.stack([tails[kinds == kind].mean(axis=(0, 1)) for kind in range(3)])
    assert np.abs(means).max() < 4 / np.sqrt(100 * 20)


def test_events_are_the_same_for_the_same_seed_only():
    one, same, other = (event_task(5, distance=10, seed=seed).sequences for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same))
    assert (one[0] != other[0]).any()
    assert one[0].shape == (11, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 100}, "100 steps are too few for a marked step with 100 after it: at least 101 are needed"),
        ({"classes": 1}, "classes is 1: at least 2 was expected"),
        ({"n": 0}, "n is 0: at least 1 was expected"),
        ({"distance": -1}, "distance is -1: at least 0 was expected"),
    ],
)
def test_events_that_cannot_be(options, message):
    with pytest.raises(DataError, match=message):
        event_task(**({"n": 4} | options))


# lines --------------------------------------------------------------------------------------------


def test_lines_of_files_and_streams(file, monkeypatch):
    content = "\ufeffeins\r\n\nzwei ä \n drei".encode()
    expected = [(1, "eins"), (2, ""), (3, "zwei ä "), (4, " drei")]
    assert list(read_lines(file(content))) == expected
    assert list(read_lines(file(gzip.compress(content)))) == expected
    assert list(read_lines(io.StringIO(content.decode()))) == expected
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), "ascii"))
    assert list(read_lines("-")) == expected


def test_a_line_comes_before_the_next_one_is_written():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        lines = read_lines(source)
        for number, word in enumerate(("one", "two"), 1):
            sink.write(f"{word}\n".encode())
            assert next(lines) == (number, word)


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_that_is_no_text_is_named_after_those_before_it(file, packed):
    content = b"one\ntwo\nd\xe9j\xe0\n"
    lines = read_lines(file(gzip.compress(content) if packed else content))
    assert [next(lines), next(lines)] == [(1, "one"), (2, "two")]
    with pytest.raises(DataError, match=r"reviews\.csv: line 3: byte 0xe9 is not UTF-8 text"):
        next(lines)


def test_lines_that_cannot_be_read(file, tmp_path):
    for source, message in (
        (tmp_path / "none.txt", r"none\.txt: there is no such file"),
        (tmp_path, "is a folder, not a file"),
        (file(gzip.compress(b"a\n" * 99)[:-9], "cut.gz"), r"the gzip file is damaged or cut short"),
        (file(b"a\0b\n"), "line 1: the file is binary"),
        (io.StringIO("a\n\udce9\n"), "line 2: byte 0xe9 is not UTF-8 text"),
        (io.StringIO("\ud800\n"), "line 1: a surrogate is not UTF-8 text"),
    ):
        with pytest.raises(DataError, match=message):
            list(read_lines(source))


def test_a_frame_of_numbers_as_classes():
    days = pd.date_range("2020-01-01", periods=6)
    frame = pd.DataFrame({"v": range(6), "kind": [0.0, 1, 0, np.nan, 1, 0]}, index=days)
    found = windows(frame, "kind", 1)
    assert (found.labels, found.classes) == (["1", "0", "1", "0"], ("0", "1"))
    assert found.sequences[2].tolist() == [[3.0, 0.0, 0.0]]
