"""A stream: every row's forecast equals the batch forecast; faults are flagged as often as is said."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import minirnn
from minirnn.models.forecasting import fitting, series
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.encoder import Plan
from minirnn.models.forecasting.streaming import Stream
from minirnn.readable.optimizers import tree_map

QUICK = {"hidden_size": 6, "window": 12, "horizon": 5, "ensemble": 2, "max_epochs": 1, "backend": "readable"}
PLANS = (
    Choice(Plan(season=24, seasons=2, alpha=0.2, revert=True), 1e-3, 1.0, 0.5),
    Choice(Plan(alpha=1.0, linear_calendar=False), 1e-2, 1.0, 0.2),
    Choice(Plan(harmonics=(0, 1, 3), alpha=0.1, revert=True, linear_others=False), 1e-2, 1.0, 0.2),
    Choice(Plan(harmonics=(0, 0, 2), alpha=0.4), 1e-2, 1.0, 0.1),
)


def generated(rows, seed=0, missing=0.05):
    """Hours with a daily cycle, a driver one row ahead, and gaps of one or several rows."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    driver = rng.normal(size=rows)
    y = 40 + 3 * np.sin(2 * np.pi * t / 24) + 0.3 * np.roll(driver, 1) + rng.normal(0, 0.5, rows)
    frame = pd.DataFrame({"y": y, "x": driver}, pd.date_range("2020-01-01", periods=rows, freq="h", name="time"))
    for name in frame:
        frame.loc[rng.random(rows) < missing, name] = np.nan
        for start in rng.integers(0, rows, int(missing * rows / 5)):
            frame.iloc[start : start + rng.integers(1, 30), frame.columns.get_loc(name)] = np.nan
    return frame


def fit(monkeypatch, frame, choices=PLANS, log=False, **parameters):
    """A model of these plans whose network counts, with weights that no training has made similar."""
    choices = tuple(dataclasses.replace(c, plan=dataclasses.replace(c.plan, log=log)) for c in choices)
    monkeypatch.setattr(fitting, "chosen", lambda job: choices)
    model = minirnn.Forecaster(**QUICK | parameters).fit(frame, "y")
    rng = np.random.default_rng(1)
    members = [tree_map(lambda a: a + rng.normal(0, 0.2, a.shape).astype(a.dtype), m) for m in model.fitted_.members]
    model.fitted_ = dataclasses.replace(model.fitted_, members=members, share=0.7)
    return model


def batch(model, values, levels):
    """The batch forecasts at the last rows of what the model keeps and these rows (n, columns)."""
    recent = model.recent_
    whole = np.concatenate([recent.values[: recent.last[0] + 1], values])
    rows = series.lay_out(
        whole,
        np.array([0, len(whole)]),
        np.array([len(whole) - 1]),
        recent.times[:1],
        model.frequency_,
        model.horizon_,
        np.array([0]),
    )
    origins = np.arange(len(whole) - len(values), len(whole))
    means, quantiles = model.fitted_.forecast(rows, origins, levels)
    return means.mean(axis=0), quantiles, rows


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"cell": "lstm", "num_layers": 2, "log": True, "impute": "linear"},
        {"impute": "seasonal", "likelihood": "gaussian"},
        {"impute": "last", "cell": "rnn", "likelihood": "none"},
        {"segment": 4},
        {"strategy": "seq2seq"},
        {"bidirectional": True, "convolution": 3},
    ],
    ids=str,
)
def test_a_stream_equals_the_batch(monkeypatch, parameters):
    frame = generated(900)
    model = fit(monkeypatch, frame.iloc[:600], **parameters)
    values = frame.to_numpy()[600:]
    stream = Stream(model.fitted_, model.recent_)
    steps = [stream.push(row) for row in values]
    means, quantiles, rows = batch(model, values, (0.8, 0.95))
    np.testing.assert_allclose([s.mean for s in steps], means, rtol=2e-6, atol=1e-5)
    for level, expected in quantiles.items():
        np.testing.assert_allclose([s.quantiles[level] for s in steps], expected, rtol=2e-6, atol=1e-5)
    assert [s.time for s in steps] == list(frame.index[600:].to_numpy())
    assert list(steps[-1].times) == list(rows.times[-5:])
