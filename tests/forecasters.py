"""Small Forecasters and generated series for the tests."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

import minirnn
from minirnn.models.forecasting import saving
from minirnn.readable.optimizers import tree_leaves

# NumPy: nothing has to be compiled. The reference is given: what is left to choose takes a second.
QUICK = {
    "hidden_size": 3,
    "window": 6,
    "horizon": 3,
    "ensemble": 2,
    "max_epochs": 2,
    "reference": "last",
    "transform": "none",
    "backend": "readable",
}


def quick(**options) -> minirnn.Forecaster:
    """A Forecaster that is fitted in about a second."""
    return minirnn.Forecaster(**{**QUICK, **options})


def with_network(model: minirnn.Forecaster, share: float = 0.7) -> minirnn.Forecaster:
    """The model with a network that says something and counts, whatever came of so short a training."""
    rng = np.random.default_rng(0)
    members = []
    for member in model.fitted_.members:
        W = member.head.W
        members.append(member._replace(head=member.head._replace(W=W + rng.normal(0, 0.1, W.shape).astype(W.dtype))))
    model.fitted_ = dataclasses.replace(model.fitted_, share=share, members=members)
    return model


def arrays_of(model: minirnn.Forecaster, *starts: str) -> dict[str, bytes]:
    """The arrays of the model file by name; those whose names begin so."""
    arrays, _ = saving.flatten(model)
    return {name: np.asarray(a).tobytes() for name, a in arrays.items() if name.startswith(starts or ("",))}


def weights_of(model: minirnn.Forecaster) -> list[bytes]:
    """The weights of all members."""
    return [a.tobytes() for member in model.fitted_.members for a in tree_leaves(member)]


def daily(rows: int, seed: int = 0, start: str = "2020-01-01") -> pd.DataFrame:
    """A load ``y`` that follows a plan (known ahead) and the temperature of the day before (not known ahead)."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(start, periods=rows, freq="D", name="day")
    plan = (rng.uniform(size=rows) < 0.4).astype(float)
    temperature = 10 + np.convolve(rng.standard_normal(rows + 4), np.ones(5), "valid")
    before = np.concatenate([temperature[:1], temperature[:-1]])
    y = 50 + 8 * plan + 2 * before + rng.standard_normal(rows)
    return pd.DataFrame({"y": y, "plan": plan, "temperature": temperature}, index=index)


def long_form(lengths=(90, 70, 60), seed: int = 0) -> pd.DataFrame:
    """Shops of different sizes, one below the other; each starts a week after the one before it."""
    frames = []
    for k, rows in enumerate(lengths):
        start = pd.Timestamp("2020-01-01") + pd.Timedelta(days=7 * k)
        frame = daily(rows, seed + k, str(start.date()))
        frame["y"] *= 10.0**k
        frames.append(frame.assign(shop=f"shop {k}", area=100.0 * (k + 1), kind="small" if k % 2 else "large"))
    return pd.concat(frames)
