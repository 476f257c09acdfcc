"""Labelling sequences and steps: the halves take the same steps, batch-mates and padding change nothing."""

import numpy as np
import pytest

from minirnn.data.sequences.ragged import batches, bucketed, ragged
from minirnn.fast import labelling as fast
from minirnn.fast import training as fast_training
from minirnn.models.sequences import reading
from minirnn.params import Dropout, Embedding, Labelled, Labelling, Network, Recurrent, Tagged, init_network
from minirnn.readable import labelling as readable
from minirnn.readable import training as readable_training

KEY = np.array([3, 5], np.uint32)


def problem(read):
    rng = np.random.default_rng(0)
    network = Network((Embedding(11, 4), Dropout(0.2), Recurrent("lstm", 5, True)), 3, read)
    lengths = rng.integers(0, 12, 20)
    lengths[0] = 12
    data = ragged([rng.integers(0, 11, n) for n in lengths], np.int32)
    buckets = bucketed(data.lengths, batch_size=4, most=2, enough=0)
    description = Labelling(network, tuple(size[0] for size in buckets.sizes))
    if read == "steps":
        first = np.minimum(2, data.lengths)
        labels = rng.integers(-1, 3, len(data.values))
        return description, data, buckets, Tagged(*data[1:], first, data.lengths, data.values, labels)
    labels, weights = rng.integers(0, 3, 20), rng.uniform(0, 2, 20).astype(np.float32)
    return description, data, buckets, Labelled(*data[1:], labels, weights, data.values)


@pytest.mark.parametrize("read", ["attention", "steps"])
def test_both_halves_take_the_same_steps_through_batches_of_two_lengths(read):
    description, data, buckets, examples = problem(read)
    assert len(buckets.sizes) == 2
    members = [init_network(k, description.network, None) for k in range(2)]
    results = []
    for half in (readable, fast):
        optimizer = half.make_optimizer(0.01, 1.0)
        state, losses = half.start(optimizer, members), []
        rng = np.random.default_rng(1)
        for _ in range(2):
            order, counts, kinds = batches(rng, buckets, members=2)
            state, record = half.epoch(description, optimizer, state, half.place(examples), order, counts, KEY, kinds)
            losses.append(record.losses)
        outputs = half.predict(description, state, data.values, data.starts, data.lengths, 12)
        results.append((np.stack(losses), half.evaluate(description, state, (examples,)), outputs))
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    trained, fresh = results[0][1], half.evaluate(description, half.start(optimizer, members), (examples,))
    assert (trained < fresh).all()


@pytest.mark.parametrize("read", ["ends", "steps"])
@pytest.mark.parametrize("half", [readable, fast])
def test_a_ragged_batch_says_what_one_by_one_says(half, read):
    description, data, _, _ = problem(read)
    params = init_network(0, description.network, None)
    together = reading.logits(half, description.network, params, data)
    state = half.start(half.make_optimizer(0.1, 1.0), [params])
    for i, (start, length) in enumerate(zip(data.starts, data.lengths)):
        if not length and read == "steps":
            continue
        place = [i] if read == "ends" else range(start, start + length)
        (alone,) = half.predict(description, state, data.values, data.starts[[i]], data.lengths[[i]], 12)[0]
        np.testing.assert_allclose(together[place], np.atleast_2d(alone)[: len(place)], rtol=1e-5, atol=2e-6)


def test_the_loss_is_the_mean_over_what_counts():
    description, data, _, examples = problem("steps")
    params = init_network(0, description.network, None)
    logits = reading.logits(readable, description.network, params, data)
    expected = []
    for start, first, stop in zip(examples.starts, examples.first, examples.stop):
        for t in range(start + first, start + stop):
            if examples.labels[t] >= 0:
                expected.append(-reading.log_softmax(logits[t])[examples.labels[t]])
    state = readable.start(readable.make_optimizer(0.1, 1.0), [params])
    np.testing.assert_allclose(readable.evaluate(description, state, (examples,)), [np.mean(expected)], rtol=1e-5)


@pytest.mark.parametrize("half", [readable_training, fast_training])
@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (None, "there are 2 losses and no kinds"),
        (np.zeros(2, int), r"kinds is int64 \(2,\); expected integers \(S,\) = \(1,\)"),
        (np.zeros(1), r"kinds is float64 \(1,\); expected integers"),
        (np.full(1, 2), "kinds must lie between 0 and 1, got 2 to 2"),
    ],
)
def test_kinds_that_name_no_loss_are_refused(half, kinds, message):
    state = half.start(half.make_optimizer(0.1, 1.0), [(np.zeros(1),)])
    with pytest.raises(ValueError, match=message):
        half.run_epoch((len, len), None, state, (np.zeros(3),), np.zeros((1, 1, 2), int), np.ones((1, 2)), kinds=kinds)


def running_sums(half):
    """A loss that carries the sum of all numbers it has seen, and whose gradient shows it."""

    def fast_loss(params, batch, key, carried):
        carried = carried + batch.data[0]
        return (params[0] * carried).sum(), np.float32(carried.size), carried

    def readable_loss(params, batch, key, carried):
        carried = carried + batch.data[0]
        return (params[0] * carried).sum(), np.float32(carried.size), (np.array([carried.sum()], np.float32),), carried

    return fast_loss if half is fast_training else readable_loss


@pytest.mark.parametrize("half", [readable_training, fast_training])
def test_a_loss_carries_its_state_from_batch_to_batch_and_epoch_to_epoch(half):
    data = (np.arange(6, dtype=np.float32),)
    order = np.array([[[0, 1], [2, 3], [4, 5]], [[5, 4], [3, 2], [1, 0]]])
    optimizer = half.make_optimizer(0.1, 1e9)
    state = half.start(optimizer, [(np.ones(1, np.float32),)] * 2)
    zeros = np.zeros((2, 2), np.float32)
    state = state._replace(carried=list(zeros) if half is readable_training else zeros)
    loss = running_sums(half)
    state, record = half.run_epoch(loss, optimizer, state, data, order, np.ones((3, 2)))
    np.testing.assert_allclose(np.asarray(state.carried), [[6, 9], [9, 6]])
    np.testing.assert_allclose(record.gradient, [[0.5, 3, 7.5], [4.5, 7, 7.5]])
    state, record = half.run_epoch(loss, optimizer, state, data, order, np.ones((3, 2)))
    np.testing.assert_allclose(np.asarray(state.carried), [[12, 18], [18, 12]])
