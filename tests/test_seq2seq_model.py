"""Seq2Seq: both halves, resuming, unknown symbols, beams, series of numbers, attention, files, the command."""

import json
import re
import shlex
from datetime import date

import numpy as np
import pytest
from commands import run
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn
from minirnn.data.sequences import ragged
from minirnn.data.sequences.date_pairs import FORMATS
from minirnn.data.sequences.pairs import Pairs
from minirnn.fast import translating as fast
from minirnn.models.estimator import ParameterError
from minirnn.models.scores.texts import exact_match
from minirnn.models.seq2seq import Seq2Seq
from minirnn.models.training import Batches
from minirnn.models.translating import codecs, examples, jobs, judging, neighbours, writing
from minirnn.params import Translating, init_encoder_decoder
from minirnn.readable import seq2seq as by_hand
from minirnn.readable import translating as readable

TINY = {"hidden_size": 6, "embedding_size": 4, "backend": "readable", "batch_size": 16, "max_epochs": 2}
KEY = np.array([3, 5], np.uint32)


def reversals(n=120, letters="abcdef", seed=0):
    """Different texts of 2 to 9 letters, and the same backwards."""
    rng = np.random.default_rng(seed)
    found = dict.fromkeys("".join(rng.choice(list(letters), rng.integers(2, 10))) for _ in range(3 * n))
    sources = list(found)[:n]
    return sources, [source[::-1] for source in sources]


@pytest.fixture(scope="module")
def reversing():
    """A model that has learned a little, and its pairs."""
    pairs = reversals()
    return Seq2Seq(**TINY | {"max_epochs": 4, "learning_rate": 0.02}).fit(*pairs), pairs


def test_both_halves_take_the_same_steps_through_batches_of_two_sizes():
    sources, targets = reversals(40)
    job = jobs.make(Seq2Seq(**TINY | {"dropout": 0.3}).get_params(), sources, targets)
    job.training.targets[::7] = 1  # unknown: counts for nothing
    buckets = ragged.bucketed(examples.lengths_of(job.training), batch_size=8, most=2, enough=0)
    assert len(buckets.sizes) == 2
    description = Translating(job.network, buckets.sizes)
    results = []
    for half in (readable, fast):
        optimizer = half.make_optimizer(0.01, 1.0)
        state, losses = half.start(optimizer, [init_encoder_decoder(k, job.network) for k in range(2)]), []
        rng = np.random.default_rng(1)
        before = half.evaluate(description, state, job.validation[:1])
        for _ in range(2):
            order, counts, kinds = Batches(*ragged.batches(rng, buckets, 2))
            state, record = half.epoch(
                description, optimizer, state, half.place(job.training), order, counts, KEY, kinds
            )
            losses.append(record.losses)
        after = half.evaluate(description, state, job.validation[:1])
        assert (after < before).all()
        results.append((np.stack(losses), before, after))
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_mean_over_target_symbols_that_are_known():
    network = jobs.describe(Seq2Seq(**TINY).get_params(), 9, 9)
    params = init_encoder_decoder(0, network)
    pairs = [([3, 4, 5], [4, 1, 6]), ([6], [5]), ([2, 2], [7, 8, 4, 4])]
    data = examples.laid(*([np.array(side) for side in sides] for sides in zip(*pairs)))
    expected = []
    for source, target in pairs:
        whole = np.array([*target, codecs.END])[:, None]
        fed = by_hand.decoder_inputs(network, whole)
        logits, _ = by_hand.forward(network, params, np.array(source)[:, None], None, fed)
        log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        expected += [-log_p[t, 0, s] for t, s in enumerate(whole[:, 0]) if s != 1]
    state = readable.start(readable.make_optimizer(0.1, 1.0), [params])
    found = readable.evaluate(Translating(network), state, (data,))
    np.testing.assert_allclose(found, [np.mean(expected)], rtol=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_the_other_half_the_same_answers(reversing, tmp_path):
    model, pairs = reversing
    again = Seq2Seq(**model.get_params()).fit(*pairs)
    for name, each in (("a", model), ("b", again)):
        each.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded = minirnn.load(tmp_path / "a.safetensors")
    assert loaded.predict(pairs[0]) == model.predict(pairs[0])
    ours = model.translate(pairs[0][:20], beam=3)
    loaded.set_params(backend="fast")
    theirs = loaded.translate(pairs[0][:20], beam=3)
    assert [each.text for each in ours] == [each.text for each in theirs]
    np.testing.assert_allclose([each[1] for each in ours], [each[1] for each in theirs], rtol=1e-5, atol=1e-5)
    with pytest.raises(ParameterError, match="a model from a file holds no test part"):
        loaded.evaluate()


def test_a_resumed_training_ends_the_same(tmp_path, monkeypatch):
    pairs, settings_ = reversals(60), TINY | {"max_epochs": 4, "dropout": 0.2}
    whole = Seq2Seq(**settings_).fit(*pairs)
    epoch, left = readable.epoch, [2]

    def cut_off(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("cut")
        return epoch(*arguments, **options)

    monkeypatch.setattr(readable, "epoch", cut_off)
    with pytest.raises(RuntimeError, match="cut"):
        Seq2Seq(**settings_).fit(*pairs, checkpoint=tmp_path / "run.safetensors")
    monkeypatch.undo()
    resumed = Seq2Seq(**settings_).fit(*pairs, checkpoint=tmp_path / "run.safetensors", resume=True)
    assert resumed.history_.loss == whole.history_.loss
    for model, name in ((whole, "whole"), (resumed, "resumed")):
        model.notes_ = ()
        model.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "resumed.safetensors").read_bytes()


# ---------------------------------------------------------------- writing


def random_writer(seed, cell="gru", attention="bilinear", longest=6):
    """Weights that are anything but trained: large enough that the likeliest symbol is rarely the same."""
    rng = np.random.default_rng(seed)
    network = jobs.describe(Seq2Seq(**TINY | {"cell": cell, "attention": attention}).get_params(), 7, 8)
    params = init_encoder_decoder(rng, network)
    params = params._replace(output=params.output._replace(W=params.output.W * rng.uniform(1, 6)))
    sources = [rng.integers(2, 7, rng.integers(1, 6)).astype(np.int32) for _ in range(5)]
    return writing.writer("readable", network, params, longest), sources


def naive_log_p(to, source, target):
    """The log-probability of one target, symbol by symbol."""
    encoded, _ = by_hand.encode(to.network, to.params, source[:, None])
    states, last, total = encoded.states, codecs.START, 0.0
    for symbol in [*target, codecs.END]:
        logits, states, _ = by_hand.step(to.network, to.params, np.array([last]), states, encoded)
        logits = logits[0].astype(np.float64)
        total += logits[symbol] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        last = symbol
    return total


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), beam=st.integers(2, 5), cell=st.sampled_from(["gru", "lstm"]))
def test_a_beam_is_never_worse_than_the_greedy_choice(seed, beam, cell):
    to, sources = random_writer(seed, cell)
    greedy, likely = writing.write(to, sources, 1)
    found, likelier = writing.write(to, sources, beam)
    assert (likelier >= likely).all()
    for k, source in enumerate(sources):
        for target, total in ((greedy[k], likely[k]), (found[k], likelier[k])):
            assert len(target) <= to.longest
            assert not np.isin(target, [0, 1, codecs.START, codecs.END]).any()  # nothing that nobody can read
            assert abs(naive_log_p(to, source, target) - total) < 1e-4


