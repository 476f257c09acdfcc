"""Training: both halves take the same steps; the loop around them stops, restores and refuses as it says."""

import dataclasses
import re

import jax
import numpy as np
import optax
import optax.contrib
import parity
import pytest
from updates import errors_after_updates, weather_windows

import minirnn
from minirnn import data, random
from minirnn.fast import losses as fast_losses
from minirnn.fast import network as fast_network
from minirnn.fast import training as fast
from minirnn.models import metrics
from minirnn.models.training import TrainingError, array_names, batches_of, diverged, train
from minirnn.params import init_network, stack
from minirnn.readable import training as readable


@pytest.mark.parametrize("cell", parity.CELLS)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_the_first_100_updates_are_the_same_in_both_halves(cell, dtype, bound, request):
    if dtype == np.float64:
        request.getfixturevalue("x64")
    errors = errors_after_updates(cell, dtype)
    assert max(errors.values()) < bound, errors


def test_whole_trainings_agree_within_the_spread_of_seeds():
    frame = data.load("seattle_weather").iloc[:700]
    scores = {}
    options = {"hidden_size": 8, "window": 14, "max_epochs": 8, "ensemble": 4, "reference": "last"}
    for backend in ("fast", "readable"):
        model = minirnn.Forecaster(backend=backend, **options).fit(frame, "temp_max")
        # What each member adds, whatever share of it the forecast takes: its error by itself.
        model.fitted_ = dataclasses.replace(model.fitted_, share=1.0)
        result = model.evaluate()
        scores[backend] = np.array([metrics.mae(result.actual, each, result.counts) for each in result.members])
    spread = np.ptp(scores["fast"])
    assert 0 < spread < 0.5
    assert np.abs(scores["fast"] - scores["readable"]).max() < spread


def test_batches_cover_every_window_once_and_fill_up_with_zeros():
    order, counts = batches_of(np.random.default_rng(0), windows=70, batch_size=32, members=2)
    assert order.shape == (2, 3, 32)
    for member in order:
        assert sorted(member[counts > 0]) == list(range(70))
    assert counts.sum() == 70
    assert not np.array_equal(order[0], order[1])
    order, counts = batches_of(np.random.default_rng(0), windows=5, batch_size=32, members=1)
    assert order.shape == (1, 1, 5)
    assert counts.all()


class Scripted:
    """A half whose weights are the number of the epoch, and whose validation errors are given."""

    def __init__(self, errors, at_epoch=None, losses=()):
        self.errors, self.at_epoch, self.losses, self.epochs = errors, at_epoch, dict(losses), 0

    def make_optimizer(self, learning_rate, max_norm, weight_decay, *schedule):
        return None

    def start(self, optimizer, members):
        return list(members)

    def place(self, data, mesh=None, budget_bytes=None):
        return data

    def epoch(self, network, optimizer, state, windows, order, counts, dropout_key, *, mesh=None, budget_bytes=None):
        self.epochs += 1
        if self.at_epoch:
            self.at_epoch(self.epochs)
        losses = np.full((len(state), 4), 1.0)
        losses[-1, 2:] = self.losses.get(self.epochs, 1.0)
        gradient, array = losses * 7, np.zeros(losses.shape, int)
        return [self.epochs] * len(state), readable.Record(losses.mean(axis=1), losses, gradient, array)

    def evaluate(self, network, state, windows, *, mesh=None):
        return np.array([member[self.epochs] for member in self.errors], float)

    def members(self, state):
        return state

    def moments(self, state):
        return None


