"""The exercises in NumPy that are no plain cell: what is right, which mistakes are found, what is said of others."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minirnn import readable
from minirnn.learn.exercises import exercises, lengths, sizes, structure, training, variants
from minirnn.learn.grading.diagnosis import diagnose
from minirnn.learn.grading.ladder import grade
from minirnn.learn.grading.probes import combined, pairs, probe
from minirnn.learn.mistakes import CATALOGUE, by_id, of_exercise
from minirnn.params import (
    Dense,
    DenseParams,
    Directions,
    DotAttentionParams,
    EmbeddingParams,
    Network,
    NetworkParams,
    Recurrent,
    RecurrentParams,
    RNNParams,
)

SOLUTIONS = Path(__file__).parent / "solutions"
SOLVED = [training.GRADIENT_CHECK, *training.EXERCISES, *lengths.EXERCISES, *structure.EXERCISES]
UNSOLVED = list(variants.EXERCISES)


def named(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=[e.name for e in exercises])


def solution(exercise):
    return exercise.solution if exercise.solved else (SOLUTIONS / f"{exercise.name}.py").read_text()


def cases(name):
    """Every situation of two seeds: (rung, arguments, what the worked answer says)."""
    exercise = exercises()[name]
    for number in (0, 1):
        on = probe(exercise, 7, number)
        yield from ((rung, on.cases[rung], on.right[rung]) for rung in on.cases)


def close(ours, theirs, message=""):
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13, err_msg=message)


# ---------------------------------------------------------------- the worked answers against the library


def test_clipping_is_that_of_the_optimisers():
    for rung, given, right in cases("clip_by_global_norm"):
        sums = {name: given[f"{name}_steps"].sum(axis=0) for name in ("dWx", "dWh", "db")}
        clipped, _ = readable.optimizers.clip_by_global_norm(given["max_norm"]).update(sums, ())
        for name, array in clipped.items():
            close(right[name], array, f"{rung}: {name}")
        close(right["norm"], readable.optimizers.global_norm(sums))


def test_the_loss_is_that_of_the_library():
    for rung, given, right in cases("softmax_cross_entropy"):
        loss, dlogits = readable.losses.softmax_cross_entropy(given["logits"], given["labels"], given["mask"])
        close(right["loss"], loss, rung)
        close(right["dlogits"], dlogits, rung)


def test_the_embedding_is_that_of_the_library():
    for rung, given, right in cases("embedding_backward"):
        mask = given["mask"]
        params = EmbeddingParams(np.zeros((given["V"], given["dys"].shape[-1])))
        dys, symbols = np.where(mask[:, :, None], given["dys"], 0), np.where(mask, given["symbols"], 0)
        close(right["dE"], readable.layers.embedding_backward(dys, (params, symbols)).E, rung)


def test_attention_is_that_of_the_library():
    for rung, given, right in cases("attention_backward"):
        arrays = [given[name] for name in ("q", "k", "v", "mask")]
        context, a, cache = readable.attention.forward(DotAttentionParams(), *arrays)
        _, dq, dk, dv = readable.attention.backward(given["dcontext"], given["dweights"], cache)
        for name, array in {"a": a, "c": context, "dq": dq, "dk": dk, "dv": dv}.items():
            close(right[name], array, f"{rung}: {name}")


def test_lengths_are_those_of_the_library():
    for rung, given, right in cases("masked_backward"):
        params = RNNParams(given["Wx"], given["Wh"], given["b"])
        ys, h_T, cache = readable.rnn.forward(params, given["xs"], given["h0"], given["lengths"])
        dparams, dxs, dh0 = readable.rnn.backward(given["dys"], given["dh_T"], cache)
        theirs = {"ys": ys, "h_T": h_T, "dxs": dxs, "dh0": dh0, "dWx": dparams.Wx, "dWh": dparams.Wh, "db": dparams.b}
        for name, array in theirs.items():
            close(right[name], array, f"{rung}: {name}")


def test_truncation_is_that_of_the_library():
    for rung, given, right in cases("truncated_backward"):
        H = len(given["b"])
        network = Network((Recurrent("rnn", H), Dense(H)), H, "steps")
        cell = RNNParams(given["Wx"], given["Wh"], given["b"])
        same = DenseParams(np.eye(H), np.zeros(H))  # the outputs are the states
        params = readable.network.init(0, network, given["Wx"].shape[0], np.float64)
        params = NetworkParams((RecurrentParams(cell, ()), same), same)
        seen = []

        def loss(outputs, dys):
            seen.append(outputs)
            return (outputs * dys).sum(), dys

        _, dparams, _ = readable.truncated.gradient(
            network, params, given["xs"], (given["dys"],), loss, given["window"], (given["h0"], ())
        )
        close(right["ys"], np.concatenate(seen), rung)
        for name, array in dparams.layers[0].weights._asdict().items():
            close(right[f"d{name}"], array, f"{rung}: d{name}")
        # The library does not return dxs and dh0 of windows: those of each window by itself.
        h, dxs, dh0s = given["h0"], [], []
        for steps in readable.truncated.windows(len(given["xs"]), given["window"]):
            _, h, cache = readable.rnn.forward(cell, given["xs"][steps], h)
            _, dx, dh0 = readable.rnn.backward(given["dys"][steps], None, cache)
            dxs.append(dx)
            dh0s.append(dh0)
        close(right["dxs"], np.concatenate(dxs), rung)
        close(right["dh0"], dh0s[0], rung)


def test_truncation_with_one_window_is_no_truncation_and_with_several_it_is():
    found = {}
    for rung, given, right in cases("truncated_backward"):
        params = RNNParams(given["Wx"], given["Wh"], given["b"])
        _, _, cache = readable.rnn.forward(params, given["xs"], given["h0"])
        whole = readable.rnn.backward(given["dys"], None, cache)[0].Wh
        found[rung] = np.linalg.norm(right["dWh"] - whole) / np.linalg.norm(whole)
    assert found["one window"] < 1e-13
    assert found["values"] > 1e-2
    assert found["a short last window"] > 1e-2


def test_two_directions_are_those_of_the_library(rng):
    given = next(iter(exercises()["bidirectional_backward"].cases(rng).values()))
    D, H = given["xs"].shape[-1], given["dh_first"].shape[-1]
    forwards, backwards = lengths.weights(rng, D, H), lengths.weights(rng, D, H)
    layer = Recurrent("rnn", H, bidirectional=True)
    params = RecurrentParams(Directions(forwards, backwards), ())
    T, B = given["xs"].shape[:2]
    for ragged in (np.full(B, T), sizes.lengths(rng, T, B)):
        given |= {"lengths": ragged, "first": structure.direction(forwards), "second": structure.direction(backwards)}
        right = exercises()["bidirectional_backward"].right(given)
        ys, finals, cache = readable.recurrent.forward(layer, params, given["xs"], None, ragged)
        last = Directions(given["dh_first"], given["dh_second"])
        dparams, dxs, _ = readable.recurrent.backward(given["dys"], last, cache)
        one, other = dparams.weights
        theirs = {"ys": ys, "h_first": finals[0], "h_second": finals[1], "dxs": dxs}
        theirs |= {"dWx_first": one.Wx, "dWh_first": one.Wh, "dWx_second": other.Wx, "dWh_second": other.Wh}
        for name, array in theirs.items():
            close(right[name], array, name)


# ---------------------------------------------------------------- gradient checking


def test_the_worked_gradient_check_agrees_with_derived_gradients(rng):
    check = training.GRADIENT_CHECK.program.compiled()
    W, x = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    right = (1 - np.tanh(x @ W) ** 2) @ W.T
    seen = check(f=lambda x: np.tanh(x @ W).sum(), x=x, gradient=right)
    assert seen["error"] < 1e-9
    assert np.linalg.norm(seen["numeric"] - right) < 1e-9 * np.linalg.norm(right)


@pytest.mark.parametrize("size", [2e-7, 1e-6, 1e-5, 1e-4, 1e-3])
def test_any_step_between_rounding_and_curvature_is_right(size):
    text = training.GRADIENT_CHECK.solution.replace("1e-5 * max", f"{size} * max")
    assert f"{size} * max" in text
    result = grade(training.GRADIENT_CHECK, text)
    assert all(rung.ok for rung in result.rungs if rung.name != "answer"), result.rungs
    # On a real loss a step of 1e-3 is a little too long, and 2e-7 a little too short: the rung has a bound of its own.
    assert size != 1e-5 or result.passed


@pytest.mark.parametrize(
    ("mistake", "old", "new"),
    [
        ("step-too-small", "step = 1e-9", "step = 1e-8"),
        ("step-too-small", "step = 1e-9", "step = 3e-10"),
        ("step-too-large", "step = 0.05", "step = 1e-2"),
        ("step-too-large", "step = 0.05", "step = 0.3"),
        ("one-sided", "1e-5 * max", "1e-6 * max"),
        ("one-sided", "1e-5 * max", "1e-4 * max"),
        ("float32", "1e-5 * max", "1e-3 * max"),
        ("not-put-back", "1e-5 * max", "1e-6 * max"),
    ],
)
def test_a_mistake_in_a_gradient_check_is_known_whatever_the_step(mistake, old, new):
    wrong = by_id()[f"general.check.{mistake}"].wrong
    text = training.GRADIENT_CHECK.file(training.GRADIENT_CHECK.program.source(wrong))
    assert old in text
    result = grade(training.GRADIENT_CHECK, text.replace(old, new))
    assert [finding.id for finding in result.findings] == [f"general.check.{mistake}"]


def test_a_gradient_check_that_is_right_on_instruments_only_is_found_out():
    text = training.GRADIENT_CHECK.solution.replace("1e-5 * max(1.0, abs(kept))", "1.9e-3 * max(1.0, abs(kept))")
    rungs = {rung.name: rung for rung in grade(training.GRADIENT_CHECK, text).rungs}
    assert rungs["values"].ok
    assert not rungs["answer"].ok
    assert "a right gradient gets the error" in rungs["answer"].message
    blind = training.GRADIENT_CHECK.solution.replace('"error": error', '"error": 0.0 * error')
    rungs = {rung.name: rung for rung in grade(training.GRADIENT_CHECK, blind).rungs}
    assert "a slip of 0.1 % in one element gets the error 0.0e+00 only" in rungs["answer"].message


# ---------------------------------------------------------------- mistakes


@named(SOLVED)
def test_every_mistake_is_found_in_a_file(exercise):
    for mistake in of_exercise(exercise.name):
        result = grade(exercise, exercise.file(exercise.program.source(mistake.wrong)))
        assert not result.passed, mistake.id
        assert [finding.id for finding in result.findings] == [mistake.id]
        assert result.points < result.of


@named(SOLVED)
def test_nine_of_ten_pairs_are_named(exercise):
    counted = Counter()
    for a, b in pairs(of_exercise(exercise.name)):
        ids = [finding.id for finding in diagnose(exercise, exercise.program.compiled(combined((a, b))))]
        assert "" not in ids, (a.id, b.id)
        if set(ids) == {a.id, b.id}:
            counted["both"] += 1
        elif len(ids) == 1:  # by its numbers the answer is that of one mistake: the other one is hidden by it
            counted["one hides the other"] += 1
        else:
            counted["another pair with the same numbers"] += 1
    assert counted["both"] >= 0.9 * (counted.total() - counted["one hides the other"]), counted
    assert counted["both"] >= 0.8 * counted.total(), counted
    assert counted["another pair with the same numbers"] <= 1, counted


def test_many_mistakes_are_known_outside_of_plain_cells():
    names = {exercise.name for exercise in SOLVED}
    assert sum(bool(names & set(mistake.where)) for mistake in CATALOGUE if mistake.family == "general") >= 100


# ---------------------------------------------------------------- what is said of answers that are not right


def broken(exercise, body):
    """The worked answer, with something done around it."""
    wrapped = f"\n\n_right = {exercise.function}\n\n\ndef {exercise.function}(**given):\n"
    return solution(exercise) + wrapped + "".join(f"    {line}\n" for line in body.splitlines())


SPOILT = {
    "shape": (
        "out = _right(**given)\nout['{name}'] = np.asarray(out['{name}'])[None]\nreturn out",
        "shapes",
        "{name} has",
    ),
    "missing": ("out = _right(**given)\ndel out['{name}']\nreturn out", "runs", "the answer lacks {name}"),
    "no number": ("out = _right(**given)\nout['{name}'] = None\nreturn out", "runs", "{name} is None"),
    "a list": ("return list(_right(**given).values())", "runs", "returned list; expected a dictionary of named arrays"),
    "nothing": ("_right(**given)", "runs", "returned NoneType; expected a dictionary"),
    "an error": ("raise ValueError('first line\\nsecond line')", "runs", "ValueError: first line"),
    "complex": ("out = _right(**given)\nout['{name}'] = out['{name}'] + 0j\nreturn out", "shapes", "complex numbers"),
    "noise": (
        "out = _right(**given)\nout['{name}'] = out['{name}'] + np.random.default_rng().random()\nreturn out",
        "repeatable",
        "another answer",
    ),
}


@named(SOLVED + UNSOLVED)
@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_not_right_gets_one_clear_line(exercise, kind):
    body, rung, words = SPOILT[kind]
    name = exercise.required[-1]
    result = grade(exercise, broken(exercise, body.format(name=name)))
    assert not result.passed
    said = {each.name: each.message for each in result.rungs if each.ok is False}
    assert words.format(name=name) in said[rung], said
    assert all(message and "\n" not in message for message in said.values())


@named(SOLVED + UNSOLVED)
def test_arguments_are_not_to_be_changed(exercise):
    name, array = next(
        (name, array)
        for name, array in next(iter(exercise.cases(np.random.default_rng(0)).values())).items()
        if isinstance(array, np.ndarray) and array.dtype.kind == "f"
    )
    assert np.isfinite(array).all()
    result = grade(exercise, broken(exercise, f"out = _right(**given)\ngiven['{name}'] += 1\nreturn out"))
    rungs = {rung.name: rung for rung in result.rungs}
    assert not rungs["inputs"].ok
    assert name in rungs["inputs"].message
    assert all(rung.ok for rung in result.rungs if rung.name != "inputs")


def test_nan_in_an_argument_is_no_change():
    for name in ("softmax_cross_entropy", "embedding_backward", "masked_backward", "attention_backward"):
        exercise = exercises()[name]
        held = [array for case in exercise.cases(np.random.default_rng(0)).values() for array in case.values()]
        assert any(isinstance(a, np.ndarray) and a.dtype.kind == "f" and np.isnan(a).any() for a in held)
        assert {rung.name: rung.ok for rung in grade(exercise, exercise.solution).rungs}["inputs"]


@named(SOLVED)
def test_a_stub_says_what_to_do_and_not_how(exercise):
    assert exercise.stub.count("...") >= 3
    assert '"""' in exercise.program.stub
    for line in exercise.program.lines.values():
        if "=" in line.code:
            assert line.code not in exercise.program.stub
    for number in re.findall(r"\b[A-Z]\d+\b", exercise.equations):
        assert number in exercise.program.text or "-" in exercise.equations


def test_library_code_in_a_stub_is_the_library_s():
    text = lengths.library(readable.truncated.windows)
    names = {}
    exec(text, names)
    assert ">>>" not in text
    assert names["windows"](7, 3) == readable.truncated.windows(7, 3)
    with pytest.raises(ValueError, match="windows has 0 lines that begin with 'nothing'; expected one"):
        lengths.library(readable.truncated.windows, {"nothing": "[label]"})
