"""Files of format 1, as if they were of format 2.

That model forecast one target of one series: its last value, plus a linear map of all the numbers of a window, plus the
mean of what the members of a stack of recurrent layers add. The target is measured from its last value, so this is a
forecast of today's kind with one base, whose network counts in full. It was never calibrated: it has no intervals.

Dimension letters: W rows of the window, N rows ahead, C columns, D inputs: the columns, then the calendar.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from minirnn.data import calendar
from minirnn.models import storage
from minirnn.models.forecasting.encoder import Plan

_SETTINGS = {"likelihood": "none", "reference": "last", "transform": "none", "impute": "last"}


def upgraded(
    arrays: dict[str, np.ndarray], description: dict[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and description in format 2; a ValueError, KeyError or TypeError where they do not fit together."""
    columns, target = [str(name) for name in description["columns"]], str(description["target"])
    if len(set(columns)) != len(columns) or target not in columns:
        raise ValueError("the columns are not distinct, or the target is not one of them")
    W, N, C = description["window"], description["horizon"], len(columns)
    first = columns.index(target)  # columns stood in the order of the file; today the target comes first
    order = [first, *(c for c in range(C) if c != first)]
    names = calendar.calendar_features(np.empty(0, "datetime64[us]"), description["frequency"]).names
    channels = [*order, *range(C, C + len(names))]
    D = len(channels)

    rows = storage.expect(arrays, "last_rows", (W, C))[:, order]
    intercept = storage.expect(arrays, "linear.intercept", (N,))
    coefficients = storage.expect(arrays, "linear.coefficients", (W * D, N))
    plan = dataclasses.asdict(Plan(linear_whole=True))
    changed = {
        "scaler.mean": storage.expect(arrays, "scaler.mean", (C,))[None, order],
        "scaler.std": storage.expect(arrays, "scaler.std", (C,))[None, order],
        "floor": np.ones((1, 1)),
        "statics": np.zeros((1, 0)),
        "scale": np.ones((N, 1)),
        "calibration.scores": np.zeros((0, N, 1)),
        "calibration.later": np.zeros((0, N, 1)),
        "recent.values": np.concatenate([rows, np.full((N, C), np.nan)]),
        "recent.bounds": np.array([0, W + N]),
        "recent.last": np.array([W - 1]),
        "recent.times": _times(description["last_time"], W, N, description["frequency"]),
        "bases.0.linear.0.coefficients": coefficients.reshape(W, D, N)[:, channels].reshape(W * D, N),
        "bases.0.linear.0.intercept": intercept,
    }
    changed["imputer.fallback"] = changed["scaler.mean"]
    for name in ("encoder", "bases.0"):
        changed |= {f"{name}.usual": np.zeros((2, 0, 1)), f"{name}.spread": np.ones(1)}
        changed[f"{name}.level"] = np.array([[0.0], [1.0]])
    for name in [name for name in arrays if name.startswith("members.")]:
        if re.fullmatch(r"members\.\d+\.layers\.0\.Wx", name):
            changed[_renamed(name)] = storage.expect(arrays, name, (D, None))[channels]
        else:
            changed[_renamed(name)] = arrays.pop(name)

    penalty = float(description["linear_penalty"])
    return changed | arrays, {
        "format": 2,
        "parameters": _SETTINGS | description["parameters"],
        "roles": {"target": [target], "past": [columns[c] for c in order[1:]], "future": [], "static": []},
        "columns": [columns[c] for c in order],
        "units": description["units"],
        "title": description["title"],
        "frequency": description["frequency"],
        "date_column": str(description["index_name"]),
        "series_column": None,
        "static_columns": [],
        "names": [""],
        "window": W,
        "horizon": N,
        "season": calendar.season_length(description["frequency"]),
        "imputer": {"methods": ["last"] * C, "season": 1},
        "outliers": None,
        "masked": [],
        "plan": plan,
        "bases": [{"plan": plan, "weight": 1.0, "penalties": [penalty]}],
        "choices": [{"penalty": penalty, "error": None}],
        "share": 1.0,
        "counted": False,
        "history": {"loss": [], "validation": []} | description["history"],
        "devices": description.get("devices", 1),
    }


def _renamed(name: str) -> str:
    """``members.0.layers.1.Wh`` -> ``members.0.layers[1].weights.Wh``."""
    return re.sub(r"\.layers\.(\d+)\.", r".layers[\1].weights.", name)


def _times(last: str, window: int, horizon: int, frequency: str) -> np.ndarray:
    """(W + N,) the times of the last rows and of those ahead, microseconds since 1970."""
    import pandas as pd

    rows = pd.date_range(end=pd.Timestamp(last), periods=window, freq=frequency).to_numpy().astype("datetime64[us]")
    return np.concatenate([rows, calendar.later(rows[-1], horizon, frequency)]).astype(np.int64)