def run_scripted(half, members=1, **options):
    windows = (np.zeros((1, 2, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    settings = {"learning_rate": 0.1, "max_norm": 1, "batch_size": 1, "max_epochs": 9, "patience": 2, **options}
    return train(half, None, [0] * members, windows, windows, rng=np.random.default_rng(0), **settings)


def test_each_member_gets_the_weights_of_its_own_best_epoch_back():
    half = Scripted([[5, 4, 3, 2, 6, 6, 6, 6], [5, 1, 2, 3, 4, 5, 6, 7]])
    members, history = run_scripted(half, members=2)
    assert members == [3, 1]
    assert (history.best, history.ended, history.epochs) == ([3, 1], "patience", 5)
    assert history.validation[:2] == [pytest.approx([5, 5]), pytest.approx([4, 1])]


def test_training_that_helps_nobody_leaves_the_initial_weights():
    members, history = run_scripted(Scripted([[1, 2, 3, 4]]))
    assert (members, history.best, history.epochs) == ([0], [0], 2)


def test_max_epochs_ends_the_training():
    members, history = run_scripted(Scripted([[9, 8, 7, 6, 5]]), max_epochs=4)
    assert (members, history.ended, history.epochs) == ([4], "max_epochs", 4)


def test_an_interruption_keeps_the_best_weights():
    def interrupt(epoch):
        if epoch == 3:
            raise KeyboardInterrupt

    members, history = run_scripted(Scripted([[5, 3, 4, 2]], at_epoch=interrupt))
    assert (members, history.best, history.ended, history.epochs) == ([1], [1], "interrupted", 2)


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_with_advice_and_keeps_the_best_weights(loss):
    with pytest.raises(TrainingError) as caught:
        run_scripted(Scripted([[5, 4, 3, 2], [5, 6, 3, 2]], losses={3: loss}), members=2)
    assert str(caught.value) == (
        f"training diverged in epoch 3, batch 3 of 4, member 2 of 2: the loss is {loss}, the largest gradient {loss} "
        "(in weights) after 7 (in weights) in the batch before; try a smaller learning_rate than 0.1 or a smaller "
        "max_norm than 1, and look for huge values in the data"
    )
    assert caught.value.members == [2, 2]
    assert (caught.value.history.best, caught.value.history.epochs) == ([2, 2], 2)


def test_targets_without_weight_do_not_train():
    inputs, targets, weights = weather_windows(np.float32)
    network = stack("gru", hidden_size=4, num_layers=1, output_size=7)
    start = [init_network(0, network, 1)]
    order, counts = batches_of(np.random.default_rng(0), len(inputs), 32, members=1)
    spoiled = np.where(weights > 0, targets, np.nan)
    for half in (readable, fast):
        optimizer = half.make_optimizer(1e-3, 1.0)
        runs = [
            half.epoch(network, optimizer, half.start(optimizer, start), (inputs, t, weights), order, counts)[0]
            for t in (targets, spoiled)
        ]
        for a, b in zip(*(jax.tree.leaves(half.members(r)) for r in runs)):
            np.testing.assert_array_equal(a, b)


def test_every_member_and_batch_has_a_dropout_key_of_its_own(monkeypatch):
    """The other half is held to the same keys by the first hundred updates."""
    keys = []
    original = readable.network.forward

    def forward(*arguments, dropout_key):
        keys.append(tuple(dropout_key))
        return original(*arguments, dropout_key=dropout_key)

    monkeypatch.setattr(readable.network, "forward", forward)
    network = stack("rnn", 3, 2, 1, dropout=0.5)
    optimizer = readable.make_optimizer(1e-3, 1.0)
    state = readable.start(optimizer, [init_network(seed, network, 2) for seed in range(2)])
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((8, 4, 2)), rng.standard_normal((8, 1)), np.ones((8, 1))
    order, counts = batches_of(rng, 8, 3, members=2)
    readable.epoch(network, optimizer, state, windows, order, counts, random.key(0))
    assert len(set(keys)) == len(keys) == 2 * 3


def small_problem(members=2, dtype=np.float32, **options):
    """A small network, members, and ten windows in batches of four, the last one not full."""
    rng = np.random.default_rng(8)
    network = stack("rnn", 3, 1, 2, **options)
    start = [init_network(seed, network, 2, dtype) for seed in range(members)]
    data = (rng.standard_normal((10, 4, 2)), rng.standard_normal((10, 2)), rng.uniform(0.5, 2, (10, 2)))
    data = tuple(array.astype(dtype) for array in data)
    return network, start, data, *batches_of(np.random.default_rng(0), 10, 4, members)


def close(a, b, bound=1e-6):
    for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=bound)


HALVES = pytest.mark.parametrize("half", [readable, fast], ids=["readable", "fast"])


def make_optimizers(learning_rate=0.05):
    """Optimisers of several kinds, each with a state that has something of its own."""
    schedule = optax.cosine_decay_schedule(learning_rate, 5)
    return {
        "adamw, schedule": optax.adamw(optax.warmup_cosine_decay_schedule(0.0, learning_rate, 2, 6)),
        "momentum": optax.sgd(schedule, momentum=0.9, nesterov=True),
        "rmsprop, clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.rmsprop(learning_rate)),
        "every second batch": optax.MultiSteps(optax.adam(learning_rate), 2).gradient_transformation(),
        "reads the loss": optax.chain(
            optax.sgd(learning_rate), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=1)
        ),
    }


@pytest.mark.parametrize("name", make_optimizers())
def test_any_optimizer_makes_the_updates_that_optax_makes_for_each_member_alone(name):
    optimizer = make_optimizers()[name]
    network, start, data, order, counts = small_problem()
    state = fast.start(optimizer, start)
    for _ in range(2):
        state, record = fast.epoch(network, optimizer, state, data, order, counts)
    # The same, written as in the documentation of optax.
    plain = optax.with_extra_args_support(optimizer)

    @jax.jit
    def update(params, optimizer_state, xs, targets, weights):
        def loss_of(params):
            return fast_losses.mse(fast_network.forward(network, params, xs)[0], targets, weights)

        loss, dparams = jax.value_and_grad(loss_of)(params)
        updates, optimizer_state = plain.update(dparams, optimizer_state, params, value=loss)
        return optax.apply_updates(params, updates), optimizer_state

    for k, params in enumerate(start):
        optimizer_state = jax.jit(plain.init)(params)
        for _ in range(2):
            for chosen, count in zip(order[k], counts):
                inputs, targets, weights = (array[chosen] for array in data)
                xs, weights = inputs.swapaxes(0, 1), weights * count[:, None]
                params, optimizer_state = update(params, optimizer_state, xs, targets, weights)
        close(fast.members(state)[k], params, 1e-5)
        assert max(np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (params, start[k])))) > 1e-2


