"""The grader graded: known mistakes are named, nothing else is, right answers pass in whichever style."""

import ast
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minirnn import readable
from minirnn.equations import EQUATIONS, select
from minirnn.learn.exercises import exercises
from minirnn.learn.exercises.recurrent import run, weights
from minirnn.learn.grading import trial
from minirnn.learn.grading.diagnosis import diagnose
from minirnn.learn.grading.ladder import grade
from minirnn.learn.grading.observing import EXACT, distance
from minirnn.learn.grading.probes import combined, pairs, probe
from minirnn.learn.grading.rules import broken_rules
from minirnn.learn.mistakes import CATALOGUE, by_id, of_exercise
from minirnn.learn.recurrent import LESSONS
from minirnn.params import map_state

HERE = Path(__file__).parent
NUMPY = list(exercises().values())
# Where the catalogue knows mistakes; those of JAX stand in test_exercises_jax.py.
TOLD = [e for e in NUMPY if e.solved and of_exercise(e.name) and "jax" not in e.imports]
RANDOM = {
    f"{cell}_{part}": 65 if part == "step_backward" else 60
    for cell in LESSONS
    for part in ("step_backward", "backward")
}


def named(exercises):
    return pytest.mark.parametrize("exercise", exercises, ids=[e.name for e in exercises])


# ---------------------------------------------------------------- the table


@named(TOLD)
def test_every_known_mistake_is_called_by_its_name(exercise):
    said = trial.try_singles(exercise)
    assert {name: outcome for name, outcome in said.items() if outcome != "itself"} == {}


@named([e for e in TOLD if len(of_exercise(e.name)) > 1])
def test_nine_of_ten_pairs_are_named_and_none_by_a_false_name(exercise):
    every = (
        1 + len(list(pairs(of_exercise(exercise.name)))) // 2000
    )  # of the two largest only a third; all in the figure
    said = Counter(trial.try_pairs(exercise, every).values())
    assert said["false"] == 0, said
    # Where one mistake hides the other, nothing is left of the second in the numbers, and one is named.
    assert said["itself"] >= 0.9 * (said.total() - said["fewer, same numbers"]), said


@pytest.mark.parametrize("name", RANDOM)
def test_a_formula_of_no_catalogue_gets_no_name(name):
    tried = trial.try_random(exercises()[name], RANDOM[name], seed=len(name))
    for line, outcome, findings in tried:
        assert outcome in ("formula", "unknown"), f"{line}: {[(f.id, f.formula) for f in findings]}"
        assert not any(finding.id for finding in findings), line
    if name.endswith("step_backward"):  # where lines can be told apart, many formulas can be read back
        assert sum(outcome == "formula" for _, outcome, _ in tried) >= len(tried) // 4


def test_the_catalogue_is_as_large_as_it_says():
    families = Counter(mistake.family for mistake in CATALOGUE)
    assert families["lstm"] >= 55
    assert families["gru"] >= 26
    assert families["gru_reset_before"] >= 21
    assert families["general"] >= 18
    assert len(by_id()) == len(CATALOGUE)
    assert not set(by_id()) & set(EQUATIONS)


@pytest.mark.parametrize("mistake", CATALOGUE, ids=[m.id for m in CATALOGUE])
def test_an_entry_is_whole(mistake):
    assert mistake.equation in EQUATIONS or not mistake.equation
    assert mistake.term
    assert mistake.why
    assert not mistake.term.endswith(".")
    assert not mistake.why.endswith(".")
    for name in mistake.where:
        lines = exercises()[name].program.lines
        assert mistake.labels <= set(lines)
        for label, wrong in mistake.wrong.items():
            assert wrong != lines[label].code
            ast.parse(wrong)


def test_a_name_is_judged_by_numbers_that_the_grader_has_not_seen():
    """The judge itself can fail: a name that is not true is called false."""
    exercise = exercises()["lstm_step_backward"]
    a, b = by_id()["lstm.dc.no-slope"], by_id()["lstm.df.uses-c"]
    on = probe(exercise, 0, trial.UNSEEN)
    assert trial._same(exercise, on, a.wrong, a.wrong)
    assert not trial._same(exercise, on, a.wrong, b.wrong)
    assert not trial._same(exercise, on, a.wrong, combined((a, b)))


