"""The Classifier: equal halves, honest parts, calibrated classes, files, and the command that trains it."""

import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from commands import run

import minirnn
from minirnn import Classifier
from minirnn.data import DataError
from minirnn.data.sequences.events import event_task
from minirnn.data.sequences.labelled import Labelled, read_texts
from minirnn.data.sequences.ragged import ragged
from minirnn.models import fitting, storage
from minirnn.models.classifying import judging, network
from minirnn.models.classifying.parts import Part
from minirnn.models.estimator import ParameterError
from minirnn.models.scores import labels as scores
from minirnn.params import Labelling, init_network
from minirnn.readable import network as readable_network

TINY = {"hidden_size": 4, "max_epochs": 2, "learning_rate": 0.01, "backend": "readable"}
GOOD, BAD = ("good", "fine", "lovely", "warm"), ("bad", "dull", "awful", "cold")


def waves(n=60, seed=0, shortest=3, longest=9):
    """Slow and fast waves in two columns, of unequal lengths."""
    rng = np.random.default_rng(seed)
    labels = ["slow", "fast"] * (n // 2)
    rates = np.where(np.array(labels) == "slow", 0.4, 1.6)
    lengths = rng.integers(shortest, longest + 1, n)
    return [
        np.stack([np.sin(rate * np.arange(T)), rng.normal(size=T)], axis=1) for rate, T in zip(rates, lengths)
    ], labels


def reviews(n=80, seed=0):
    """Texts of a few words, one or two of which carry the class."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for k in range(n):
        words = [*rng.choice(["the", "film", "was", "a", "plot", "and"], 4), *rng.choice([GOOD, BAD][k % 2], 2)]
        texts.append(" ".join(rng.permutation(words)) + f" x{k}")
        labels.append(["pos", "neg"][k % 2])
    return texts, labels


@pytest.fixture(scope="module")
def told():
    """A classifier of texts that has learned them."""
    return Classifier(**TINY | {"max_epochs": 25, "learning_rate": 0.03, "hidden_size": 6}).fit(*reviews(160))


# ---------------------------------------------------------------- halves, batches, padding


def test_both_halves_train_alike_and_read_each_others_weights():
    data = reviews(40)
    about = TINY | {"dropout": 0.2, "class_weights": "balanced"}
    by_hand = Classifier(**about).fit(*data)
    by_jax = Classifier(**about | {"backend": "fast"}).fit(*data, devices=1)
    np.testing.assert_allclose(by_jax.history_.loss, by_hand.history_.loss, rtol=1e-5)
    np.testing.assert_allclose(by_jax.history_.validation, by_hand.history_.validation, rtol=1e-5)
    some = data[0][:6]  # as many as in the validation part: a shape that is compiled already
    expected = by_hand.predict_proba(some)
    by_hand.set_params(backend="fast")
    np.testing.assert_allclose(by_hand.predict_proba(some), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("backend", "read"), [("readable", "ends"), ("readable", "mean"), ("readable", "attention"), ("fast", "attention")]
)
def test_ragged_batches_equal_one_by_one_results(backend, read):
    """Whatever stands beside a sequence, and however far it is padded, only rounding tells."""
    rng = np.random.default_rng(0)
    described = network.describe(
        {"cell": "gru", "hidden_size": 5, "num_layers": 1, "dropout": 0, "bidirectional": True, "pooling": None},
        3,
        None,
    )
    description = Labelling(type(described)(described.layers, 3, read))
    params = init_network(0, description.network, 2)
    if read == "attention":
        params = params._replace(head=params.head._replace(query=rng.normal(size=10).astype(np.float32)))
    sequences = [rng.normal(size=(T, 2)).astype(np.float32) for T in (4, 1, 9, 6)]
    data = ragged(sequences)
    half = fitting.half(backend, "labelling")
    state = fitting.state_of(half, params)
    together = half.predict(description, state, data.values, data.starts, data.lengths, 9)[0]
    for i, sequence in enumerate(sequences):
        alone = ragged([sequence])
        T = len(sequence) if backend == "readable" else 9  # each length would be compiled anew
        one = half.predict(description, state, alone.values, alone.starts, alone.lengths, T)[0]
        np.testing.assert_allclose(one[0], together[i], rtol=1e-5, atol=1e-6)
    assert np.ptp(together, axis=0).min() > 1e-3  # they do differ


def test_padding_costs_little_where_lengths_vary_from_1_to_500(monkeypatch):
    rng = np.random.default_rng(1)
    lengths = rng.permutation(np.r_[1, 500, rng.integers(1, 501, 598)])
    sequences, labels = [rng.normal(size=T) for T in lengths], ["a", "b"] * 300
    computed, forward = [0], readable_network.forward

    def counting(description, params, xs, state=None, lengths=None, dropout_key=None):
        if dropout_key is not None:  # of the training alone
            computed[0] += xs.shape[0] * xs.shape[1]
        return forward(description, params, xs, state, lengths, dropout_key)

    monkeypatch.setattr(readable_network, "forward", counting)
    model = Classifier(**TINY | {"hidden_size": 1, "max_epochs": 1, "bidirectional": False}).fit(sequences, labels)
    real = sum(len(sequences[row]) for row in model.job_.parts.train)
    said, mixed = model.padding_
    assert said == pytest.approx(computed[0] / real - 1)
    assert said < 0.15 < 0.5 < mixed


# ---------------------------------------------------------------- what is learned, and from what


def test_it_learns_and_says_so(told):
    evaluation = told.evaluate()
    assert evaluation.network == "GRU"
    assert list(evaluation.scores.index) == ["GRU", "naive Bayes on words", "majority class"]
    assert evaluation.scores["accuracy"]["GRU"] == 1
    assert evaluation.score < 0.1 < evaluation.scores["log loss"]["majority class"]
    assert evaluation.tables[judging.CONFUSION].to_numpy().sum() == evaluation.splits["test"]["examples"]
    json.dumps(evaluation.as_dict(), allow_nan=False)
    probabilities = told.predict_proba(["a lovely and warm film", "awful"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert told.predict(["a lovely and warm film", "awful"]).tolist() == ["pos", "neg"]
    assert told.score(*reviews(20, seed=5)) == 1


def test_the_test_part_changes_nothing_but_the_verdict():
    sequences, labels = waves()
    first = Classifier(**TINY).fit(sequences, labels)
    rows = first.job_.parts.test
    others = [np.full((5, 2), 7.0) + i if i in rows else sequence for i, sequence in enumerate(sequences)]
    second = Classifier(**TINY).fit(others, labels)
    assert set(second.job_.parts.test) == set(rows)  # else the test says nothing
    np.testing.assert_array_equal(first.predict_proba(sequences), second.predict_proba(sequences))
    assert first.temperature_ == second.temperature_
    assert first.evaluate().score != second.evaluate().score


def test_equal_seeds_give_equal_numbers_and_another_seed_the_same_parts():
    data = waves()
    first, same, other = (Classifier(**TINY, seed=seed).fit(*data) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.predict_proba(data[0]), same.predict_proba(data[0]))
    assert (first.predict_proba(data[0]) != other.predict_proba(data[0])).any()
    np.testing.assert_array_equal(first.job_.parts.test, other.job_.parts.test)


def test_the_temperature_is_that_of_the_validation_part():
    sequences, labels = waves(120, seed=2)
    rng = np.random.default_rng(0)
    noisy = [label if rng.random() > 0.3 else "slow" for label in labels]
    model = Classifier(**TINY | {"max_epochs": 15, "learning_rate": 0.03}).fit(sequences, noisy)
    encoded, true = model.job_.rows("validation")

    def loss(temperature):
        model.temperature_ = temperature
        return scores.log_loss(true, model._probabilities(encoded))

    found = model.temperature_
    assert found != 1
    assert loss(found) <= min(loss(found * 1.05), loss(found / 1.05), loss(1.0))


def test_balanced_classes_are_decided_for_more_often_but_not_said_to_be_more_probable():
    rng = np.random.default_rng(0)
    kinds = (rng.random(600) < 0.1).astype(int)  # one in ten, and hard to tell
    sequences = [rng.normal(size=(3, 1)) + 0.7 * kind for kind in kinds]
    labels = np.array(["common", "rare"])[kinds]
    about = TINY | {"max_epochs": 12, "learning_rate": 0.02}
    plain, balanced = (Classifier(**about, class_weights=w).fit(sequences, labels) for w in (None, "balanced"))
    share = [float((model.predict(sequences) == "rare").mean()) for model in (plain, balanced)]
    assert share[0] < 0.1 < 0.2 < share[1]
    for model in (plain, balanced):
        assert model.predict_proba(sequences)[:, 1].mean() == pytest.approx(0.1, abs=0.05)


def test_missing_values_are_read_as_the_mean_of_the_training_part():
    sequences, labels = waves()
    sequences[0][1, 0] = np.nan
    model = Classifier(**TINY).fit(sequences, labels)
    hole, filled = np.ones((4, 2)), np.ones((4, 2))
    hole[2, 1], filled[2, 1] = np.nan, model.encoder_.mean[1]
    np.testing.assert_allclose(model.predict_proba([hole]), model.predict_proba([filled]), rtol=1e-6)
    assert np.isfinite(model.predict_proba([np.full((3, 2), np.nan)])).all()
    train = np.concatenate([sequences[row] for row in model.job_.parts.train])
    np.testing.assert_allclose(model.encoder_.mean, np.nanmean(train.astype(np.float32), axis=0), rtol=1e-5)


def test_words_that_occur_once_are_unknown_and_so_are_new_ones(told):
    assert "x7" not in told.encoder_.vocabulary.symbols
    assert "film" in told.encoder_.vocabulary.symbols
    np.testing.assert_array_equal(told.predict_proba(["good zzz"]), told.predict_proba(["GOOD x7"]))


def test_labels_come_back_as_they_were_given():
    sequences, _ = waves(40)
    model = Classifier(**TINY | {"max_epochs": 1}).fit(sequences, [10, 2] * 20)
    assert model.classes_.tolist() == [2, 10]  # sorted as numbers
    assert set(model.predict(sequences).tolist()) <= {2, 10}
    assert model.score(sequences, [10, 2] * 20) == np.mean(model.predict(sequences) == np.array([10, 2] * 20))
    same = Classifier(**TINY | {"max_epochs": 1}).fit(
        np.random.default_rng(0).normal(size=(40, 3)), np.array([10, 2] * 20)
    )
    assert same.classes_.dtype.kind == "i"


def test_an_event_long_ago_needs_a_memory_of_gates():
    """At a small size: the class stands 30 or more steps back. figures/events.py has 100 steps, and all cells."""
    task = event_task(600, steps=50, distance=30, anywhere=True, seed=7)
    about = TINY | {"hidden_size": 16, "max_epochs": 5, "dropout": 0.0, "bidirectional": False, "pooling": "last"}
    with_gates = Classifier("gru", memory=30, **about).fit(task).evaluate()
    vanilla = Classifier("rnn", **about).fit(task).evaluate()
    assert with_gates.scores["accuracy"]["GRU"] >= 0.99
    assert vanilla.scores["accuracy"]["RNN"] < 0.7
    assert "does not beat" in vanilla.sentence


def test_memory_sets_the_biases_of_the_gates():
    described = network.describe(
        {"cell": "lstm", "hidden_size": 50, "num_layers": 1, "dropout": 0, "bidirectional": False, "pooling": None},
        2,
        None,
    )
    usual, fresh = (network.fresh(described, 3, 0, memory).layers[0].weights for memory in (None, 100))
    i, f = fresh.b[:50], fresh.b[50:100]
    keeps = 1 / (1 - 1 / (1 + np.exp(-f.astype(float))))  # 1 + t
    assert 2 <= keeps.min() < 20
    assert 80 < keeps.max() <= 101
    np.testing.assert_array_equal(i, -f)
    np.testing.assert_array_equal(fresh.Wh, usual.Wh)


# ---------------------------------------------------------------- the verdict


def verdict(own, n=200):
    """The sentence on a network whose probability of the true class is ``own``."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    sequences = [np.full((2, 1), float(label)) + rng.normal(size=(2, 1)) for label in labels]
    part = Part(sequences, labels, None, {"examples": n, "steps": 2 * n})
    p = np.where(np.arange(2) == labels[:, None], own, 1 - own)
    return judging.judge("gru", ["a", "b"], dict.fromkeys(("train", "validation", "test"), part), p, np.ones(2), False)


def test_all_models_decide_by_the_same_weights():
    rng = np.random.default_rng(0)
    labels = (np.arange(100) % 10 == 0).astype(int)  # one in ten is of the second class
    part = Part([rng.standard_normal((3, 1)).astype(np.float32) for _ in labels], labels, None, {})
    parts = dict.fromkeys(("train", "validation", "test"), part)
    p = np.repeat([[0.9, 0.1]], 100, axis=0)
    for weights, accuracy in (([1.0, 1.0], 0.9), ([0.5, 6.0], 0.1)):
        found = judging.judge("gru", ["a", "b"], parts, p, np.array(weights), False).scores["accuracy"]
        assert found["GRU"] == found["majority class"] == pytest.approx(accuracy)


def test_a_loss_of_nothing_has_no_sign():
    assert str(scores.log_loss([0, 1], [[1.0, 0.0], [0.0, 1.0]])) == "0.0"


def test_the_sentence_is_honest():
    assert verdict(0.9).sentence.startswith("The GRU beats the nearest neighbour: its log loss is 0.105 instead of")
    lost = verdict(0.4)
    assert lost.sentence.startswith("The GRU does not beat the nearest neighbour")
    assert "take the simpler one" in lost.sentence
    assert lost.best_simple == "nearest neighbour"


# ---------------------------------------------------------------- interruption


def test_a_training_that_was_cut_off_goes_on_to_the_same_result(tmp_path, monkeypatch):
    from minirnn.readable import labelling

    data, path = waves(), tmp_path / "run.safetensors"
    whole = Classifier(**TINY | {"max_epochs": 4}).fit(*data)
    epoch, left = labelling.epoch, [2]

    def cut(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("cut off")
        return epoch(*arguments, **options)

    model = Classifier(**TINY | {"max_epochs": 4})
    monkeypatch.setattr(labelling, "epoch", cut)
    with pytest.raises(OSError, match="cut off"):
        model.fit(*data, checkpoint=path)
    assert not hasattr(model, "fitted_params_")
    monkeypatch.setattr(labelling, "epoch", epoch)
    model.fit(*data, checkpoint=path, resume=True)
    np.testing.assert_array_equal(model.predict_proba(data[0]), whole.predict_proba(data[0]))
    assert f"went on from {path} after epoch 2." in model.notes_


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("kind", ["numbers", "texts"])
def test_a_saved_model_predicts_the_same(kind, tmp_path, told):
    model = told if kind == "texts" else Classifier(**TINY, class_weights="balanced").fit(*waves())
    examples = (reviews if kind == "texts" else waves)(20, seed=9)[0]
    model.save(tmp_path / "model.safetensors")
    loaded = minirnn.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(examples), model.predict_proba(examples))
    assert loaded.predict(examples).tolist() == model.predict(examples).tolist()
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(ParameterError, match="holds no test part"):
        loaded.evaluate()


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["pos", "pos"]},
        {"classes": ["pos"]},
        {"classes": ["pos", 1]},
        {"classes": []},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"texts": False},
        {"parameters": {"hidden_size": 10**9}},
        {"parameters": {"embedding_size": 10**9}},
        {"parameters": {"cell": "transformer"}},
        {"encoder": {"vocabulary": {"unit": "words", "symbols": ["a", "a"], "special": ["<pad>", "<unknown>"]}}},
        {"encoder": {}},
        {"form": {"kind": "windows", "label": "a", "columns": [], "window": 0}},
        {"history": None},
    ],
    ids=str,
)
def test_a_damaged_file_ends_in_one_line(told, change, tmp_path):
    arrays, description = told._flatten()
    description = {**description, **change}
    if "parameters" in change:
        description["parameters"] = {**told.get_params(), **change["parameters"]}
    storage.save(tmp_path / "bad.safetensors", "Classifier", arrays, description)
    with pytest.raises(storage.ModelFileError, match="damaged model") as caught:
        minirnn.load(tmp_path / "bad.safetensors")
    assert "\n" not in str(caught.value)


