"""The language model: both halves, the state that goes on, what it scores, writes, keeps and explains."""

import json
import math
import os
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import minirnn
from minirnn import LanguageModel, random
from minirnn.data.sequences.texts import Document
from minirnn.data.sequences.vocabulary import UNKNOWN, Vocabulary
from minirnn.data.words import DataError
from minirnn.fast import language as fast
from minirnn.models import storage
from minirnn.models.estimator import ParameterError
from minirnn.models.language import explaining, judging, preparing, sampling
from minirnn.models.simple.ngrams import NgramModel
from minirnn.params import BETWEEN, Dropout, Embedding, Language, Network, Recurrent, chunks, init_network
from minirnn.params import language as constants
from minirnn.readable import language as readable
from minirnn.readable import network as networks
from minirnn.readable import optimizers

HALVES = {"readable": readable, "fast": fast}
SMALL = {
    "hidden_size": 6, "embedding_size": 4, "window": 8, "batch_size": 4, "max_epochs": 2, "min_count": 1,
    "learning_rate": 0.02, "backend": "readable",
}  # fmt: skip
V, W, B, S = 9, 7, 4, 5
NETWORK = Network((Embedding(V, 4), Recurrent("lstm", 5), Dropout(0.3), Recurrent("gru", 3)), V, read="steps")


def texts(n=12, seed=0):
    rng = np.random.default_rng(seed)
    words = ["if", "(x)", 'say("no")', "# why", "é", "\n    "]
    return [" ".join(rng.choice(words, 40)) + "\n" for _ in range(n)]


@pytest.fixture(scope="module")
def fitted():
    return LanguageModel(**SMALL).fit(texts())


def symbols(n=200, seed=0):
    found = np.random.default_rng(seed).integers(1, V, n).astype(np.int32)
    found[[0, 50, n - 1]] = BETWEEN
    return found


def rows(length):
    return preparing.drawing(length, B, W)(np.random.default_rng(3)).rows


def trained(half, key=None, rate=0.03, members=1):
    text = symbols()
    batches = np.repeat(rows(len(text)), members, axis=0)
    optimizer = half.make_optimizer(rate, 1.0, 0.0, 40, 5)
    state = half.start(optimizer, [init_network(k, NETWORK, None) for k in range(members)])
    reports, records = [], []
    for epoch in range(2):
        drop = None if key is None else random.fold_in(key, epoch)
        counts = np.ones(batches.shape[1:], np.float32)
        state, record = half.epoch(
            Language(NETWORK, W), optimizer, state, (text,), batches, counts, drop, report=lambda *r: reports.append(r)
        )
        records.append(record)
    return state, records, reports


def test_both_halves_train_alike(monkeypatch):
    monkeypatch.setattr(constants, "PIECE", 2 * B * W)  # four pieces of two batches, the last of which is half full
    (a, records_a, reports), (b, records_b, _) = (trained(half, random.key(5), members=2) for half in HALVES.values())
    assert [share for share, _ in reports] == [0.25, 0.5, 0.75, 1.0] * 2
    for x, y in zip(records_a, records_b, strict=True):
        assert x.losses.shape == (2, 7)
        assert x.losses[0, 0] != x.losses[1, 0]
        for name in ("loss", "losses", "gradient", "weights"):
            np.testing.assert_allclose(getattr(y, name), getattr(x, name), rtol=1e-5, err_msg=name)
    for x, y in zip(readable.members(a), fast.members(b), strict=True):
        for p, q in zip(optimizers.tree_leaves(x), optimizers.tree_leaves(y), strict=True):
            np.testing.assert_allclose(q, p, atol=2e-5)
    assert a.carried is b.carried is None  # an epoch begins anew, also after a checkpoint
    description, read = Language(NETWORK, W), symbols()[:4, None]
    (x, after_x), (y, after_y) = (half.advance(description, readable.members(a)[0], read) for half in HALVES.values())
    (x, _), (y, _) = (
        readable.advance(description, readable.members(a)[0], read, after_x),
        (fast.advance(description, readable.members(a)[0], read, after_y)),
    )
    np.testing.assert_allclose(y, x, atol=1e-6)


