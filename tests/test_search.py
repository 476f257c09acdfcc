"""The search: what it tries, by what it judges, how it goes on."""

import csv
import dataclasses
import json
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from commands import daily, run, sine, without_slow_forecasts, written

import minirnn
from minirnn.data import prepare
from minirnn.models import searching
from minirnn.models.configurations import SPACE, configuration
from minirnn.models.forecasting import fitting, jobs
from minirnn.models.trials import SearchError

SMALL = {"backend": "readable", "reference": "last", "transform": "none", "season": 7, "ensemble": 1, "max_epochs": 9}
GIVEN = {**SMALL, "horizon": 3, "window": 8, "hidden_size": 4}


def frame(y=None):
    y = sine(120) if y is None else y
    return pd.DataFrame({"y": y}, index=pd.date_range("2020-01-01", periods=len(y), freq="D"))


@pytest.fixture(scope="module")
def found():
    return searching.search(frame(), budget=None, trials=16, **GIVEN)


def bases_of(job, fitted, choices):
    """Fitted on the training rows alone."""
    one = dataclasses.replace(job, horizon=1) if fitted.encoder.horizon == 1 else job
    return fitting.fit_bases(one, choices, job.parts.train)


def bare(search):
    """The trials without the time they took."""
    return [(t.configuration, t.epochs, t.parameters, t.error, t.alone, t.share) for t in search.trials]


def test_a_third_goes_on_and_the_best_to_the_end(found):
    trials = found.trials
    assert [t.epochs for t in trials] == [9] + 9 * [1] + 3 * [3] + [9] + 2 * [1]
    assert [t.configuration for t in trials[:10]] == list(range(10))
    short = sorted(trials[1:10], key=lambda t: t.rank)
    assert [t.configuration for t in trials[10:13]] == sorted(t.configuration for t in short[:3])
    assert trials[13].configuration == min(trials[10:13], key=lambda t: t.rank).configuration
    assert [t.configuration for t in trials[14:]] == [10, 11]


def test_the_best_is_of_those_that_were_trained_to_the_end(found):
    longest = [found.trials[0], found.trials[13]]
    best = min(longest, key=lambda t: t.error)
    assert found.best == GIVEN | best.parameters
    assert found.table.index[0] == best.trial
    assert found.gain == pytest.approx(1 - best.error / found.trials[0].error)
    assert set(found.table.columns) >= {*SPACE, "epochs", "error", "share", "seconds"}


def test_the_first_training_is_that_of_what_was_given(found):
    usual = minirnn.Forecaster().get_params()
    expected = {name: GIVEN.get(name, usual[name]) for name in SPACE}
    assert found.trials[0].parameters == expected


def test_going_on_longer_is_as_if_it_had_not_stopped(found):
    """The error of a training in three pieces is that of one in a single piece, through the Forecaster itself."""
    last = found.trials[13]
    model = minirnn.Forecaster(**GIVEN | last.parameters)
    _, job, _ = jobs.make(model.get_params(), prepare(frame()))
    fitted, _, choices = fitting.fit(job)
    assert searching._error(job, fitted, choices) == last.error


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_the_error_is_the_mean_absolute_error_on_the_validation_rows(strategy):
    """Judged by hand: bases fitted on the training rows, and the forecast at every origin."""
    rows = frame()
    model = minirnn.Forecaster(**GIVEN, strategy=strategy)
    _, job, _ = jobs.make(model.get_params(), prepare(rows))
    fitted, _, choices = fitting.fit(job)
    alone = dataclasses.replace(fitted, bases=bases_of(job, fitted, choices))
    y, errors = rows["y"].to_numpy(), []
    train, stop = int(job.parts.train[0]), int(job.parts.validation[0])
    assert (train, stop) == (72, 90)
    for origin in range(train - 1, stop - 3):
        means, _ = alone.forecast(job.series, np.array([origin]))
        errors += list(np.abs(means.mean(axis=0)[0, :, 0] - y[origin + 1 : origin + 4]))
    assert searching._error(job, fitted, choices) == pytest.approx(np.mean(errors), rel=1e-9)