def test_a_file_with_a_foreign_array_ends_in_one_line(told, tmp_path):
    arrays, description = told._flatten()
    storage.save(tmp_path / "bad.safetensors", "Classifier", arrays | {"more": np.zeros(2)}, description)
    with pytest.raises(storage.ModelFileError, match="unknown arrays: more"):
        minirnn.load(tmp_path / "bad.safetensors")


def test_a_class_that_the_training_part_lacks_does_not_outweigh_the_others():
    assert network.balance(np.array([0] * 90 + [1] * 10), 3, "balanced").tolist() == pytest.approx([5 / 9, 5, 1])


@pytest.mark.parametrize("missing", ["class_weights", "network.head.W"])
def test_a_file_without_an_array_ends_in_one_line(told, missing, tmp_path):
    arrays, description = told._flatten()
    del arrays[missing]
    storage.save(tmp_path / "bad.safetensors", "Classifier", arrays, description)
    with pytest.raises(storage.ModelFileError, match="damaged model"):
        minirnn.load(tmp_path / "bad.safetensors")


# ---------------------------------------------------------------- what callers get wrong


@pytest.mark.parametrize(
    ("data", "y", "message"),
    [
        ([], [], "there are no examples"),
        (["a", "b"], ["x"], "2 examples and 1 labels"),
        (["a", " "], ["x", "y"], "example 1 is empty"),
        (["a", 3.0], ["x", "y"], "example 1 is a float: a text was expected"),
        ([[1.0], []], ["x", "y"], r"example 1 has the shape \(0,\)"),
        ([[[1, 2]], [[1, 2, 3]]], ["x", "y"], "example 1 has 3 columns, but example 0 has 2"),
        ([[1.0], [np.inf]], ["x", "y"], "example 1 holds an infinite number"),
        ([[1.0], ["a"]], ["x", "y"], "example 1 holds"),
        (["a", "b"], ["x", None], "the label of example 1 is 'None'"),
        (["a", "b"], None, "there are no labels"),
        ("abc", ["x"] * 3, "not one text"),
        ([[np.nan] * T for T in range(1, 21)], ["x", "y"] * 10, "holds no number in the training part"),
        (["a", "b", "c"], ["x"] * 3, "at least two classes"),
        (["a", "b", "c"], ["x", "y", "y"], "the class 'x' has only 1 different example"),
    ],
)
def test_examples_that_cannot_be_used_are_named(data, y, message):
    with pytest.raises(DataError, match=message):
        Classifier(**TINY).fit(data, y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pooling": "max"}, "unknown pooling 'max'"),
        ({"unit": "syllables"}, "unknown unit"),
        ({"class_weights": "equal"}, "unknown class_weights"),
        ({"bidirectional": 1}, "bidirectional must be True or False"),
        ({"memory": 1}, "memory must be a whole number of at least 2"),
        ({"memory": 5, "cell": "rnn"}, "an rnn has none"),
        ({"validation_fraction": 0.0}, "validation_fraction must be above 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "together must be below 1"),
        ({"embedding_size": 0}, "embedding_size must be a whole number of at least 1"),
    ],
)
def test_parameters_out_of_range_are_named(change, message):
    with pytest.raises(ParameterError, match=message):
        Classifier(**TINY | change).fit(*waves())


