"""What the description in a model file must be before anything is made of it: types, ranges, and sizes.

A file says how large its network is. Before weights of that size are laid out, the arrays in the file must hold as many
numbers: a few letters in a hostile file could otherwise ask for all memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.data.frequency import parse
from minirnn.models.forecasting import settings

MOST = 10**7  # of any count of rows
FLAGS = ("log", "revert", "linear_calendar", "linear_others")
COUNTS = ("season", "seasons")
RATES = ("alpha", "gamma")


def check(arrays: dict[str, np.ndarray], description: dict[str, Any]) -> None:
    """A ValueError, KeyError or TypeError for a description that no model of ours has."""
    for plan in (description["plan"], *(base["plan"] for base in description["bases"])):
        _check_plan(plan)
    for base in description["bases"]:
        if type(base["weight"]) not in (int, float) or not 0 <= base["weight"] <= 1:
            raise ValueError(f"bases: weight is {base['weight']!r}")
    for name, kinds in (
        ("date_column", str),
        ("title", str),
        ("series_column", (str, type(None))),
        ("frequency", (str, type(None))),
        ("counted", bool),
    ):
        if not isinstance(description[name], kinds):
            raise ValueError(f"{name} is {description[name]!r}")
    if description["frequency"] is not None:
        parse(description["frequency"])
    if description["counted"] != (description["frequency"] is None):
        raise ValueError("counted rows have no frequency, and no others")
    _check_sizes(arrays, description["parameters"], description["horizon"])


def _check_plan(plan: dict[str, Any]) -> None:
    for name in FLAGS:
        if not isinstance(plan[name], bool):
            raise ValueError(f"plan: {name} is {plan[name]!r}")
    for name in COUNTS:
        if type(plan[name]) is not int or not 1 <= plan[name] < MOST:
            raise ValueError(f"plan: {name} is {plan[name]!r}")
    for name in RATES:
        if type(plan[name]) not in (int, float) or not 0 <= plan[name] <= 1:
            raise ValueError(f"plan: {name} is {plan[name]!r}")
    if not all(type(count) is int and 0 <= count <= 100 for count in plan["harmonics"]):
        raise ValueError(f"plan: harmonics is {plan['harmonics']!r}")


def _check_sizes(arrays: dict[str, np.ndarray], parameters: dict[str, Any], horizon: int) -> None:
    """Refuses a network of more weights than the file holds."""
    from minirnn.models.forecaster import Forecaster

    whole = Forecaster().get_params() | parameters
    settings.check(whole)
    for name in ("bidirectional", "clip_outliers"):
        if not isinstance(whole[name], bool):
            raise ValueError(f"{name} is {whole[name]!r}")
    H, numbers = whole["hidden_size"], sum(a.size for name, a in arrays.items() if name.startswith("members."))
    least = H * max(H * whole["num_layers"], whole["convolution"] or 0, whole["segment"] or 0)
    if whole["strategy"] == "direct" and whole["segment"] is None:
        least = max(least, H * horizon)
    if whole["ensemble"] * least > numbers:
        raise ValueError(f"a network of this size has more than the {numbers} weights that there are")