@HALVES
def test_a_member_keeps_what_it_had_before_a_batch_that_is_not_finite(half):
    network, start, data, order, counts = small_problem()
    optimizer = half.make_optimizer(0.1, 1.0)
    spoiled = order[1, 1, 2]  # a window of the second batch of the second member
    inputs, targets, weights = data
    targets = targets.copy()
    targets[spoiled] = np.inf
    counts_until = counts.copy()
    counts_until[1:] = 0  # what the second member has done until then
    run = lambda windows, counts: half.epoch(  # noqa: E731
        network, optimizer, half.start(optimizer, start), windows, order, counts
    )
    until, _ = run(data, counts_until)
    state, record = run((inputs, targets, weights), counts)
    np.testing.assert_equal(
        jax.tree.map(np.asarray, half.members(state)[1]), jax.tree.map(np.asarray, half.members(until)[1])
    )
    finite = np.isfinite(record.losses) & np.isfinite(record.gradient)
    s = int(np.flatnonzero((order[0] == spoiled).any(axis=1))[0])  # where the first member meets it
    np.testing.assert_array_equal(finite, [[i != s for i in range(3)], [True, False, True]])
    assert diverged(record) == ((0, s) if s <= 1 else (1, 1))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(half.members(state)))


@HALVES
def test_a_real_divergence_says_where_and_keeps_the_best_weights(half):
    network, start, data, *_ = small_problem(members=1)
    inputs, targets, weights = data
    targets = targets.copy()
    targets[7, 1] = 3e38  # its square is no float32
    settings = {"learning_rate": 0.1, "max_norm": 1.0, "batch_size": 4, "max_epochs": 9, "patience": 2}
    with pytest.raises(TrainingError) as caught:
        train(half, network, start, (inputs, targets, weights), data, rng=np.random.default_rng(0), **settings)
    assert re.match(
        r"training diverged in epoch 1, batch \d of 3: the loss is inf, the largest gradient \S+ \(in [\w.\[\]]+\)",
        str(caught.value),
    )
    close(caught.value.members, start, 0)
    assert len(caught.value.history.validation) == 1


