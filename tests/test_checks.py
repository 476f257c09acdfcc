"""The gradient checker: right gradients pass, a wrong term is named, and unfit losses get a clear line."""

import jax
import numpy as np
import pytest

from minirnn import fast, readable
from minirnn.params import LSTMState
from minirnn.readable import engine, losses, lstm
from minirnn.readable.checks import compare

LENGTHS = np.array([6, 0, 3, 5])
WEIGHT = (np.arange(6)[:, None] < LENGTHS)[:, :, None].astype(float)  # (T, B, 1)


def problem(dtype=np.float64):
    """Inputs by name, with xs first; and the target."""
    rng = np.random.default_rng(4)
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    params = lstm.init(rng, 3, 5, dtype)
    xs = draw(6, 4, 3)
    xs[WEIGHT[..., 0] == 0] = np.nan  # what the padding holds takes part in nothing
    inputs = {"xs": xs, "params": params._replace(b=draw(20)), "state": LSTMState(draw(4, 5), draw(4, 5))}
    return {**inputs, "lengths": LENGTHS}, draw(6, 4, 5)


def loss_of(target, forward=lstm.forward, mse=losses.mse):
    def loss(inputs):
        ys, *_ = forward(inputs["params"], inputs["xs"], inputs["state"], inputs["lengths"])
        return mse(ys, target, WEIGHT.astype(target.dtype))

    return lambda inputs: first(loss(inputs))


def first(value):
    return value[0] if isinstance(value, tuple) else value


def backward(inputs, target, cell=lstm.CELL):
    ys, _, cache = engine.forward(cell, inputs["params"], inputs["xs"], inputs["state"], inputs["lengths"])
    dparams, dxs, dstate = engine.backward(losses.mse(ys, target, WEIGHT.astype(target.dtype))[1], None, cache)
    return {"xs": dxs, "params": dparams, "state": dstate, "lengths": None}


def by_jax(target):
    loss = loss_of(target, fast.lstm.forward, fast.losses.mse)

    def judge(inputs):
        lengths = inputs["lengths"]
        rest = {name: value for name, value in inputs.items() if name != "lengths"}
        return {**jax.grad(lambda r: loss({**r, "lengths": lengths}))(rest), "lengths": None}

    return judge


def judges(target):
    return {"complex step": "complex step", "central differences": "central differences", "jax": by_jax(target)}


