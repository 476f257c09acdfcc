"""Vocabularies: what they count, what they know, there and back, and what they refuse."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.data.sequences.vocabulary import PAD, SPECIAL, UNITS, UNKNOWN, Vocabulary, tokens

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))  # all but halves of characters


def test_the_most_frequent_symbols_come_first_and_equal_ones_by_code_point():
    vocabulary = Vocabulary.of(["bcb", "ab", "zc"], "characters")
    assert vocabulary.symbols == ("b", "c", "a", "z")
    assert vocabulary.size == 6
    assert [vocabulary.index(symbol) for symbol in ("b", "z", "<pad>", "<unknown>", "q")] == [2, 5, 0, 1, 1]
    assert Vocabulary.of(["cab b", "b a"], "words").symbols == ("b", "a", "cab")


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_rare_symbols_are_unknown(unit):
    text = "a a a b b c"
    assert set(Vocabulary.of([text], unit, least=2).symbols) - {" "} == {"a", "b"}
    least = Vocabulary.of([text.replace(" ", "") if unit == "characters" else text], unit, most=1)
    assert least.symbols == ("a",)
    assert least.encode("b").tolist() == [UNKNOWN]
    ids = np.array([[2, UNKNOWN, 2, 2], [UNKNOWN, PAD, PAD, PAD]])
    assert least.unknown_share(ids) == 2 / 5
    assert least.unknown_share(ids[:, :0]) == 0


@settings(deadline=None)  # here and below: the first words of a process wait for their pattern
@given(TEXTS)
def test_characters_and_bytes_come_back(text):
    for unit in ("characters", "bytes"):
        vocabulary = Vocabulary.of([text], unit, special=(*SPECIAL, "<start>"))
        ids = vocabulary.encode(text)
        assert ids.dtype == np.int32
        assert not ids.size or ids.min() >= 3
        assert vocabulary.decode(ids) == text
        assert [vocabulary.index(symbol) for symbol in tokens(text, unit)] == ids.tolist()


@settings(deadline=None)
@given(st.text(st.characters()), st.text(st.characters()))
def test_what_a_vocabulary_does_not_know_is_unknown_and_never_an_error(seen, text):
    """Also halves of characters, which no file can hold."""
    for unit in UNITS:
        vocabulary = Vocabulary.of([seen], unit)
        ids = vocabulary.encode(text)
        known = {*tokens(seen, unit)} if unit != "bytes" else {chr(k) for k in range(256)}
        halves = {symbol for symbol in known if any("\ud800" <= c <= "\udfff" for c in symbol)}
        expected = [vocabulary.index(s) if s in known - halves else UNKNOWN for s in tokens(text, unit)]
        assert ids.tolist() == expected
        vocabulary.decode(ids).encode()  # a text that can be written


@settings(deadline=None)
@given(TEXTS)
def test_decoded_words_are_the_same_words(text):
    vocabulary = Vocabulary.of([text], "words")
    ids = vocabulary.encode(text)
    again = vocabulary.encode(vocabulary.decode(ids))
    # Quotes and hyphens may be glued to their neighbours; letters are neither lost nor added.
    assert vocabulary.decode(again).replace(" ", "") == vocabulary.decode(ids).replace(" ", "")
    assert "".join(tokens(text, "words")) == "".join(text.split())


def test_words_are_what_people_call_words():
    assert tokens("«Don't», re-read naïve_x2: 3.5€…", "words") == (
        ["«", "Don't", "»", ",", "re-read", "naïve", "_", "x2", ":", "3", ".", "5", "€", "…"]
    )
    assert tokens("हिन्दी में", "words") == ["हिन्दी", "में"]  # vowel signs are marks
    assert tokens("cafe\u0301s -a- 'b'", "words") == ["cafe\u0301s", "-", "a", "-", "'", "b", "'"]


def test_words_are_joined_as_people_write():
    text = 'He said: "go on (or not), please!" Then "no".'
    vocabulary = Vocabulary.of([text], "words", special=(*SPECIAL, "<end>"))
    assert vocabulary.decode([*vocabulary.encode(text), 0, 2]) == text
    assert Vocabulary("words", ("a",)).decode([2, 1, 0, 2]) == "a <unknown> a"


def test_special_symbols_are_left_out_and_unknown_ones_shown():
    vocabulary = Vocabulary("characters", ("a", "b"), (*SPECIAL, "<start>", "<end>"))
    assert vocabulary.encode("ab?").tolist() == [4, 5, 1]
    assert vocabulary.decode([2, 4, 1, 5, 3, 0, 0]) == "a\N{REPLACEMENT CHARACTER}b"
    data = Vocabulary.of([], "bytes")
    assert data.size == 258
    assert data.decode(data.encode("é")[:1]) == "\N{REPLACEMENT CHARACTER}"
    assert data.decode([]) == ""


@pytest.mark.parametrize("ids", [[-1], [4], [[2]], [0.5], np.zeros(2)])
def test_integers_of_no_symbol_are_refused(ids):
    with pytest.raises(ValueError, match="ids must be"):
        Vocabulary("characters", ("a", "b")).decode(ids)


@settings(deadline=None)
@given(TEXTS, st.sampled_from(UNITS))
def test_a_vocabulary_comes_back_from_json(text, unit):
    vocabulary = Vocabulary.of([text], unit, special=(*SPECIAL, "<end>"))
    again = Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)


GOOD = {"unit": "characters", "symbols": ["a", "b"], "special": ["<pad>", "<unknown>"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": "letters"}, "unit must be one of"),
        ({"unit": 3}, "a text 'unit'"),
        ({"unit": "bytes"}, "lists no symbols"),
        ({"symbols": ["a", "a"]}, "'a' stands there twice"),
        ({"symbols": ["a", 1]}, "tuple of texts"),
        ({"symbols": ["a", ["b"]]}, "tuple of texts"),
        ({"symbols": "ab"}, "lists 'symbols' and 'special'"),
        ({"symbols": ["ab"]}, "'ab' is not a symbol"),
        ({"symbols": [""]}, "'' is not a symbol"),
        ({"symbols": ["\ud800"]}, "is not a symbol"),
        ({"unit": "words", "symbols": ["a b"]}, "'a b' is not a symbol"),
        ({"special": ["<pad>"]}, "special must begin with"),
        ({"special": ["<unknown>", "<pad>"]}, "special must begin with"),
        ({"special": ["<pad>", "<unknown>", "a"]}, "names in angle brackets"),
        ({"special": ["<pad>", "<unknown>", "<pad>"]}, "stands there twice"),
        ({"special": None}, "lists 'symbols' and 'special'"),
        ({"more": 1}, "has the entries"),
    ],
)
def test_hostile_content_is_refused_in_one_line(change, words):
    assert Vocabulary.from_dict(GOOD).symbols == ("a", "b")
    with pytest.raises(ValueError, match=words) as caught:
        Vocabulary.from_dict({**GOOD, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, [], "text", {}])
def test_what_is_no_vocabulary_is_refused(content):
    with pytest.raises(ValueError, match="has the entries"):
        Vocabulary.from_dict(content)


def test_millions_of_characters_take_no_time(rng):
    text = "".join(map(chr, rng.integers(32, 1000, 2_000_000)))
    vocabulary = Vocabulary.of([text], "characters")
    vocabulary.encode("a")
    start = time.process_time()
    ids = vocabulary.encode(text)
    assert time.process_time() - start < 0.4  # a loop over the characters takes longer than that; this, a tenth
    assert vocabulary.decode(ids) == text


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=4))
def test_the_order_of_texts_does_not_matter(texts):
    for unit in UNITS:
        assert Vocabulary.of(texts, unit) == Vocabulary.of(reversed(texts), unit)