def test_two_devices_train_and_judge_as_one():
    code = """
import jax, json
jax.config.update("jax_num_cpu_devices", 2)
from minirnn import LanguageModel
settings = dict(cell="rnn", hidden_size=4, window=8, batch_size=5, max_epochs=2, min_count=1, dropout=0.4)
texts = ["to be or not to be, that is the question\\n" * 5] * 4
models = [LanguageModel(**settings).fit(texts, devices=count) for count in (1, 2)]
print(json.dumps([[m.devices_, m.history_.loss, m.history_.validation, m.score(texts[0])] for m in models]))
"""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(minirnn.__file__).parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr
    (one, *a), (two, *b) = json.loads(ended.stdout)
    assert (one, two) == (1, 2)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(y, x, rtol=1e-5)


def test_an_epoch_in_pieces_is_an_epoch(monkeypatch):
    whole = trained(readable)[1]
    monkeypatch.setattr(constants, "PIECE", 2 * B * W)
    for x, y in zip(whole, trained(readable)[1], strict=True):
        for name in x._fields:
            np.testing.assert_allclose(getattr(y, name), getattr(x, name), rtol=1e-6, err_msg=name)


def test_the_state_goes_on_from_chunk_to_chunk_and_begins_each_epoch_at_zero(monkeypatch):
    monkeypatch.setattr(constants, "PIECE", 2 * B * W)
    _, records, _ = trained(readable, rate=1e-30)  # the weights stay as they are
    text, starts = symbols(), rows(200)[0]
    params = init_network(0, NETWORK, None)
    length = len(starts) * W
    places = (starts[0] + np.arange(length + 1)[:, None]) % len(text)  # (T + 1, B) each stream in one piece
    logits = networks.forward(NETWORK, params, text[places[:-1]])[0]
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    each = -np.take_along_axis(log_p, text[places[1:]][..., None], axis=-1)[..., 0]
    asked = text[places[1:]] != BETWEEN
    expected = [(each * asked)[t : t + W].sum() / asked[t : t + W].sum() for t in range(0, length, W)]
    assert not asked.all()
    for record in records:
        np.testing.assert_allclose(record.losses[0], expected, rtol=1e-5)


def test_streams_are_cut_elsewhere_in_each_epoch_and_follow_on():
    draw, rng = preparing.drawing(1000, 4, 50), np.random.default_rng(0)
    first, second = draw(rng).rows, draw(rng).rows
    assert first.shape == (1, 5, 4)
    assert ((first[:, 1:] - first[:, :-1]) % 1000 == 50).all()
    assert sorted(first.ravel() % 50) == [first[0, 0, 0] % 50] * 20  # all 1,000 symbols once
    assert first[0, 0, 0] != second[0, 0, 0]
    assert preparing.drawing(30, 32, 64)(rng).rows.shape == (1, 1, 1)  # short texts too


def test_many_streams_are_judged_as_one_and_every_symbol_once():
    text = symbols(5000, seed=2)
    asked = [chunk.targets[chunk.asked] for chunk in chunks(text, 7)]
    assert sorted(np.concatenate(asked)) == sorted(text[text != BETWEEN])
    params = init_network(1, NETWORK, None)
    description = Language(NETWORK, W)
    state = readable.start(readable.make_optimizer(1e-3, 1.0), [params])
    logits = networks.forward(NETWORK, params, text[:-1, None])[0][:, 0].astype(np.float64)
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(4999), text[1:]]
    expected = each[text[1:] != BETWEEN].mean()
    assert readable.evaluate(description, state, (text,), count=1)[0] == pytest.approx(expected, rel=1e-6)
    assert readable.evaluate(description, state, (text,))[0] == pytest.approx(expected, rel=1e-5)
    other = fast.start(fast.make_optimizer(1e-3, 1.0), [params])
    assert fast.evaluate(description, other, (text,))[0] == pytest.approx(expected, rel=1e-5)