def test_a_batch_without_weights_makes_no_update():
    network, start, (inputs, targets, weights), order, counts = small_problem()
    weights = weights.copy()
    weights[order[0, 1]] = 0  # the second batch of the first member
    for half in (readable, fast):
        optimizer = half.make_optimizer(0.1, 1.0)

        def run(batches, counts, optimizer=optimizer, half=half):
            state = half.start(optimizer, start[:1])
            return half.epoch(network, optimizer, state, (inputs, targets, weights), batches, counts)

        state, record = run(order[:1], counts)
        without, _ = run(order[:1, [0, 2]], counts[[0, 2]])
        close(half.members(state), half.members(without), 0)
        assert (record.losses[0, 1], record.gradient[0, 1]) == (0, 0)
        some = weights[order[0]] * counts[..., None]
        parts = [(record.losses[0, s], some[s].sum()) for s in range(3)]
        assert record.loss[0] == pytest.approx(sum(a * b for a, b in parts) / sum(b for _, b in parts), rel=1e-6)


def test_the_records_of_both_halves_are_equal_and_name_the_largest_gradient():
    network, start, data, order, counts = small_problem()
    lengths = np.array([4, 0, 1, 2, 3, 4, 4, 2, 1, 3])
    records = []
    for half in (readable, fast):
        optimizer = half.make_optimizer(0.1, 1.0)
        records.append(half.epoch(network, optimizer, half.start(optimizer, start), (*data, lengths), order, counts)[1])
    close(records[0][:3], records[1][:3], 1e-5)
    np.testing.assert_array_equal(records[0].array, records[1].array)
    names = array_names(start[0])
    assert names == ["layers[0].weights.Wx", "layers[0].weights.Wh", "layers[0].weights.b", "head.W", "head.b"]
    # The first gradient, by JAX's autodiff of the mean over the first batch.
    chosen = order[0, 0]
    inputs, targets, weights = (array[chosen] for array in data)

    def loss_of(params):
        outputs, _ = fast_network.forward(network, params, inputs.swapaxes(0, 1), lengths=lengths[chosen])
        return fast_losses.mse(outputs, targets, weights)

    largest = [float(np.abs(d).max()) for d in jax.tree.leaves(jax.grad(loss_of)(start[0]))]
    assert records[1].gradient[0, 0] == pytest.approx(max(largest), rel=1e-5)
    assert records[1].array[0, 0] == np.argmax(largest)


def test_the_state_is_used_up_and_its_weights_were_copied():
    network, start, data, order, counts = small_problem()
    optimizer = fast.make_optimizer(0.1, 1.0)
    state = fast.start(optimizer, start)
    weights = fast.members(state)
    kept = jax.tree.map(np.copy, weights)
    fast.epoch(network, optimizer, state, data, order, counts)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    close(weights, kept, 0)
    close(weights, start, 0)


def test_the_same_loop_trains_a_classifier_in_both_halves():
    """A loss of one's own; JAX traces it once, whatever the number of epochs and members."""
    network, start, (inputs, *_), order, counts = small_problem()
    labels = np.arange(10) % 2
    traced = []

    def fast_loss(params, batch, key):
        traced.append(key)
        xs, labels = batch.data
        logits, _ = fast_network.forward(network, params, xs.swapaxes(0, 1))
        weight = batch.count.astype(logits.dtype)
        return fast_losses.softmax_cross_entropy(logits, labels, weight) * weight.sum(), weight.sum()

    def readable_loss(params, batch, key):
        xs, labels = batch.data
        logits, _, cache = readable.network.forward(network, params, xs.swapaxes(0, 1))
        weight = batch.count.astype(logits.dtype)
        loss, dlogits = readable.losses.softmax_cross_entropy(logits, labels, weight)
        dparams, _, _ = readable.network.backward(dlogits * weight.sum(), None, cache)
        return loss * weight.sum(), weight.sum(), dparams

    results = []
    for half, loss in ((readable, readable_loss), (fast, fast_loss)):
        optimizer = half.make_optimizer(0.1, 1.0)
        state = half.start(optimizer, start)
        for _ in range(3):
            state, record = half.run_epoch(loss, optimizer, state, (inputs, labels), order, counts)
        results.append((half.members(state), record[:3]))
    close(*results, bound=1e-5)
    assert traced == [None]