def test_what_does_not_fit_the_model_is_named(told):
    with pytest.raises(ParameterError, match="the model was fitted to texts"):
        told.predict([[1.0, 2.0]])
    model = Classifier(**TINY | {"max_epochs": 1, "test_fraction": 0.0}).fit(*waves())
    with pytest.raises(DataError, match="the sequences have 1 columns; the model reads 2"):
        model.predict([[1.0, 2.0]])
    with pytest.raises(ParameterError, match="there is no test part"):
        model.evaluate()
    with pytest.raises(ParameterError, match="not fitted yet"):
        Classifier().predict(["a"])


# ---------------------------------------------------------------- the command

QUICK = ("--backend", "readable", "--hidden-size", "4", "--max-epochs", "2", "--quiet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of trained models: texts, sequences in long form, windows of the embedded series."""
    folder = tmp_path_factory.mktemp("classify")
    texts, labels = reviews()
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "texts.csv", index=False)
    sequences, kinds = waves()
    long = pd.concat(
        pd.DataFrame({"id": f"s{i}", "x": s[:, 0], "y": s[:, 1], "kind": kind})
        for i, (s, kind) in enumerate(zip(sequences, kinds))
    )
    long.to_csv(folder / "long.csv", index=False)
    ended = {
        "texts": run("classify", folder / "texts.csv", *QUICK, "--out", folder / "texts"),
        "long": run(
            "classify", folder / "long.csv", *QUICK, "--series", "id", "--label", "kind", "--out", folder / "long"
        ),
        "windows": run("classify", *QUICK, "--out", folder / "windows"),
    }
    for name, result in ended.items():
        assert result.status == 0, (name, result.err)
    return folder, ended