@pytest.mark.parametrize("judge", ["complex step", "central differences", "jax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_right_gradients_pass(judge, dtype, request):
    if dtype == np.float64:
        request.getfixturevalue("x64")
    inputs, target = problem(dtype)
    before = jax.tree.map(np.copy, inputs)
    report = compare(loss_of(target), backward(inputs, target), inputs, judges(target)[judge])
    assert report.ok, report
    assert report.first_wrong is None
    assert list(report.errors) == ["xs", "params.Wx", "params.Wh", "params.b", "state.h", "state.c"]
    defaults = {"complex step": 1e-12, "central differences": 1e-6, "jax": 1e-10}
    assert set(report.bounds.values()) == {max(defaults[judge], 1e-5 if dtype == np.float32 else 0)}
    for a, b in zip(jax.tree.leaves(inputs), jax.tree.leaves(before)):
        np.testing.assert_array_equal(a, b)


def without_forget(dy, dstate, gates, zh, state, extra):
    """L18 without f: what flows to the step before is wrong, and the last step is right."""
    dz, _, dprev, dextra, dgates = lstm.update_backward(dy, dstate, gates, zh, state, extra)
    return dz, dz, dprev._replace(c=dprev.c / gates.f), dextra, dgates


def with_new_memory(dy, dstate, gates, zh, state, extra):
    """L12 with c_t in place of c_{t-1}: df is wrong at every step."""
    return lstm.update_backward(dy, dstate, gates, zh, state._replace(c=gates.c), extra)


@pytest.mark.parametrize("judge", ["complex step", "central differences", "jax"])
@pytest.mark.parametrize(("term", "steps"), [(without_forget, "0 to 4"), (with_new_memory, "0 to 5")])
def test_a_wrong_term_of_the_backward_pass_is_named(judge, term, steps, x64):
    inputs, target = problem()
    gradients = backward(inputs, target, lstm.CELL._replace(update_backward=term))
    report = compare(loss_of(target), gradients, inputs, judges(target)[judge])
    assert not report.ok
    assert report.first_wrong == f"xs at t = {steps}"
    assert report.wrong_steps["xs"][-1] == int(steps[-1])
    assert report.errors["params.Wx"] > 1e-3


def test_the_first_wrong_array_is_named_in_the_order_of_the_inputs():
    inputs, target = problem()
    right = backward(inputs, target)
    wrong = {**right, "params": right["params"]._replace(b=right["params"].b / 4), "state": LSTMState(*right["state"])}
    wrong["state"] = wrong["state"]._replace(c=np.full((4, 5), np.nan))
    report = compare(loss_of(target), wrong, inputs)
    assert report.first_wrong == "params.b"
    assert report.wrong == ["params.b", "state.c"]
    assert report.notes == {
        "params.b": "it is 0.25 times the right gradient",
        "state.c": "it holds NaN or infinity",
    }
    assert report.errors["params.b"] == pytest.approx(0.75)


def test_what_is_missing_or_misshapen_is_wrong_and_the_table_says_so():
    inputs, target = problem()
    right = backward(inputs, target)
    zero = right["params"]._replace(Wx=None, Wh=right["params"].Wh.T, b=np.zeros(20))
    dxs = right["xs"].copy()
    dxs[[1, 2, 4], 0] *= 1.01
    text = str(compare(loss_of(target), {**right, "params": zero, "xs": dxs}, inputs))
    lines = text.splitlines()
    assert lines[0] == "Gradients judged by complex step; error = ||yours - judge's|| / ||judge's||"
    assert lines[1].split() == ["array", "shape", "error", "bound", "checked"]
    assert len({line.find("all elements") for line in lines[2:8]}) == 1  # aligned
    assert "First wrong: xs at t = 1 to 2, 4" in text
    assert "params.Wx: no gradient was given; expected shape (3, 20)" in text
    assert "params.Wh: it has shape (20, 5); expected shape (5, 20)" in text
    assert "params.b: it is zero" in text
    assert "so look at t = 4" in text


@pytest.mark.parametrize("judge", ["complex step", "central differences", lambda i: {**i, "a": 2 * i["a"]}])
def test_odd_gradients(judge):
    inputs = {"a": np.array([1.0, 2.0]), "empty": np.zeros((0, 3))}

    def run(da):
        return compare(lambda i: (i["a"] ** 2).sum(), {"a": da, "empty": np.zeros((0, 3))}, inputs, judge)

    assert run([2.0, 4.0]).ok
    assert run([2, 4]).ok
    assert run([2.0, 4.0 + 0j]).notes == {"a": "it holds complex128; expected real numbers"}
    assert run([2.0, np.inf]).notes == {"a": "it holds NaN or infinity"}


def test_a_judge_that_knows_nothing_is_not_agreed_with():
    report = compare(None, np.ones(2), np.ones(2), lambda i: np.array([1.0, np.nan]))
    assert report.first_wrong == "inputs"
    assert report.notes == {"inputs": "the judge's holds NaN or infinity"}


def test_big_arrays_are_checked_along_seeded_directions():
    inputs, target = problem()
    right = backward(inputs, target)
    run = lambda gradients, **options: compare(loss_of(target), gradients, inputs, limit=50, **options)  # noqa: E731
    report = run(right)
    assert report.ok, report
    assert report.checked["params.Wh"] == "10 random directions"
    assert report.checked["params.b"] == "all elements"
    dWh = right["params"].Wh.copy()
    dWh[2, 3] *= 1.001  # one number of a hundred
    wrong = {**right, "params": right["params"]._replace(Wh=dWh)}
    assert run(wrong).first_wrong == "params.Wh"
    assert run(wrong).errors == run(wrong).errors
    assert run(wrong).errors != run(wrong, seed=1).errors
    assert run(wrong, judge="central differences").first_wrong == "params.Wh"


def test_any_tree_and_its_names():
    def loss(inputs):
        (a, [b, _]), c = inputs
        return (a**2).sum() * b + c["c"].sum()

    a = np.array([1.0, 2.0])
    inputs = ((a, [np.float64(3), np.array([1, 2])]), {"c": a})
    report = compare(loss, ((2 * a * 3, [np.float64(5), None]), {"c": np.ones(2)}), inputs)
    assert report.ok, report
    assert list(report.errors) == ["0.0", "0.1.0", "1.c"]
    assert list(compare(lambda x: (x**3).sum(), 3 * a**2, a).errors) == ["inputs"]
    # A tuple stands for a NamedTuple, part by part; a dict is read by name.
    state = LSTMState(a, 2 * a)
    assert compare(lambda s: (s.h * s.c).sum(), (2 * a, a), state).ok
    assert compare(lambda s: (s["h"] * s["c"]).sum(), {"c": a, "h": 2 * a}, state._asdict()).ok


def test_nothing_with_a_gradient():
    """A report that says "right" without having judged anything would be a trap."""
    with pytest.raises(TypeError, match=r"inputs holds no floating-point array \(.*int64\); nothing can be judged"):
        compare(lambda i: 1.0, [None], [np.arange(3)])


@pytest.mark.parametrize("judge", ["complex step", "central differences"])
def test_a_gradient_of_zero_is_not_lost_in_rounding(judge):
    """An array that the loss does not use, and one whose gradient is zero but for rounding (a shift of logits)."""
    logits, labels = np.random.default_rng(0).standard_normal((5, 4)), np.arange(5) % 4

    def loss(inputs):
        return losses.softmax_cross_entropy(inputs["logits"] + inputs["shift"], labels)[0]

    dlogits = losses.softmax_cross_entropy(logits, labels)[1]
    inputs = {"shift": np.full((5, 1), 0.3), "unused": np.ones(3), "logits": logits}
    report = compare(loss, {"shift": np.zeros((5, 1)), "unused": np.zeros(3), "logits": dlogits}, inputs, judge)
    assert report.ok, report
    report = compare(loss, {"shift": np.zeros((5, 1)), "unused": np.ones(3), "logits": dlogits}, inputs, judge)
    assert report.first_wrong == "unused"


x = np.array([0.5, -1.0, 2.0])


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (lambda v: np.abs(v).sum(), ValueError, "slope in inputs is 0 by it and .*; judge it with .central"),
        (lambda v: v.astype(np.float64).sum(), TypeError, "fails where inputs is complex .*judge it with .central"),
        (lambda v: np.cbrt(v).sum(), TypeError, "fails where inputs is complex .*judge it with .central"),
        (lambda v: v.sum() + np.abs(v).sum(), ValueError, "slope in inputs is .* by it and .* by central differences"),
        (lambda v: (v, v), ValueError, "loss returned a tuple; expected one number"),
        (lambda v: v**2, ValueError, r"array of shape \(3,\); expected one number"),
        (lambda v: v.sum() * np.nan, ValueError, r"loss\(inputs\) is nan; gradients can be judged only where"),
    ],
)
def test_a_loss_that_cannot_be_judged_gets_a_clear_line(loss, error, message):
    with pytest.raises(error, match=message):
        compare(loss, x, x)


