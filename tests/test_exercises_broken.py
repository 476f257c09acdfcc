"""Exercises in reading: the file is wrong in one line, the printout tells the truth, and the answer is judged."""

import re

import numpy as np
import pytest

from minirnn import readable
from minirnn.learn.exercises import broken, exercises
from minirnn.learn.exercises.course import COURSE
from minirnn.learn.grading.ladder import grade
from minirnn.learn.grading.probes import probe
from minirnn.learn.mistakes import by_id

NAMES = [exercise.name for exercise in broken.EXERCISES]
SINGLE = [name for name in NAMES if name != "broken_course"]


def failed(result):
    return {rung.name: rung.message for rung in result.rungs if not rung.ok}


def answered(text, answer):
    """The stub with its question answered, and nothing mended."""
    made, count = re.subn(r"^WRONG = \.\.\..*$", lambda _: f"WRONG = {answer!r}", text, flags=re.MULTILINE)
    assert count == 1
    return made


def function_of(text):
    names = {}
    exec(text.replace("WRONG = ...", "WRONG = None"), names)
    return names


def test_all_are_registered():
    assert {"broken_lstm", "broken_gru", "broken_bptt", "broken_loss", "broken_attention", "broken_mask",
            "broken_course"} == set(NAMES) <= set(exercises())  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes_and_the_stub_does_not(name):
    exercise = exercises()[name]
    result = grade(exercise, exercise.solution)
    assert result.passed, failed(result)
    assert result.points == result.of
    stub = grade(exercise, exercise.stub)
    assert not stub.passed
    assert stub.points == 0
    assert stub.of == result.of
    assert failed(stub)["runs"] == "still to be filled in: WRONG"


@pytest.mark.parametrize("name", SINGLE)
def test_every_seed_is_a_riddle_with_one_answer(name):
    exercise = exercises()[name]
    assert len(exercise.mistakes) >= 8
    files = set()
    for seed, mistake in enumerate(exercise.mistakes):
        text = exercise.stub_of(seed)
        files.add(text)
        assert f"SEED = {seed} " in text
        ((label, line),) = mistake.wrong.items()
        assert f"    {line}  # {label}" in text
        # Every other labelled line is the right one, and nothing says which is wrong.
        for other, right in exercise.program.lines.items():
            assert (f"{right.code}  # {other}" in text) == (other != label)
        for word in (mistake.id, mistake.term, "blank"):
            assert word not in text
        # The printout is there, and shows something.
        rows = [row for row in text.splitlines() if row.startswith("#   ")]
        assert len(rows) >= 2
        assert any(cell != "." for row in rows[1:] for cell in row.split()[-len(rows[0].split()) :])
        assert max(map(len, rows)) <= 120
    assert len(files) == len(exercise.mistakes)
    assert exercise.wrong(len(exercise.mistakes)) == exercise.wrong(0)
    assert exercise.wrong(-1) == exercise.wrong(len(exercise.mistakes) - 1)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_answer_and_the_mended_line_are_judged_apart(name, seed):
    exercise = exercises()[name]
    ((label, line),) = exercise.wrong(seed).items()
    text = exercise.stub_of(seed)
    # Named, not mended: the catalogue's entry is told.
    result = grade(exercise, answered(text, label))
    assert "answer" not in failed(result)
    assert not result.passed
    assert [by_id()[finding.id].wrong for finding in result.findings] == [{label: line}]
    # Neither: nothing gives the answer away.
    other = next(each for each in exercise.program.lines if each != label)
    result = grade(exercise, answered(text, other))
    assert "answer" in failed(result)
    assert result.findings == []
    assert result.first_wrong is None
    assert {failed(result)[rung] for rung in exercise.cases(np.random.default_rng(0)) if rung in failed(result)} == {
        "something is wrong; what it is, is the question"
    }
    assert result.points < 0.7 * result.of
    # Mended, and another line named.
    mended = text.replace(f"{line}  # {label}", f"{exercise.program.lines[label].code}  # {label}")
    result = grade(exercise, answered(mended, other))
    assert set(failed(result)) == {"answer"}
    assert failed(result)["answer"] == f"{other} does what it should: look elsewhere"
    assert label not in failed(result)["answer"]
    # Both, the label written as people do.
    for said in (label, label.lower(), label.strip("[]"), [label]):
        assert grade(exercise, answered(mended, said)).passed


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "WRONG is None; expected one label"),
        (10, "WRONG is 10; expected one label"),
        (["L8", "L9"], "expected one label"),
        ([], "expected one label"),
        ("L99", "no line is labelled L99; there are L8, L9"),
    ],
)
def test_strange_answers_get_one_line(said, words):
    exercise = exercises()["broken_lstm"]
    assert words in failed(grade(exercise, answered(exercise.stub, said)))["answer"]


@pytest.mark.parametrize(("line", "words"), [("SEED = 'x'", "SEED is 'x'"), ("SEED = True", "SEED is True")])
def test_a_strange_seed_gets_one_line(line, words):
    exercise = exercises()["broken_gru"]
    text = re.sub(r"^SEED = .*$", line, exercise.solution, flags=re.MULTILINE)
    assert words in failed(grade(exercise, text))["answer"]


def test_without_the_answer_it_is_asked_for():
    exercise = exercises()["broken_mask"]
    text = re.sub(r"^WRONG = .*$", "", exercise.solution, flags=re.MULTILINE)
    assert failed(grade(exercise, text)) == {"answer": 'WRONG is None; expected one label, such as "L9"'}