def test_the_command_prints_and_writes_its_results(trained):
    folder, ended = trained
    for name, result in ended.items():
        files = sorted(path.name for path in (folder / name).iterdir())
        assert files == ["confusion.png", "metrics.json", "model.safetensors", "report.html"]
        metrics = json.loads((folder / name / "metrics.json").read_text())
        assert metrics["sentence"] in result.out
        assert metrics["ranked_by"] == "log loss"
        assert not [line for line in result.out.splitlines() if line != line.rstrip()]
    assert "of the real steps, instead of" in ended["long"].out
    assert "padding" not in ended["windows"].out
    assert "2012-01-08 to 2014-10-21" in ended["windows"].out
    page = (folder / "windows" / "report.html").read_text()
    assert "What is taken for what" in page
    assert "drizzle" in page


def test_texts_are_answered_line_by_line(trained, monkeypatch):
    folder, _ = trained
    model = folder / "texts" / "model.safetensors"
    lines = folder / "lines.txt"
    lines.write_text("a good film\n\nan awful one")
    ended = run("predict", model, lines)
    assert ended.status == 0, ended.err
    head, first, blank, last = ended.out.split("\n")[:4]
    expected = minirnn.load(model).predict(["a good film", "an awful one"])
    assert (head, blank) == ("label,probability", "")
    assert [first.split(",")[0], last.split(",")[0]] == expected.tolist()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a good film\n\n")))
    ended = run("predict", model, "--json")
    answer, blank = map(json.loads, ended.out.splitlines())
    assert answer["label"] == expected[0]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert blank == {"text": "", "label": None, "probabilities": None}


