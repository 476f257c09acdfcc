"""Truncated backpropagation through time: where it equals the full gradient, and where it must differ by how much."""

import itertools

import jax
import numpy as np
import parity
import pytest
from networks import by_name

from minirnn import fast, readable
from minirnn.params import Convolution, Dropout, Network, Recurrent, stack
from minirnn.readable import losses


def setup(network, T=11, B=3, D=2, seed=0):
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda a: rng.standard_normal(a.shape) / 2, readable.network.init(rng, network, D, np.float64)
    )
    return params, rng.standard_normal((T, B, D)), rng.standard_normal((T, B, network.output_size))


def full_gradient(network, params, xs, target, loss):
    outputs, state, cache = readable.network.forward(network, params, xs)
    value, doutputs = loss(outputs, target)
    return value, readable.network.backward(doutputs, None, cache)[0], state


def sum_of_squares(outputs, target):
    """A sum, not a mean, so that windows of different lengths add up to the whole."""
    return ((outputs - target) ** 2).sum(), 2 * (outputs - target)


@pytest.mark.parametrize("cell", parity.CELLS)
def test_one_window_is_the_full_gradient_and_outputs_never_change(cell):
    network = stack(cell, 4, 2, 3, read="steps")
    params, xs, target = setup(network)
    value, dparams, state = full_gradient(network, params, xs, target, sum_of_squares)
    whole = readable.truncated.gradient(network, params, xs, (target,), sum_of_squares, 11)
    assert whole[0] == value
    parity.worst(by_name(whole[1]), by_name(dparams), 0)
    # Shorter windows: the same loss and final state, since the state is carried; another gradient.
    short = readable.truncated.gradient(network, params, xs, (target,), sum_of_squares, 4)
    np.testing.assert_allclose(short[0], value, rtol=1e-12)
    parity.worst(by_name(short[2]), by_name(state), 1e-12)
    with pytest.raises(AssertionError, match="relative error"):
        parity.worst(by_name(short[1]), by_name(dparams), 1e-3)


def test_nothing_is_lost_where_nothing_flows_between_the_windows():
    """Without recurrent weights no gradient passes from step to step: every window length gives the full gradient."""
    network = stack("rnn", 4, 1, 3, read="steps")
    params, xs, target = setup(network)
    weights = params.layers[0].weights
    params.layers[0].weights.Wh[:] = 0
    _, dparams, _ = full_gradient(network, params, xs, target, sum_of_squares)
    for window in (1, 4, 11):
        ours = readable.truncated.gradient(network, params, xs, (target,), sum_of_squares, window)[1]
        parity.worst(by_name(ours), by_name(dparams), 1e-13)
    assert weights.Wx.any()


@pytest.mark.parametrize("window", [1, 2, 3, 5, 6])
def test_the_difference_is_known_for_a_linear_unit(window):
    """h_t = w h_{t-1} + u x_t with x = 1 at step 0 only, and a loss of h_{T-1} alone.

    Then h_t = u w^t, dL/dw = (T-1) u w^(T-2) and dL/du = w^(T-1). Truncated, only the steps of the last window count,
    n of them: n terms h_{t-1} w^(T-1-t) = u w^(T-2) are left for w, and nothing for u.
    """
    T, w, u = 6, 0.8, 1.5
    network = Network((Recurrent("rnn", 1, activation="identity"),), 1, "steps")
    params = readable.network.init(0, network, 1, np.float64)
    weights = params.layers[0].weights._replace(Wx=np.array([[u]]), Wh=np.array([[w]]))
    params = params._replace(layers=(params.layers[0]._replace(weights=weights),))
    params = params._replace(head=params.head._replace(W=np.ones((1, 1))))
    xs = np.zeros((T, 1, 1))
    xs[0] = 1
    last = np.zeros((T, 1, 1))
    last[-1] = 1

    def loss(outputs, chosen):
        return (outputs * chosen).sum(), chosen

    value, dparams, _ = readable.truncated.gradient(network, params, xs, (last,), loss, window)
    np.testing.assert_allclose(value, u * w ** (T - 1))
    n = T - (T - 1) // window * window  # steps of the last window
    terms = T - 1 if n == T else n  # at step 0 there is no h before
    np.testing.assert_allclose(dparams.layers[0].weights.Wh, [[terms * u * w ** (T - 2)]], rtol=1e-12)
    np.testing.assert_allclose(dparams.layers[0].weights.Wx, [[w ** (T - 1) if n == T else 0.0]], atol=1e-15)