def test_central_differences_judge_what_the_complex_step_cannot():
    assert compare(lambda v: np.abs(v).sum(), np.sign(x), x, "central differences").ok
    report = compare(lambda v: np.abs(v).sum(), np.abs(x), x, "central differences")
    assert report.first_wrong == "inputs"
    # A loss that computes in float32 whatever it is given cannot be judged closely, and is not.
    single = lambda v: (v.astype(np.float32) ** 3).sum()  # noqa: E731
    report = compare(single, 3 * x**2, x, "central differences")
    assert report.ok, report
    assert report.bounds["inputs"] == 1e-2
    assert not compare(single, 3.2 * x**2, x, "central differences").ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"judge": "complex"}, "unknown judge 'complex'; expected 'complex step', 'central differences' or a function"),
        ({"gradients": {"b": x}}, "gradients: nothing for a; expected the names of the inputs"),
        ({"gradients": [x, x]}, "gradients: a list of 2 at the top; expected a, as in the inputs"),
        ({"judge": lambda i: {"a": x[:2]}}, r"judge's gradients: one of shape \(2,\) for a; expected shape \(3,\)"),
        ({"bound": 0.0}, "bound must be above 0, got 0.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    given = {"gradients": {"a": 2 * x}, "inputs": {"a": x}, **arguments}
    with pytest.raises(ValueError, match=message):
        compare(lambda i: (i["a"] ** 2).sum(), **given)


def test_a_bound_of_ones_own():
    assert not compare(lambda v: (v**2).sum(), 2 * x * (1 + 1e-9), x).ok
    assert compare(lambda v: (v**2).sum(), 2 * x * (1 + 1e-9), x, bound=1e-8).ok


def test_the_checker_is_part_of_the_readable_half():
    assert readable.checks.compare is compare
