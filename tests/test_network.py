"""The stack with its head: hand-derived gradients against JAX, lengths, states."""

import jax
import numpy as np
import parity
import pytest

from minirnn import fast, readable
from minirnn.params import Network, map_state


def setup(cell, layers, dtype=np.float64):
    rng = np.random.default_rng(3)
    network = Network(cell, hidden_size=5, num_layers=layers, output_size=3)
    params = readable.network.init(rng, network, input_size=4, dtype=dtype)
    xs = rng.standard_normal((7, 6, 4)).astype(dtype)
    lengths = np.array([7, 0, 3, 5, 1, 2])
    draw = lambda a: rng.standard_normal(a.shape).astype(dtype)  # noqa: E731
    module = getattr(readable, cell)
    state = tuple(map_state(draw, module.initial_state(layer, 6)) for layer in params.layers)
    dstate = tuple(map_state(draw, s) for s in state)
    return network, params, xs, lengths, state, dstate, rng.standard_normal((6, 3)).astype(dtype)


@pytest.mark.parametrize("cell", parity.CELLS)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_of_a_stack_equal_jax(cell, layers, ragged, x64):
    network, params, xs, lengths, state, dstate, doutputs = setup(cell, layers)
    lengths = lengths if ragged else None
    if ragged:
        xs[np.arange(7)[:, None] >= lengths] = np.nan
    outputs, final, cache = readable.network.forward(network, params, xs, state, lengths)
    ours = readable.network.backward(doutputs, dstate, cache)
    theirs, pullback = jax.vjp(lambda p, x, s: fast.network.forward(network, p, x, s, lengths), params, xs, state)
    for a, b in zip(jax.tree.leaves((outputs, final)), jax.tree.leaves(theirs)):
        assert parity.relative_error(b, a) < 1e-14
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(pullback((doutputs, dstate)))):
        assert parity.relative_error(b, a) < 1e-13
    assert np.isfinite(ours[1]).all()


def test_the_head_reads_the_last_valid_step():
    network, params, xs, lengths, *_ = setup("gru", 2, np.float32)
    outputs = readable.network.forward(network, params, xs, lengths=lengths)[0]
    for b, length in enumerate(lengths):
        if length:
            alone = readable.network.forward(network, params, xs[:length, b : b + 1])[0]
            np.testing.assert_allclose(outputs[b], alone[0], rtol=1e-5, atol=1e-6)
        else:  # nothing was read: the head sees zeros
            np.testing.assert_array_equal(outputs[b], params.head.b)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_dropout_is_refused_where_no_layer_drops(half):
    network, params, xs, *_ = setup("rnn", 1, np.float32)
    with pytest.raises(ValueError, match="no layer of this network drops units"):
        half.network.forward(network, params, xs, dropout_key=0)


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_no_steps_unsigned_lengths_and_a_wrong_number_of_states(half):
    network, params, xs, lengths, state, *_ = setup("lstm", 2, np.float32)
    outputs = half.network.forward(network, params, xs[:0])[0]
    np.testing.assert_array_equal(outputs, np.broadcast_to(params.head.b, (6, 3)))
    signed, unsigned = (
        half.network.forward(network, params, xs, lengths=lengths.astype(t))[0] for t in (int, np.uint8)
    )
    np.testing.assert_array_equal(signed, unsigned)
    with pytest.raises(ValueError, match="state holds 1 states; expected one for each of 2 layers"):
        half.network.forward(network, params, xs, state[:1])
    _, _, cache = readable.network.forward(network, params, xs[:0])
    dparams = readable.network.backward(np.ones((6, 3), np.float32), None, cache)[0]
    assert not np.any(dparams.layers[0].Wx)