@pytest.mark.parametrize("half", [fast, readable])
@pytest.mark.parametrize(
    ("rows", "order", "counts", "message"),
    [
        ((5, 5), [[[0, -1]]], [[1, 1]], "batches must lie between 0 and n - 1 = 4, the rows of the data, got -1 to 0"),
        ((5, 5), [[[0, 5]]], [[1, 1]], "got 0 to 5"),
        ((5, 4), [[[0, 1]]], [[1, 1]], "the arrays of the data have 5, 4 rows; expected n in each"),
        ((5, 5), [[[0, 1]]] * 2, [[1, 1]], r"batches has shape \(2, 1, 2\); expected \(K, S, B\) with K = 1"),
        ((5, 5), [[[0, 1]]], [[1, 1]] * 2, r"counts has shape \(2, 2\); expected \(S, B\) = \(1, 2\)"),
    ],
)
def test_batches_that_do_not_fit_the_data_are_refused(half, rows, order, counts, message):
    """Compiled code would read other rows, and NumPy count from the end."""
    optimizer = half.make_optimizer(0.1, 1.0)
    state = half.start(optimizer, [np.zeros(1, np.float32)])
    data = tuple(np.zeros((n, 1), np.float32) for n in rows)
    with pytest.raises(ValueError, match=message):
        half.run_epoch(lambda *_: None, optimizer, state, data, np.array(order), np.array(counts))


def cut(series, origins):
    """The windows of four rows that end at the origins, (B, 4, 2), whatever half the arrays are of."""
    return series[origins[:, None] + np.arange(-3, 1)]


def losses_on_rows(network):
    """For both halves: a loss that cuts its windows out of the rows that all batches share."""

    def fast_loss(params, batch, key):
        series, targets = batch.shared
        rows = (cut(series, batch.data), targets[batch.data], jax.numpy.ones_like(targets[batch.data]))
        return fast._windows_loss(network)(params, fast.Batch(rows, batch.count), key)

    def readable_loss(params, batch, key):
        series, targets = batch.shared
        rows = (cut(series, batch.data), targets[batch.data], np.ones_like(targets[batch.data]))
        return readable._windows_loss(network)(params, readable.Batch(rows, batch.count), key)

    return {fast: fast_loss, readable: readable_loss}