# ---------------------------------------------------------------- answers


@named(list(exercises().values()))
def test_a_stub_fails_and_gets_nothing(exercise):
    result = grade(exercise, exercise.stub)
    assert not result.passed
    assert result.points == 0
    assert result.of == sum(exercise.rungs.values())
    assert [rung.name for rung in result.rungs if rung.name in exercise.rungs] == list(exercise.rungs)
    first = next(rung for rung in result.rungs if rung.ok is False)
    assert "still to be filled in" in first.message


@named([e for e in exercises().values() if e.solved])
def test_a_solution_passes_with_full_points(exercise):
    for seed in (0, 1, 4711) if "jax" not in exercise.imports else (4711,):
        result = grade(exercise, exercise.solution, seed=seed)
        assert result.passed, [(rung.name, rung.message) for rung in result.rungs if not rung.ok]
        assert result.points == result.of
        assert not result.findings


@pytest.mark.parametrize("path", sorted((HERE / "answers").glob("*.py")), ids=lambda path: path.stem)
def test_right_answers_pass_in_whichever_style(path):
    exercise = next(e for e in sorted(NUMPY, key=lambda e: -len(e.name)) if path.stem.startswith(e.name))
    result = grade(exercise, path.read_text())
    assert result.passed, [(rung.name, rung.message) for rung in result.rungs if not rung.ok]
    if path.stem.endswith("float32"):
        assert any("float32" in note for note in result.notes)


@named([e for e in TOLD if e.name.split("_")[0] in ("rnn", "lstm", "gru") and e.name.endswith(("step", "backward"))])
def test_a_mistake_is_found_in_a_file_too(exercise):
    for mistake in of_exercise(exercise.name)[::5]:
        result = grade(exercise, exercise.file(exercise.program.source(mistake.wrong)), seed=3)
        assert not result.passed
        assert result.points < result.of
        found = [finding.id for finding in result.findings]
        assert mistake.id in found, (mistake.id, found)


def test_mistakes_are_found_without_intermediates_and_in_single_precision():
    exercise = exercises()["lstm_step_backward"]
    for a, b in list(pairs(of_exercise(exercise.name)))[::97]:
        function = exercise.program.compiled(combined((a, b)))

        def bare(dy, dh_next, dc_next, cache, function=function):
            answer = function(*(np.float32(v) for v in (dy, dh_next, dc_next)), type(cache)(*map(np.float32, cache)))
            return {name: answer[name] for name in exercise.required}

        found = {finding.id for finding in diagnose(exercise, bare)}
        assert found == {a.id, b.id} or trial.outcome(exercise, combined((a, b)), (a, b))[0] != "itself", (
            a.id,
            b.id,
            found,
        )


def test_three_mistakes_at_once_are_all_named_where_lines_are():
    exercise = exercises()["lstm_step_backward"]
    three = [by_id()[f"lstm.{name}"] for name in ("dc.carry-dropped", "dz_f.no-slope", "dWh.new-h")]
    found = diagnose(exercise, exercise.program.compiled(combined(three)))
    assert [finding.id for finding in found] == [mistake.id for mistake in three]
    assert found[0].where.startswith("First wrong: dc (L10)")
    assert found[1].where.startswith("Also wrong: dz_f (L15)")


def test_a_formula_outside_of_the_catalogue_is_read_back():
    exercise = exercises()["lstm_step_backward"]
    found = diagnose(
        exercise, exercise.program.compiled({"L10": "dc = dc_next + 2 * dh * o * i * (1 - np.tanh(c)**2)"})
    )
    (finding,) = found
    assert finding.confidence == "read back"
    assert finding.equation == "L10"
    lines = {"L10": finding.formula}
    on = probe(exercise, 0, trial.UNSEEN)
    assert trial._same(exercise, on, {"L10": "dc = dc_next + 2 * dh * o * i * (1 - np.tanh(c)**2)"}, lines)


def test_a_walk_says_from_which_step_on_it_is_wrong():
    exercise = exercises()["rnn_backward"]
    result = grade(exercise, exercise.file(exercise.program.source({"[carry]": "pass"})))
    T = len(probe(exercise, 0, 0).cases["sequence"]["caches"])
    assert result.first_wrong == {"name": "dxs", "t": T - 2}
    assert f"at t = {T - 2}" in result.findings[0].where


