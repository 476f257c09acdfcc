"""Networks: hand-derived gradients against the complex step and JAX, lengths, states, dropout, directions."""

import dataclasses
import itertools

import jax
import numpy as np
import parity
import pytest
from networks import (
    NETWORKS,
    by_name,
    make_network_case,
    network_complex_step_error,
    network_jax_error,
)

from minirnn import fast, random, readable
from minirnn.params import (
    Convolution,
    Dense,
    Directions,
    Dropout,
    Embedding,
    LayerNorm,
    Network,
    Recurrent,
    Residual,
    stack,
)

features = pytest.mark.parametrize("feature", NETWORKS)
both = pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])


@features
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_backward_equals_the_complex_step(feature, ragged):
    network_complex_step_error(make_network_case(feature, ragged=ragged))


@features
def test_numpy_equals_jax_in_float64(feature, x64):
    network_jax_error(make_network_case(feature), 1e-12)


@features
def test_numpy_equals_jax_in_float32(feature):
    network_jax_error(make_network_case(feature, dtype=np.float32, ragged=False), 1e-5)


@features
def test_a_sequence_alone_gives_what_it_gives_among_others(feature):
    """Lengths, directions, convolutions, the head: all must end where the sequence ends. Dropout off."""
    case = dataclasses.replace(make_network_case(feature), key=None)
    outputs, state, _ = case.run(readable, case.inputs)
    xs = case.symbols if case.symbols is not None else case.inputs["xs"]
    for b, length in enumerate(case.lengths):
        if not length:
            continue
        start = jax.tree.map(lambda s, b=b: s[b : b + 1], case.inputs.get("state"))
        alone, final, _ = readable.network.forward(case.network, case.inputs["params"], xs[:length, b : b + 1], start)
        here = outputs[:length, b : b + 1] if case.network.read == "steps" else outputs[b : b + 1]
        np.testing.assert_allclose(here, alone, rtol=1e-12, atol=1e-14)
        for ours, theirs in zip(jax.tree.leaves(state), jax.tree.leaves(final)):
            np.testing.assert_allclose(ours[b : b + 1], theirs, rtol=1e-12, atol=1e-14)
    if case.network.read == "steps":
        assert not outputs[case.lengths.max() :].any()
        assert not outputs[:, 1].any()  # of length 0
    else:  # nothing was read: the head sees zeros
        np.testing.assert_array_equal(outputs[1], case.inputs["params"].head.b)


def test_a_bidirectional_layer_is_two_cells_of_which_one_reads_backwards():
    rng = np.random.default_rng(0)
    layer = Recurrent("gru", 4, bidirectional=True)
    network = Network((layer,), 2, "steps")
    params = readable.network.init(0, network, 3, np.float64)
    xs, lengths = rng.standard_normal((5, 2, 3)), np.array([5, 3])
    ys, final, _ = readable.recurrent.forward(layer, params.layers[0], xs, lengths=lengths)
    first, second = params.layers[0].weights
    for b, length in enumerate(lengths):
        x = xs[:length, b : b + 1]
        there, h_there, _ = readable.gru.forward(first, x)
        back, h_back, _ = readable.gru.forward(second, x[::-1])
        np.testing.assert_allclose(ys[:length, b], np.concatenate([there, back[::-1]], axis=-1)[:, 0], rtol=1e-12)
        np.testing.assert_allclose(final.forward[b], h_there[0], rtol=1e-12)
        np.testing.assert_allclose(final.backward[b], h_back[0], rtol=1e-12)
        assert not ys[length:, b].any()
    assert isinstance(final, Directions)


def test_no_state_is_the_learned_state_and_its_gradient_sums_over_the_batch():
    case = make_network_case("learned initial state", given_state=False)
    learned = case.inputs["params"].layers[0].initial
    given = jax.tree.map(lambda s: np.broadcast_to(s, (6, 5)).copy(), learned)
    outputs, state, cache = case.run(readable, case.inputs)
    again, state2, cache2 = case.run(readable, {**case.inputs, "state": (given,)})
    np.testing.assert_array_equal(outputs, again)
    with_learned, _, dstate0 = readable.network.backward(case.doutputs, case.dstate, cache)
    without, _, dgiven = readable.network.backward(case.doutputs, case.dstate, cache2)
    sums = jax.tree.map(lambda d: d.sum(axis=0), dgiven[0])
    parity.worst(by_name(with_learned.layers[0].initial), by_name(sums), 1e-13)
    assert not any(a.any() for a in jax.tree.leaves(without.layers[0].initial))  # a given state hides the learned one


