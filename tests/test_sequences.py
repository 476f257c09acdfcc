"""Lengths, padding, batch-mates, mutation, and what callers get wrong."""

import jax
import numpy as np
import parity
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn import fast, readable
from minirnn.params import LSTMState, map_state

cells = pytest.mark.parametrize("cell", parity.CELLS)
halves = pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])


def padded_with_nan(case: parity.Case) -> parity.Case:
    """The same case with NaN in the padding of inputs and cotangents."""
    padding = np.arange(len(case.xs))[:, None] >= case.lengths
    xs, dys = case.xs.copy(), case.dys.copy()
    xs[padding], dys[padding] = np.nan, np.nan
    return parity.dataclasses.replace(case, xs=xs, dys=dys)


@cells
def test_nan_in_the_padding_changes_nothing(cell, x64):
    case = parity.make_case(cell)
    spoiled = padded_with_nan(case)
    assert np.isnan(spoiled.xs).any()
    for judge in (parity.by_hand, parity.by_jax, parity.gates_by_hand, parity.gates_by_jax):
        expected, actual = judge(case), judge(spoiled)
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name], value, err_msg=name)
    for half in (readable, fast):
        module = getattr(half, cell)
        for a, b in zip(
            *(jax.tree.leaves(module.forward(c.params, c.xs, c.state, c.lengths)[:2]) for c in (case, spoiled))
        ):
            np.testing.assert_array_equal(a, b)


@cells
@halves
def test_padding_is_zero_and_the_state_frozen(cell, half):
    case = parity.make_case(cell, dtype=np.float32)
    module = getattr(half, cell)
    ys, final = module.forward(case.params, case.xs, case.state, case.lengths)[:2]
    for b, length in enumerate(case.lengths):
        assert not np.asarray(ys)[length:, b].any()
        alone = map_state(lambda a: a[b : b + 1], case.state)
        y, state = module.forward(case.params, case.xs[:length, b : b + 1], alone)[:2]
        np.testing.assert_allclose(ys[:length, b : b + 1], y, rtol=1e-5, atol=1e-6)
        for got, expected in zip(parity.named("", final).values(), parity.named("", state).values()):
            np.testing.assert_allclose(got[b : b + 1], expected, rtol=1e-5, atol=1e-6)
    # Length 0 returns the initial state, to the bit.
    for got, expected in zip(parity.named("", final).values(), parity.named("", case.state).values()):
        np.testing.assert_array_equal(got[1], expected[1])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    cell=st.sampled_from(parity.CELLS),
    sizes=st.tuples(*[st.integers(1, 6)] * 4),
    data=st.data(),
)
def test_gradients_agree_for_any_shape_and_lengths(cell, sizes, data):
    T, B, D, H = sizes
    case = parity.make_case(cell, T=T, B=B, D=D, H=H, ragged=False, dtype=np.float32)
    case.lengths = np.array(data.draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    case = padded_with_nan(case)
    parity.worst(parity.by_hand(case), parity.by_jax(case), 1e-5)


@cells
def test_backward_is_linear(cell):
    case = parity.make_case(cell)
    replace = parity.dataclasses.replace
    other = parity.make_case(cell, seed=5)
    summed = parity.by_hand(replace(case, dys=case.dys + 2 * other.dys))
    zero = map_state(np.zeros_like, case.dstate)
    first, second = parity.by_hand(case), parity.by_hand(replace(case, dys=other.dys, dstate=zero))
    parity.worst(summed, {name: first[name] + 2 * second[name] for name in first}, 1e-13)


@cells
def test_inputs_are_not_mutated(cell):
    case = parity.make_case(cell)
    before = {**{n: a.copy() for n, a in case.inputs.items()}, "dys": case.dys.copy(), "lengths": case.lengths.copy()}
    cache = parity.readable_forward(case)[2]
    module = getattr(readable, cell)
    once = module.backward(case.dys, case.dstate, cache)
    again = module.backward(case.dys, case.dstate, cache)
    for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(again)):
        np.testing.assert_array_equal(a, b)
    for name, value in {**case.inputs, "dys": case.dys, "lengths": case.lengths}.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@cells
def test_lengths_may_be_traced(cell):
    case = parity.make_case(cell, dtype=np.float32)
    module = getattr(fast, cell)
    run = lambda lengths: module.forward(case.params, case.xs, case.state, lengths)[0]  # noqa: E731
    np.testing.assert_allclose(jax.jit(run)(case.lengths), run(case.lengths), rtol=1e-6, atol=1e-6)


@halves
@cells
def test_a_sequence_of_no_steps(cell, half):
    case = parity.make_case(cell, dtype=np.float32, ragged=False)
    ys, state = getattr(half, cell).forward(case.params, case.xs[:0], case.state)[:2]
    assert ys.shape == (0, 4, 5)
    for got, expected in zip(jax.tree.leaves(state), jax.tree.leaves(case.state)):
        np.testing.assert_array_equal(got, expected)