def test_the_test_rows_change_nothing(found):
    y = sine(120)
    y[90:] = 100 * np.random.default_rng(1).normal(size=30)
    assert bare(searching.search(frame(y), budget=None, trials=11, **GIVEN)) == bare(found)[:11]


def test_the_validation_rows_decide(found):
    y = sine(120)
    y[75:90] += 5
    assert bare(searching.search(frame(y), budget=None, trials=2, **GIVEN)) != bare(found)[:2]


def test_the_same_seed_tries_the_same_and_another_does_not():
    drawn = [[configuration(n, {}, (30, 15), seed) for n in range(30)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0][1:] != drawn[2][1:]
    assert drawn[0][0] == drawn[2][0]  # the defaults


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cell": "rnn", "hidden_size": 7, "dropout": 0.3},
        {"segment": 5},
        {"num_layers": 3},
        {"strategy": "seq2seq"},
        {"bidirectional": True},
        {"convolution": 3},
        {"window": 3},
        {"stateful": True},
    ],
)
def test_what_is_given_stays_and_every_configuration_is_valid(given):
    from minirnn.models.forecasting import settings

    seen = {name: set() for name in SPACE}
    for number in range(60):
        drawn = configuration(number, given, (30, 15, 45), 0)
        assert set(drawn) == set(SPACE)
        assert {name: drawn[name] for name in given if name in drawn} == {n: v for n, v in given.items() if n in drawn}
        settings.check(minirnn.Forecaster(**{"window": 30} | given | drawn).get_params())
        for name, value in drawn.items():
            seen[name].add(value)
    if not given:
        assert all(len(values) > 1 for values in seen.values())
        assert seen["strategy"] == {"direct", "seq2seq", "recursive"}


def test_a_budget_ends_the_search_and_what_was_found_stays():
    found = searching.search(frame(), budget=1e-3, **GIVEN)
    assert (len(found.trials), found.ended) == (1, "budget")
    assert found.best == GIVEN | found.trials[0].parameters
    assert "give it more time" in found.sentence


def test_a_search_that_is_killed_goes_on_to_the_same_trials(found, tmp_path, monkeypatch):
    out = tmp_path / "trials.csv"
    for trials in (1, 5, 12):  # cut off at any training, also between two rounds
        first = searching.search(frame(), budget=None, trials=trials, out=out, resume=trials > 1, **GIVEN)
        assert len(first.trials) == trials
        with out.open() as file:
            assert len(list(csv.reader(file))) == trials + 1
    new, trained = [], []
    run_trial = searching._Bench.run
    monkeypatch.setattr(
        searching._Bench, "run", lambda bench, *rest: trained.append(rest[0]) or run_trial(bench, *rest)
    )
    again = searching.search(frame(), budget=None, trials=16, out=out, resume=True, report=new.append, **GIVEN)
    assert [t.trial for t in new] == trained == [13, 14, 15, 16]
    assert bare(again) == bare(found)
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_trials_of_another_search_or_damaged_ones_are_refused(tmp_path):
    out = tmp_path / "trials.csv"
    searching.search(frame(), budget=None, trials=2, out=out, **GIVEN)
    whole = out.read_text()
    for rows, given in (
        (frame(sine(120, 1)), GIVEN),
        (frame(), GIVEN | {"seed": 1}),
        (frame(), GIVEN | {"dropout": 0.1}),
    ):
        with pytest.raises(SearchError, match="a search over other rows or with other options"):
            searching.search(rows, budget=None, trials=3, out=out, resume=True, **given)
    with pytest.raises(SearchError, match="exists already"):
        searching.search(frame(), budget=None, trials=3, out=out, **GIVEN)
    lines = whole.splitlines(keepends=True)
    for damaged in (lines[0] + lines[2], whole.replace("2,1,1,", "2,7,1,"), whole[:-60] + "\n", lines[0] + "1,0,9\n"):
        out.write_text(damaged)
        with pytest.raises(SearchError):
            searching.search(frame(), budget=None, trials=3, out=out, resume=True, **GIVEN)
        assert out.read_text() == damaged
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_an_interruption_keeps_what_there_is(monkeypatch, tmp_path, found):
    run_trial = searching._Bench.run

    def third_is_interrupted(bench, trial, *rest):
        if trial == 3:
            raise KeyboardInterrupt
        return run_trial(bench, trial, *rest)

    monkeypatch.setattr(searching._Bench, "run", third_is_interrupted)
    path = written(tmp_path, daily(120, y=sine(120)))
    options = [f"--{n.replace('_', '-')}={v}" for n, v in GIVEN.items()]
    ended = run("search", path, *options, "--trials", 11, "--out", tmp_path / "trials.csv")
    assert ended.status == 130
    assert ended.err.endswith(f"minirnn search: interrupted; --resume goes on from {tmp_path / 'trials.csv'}\n")
    assert "2 trainings" in ended.out
    monkeypatch.undo()
    again = run("search", path, *options, "--trials", 11, "--out", tmp_path / "trials.csv", "--resume", "--json")
    assert again.status == 0, again.err
    assert [t["error"] for t in json.loads(again.out)["trials"]] == [t.error for t in found.trials[:11]]


