"""The exercises with JAX: right answers in several styles pass, wrong ones are called by their names."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from minirnn.learn.exercises import exercises, jax_gradients, jax_tasks, traced
from minirnn.learn.grading.diagnosis import diagnose
from minirnn.learn.grading.ladder import grade
from minirnn.learn.grading.observing import alike
from minirnn.learn.grading.probes import combined, pairs, probe
from minirnn.learn.mistakes import by_id, of_exercise

NAMES = ("jax_scan", "jax_vmap", "jax_custom_vjp", "jax_associative_scan")
MISTAKES = [(name, mistake) for name in NAMES for mistake in of_exercise(name)]


def graded(name, wrong=None, *edits):
    """The result of the worked answer with lines replaced, and pieces of its text exchanged."""
    exercise = exercises()[name]
    text = exercise.file(exercise.program.source(wrong)) if wrong else exercise.solution
    for old, new in edits:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return grade(exercise, text)


def broken(result):
    return {rung.name: rung.message for rung in result.rungs if not rung.ok}


# ---------------------------------------------------------------- right answers


@pytest.mark.parametrize("name", NAMES)
def test_the_worked_answer_passes_and_the_stub_does_not(name):
    result = graded(name)
    assert result.passed, broken(result)
    assert result.points == result.of
    assert max(rung.max_rel or 0 for rung in result.rungs) < 1e-14
    stub = grade(exercises()[name], exercises()[name].stub)
    assert not stub.passed
    assert stub.points == 0
    assert stub.of == result.of
    assert "still to be filled in" in broken(stub)["runs"]


SCAN_OTHERWISE = [
    # the carry as a dictionary, compiled inside
    ("[jit]", "", "h_T, hs = lax.scan(one_step, h0, xs)", """def walk(xs, h0):
        return jax.lax.scan(lambda s, x: ({"h": one_step(s["h"], x)[0]}, one_step(s["h"], x)[1]), {"h": h0}, xs)

    last, hs = jax.jit(walk)(xs, h0)
    h_T = last["h"]"""),
    # a loop that JAX knows, with places to write into
    ("[jit]", "@jax.jit", "h_T, hs = lax.scan(one_step, h0, xs)", """def turn(t, both):
        h, _ = one_step(both[0], xs[t])
        return h, both[1].at[t].set(h)

    h_T, hs = lax.fori_loop(0, len(xs), turn, (h0, jnp.zeros((len(xs), *h0.shape), h0.dtype)))"""),
    # every sequence by itself
    ("[jit]", "@jax.jit", "h_T, hs = lax.scan(one_step, h0, xs)", """h_T, hs = jax.vmap(
        lambda h, one: lax.scan(one_step, h, one), in_axes=(0, 1), out_axes=(0, 1)
    )(h0, xs)"""),
]  # fmt: skip


@pytest.mark.parametrize(("label", "jit", "line", "other"), SCAN_OTHERWISE)
def test_a_scan_in_another_style_passes(label, jit, line, other):
    result = graded("jax_scan", {label: jit}, (f"{line}  # [scan]", other))
    assert result.passed, broken(result)


def test_a_map_in_another_style_passes():
    other = """def one(weight_key, noise_key):
        weights, inputs = initial(weight_key, D, H), noisy(noise_key, xs)
        each = jax.vmap(lambda x, y: jax.grad(loss, has_aux=False)(weights, x, y), in_axes=(1, 0))(inputs, targets)
        return jax.vmap(lambda x, y: loss(weights, x, y), in_axes=(1, 0))(inputs, targets), each

    losses, gradients = jax.vmap(one)(weight_keys, noise_keys)"""
    line = exercises()["jax_vmap"].program.lines["[members]"].code
    result = graded("jax_vmap", {"[sequences]": "pass"}, (f"{line}  # [members]", other))
    assert result.passed, broken(result)


def test_a_gradient_in_another_style_passes():
    edits = [
        ("residuals = x, h_prev, h, Wx, Wh", 'residuals = {"in": (x, h_prev), "slope": 1 - h * h, "W": (Wx, Wh)}'),
        ("x, h_prev, h, Wx, Wh = residuals", '(x, h_prev), slope, (Wx, Wh) = residuals["in"], residuals["slope"], '
         'residuals["W"]'),
        ("dz = dh * (1 - h**2)", "dz = slope * dh"),
        ("dWx = x.T @ dz", 'dWx = jnp.einsum("bd,bh->dh", x, dz)'),
        ("db = dz.sum(axis=0)", "db = jnp.ones(len(dz)) @ dz"),
    ]  # fmt: skip
    result = graded("jax_custom_vjp", None, *edits)
    assert result.passed, broken(result)


def test_a_join_in_another_style_passes():
    edits = [
        ("a = a1 * a2  # [a]", "a = a2 * a1"),
        ("hs = As * h0 + us  # H1", "hs = jnp.einsum('tbh,bh->tbh', As, h0) + us"),
        ("a_next = jnp.concatenate([a[1:], jnp.ones_like(a[:1])])", "a_next = jnp.roll(a, -1, axis=0)"),
        # backward without reverse=True: turned round twice
        ("_, dhs = lax.associative_scan(combine, (a_next, dys), reverse=True)",
         "dhs = lax.associative_scan(combine, (a_next[::-1], dys[::-1]))[1][::-1]"),
    ]  # fmt: skip
    result = graded("jax_associative_scan", None, *edits)
    assert result.passed, broken(result)


def test_initial_state_within_the_first_step_passes():
    edits = [("As, us = lax.associative_scan(combine, (a, u))  # [scan]",
              "_, us = lax.associative_scan(combine, (a, u.at[0].add(a[0] * h0)))"),
             ("hs = As * h0 + us  # H1", "hs = us")]  # fmt: skip
    assert graded("jax_associative_scan", None, *edits).passed


# ---------------------------------------------------------------- wrong ones


@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=lambda value: getattr(value, "id", value))
def test_every_mistake_is_called_by_its_name(name, mistake):
    result = graded(name, mistake.wrong)
    assert not result.passed
    assert [finding.id for finding in result.findings] == [mistake.id]
    assert result.findings[0].where
    assert "{" not in "".join(broken(result).values())


@pytest.mark.parametrize(
    ("name", "every"), [("jax_scan", 1), ("jax_vmap", 4), ("jax_custom_vjp", 2), ("jax_associative_scan", 7)]
)
def test_pairs_of_mistakes_are_named(name, every):
    exercise, catalogue = exercises()[name], of_exercise(name)
    on = probe(exercise, 0, 2)  # one that the grader does not use
    tried = named = 0
    for pair in list(pairs(catalogue))[::every]:
        seen = on.of(pair)
        if any(each.answer is None for each in seen.values()):
            continue  # the two together do not run
        said = [by_id()[each.id] for each in diagnose(exercise, exercise.program.compiled(combined(pair))) if each.id]
        if said:  # never a false name: what is said gives these numbers
            assert all(alike(on.of(said)[rung], seen[rung], exercise.required, 1e-9) for rung in seen)
        hidden = 0 < len(said) <= 2 and set(said) != set(pair)  # other mistakes, and no more of them, do the same
        tried += not hidden
        named += set(said) == set(pair)
    assert tried >= 4
    assert named >= 0.9 * tried, (named, tried)


SAID = [
    ("jax_scan", {"[scan]": "h_T, hs = lax.scan(one_step, h0, jnp.swapaxes(xs, 0, 1))"},
     ["(T, H)", "(B, H)", "walked along another axis"]),
    ("jax_scan", {"[scan]": "h_T, hs = lax.scan(one_step, h0.astype(jnp.float32), xs)"},
     ["goes into the step as float32[B, H] and comes out as float64[B, H]"]),
    ("jax_scan", {"[carry and output]": "return {'h': h}, h"}, ["another structure"]),
    ("jax_scan", {"[carry and output]": "return [h, h, h]"}, ["has to return a pair"]),
    ("jax_scan", {"[scan]": "hs = jnp.zeros((len(xs), *h0.shape))\n"
                            "for t in range(len(xs)):\n"
                            "    h0, hs[t] = one_step(h0, xs[t])\n"
                            "h_T = h0"}, ["cannot be written into", ".at[i].set(y)"]),
    ("jax_scan", {"[step]": "h = np.tanh(step(h_prev, x, Wx, Wh, b, b_hn))"}, ["write jnp where np stands"]),
    ("jax_scan", {"[step]": "h = step(h_prev, x, Wx, Wh, b, b_hn) if x.sum() > 0 else h_prev"},
     ["while jit traces, it is not known yet"]),
    ("jax_vmap", {"[sequences]": "by_sequence = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 0, 0))"},
     ["different lengths", "size T", "size B"]),
    ("jax_custom_vjp", {"[gradients]": "return dx, dh_prev, dWx, dWh"}, ["one gradient for each argument"]),
    ("jax_custom_vjp", {"[gradients]": "return dh_prev, dx, dWx, dWh, db"},
     ["gradient 0", "float64[B, H]", "float64[B, D]", "in the order of the arguments"]),
    ("jax_custom_vjp", {"P5": "db = dz"}, ["gradient 4", "float64[H]"]),
    ("jax_custom_vjp", {"[plug in]": ""}, ["step has no gradient yet", "defvjp"]),
    ("jax_custom_vjp", {"[decorator]": ""}, ["no attribute 'defvjp'"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wrong", "words"), SAID)
def test_errors_of_jax_are_told_in_one_line(name, wrong, words):
    message = broken(graded(name, wrong))["runs"]
    assert "\n" not in message
    assert len(message) < 330
    for each in words:
        assert each in message


def test_an_answer_of_another_kind_gets_one_line():
    assert (
        "returned tuple; expected a dictionary"
        in broken(graded("jax_scan", None, ('return {"hs": hs, "h_T": h_T}', "return hs, h_T")))["runs"]
    )
    turned = {"[scan]": "h_T, hs = lax.scan(one_step, h0, xs)\nhs = jnp.swapaxes(hs, 0, 1)"}
    assert "its axes are in another order" in broken(graded("jax_scan", turned))["shapes"]
    lost = graded("jax_associative_scan", None, ("def combine(", "def join("), ("scan(combine", "scan(join"))
    assert "expected a function combine" in broken(lost)["runs"]


def test_no_loop_is_parallel():
    line = "As, us = lax.associative_scan(combine, (a, u))  # [scan]"
    for bounds in ("1, len(a)", "1, jnp.asarray(len(a))"):  # a scan for JAX, and a while loop
        loop = f"""def turn(t, steps):
        joined = combine((steps[0][t - 1], steps[1][t - 1]), (a[t], u[t]))
        return steps[0].at[t].set(joined[0]), steps[1].at[t].set(joined[1])

    As, us = lax.fori_loop({bounds}, turn, (a, u))"""
        result = graded("jax_associative_scan", None, (line, loop))
        assert set(broken(result)) == {"log depth"}


def test_what_is_kept_aside_is_lost():
    kept = (
        "    residuals = x, h_prev, h, Wx, Wh  # [residuals]",
        "    kept.append(h)\n    residuals = x, h_prev, Wx, Wh",
    )
    taken = ("x, h_prev, h, Wx, Wh = residuals  # [unpacked]", "x, h_prev, Wx, Wh = residuals\n    h = kept[-1]")
    result = graded("jax_custom_vjp", None, ("def step_fwd(", "kept = []\n\n\ndef step_fwd("), kept, taken)
    assert "has to go through the residuals" in broken(result)["runs"]


def test_derived_by_jax_is_not_own_work():
    line = "step.defvjp(step_fwd, lambda kept, dh: jax.vjp(lambda *a: step_fwd(*a)[0], *kept)[1](dh))"
    assert "vjp derives for you" in broken(graded("jax_custom_vjp", {"[plug in]": line}))["own work"]
    assert graded("jax_vmap").passed  # where the gradient is not what is asked for, JAX may derive it
    setting = ("As, us = lax", "jax.config.update('jax_enable_x64', False)\n    As, us = lax")
    assert "settings of JAX" in broken(graded("jax_associative_scan", None, setting))["own work"]


# ---------------------------------------------------------------- the truth, and the caller's settings


def test_the_ensemble_is_what_jax_computes_without_a_map(x64):
    exercise = exercises()["jax_vmap"]
    given = probe(exercise, 3, 0).cases["values"]
    names = {**traced.library()}
    exec(exercise.solution, names)
    keys = jax.random.split(jax.random.wrap_key_data(jnp.asarray(given["key"])), (2, given["count"]))
    right = exercise.right(given)
    for n in range(given["count"]):
        weights = names["initial"](keys[0, n], jax_tasks.D, jax_tasks.H)
        inputs = names["noisy"](keys[1, n], given["xs"])
        for k in range(jax_tasks.B):
            value, gradient = jax.value_and_grad(names["loss"])(weights, inputs[:, k], given["targets"][k])
            np.testing.assert_allclose(right["losses"][n, k], value, rtol=1e-12)
            for name in ("Wx", "Wh", "b"):
                np.testing.assert_allclose(right[f"d{name}"][n, k], gradient[name], rtol=1e-10, atol=1e-13)


def test_the_recurrence_and_its_gradient_are_those_of_a_loop(x64):
    given = probe(exercises()["jax_associative_scan"], 5, 0).cases["closed gates"]
    right = exercises()["jax_associative_scan"].right(given)

    def loop(h, nudges):
        hs = []
        for a, u, nudge in zip(given["a"], given["u"], nudges):
            h = a * h + u + nudge
            hs.append(h)
        return jnp.stack(hs)

    hs, back = jax.vjp(loop, given["h0"], np.zeros_like(given["u"]))
    dh0, dhs = back(given["dys"])
    np.testing.assert_allclose(right["hs"], hs, rtol=1e-12)
    np.testing.assert_allclose(right["dhs"], dhs, rtol=1e-12)
    np.testing.assert_allclose(right["dh0"], dh0, rtol=1e-12)
    assert (given["a"] == 0).any()


def test_settings_of_the_caller_stay():
    before = jax.config.jax_enable_x64, jax.config.jax_disable_jit
    graded("jax_custom_vjp")
    assert (jax.config.jax_enable_x64, jax.config.jax_disable_jit) == before
    assert jnp.zeros(1).dtype == (jnp.float64 if before[0] else jnp.float32)


def test_nothing_loads_jax_before_it_is_needed():
    code = (
        "import sys; from minirnn.learn.exercises import exercises; "
        "[e.stub for e in exercises().values()]; [e.rungs for e in exercises().values()]; print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---------------------------------------------------------------- looking at programs


def test_depth_counts_chains_and_turns_of_loops():
    x = traced.abstract((16,))
    chain = traced.depth(traced.trace(lambda x: jnp.tanh(jnp.tanh(jnp.tanh(x))), x))
    beside = traced.depth(traced.trace(lambda x: jnp.tanh(x) + jnp.exp(x), x))
    looped = traced.depth(traced.trace(lambda x: jax.lax.scan(lambda h, each: (h + each, None), 0.0, x)[0], x))
    assert (chain, beside) == (3, 2)
    assert looped % 16 == 0 < looped


def test_programs_inside_of_programs_are_seen():
    program = traced.trace(jax.jit(lambda x: jnp.dot(x, x)), traced.abstract((4,)))
    assert "dot_general" in traced.names(program)
    assert "dot_general" not in traced.outside_of_jit(program)
    assert "dot_general" in traced.outside_of_jit(traced.trace(lambda x: x @ x, traced.abstract((4,))))
    assert traced.operations(program) == 1 + len(program.eqns[0].params["jaxpr"].eqns)


def test_sizes_are_told_by_their_letters():
    said = traced.in_words("at output[1] the bwd rule produced an output of type f64[3,4] corresponding to an input of "
                           "type f64[4], so", {"B": 3, "H": 4})  # fmt: skip
    assert "f64[B, H]" in said
    assert "f64[H]" in said
    assert traced.in_words("nothing known, size 3", {"B": 3}) == "nothing known, size 3"


def test_associativity_is_tried():
    assert jax_gradients._associative(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]))
    assert not jax_gradients._associative(lambda p, q: (p[0] * q[0], p[0] * p[1] + q[1]))
