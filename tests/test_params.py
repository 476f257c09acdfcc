"""Initialisers and the small helpers of params.py."""

import numpy as np
import pytest

from minirnn import fast, params, readable

SIZES = {"input_size": 30, "hidden_size": 40}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_both_halves_draw_the_same_numpy_weights(cell):
    a, b = (getattr(half, cell).init(7, **SIZES) for half in (readable, fast))
    assert type(a) is type(b)
    for left, right in zip(a, b):
        assert isinstance(left, np.ndarray)
        assert left.dtype == np.float32
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(a.Wx, getattr(readable, cell).init(8, **SIZES).Wx)


def test_a_generator_goes_on_and_a_seed_starts_anew():
    rng = np.random.default_rng(0)
    first, second = (readable.lstm.init(rng, **SIZES) for _ in range(2))
    assert not np.array_equal(first.Wx, second.Wx)
    np.testing.assert_array_equal(first.Wx, readable.lstm.init(0, **SIZES).Wx)


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_statistics_of_the_initialisers(cell, gates):
    p = getattr(readable, cell).init(0, **SIZES, dtype=np.float64)
    D, H = SIZES.values()
    limit = np.sqrt(6 / (D + H))
    for k in range(gates):
        Wx, Wh = p.Wx[:, k * H : (k + 1) * H], p.Wh[:, k * H : (k + 1) * H]
        assert np.abs(Wx).max() <= limit
        # Uniform on ±limit: mean 0 and variance limit²/3, each within four standard errors.
        assert abs(Wx.mean()) < 4 * limit / np.sqrt(3 * D * H)
        assert Wx.var() == pytest.approx(limit**2 / 3, rel=4 * np.sqrt(0.8 / (D * H)))
        np.testing.assert_allclose(Wh @ Wh.T, np.eye(H), atol=1e-12)
    bias = np.zeros(gates * H)
    if cell == "lstm":
        bias[H : 2 * H] = 1
    np.testing.assert_array_equal(p.b, bias)


def test_orthogonal_has_no_preferred_sign():
    traces = [np.trace(params.orthogonal(np.random.default_rng(seed), 4)) for seed in range(400)]
    # Over uniform orthogonal matrices the trace has mean 0 and variance 1.
    assert abs(np.mean(traces)) < 4 / np.sqrt(400)
    assert np.var(traces) == pytest.approx(1, abs=0.3)


def test_network_layers_read_each_other():
    network = params.Network("lstm", hidden_size=6, num_layers=3, output_size=2)
    p = readable.network.init(0, network, input_size=4)
    assert [layer.Wx.shape for layer in p.layers] == [(4, 24), (6, 24), (6, 24)]
    assert (p.head.W.shape, p.head.b.shape) == ((6, 2), (2,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "ltsm"}, "unknown cell 'ltsm'; expected one of rnn, lstm, gru"),
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"hidden_size": 0}, "input_size and hidden_size must be at least 1"),
    ],
)
def test_a_wrong_description_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        readable.network.init(0, params.Network(**change), input_size=3)


def test_step_checks_shapes():
    p = readable.lstm.init(0, 3, 5)
    state = readable.lstm.initial_state(p, 2)
    for half in (readable, fast):
        with pytest.raises(ValueError, match=r"x has shape \(2, 4\); expected \(B, D\) with D = 3"):
            half.lstm.step(p, np.zeros((2, 4), np.float32), state)
        with pytest.raises(ValueError, match=r"state.h has shape \(2, 5\); expected \(B, H\) = \(3, 5\)"):
            half.lstm.step(p, np.zeros((3, 3), np.float32), state)
