"""Simple models of sequences against the same counts made one by one, and by hand."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.models.scores import labels as scores
from minirnn.models.simple import classes, ngrams
from minirnn.models.simple.classes import Majority, NaiveBayes, NearestNeighbour, summary
from minirnn.models.simple.ngrams import NgramModel
from minirnn.models.simple.tags import NgramTagger

# ---- classes


def numeric(n, seed, C=3):
    """Sequences of unequal length whose class is how steeply the second column rises."""
    rng = np.random.default_rng(seed)
    y = rng.integers(C, size=n)
    x = [rng.normal(size=(rng.integers(2, 12), 2)) for _ in range(n)]
    return [s + np.outer(np.arange(len(s)), [0, 1 + k]) for s, k in zip(x, y)], y


def test_majority_gives_smoothed_frequencies():
    p = Majority().fit("abcd", [2, 2, 0, 2], 3, ("e", [0])).predict("xy")
    assert p == pytest.approx(np.array([[2, 1, 4]] * 2) / 7)


def test_summary_equals_numpy_sequence_by_sequence():
    x, _ = numeric(20, 0)
    x[3] = x[3][:1]
    for own, row in zip(x, summary(x)):
        slope = np.polyfit(np.arange(len(own)), own, 1)[0] if len(own) > 1 else np.zeros(2)
        expected = [own.mean(0), own.std(0), own.min(0), own.max(0), own[-1], slope]
        np.testing.assert_allclose(row, np.concatenate(expected), atol=1e-12)


def test_nearest_neighbours_are_the_nearest():
    x, y = numeric(300, 0)
    x_val, y_val = numeric(100, 1)
    model = NearestNeighbour().fit(x, y, 3, (x_val, y_val))
    train, queries = summary(x), summary(x_val)
    distances = (((queries[:, None] - train[None]) / train.std(0)) ** 2).sum(-1)
    nearest = np.argsort(distances, axis=1)
    frequencies = (np.bincount(y) + 1) / (len(y) + 3)
    losses = {}
    for k in classes.NEIGHBOURS:
        votes = np.stack([(y[nearest[:, :k]] == c).sum(1) for c in range(3)], axis=1)
        p = (votes + frequencies) / (k + 1)
        losses[k] = scores.log_loss(y_val, p)
        if k == model.k:
            np.testing.assert_allclose(model.predict(x_val), p)
    assert model.k == min(losses, key=losses.get)
    assert losses[model.k] < 0.7 * scores.log_loss(y_val, Majority().fit(x, y, 3, (x_val, y_val)).predict(x_val))


def test_nearest_neighbour_does_not_depend_on_units_and_bears_constants_and_few_rows():
    x, y = numeric(60, 0)
    judge = numeric(30, 1)
    model = NearestNeighbour().fit(x, y, 3, judge)
    scaled = NearestNeighbour().fit([s * 1024 - 3 for s in x], y, 3, ([s * 1024 - 3 for s in judge[0]], judge[1]))
    np.testing.assert_allclose(scaled.predict([s * 1024 - 3 for s in x]), model.predict(x))
    few = NearestNeighbour().fit([np.ones(3), np.ones(2)], [0, 1], 2, ([np.ones(2)], [0]))
    assert few.k == 1
    assert few.predict([np.ones(4)]).sum() == pytest.approx(1)


def test_of_many_sequences_only_some_are_kept(monkeypatch):
    monkeypatch.setattr(classes, "KEPT", 50)
    x, y = numeric(200, 0)
    judge = numeric(50, 1)
    first, again = (NearestNeighbour().fit(x, y, 3, judge).predict(judge[0]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    full = (np.bincount(y) + 1) / (len(y) + 3)  # the frequencies are those of all
    assert (first > full / 46 - 1e-12).all()


def test_naive_bayes_by_hand(monkeypatch):
    monkeypatch.setattr(classes, "ALPHAS", (1.0,))
    texts, y = ["good good film", "bad film"], [0, 1]
    model = NaiveBayes().fit(texts, y, 2, (["good", "bad", "film"], [0, 1, 0]))
    # Words good, bad, film; class 0 holds 3 words, class 1 two.
    p = {"good": (3 / 6, 1 / 5), "bad": (1 / 6, 2 / 5), "film": (2 / 6, 2 / 5)}
    for text in ("good", "Bad film!", "unknown", ""):
        odds = np.array([0.5, 0.5])
        for word in text.lower().strip("!").split():
            odds = odds * p.get(word, (1, 1))
        odds = odds ** (1 / model.temperature)
        assert model.predict([text])[0] == pytest.approx(odds / odds.sum())


def test_naive_bayes_is_made_no_surer_by_a_validation_part_without_mistakes():
    texts, y = ["good film", "bad film"] * 5, [0, 1] * 5
    assert NaiveBayes().fit(texts, y, 2, (["good", "bad"], [0, 1])).temperature == 1


def test_naive_bayes_chooses_on_the_validation_part_and_is_not_too_sure():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"w{i}" for i in range(50)])

    def draw(n):
        y = rng.integers(2, size=n)
        p = np.stack([np.linspace(1, 1.5, 50), np.linspace(1.5, 1, 50)])
        p /= p.sum(1, keepdims=True)
        # Every word comes five times: naive Bayes takes it for five witnesses.
        return [" ".join(np.repeat(rng.choice(vocabulary, 12, p=p[c]), 5)) for c in y], y

    train, judge, test = draw(300), draw(200), draw(400)
    model = NaiveBayes().fit(*train, 2, judge)
    assert model.temperature > 2
    loss = scores.log_loss(test[1], model.predict(test[0]))
    assert loss < scores.log_loss(test[1], Majority().fit(*train, 2, judge).predict(test[0]))
    model.temperature = 1.0
    assert loss < scores.log_loss(test[1], model.predict(test[0]))


@pytest.mark.parametrize(
    ("model", "sequences"),
    [(Majority, ["a"] * 4), (NearestNeighbour, [np.ones(2)] * 4), (NaiveBayes, ["", "", "", ""])],
)
def test_probabilities_are_positive_and_sum_to_one(model, sequences):
    p = model().fit(sequences, [0, 1, 1, 1], 3, (sequences, [0, 1, 1, 1])).predict(sequences[:2])
    assert p.shape == (2, 3)
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert model.title


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: summary([np.ones((3, 2)), np.ones((3, 1))]), r"sequence 1: expected \(T, 2\)"),
        (lambda: summary([np.ones((0, 2))]), "at least one row"),
        (lambda: summary([[1.0], [1.0, np.nan]]), "sequence 1: a value is missing"),
        (lambda: Majority().fit(["a"], [3], 3, (["a"], [0])), "training: labels are integers from 0 to 2"),
        (lambda: Majority().fit(["a"], [0], 3, ([], [])), "validation: 0 sequences and 0 labels"),
        (
            lambda: NearestNeighbour().fit([[1.0]], [0], 1, ([[1.0]], [0])).predict([np.ones((1, 2))]),
            "2 columns, but 1",
        ),
        (lambda: NgramTagger(4), "odd number"),
        (lambda: NgramTagger().fit([[1, 2]], [[1]]), "sequence 0 has 2 symbols, but 1 tags"),
        (lambda: NgramTagger().fit([[1]], []), "1 sequences, but 0"),
        (lambda: NgramTagger().fit([[]], [[]]), "no symbol"),
        (lambda: NgramModel(0), "at least 1"),
        (lambda: NgramModel(2, "none"), "expected one of witten-bell, kneser-ney, got 'none'"),
        (lambda: NgramModel().fit([[]]), "no symbol"),
        (lambda: NgramModel().fit([[0.5]]), "document 0: expected integers"),
        (lambda: NgramModel().fit([[0], [-1]]), "document 1: expected integers from 0, got -1"),
        (lambda: NgramModel().fit([[0, 1]]).bits([[0], [2]]), "document 1: 2 is no symbol of 2"),
        (lambda: NgramModel().fit([[0, 1]]).bits([[]]), "no character"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---- tags


def test_tagger_backs_off_from_five_to_three_to_one_to_none():
    # Tag of 5 by context: 1 2 [5] 3 4 -> 1;  2 [5] 3 -> mostly 2;  5 -> mostly 3;  anything -> mostly 0.
    sequences = [[1, 2, 5, 3, 4], *[[9, 2, 5, 3, 9]] * 2, *[[9, 9, 5, 9, 9]] * 4]
    tags = [[0, 0, 1, 0, 0], *[[0, 0, 2, 0, 0]] * 2, *[[0, 0, 3, 0, 0]] * 4]
    tagger = NgramTagger(5).fit(sequences, tags)
    queries = [[1, 2, 5, 3, 4], [4, 2, 5, 3, 1], [4, 1, 5, 1, 4], [1, 2, 77, 3, 4]]
    assert [int(found[2]) for found in tagger.predict(queries)] == [1, 2, 3, 0]
    one = NgramTagger(1).fit(sequences, tags)
    assert [int(found[2]) for found in one.predict(queries)] == [3, 3, 3, 0]


def test_a_symbol_that_training_did_not_hold_is_none_of_those_it_held():
    assert NgramTagger(1).fit([[0, 1, 1]], [[2, 1, 1]]).predict([[7, 0]])[0].tolist() == [1, 2]


def test_tagger_does_not_look_beyond_a_document():
    tagger = NgramTagger(3).fit([[1, 2], [1, 2], [1], [3, 1]], [[0, 0], [0, 0], [1], [0, 2]])
    together = [int(t) for own in tagger.predict([[3], [1], [2]]) for t in own]
    assert together == [0, 1, 0]
    assert tagger.predict([[3, 1, 2]])[0].tolist() != together
    assert [len(own) for own in tagger.predict([[], [1], []])] == [0, 1, 0]
    assert tagger.predict([]) == []


documents = st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=5).filter(any)


@settings(max_examples=40, deadline=None)
@given(documents, documents, st.integers(0, 2**32 - 1))
def test_tagger_equals_dictionaries_of_counts(train, test, seed):
    rng = np.random.default_rng(seed)
    tags = [rng.integers(3, size=len(d)).tolist() for d in train]
    counts = defaultdict(Counter)

    def contexts(d, i):
        padded = ["^", "^", *d, "^", "^"]
        return [tuple(padded[i + 2 - k : i + 3 + k]) for k in (2, 1, 0)] + [()]

    for d, own in zip(train, tags):
        for i, tag in enumerate(own):
            for context in contexts(d, i):
                counts[context][tag] += 1
    expected = []
    for d in test:
        found = []
        for i in range(len(d)):
            context = next(c for c in contexts(d, i) if c in counts)
            found.append(min(counts[context], key=lambda t: (-counts[context][t], t)))
        expected.append(found)
    assert [own.tolist() for own in NgramTagger(5).fit(train, tags).predict(test)] == expected


# ---- n-grams


def by_dictionaries(train, order, size, smoothing):
    """p(symbol | context) with one dictionary for each length, as the papers write it."""
    padded = [["^"] * (order - 1) + list(d) for d in train]
    levels = []
    for k in range(order):  # n-grams of k + 1 symbols that end in a symbol of a document
        grams = [tuple(d[i - k : i + 1]) for d in padded for i in range(order - 1, len(d))]
        levels.append(Counter(grams))
    if smoothing == "kneser-ney":
        levels = [*(Counter(gram[1:] for gram in set(longer)) for longer in levels[1:]), levels[-1]]

    def p(symbol, context):
        value = 1 / size
        for k, counts in enumerate(levels):
            h = tuple(context[len(context) - k :])
            following = {gram[-1]: c for gram, c in counts.items() if gram[:-1] == h}
            if not following:
                return value
            n, c, t = sum(following.values()), following.get(symbol, 0), len(following)
            if smoothing == "witten-bell":
                value = (c + t * value) / (n + t)
            else:
                D = dict(zip((1, 2, 3), ngrams.discounts(np.array(list(counts.values())))))
                taken = sum(D[min(each, 3)] for each in following.values())
                value = (max(c - D[min(c, 3)], 0) if c else 0) / n + taken / n * value
        return value

    return p


@pytest.mark.parametrize("smoothing", ["witten-bell", "kneser-ney"])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_ngrams_equal_dictionaries_of_counts(smoothing, order):
    rng = np.random.default_rng(order)
    train = [rng.choice(4, size=n, p=[0.1, 0.5, 0.3, 0.1]) for n in (60, 0, 25, 1, 90)]
    size = 6  # 4 and 5 never occur in training
    model, p = NgramModel(order, smoothing).fit(train, size), by_dictionaries(train, order, size, smoothing)
    test = rng.integers(size, size=40)
    expected = [p(w, ["^"] * (order - 1) + test[:i].tolist()) for i, w in enumerate(test)]
    np.testing.assert_allclose(np.exp(model.log_probabilities(test)), expected, rtol=1e-12)
    assert model.bits([test[:10], test[:0], test]) == pytest.approx(
        -np.mean(np.log2([*expected[:10], *expected])), rel=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(
    documents,
    st.lists(st.integers(0, 4), max_size=6),
    st.integers(1, 5),
    st.sampled_from(["witten-bell", "kneser-ney"]),
)
def test_probabilities_sum_to_one_after_any_context(train, context, order, smoothing):
    model = NgramModel(order, smoothing).fit(train, size=5)
    p = model.distribution(context)
    assert p.shape == (5,)
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1, abs=1e-12)
    for w in range(5):  # and they are those by which a document is scored
        assert np.exp(model.log_probabilities([*context, w])[-1]) == pytest.approx(p[w], rel=1e-12)


def test_witten_bell_by_hand():
    # After 1: 2 twice. Of all: 1 three times, 2 twice, of V = 3.
    p = NgramModel(2).fit([[1, 2, 1, 2, 1]], size=3).distribution([1])
    one = (np.array([0, 3, 2]) + 2 * (1 / 3)) / (5 + 2)
    assert p == pytest.approx((np.array([0, 0, 2]) + 1 * one) / (2 + 1))


def test_discounts_by_hand_and_where_there_are_too_few():
    counts = np.repeat([1, 2, 3, 4, 9], [10, 4, 2, 1, 7])
    y = 10 / (10 + 2 * 4)
    assert ngrams.discounts(counts) == pytest.approx([1 - 2 * y * 4 / 10, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2])
    assert ngrams.discounts(np.array([1, 1, 2])).tolist() == [0.5, 1, 1.5]


def test_kneser_ney_asks_how_many_contexts_a_symbol_follows():
    # 2 comes often, though only after 1; 3 is rarer and comes after everything.
    train = [[1, 2] * 20 + [0, 3, 4, 3, 5, 3, 6, 3, 7, 3] * 2]
    new = [8]  # never seen: the choice is that of the shorter context
    wb, kn = (NgramModel(2, s).fit(train, size=9).distribution(new) for s in ("witten-bell", "kneser-ney"))
    assert wb[2] > wb[3]
    assert kn[3] > kn[2]


def test_more_context_helps_where_the_text_has_it():
    rng = np.random.default_rng(0)
    words = [rng.integers(2, 12, size=6) for _ in range(20)]
    texts = [np.concatenate([np.append(words[i], 1) for i in rng.integers(20, size=40)]) for _ in range(12)]
    for smoothing in ("witten-bell", "kneser-ney"):
        bits = [NgramModel(order, smoothing).fit(texts[:10], 12).bits(texts[10:]) for order in (1, 2, 3, 5)]
        assert bits == sorted(bits, reverse=True)
        assert bits[0] < np.log2(12)


def test_symbols_may_be_many_and_contexts_long():
    """Numbers of contexts, not packed symbols: nothing overflows where size ** order is beyond 64 bits."""
    size = 100_000
    document = np.random.default_rng(0).integers(size, size=500)
    model = NgramModel(9).fit([document], size)
    assert model.distribution(document[:8]).sum() == pytest.approx(1)
    assert model.distribution(document[:8]).argmax() == document[8]
    tagger = NgramTagger(9).fit([document], [np.arange(500)])
    np.testing.assert_array_equal(tagger.predict([document])[0], np.arange(500))