def test_a_score_is_what_the_symbols_cost_one_by_one(fitted):
    text = 'if say("no") é ☃\n'
    language, state, nats = Language(fitted.network_, 8), None, 0.0
    read = [BETWEEN, *fitted.vocabulary_.encode(text)]
    assert read.count(UNKNOWN) == 1
    for symbol, following in pairwise(read):
        logits, state = readable.advance(language, fitted.weights_, np.array([[symbol]]), state)
        nats += float(np.log(np.exp(logits[0] - logits[0, following]).sum()))
    assert fitted.score(text) == pytest.approx(nats / len(text) / math.log(2), rel=1e-5)
    with pytest.raises(DataError, match="nothing to score"):
        fitted.score("")


def test_the_same_seed_gives_the_same_file_and_a_file_the_same_model(fitted, tmp_path):
    again = LanguageModel(**SMALL).fit(texts())
    for name, model in (("a", fitted), ("b", again)):
        model.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = minirnn.load(tmp_path / "a.safetensors")
    assert repr(loaded) == repr(fitted)
    assert loaded.score("if (x)") == fitted.score("if (x)")
    assert loaded.set_params(backend="fast").score("if (x)") == pytest.approx(fitted.score("if (x)"), rel=1e-5)
    assert loaded.history_.validation == fitted.history_.validation
    for read in (loaded.evaluate, loaded.explain):
        with pytest.raises(ParameterError, match="loaded from a file"):
            read()


@pytest.mark.parametrize(
    "change",
    [
        lambda d, a: d["parameters"].update(hidden_size=10**9),
        lambda d, a: d["parameters"].update(num_layers=10**9),
        lambda d, a: (
            d["parameters"].update(hidden_size=10**9),
            a.update({"weights.head.W": np.zeros((10**9, 0), np.float32)}),
        ),
        lambda d, a: d["parameters"].update(cell="gru"),
        lambda d, a: d["parameters"].update(unit="words"),
        lambda d, a: d["vocabulary"]["symbols"].append(d["vocabulary"]["symbols"][0]),
        lambda d, a: d["vocabulary"]["symbols"].pop(),
        lambda d, a: d.pop("history"),
        lambda d, a: a["weights.head.W"].fill(np.nan),
        lambda d, a: a.update(more=np.zeros(2, np.float32)),
        lambda d, a: a.pop("weights.head.b"),
    ],
)
def test_a_damaged_file_ends_in_one_line(fitted, tmp_path, change):
    path = tmp_path / "model.safetensors"
    fitted.save(path)
    arrays, description = load_file(path), storage.read(path)[1]
    change(description, arrays)
    save_file(arrays, path, metadata={"minirnn": json.dumps(description)})
    with pytest.raises(storage.ModelFileError, match="damaged model"):
        minirnn.load(path)


