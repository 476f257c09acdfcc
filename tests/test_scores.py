"""Scores of classes, spans and texts against numbers computed by hand, and what must hold of any."""

import builtins
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.models.context import Unsuitable
from minirnn.models.scores import labels, spans, texts

# ---- classes

Y, P = [0, 0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 1, 0, 1]


def test_confusion_has_truth_in_rows():
    assert labels.confusion(Y, P).tolist() == [[2, 1, 1], [1, 1, 0], [0, 1, 0]]
    assert labels.confusion(Y, P, 4).shape == (4, 4)
    assert labels.accuracy(Y, P) == 3 / 7


def test_table_is_the_classification_report():
    table = labels.table(Y, P, ["a", "b", "c", "never"])
    assert list(table.index) == ["a", "b", "c", "never", "macro average", "weighted average"]
    assert list(table.columns) == ["precision", "recall", "f1", "support"]
    assert table.support.tolist() == [4, 2, 1, 0, 7, 7]
    a, b, c = (2 / 3, 2 / 4, 4 / 7), (1 / 3, 1 / 2, 2 / 5), (0, 0, 0)
    for i, field in enumerate(("precision", "recall", "f1")):
        column = table[field]
        assert column[["a", "b", "c", "never"]].tolist() == pytest.approx([a[i], b[i], c[i], 0])
        # "never" neither occurs nor is predicted; c occurs and is never found, which counts as 0.
        assert column["macro average"] == pytest.approx((a[i] + b[i] + c[i]) / 3)
        assert column["weighted average"] == pytest.approx((4 * a[i] + 2 * b[i] + c[i]) / 7)
    assert labels.macro_f1(Y, P, 4) == pytest.approx(table.f1["macro average"])


def test_a_class_that_is_only_predicted_counts_in_the_macro_average():
    assert labels.macro_f1([0, 0], [0, 1]) == pytest.approx((2 / 3 + 0) / 2)


def test_probabilities_stand_for_the_most_probable_class():
    p = np.array([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0]])  # of equals the first
    assert labels.confusion([1, 1], p).tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert labels.accuracy([1, 0], p) == 1


def test_log_loss_is_the_mean_surprise_and_stays_finite():
    assert labels.log_loss([0, 1], [[0.5, 0.5], [0.9, 0.1]]) == pytest.approx((math.log(2) + math.log(10)) / 2)
    assert labels.log_loss([1], [[1.0, 0.0]]) == pytest.approx(-math.log(1e-15))
    assert labels.log_loss([0], [[1.0, 0.0]]) == 0


def test_calibration_error_of_each_bin_weighs_by_its_size():
    # Two bins: 0.6 sure and right once of 2; 0.9 sure and right once of 1.
    p = [[0.6, 0.4], [0.4, 0.6], [0.1, 0.9]]
    assert labels.calibration_error([0, 0, 1], p, bins=5) == pytest.approx((2 * abs(0.6 - 0.5) + abs(0.9 - 1)) / 3)
    assert labels.calibration_error([0, 1], [[1.0, 0.0], [0.0, 1.0]]) == 0


def test_temperature_finds_the_factor_that_logits_are_too_large_by():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4_000, 3)) * 2
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)  # drawn from softmax(z)
    for factor in (0.25, 1.0, 4.0):
        T = labels.temperature(factor * z + 1e4, y)
        assert pytest.approx(factor, rel=0.06) == T

        def loss(t):
            p = np.exp(factor * z / t)
            return labels.log_loss(y, p / p.sum(1, keepdims=True))

        assert loss(T) <= min(loss(T * 1.01), loss(T / 1.01), loss(1.0))


