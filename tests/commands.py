"""Runs the command line in this process, on small files, with trainings of a moment."""

import contextlib
import functools
import io
from typing import NamedTuple

import numpy as np
import pandas as pd

from minirnn.cli import main
from minirnn.models import baselines

# A training of a moment in NumPy, where a test is not about accuracy.
QUICK = [
    "--backend",
    "readable",
    "--reference",
    "last",
    "--transform",
    "none",
    "--season",
    "7",
    "--max-epochs",
    "2",
    "--ensemble",
    "1",
    "--hidden-size",
    "4",
]
NAIVE = ("last_value", "seasonal_naive", "drift", "mean", "climatology", "linear")


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def run(*arguments) -> Ended:
    """``minirnn`` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
    return Ended(status, out.getvalue(), err.getvalue())


def without_slow_forecasts(monkeypatch):
    """Backtests without exponential smoothing and ARIMA."""
    monkeypatch.setattr(baselines, "compare", functools.partial(baselines.compare, names=NAIVE))


def daily(rows, **columns):
    """A frame with a column of dates."""
    dates = pd.date_range("2020-01-01", periods=rows, freq="D")
    return pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), **columns})


def sine(rows=200, seed=0):
    """A week's wave with a little noise."""
    t = np.arange(rows)
    noise = np.random.default_rng(seed).normal(0, 0.3, rows)
    return np.round(10 + 3 * np.sin(2 * np.pi * t / 7) + 0.01 * t + noise, 3)


def panel(rows=90, towns=("north", "south", "north")):
    """Three shops in long form: two targets, a column known ahead, what each shop is; 7 rows of plans after the last."""
    parts = []
    for k, town in enumerate(towns):
        frame = daily(rows + 7, shop=f"shop {k}", town=town, size=10 + k, sales=sine(rows + 7, k) * (k + 1))
        frame["plan"] = np.arange(rows + 7) % 5
        frame["sales"] += 3 * frame["plan"]
        frame["returns"] = np.round(frame["sales"] / 10, 3)
        frame.loc[rows:, ["sales", "returns"]] = np.nan
        parts.append(frame)
    return pd.concat(parts)


def written(folder, frame, name="data.csv"):
    """The frame as a file."""
    frame.to_csv(folder / name, index=False)
    return folder / name