@both
def test_dropout_drops_whole_features_for_a_whole_sequence(half):
    """One mask for each sequence; kept features are divided by the share that is kept; other keys drop others."""
    network = Network((Dropout(0.25),), 40, "steps")
    params = half.network.init(0, network, 40)
    params = params._replace(head=params.head._replace(W=np.eye(40, dtype=np.float32)))
    xs = np.random.default_rng(0).uniform(1, 2, (9, 50, 40)).astype(np.float32)
    run = lambda key: np.asarray(half.network.forward(network, params, xs, dropout_key=key)[0])  # noqa: E731
    outputs = run(3)
    kept = outputs != 0
    assert (kept == kept[:1]).all()
    np.testing.assert_allclose(outputs[kept], (xs / 0.75)[kept], rtol=1e-6)
    assert abs(kept[0].mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)
    assert (run(4) != outputs).any()
    np.testing.assert_array_equal(run(random.key(3)), outputs)
    np.testing.assert_array_equal(run(None), xs)


def test_both_halves_drop_the_same_units(x64):
    """Bit for bit: the zeros stand at the same places, for many layers and keys."""
    network = Network((Dropout(0.5), Residual((Dropout(0.3),)), Dropout(0.1)), 8, "steps")
    params = readable.network.init(0, network, 8, np.float64)
    xs = np.ones((2, 64, 8))
    for key in (0, 1, 2**32 - 1):
        ours = readable.network.forward(network, params, xs, dropout_key=key)[0]
        theirs = fast.network.forward(network, params, xs, dropout_key=jax.random.key(key))[0]
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@both
def test_recurrent_dropout_touches_h_only_where_it_enters_the_product(half):
    """With Wh = 0 nothing can be dropped; the state itself keeps all its units."""
    network = stack("gru", 6, 1, 6, recurrent_dropout=0.9, read="steps")
    params = half.network.init(0, network, 3)
    xs = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    plain = half.network.forward(network, params, xs)[0]
    assert np.abs(half.network.forward(network, params, xs, dropout_key=1)[0] - plain).max() > 1e-3
    weights = params.layers[0].weights
    without = params._replace(
        layers=(params.layers[0]._replace(weights=weights._replace(Wh=np.zeros_like(weights.Wh))),)
    )
    np.testing.assert_array_equal(
        half.network.forward(network, without, xs, dropout_key=1)[0], half.network.forward(network, without, xs)[0]
    )


@both
def test_a_causal_convolution_does_not_look_ahead(half):
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((8, 2, 3)).astype(np.float32)
    for padding, reach in (("causal", 0), ("same", 1)):
        network = Network((Convolution(4, 3, padding, "identity"),), 2, "steps")
        params = half.network.init(0, network, 3)
        before, moved = half.network.forward(network, params, xs)[0], xs.copy()
        moved[5:] += 1
        after = half.network.forward(network, params, moved)[0]
        changed = np.abs(np.asarray(after) - np.asarray(before)).max(axis=(1, 2)) > 0
        np.testing.assert_array_equal(np.flatnonzero(changed), np.arange(5 - reach, 8))


@both
def test_no_steps_unsigned_lengths_and_a_wrong_number_of_states(half):
    case = make_network_case("three layers", dtype=np.float32)
    network, params, xs, lengths = case.network, case.inputs["params"], case.inputs["xs"], case.lengths
    outputs = half.network.forward(network, params, xs[:0])[0]
    np.testing.assert_array_equal(outputs, np.broadcast_to(params.head.b, (6, 2)))
    signed, unsigned = (
        half.network.forward(network, params, xs, lengths=lengths.astype(t))[0] for t in (int, np.uint8)
    )
    np.testing.assert_array_equal(signed, unsigned)
    with pytest.raises(ValueError, match="state holds 1 states; expected one for each of 3 layers"):
        half.network.forward(network, params, xs, case.inputs["state"][:1])
    _, _, cache = readable.network.forward(network, params, xs[:0])
    dparams = readable.network.backward(np.ones((6, 2), np.float32), None, cache)[0]
    assert not dparams.layers[0].weights.Wx.any()


