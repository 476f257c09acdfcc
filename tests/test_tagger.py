"""The Tagger: windows, decoding, parts, both kinds of sequences, both halves, files, the verdict."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn
from minirnn.data.sequences import tagged
from minirnn.data.sequences.spans import LabelSet, decode, from_iob2
from minirnn.data.words import DataError
from minirnn.models import storage
from minirnn.models.estimator import ParameterError
from minirnn.models.sequences.reading import log_softmax
from minirnn.models.tagger import Tagger
from minirnn.models.tagging import decoding, inputs, judging, parts, reading, windows

QUICK = {"hidden_size": 6, "max_epochs": 2, "batch_size": 8, "backend": "readable"}
NAMES = ["Ada", "Lovelace", "Grace", "Hopper", "Alan", "Turing", "Kurt", "Emmy"]


def source(n=12, seed=0, shortest=20):
    """Texts in which the letters between brackets are spans, whatever they are: only what came long before tells."""
    rng = np.random.default_rng(seed)
    texts, tags = [], []
    for _ in range(n):
        text, marks, inside = "", [], False
        for _ in range(rng.integers(shortest, 60)):
            if rng.random() < 0.12:
                text += "()"[int(inside)]
                marks.append("O")
                inside = not inside
            else:
                text += "ab"[rng.integers(2)]
                marks.append("O" if not inside else "I-X" if marks[-1] != "O" else "B-X")
        texts.append(text)
        tags.append(marks)
    return tagged.of_tags(texts, tags)


def sentences(n=60, seed=0, names=NAMES):
    """Names between other words; each name is one or two words that begin with a capital letter."""
    rng = np.random.default_rng(seed)
    words, tags = [], []
    for _ in range(n):
        length = rng.integers(1, 3)
        before, behind = (
            list(rng.choice(["the", "a", "then", "saw", "built", "30", "of"], rng.integers(1, 4))) for _ in range(2)
        )
        words.append([*before, *rng.choice(names, length), *behind])
        tags.append(["O"] * len(before) + ["B-PER"] + ["I-PER"] * (length - 1) + ["O"] * len(behind))
    return tagged.of_tags([[str(word) for word in each] for each in words], tags)


@pytest.fixture(scope="module")
def fitted():
    """A model of words."""
    return Tagger(**QUICK).fit(sentences())


# ---------------------------------------------------------------- windows and decoding


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=6),
    window=st.integers(1, 9),
    before=st.integers(0, 7),
    after=st.integers(0, 7),
)
def test_every_step_counts_once_and_has_its_context(lengths, window, before, after):
    found = windows.cut(np.array(lengths, int), window, before, after)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    steps = []
    for start, length, first, stop in zip(*found):
        k = np.searchsorted(bounds, start, side="right") - 1
        assert bounds[k] <= start < start + length <= bounds[k + 1]
        assert length <= before + window + after
        steps += range(start + first, start + stop)
        assert first >= before or start == bounds[k]
        assert length - stop >= after or start + length == bounds[k + 1]
    assert steps == list(range(sum(lengths)))
    flat = np.concatenate([np.arange(s, s + n) for s, n in zip(found.starts, found.lengths)] or [np.zeros(0, int)])
    np.testing.assert_array_equal(flat[found.counted()], steps)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), types=st.integers(1, 4), sharp=st.sampled_from([0.1, 1.0, 30.0]))
def test_decoding_is_valid_whatever_the_logits_and_nothing_valid_is_more_probable(seed, types, sharp):
    rng = np.random.default_rng(seed)
    labels = LabelSet(tuple(f"T{k}" for k in range(types)))
    scores = [log_softmax(sharp * rng.standard_normal((rng.integers(1, 30), labels.size))) for _ in range(8)]
    for found, each in zip(decoding.best(scores, labels), scores):
        from_iob2(labels.decode(found))  # raises where an I-X lacks its B-X
        np.testing.assert_array_equal(found, decode(each, labels.allowed))


def test_tags_that_are_not_valid_change_in_as_few_places_as_possible():
    labels = LabelSet(("X", "Y"))
    wrong = labels.encode(["O", "I-X", "I-X", "O", "I-Y", "B-Y", "I-Y"])
    (found,) = decoding.nearest([wrong], labels)
    assert decoding.valid(found, labels)
    assert not decoding.valid(wrong, labels)
    assert (found != wrong).sum() == 2
    (same,) = decoding.nearest([found], labels)
    np.testing.assert_array_equal(same, found)


# ---------------------------------------------------------------- parts and inputs


def test_parts_hold_every_text_once():
    data = source(20)
    found = parts.split(data, 0.2, 0.2, seed=0)
    assert sorted(sum((part.names for part in found), ())) == sorted(data.names)
    assert all(len(part) for part in found)
    assert parts.split(data, 0.2, 0.2, seed=0).test.names == found.test.names


def test_a_single_text_is_cut_at_a_line_end_and_what_is_left_of_a_span_begins_anew():
    text = '"""one\ntwo\nthree\nfour\nfive\nsix\nseven"""\n' * 3
    data = tagged.of_python([minirnn.data.sequences.texts.Document("a.py", text)])
    found = parts.split(data, 0.2, 0.2, seed=0)
    assert "".join(part.sequences[0] for part in found) == text
    for part in found:
        spans = part.spans()[0]  # raises where tags are not valid
        assert {span.type for span in spans} <= {"STRING", "NAME"}
        assert spans[0].start == 0


def test_copies_and_what_is_no_python_stay_out_of_a_folders_texts(tmp_path):
    for name, text in (("a.py", "x = 1\n"), ("b.py", "x = 1\n"), ("c.py", "def f(:\n"), ("d.py", "y = 2\n")):
        (tmp_path / name).write_text(text)
    data = tagged.read_python(tmp_path)
    assert data.sequences == ("x = 1\n", "y = 2\n")
    assert [note.split("'")[1].split(" ")[0] for note in data.notes] == [f"{tmp_path}/c.py", f"{tmp_path}/b.py"]
    assert tagged.read_python(tmp_path, limit=6).steps == 6
    with pytest.raises(DataError, match="no file is as small as 5 characters"):
        tagged.read_python(tmp_path, limit=5)


def test_sentences_keep_their_order():
    data = sentences(50)
    found = parts.split(data, 0.1, 0.2, seed=3)
    assert [len(part) for part in found] == [35, 5, 10]
    assert sum((part.sequences for part in found), ()) == data.sequences


def test_words_are_read_as_symbols_features_and_letters():
    known = [["Ada", "saw", "B-52", "saw"], ["running", "walking", "talking", "Ada"]]
    reader = inputs.Words.of(known)
    values = reader.values([["ada", "B-99", "Zuse"], ["barking", "x" * 30]])
    assert values.words.tolist() == [reader.vocabulary.index("ada"), reader.vocabulary.index("b-00"), 1, 1, 1]
    assert values.lengths.tolist() == [3, 4, 4, 7, inputs.LETTERS]
    assert reader.suffixes == ("ing",)
    assert values.features[:, -2].tolist() == [0, 0, 0, 1, 0]  # ends in "ing"
    assert values.features[:, -1].tolist() == [1, 0, 0, 1, 0]  # first of its sentence
    assert values.features.shape[1] == reader.network(Tagger()._resolved("words"), 3).features
    assert inputs.Words.from_dict(json.loads(json.dumps(reader.to_dict()))) == reader


# ---------------------------------------------------------------- the model


def test_characters_whose_tags_depend_on_what_came_before_are_learned():
    model = Tagger(hidden_size=12, max_epochs=20, learning_rate=0.05, dropout=0.0, batch_size=8, backend="readable")
    evaluation = model.fit(source(80)).evaluate()
    assert evaluation.score > 0.95 > 0.7 > evaluation.scores["F1"].iloc[1]
    assert evaluation.best_simple == "7-gram majority"
    assert "that no training has seen" in evaluation.sentence
    assert "does not beat" not in evaluation.sentence
    table = evaluation.tables[judging.BY_TYPE]
    assert table.loc["X", "support"] == evaluation.splits["test"]["spans"]
    assert set(table.columns) == {"precision", "recall", "f1", "support"}
    json.dumps(evaluation.as_dict(), allow_nan=False)


def test_names_that_no_training_has_seen_are_found_by_their_letters():
    data = sentences(150).with_test(sentences(40, seed=5, names=["Konrad", "Zuse", "Barbara", "Liskov"]))
    model = Tagger(**QUICK | {"max_epochs": 6, "learning_rate": 0.03, "hidden_size": 10, "letter_size": 6}).fit(data)
    evaluation = model.evaluate()
    assert evaluation.score > 0.9 > 0.1 > evaluation.scores["F1"].iloc[1]
    assert any("were not known" in note for note in evaluation.notes)


def test_both_halves_train_alike_and_a_file_gives_the_same_tags(tmp_path):
    data, models = source(30, shortest=40), {}  # windows of one length: each length is compiled
    for backend in ("readable", "fast"):
        changes = {"backend": backend, "window": 20, "context": 10, "bidirectional": False, "batch_size": 64}
        models[backend] = Tagger(**QUICK | changes).fit(data, devices=1)
    ours, theirs = (models[backend].history_ for backend in models)
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-5)
    np.testing.assert_allclose(ours.validation, theirs.validation, rtol=1e-5)
    models["fast"].save(tmp_path / "m.safetensors")
    loaded = minirnn.load(tmp_path / "m.safetensors")
    before = models["fast"].log_probabilities(data.sequences[:1])
    loaded.set_params(backend="readable")
    for a, b in zip(before, loaded.log_probabilities(data.sequences[:1])):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_sequences_together_and_one_by_one_are_tagged_alike(fitted):
    some = [*sentences(9, seed=2).sequences, (), ("x",) * 70]
    together = fitted.log_probabilities(some)
    for sequence, expected in zip(some, together):
        np.testing.assert_allclose(fitted.log_probabilities([sequence])[0], expected, atol=1e-5)
    assert [len(tags) for tags in fitted.predict_tags(some)] == [len(each) for each in some]


def test_a_long_text_is_read_in_windows_that_share_their_context(monkeypatch):
    model = Tagger(**QUICK | {"max_epochs": 1, "context": 5}).fit(source())
    (text,) = source(1, shortest=59).sequences
    monkeypatch.setattr(reading, "_STEPS", 20)  # 10 that count, and 5 to each side
    (found,) = model.log_probabilities([text])
    assert len(found) == len(text) == 59
    for start, length, first, stop in zip(*windows.cut(np.array([59]), 10, 5, 5)):
        (alone,) = model.log_probabilities([text[start : start + length]])
        np.testing.assert_allclose(found[start + first : start + stop], alone[first:stop], atol=1e-6)
    assert (model._context, Tagger(bidirectional=False, context=7)._context) == ((5, 5), (7, 0))


def test_one_direction_looks_at_nothing_that_follows():
    model = Tagger(**QUICK | {"bidirectional": False, "max_epochs": 1}).fit(source())
    a, b = model.log_probabilities(["ab(ab", "ab(a)ba("])
    np.testing.assert_allclose(a[:3], b[:3], atol=1e-6)
    both = Tagger(**QUICK | {"max_epochs": 1}).fit(source())
    a, b = both.log_probabilities(["ab(ab", "ab(a)ba("])
    assert np.abs(a[:3] - b[:3]).max() > 1e-6


def test_the_same_seed_gives_the_same_file_and_the_test_part_decides_nothing(tmp_path, fitted):
    data = sentences()
    Tagger(**QUICK).fit(data).save(tmp_path / "again.safetensors")
    fitted.save(tmp_path / "m.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()
    test = set(fitted.parts_.test.names)
    spoiled = tagged.of_tags(
        [["Nobody"] if name in test else words for name, words in zip(data.names, data.sequences)],
        [["O"] if name in test else data.labels.decode(tags) for name, tags in zip(data.names, data.tags)],
    )
    other = Tagger(**QUICK).fit(spoiled)
    assert other.history_ == fitted.history_
    for a, b in zip(other.log_probabilities(data.sequences[:2]), fitted.log_probabilities(data.sequences[:2])):
        np.testing.assert_array_equal(a, b)


def test_a_training_that_was_cut_off_goes_on_to_the_same_result(tmp_path, monkeypatch, fitted):
    from minirnn.readable import labelling

    epoch, calls = labelling.epoch, []

    def dying(*arguments, **named):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("killed")
        return epoch(*arguments, **named)

    path = tmp_path / "c.safetensors"
    model = Tagger(**QUICK)
    monkeypatch.setattr(labelling, "epoch", dying)
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(sentences(), checkpoint=path)
    monkeypatch.undo()
    assert not hasattr(model, "params_")  # a fit that fails leaves nothing half-done
    resumed = Tagger(**QUICK).fit(sentences(), checkpoint=path, resume=True)
    resumed.save(tmp_path / "a.safetensors")
    fitted.save(tmp_path / "b.safetensors")
    first, second = (storage.read(tmp_path / name)[0] for name in ("a.safetensors", "b.safetensors"))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    assert any("went on from" in note for note in resumed.notes_)


def test_a_loaded_model_predicts_but_has_no_verdict(tmp_path, fitted):
    fitted.save(tmp_path / "m.safetensors")
    loaded = minirnn.load(tmp_path / "m.safetensors")
    some = sentences(5, seed=1)
    assert loaded.predict(some.sequences) == fitted.predict(some.sequences)
    assert loaded.score(some) == fitted.score(some)
    assert loaded.get_params() == fitted.get_params()
    with pytest.raises(ParameterError, match="holds no test part"):
        loaded.evaluate()
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(types=["PER", "PER"]),
        lambda d: d.update(types=["PER", "LOC"]),
        lambda d: d.update(unit="bytes"),
        lambda d: d.update(column="first"),
        lambda d: d.pop("inputs"),
        lambda d: d["inputs"]["words"].update(unit="characters"),
        lambda d: d["inputs"]["letters"]["symbols"].append("a"),
        lambda d: d["inputs"].update(suffixes=["ing", 3]),
        lambda d: d["parameters"].update(hidden_size=7),
        lambda d: d["parameters"].update(hidden_size="6"),
        lambda d: d["parameters"].update(dropout=2.0),
        lambda d: d["parameters"].update(hidden_size=10**6),
        lambda d: d["parameters"].update(num_layers=10**9),
        lambda d: d["parameters"].update(embedding_size=10**9),
        lambda d: d["parameters"].update(letter_size=None),
        lambda d: d["given"].update(surprise=1),
        lambda d: d["given"].update(cell="elman"),
        lambda d: d.update(column=-1),
        lambda d: d["history"].pop("best"),
    ],
)
def test_a_damaged_description_ends_in_one_line(tmp_path, fitted, spoil):
    arrays, description = fitted._flatten()
    description = json.loads(json.dumps(description))
    spoil(description)
    storage.save(tmp_path / "m.safetensors", "Tagger", arrays, description)
    with pytest.raises(storage.ModelFileError, match="damaged model"):
        minirnn.load(tmp_path / "m.safetensors")


def test_padding_is_said_and_small():
    data = sentences(200)
    model = Tagger(**QUICK | {"max_epochs": 1}).fit(data)
    with_buckets, without = model.padding_
    assert with_buckets < 0.15 < without


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cell": "elman"}, "unknown cell 'elman'"),
        ({"window": 0}, "window must be a whole number of at least 1"),
        ({"context": -1}, "context must be a whole number of at least 0"),
        ({"max_epochs": 0}, "max_epochs must be a whole number of at least 1"),
        ({"word_dropout": 1.0}, "word_dropout must be 0 or above and below 1"),
        ({"bidirectional": "no"}, "bidirectional must be True or False"),
        ({"validation_fraction": 0}, "validation_fraction must be above 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave nothing to train on"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Tagger(**parameters).fit(source())


def test_data_that_cannot_be_used(fitted):
    with pytest.raises(DataError, match="sequence 2: tag 1 of 1, 'I-X', stands at the beginning"):
        tagged.of_tags(["a", "b"], [["O"], ["I-X"]])
    with pytest.raises(DataError, match="2 steps, but 1 tag"):
        tagged.of_tags(["ab"], [["O"]])
    with pytest.raises(DataError, match="tags of 0 sequences"):
        tagged.of_tags(["ab"], [])
    with pytest.raises(DataError, match="not both"):
        tagged.of_tags(["ab", ["ab"]], [["O", "O"], ["O"]])
    with pytest.raises(DataError, match="every sequence is empty"):
        Tagger(**QUICK).fit(tagged.of_tags(["", ""], [[], []]))
    with pytest.raises(DataError, match="holds no span"):
        Tagger(**QUICK).fit(tagged.of_tags([["a"]] * 10, [["O"]] * 10))
    with pytest.raises(DataError, match="2 sentences; expected at least 3"):
        Tagger(**QUICK).fit(sentences(2))
    with pytest.raises(DataError, match="'LOC' do not occur in"):
        sentences().with_test(tagged.of_tags([["Rome"]], [["B-LOC"]]))
    with pytest.raises(DataError, match="holds characters with tags"):
        sentences().with_test(source())
    with pytest.raises(ParameterError, match="put it into a list"):
        fitted.predict("Ada saw")
    with pytest.raises(ParameterError, match="fitted on sequences of words, got a str"):
        fitted.predict(["Ada saw"])
    with pytest.raises(ParameterError, match="not fitted yet"):
        Tagger().predict(["a"])
    with pytest.raises(ParameterError, match="no test part"):
        Tagger(**QUICK | {"test_fraction": 0.0, "max_epochs": 1}).fit(sentences(20)).evaluate()


def test_sentences_of_the_test_part_that_were_trained_on_are_counted():
    words = [[f"w{k}", "Ada"] for k in range(29)] + [["w0", "Ada"]]
    data = tagged.of_tags(words, [["O", "B-PER"]] * 30)
    evaluation = Tagger(**QUICK | {"max_epochs": 1}).fit(data).evaluate()
    copies = "1 of the 3 sentences of the test part stand word for word in the training or the validation part."
    assert copies in evaluation.notes
    assert "no training has seen" not in evaluation.sentence
    assert "on 3 sentences of the test part" in evaluation.sentence
