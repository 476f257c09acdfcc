"""Lengths, padding, batch-mates, mutation, and what callers get wrong."""

import jax
import numpy as np
import parity
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn import fast, readable
from minirnn.params import map_state

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
        for name, value in judge(case).items():
            np.testing.assert_array_equal(judge(spoiled)[name], value, err_msg=name)
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
        with pytest.raises(ValueError, match="unknown activation 'sine'; expected one of tanh, relu, sigmoid"):
            half.rnn.forward(case.params, case.xs, activation="sine")