def test_a_table_where_lines_are_read_is_told(trained):
    folder, _ = trained
    table = folder / "lines.csv"
    table.write_text("text\na good film\n")
    ended = run("predict", folder / "texts" / "model.safetensors", table)
    assert (ended.status, len(ended.out.splitlines())) == (0, 3)
    assert (
        ended.err == f"{table}: every line is read as a text, its commas and the first line too; give the texts alone\n"
    )


def test_an_answer_comes_before_the_next_line_is_read(trained, monkeypatch):
    folder, _ = trained
    printed = io.StringIO()

    class Asking:
        def __init__(self):
            self.answers = []

        def readline(self):
            self.answers.append(len(printed.getvalue().splitlines()))
            return b"good\n" if len(self.answers) < 3 else b""

    asking = Asking()
    monkeypatch.setattr(sys, "stdin", asking)
    monkeypatch.setattr(sys, "stdout", printed)
    assert minirnn.cli.main(["predict", str(folder / "texts" / "model.safetensors")]) == 0
    assert asking.answers == [1, 2, 3]  # the header; the header and an answer; ...


def test_sequences_of_a_file_are_answered_by_name(trained):
    folder, _ = trained
    new = folder / "new.csv"
    pd.read_csv(folder / "long.csv").drop(columns="kind").query("id in ['s3', 's1']").to_csv(new, index=False)
    ended = run("predict", folder / "long" / "model.safetensors", new, "--out", folder / "answers.csv")
    assert (ended.status, ended.out) == (0, ""), ended.err
    answers = pd.read_csv(folder / "answers.csv")
    assert answers["sequence"].tolist() == ["s1", "s3"]
    sequences = waves()[0]
    expected = minirnn.load(folder / "long" / "model.safetensors").predict([sequences[1], sequences[3]])
    assert answers["label"].tolist() == expected.tolist()