@both
def test_inputs_that_do_not_fit(half):
    network, _ = NETWORKS["embedding"]
    params = half.network.init(0, network, None)
    with pytest.raises(TypeError, match="xs holds float32; expected integers"):
        half.network.forward(network, params, np.zeros((4, 2), np.float32))
    with pytest.raises(ValueError, match=r"expected symbols \(T, B\)"):
        half.network.forward(network, params, np.zeros((4, 2, 1), int))
    with pytest.raises(ValueError, match=r"expected time-major \(T, B, D\)"):
        half.network.forward(stack(), half.network.init(0, stack(), 3), np.zeros((4, 2), np.float32))


def test_cotangents_that_do_not_fit():
    case = make_network_case("three layers")
    _, state, cache = case.run(readable, case.inputs)
    with pytest.raises(ValueError, match=r"doutputs has shape \(6, 1\); expected \(6, 2\), the shape of the outputs"):
        readable.network.backward(np.ones((6, 1)), None, cache)
    with pytest.raises(ValueError, match="dstate holds 2 states; expected one for each of 3 layers"):
        readable.network.backward(case.doutputs, state[1:], cache)


def test_symbols_outside_the_vocabulary():
    network, _ = NETWORKS["embedding"]
    params = readable.network.init(0, network, None)
    for wrong in (-1, 9):
        with pytest.raises(ValueError, match=rf"symbols must lie between 0 and V - 1 = 8, got .*{wrong}"):
            readable.network.forward(network, params, np.array([[3, wrong]]))
        with pytest.raises(ValueError, match=rf"symbols must lie between 0 and V - 1 = 8, got .*{wrong}"):
            fast.network.forward(network, params, np.array([[3, wrong]]))
        run = jax.jit(lambda symbols: fast.network.forward(network, params, symbols)[0])
        outputs = np.asarray(run(np.array([[3, wrong]])))
        assert np.isfinite(outputs[0]).all()
        assert np.isnan(outputs[1]).all()  # compiled code cannot raise


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Recurrent("elman"), "unknown cell 'elman' of Recurrent; expected one of rnn, lstm"),
        (lambda: Recurrent("lstm", 0), "Recurrent.hidden_size is 0; expected an integer of at least 1"),
        (lambda: Recurrent(merge="product"), "unknown merge 'product'"),
        (lambda: Recurrent(recurrent_dropout=1.0), "Recurrent.recurrent_dropout is 1.0; expected at least 0 and below"),
        (lambda: Recurrent("mingru", recurrent_dropout=0.1), "a mingru has no product h Wh"),
        (lambda: Recurrent("lstm", activation="relu"), "only the cell 'rnn' has a choice"),
        (lambda: Dropout(-0.1), "Dropout.rate is -0.1"),
        (lambda: LayerNorm(0), "LayerNorm.epsilon is 0; expected more than 0"),
        (lambda: Convolution(3, padding="valid"), "unknown padding 'valid' of Convolution; expected one of causal"),
        (lambda: Network((Recurrent(), Embedding(3, 4))), "an Embedding must be the first layer"),
        (lambda: Residual((Embedding(3, 4),)), "cannot stand inside a Residual"),
        (
            lambda: Network((), read="first"),
            "unknown read 'first' of Network; expected one of last, mean, steps, ends, attention",
        ),
        (lambda: readable.network.init(0, Network((Residual((Dense(4),)),)), 3), "Residual reads 3 features and its l"),
        (lambda: readable.network.init(0, stack(), None), "input_size is None; expected D"),
        (lambda: readable.network.init(0, Network((Embedding(5, 2),)), 3), "input_size is 3; a network that begins"),
        (lambda: stack(num_layers=0), "num_layers must be at least 1, got 0"),
    ],
)
def test_descriptions_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_description_holds_layers_only():
    with pytest.raises(TypeError, match=r"Network.layers holds a str; expected Embedding"):
        Network(("lstm",))
    assert Network([LayerNorm()]).layers == (LayerNorm(),)  # hashable, for jit


