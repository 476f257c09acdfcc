"""Symbols as inputs of a cell: rows of Wx looked up, and the table E Wx of an embedding that a layer reads."""

import jax
import jax.export
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


def test_products_of_symbols_are_rounded_as_those_of_vectors():
    case = parity.make_case("lstm", T=3, D=V, dtype=np.float32, ragged=False)
    symbols = np.random.default_rng(1).integers(0, V, (3, 4))
    run = lambda xs, **how: fast.lstm.forward(case.params, xs, None, products="bfloat16", **how)[0]  # noqa: E731
    vectors = run(np.eye(V, dtype=np.float32)[symbols])
    exact = fast.lstm.forward(case.params, symbols)[0]
    for rounded in (run(symbols), run(symbols, plain=True)):
        assert parity.relative_error(rounded, vectors) < 0.1 * parity.relative_error(exact, vectors)


@pytest.mark.parametrize("plain", [False, True])
def test_no_row_stands_for_a_symbol_that_there_is_not(plain, x64):
    """Nor for one that would become a symbol where it is cut to 32 bits."""
    params = fast.gru.init(0, V, 4)
    run = jax.jit(lambda symbols: fast.gru.forward(params, symbols, plain=plain)[0])
    wrong = np.array([[-1, V, 2**32 + 3, 3 - 2**32, -(2**63), 3]])
    assert np.isnan(run(wrong)).all(axis=-1).tolist() == [[True] * 5 + [False]]
    for few in (np.array([[-1, 3]], np.int8), np.array([[255, 3]], np.uint8)):
        assert np.isnan(run(few)).all(axis=-1).tolist() == [[True, False]]
        with pytest.raises(ValueError, match="symbols must lie between 0 and V - 1 = 8"):
            fast.gru.forward(params, few, plain=plain)
    many = fast.gru.init(0, 300, 4)  # more than the integers count
    assert np.isfinite(jax.jit(fast.gru.forward)(many, np.array([[127]], np.int8))[0]).all()


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
    """An entry for each time that a table is formed."""
    seen = []
    with_table = recurrent.with_table
    monkeypatch.setattr(recurrent, "with_table", lambda *a: seen.append(1) or with_table(*a))
    return seen


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"recurrent_dropout": 0.4, "save": "states"}])
@pytest.mark.parametrize("lengths", [None, np.array([12, 0, 3])], ids=["full", "ragged"])
def test_the_gradient_through_the_table_is_that_by_hand(options, lengths, looked_up, x64):
    net = described(**options)
    params = init_network(0, net, None, np.float64)
    symbols = np.random.default_rng(0).integers(0, V, (12, 3))
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
        (described(), (12, 3), True),
        (described(), (7, 5), False),  # fewer than four steps for each symbol
        (described("mingru"), (12, 3), False),
        (described(products="bfloat16"), (12, 3), False),
        (Network((Embedding(V, 4), Dropout(0.5), Recurrent("lstm", 5)), 2), (12, 3), False),
        (Network((Embedding(V, 4),), 2), (12, 3), False),
    ],
    ids=["few", "not few", "linear", "bfloat16", "dropout between", "no layer"],
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
        symbols = np.zeros((12, 3), int)
        symbols[:, 2] = wrong
        ys = run(symbols)
        assert np.isfinite(ys[:, :2]).all()
        assert np.isnan(ys[:, 2]).all()
    assert looked_up


def test_weights_that_do_not_fit_are_told_as_without_a_table():
    net = described()
    params = init_network(0, net, None)
    embedded, read, *rest = params.layers
    for Wx, error, message in (
        (read.weights.Wx[:3], ValueError, r"xs has shape \(12, 3, 4\); .* with D = 3, the rows of Wx"),
        (read.weights.Wx.astype(int), TypeError, "Wx holds int"),
    ):
        wrong = params._replace(layers=(embedded, read._replace(weights=read.weights._replace(Wx=Wx)), *rest))
        with pytest.raises(error, match=message):
            network.forward(net, wrong, np.zeros((12, 3), int))


def test_a_network_is_exported_for_batches_of_any_size():
    net = described()
    params = init_network(0, net, None)
    symbols, lengths = jax.export.symbolic_args_specs((np.zeros((12, 3), int), np.zeros(3, int)), ("12, b", "b"))
    run = jax.jit(lambda symbols, lengths: network.forward(net, params, symbols, lengths=lengths)[0])
    exported = jax.export.export(run)(symbols, lengths)
    given = np.random.default_rng(0).integers(0, V, (12, 5)), np.array([12, 3, 0, 1, 7])
    np.testing.assert_allclose(exported.call(*given), run(*given), rtol=1e-5, atol=1e-6)