def test_a_beam_alone_may_be_worse():
    """What is tested above would not hold of the search itself."""
    worse = 0
    for seed in range(200):
        to, sources = random_writer(seed)
        source, lengths = writing._padded(sources, 5)
        options = {"beam": 2, "length_penalty": 0.0}
        symbols, counts, _ = by_hand.beam_search(to.network, to.params, source, lengths, to.longest, **options)
        alone = writing.log_probabilities(to, sources, writing._cut(symbols, counts))
        worse += (alone < writing.write(to, sources, 1)[1] - 1e-6).sum()
    assert worse > 0


def test_a_batch_writes_what_each_source_alone_gets(reversing):
    model, (sources, _) = reversing
    together = model.predict(sources)
    assert together == [model.predict([source])[0] for source in sources]
    assert len(set(together)) > 10  # not one answer to all


def test_few_shapes_are_computed():
    lengths = np.random.default_rng(0).integers(1, 400, 3000).tolist()
    batches = list(writing._batches(lengths, 1))
    assert sorted(row for rows, _, _ in batches for row in rows.tolist()) == list(range(3000))
    assert len({(len(filled), S) for _, filled, S in batches}) < 20
    assert all(max(lengths[row] for row in rows) <= S for rows, _, S in batches)


def test_unknown_symbols_are_trained_read_and_never_written(reversing):
    model, (sources, _) = reversing
    assert all("\ufffd" not in text for text in model.predict(["ab☃c", "☃☃"], beam=3))
    assert model.predict(["a☃"]) == model.predict(["a☂"])
    left = [model.source_.encode(source) for source in sources]
    more, targets = examples.with_unknown(left, left, seed=0)
    copies = more[len(left) :]
    assert len(copies) == round(0.05 * len(left)) == len(targets) - len(left)
    for copy, target in zip(copies, targets[len(left) :]):
        np.testing.assert_array_equal(np.where(copy == 1, target, copy), target)
        assert (copy == 1).sum() == 1
    for own, original in zip(more, left):
        np.testing.assert_array_equal(own, original)