@both
@pytest.mark.parametrize(
    ("feature", "change", "error", "message"),
    [
        ("three layers", {"layers": 1}, ValueError, "params holds weights of 1 layers; the description has 3"),
        ("layer norm", {"D": 4}, ValueError, r"expected time-major \(T, B, D\) with D = 3"),
        (
            "dense",
            {"D": 1},
            ValueError,
            r"xs has shape \(7, 6, 1\); expected \(T, B, D\) with D = 3, which the dense map",
        ),
        ("convolution, causal", {"D": 4}, ValueError, "with D = 3, which the convolution reads"),
        ("bidirectional", {"state": "one direction"}, TypeError, r"expected Directions\(forward, backward\)"),
        ("dropout", {"state": "for dropout"}, ValueError, r"state\[1\] is a ndarray, but Dropout has no state"),
    ],
)
def test_weights_inputs_and_states_of_another_network(half, feature, change, error, message):
    case = make_network_case(feature, dtype=np.float32, ragged=False)
    params, xs, state = case.inputs["params"], case.inputs["xs"], case.inputs["state"]
    if "layers" in change:
        params = params._replace(layers=params.layers[:1])
    if "D" in change:
        xs = np.ones((7, 6, change["D"]), np.float32)
    if change.get("state") == "one direction":
        state = (state[0].forward,)
    if change.get("state") == "for dropout":
        state = (state[0], np.zeros((6, 5), np.float32), state[2])
    with pytest.raises(error, match=message):
        half.network.forward(case.network, params, xs, state)


def test_weights_are_not_integers():
    with pytest.raises(TypeError, match="dtype is int64; expected floating point"):
        readable.lstm.init(0, 3, 4, int)


# ---------------------------------------------------------------- what a mistake made in both halves would not show


def kept_in_ones(half, network, key, width=64):
    """Which units of ones (1, B, width) a network lets through, (B, width); its head is the identity."""
    params = half.network.init(0, network, width)
    params = params._replace(head=params.head._replace(W=np.eye(width, dtype=np.float32)))
    return np.asarray(half.network.forward(network, params, np.ones((1, 8, width), np.float32), dropout_key=key)[0][0])


@both
def test_every_place_and_every_key_drops_units_of_its_own(half):
    drop = Dropout(0.5)
    ones = {
        "first": kept_in_ones(half, Network((drop,), 64, "steps"), 3),
        "second": kept_in_ones(half, Network((Dropout(0.0), drop), 64, "steps"), 3),
        "in a residual": kept_in_ones(half, Network((Residual((drop,)),), 64, "steps"), 3) - 1,
        "deeper": kept_in_ones(half, Network((Residual((Dropout(0.0), drop)),), 64, "steps"), 3) - 1,
        "other key": kept_in_ones(half, Network((drop,), 64, "steps"), 4),
    }
    assert all(set(np.unique(scale)) == {0.0, 2.0} for scale in ones.values())
    for a, b in itertools.combinations(ones.values(), 2):
        assert 0.3 < (a == b).mean() < 0.7


@both
def test_recurrent_dropout_scales_what_it_keeps_and_each_direction_drops_its_own(half, monkeypatch):
    seen = []
    original = half.recurrent.dropout_scale
    monkeypatch.setattr(half.recurrent, "dropout_scale", lambda *a: seen.append(np.asarray(original(*a))) or seen[-1])
    network = stack("gru", 32, 2, recurrent_dropout=0.25, bidirectional=True)
    xs = np.ones((2, 50, 3), np.float32)
    half.network.forward(network, half.network.init(0, network, 3), xs, dropout_key=1)
    assert len(seen) == 4  # two layers, two directions
    for scale in seen:
        np.testing.assert_allclose(np.unique(scale), [0, 1 / 0.75], rtol=1e-6)
        assert abs(scale.mean() - 1) < 0.06  # so that h Wh is right on average
    for a, b in itertools.combinations(seen, 2):
        assert 0.5 < (a == b).mean() < 0.75


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_the_reset_gate_and_the_mask_both_act_before_the_product(half, x64):
    """One step of the GRU that resets before, with a mask, written out."""
    case = parity.make_case("gru_reset_before", T=1, B=2, ragged=False)
    (Wx, Wh, b), h, H = case.params, case.state, 5
    scale = np.array([[0, 2, 2, 0, 2.0], [2, 2, 0, 2, 0]])
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    zx = case.xs[0] @ Wx + b
    r = sigmoid(zx[:, :H] + (scale * h) @ Wh[:, :H])
    z = sigmoid(zx[:, H : 2 * H] + (scale * h) @ Wh[:, H : 2 * H])
    n = np.tanh(zx[:, 2 * H :] + (scale * r * h) @ Wh[:, 2 * H :])
    ys = half.gru_reset_before.forward(case.params, case.xs, h, recurrent_scale=scale)[0]
    np.testing.assert_allclose(ys[0], (1 - z) * h + z * n, rtol=1e-12)