@halves
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"xs": np.zeros((4, 3), np.float32)}, ValueError, r"xs has shape \(4, 3\); expected time-major \(T, B, D\)"),
        ({"xs": np.zeros((3, 6, 4), np.float32)}, ValueError, r"\(3, 6, 4\); expected time-major .* D = 3, .*swapaxes"),
        ({"xs": np.zeros((6, 4, 3), int)}, TypeError, r"xs holds int\d+; expected floating point"),
        (
            {"state": np.zeros((3, 5), np.float32)},
            ValueError,
            r"state.h has shape \(3, 5\); expected \(B, H\) = \(4, 5\)",
        ),
        ({"lengths": [1, 2]}, ValueError, r"lengths has shape \(2,\); expected \(B,\) = \(4,\)"),
        ({"lengths": [1.0, 2, 3, 4]}, TypeError, "lengths holds float64; expected integers"),
        ({"lengths": [1, 2, 3, 7]}, ValueError, "lengths must lie between 0 and T = 6, got 1 to 7"),
        ({"lengths": [-1, 2, 3, 4]}, ValueError, "between 0 and T = 6, got -1"),
    ],
)
def test_a_wrong_argument_is_named(half, change, error, message):
    case = parity.make_case("gru", dtype=np.float32)
    arguments = {"xs": case.xs, "state": case.state, "lengths": case.lengths, **change}
    with pytest.raises(error, match=message):
        half.gru.forward(case.params, **arguments)


def test_wrong_cotangents_and_activations_are_named():
    case = parity.make_case("lstm")
    cache = parity.readable_forward(case)[2]
    with pytest.raises(ValueError, match=r"dys has shape \(5, 4, 5\); expected \(T, B, H\) = \(6, 4, 5\)"):
        readable.lstm.backward(case.dys[1:], None, cache)
    for half in (readable, fast):
        with pytest.raises(
            ValueError, match="unknown activation 'sine'; expected one of identity, tanh, relu, sigmoid"
        ):
            half.rnn.forward(case.params, case.xs, activation="sine")


@cells
def test_gradients_of_no_steps_are_zero_and_hand_the_state_through(cell, x64):
    case = parity.make_case(cell, ragged=False)
    case = parity.dataclasses.replace(case, xs=case.xs[:0], dys=case.dys[:0])
    for judge in (parity.by_hand, parity.by_jax):
        gradients = judge(case)
        for name, d in parity.named("state0.", case.dstate).items():
            np.testing.assert_array_equal(gradients.pop(name), d)
        assert not any(np.any(g) for g in gradients.values())
    ys = readable_ys(case)
    assert ys.dtype == np.float64


def readable_ys(case):
    return parity.readable_forward(case)[0]


@cells
def test_the_state_of_an_empty_sequence_may_hold_anything(cell, x64):
    """It is returned as it was given; it touches no gradient but its own."""
    case = parity.make_case(cell)
    for part in parity.named("", case.state).values():
        part[1] = np.nan  # the sequence of length 0
    for half in (readable, fast):
        final = getattr(half, cell).forward(case.params, case.xs, case.state, case.lengths)[1]
        for part in parity.named("", final).values():
            assert np.isnan(part[1]).all()
            assert np.isfinite(np.delete(part, 1, axis=0)).all()
    clean = parity.make_case(cell)
    for judge in (parity.by_hand, parity.by_jax):
        expected = judge(clean)
        for name, gradient in judge(case).items():
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-12, err_msg=name)


@cells
def test_writing_into_the_returned_state_does_not_touch_the_cache(cell):
    case = parity.make_case(cell, ragged=False)
    before = parity.by_hand(case)
    _, final, cache = parity.readable_forward(case)
    for part in parity.named("", final).values():
        part[:] = 0
    dparams = getattr(readable, cell).backward(case.dys, case.dstate, cache)[0]
    np.testing.assert_array_equal(dparams.Wx, before["Wx"])


@pytest.mark.parametrize("cell", [cell for cell in parity.CELLS if cell not in ("mingru", "minlstm")])
@halves
def test_a_recurrent_scale_in_float64_leaves_a_float32_cell_in_float32(cell, half, x64):
    case = parity.make_case(cell, dtype=np.float32)
    scale = np.random.default_rng(0).uniform(0, 2, (4, 5))
    run = lambda scale: getattr(half, cell).forward(case.params, case.xs, case.state, recurrent_scale=scale)  # noqa: E731
    results, cast = run(scale)[:2], run(scale.astype(np.float32))[:2]
    assert {a.dtype for a in jax.tree.leaves(results)} == {np.dtype(np.float32)}
    for a, b in zip(jax.tree.leaves(results), jax.tree.leaves(cast)):
        np.testing.assert_array_equal(a, b)


