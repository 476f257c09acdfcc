"""The cells that are linear recurrences: long sequences, gates that underflow, the depth of the scan, wrong weights."""

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from minirnn import fast, readable
from minirnn.fast import linear, platforms
from minirnn.readable.activations import log_sigmoid

cells = pytest.mark.parametrize("cell", ["mingru", "minlstm"])
ways = pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "one after another"])
halves = pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])


@ways
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_the_halves_agree_over_4096_steps(dtype, bound, parallel, request, monkeypatch):
    monkeypatch.setattr(platforms, "parallel_in_time", lambda: parallel)
    if dtype == np.float64:
        request.getfixturevalue("x64")
    for cell in ("mingru", "minlstm"):  # in one test: they share a compiled scan
        case = parity.make_case(cell, T=4096, B=3, D=2, H=4, dtype=dtype)
        case.params.b[:4] -= dtype(3) if cell == "mingru" else dtype(-3)  # slow to forget: a is near 1
        ys, final = parity.readable_forward(case)[:2]
        actual, expected = getattr(fast, cell).forward(case.params, case.xs, case.state, case.lengths), (ys, final)
        for a, b in zip(actual, expected):
            assert parity.relative_error(a, b) < bound
        parity.worst(parity.by_hand(case), parity.by_jax(case), bound)


@cells
@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_only_a_cpu_loops_over_time(cell, platform):
    case = parity.make_case(cell, T=64, dtype=np.float32)

    def loss(params):
        return getattr(fast, cell).forward(params, case.xs, case.state, case.lengths)[0].sum()

    with platforms.compiling_for(platform):
        program = str(jax.make_jaxpr(jax.grad(loss))(case.params))
    assert program.count("scan[") == (2 if platform == "cpu" else 0)  # forwards and backwards
    assert "while[" not in program
    plain = lambda p: linear.forward(getattr(fast, cell).CELL, p, case.xs, plain=True)[0]  # noqa: E731
    assert "scan[" in str(jax.make_jaxpr(plain)(case.params))


@cells
@ways
def test_both_ways_give_the_same_gradients(cell, parallel, x64, monkeypatch):
    """Lengths, an initial state, and the gradient with respect to everything; no steps; padding of NaN."""
    monkeypatch.setattr(platforms, "parallel_in_time", lambda: parallel)
    for T in (0, 1, 7):
        case = parity.make_case(cell, T=T, ragged=T > 1)
        parity.worst(parity.by_hand(case), parity.by_jax(case), 1e-12)
    padded = np.where(np.arange(7)[:, None, None] < np.array(case.lengths)[:, None], case.xs, np.nan)
    module = getattr(fast, cell)
    for a, b in zip(*(module.forward(case.params, xs, case.state, case.lengths) for xs in (case.xs, padded))):
        np.testing.assert_array_equal(a, b)


@ways
@pytest.mark.parametrize("level", [-40.0, -120.0, -1000.0])
def test_minlstm_gates_that_both_underflow_are_still_divided(level, parallel, monkeypatch):
    """f / (f + i) depends on the difference of the pre-activations once both are far below zero."""
    monkeypatch.setattr(platforms, "parallel_in_time", lambda: parallel)
    case = parity.make_case("minlstm", dtype=np.float32, ragged=False)
    params = case.params._replace(Wx=case.params.Wx * np.float32(0.01))
    f, i, n = np.split(params.b, 3)
    params = params._replace(b=np.concatenate([level + f, level + i, n]).astype(np.float32))
    exact = [np.array(a, np.float64) for a in (case.xs, params.Wx, params.b, case.state)]
    z_f, z_i, z_n = np.split(exact[0] @ exact[1] + exact[2], 3, axis=-1)
    h, keep = exact[3], 1 / (1 + np.exp(z_i - z_f))
    expected = []
    for t in range(len(z_n)):
        h = keep[t] * h + (1 - keep[t]) * z_n[t]
        expected.append(h)
    bound = 1e-6 * max(1.0, -level)  # the pre-activations themselves are rounded
    for half in (readable, fast):
        ys = half.minlstm.forward(params, case.xs, case.state)[0]
        assert parity.relative_error(ys, np.stack(expected)) < bound
    extreme = parity.dataclasses.replace(case, params=params)
    ours, theirs = parity.by_hand(extreme), parity.by_jax(extreme)
    assert all(np.isfinite(g).all() and g.any() for g in ours.values())
    parity.worst(ours, theirs, bound)


def test_log_sigmoid_and_its_derivative():
    z = np.array([-800.0, -40.0, -1.5, -0.0, 0.0, 1.5, 40.0, 800.0])
    np.testing.assert_allclose(log_sigmoid(z), -np.logaddexp(0, -z), rtol=1e-14)
    moved = log_sigmoid(z + 1e-30j)
    np.testing.assert_allclose(moved.imag / 1e-30, 1 / (1 + np.exp(np.minimum(z, 700))), rtol=1e-14, atol=1e-300)
    assert log_sigmoid(z.astype(np.float32)).dtype == np.float32


@halves
def test_weights_of_another_kind_of_cell_are_named(half):
    gru, mingru = parity.make_case("gru"), parity.make_case("mingru")
    with pytest.raises(TypeError, match=r"params is a GRUParams; expected MinGRUParams\(Wx, b\), from init"):
        half.mingru.forward(gru.params, gru.xs)
    with pytest.raises(TypeError, match=r"params is a MinGRUParams; expected GRUParams\(Wx, Wh, b, b_hn\), from init"):
        half.gru.forward(mingru.params, mingru.xs)
    with pytest.raises(TypeError, match=r"params is a MinGRUParams; expected MinLSTMParams\(Wx, b\), from init"):
        half.minlstm.forward(mingru.params, mingru.xs)
    with pytest.raises(ValueError, match=r"state.h has shape \(2, 5\); expected \(B, H\) = \(4, 5\)"):
        half.mingru.step(mingru.params, mingru.xs[0], np.zeros((2, 5)))


@cells
@ways
def test_many_models_at_once(cell, parallel, monkeypatch):
    """``vmap`` over weights, as the training loop does with its members."""
    monkeypatch.setattr(platforms, "parallel_in_time", lambda: parallel)
    case = parity.make_case(cell, dtype=np.float32)
    two = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), case.params)

    def gradient(params):
        return jax.grad(lambda p: (getattr(fast, cell).forward(p, case.xs, case.state, case.lengths)[0] ** 2).sum())(
            params
        )

    together = jax.vmap(gradient)(two)
    for k in range(2):
        alone = gradient(jax.tree.map(lambda a: a[k], two))
        for a, b in zip(together, alone):
            assert parity.relative_error(a[k], b) < 1e-5