def test_words_keep_what_they_know_and_join_as_they_belong():
    sources = [f"The {a} sees the {b}." for a in ["cat", "dog", "bird"] for b in ["cow", "pig", "fox"]] * 4
    sources = [f"{source} {k}" for k, source in enumerate(sources)]
    targets = [source.replace("sees", "hears") for source in sources]
    model = Seq2Seq(**TINY, unit="words").fit(sources, targets)
    assert model.source_.encode("cat 1 zebra").tolist()[1:] == [1, 1]  # numbers occur once each
    assert any("of the symbols of training sources are read as unknown" in note for note in model.notes_)
    assert any("of the symbols of validation targets are unknown" in note for note in model.notes_)
    assert model.target_.plain("The  cat hears , ( it )") == "The cat hears, (it)"
    weights, source, target = model.attention_of("The cat sees")
    assert source == ["The", "cat", "sees"]
    assert weights.shape == (len(target), 3)


# ---------------------------------------------------------------- attention


def test_attention_is_that_of_what_was_written(reversing):
    model, (sources, _) = reversing
    weights, source, target = model.attention_of(sources[0])
    (written,) = model.predict([sources[0]])
    assert "".join(source) == sources[0]
    assert target == [*written, "<end>"]
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    ids, lengths = writing._padded([model.source_.encode(sources[0])], len(sources[0]))
    to = model._writer()
    _, _, theirs = by_hand.greedy(to.network, to.params, ids, lengths, to.longest)
    np.testing.assert_allclose(weights[: len(written)], theirs[: len(written), 0], rtol=1e-4, atol=1e-6)
    without = Seq2Seq(**TINY, attention="none", bidirectional=False).fit(*reversals(40))
    with pytest.raises(ParameterError, match="fitted with attention='none'"):
        without.attention_of("abc")


# ---------------------------------------------------------------- numbers


def series_pairs(n=60):
    rng = np.random.default_rng(0)
    sides = [rng.integers(0, 30, rng.integers(2, 6)) for _ in range(n)]
    return [" ".join(map(str, side)) for side in sides], [" ".join(f"{x}.50" for x in side) for side in sides]


def test_series_of_numbers_are_read_and_written_in_bins():
    model = Seq2Seq(**TINY).fit(*series_pairs())
    assert model.source_.unit == "numbers"
    assert "Numbers are written as the centres of 30 bins: that loses nothing on the training pairs." in model.notes_
    (text,) = model.predict(["3 7 3"])
    assert all(re.fullmatch(r"\d+\.5", word) for word in text.split())
    evaluation = model.evaluate()
    assert evaluation.ranked_by == "MAE"
    assert evaluation.scores.loc["copied source", "MAE"] == 0.5
    with pytest.raises(minirnn.data.DataError, match="source 0: the text holds 'x'"):
        model.predict(["3 x"])


def test_bins_hold_equally_many_numbers_and_are_written_as_their_mean():
    values = np.sort(np.random.default_rng(0).lognormal(0, 2, 5000)).astype(np.float32)
    codec = codecs.Numbers.of(values)
    assert len(codec.centres) == codecs.BINS
    ids = np.concatenate([codec.encode(codecs._written(value)) for value in values])
    assert (np.diff(ids) >= 0).all()
    assert np.bincount(ids)[2:].max() < 3 * 5000 / codecs.BINS
    for value, bin_ in zip(values[::50], ids[::50]):  # the nearest centre, by brute force
        assert abs(codec.centres - value).argmin() == bin_ - 2
    assert codec.decode(codec.encode("-1e9 1e9")) == codec.decode(np.array([2, codec.size - 1]))
    few = codecs.Numbers.of(np.array([0.1, -300, 0.1], np.float32))
    assert few.decode(few.encode("-300 0.1 -299")) == "-300 0.1 -300"


def test_missing_numbers_count_as_the_last_one():
    assert judging.mean_absolute_error(["1 2", ""], ["1 3 4", "5"]) == (0 + 1 + 2 + 5) / 4
    assert judging.mean_absolute_error(["1 2 99"], ["1 2"]) == 0


# ---------------------------------------------------------------- judging