@halves
def test_a_step_takes_no_state_and_no_cotangent_for_zeros(half):
    case = parity.make_case("lstm")
    zeros = readable.lstm.initial_state(case.params, 4)
    outputs = [half.lstm.step(case.params, case.xs[0], state) for state in (None, zeros)]
    np.testing.assert_array_equal(outputs[0][0], outputs[1][0])
    if half is readable:
        cache = outputs[0][2]
        given, none = (readable.lstm.step_backward(case.dys[0], d, cache) for d in (zeros, None))
        for a, b in zip(jax.tree.leaves(given), jax.tree.leaves(none)):
            np.testing.assert_array_equal(a, b)


@halves
def test_initial_states_have_the_dtype_of_the_weights(half, x64):
    for cell in parity.CELLS:
        for dtype in (np.float32, np.float64):
            module = getattr(half, cell)
            state = module.initial_state(module.init(0, 3, 5, dtype), 2)
            assert {a.dtype for a in jax.tree.leaves(state)} == {np.dtype(dtype)}


@halves
@pytest.mark.parametrize(
    ("cell", "state", "message"),
    [
        ("lstm", (np.zeros((4, 5)), np.zeros((4, 5))), r"state is a tuple; expected LSTMState\(h, c\)"),
        ("lstm", np.zeros((4, 5)), r"state is a \w+; expected LSTMState\(h, c\)"),
        ("gru", LSTMState(np.zeros((4, 5)), np.zeros((4, 5))), r"state is a LSTMState; expected the array h \(B, H\)"),
        ("rnn", np.zeros((4, 5), int), r"state.h holds int\d+; expected floating point"),
    ],
)
def test_a_state_of_the_wrong_kind_is_named(half, cell, state, message):
    case = parity.make_case(cell)
    with pytest.raises(TypeError, match=message):
        getattr(half, cell).forward(case.params, case.xs, state)


@halves
def test_weights_of_another_cell_are_named(half):
    lstm, rnn = parity.make_case("lstm"), parity.make_case("rnn")
    with pytest.raises(TypeError, match=r"params is a LSTMParams; expected RNNParams\(Wx, Wh, b\), from init"):
        half.rnn.forward(lstm.params, lstm.xs)
    with pytest.raises(ValueError, match=r"Wh has shape \(5, 5\); expected \(5, 20\)"):
        half.lstm.forward(lstm.params._replace(Wh=rnn.params.Wh), lstm.xs)
    with pytest.raises(TypeError, match=r"b holds int\d+; expected floating point"):
        half.rnn.forward(rnn.params._replace(b=np.zeros(5, np.int64)), rnn.xs)


def test_a_wrong_dstate_is_named():
    case = parity.make_case("gru")
    cache = parity.readable_forward(case)[2]
    with pytest.raises(ValueError, match=r"dstate.h has shape \(1, 5\); expected \(B, H\) = \(4, 5\)"):
        readable.gru.backward(case.dys, np.zeros((1, 5)), cache)


def test_traced_lengths_are_checked_as_far_as_they_are_known():
    case = parity.make_case("gru", dtype=np.float32)
    run = jax.jit(lambda lengths: fast.gru.forward(case.params, case.xs, lengths=lengths)[0])
    with pytest.raises(ValueError, match=r"lengths has shape \(1,\); expected \(B,\) = \(4,\)"):
        run(np.array([2]))
    with pytest.raises(TypeError, match="lengths holds float32; expected integers"):
        run(np.ones(4, np.float32))


@halves
@cells
def test_lists_are_arrays(half, cell):
    case = parity.make_case(cell, dtype=np.float32)
    module = getattr(half, cell)
    expected = module.forward(case.params, case.xs, lengths=case.lengths)[0]
    got = module.forward(case.params, case.xs.tolist(), lengths=case.lengths.tolist())[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_relu_hides_no_nan():
    case = parity.make_case("rnn", ragged=False, dtype=np.float32)
    case.xs[2, 1] = np.nan
    for half in (readable, fast):
        assert np.isnan(half.rnn.forward(case.params, case.xs, activation="relu")[0][2, 1]).all()


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_an_elementwise_parameter_of_a_wrong_shape_is_named(half):
    """It would broadcast, and its gradient would be wrong without a word."""
    case = parity.make_case("gru", dtype=np.float32)
    params = case.params._replace(b_hn=np.ones((4, 5), np.float32))
    with pytest.raises(ValueError, match=r"b_hn has shape \(4, 5\); expected \(5,\) for D = 3, H = 5"):
        half.gru.forward(params, case.xs)