def series_problem():
    """A series of 13 rows, of which ten windows can be cut, and a target for every row."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((13, 2)).astype("f4"), rng.standard_normal((13, 2)).astype("f4"), np.arange(3, 13)


@HALVES
def test_windows_cut_from_shared_rows_train_like_copies_of_them(half):
    network, start, _, order, counts = small_problem(recurrent_dropout=0.3)
    series, targets, origins = series_problem()
    optimizer = half.make_optimizer(0.1, 1.0)
    copies = (cut(series, origins), targets[origins], np.ones_like(targets[origins]))
    key = random.key(2)
    expected, record = half.epoch(network, optimizer, half.start(optimizer, start), copies, order, counts, key)
    loss, shared = losses_on_rows(network)[half], half.place((series, targets))
    state, other = half.run_epoch(
        loss, optimizer, half.start(optimizer, start), origins, order, counts, key, shared=shared
    )
    close(half.members(expected), half.members(state), 1e-6)
    close(record[:3], other[:3], 1e-6)
    assert max(np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (start, half.members(state))))) > 0.05


def test_shared_rows_are_an_argument_of_the_compiled_epoch_and_no_part_of_it():
    network, start, _, order, counts = small_problem()
    series, targets, origins = series_problem()
    optimizer, inner, traced = fast.make_optimizer(0.1, 1.0), losses_on_rows(network)[fast], []

    def loss(params, batch, key):
        traced.append(batch.shared)
        return inner(params, batch, key)

    results = []
    for rows in (series, series + 1):
        state, _ = fast.run_epoch(
            loss, optimizer, fast.start(optimizer, start), origins, order, counts, shared=(rows, targets)
        )
        results.append(fast.members(state)[0].head.W)
    assert len(traced) == 1
    assert np.abs(results[0] - results[1]).max() > 1e-3


@HALVES
@pytest.mark.parametrize("batch_size", [1, 4, 10, 99])
def test_a_run_gives_every_row_what_a_call_on_all_rows_gives(half, batch_size):
    network, start, *_ = small_problem()
    series, targets, origins = series_problem()
    state = half.start(half.make_optimizer(0.1, 1.0), start)
    seen = []

    def function(params, batch):
        seen.append((np.shape(batch.data["origin"]), np.shape(batch.count)))
        windows = cut(batch.shared, batch.data["origin"])
        outputs = half.network.forward(network, params, windows.swapaxes(0, 1))[0]
        return {"outputs": outputs, "origin": batch.data["origin"]}

    found = half.run(function, state, {"origin": origins}, half.place(series), batch_size=batch_size)
    expected = half.predict(network, state, cut(series, origins))
    assert all(isinstance(array, np.ndarray) for array in (found["outputs"], found["origin"], expected))
    np.testing.assert_allclose(found["outputs"], expected, atol=1e-6)
    np.testing.assert_array_equal(found["origin"], [origins] * 2)
    assert all(rows == count and rows[0] <= batch_size for rows, count in seen)
    if half is fast:
        assert len(seen) == 1  # compiled once, the last batch too


def test_rows_that_fill_up_the_last_batch_of_a_run_do_not_count():
    state = fast.TrainState(np.ones((1, 1), np.float32), ())
    counted = []

    def function(params, batch):
        jax.debug.callback(lambda count, rows: counted.append((count.sum(), rows.min())), batch.count, batch.data)
        return batch.data

    found = fast.run(function, state, np.arange(5, 12), batch_size=3)
    jax.effects_barrier()
    np.testing.assert_array_equal(found, [np.arange(5, 12)])
    assert sorted(map(tuple, counted)) == [(1, 11), (3, 5), (3, 8)]


@HALVES
def test_a_run_of_no_rows_gives_none_and_bad_ones_are_refused(half):
    network, start, *_ = small_problem()
    state = half.start(half.make_optimizer(0.1, 1.0), start)
    assert half.predict(network, state, np.zeros((0, 4, 2), np.float32)).shape == (2, 0, 2)
    with pytest.raises(ValueError, match="batch_size is 0; expected at least 1"):
        half.run(None, state, np.zeros(3), batch_size=0)
    with pytest.raises(ValueError, match="the arrays of the data have 3, 4 rows; expected n in each"):
        half.run(None, state, (np.zeros(3), np.zeros(4)), batch_size=2)


@pytest.mark.parametrize(("decay", "steps"), [(0.0, None), (0.3, None), (0.0, 4), (0.3, 4)])
def test_both_halves_decay_weights_and_rates_alike(decay, steps):
    network, start, data, order, counts = small_problem()
    trained = []
    for half in (readable, fast):
        optimizer = half.make_optimizer(0.1, 1.0, decay, steps)
        state = half.start(optimizer, start)
        for _ in range(2):  # six updates: with ``steps`` the last two move nothing
            state, _ = half.epoch(network, optimizer, state, data, order, counts)
            trained.append(half.members(state))
    close(trained[1], trained[3], 1e-5)
    if steps:
        optimizer = fast.make_optimizer(0.1, 1.0, decay, steps)
        state, _ = fast.epoch(network, optimizer, fast.start(optimizer, start), data, order, counts)
        state, _ = fast.epoch(network, optimizer, state, data, order[:, :1], counts[:1])
        close(fast.members(state), trained[3], 1e-6)
