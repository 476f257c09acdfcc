"""Cells that the library does not derive: what is right by nudging, and what is said of a wrong derivation."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from minirnn.learn.exercises import exercises, nudging, variants
from minirnn.learn.exercises.recurrent import weights
from minirnn.learn.grading.ladder import grade
from minirnn.learn.grading.probes import probe
from minirnn.learn.programs import Function, Program
from minirnn.learn.recurrent import LESSONS, step_backward_text, step_text

SOLUTIONS = Path(__file__).parent / "solutions"
named = pytest.mark.parametrize("exercise", variants.EXERCISES, ids=[e.name for e in variants.EXERCISES])


def solution(exercise):
    return (SOLUTIONS / f"{exercise.name}.py").read_text()


def test_nudging_finds_what_the_library_derives(rng):
    """On a cell that the library derives: every intermediate, every input, every weight."""
    lesson = LESSONS["lstm"]
    params = weights(lesson, rng)
    given = {
        "x": rng.standard_normal((3, 5)),
        "h_prev": rng.standard_normal((3, 4)),
        "c_prev": rng.standard_normal((3, 4)),
    }
    given |= params._asdict()
    forward = Function(step_text(lesson))
    known = nudging.values(forward, given)
    dy, dh_next, dc_next = rng.standard_normal((3, 3, 4))
    backward = Program(step_backward_text(lesson), "step_backward").compiled()
    derived = backward(dy, dh_next, dc_next, tuple(known[name] for name in lesson.cache))
    names = [name[1:] for name in derived]
    nudged = nudging.gradients(forward, given, {"h": dy + dh_next, "c": dc_next}, names)
    assert list(nudged) == list(derived)
    for name, array in derived.items():
        assert np.linalg.norm(nudged[name] - array) <= 1e-14 * np.linalg.norm(array), name


@pytest.mark.parametrize("variant", variants.VARIANTS, ids=[v.name for v in variants.VARIANTS])
def test_nudging_agrees_with_jax(variant, x64, rng):
    names = {"np": jnp, "sigmoid": jax.nn.sigmoid}
    exec(variant.forward, names)
    (arguments,) = variant.cases(rng).values()
    given = {name: getattr(arguments["cache"], name) for name in variant.function.arguments}
    upstream = [arguments["dy"] + arguments["dh_next"], *([arguments["dc_next"]] if "dc_next" in arguments else [])]
    _, pull = jax.vjp(lambda given: names["step"](**given), given)
    (theirs,) = pull(tuple(upstream) if len(upstream) > 1 else upstream[0])
    ours = variant.truth(arguments)
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[f"d{name}"], array, rtol=1e-11, atol=1e-13, err_msg=name)


@named
def test_the_answer_of_a_graded_exercise_is_nowhere_in_the_package(exercise):
    with pytest.raises(ValueError, match="not part of the library"):
        _ = exercise.solution
    _, backward = exercise.stub.split("def step_backward")
    lines = re.findall(r"^    (d\w+) = (.*)$", backward, re.MULTILINE)
    assert len(lines) == len(re.findall(r'"d\w+":', backward))
    assert {right for _, right in lines} == {"..."}
    source = "".join(path.read_text() for path in Path(variants.__file__).parents[1].rglob("*.py"))
    for line in re.findall(r"^    (d\w+ = .*)$", solution(exercise), re.MULTILINE):
        if re.search(r"\bp_|\ba\b|c_prev - g|Wh_f", line):  # what is this cell's own
            assert line not in source, line


@named
def test_the_answer_that_the_tests_know_passes(exercise):
    for seed in (0, 3):
        result = grade(exercise, solution(exercise), seed=seed)
        assert result.passed
        assert result.points == result.of


# Exercise, line, what is written instead: the line is the first wrong one, and is read back as it was written.
WRONG = [
    ("leaky_unit", "dn = dh * a", "dn = dh"),
    ("leaky_unit", "dv = da * a * (1 - a)", "dv = da * a"),
    ("leaky_unit", "dz = dn * (1 - n**2)", "dz = dn * n * (1 - n)"),
    ("coupled_gates", "dh = dy + dh_next", "dh = dy"),
    ("coupled_gates", "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)", "dc = dc_next"),
    ("coupled_gates", "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)", "dc = dc_next + 2 * dh * o * (1 - c**2)"),
    ("coupled_gates", "df = dc * (c_prev - g)", "df = dc * c_prev"),
    ("coupled_gates", "df = dc * (c_prev - g)", "df = 2 * dc * (g - c_prev)"),
    ("coupled_gates", "dg = dc * (1 - f)", "dg = dc * f"),
    ("coupled_gates", "dc_prev = dc * f", "dc_prev = dc * (1 - f)"),
    ("coupled_gates", "dz_o = do * o * (1 - o)", "dz_o = do * (1 - o**2)"),
    ("minimal_gated_unit", "dn = dh * f", "dn = dh * (1 - f)"),
    ("minimal_gated_unit", "df = dh * (n - h_prev) + du * h_prev", "df = dh * (n - h_prev)"),
    ("minimal_gated_unit", "df = dh * (n - h_prev) + du * h_prev", "df = du * h_prev"),
    ("minimal_gated_unit", "dz_f = df * f * (1 - f)", "dz_f = df * f"),
    ("peephole", "dz_o = do * o * (1 - o)", "dz_o = do * o"),
    ("peephole", "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2) + dz_o * p_o",
     "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2)"),
    ("peephole", "dc = dc_next + dh * o * (1 - np.tanh(c) ** 2) + dz_o * p_o", "dc = dc_next + dz_o * p_o"),
    ("peephole", "di = dc * g", "di = dc * p_i"),
    ("peephole", "df = dc * c_prev", "df = dc * c"),
    ("peephole", "dz_g = dg * (1 - g**2)", "dz_g = 2 * dg * (1 - g**2)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong"), WRONG)
def test_a_wrong_line_of_a_graded_exercise_is_named_and_read_back(name, right, wrong):
    exercise = exercises()[name]
    text = solution(exercise)
    assert f"    {right}\n" in text
    result = grade(exercise, text.replace(f"    {right}\n", f"    {wrong}\n"))
    (finding,) = result.findings
    assert finding.name == wrong.split(" = ")[0] == result.first_wrong["name"]
    assert finding.confidence == "read back"
    assert not finding.right  # the answer is not given away
    assert not finding.id
    # Written in another way perhaps, it computes the same.
    again = grade(exercise, text.replace(f"    {right}\n", f"    {finding.formula}\n"))
    ours, theirs = ({rung.name: rung.max_rel for rung in each.rungs} for each in (result, again))
    assert ours["values"] == pytest.approx(theirs["values"], rel=1e-9)
    assert [each.formula for each in again.findings] == [finding.formula]


@pytest.mark.parametrize(
    ("name", "old", "new", "first", "words"),
    [
        ("leaky_unit", "(n - h_prev)).sum(axis=0)", "(n - h_prev)).mean(axis=0)", "da", "of the batch"),
        ("coupled_gates", "[dz_f, dz_g, dz_o]", "[dz_f, dz_o, dz_g]", "dz", ""),
        ("minimal_gated_unit", "du = dz_n @ Wh_n.T", "du = dz_n @ Wh_n", "du", ""),
        ("minimal_gated_unit", "dWh_n = u.T", "dWh_n = h_prev.T", "dWh_n", ""),
        ("peephole", "dp_i = (dz_i * c_prev)", "dp_i = (dz_i * c)", "dp_i", ""),
        ("peephole", " + dz_f * p_f", "", "dc_prev", ""),
    ],
)  # fmt: skip
def test_where_no_formula_can_be_read_back_the_first_wrong_quantity_is_named(name, old, new, first, words):
    exercise = exercises()[name]
    text = solution(exercise)
    assert old in text
    result = grade(exercise, text.replace(old, new))
    (finding,) = result.findings
    assert finding.name == first
    assert finding.where.startswith(f"First wrong: {first}")
    if words == "of the batch":  # divided by its size
        words = f"{1 / len(probe(exercise, 0, 0).cases['values']['dy']):.4g} times"
    assert words in finding.where
    assert not finding.right


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("leaky_unit", "dh_prev = dh * (1 - a) + dz", "dh_prev = dz",
         "2 ways lead back to dh_prev: the one through h = (1 - a) * h_prev + a * n is missing."),
        ("leaky_unit", "(n - h_prev)", "(n + h_prev)",
         "2 ways lead back to da: the one through the first a in h = (1 - a) * h_prev + a * n has the wrong sign."),
        ("coupled_gates", "dc_next + dh", "dc_next - dh",
         "2 ways lead back to dc: the one through h = o * np.tanh(c) has the wrong sign."),
        ("coupled_gates", "dh = dy + dh_next", "dh = dy",
         "2 ways lead back to dh: the one through dh_next is missing."),
        ("minimal_gated_unit", "dh * (n - h_prev) + du * h_prev", "dh * (n - h_prev)",
         "3 ways lead back to df: the one through u = f * h_prev is missing."),
        ("minimal_gated_unit", "+ du * f + dz_f", "+ 2 * du * f - dz_f",
         "3 ways lead back to dh_prev: the one through f = sigmoid(z_f + h_prev @ Wh_f) has the wrong sign, "
         "the one through u = f * h_prev is counted 2 times."),
        ("peephole", " + dz_o * p_o", "",
         "3 ways lead back to dc: the one through o = sigmoid(z_o + p_o * c) is missing."),
        ("peephole", "+ dz_i * p_i + dz_f * p_f", "",
         "3 ways lead back to dc_prev: the one through i = sigmoid(z_i + p_i * c_prev) is missing, "
         "the one through f = sigmoid(z_f + p_f * c_prev) is missing."),
        ("peephole", "dc_prev = dc * f", "dc_prev = -dc * f - 2 * (dz_i * p_i + dz_f * p_f)",
         "3 ways lead back to dc_prev: all of them have the wrong sign."),
    ],
)  # fmt: skip
def test_the_way_back_that_is_missing_is_named(name, old, new, said):
    exercise = exercises()[name]
    text = solution(exercise)
    assert text.count(old) == 1
    for answer in (text.replace(old, new), text.replace(old, new) + AS_FLOAT32):
        (finding,) = grade(exercise, answer).findings
        assert finding.term == said


AS_FLOAT32 = """

_double = step_backward


def step_backward(**given):
    cache = given.pop("cache")
    return _double(cache=type(cache)(*map(np.float32, cache)), **{name: np.float32(d) for name, d in given.items()})
"""


@named
def test_the_ways_back_add_up_to_the_gradient(exercise):
    (arguments,) = exercise.cases(np.random.default_rng(1)).values()
    for name, right in exercise.right(arguments).items():
        parts = [way.part for way in exercise.ways(arguments, name)]
        assert np.linalg.norm(np.sum(parts, axis=0) - right) <= 1e-14 * np.linalg.norm(right), name


def test_no_way_is_named_where_none_explains_the_numbers():
    exercise = exercises()["peephole"]
    wrong = solution(exercise).replace("dc_prev = dc * f +", "dc_prev = dc * np.sqrt(f) +")
    (finding,) = grade(exercise, wrong).findings
    assert finding.name == "dc_prev"
    assert finding.term == "no more can be told of it than the place."