def test_cut_off_and_resumed_it_ends_as_if_nothing_had_happened(fitted, tmp_path, monkeypatch):
    class CutError(Exception):
        pass

    whole, left = readable.epoch, [1]

    def epoch(*arguments, report=None, **options):
        left[0] -= 1
        if left[0] < 0:
            raise CutError
        return whole(*arguments, **options)

    path = tmp_path / "run.safetensors"
    monkeypatch.setattr(readable, "epoch", epoch)
    with pytest.raises(CutError):
        LanguageModel(**SMALL).fit(texts(), checkpoint=path)
    left[0] = 9
    resumed = LanguageModel(**SMALL).fit(texts(), checkpoint=path, resume=True)
    assert resumed.history_.validation == fitted.history_.validation
    for a, b in zip(optimizers.tree_leaves(resumed.weights_), optimizers.tree_leaves(fitted.weights_), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "went on from" in resumed.notes_[-1]


def test_a_fit_that_fails_leaves_the_model_as_it_was():
    model = LanguageModel(**SMALL).fit(texts(n=6))
    before = model.score("if")
    with pytest.raises(DataError, match="too little text"):
        model.fit("short")
    assert model.score("if") == before


def test_the_test_part_is_not_used_in_training(fitted):
    names = {name: {d.name for d in getattr(fitted.parts_, name)} for name in fitted.parts_._fields}
    assert all(names.values())
    assert sum(map(len, names.values())) == len(set().union(*names.values())) == 12
    documents = [
        Document(f"text {k}", text.replace("i", "ж") if f"text {k}" in names["test"] else text)
        for k, text in enumerate(texts(), 1)
    ]
    other = LanguageModel(**SMALL).fit(documents)
    for a, b in zip(optimizers.tree_leaves(other.weights_), optimizers.tree_leaves(fitted.weights_), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any("of the test part are rare or new" in line for line in other.notes_)


def test_the_verdict_stands_beside_the_stronger_5_gram_model(fitted):
    evaluation = fitted.evaluate()
    assert list(evaluation.scores.columns) == [judging.BITS, judging.PERPLEXITY]
    parts = {name: preparing.encode(fitted.vocabulary_, getattr(fitted.parts_, name)) for name in fitted.parts_._fields}
    fit = lambda smoothing, documents: NgramModel(5, smoothing).fit(documents, fitted.vocabulary_.size)  # noqa: E731
    tried = {smoothing: fit(smoothing, parts["train"]) for smoothing in ("kneser-ney", "witten-bell")}
    chosen = min(tried, key=lambda smoothing: tried[smoothing].bits(parts["validation"]))
    best = fit(chosen, parts["train"] + parts["validation"])
    bits = best.bits(parts["test"])
    assert evaluation.scores.loc[best.title, judging.BITS] == pytest.approx(bits)
    assert evaluation.scores.loc[best.title, judging.PERPLEXITY] == pytest.approx(2**bits)
    own = [fitted.score(text) * len(text) for _, text in fitted.parts_.test]
    letters = sum(len(text) for _, text in fitted.parts_.test)
    assert evaluation.score == pytest.approx(sum(own) / letters, rel=0.02)  # texts apart, or one after the other
    assert "does not beat" in evaluation.sentence
    better = judging.sentence(evaluation.scores.iloc[::-1], 3, 1000)
    json.dumps(evaluation.as_dict(), allow_nan=False)
    assert "of 3 unseen texts (1,000 characters)" in better


def test_words_and_bytes_are_counted_in_characters_too():
    for unit in ("words", "bytes"):
        model = LanguageModel(**SMALL | {"unit": unit, "max_epochs": 1}).fit(texts())
        scores = model.evaluate().scores.iloc[0]
        letters = preparing.characters(model.parts_.test)
        count = sum(len(model.vocabulary_.encode(text)) for _, text in model.parts_.test)
        assert count != letters
        assert scores[judging.BITS] * letters == pytest.approx(math.log2(scores[judging.PERPLEXITY]) * count)
        assert isinstance("".join(model.generate("if", length=30)), str)


# ---------------------------------------------------------------- writing


def test_what_is_written_depends_on_the_seed_and_never_holds_an_unknown_symbol(fitted):
    write = lambda **options: "".join(fitted.generate("if ☃", length=60, **options))  # noqa: E731
    assert write(seed=1) == write(seed=1) != write(seed=2)
    assert write(temperature=0) == write(top_k=1) == write(temperature=1e-9)
    assert len(write(temperature=50.0)) == 60
    assert "\ufffd" not in write(temperature=50.0)
    assert "".join(fitted.generate(length=0)) == ""
    for bad in ({"temperature": -1}, {"temperature": math.inf}, {"top_k": 0}, {"length": -1}, {"seed": -1}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            fitted.generate(**bad)


def test_each_piece_is_there_before_the_next_is_looked_for(fitted, monkeypatch):
    calls, whole = [], readable.advance
    monkeypatch.setattr(readable, "advance", lambda *arguments: calls.append(1) or whole(*arguments))
    assert len(list(islice(fitted.generate("if", length=1000), 3))) == 3
    assert len(calls) == 3


def test_symbols_are_drawn_as_often_as_they_are_probable():
    logits, rng = np.log(np.array([0.3, 0.2, 0.1, 0.3, 0.1])), np.random.default_rng(0)
    for temperature, top_k, expected in ((1.0, None, [0.2, 0.6, 0.2]), (0.5, None, [1, 9, 1]), (1.0, 2, [1, 3, 0])):
        drawn = [sampling.choose(logits, temperature, top_k, rng) for _ in range(4000)]
        expected = np.array(expected) / np.sum(expected)
        np.testing.assert_allclose(np.bincount(drawn, minlength=5)[2:] / 4000, expected, atol=0.03)
    assert {sampling.choose(logits, 0, None, rng) for _ in range(9)} == {3}


def test_bytes_become_characters_and_words_a_text():
    vocabulary = Vocabulary.of([], "bytes")
    sent = [*vocabulary.encode("aé☃"), vocabulary.encode("é")[0]]
    assert list(sampling.pieces(vocabulary, np.array([], int), sent)) == ["a", "é", "☃", "\ufffd"]
    vocabulary = Vocabulary.of(["to be ( or )"], "words")
    pieces = sampling.pieces(vocabulary, vocabulary.encode("to"), vocabulary.encode("be (or) to"))
    assert list(pieces) == [" be", " (", "or", ")", " to"]


def test_a_line_is_continued_to_its_end():
    model = LanguageModel(**SMALL | {"learning_rate": 0.05, "max_epochs": 12}).fit(["ab\ncd\n" * 40] * 10)
    assert model.predict(["a", "ab\nc"], length=10) == ["b", "d"]
    with pytest.raises(ParameterError, match="expected a list"):
        model.predict("a")


# ---------------------------------------------------------------- units


def test_features_of_python_and_of_other_texts():
    text = 'f("(", [1])  # a (\n    x\n'
    found, python = explaining.features(text)
    quotes, comment, depth, place, indent = found.T.astype(int)
    assert python
    assert "".join(map(str, quotes)) == "00110" + "0" * 20
    assert "".join(map(str, comment)) == "0" * 13 + "11111" + "0" * 7
    assert "".join(map(str, depth)) == "0111111221000" + "0" * 12
    assert place.tolist() == [*range(1, 19), 0, 1, 2, 3, 4, 5, 0]
    assert indent.tolist() == [0] * 19 + [1, 2, 3, 4, 4, 0]
    found, python = explaining.features('she can\'t say "no (" \n')
    assert not python
    assert "".join(str(int(q)) for q in found[:, 0]) == "0" * 14 + "11111" + "000"
    assert not found[:, 2].any()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_activity_is_that_of_the_states_one_by_one(cell):
    model = LanguageModel(**SMALL | {"cell": cell, "num_layers": 2, "max_epochs": 1}).fit(texts(n=6))
    read = np.random.default_rng(0).integers(2, model.vocabulary_.size, 700).astype(np.int32)
    active = explaining.activities(model, read)
    state, expected = None, []
    for symbol in [BETWEEN, *read]:
        _, state = readable.advance(Language(model.network_, 8), model.weights_, np.array([[symbol]]), state)
        finals = [each for each in state if len(each)]
        expected.append(np.concatenate([np.tanh(s.c) if cell == "lstm" else s for s in finals], axis=-1)[0])
    np.testing.assert_allclose(active, expected[1:], atol=1e-5)


def test_the_unit_that_follows_is_found(fitted, monkeypatch):
    text = "\n".join(f'{"  " * (k % 3)}f(({k}), "{k}")  # no {k}' for k in range(40)) + "\n"
    feature, _ = explaining.features(text)

    def planted(model, encoded):
        rng = np.random.default_rng(0)
        noise = rng.normal(0, 0.1, (len(encoded), 6))
        noise[:, [4, 2, 1, 5, 0]] += feature / feature.std(axis=0) * [1, -1, 1, 1, 1]
        return noise

    monkeypatch.setattr(explaining, "activities", planted)
    explanation = fitted.explain(text)
    assert explanation.units["unit"].tolist() == [5, 3, 2, 6, 1]
    assert (explanation.units["correlation"].abs() > 0.9).all()
    assert explanation.units["correlation"].iloc[1] < -0.9
    assert explanation.passage in text
    assert all(len(a) == len(explanation.passage) for a in explanation.activity.values())
    json.dumps(explanation.as_dict(), allow_nan=False)
    with pytest.raises(DataError, match="at least 200"):
        fitted.explain("short")