def test_temperature_stays_within_its_bounds():
    z = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert labels.temperature(z, [0, 1]) == 0.05  # always right: the surer the better
    assert labels.temperature(z, [1, 0]) == 20  # always wrong
    assert labels.temperature(np.zeros((2, 2)), [0, 1]) == 1
    assert labels.temperature(1e300 * z, [0, 1]) == 1  # no T makes these less sure
    assert labels.temperature(1e300 * z, [1, 0]) == 20


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: labels.accuracy([], []), "nothing to score"),
        (lambda: labels.accuracy([0, 1], [0]), "2 labels, but 1 predictions"),
        (lambda: labels.accuracy([0.0], [0]), "expected integers"),
        (lambda: labels.accuracy([-1], [0]), "from 0, got -1"),
        (lambda: labels.confusion([3], [0], 3), "3 is no class of 3"),
        (lambda: labels.table([0], [[0.5, 0.5]], ["a"]), "1 names, but probabilities of 2"),
        (lambda: labels.log_loss([2], [[0.5, 0.5]]), "2 is no class of 2"),
        (lambda: labels.log_loss([0, 0], [[0.5, 0.5], [np.nan, 1]]), "row 1 is not finite"),
        (lambda: labels.log_loss([0], [0.5]), r"expected \(1, C\), got \(1,\)"),
        (lambda: spans.micro_f1([[]], []), "1 documents with true spans, but 0"),
        (lambda: spans.token_accuracy([[0, 1]], [[0]]), "document 0 has 2 true tags, but 1"),
        (lambda: spans.token_accuracy([[]], [[]]), "no token"),
        (lambda: texts.exact_match(["a"], []), "1 predictions, but 0 references"),
        (lambda: texts.chrf([], []), "no text"),
        (lambda: texts.character_error_rate(["a"], [""]), "no reference holds a character"),
        (lambda: texts.word_error_rate(["a"], [" "]), "no reference holds a word"),
        (lambda: texts.bits_per_character(1.0, 0), "no character"),
        (lambda: texts.perplexity(1.0, 0), "no symbol"),
    ],
)
def test_what_cannot_be_scored_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---- spans

TRUE = [[(0, 1, "PER"), (3, 5, "ORG"), (7, 8, "PER")], [], [(2, 4, "LOC")]]
FOUND = [[(0, 1, "PER"), (3, 4, "ORG"), (7, 8, "ORG")], [(0, 1, "PER")], [(2, 4, "LOC")]]


def test_a_span_counts_where_both_ends_and_the_type_are_right():
    table = spans.table(TRUE, FOUND)
    assert list(table.index) == ["LOC", "ORG", "PER", "micro average", "macro average", "weighted average"]
    assert table.loc["LOC"].tolist() == [1, 1, 1, 1]
    assert table.loc["ORG"].tolist() == [0, 0, 0, 1]
    assert table.loc["PER"].tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 2, 2])
    assert table.loc["micro average"].tolist() == pytest.approx([2 / 5, 2 / 4, 4 / 9, 4])
    assert table.loc["macro average"].tolist() == pytest.approx([0.5, 0.5, 0.5, 4])
    assert table.loc["weighted average"].tolist() == pytest.approx([0.5, 0.5, 0.5, 4])
    assert spans.micro_f1(TRUE, FOUND) == pytest.approx(4 / 9)


def test_spans_of_different_documents_are_different_and_the_same_span_counts_once():
    assert spans.micro_f1([[(0, 1, "A")], []], [[], [(0, 1, "A")]]) == 0
    assert spans.micro_f1([[(0, 1, "A")]], [[(0, 1, "A"), (0, 1, "A")]]) == 1
    assert spans.micro_f1([[]], [[]]) == 0
    assert spans.table([[]], [[]]).f1.tolist() == [0, 0, 0]
    assert spans.table([[(0, 1, "A")]], [[(0, 1, "A"), (1, 2, "B")]]).f1["macro average"] == 0.5  # B is only predicted
    assert spans.micro_f1([[(0, 1, "A")]], [[[np.int64(0), np.int64(1), "A"]]]) == 1


def test_many_right_tokens_may_hide_that_no_entity_is_right():
    # One sentence of 20 words with two names of three words: each is found but for its last word.
    names = ["O", "B-PER", "I-PER"]
    true, found = np.zeros((2, 20), int)
    true[[3, 10]] = found[[3, 10]] = 1
    true[[4, 5, 11, 12]] = 2
    found[[4, 11]] = 2
    assert spans.token_accuracy([true], [found]) == 18 / 20
    table = spans.token_table([true, []], [found, []], names)  # an empty document says nothing
    assert table.loc["I-PER"].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 4])
    assert table.loc["B-PER", "f1"] == 1
    assert spans.micro_f1([[(3, 6, "PER"), (10, 13, "PER")]], [[(3, 5, "PER"), (10, 12, "PER")]]) == 0


# ---- texts


def distance(a, b):
    """Levenshtein's recursion as it is defined, cell by cell."""
    d = {(i, 0): i for i in range(len(a) + 1)} | {(0, j): j for j in range(len(b) + 1)}
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
    return d[len(a), len(b)]


short = st.text("abc", max_size=9)


