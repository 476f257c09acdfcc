"""Tags and spans, there and back; the most probable valid tags; CoNLL files."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.data.sequences.conll import parse_conll, read_conll
from minirnn.data.sequences.spans import LabelSet, Span, decode, from_iob2, to_iob2
from minirnn.data.words import DataError

TYPES = ("LOC", "PER", "X-Y")


@st.composite
def spans_in(draw):
    """(length, spans) of a sequence."""
    spans, position = [], 0
    for gap, size, type_ in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from(TYPES)), max_size=6)
    ):
        spans.append(Span(position + gap, position + gap + size, type_))
        position += gap + size
    return position + draw(st.integers(0, 2)), spans


@given(spans_in())
def test_spans_come_back_from_tags(case):
    length, spans = case
    tags = to_iob2(length, spans)
    slow = ["O"] * length
    for start, stop, type_ in spans:
        slow[start:stop] = [f"B-{type_}"] + [f"I-{type_}"] * (stop - start - 1)
    assert tags == slow
    assert from_iob2(tags) == spans
    labels = LabelSet(TYPES)
    numbers = labels.of_spans(length, reversed(spans))
    assert numbers.dtype == np.int32
    assert labels.decode(numbers) == tags
    assert labels.spans(numbers) == spans
    assert (labels.encode(tags) == numbers).all()
    assert [b - a for a, b, _ in zip(*labels.bounds(numbers))] == [b - a for a, b, _ in spans]


def is_valid(tags):
    return all(tag[0] != "I" or before in (tag, f"B{tag[1:]}") for before, tag in zip(["O", *tags], tags))


@given(st.lists(st.sampled_from(LabelSet(("A", "B")).labels), max_size=8))
def test_tags_that_no_span_gives_are_refused_or_repaired(tags):
    if is_valid(tags):
        assert from_iob2(tags) == from_iob2(tags, repair=True)
    else:
        with pytest.raises(DataError, match=r"^tag \d of \d, 'I-[AB]', (follows|stands at the beginning)"):
            from_iob2(tags)
    # Begin a span wherever conlleval does: at each B, and at an I after another type or none.
    repaired = [
        f"B{tag[1:]}" if tag[0] == "I" and before[1:] != tag[1:] else tag for before, tag in zip(["O", *tags], tags)
    ]
    assert from_iob2(tags, repair=True) == from_iob2(repaired)


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(1, 1, "A")], "the span 1 to 1 of type 'A' is empty"),
        ([(0, 2, "A"), (1, 3, "A")], "the span 1 to 3 of type 'A' overlaps"),
        ([(0, 3, "A"), (1, 2, "B")], "the span 1 to 2 of type 'B' overlaps"),
        ([(-1, 1, "A")], "outside of a sequence of 3"),
        ([(2, 4, "A")], "outside of a sequence of 3"),
        ([(0, 1, "a b")], "'a b' is no type"),
    ],
)
def test_spans_that_no_tags_hold_are_refused(spans, words):
    with pytest.raises(DataError, match=words):
        to_iob2(3, spans)


def test_what_is_no_label_is_refused():
    labels = LabelSet(("NAME", "STRING"))
    with pytest.raises(DataError, match=r"tag 2 of 2 is 'B-NAMES': did you mean 'B-NAME'\? known are 'O', 'B-NAME'"):
        labels.encode(["O", "B-NAMES"])
    with pytest.raises(DataError, match="known types are 'NAME', 'STRING'"):
        labels.of_spans(3, [(0, 1, "OTHER")])
    for bad in ([-1], [5], [[0]], [0.5]):
        with pytest.raises(ValueError, match="labels must be"):
            labels.decode(np.array(bad))
    for bad in (("A", "A"), ("",), ["A"], (1,)):
        with pytest.raises(DataError):
            LabelSet(bad)
    for bad in ("B", "B-", "-A", "S-A", "o", ""):
        with pytest.raises(DataError, match="tag 2 is"):
            from_iob2(["O", bad])
    assert LabelSet.of(["O", "I-b", "B-a"]).types == ("a", "b")


# decoding -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 2), st.booleans())
def test_decoding_finds_the_best_of_all_valid_sequences(seed, T, types, coarse):
    """Against every sequence; with coarse numbers many are equal, and the answer must be one of the best."""
    rng = np.random.default_rng(seed)
    labels = LabelSet(tuple("AB"[:types]))
    scores = rng.integers(-3, 1, (T, labels.size)).astype(float) if coarse else rng.normal(size=(T, labels.size))
    scores[rng.random(scores.shape) < 0.2] = -np.inf
    found = decode(scores, labels.allowed)
    assert is_valid(labels.decode(found))
    finite = np.maximum(scores, -1e6)
    best = max(
        finite[np.arange(T), list(path)].sum()
        for path in itertools.product(range(labels.size), repeat=T)
        if is_valid(labels.decode(np.array(path)))
    )
    assert finite[np.arange(T), found].sum() == pytest.approx(best, rel=1e-12, abs=1e-9)
    assert (decode(scores, labels.allowed) == found).all()


def test_many_sequences_are_decoded_as_each_by_itself_whatever_the_padding_holds(rng):
    labels = LabelSet(("A", "B", "C"))
    lengths = np.array([5, 0, 9, 1, 8])
    scores = np.log(rng.dirichlet(np.ones(labels.size), (9, 5)))
    for b, length in enumerate(lengths):
        scores[length:, b] = [np.nan, np.inf, -np.inf][b % 3]
    found = decode(scores, labels.allowed, lengths)
    assert found.dtype == np.int32
    for b, length in enumerate(lengths):
        assert (found[:length, b] == decode(scores[:length, b], labels.allowed)).all()
        assert (found[length:, b] == 0).all()


def test_the_rules_change_what_would_be_chosen_alone(rng):
    labels = LabelSet(("A", "B"))
    scores = rng.normal(size=(200, 30, labels.size))
    free = scores.argmax(axis=2)
    assert not is_valid(labels.decode(free[:, 0]))
    found = decode(scores, labels.allowed)
    assert all(is_valid(labels.decode(found[:, b])) for b in range(30))
    assert (decode(scores, np.ones((6, 5), bool)) == free).all()  # all is allowed: each step by itself


def test_equal_probabilities_and_none_at_all_have_one_answer():
    labels = LabelSet(("A",))
    assert decode(np.zeros((4, 3)), labels.allowed).tolist() == [0, 0, 0, 0]
    assert decode(np.full((4, 3), -np.inf), labels.allowed).tolist() == [0, 0, 0, 0]
    impossible = np.full((2, 3), -np.inf)
    impossible[:, 2] = 0  # only I-A, which cannot begin
    assert is_valid(labels.decode(decode(impossible, labels.allowed)))
    assert decode(np.zeros((0, 3)), labels.allowed).shape == (0,)


@pytest.mark.parametrize(
    ("scores", "lengths"),
    [
        (np.full((3, 2, 3), np.nan), None),
        (np.full((3, 2, 3), np.inf), None),
        (np.zeros((3, 2, 4)), None),
        (np.zeros(3), None),
        (np.zeros((3, 2, 3)), [3]),
        (np.zeros((3, 2, 3)), [3, 4]),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, lengths):
    with pytest.raises(ValueError, match="must be"):
        decode(scores, LabelSet(("A",)).allowed, lengths)


def test_a_long_sequence_and_millions_of_labels(rng):
    labels = LabelSet(("A", "B"))
    found = decode(rng.normal(size=(20_000, labels.size)), labels.allowed)
    spans = labels.spans(found)
    assert (labels.of_spans(len(found), spans) == found).all()
    many = np.tile(found, 50)
    starts, stops, types = labels.bounds(many, repair=True)
    assert (starts < stops).all()
    assert (starts[1:] >= stops[:-1]).all()
    assert (stops - starts).sum() == (many > 0).sum()
    assert types.max() == 1


# CoNLL --------------------------------------------------------------------------------------------

PLAIN = "-DOCSTART- -X- O\n\nAda NNP B-PER\nLovelace NNP I-PER\nwrote VBD O\n\n\nHello UH O\n"


def test_a_file_is_read_and_written(tmp_path):
    path = tmp_path / "a.conll"
    path.write_bytes(PLAIN.replace("\n", "\r\n").encode())
    file = read_conll(path)
    assert [sentence.tokens for sentence in file.sentences] == [("Ada", "Lovelace", "wrote"), ("Hello",)]
    assert [sentence.tags for sentence in file.sentences] == [("B-PER", "I-PER", "O"), ("O",)]
    assert file.notes == ("Left out: 1 line of -DOCSTART-.",)
    assert file.text() == "Ada NNP B-PER\nLovelace NNP I-PER\nwrote VBD O\n\nHello UH O\n\n"
    written = file.text([["O", "B-PER", "I-PER"], ["B-LOC"]])
    assert written == "Ada NNP B-PER O\nLovelace NNP I-PER B-PER\nwrote VBD O I-PER\n\nHello UH O B-LOC\n\n"
    again = parse_conll(written)
    assert [sentence.tags for sentence in again.sentences] == [("O", "B-PER", "I-PER"), ("B-LOC",)]
    with pytest.raises(ValueError, match="one tag for each token"):
        file.text([["O"], ["O"]])


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=5)


@given(
    st.lists(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4), min_size=1, max_size=4),
    st.sampled_from(" \t"),
    st.data(),
)
def test_what_is_written_is_read_again(rows, separator, data):
    sentences, tags = [], []
    for sentence in rows:
        length = len(sentence)
        tags.append(tuple(to_iob2(length, [Span(0, data.draw(st.integers(1, length)), "T")])))
        sentences.append("".join(separator.join((*row, tag)) + "\n" for row, tag in zip(sentence, tags[-1])))
    file = parse_conll("\n".join(sentences), tag=2)
    assert file.text() == "".join(f"{sentence}\n" for sentence in sentences)
    assert [s.tags for s in file.sentences] == tags
    again = parse_conll(file.text())
    assert (again.sentences, again.separator) == (file.sentences, file.separator)


def test_tokens_alone_have_no_tags():
    for text in ("a\nb\n\nc", "a\tx\nb\ty\n\nc\tz"):
        file = parse_conll(text, tag=None)
        assert [(s.tokens, s.tags) for s in file.sentences] == [(("a", "b"), None), (("c",), None)]
    assert parse_conll("a\nb\n").sentences[0].tags is None
    assert parse_conll("a\n").text([["O"]]) == "a O\n\n"


def test_columns_are_chosen_by_their_number():
    universal = "# sent_id = 1\n# text = 10 000 b\n1\t10 000\t_\tB-Q\t_\n2\tb\t_\tO\t_\n\n"
    file = parse_conll(universal, token=1, tag=3)
    assert file.sentences[0][:2] == (("10 000", "b"), ("B-Q", "O"))
    assert file.text([["O", "O"]]) == "1\t10 000\t_\tB-Q\t_\tO\n2\tb\t_\tO\t_\tO\n\n"
    assert parse_conll("B-X a\n", token=1, tag=0).sentences[0].tokens == ("a",)
    assert parse_conll("# O\na\u00a0b O\n").sentences[0].tokens == ("#", "a\u00a0b")  # "#" is a token here
    assert parse_conll("# id 7\na O\n", comments=True).sentences[0].tokens == ("a",)


@pytest.mark.parametrize(
    ("tags", "form", "expected"),
    [
        ("O I-A I-A B-A I-B", "IOB1", "O B-A I-A B-A B-B"),
        ("I-A O I-A", "IOB1", "B-A O B-A"),
        ("S-A B-A I-A E-A O B-B E-B", "IOBES", "B-A B-A I-A I-A O B-B I-B"),
        ("U-A B-A I-A L-A", "IOBES", "B-A B-A I-A I-A"),
        ("A A O B A", "types without 'B-' and 'I-'", "B-A I-A O B-B B-A"),
        ("NN -LRB- NN", "types without 'B-' and 'I-'", "B-NN B--LRB- B-NN"),
        ("B-A I-A B-A O", None, "B-A I-A B-A O"),
        ("O O", None, "O O"),
    ],
)
def test_other_tags_are_converted_and_a_note_says_so(tags, form, expected):
    file = parse_conll("".join(f"w {tag}\n" for tag in tags.split()))
    assert " ".join(file.sentences[0].tags) == expected
    assert file.notes == ((f"The tags are {form}; they were converted to IOB2.",) if form else ())
    assert is_valid(file.sentences[0].tags)
    assert " ".join(row[1] for row in file.sentences[0].columns) == tags  # as they stand in the file


BAD = [
    ("a x O\nb O\n", {}, "line 2: 2 columns, but the first line, 1, has 3"),
    ("a O\n\nb x O\n", {}, "line 3: 3 columns, but the first line, 1, has 2"),
    ("# id 1 2\na O\n", {}, r"line 2: 2 columns, but the first line, 1, has 4 \(a comment\? .*comments=True"),
    ("a B-A\nb A\n", {}, "line 2: the tag 'A' is none: 'O', 'B-' or 'I-' and a type were expected"),
    ("a O\nb B-\n", {}, "line 2: the tag 'B-' is none"),
    ("a O\nb Q-A\n", {}, "line 2: the tag 'Q-A' is none"),
    ("a B-A\nb O\nc I-A\n", {}, "line 3: 'I-A' without a 'B-A' before it"),
    ("a O\nb I-A\n", {"form": "IOB2"}, "line 2: 'I-A' without a 'B-A'"),
    ("a B-A\n\nb I-A\n", {}, "line 3: 'I-A' without a 'B-A'"),
    ("a S-A\nb I-A\n", {}, r"line 2: 'I-A' does not fit: no span .* \(tags are read as IOBES\)"),
    ("a B-A\nb O\nc E-A\n", {}, "line 2: 'O' does not fit: 'I-A' or 'E-A' was expected"),
    ("a S-A\nb B-A\n\nc O\n", {}, "line 2: the sentence ends inside a span"),
    ("a S-A\n", {"form": "IOB2"}, "line 1: 'S-A' is no tag of IOB2"),
    ("a E-A\n", {"form": "IOB1"}, "line 1: 'E-A' is no tag of IOB1"),
    ("a\tO\n\tO\n", {}, "line 2: the token is empty"),
    ("a\tO\nb\t\n", {}, "line 2: '' is no tag"),
    ("a\tO\nb\tB-x y\n", {}, "line 2: 'B-x y' is no tag: a word without blanks"),
    ("a O\n", {"tag": 2}, "column 2 was named for the tags, but the lines have 2 columns"),
    ("a O\n", {"token": -3}, "column -3 was named for the tokens"),
    ("a O\n", {"token": 1}, "column 1 cannot hold both"),
    ("a O\n", {"form": "BIO"}, "form must be one of 'IOB2'"),
    ("\n-DOCSTART- O\n\n", {}, "the file holds no sentence"),
]


@pytest.mark.parametrize(("text", "options", "words"), BAD)
def test_a_malformed_line_is_named(tmp_path, text, options, words):
    path = tmp_path / "bad.conll"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"^.*bad.conll: {words}") as caught:
        read_conll(path, **options)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "bad.conll"
    path.write_bytes(b"a O\n\xff O\n")
    with pytest.raises(DataError, match=r"bad\.conll: line 2: byte 0xff is not UTF-8"):
        read_conll(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"bad\.conll: the file is empty: lines with a token and its tag were expected"):
        read_conll(path)
    with pytest.raises(DataError, match=r"none\.conll: there is no such file"):
        read_conll(tmp_path / "none.conll")