# ---------------------------------------------------------------- the worked answers are the library's


@pytest.mark.parametrize("cell", LESSONS)
def test_the_worked_answers_compute_what_the_library_computes(cell, rng):
    lesson, module = LESSONS[cell], getattr(readable, cell)
    T, B, D, H = 6, 3, 5, 4
    params = weights(lesson, rng, D, H)
    state = map_state(lambda a: rng.standard_normal(a.shape), module.initial_state(params, B))
    xs, dys = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))
    dstate = map_state(lambda a: rng.standard_normal(a.shape), state)
    ys, final, cache = module.forward(params, xs, state)
    dparams, dxs, dstate0 = module.backward(dys, dstate, cache)
    parts = {part: getattr(state, part, state) for part in lesson.state}

    step = exercises()[f"{cell}_step"].program.compiled()
    for t in range(T):
        seen = step(xs[t], *parts.values(), *params)
        parts = {part: seen[part] for part in lesson.state}
        np.testing.assert_allclose(parts["h"], ys[t], rtol=1e-12)
        for name, value in cache.gates[t]._asdict().items():
            if name in seen:
                np.testing.assert_allclose(seen[name], value, rtol=1e-12)

    _, caches = run(lesson, params, xs, state)
    last = {f"d{part}_T": getattr(dstate, part, dstate) for part in lesson.state}
    answer = exercises()[f"{cell}_backward"].program.compiled()(dys=dys, **last, caches=caches)
    right = {"dxs": dxs, **{f"d{part}0": getattr(dstate0, part, dstate0) for part in lesson.state}}
    right |= {f"d{name}": value for name, value in dparams._asdict().items()}
    assert set(right) == set(answer)
    for name, value in right.items():
        np.testing.assert_allclose(answer[name], value, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("cell", LESSONS)
def test_every_equation_of_a_cell_is_asked_for(cell):
    """The stub names each equation, and gives away none that is to be derived."""
    for part, span in (("step", LESSONS[cell].forward), ("step_backward", LESSONS[cell].backward)):
        exercise = exercises()[f"{cell}_{part}"]
        for number in exercise.program.lines:
            if number[0] != "[":
                assert f"...  # {number}" in exercise.stub
        if part == "step_backward":
            for line in exercise.program.lines.values():
                assert line.code not in exercise.stub
        assert set(exercise.program.lines) >= {equation.id for equation in select(span)}


# ---------------------------------------------------------------- clear words for what is not right yet

CASES = {
    "no function": ("x = 1", "runs", "expected a function step_backward"),
    "syntax": ("def step_backward(:\n    pass", "runs", "line 1: "),
    "error": ("def step_backward(dy, dh_next, cache):\n    return cache.nothing", "runs", "line 2: AttributeError"),
    "tuple": (
        "def step_backward(dy, dh_next, cache):\n    return dy, dy",
        "runs",
        "returned tuple; expected a dictionary",
    ),
    "missing": ("def step_backward(dy, dh_next, cache):\n    return {'dx': dy}", "runs", "the answer lacks dh_prev"),
    "arguments": ("def step_backward(dy, cache):\n    return {}", "runs", "unexpected keyword argument 'dh_next'"),
    "import": (
        "from minirnn.readable.rnn import step_backward",
        "own work",
        "minirnn.readable.rnn must not be imported",
    ),
    "eval": ("def step_backward(dy, dh_next, cache):\n    return eval('1')", "own work", "eval is not needed"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_right_gets_one_clear_line(case):
    text, rung, words = CASES[case]
    result = grade(exercises()["rnn_step_backward"], text)
    broken = {each.name: each.message for each in result.rungs if each.ok is False}
    assert words in broken[rung]
    assert all("\n" not in message for message in broken.values())


CHANGES = {
    "transposed": ('"dWx": dWx', '"dWx": dWx.T', "shapes", ": it is transposed"),
    "unsummed": (
        "dz.sum(axis=0)",
        "dz",
        "shapes",
        ": a sum over the batch is missing",
    ),
    "squeezed": ('"db": db', '"db": db[None]', "shapes", "it has an axis of length 1 too many"),
    "summed": ("db = dz.sum(axis=0)", "db = dz.sum()", "shapes", "it was summed over too many axes"),
    "complex": ('"dx": dx', '"dx": dx + 0j', "shapes", "dx holds complex numbers"),
    "integers": ('"dx": dx', '"dx": dx.astype(int)', "shapes", "dx has dtype int64"),
    "mutated": ("dh = dy + dh_next", "dh = dy; dh += dh_next", "inputs", "dy changed"),
    "random": ('"dx": dx', '"dx": dx + np.random.default_rng().standard_normal()', "repeatable", "another answer"),
    "square": ("dh = dy + dh_next", "dh = dy + dh_next**2", "linear", "is not linear in dy, dh_next"),
    "nan": ('"dx": dx', '"dx": dx / 0', "values", "which holds NaN or infinity"),
    "negative": ('"db": db', '"db": -db', "values", "which is -1 times the right one"),
    "zero": ('"db": db', '"db": 0 * db', "values", "which is all zero"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_rung_says_what_broke(change):
    old, new, rung, words = CHANGES[change]
    exercise = exercises()["rnn_step_backward"]
    assert old in exercise.solution
    result = grade(exercise, exercise.solution.replace(old, new))
    broken = {each.name: each.message for each in result.rungs if each.ok is False}
    assert words in broken[rung], broken


def test_state_between_calls_is_noticed():
    exercise = exercises()["rnn_step_backward"]
    kept = exercise.solution.replace("    dh = dy", "    first.append(cache.x)\n    dh = dy").replace(
        "dWx = x.T", "dWx = first[0].T"
    )
    result = grade(exercise, kept.replace("EXERCISE = ", "first = []\nEXERCISE = "))
    broken = {each.name: each.message for each in result.rungs if each.ok is False}
    assert "right for the first sizes and numbers only" in broken["repeatable"]


def test_a_step_inside_of_a_walk_is_judged_line_by_line():
    exercise = exercises()["lstm_backward"]
    wrong = {"L10": "dc = dh * o * (1 - np.tanh(c)**2)", "L15": "dz_f = df", "[carry]": "pass"}
    result = grade(exercise, exercise.file(exercise.program.source(wrong)))
    assert [finding.id for finding in result.findings][:2] == ["lstm.dc.carry-dropped", "lstm.dz_f.no-slope"]


# ---------------------------------------------------------------- what is said is true


@pytest.mark.parametrize(
    "name", ["lstm_step", "lstm_step_backward", "gru_step_backward", "gru_reset_before_step_backward"]
)
def test_what_is_called_right_is_right_and_what_is_called_wrong_first_is(name):
    """Two mistakes at a time, and answers that hold some of their intermediates only."""
    exercise = exercises()[name]
    on = probe(exercise, 0, 0)
    right = on.right["values"]
    chosen = list(pairs(of_exercise(name)))
    rng = np.random.default_rng(len(name))
    for k in rng.choice(len(chosen), 40, replace=False):
        a, b = chosen[k]
        function = exercise.program.compiled(combined((a, b)))
        more = [n for n in right if n not in exercise.required and rng.random() < 0.5]

        def partly(function=function, more=more, **arguments):
            answer = function(**arguments)
            return {n: answer[n] for n in [*exercise.required, *more]}

        answer = partly(**on.cases["values"])
        wrong = [n for n in right if n in answer and distance(answer[n], right[n]) > EXACT]
        findings = diagnose(exercise, partly)
        if not wrong:
            assert not findings
            continue
        assert findings
        for finding in findings:
            first = re.match(r"First wrong: (\w+)", finding.where)
            also = re.match(r"Also wrong: (\w+)", finding.where)
            assert first or also, finding.where
            if first:
                assert first[1] == wrong[0], (a.id, b.id, finding.where)
            if also:
                assert also[1] in wrong
            told = re.search(r"(?:is right: |right are )([^.]*)", finding.where)
            for each in told[1].split(", ") if told else ():
                assert each in answer, finding.where
                assert each not in wrong, finding.where
            if finding.id:  # the line belongs to the quantity that is named
                label = next(iter(by_id()[finding.id].wrong))
                assert finding.name in exercise.program.lines[label].names


@named(TOLD)
def test_right_answers_get_no_finding_for_what_is_no_term(exercise):
    """A right answer that breaks another rule: nothing in it is derived wrongly, and nothing is said so."""
    for text in (
        exercise.solution.replace("import numpy as np", "import sys\nimport numpy as np", 1),
        exercise.solution.replace("    return {", '    return {"comment": "mine", ', 1),
    ):
        result = grade(exercise, text)
        assert not result.findings, [finding.text() for finding in result.findings]
        assert all(rung.ok for rung in result.rungs if rung.name in probe(exercise, 0, 0).cases)


def test_two_mistakes_that_cancel_are_none():
    exercise = exercises()["lstm_step_backward"]
    two = [by_id()["lstm.do.uses-h"], by_id()["lstm.dz_o.other-half"]]

    def bare(**arguments):
        answer = exercise.program.compiled(combined(two))(**arguments)
        return {name: answer[name] for name in exercise.required}

    assert diagnose(exercise, bare) == []


ONE_SIZE = {
    "rnn_backward": ("for t in reversed(range(T)):", "for t in range({T} - 1, -1, -1):"),
    "rnn_step_backward": ("db = dz.sum(axis=0)", "db = sum(dz[k] for k in range({B}))"),
}


@pytest.mark.parametrize("name", ONE_SIZE)
def test_an_answer_for_one_size_does_not_pass(name):
    exercise = exercises()[name]
    given = next(iter(probe(exercise, 0, 0).cases.values()))
    sizes = {"T": len(given.get("caches", ())), "B": len(given["dys"][0] if "dys" in given else given["dy"])}
    old, new = ONE_SIZE[name]
    assert old in exercise.solution
    result = grade(exercise, exercise.solution.replace(old, new.format(**sizes)))
    broken = {rung.name: rung.message for rung in result.rungs if rung.ok is False}
    assert "are sizes written into it" in broken["repeatable"], broken


def test_an_epsilon_is_no_rounding():
    exercise = exercises()["rnn_step_backward"]
    result = grade(exercise, exercise.solution.replace("dz = dh * (1 - h**2)", "dz = dh * (1 - h**2) * (1 + 3e-6)"))
    broken = {rung.name: rung.message for rung in result.rungs if rung.ok is False}
    assert "is there an epsilon" in broken["values"]


@pytest.mark.parametrize("limit", [1, 50, 1e4])
def test_clipping_is_found_even_if_it_does_not_bite(limit):
    exercise = exercises()["rnn_backward"]
    clipped = exercise.solution.replace('step["dh_prev"]  # [carry]', f'np.clip(step["dh_prev"], -{limit}, {limit})')
    assert clipped != exercise.solution
    result = grade(exercise, clipped)
    broken = {rung.name: rung.message for rung in result.rungs if rung.ok is False}
    assert "clipped" in broken["linear"] or "not linear" in broken["linear"]


ODD = {
    "objects": ('"dx": dx', '"dx": dx.astype(object)'),
    "ragged": ('"dx": dx', '"dx": [[1.0], [1.0, 2.0]]'),
    "texts": ('"dx": dx', '"dx": np.array(["a"])'),
    "nothing": ('"dx": dx', '"dx": None'),
    "a function": ('"dx": dx', '"dx": np.tanh'),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_array_of_numbers_is_said_to_be_none(case):
    exercise = exercises()["rnn_step_backward"]
    result = grade(exercise, exercise.solution.replace(*ODD[case]))
    broken = {rung.name: rung.message for rung in result.rungs if rung.ok is False}
    assert "expected an array of numbers" in broken["runs"]
    assert all("\n" not in message for message in broken.values())


def test_own_names_with_another_meaning_are_notes_where_the_answer_is_right():
    exercise = exercises()["lstm_step_backward"]
    text = exercise.solution.replace('"di": di', '"di": dz_i')
    result = grade(exercise, text)
    assert result.passed
    assert result.points == result.of
    assert any(note.startswith("di: not what the worked answer calls so") for note in result.notes)


def test_a_walk_names_the_equations_of_its_own_cell():
    for cell, number in (("rnn", "R3"), ("lstm", "L8"), ("gru", "G6"), ("gru_reset_before", "B7")):
        exercise = exercises()[f"{cell}_backward"]
        wrong = by_id()["general.walk.output-one-early"].wrong
        (finding,) = diagnose(exercise, exercise.program.compiled(wrong))
        assert finding.equation == number
        assert f"readable/{cell}.py" in finding.source


def test_a_name_that_is_computed_but_not_asked_for_is_no_crash():
    """Names of the worked answer that it does not return, and arguments that are written over."""
    for name, text in (
        ("lstm_step_backward", '"dh": dh, "i": 2 * i, "x": 2 * x,'),
        ("softmax_cross_entropy", None),
    ):
        exercise = exercises()[name]
        if text is None:
            wrong = exercise.solution.replace("count = ", "count = 1 + ").replace(
                "return {", 'return {"count": count, '
            )
        else:
            wrong = exercise.solution.replace("do = dh * np.tanh(c)", "do = dh * c").replace('"dh": dh,', text)
        assert wrong != exercise.solution
        result = grade(exercise, wrong)
        assert not result.passed
        assert all(finding.where for finding in result.findings)


def test_arrays_that_are_written_twice_are_judged_by_what_comes_out():
    exercise = exercises()["clip_by_global_norm"]
    result = grade(exercise, exercise.solution.replace('"dWx": dWx', '"dWx": 1.3 * dWx'))
    assert result.first_wrong["name"] == "dWx"
    for finding in result.findings:
        assert not re.match(r"(First|Also) wrong: (dWh|db|norm)", finding.where), finding.where


@pytest.mark.parametrize("extra", ['"ones": np.ones(3)', '"count": 7.0', '"type": np.float32(1.5)'])
def test_one_array_of_whole_numbers_is_no_single_precision(extra):
    exercise = exercises()["rnn_step_backward"]
    text = exercise.solution.replace("dz = dh * (1 - h**2)", "dz = dh * (1 - h**2) * (1 + 3e-6)")
    result = grade(exercise, text.replace('"dx": dx', f'"dx": dx, {extra}'))
    assert not result.passed


@pytest.mark.parametrize("extra", ['"note": None', '"note": "a text"', '"all": [[1], [1, 2]]', '"cache": cache'])
def test_what_an_answer_holds_beside_is_its_own_affair(extra):
    exercise = exercises()["rnn_step_backward"]
    result = grade(exercise, exercise.solution.replace('"dx": dx', f'"dx": dx, {extra}'))
    assert result.passed, [(rung.name, rung.message) for rung in result.rungs if not rung.ok]


def test_own_intermediates_of_another_layout_are_no_mistake():
    exercise = exercises()["lstm_step_backward"]
    for new in ('"dz": np.stack([dz_i, dz_f])', '"di": i', '"dc": [1, None]'):
        old = new.split(":")[0]
        text = re.sub(rf"{old}: \w+", new, exercise.solution, count=1)
        result = grade(exercise, text)
        assert result.passed, [(rung.name, rung.message) for rung in result.rungs if not rung.ok]
        assert result.points == result.of


def test_the_first_wrong_array_is_the_first_in_any_situation():
    exercise = exercises()["softmax_cross_entropy"]
    on = probe(exercise, 0, 0)

    def off(observation, name, right):
        return distance((observation.answer or {}).get(name, np.nan), right[name]) > EXACT

    for mistake in of_exercise(exercise.name):
        function = exercise.program.compiled(dict(mistake.wrong))
        seen = on.see(function)
        order = list(next(iter(on.right.values())))
        wrong = [name for name in order if any(off(seen[rung], name, on.right[rung]) for rung in seen)]
        (finding,) = diagnose(exercise, function)
        told = re.match(r"First wrong: (\w+)", finding.where)
        assert told is None or told[1] == wrong[0], (mistake.id, finding.where, wrong)


def test_modules_are_left_as_they_are():
    """Looked at only: to run it here would change NumPy for all other tests."""
    exercise = exercises()["rnn_step_backward"]
    text = exercise.solution.replace("EXERCISE =", "np.linalg.norm = lambda *a, **k: 0.0\nEXERCISE =")
    assert "np.linalg.norm is changed" in broken_rules(text, exercise)
    assert broken_rules(exercise.solution, exercise) == ""