@settings(max_examples=60, deadline=None)
@given(short, short, short)
def test_edit_distance_is_levenshteins_and_a_metric(a, b, c):
    assert texts.edit_distance(a, b) == distance(a, b) == texts.edit_distance(b, a)
    assert (texts.edit_distance(a, b) == 0) == (a == b)
    assert texts.edit_distance(a, c) <= texts.edit_distance(a, b) + texts.edit_distance(b, c)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("flaw", "lawn", 2),
        ("intention", "execution", 5),
        ([1, 2, 3], (1, 3), 1),
        ("€\ud800x", "€x", 1),
    ],
)
def test_edit_distances_by_hand(a, b, expected):
    assert texts.edit_distance(a, b) == expected


def test_rates_of_errors_divide_by_the_length_of_the_references():
    assert texts.character_error_rate(["abc", "abcdef"], ["abd", "abc"]) == (1 + 3) / 6
    assert texts.word_error_rate(["the  cat sat", "no"], ["the cat sits", "no no"]) == (1 + 1) / 5
    assert texts.exact_match(["a", "b", "c"], ["a", "x", "c"]) == 2 / 3


def test_chrf_by_hand():
    assert texts.chrf(["a b c"], ["abc"]) == 100  # white space is removed
    # "ab" of "abc": lengths 1 and 2 occur on both sides; precision 1 and 1, recall 2/3 and 1/2.
    P, R = 1, (2 / 3 + 1 / 2) / 2
    assert texts.chrf(["ab"], ["abc"]) == pytest.approx(100 * 5 * P * R / (4 * P + R))
    assert texts.chrf(["abc"], ["ab"]) == pytest.approx(100 * 5 * P * R / (4 * R + P))
    assert texts.chrf(["abc"], ["ab"], n=1, beta=1) == pytest.approx(100 * 2 * (2 / 3) / (1 + 2 / 3))
    # Counts are summed before they are divided: 3 of 4 characters, 1 of 2 pairs.
    P = (3 / 4 + 1 / 2) / 2
    assert texts.chrf(["ab", "cx"], ["ab", "cd"]) == pytest.approx(100 * P)
    # Pairs of a prediction whose reference has none are not counted: 4 of 7 characters, 2 of 2 pairs, 1 of 1 triple.
    P = (4 / 7 + 1 + 1) / 3
    assert texts.chrf(["abcd", "abc"], ["a", "abc"]) == pytest.approx(100 * 5 * P / (4 * P + 1))
    assert texts.chrf(["aaa"], ["ab"], n=1) == pytest.approx(100 * 5 * (1 / 3) * (1 / 2) / (4 / 3 + 1 / 2))
    assert texts.chrf(["xyz"], ["abc"]) == 0
    assert texts.chrf([""], ["abc"]) == 0


@pytest.mark.peers
def test_chrf_and_bleu_are_those_of_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    rng = np.random.default_rng(0)
    draw = [" ".join("".join(rng.choice(list("abc"), rng.integers(1, 4))) for _ in range(6)) for _ in range(40)]
    predictions, references = [*draw[:20], "", "a", "abcd"], [*draw[20:], "b", "ab", "a"]
    assert texts.chrf(predictions, references) == pytest.approx(sacrebleu.corpus_chrf(predictions, [references]).score)
    assert texts.bleu(predictions, references) == sacrebleu.corpus_bleu(predictions, [references]).score
    assert texts.bleu(references, references) == pytest.approx(100)


def test_without_sacrebleu_one_line_says_what_to_install(monkeypatch):
    genuine = builtins.__import__

    def without(name, *rest):
        if name == "sacrebleu":
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unsuitable, match=r"^sacrebleu is not installed \(pip install 'minirnn\[bleu\]'\)$"):
        texts.bleu(["a"], ["a"])


def test_bits_and_perplexity_of_a_uniform_model():
    nats = 100 * math.log(32)
    assert texts.bits_per_character(nats, 100) == pytest.approx(5)
    assert texts.perplexity(nats, 100) == pytest.approx(32)
    assert texts.perplexity(1e6, 1) == math.inf


def test_scores_and_baselines_load_no_pandas_and_no_jax():
    code = (
        "import minirnn.models.scores.labels, minirnn.models.scores.spans, minirnn.models.scores.texts, sys\n"
        "import minirnn.models.simple.classes, minirnn.models.simple.tags, minirnn.models.simple.ngrams\n"
        "print([m for m in ('jax', 'pandas', 'matplotlib', 'sacrebleu') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
