"""The two halves against the oracle, against each other, and against the complex step."""

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
from oracle import forward as oracle_forward

from minirnn import fast, readable
from minirnn.fast import engine, platforms

variants = pytest.mark.parametrize(("cell", "options"), parity.VARIANTS, ids=lambda v: str(v or ""))
ragged = pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])


@variants
@ragged
def test_both_halves_match_the_naive_transcription(cell, options, ragged, x64):
    case = parity.make_case(cell, options, ragged=ragged)
    lengths = np.full(4, 6) if case.lengths is None else case.lengths
    ys, final, seen = oracle_forward(cell, case.params, case.xs, case.state, lengths, **options)
    for half in (readable, fast):
        module = getattr(half, cell)
        outputs, state = module.forward(case.params, case.xs, case.state, case.lengths, **options)[:2]
        actual = {"ys": outputs, **parity.named("final.", state)}
        expected = {"ys": ys, **dict(zip([n for n in actual if n != "ys"], final))}
        parity.worst(actual, expected, 1e-14)
        named = parity.named("", module.gates(case.params, case.xs, case.state, case.lengths, **options))
        parity.worst(named, seen, 1e-14)


@variants
def test_a_sequence_is_its_steps(cell, options, x64):
    case = parity.make_case(cell, options, ragged=False)
    for half in (readable, fast):
        module = getattr(half, cell)
        ys, final = module.forward(case.params, case.xs, case.state, **options)[:2]
        state = case.state
        for t, x in enumerate(case.xs):
            y, state = module.step(case.params, x, state, **options)[:2]
            assert parity.relative_error(y, ys[t]) < 1e-15
        parity.worst(parity.named("", state), parity.named("", final), 1e-15)


@variants
@ragged
def test_backward_equals_the_complex_step_full_jacobian(cell, options, ragged):
    parity.complex_step_error(parity.make_case(cell, options, ragged=ragged), bound=1e-12)


@variants
def test_backward_equals_the_complex_step_on_long_sequences(cell, options):
    parity.complex_step_error(parity.make_case(cell, options, T=512), bound=1e-12, directions=8)


@variants
def test_step_backward_is_backward_of_one_step(cell, options):
    case = parity.make_case(cell, options, T=1, ragged=False)
    module = getattr(readable, cell)
    _, _, cache = module.step(case.params, case.xs[0], case.state, **options)
    dparams, dx, dstate = module.step_backward(case.dys[0], case.dstate, cache)
    actual = {**parity.named("", dparams), "xs": dx[None], **parity.named("state0.", dstate)}
    parity.worst(actual, parity.by_hand(case), 1e-14)


@variants
@ragged
@pytest.mark.parametrize("T", [4, 64, 512])
def test_numpy_equals_jax_in_float64(cell, options, ragged, T, x64):
    case = parity.make_case(cell, options, T=T, D=7, H=16, ragged=ragged)
    parity.worst(parity.by_hand(case), parity.by_jax(case), 1e-10)
    parity.worst(parity.gates_by_hand(case), parity.gates_by_jax(case), 1e-10)


@variants
@pytest.mark.parametrize("T", [4, 64, 512])
def test_numpy_equals_jax_in_float32(cell, options, T):
    case = parity.make_case(cell, options, T=T, D=7, H=16, dtype=np.float32)
    actual, expected = parity.by_hand(case), parity.by_jax(case)
    assert {a.dtype for a in [*actual.values(), *expected.values()]} == {np.dtype(np.float32)}
    parity.worst(actual, expected, parity.float32_bound(T))
    parity.worst(parity.gates_by_hand(case), parity.gates_by_jax(case), parity.float32_bound(T))


@variants
@ragged
def test_the_engine_equals_plain_autodiff(cell, options, ragged, x64):
    """The engine's own gradient, and JAX's of the scan as one would write it first."""
    case = parity.make_case(cell, options, ragged=ragged)
    description = parity.fast_cell(cell, options)
    forward = parity.engine_of(description).forward

    def loss(inputs, plain):
        c = case.with_inputs(inputs)
        ys, state = forward(description, c.params, c.xs, c.state, c.lengths, plain=plain)
        return (ys * c.dys).sum() + sum(
            (a * b).sum() for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(c.dstate))
        )

    own, plain = (jax.grad(loss)(case.inputs, p) for p in (False, True))
    parity.worst(own, plain, 1e-13)
    # Forward mode and second derivatives exist on the plain path.
    tangent = jax.tree.map(np.ones_like, case.inputs)
    _, slope = jax.jvp(lambda i: loss(i, True), (case.inputs,), (tangent,))
    np.testing.assert_allclose(slope, sum(g.sum() for g in plain.values()), rtol=1e-12)
    hessian = jax.hessian(lambda b: loss({**case.inputs, "b": b}, True))(case.params.b)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-10)
    assert (np.abs(hessian).max() > 0) == (options.get("activation") != "relu")  # relu is piecewise linear


@pytest.mark.parametrize("cell", [c for c in parity.CELLS if parity.engine_of(parity.fast_cell(c, {})) is engine])
def test_hoisting_the_input_product_changes_nothing(cell, x64, monkeypatch):
    """The layout of accelerators (x Wx before the loop) against that of CPUs (inside it)."""
    case = parity.make_case(cell)
    results = []
    for hoisted in (False, True):
        monkeypatch.setattr(platforms, "hoists_input_product", lambda hoisted=hoisted: hoisted)
        results.append(parity.by_jax(case))
    parity.worst(*results, 1e-13)


def test_the_mismatch_report_names_quantity_and_step():
    case = parity.make_case("lstm", ragged=False)
    right = parity.gates_by_hand(case)
    wrong = {name: value.copy() for name, value in right.items()}
    wrong["df"][3] *= 1.01
    with pytest.raises(AssertionError, match=r"^df at t=3: relative error"):
        parity.worst(wrong, right, 1e-10)


@pytest.mark.parametrize("cell", parity.CELLS)
def test_no_cotangent_means_zero(cell):
    case = parity.make_case(cell)
    module = getattr(readable, cell)
    cache = parity.readable_forward(case)[2]
    given = module.backward(case.dys, readable_zero(case.state), cache)
    parity.worst(parity.named("", module.backward(case.dys, None, cache)[0]), parity.named("", given[0]), 0)


def readable_zero(state):
    return type(state)(*map(np.zeros_like, state)) if isinstance(state, tuple) else np.zeros_like(state)


@pytest.mark.parametrize("cell", parity.CELLS)
def test_no_state_is_the_zero_state(cell):
    case = parity.make_case(cell, dtype=np.float32)
    for half in (readable, fast):
        module = getattr(half, cell)
        zeros = module.initial_state(case.params, 4)
        a, b = (module.forward(case.params, case.xs, s, case.lengths)[0] for s in (None, zeros))
        np.testing.assert_array_equal(a, b)
        assert a.dtype == np.float32


def test_mixed_dtypes_promote_and_gradients_keep_each_arrays_own(x64):
    case = parity.make_case("lstm", dtype=np.float32)
    xs = case.xs.astype(np.float64)
    for half in (readable, fast):
        assert half.lstm.forward(case.params, xs)[0].dtype == np.float64
    grads = jax.grad(lambda p, x: fast.lstm.forward(p, x)[0].sum(), (0, 1))(
        jax.tree.map(jnp.asarray, case.params), jnp.asarray(xs)
    )
    assert grads[0].Wx.dtype == np.float32
    assert grads[1].dtype == np.float64