def table(text):
    """The printout: row to {column: cell}."""
    rows = [line[4:] for line in text.splitlines() if line.startswith("#   ")]
    starts = [match.end() for match in re.finditer(r"\S+(?: \S+)*", rows[0])]
    heads = re.findall(r"\S+(?: \S+)*", rows[0])
    found = {}
    for row in rows[1:]:
        cells = [row[:end].split()[-1] for end in starts]
        found[row[: starts[0] - 8].strip()] = dict(zip(heads, cells))
    return found


@pytest.mark.parametrize("seed", [0, 5])
def test_the_printout_is_the_gradient_check_of_the_file(seed):
    exercise = exercises()["broken_lstm"]
    text = exercise.stub_of(seed)
    given = exercise.cases(np.random.default_rng(0))["values"]
    printed = table(text)
    for column, zero in {"all": (), "dc_next alone": ("dy", "dh_next"), "dy alone": ("dh_next", "dc_next")}.items():
        arguments = {key: np.zeros_like(value) if key in zero else value for key, value in given.items()}
        mine = function_of(text)["step_backward"](**arguments)
        right = function_of(exercises()["lstm_step_backward"].solution)["step_backward"](**arguments)
        for name in exercise.required:
            a, b = mine[name], right[name]
            size = max(np.linalg.norm(a), np.linalg.norm(b))
            error = np.linalg.norm(a - b) / size if size else 0.0
            cell = printed[name][column]
            assert (cell == ".") == (error < 1e-9)
            if cell != ".":
                assert float(cell) == pytest.approx(error, abs=0.0051)
    # Blocks are shown where the whole is not right.
    blocks = {printed.get(f"db, block {gate}", {"all": "."})["all"] for gate in "ifgo"}
    assert (blocks == {"."}) == (printed["db"]["all"] == ".")


# ---------------------------------------------------------------- the case study


def test_the_course_right_is_what_the_library_computes():
    rng = np.random.default_rng(4)
    given = COURSE.cases(rng)["sequence"]
    got = COURSE.right(given)
    caches, Wy, targets = given["caches"], given["Wy"], given["targets"]
    params = readable.lstm.init(0, 5, 4, np.float64)._replace(Wx=caches[0].Wx, Wh=caches[0].Wh)
    # b is in no cache: it is what the gates say it is.
    z = [np.log(g / (1 - g)) if k != 2 else np.arctanh(g) for k, g in enumerate(caches[0][3:7])]
    b = (np.concatenate(z, axis=-1) - caches[0].x @ params.Wx - caches[0].h_prev @ params.Wh)[0]
    params = params._replace(b=b)
    xs = np.stack([cache.x for cache in caches])
    state = readable.lstm.initial_state(params, xs.shape[1])._replace(h=caches[0].h_prev, c=caches[0].c_prev)
    hs, _, cache = readable.lstm.forward(params, xs, state)
    labels = targets.argmax(axis=-1)
    loss, dlogits = readable.losses.softmax_cross_entropy(hs @ Wy, labels)
    dparams, dxs, dstate = readable.lstm.backward(dlogits @ Wy.T, None, cache)
    right = {"dWy": np.einsum("tbh,tbk->hk", hs, dlogits), "dxs": dxs, "dh0": dstate.h, "dc0": dstate.c,
             "dWx": dparams.Wx, "dWh": dparams.Wh, "db": dparams.b}  # fmt: skip
    assert np.isfinite(loss)
    for name, value in right.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-12)


def test_the_course_holds_eight_wrong_lines_and_each_matters():
    exercise = exercises()["broken_course"]
    assert len(exercise.fixed) == 8
    given = exercise.cases(np.random.default_rng(1))["sequence"]
    right = exercise.right(given)
    for label, line in exercise.fixed.items():
        assert exercise.program.lines[label].code != line
        mine = exercise.program.compiled({label: line})(**given)
        assert any(not np.allclose(mine[name], right[name]) for name in exercise.required), label
    assert len([row for row in table(exercise.stub) if row.startswith("dxs[")]) == len(
        probe(exercise, 0, 0).cases["sequence"]["caches"]
    )


def test_the_course_is_judged_by_what_is_found():
    exercise = exercises()["broken_course"]
    labels = list(exercise.fixed)

    def share(said):
        return next(rung for rung in grade(exercise, answered(exercise.stub, said)).rungs if rung.name == "answer")

    assert share(labels).ok
    assert share(labels[::-1]).ok
    assert share(labels[:4]).share == 0.5
    assert share(labels[:4]).message == "4 of 8 wrong lines found"
    assert share([*labels[:4], "L12"]).share == 3 / 8
    assert share([*labels[:4], "L12"]).message == "4 of 8 wrong lines found; L12 does what it should: look elsewhere"
    assert share(list(exercise.program.lines)).share == 0
    assert "expected a list of labels" in share(7).message


def test_half_mended_the_course_says_what_is_left():
    exercise = exercises()["broken_course"]
    left = {label: exercise.fixed[label] for label in ("L15", "L10")}
    text = exercise.file(f"WRONG = {list(exercise.fixed)!r}\n\n\n" + exercise.program.source(left))
    said = grade(exercise, text).findings
    assert [finding.id for finding in said] == ["lstm.dc.slope-squashed-twice", "lstm.dz_f.sigmoid-for-slope"]
    walk = exercise.file(f"WRONG = {list(exercise.fixed)!r}\n\n\n" + exercise.program.source(
        {"[cache]": exercise.fixed["[cache]"]}))  # fmt: skip
    assert [finding.id for finding in grade(exercise, walk).findings] == ["general.walk.cache-one-early"]