@pytest.mark.parametrize("window", [3, 4, 12])
def test_both_halves_agree(window, x64):
    """Ragged, with dropout and a learned state; a shorter window at the end, none, and only one window."""
    network = Network(
        (Recurrent("gru", 4, recurrent_dropout=0.3, learn_initial_state=True), Dropout(0.4), Recurrent("lstm", 3)),
        2,
        "steps",
    )
    params, xs, target = setup(network, T=12 if window == 3 else 11)
    lengths = np.array([len(xs), 0, 5])
    weight = (np.arange(len(xs))[:, None] < lengths)[:, :, None].astype(float)
    ours = readable.truncated.gradient(
        network, params, xs, (target, weight), losses.mse, window, lengths=lengths, dropout_key=5
    )
    theirs = fast.truncated.gradient(
        network, params, xs, (target, weight), fast.losses.mse, window, lengths=lengths, dropout_key=5
    )
    parity.worst(by_name(ours), by_name(theirs), 1e-12)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
@pytest.mark.parametrize(
    ("network", "window", "message"),
    [
        (stack(read="steps"), 0, "window is 0; expected at least 1 step"),
        (stack(), 3, "the head reads 'last'; truncated backpropagation needs read='steps'"),
        (stack(bidirectional=True, read="steps"), 3, "looks beyond a window"),
        (Network((Convolution(3),), read="steps"), 3, "looks beyond a window"),
    ],
)
def test_networks_that_cannot_be_cut_into_windows(half, network, window, message):
    params = half.network.init(0, network, 2)
    with pytest.raises(ValueError, match=message):
        half.truncated.gradient(network, params, np.zeros((4, 1, 2), np.float32), (), losses.mse, window)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_lengths_of_the_whole_sequence_are_checked_and_may_be_unsigned(half):
    network = stack("gru", 2, 1, 2, read="steps")
    params, xs, target = jax.tree.map(lambda a: a.astype(np.float32), setup(network))

    def loss(outputs, target):
        value = ((outputs - target) ** 2).sum()
        return (value, 2 * (outputs - target)) if half is readable else value

    run = lambda lengths: half.truncated.gradient(network, params, xs, (target,), loss, 4, lengths=lengths)  # noqa: E731
    signed, unsigned = run(np.array([3, 11, 0])), run(np.array([3, 11, 0], np.uint8))
    jax.tree.map(np.testing.assert_array_equal, signed, unsigned)
    for wrong in ([3, 12, 0], [3, -1, 0]):
        with pytest.raises(ValueError, match="lengths must lie between 0 and T = 11"):
            run(np.array(wrong))


def test_every_window_drops_units_of_its_own(monkeypatch):
    """The other half is held to the same masks by the test of both; alone, a mask shared by mistake would not show."""
    seen = []
    original = readable.recurrent.dropout_scale
    monkeypatch.setattr(readable.recurrent, "dropout_scale", lambda *a: seen.append(original(*a)) or seen[-1])
    network = Network((Dropout(0.5),), 1, "steps")
    params, xs, target = setup(network, T=6, D=40)
    readable.truncated.gradient(network, params, xs, (target,), sum_of_squares, 2, dropout_key=3)
    assert len(seen) == 3
    for a, b in itertools.combinations(seen, 2):
        assert 0.3 < (a == b).mean() < 0.7