def test_the_row_after_the_last_is_answered(trained, monkeypatch):
    folder, _ = trained
    weather = minirnn.data.load("seattle_weather").iloc[:300]
    weather.to_csv(folder / "weather.csv", index_label="date")
    model = folder / "windows" / "model.safetensors"
    ended = run("predict", model, folder / "weather.csv", "--json")
    answer = json.loads(ended.out)
    assert answer["sequence"] == f"after {weather.index[-1].date()}"
    from minirnn.data.sequences.class_windows import windows

    known = windows(minirnn.data.load("seattle_weather").iloc[:301], "weather", 7)
    classes = minirnn.load(model)
    assert known.classes == tuple(classes.classes_)
    probabilities = classes.predict_proba([known.sequences[-1]])[0]
    np.testing.assert_allclose(list(answer["probabilities"].values()), probabilities, rtol=1e-6)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((folder / "weather.csv").read_bytes())))
    assert run("predict", model, "--json").out == ended.out


def test_a_form_is_kept_with_some_of_the_examples(trained):
    folder, _ = trained
    found = read_texts(folder / "texts.csv")
    assert found.take([0, 1]).form == found.form
    assert Labelled(["a"], ["p"], texts=["t"]).form is None


def test_the_help_states_the_defaults_of_the_model():
    from minirnn.cli import classify

    said = {"bidirectional": "yes", "class_weights": "as they occur", "memory": "off"}
    said["pooling"] = "last for numbers, attention for texts"
    usual = Classifier().get_params()
    for group in classify.GROUPS.values():
        for option in group:
            value = said.get(option.parameter, usual[option.parameter])
            value = f"{value:g}" if isinstance(value, float) else value
            assert f"(default: {value})" in option.help, option.parameter
    assert set(said) - {"bidirectional"} == {name for name in usual if usual[name] is None}