def test_a_training_that_diverges_is_said_and_the_search_goes_on(monkeypatch):
    from minirnn.models.training import TrainingError

    error_of, calls = searching._error, iter(range(20))

    def second_diverges(*args):
        if next(calls) == 2:  # each has two errors
            raise TrainingError("training diverged in epoch 1")
        return error_of(*args)

    monkeypatch.setattr(searching, "_error", second_diverges)
    found = searching.search(frame(), budget=None, trials=3, **GIVEN)
    assert (found.trials[1].error, found.trials[1].problem) == (None, "training diverged in epoch 1")
    assert found.trials[2].error is not None
    assert list(found.table.index) == [1, 3, 2]


def test_several_series_are_judged_by_the_scaled_error():
    rows = pd.concat([frame().assign(shop=name, y=lambda f, k=k: f["y"] * k) for name, k in (("a", 1), ("b", 1000))])
    found = searching.search(rows, "y", series="shop", budget=None, trials=1, **GIVEN)
    assert found.metric == "MASE"
    assert 0.1 < found.trials[0].error < 2


def test_the_line_that_is_printed_runs(tmp_path, monkeypatch):
    without_slow_forecasts(monkeypatch)
    path = written(tmp_path, daily(120, **{"the load, MW": sine(120), "other": sine(120, 1)}))
    options = [f"--{n.replace('_', '-')}={v}" for n, v in GIVEN.items()]
    ended = run("search", path, "--target", '"the load, MW"', "--past", "", *options, "--trials", 15)
    assert ended.status == 0, ended.err
    assert ended.err.count("\n") == 15
    assert re.search(r"15 trainings, the longest and best first; MAE on the validation rows", ended.out)
    words = shlex.split(ended.out.splitlines()[-1])
    assert words[:3] == ["minirnn", "forecast", str(path)]
    again = run(*words[1:], "--json")
    assert again.status == 0, again.err
    about = json.loads(again.out)["model"]
    assert (json.loads(again.out)["target"], about["max_epochs"]) == ("the load, MW", 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 0}, "budget must be a positive number of seconds, got 0"),
        ({"budget": float("nan")}, "budget must be a positive number of seconds, got nan"),
        ({"budget": None}, "a search needs an end"),
        ({"trials": 0}, "trials must be a whole number of at least 1, got 0"),
        ({"resume": True}, "resume needs the file of the trials"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(SearchError, match=message):
        searching.search(frame(), **change)
    with pytest.raises(minirnn.models.forecaster.ParameterError, match="unknown parameter 'celll'"):
        searching.search(frame(), celll="gru")
