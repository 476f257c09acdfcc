"""Symbols as inputs of a cell: rows of Wx looked up, and the table E Wx of an embedding that a layer reads."""

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from minirnn import fast, readable
from minirnn.fast import network, platforms, recurrent
from minirnn.params import Dropout, Embedding, Network, Recurrent, init_network

V = 9
HOW = {
    "all": {},
    "states": {"save": "states"},
    "chunks": {"save": "chunks"},
    "hoisted": {"save": "states"},
    "plain": {"plain": True},
}


def gradients(cell, case, xs, **options):
    """Of a sum over outputs and the final state, in the weights and the initial state."""

    def loss(params, state):
        ys, final = getattr(fast, cell).forward(params, xs, state, case.lengths, **options)
        return jnp.vdot(ys, case.dys) + sum(map(jnp.vdot, jax.tree.leaves(final), jax.tree.leaves(case.dstate)))

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(case.params, case.state)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before"])  # one for each layout of z
def test_symbols_are_vectors_with_a_single_one(cell, how, x64, monkeypatch):
    """17 steps are no multiple of a block or a chunk; the lengths are ragged, and the padding holds no symbol."""
    case = parity.make_case(cell, T=17, D=V)
    symbols = np.random.default_rng(1).integers(0, V, (17, 4))
    expected = gradients(cell, case, np.eye(V)[symbols], plain=True)
    symbols[np.arange(17)[:, None] >= case.lengths] = 99
    monkeypatch.setattr(platforms, "hoists_input_product", lambda: how == "hoisted")
    actual = gradients(cell, case, symbols, **HOW[how])
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert parity.relative_error(a, b) < 1e-12


def test_rows_of_the_table_are_not_rounded():
    """They are summands and no factors: only the product with h is rounded."""
    case = parity.make_case("lstm", T=1, D=V, dtype=np.float32, ragged=False)
    symbols = np.array([[0, 3, 8, 3]])
    run = lambda **how: fast.lstm.forward(case.params, symbols, None, **how)[0]  # noqa: E731
    np.testing.assert_array_equal(run(products="bfloat16"), run())  # h is zero at the only step


def test_integers_of_another_form_are_no_symbols():
    params = fast.lstm.init(0, 3, 4)
    with pytest.raises(ValueError, match=r"xs has shape \(5, 2\); expected time-major \(T, B, D\)"):
        fast.lstm.forward(params, np.zeros((5, 2), np.float32))
    with pytest.raises(ValueError, match="D = 3"):
        fast.mingru.forward(fast.mingru.init(0, 3, 4), np.zeros((5, 2), int))
    with pytest.raises(TypeError, match="xs"):
        fast.lstm.forward(params, np.zeros((5, 2, 3), int))


# ---------------------------------------------------------------- behind an embedding


def described(cell="lstm", **options):
    return Network((Embedding(V, 4), Recurrent(cell, 5, **options), Recurrent("gru", 3)), 2, "steps")


@pytest.fixture
def looked_up(monkeypatch):
    """The number of times that a table was formed."""
    seen = []
    through = recurrent.through
    monkeypatch.setattr(recurrent, "through", lambda *a: seen.append(1) or through(*a))
    return seen


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"recurrent_dropout": 0.4, "save": "states"}])
@pytest.mark.parametrize("lengths", [None, np.array([7, 0, 3])], ids=["full", "ragged"])
def test_the_gradient_through_the_table_is_that_by_hand(options, lengths, looked_up, x64):
    net = described(**options)
    params = init_network(0, net, None, np.float64)
    symbols = np.random.default_rng(0).integers(0, V, (7, 3))
    ys, _, cache = readable.network.forward(net, params, symbols, lengths=lengths, dropout_key=5)
    by_hand = readable.network.backward(2 * ys, None, cache)[0]

    def loss(p):
        ys, _ = network.forward(net, p, symbols, lengths=lengths, dropout_key=5)
        return (ys**2).sum(), ys

    by_jax, outputs = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert looked_up
    np.testing.assert_allclose(outputs, ys, rtol=1e-12, atol=1e-14)
    for a, b in zip(jax.tree.leaves(by_jax), jax.tree.leaves(by_hand), strict=True):
        assert parity.relative_error(a, b) < 1e-12


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize(
    ("net", "shape", "expected"),
    [
        (described(), (7, 3), True),
        (described(), (3, 3), False),  # as many symbols as steps
        (described("mingru"), (7, 3), False),
        (Network((Embedding(V, 4), Dropout(0.5), Recurrent("lstm", 5)), 2), (7, 3), False),
        (Network((Embedding(V, 4),), 2), (7, 3), False),
    ],
    ids=["fewer", "as many", "linear", "dropout between", "no layer"],
)
def test_when_a_table_is_formed(net, shape, expected, platform, looked_up):
    with platforms.compiling_for(platform):
        network.forward(net, init_network(0, net, None), np.zeros(shape, int))
    assert len(looked_up) == (expected and platform == "cpu")


def test_no_row_of_the_table_stands_for_a_symbol_outside_of_the_vocabulary(looked_up):
    net = described()
    params = init_network(0, net, None)
    run = jax.jit(lambda symbols: network.forward(net, params, symbols)[0])
    for wrong in (-1, V):
        symbols = np.zeros((7, 3), int)
        symbols[:, 2] = wrong
        ys = run(symbols)
        assert np.isfinite(ys[:, :2]).all()
        assert np.isnan(ys[:, 2]).all()
    assert looked_up