@both
def test_merging_two_directions(half):
    xs = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    merged = {}
    for merge in ("concat", "sum", "mean"):
        layer = Recurrent("gru", 5, True, merge)
        params = params_of_recurrent(layer)
        merged[merge] = np.asarray(half.recurrent.forward(layer, params, xs)[0])
    there, back = np.split(merged["concat"], 2, axis=-1)
    np.testing.assert_allclose(merged["sum"], there + back, rtol=1e-6)
    np.testing.assert_allclose(merged["mean"], (there + back) / 2, rtol=1e-6)


def params_of_recurrent(layer):
    return readable.network.init(0, Network((layer,)), 3).layers[0]


@both
def test_a_residual_adds_its_input(half):
    network = Network((Residual((Dense(3, "tanh"),)),), 3, "steps")
    params = half.network.init(0, network, 3)
    params = params._replace(head=params.head._replace(W=np.eye(3, dtype=np.float32)))
    xs = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    inner = params.layers[0][0]
    expected = xs + np.tanh(xs @ inner.W + inner.b)
    np.testing.assert_allclose(half.network.forward(network, params, xs)[0], expected, rtol=1e-5)


@both
def test_weights_of_another_description_are_named(half):
    xs = np.ones((4, 2, 3), np.float32)
    written_anew = Network((Recurrent("lstm", 8), Dropout(0.3), Recurrent("lstm", 8)), 3)
    others = {
        "params.layers\\[1\\] is a RecurrentParams; layer 1 is Dropout": Network(
            (Recurrent("lstm", 8), Recurrent("lstm", 8), Recurrent("lstm", 8)), 3
        ),
        "has 9 hidden units, its description 8": Network((Recurrent("lstm", 9), Dropout(0.3), Recurrent("lstm", 8)), 3),
        "of one direction": Network((Recurrent("lstm", 8, True), Dropout(0.3), Recurrent("lstm", 8)), 3),
    }
    for message, other in others.items():
        with pytest.raises(ValueError, match=message):
            half.network.forward(written_anew, half.network.init(0, other, 3), xs)
    with pytest.raises(TypeError, match=r"params is a GRUParams; expected LSTMParams\(Wx, Wh, b\), from init"):
        half.lstm.forward(half.gru.init(0, 3, 8), xs)
    with pytest.raises(TypeError, match="network is a NetworkParams; expected a Network"):
        half.network.forward(half.network.init(0, written_anew, 3), written_anew, xs)
    with pytest.raises(TypeError, match="lstm has no option 'activation'"):
        half.lstm.forward(half.lstm.init(0, 3, 8), xs, activation="relu")


def test_keys_of_the_wrong_kind():
    network = stack(dropout=0.5, num_layers=2)
    xs = np.ones((2, 2, 3), np.float32)
    params = readable.network.init(0, network, 3)
    with pytest.raises(TypeError, match=r"a typed key of jax.random; expected an integer or jax.random.key_data"):
        readable.network.forward(network, params, xs, dropout_key=jax.random.key(0))
    with pytest.raises(ValueError, match="expected threefry2x32"):
        fast.network.forward(network, params, xs, dropout_key=jax.random.key(0, impl="rbg"))
    for seed in (2**31 + 5, 2**32 + 7):  # the low 32 bits, in both halves
        ours = readable.network.forward(network, params, xs, dropout_key=seed)[0]
        np.testing.assert_allclose(fast.network.forward(network, params, xs, dropout_key=seed)[0], ours, atol=1e-6)
    with pytest.raises(TypeError, match=r"expected an integer seed or a np.random.Generator"):
        fast.network.init(jax.random.key(0), network, 3)


def test_lengths_beyond_the_end_count_to_the_end_in_compiled_code():
    network = stack("gru", 4, read="mean")
    params, xs = fast.network.init(0, network, 3), np.ones((5, 2, 3), np.float32)
    run = jax.jit(lambda lengths: fast.network.forward(network, params, xs, lengths=lengths)[0])
    np.testing.assert_array_equal(run(np.array([99, 3])), run(np.array([5, 3])))
