"""Sequences of unequal length: little padding, every sequence once, and the least that buckets can do."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.data.sequences.ragged import batches, bucketed, ragged

lengths_of_data = st.lists(st.integers(0, 60), min_size=1, max_size=40).map(np.array)


def test_sequences_lie_end_to_end():
    data = ragged([[1, 2, 3], [], [4, 5]], np.int32)
    assert data.values.tolist() == [1, 2, 3, 4, 5]
    assert [data.values[a : a + n].tolist() for a, n in zip(data.starts, data.lengths)] == [[1, 2, 3], [], [4, 5]]
    assert ragged([np.ones((2, 3)), np.zeros((1, 3))]).values.shape == (3, 3)
    assert len(ragged([]).values) == 0


@pytest.mark.parametrize("n", [1_000, 20_000])
def test_lengths_from_1_to_500_cost_less_than_15_percent(n):
    lengths = np.random.default_rng(0).integers(1, 501, n)
    found = bucketed(lengths, batch_size=32)
    assert found.padding(lengths) < 0.15
    assert bucketed(lengths, 32, most=1).padding(lengths) > 0.9
    # What is computed, counted from the batches themselves.
    _, counts, kinds = batches(np.random.default_rng(1), found, members=1)
    computed = sum(counts.shape[1] * found.sizes[kind][0] for kind in kinds)
    assert computed / lengths.sum() - 1 == pytest.approx(found.padding(lengths))


@given(lengths=lengths_of_data, batch_size=st.integers(1, 9), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_every_member_sees_every_sequence_once_in_a_batch_that_is_long_enough(lengths, batch_size, seed):
    found = bucketed(lengths, batch_size)
    order, counts, kinds = batches(np.random.default_rng(seed), found, members=2)
    assert order.shape == (2, *counts.shape)
    assert counts.shape[1] <= batch_size
    for member in order:
        assert sorted(member[counts > 0]) == list(range(len(lengths)))
        for rows, kind in zip(member, kinds):
            assert lengths[rows].max() <= found.sizes[kind][0]
            assert (found.kinds[rows] == kind).all()
    assert found.padding(lengths) >= 0


@given(lengths=lengths_of_data, batch_size=st.integers(1, 9), most=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_no_other_cut_pads_less(lengths, batch_size, most):
    """Against all ways to cut the sorted batches into so many buckets or fewer."""
    found = bucketed(lengths, batch_size, most=most, enough=0.0)
    B, n = found.batch_size, len(lengths)
    ordered = np.sort(lengths)
    ends = [*range(n % B or B, n, B), n]
    best = np.inf
    for count in range(min(most, len(ends))):
        for cut in itertools.combinations(ends[:-1], count):
            parts = np.split(ordered, cut)
            best = min(best, sum(part.max() * -(-len(part) // B) * B for part in parts))
    assert found.padding(lengths) == pytest.approx((best - lengths.sum()) / max(lengths.sum(), 1))


def test_pairs_are_cut_by_both_lengths():
    lengths = np.array([[3, 9], [50, 60], [4, 8], [52, 58]])
    found = bucketed(lengths, batch_size=2)
    assert found.sizes == ((4, 9), (52, 60))
    assert found.kinds.tolist() == [0, 1, 0, 1]


def test_batches_are_the_same_for_the_same_seed_and_mixed():
    found = bucketed(np.random.default_rng(0).integers(1, 100, 300), batch_size=10)
    one, other = (batches(np.random.default_rng(5), found, members=1) for _ in range(2))
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a, b)
    kinds = one[2]
    assert (np.diff(kinds) != 0).sum() > len(found.sizes)  # and not one bucket after the other
