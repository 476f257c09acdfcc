"""Words read letter by letter: both halves agree, padding counts for nothing, dropped words are unknown ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import by_name
from parity import STEP, relative_error, worst

from minirnn import fast, readable
from minirnn.fast import labelling as fast_labelling
from minirnn.fast import spelling as fast_spelling
from minirnn.params import (
    Dropout,
    Embedding,
    Labelling,
    Network,
    Recurrent,
    Spelled,
    Spelling,
    Tagged,
    init_spelled,
)
from minirnn.readable import labelling as readable_labelling
from minirnn.readable import spelling as readable_spelling

LETTERS = Network((Embedding(6, 3), Recurrent("lstm", 2, True)), 4, "ends")
SPELLED = Spelled(
    Embedding(9, 5),
    2,
    LETTERS,
    Network((Dropout(0.3), Recurrent("gru", 3, True, recurrent_dropout=0.2)), 4, "steps"),
    word_dropout=0.4,
)
T, B, S = 6, 4, 5
LENGTHS = np.array([T, 0, 3, 1])


def drawn(seed=0, spoiled=False):
    """Random words; with ``spoiled`` the padding holds what no vocabulary has."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, S + 1, (T, B))
    words, letters = rng.integers(0, 9, (T, B)), rng.integers(0, 6, (T, B, S))
    features = rng.standard_normal((T, B, 2))
    if spoiled:
        padding = np.arange(T)[:, None] >= LENGTHS
        words[padding], counts[padding], features[padding] = 99, 99, np.nan
        letters[padding] = 99
        letters[np.arange(S) >= counts[:, :, None]] = 99
    return Spelling(words, features, letters, counts)


def weights(description=SPELLED, seed=1):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: rng.standard_normal(a.shape) / 2, init_spelled(0, description, np.float64))


def by_hand(params, values, doutputs):
    outputs, state, cache = readable_spelling.forward(SPELLED, params, values, None, LENGTHS, 7)
    dparams, dvalues, _ = readable_spelling.backward(doutputs, None, cache)
    assert dvalues is None
    return by_name((outputs, state)), by_name(dparams)


@jax.jit  # once for all tests: it takes far longer to compile than to run
def pulled_back(params, values, doutputs):
    run = lambda params: fast_spelling.forward(SPELLED, params, values, None, LENGTHS, 7)  # noqa: E731
    (outputs, state), pullback = jax.vjp(run, params)
    return (outputs, state), pullback((doutputs, jax.tree.map(jnp.zeros_like, state)))[0]


def by_jax(params, values, doutputs):
    return tuple(map(by_name, pulled_back(params, values, doutputs)))


def test_gradients_agree_with_jax_and_with_the_complex_step(x64):
    params, values = weights(), drawn()
    doutputs = np.random.default_rng(2).standard_normal((T, B, 4))
    ours, gradients = by_hand(params, values, doutputs)
    theirs, expected = by_jax(params, values, doutputs)
    worst(ours, theirs, 1e-10)
    worst(gradients, expected, 1e-10)
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(3)
    for k, (name, gradient) in enumerate(gradients.items()):
        v = rng.standard_normal(leaves[k].shape)
        moved = jax.tree.unflatten(tree, [a + 1j * STEP * v if i == k else a for i, a in enumerate(leaves)])
        outputs = readable_spelling.forward(SPELLED, moved, values, None, LENGTHS, 7)[0]
        exact = (outputs.imag / STEP * doutputs).sum()
        assert relative_error(np.array((gradient * v).sum()), np.array(exact)) < 1e-12, name


def test_what_the_padding_holds_changes_nothing(x64):
    params = weights()
    doutputs = np.random.default_rng(2).standard_normal((T, B, 4))
    spoiled = np.where((np.arange(T)[:, None] < LENGTHS)[:, :, None], doutputs, np.nan)
    for judge in (by_hand, by_jax):
        for plain, other in zip(judge(params, drawn(), doutputs), judge(params, drawn(spoiled=True), spoiled)):
            for name, value in plain.items():
                np.testing.assert_array_equal(other[name], value, err_msg=name)


def test_words_are_dropped_in_training_only_and_become_the_unknown_one():
    params, values = weights(), drawn()
    everything = Spelled(Embedding(9, 5), 2, LETTERS, Network((Recurrent("rnn", 3),), 4, "steps"), 0.999)
    params = weights(everything)
    unknown = values._replace(words=np.ones_like(values.words))
    run = lambda v, key: readable_spelling.forward(everything, params, v, None, None, key)[0]  # noqa: E731
    np.testing.assert_array_equal(run(values, 5), run(unknown, None))
    assert np.abs(run(values, None) - run(unknown, None)).max() > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"letters": Network((Embedding(6, 3),), 4, "steps")}, "expected one vector of each word"),
        ({"letters": Network((Recurrent("lstm", 2),), 4)}, "must begin with an Embedding"),
        ({"letters": Network((Embedding(6, 3), Dropout(0.1)), 4)}, "drops units"),
        ({"word_dropout": 1.0}, "at least 0 and below 1"),
        ({"features": -1}, "at least 1"),
    ],
)
def test_a_description_that_makes_no_sense(change, message):
    about = {"words": Embedding(9, 5), "features": 2, "letters": LETTERS, "network": SPELLED.network}
    with pytest.raises(ValueError, match=message):
        Spelled(**(about | change))


@pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])
def test_values_that_do_not_fit(half):
    module = {readable: readable_spelling, fast: fast_spelling}[half]
    params, values = weights(), drawn()
    with pytest.raises(ValueError, match=r"expected \(T, B\)"):
        module.forward(SPELLED, params, values._replace(lengths=values.lengths[1:]))
    with pytest.raises(ValueError, match="D = 2"):
        module.forward(SPELLED, params, values._replace(features=values.features[:, :, :1]))


def test_both_halves_train_it_alike(x64):
    rng = np.random.default_rng(0)
    lengths = np.array([5, 1, 3, 5, 2, 4], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
    N = int(lengths.sum())
    values = Spelling(
        rng.integers(0, 9, N),
        rng.integers(0, 2, (N, 2)).astype(np.uint8),
        rng.integers(0, 6, (N, S)),
        rng.integers(1, S + 1, N),
    )
    data = Tagged(starts, lengths, np.zeros(6, np.int32), lengths, values, rng.integers(0, 4, N).astype(np.int32))
    description = Labelling(SPELLED, (5,))
    order = np.array([[[0, 1, 2], [3, 4, 5], [2, 5, 0]]])
    results = {}
    for name, half in (("readable", readable_labelling), ("fast", fast_labelling)):
        optimizer = half.make_optimizer(0.01, 1.0)
        state = half.start(optimizer, [weights()])
        before = half.evaluate(description, state, (data,))
        state, record = half.epoch(description, optimizer, state, data, order, np.ones((3, 3)), 3)
        predicted = half.predict(description, state, values, starts, lengths, 5)
        results[name] = [before, record.losses, half.evaluate(description, state, (data,)), predicted]
        assert results[name][2] < before
    for ours, theirs in zip(*results.values()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
