"""Training: both halves take the same steps; the loop around them stops, restores and refuses as it says."""

import jax
import numpy as np
import parity
import pytest
from updates import errors_after_updates, weather_windows

import minirnn
from minirnn import data, random
from minirnn.fast import training as fast
from minirnn.models.training import TrainingError, batches_of, train
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
    for backend in ("fast", "readable"):
        options = {"backend": backend, "hidden_size": 8, "ensemble": 1, "window": 14, "max_epochs": 8}
        models = [minirnn.Forecaster(seed=seed, **options).fit(frame, "temp_max") for seed in range(4)]
        scores[backend] = np.array([model.evaluate().test["lstm"]["MAE"] for model in models])
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

    def make_optimizer(self, learning_rate, max_norm):
        return None

    def start(self, optimizer, members):
        return list(members)

    def place(self, data, mesh=None):
        return data

    def epoch(self, network, optimizer, state, windows, order, counts, *, mesh=None):
        self.epochs += 1
        if self.at_epoch:
            self.at_epoch(self.epochs)
        losses = np.full((len(state), 4), 1.0)
        losses[-1, 2:] = self.losses.get(self.epochs, 1.0)
        gradient, array = losses * 7, np.zeros(losses.shape, int)
        return [self.epochs] * len(state), readable.Record(losses.mean(axis=1), losses, gradient, array)

    def predict(self, network, state, inputs, *, mesh=None):
        return np.sqrt(np.array([[[member[self.epochs]]] for member in self.errors]))

    def members(self, state):
        return state


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