def test_the_verdict_says_who_wins(reversing):
    model, _ = reversing
    pairs = Pairs(["ab", "cd"], ["ba", "dc"], ["", ""])
    for written, exact, words in (
        (["ba", "dc"], 1.0, "writes 100.0 % of the unseen targets exactly; the best simple answer"),
        (["", "x"], 0.0, "the network does not beat it; take the simpler one"),
    ):
        train = Pairs(["ab", "xy"], ["qq", "yx"], ["", ""])
        found = judging.judge("gru", model.source_, model.target_, train, pairs, written)
        assert found.scores.iloc[0]["exact match"] == exact
        assert words in found.sentence
        assert found.ranked_by == ("exact match" if exact else "character error rate")
    assert found.scores.loc["copied source", "character error rate"] == 1.0


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_the_nearest_source_shares_most_runs(data):
    sequence = st.lists(st.integers(1, 3), min_size=1, max_size=6).map(np.array)
    known, new = data.draw(st.lists(sequence, min_size=1, max_size=5)), data.draw(sequence)

    def runs(s):
        return {tuple(s[i : i + n]) for n in (1, 2, 3) for i in range(len(s) - n + 1)}

    near = [2 * len(runs(each) & runs(new)) / (len(runs(each)) + len(runs(new))) for each in known]
    assert neighbours.nearest(known, [new]) == [int(np.argmax(near))]


def test_evaluation_is_on_pairs_that_no_training_saw():
    days = [date(1990 + k, 1 + k % 12, 1 + k % 28) for k in range(50)]
    texts = [form(day) for day in days for form in (FORMATS[0], FORMATS[4], FORMATS[15])]
    assert len(set(texts)) == 3 * len(days)
    targets = [day.isoformat() for day in days for _ in range(3)]
    model = Seq2Seq(**TINY | {"max_epochs": 1}, unseen="both").fit(texts, targets)
    parts = model.job_.parts
    held = [set(model.job_.pairs.take(part).targets) for part in parts[:3]]
    assert len(set.union(*held)) == sum(map(len, held)) == len(days)
    evaluation = model.evaluate()
    assert list(evaluation.scores.index) == ["GRU", "nearest source", "copied source"]
    test = model.job_.pairs.take(parts.test)
    assert evaluation.scores.iloc[0]["exact match"] == exact_match(model.predict(test.sources), test.targets)
    assert model.score(test) == evaluation.scores.iloc[0]["exact match"]
    json.dumps(evaluation.as_dict(), allow_nan=False)


# ---------------------------------------------------------------- the command

QUICK = shlex.split("--backend readable --hidden-size 6 --embedding-size 4 --max-epochs 1 --batch-size 16 --quiet")


def test_the_command_trains_reports_and_predicts(tmp_path):
    sources, targets = reversals(60)
    lines = "".join(f"{a}\t{b}\n" for a, b in zip(sources, targets))
    (tmp_path / "pairs.tsv").write_text(lines)
    ended = run("translate", tmp_path / "pairs.tsv", *QUICK, "--out", tmp_path / "out")
    assert ended.status == 0, ended.err
    assert "padding     " in ended.out
    assert "test        6 pairs\n" in ended.out
    out = tmp_path / "out"
    names = {"attention.png", "metrics.json", "model.safetensors", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    page = (out / "report.html").read_text()
    assert page.count('<table class="attention') == 4
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["splits"]["test"] == {"pairs": 6}

    model = minirnn.load(out / "model.safetensors")
    (tmp_path / "new.txt").write_text("abc\n\nfed\n")
    for extra, beam in (([], 1), (["--beam", "3"], 3)):
        ended = run("predict", out / "model.safetensors", tmp_path / "new.txt", *extra)
        first, third = model.predict(["abc", "fed"], beam=beam)
        assert ended.out == f"{first}\n\n{third}\n"
    ended = run("predict", out / "model.safetensors", tmp_path / "new.txt", "--json", "--attention")
    first, second, third = map(json.loads, ended.out.splitlines())
    assert second == {"source": "", "target": None}
    assert first["target"] == model.predict(["abc"])[0]
    assert first["log_probability"] == model.translate(["abc"])[0].log_probability
    assert first["attention"]["source"] == list("abc")
    assert len(first["attention"]["weights"]) == len(first["target"]) + 1
    written = tmp_path / "answers.txt"
    assert run("predict", out / "model.safetensors", tmp_path / "new.txt", "--out", written).out == ""
    assert len(written.read_text().splitlines()) == 3


def test_without_a_file_it_learns_dates_and_no_part_shares_one(tmp_path):
    ended = run("translate", *QUICK, "--pairs", "120", "--attention", "none", "--json", "--out", tmp_path / "out")
    assert ended.status == 0, ended.err
    about = json.loads(ended.out)
    assert about["model"]["unseen"] == "both"
    assert about["source"] == "generated dates (no file was given)"
    assert "Where it looked" not in (tmp_path / "out" / "report.html").read_text()
