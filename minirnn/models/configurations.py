"""The configurations of a search: what is drawn, and from what."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.models.forecaster import Forecaster

SPACE = (
    "cell",
    "hidden_size",
    "num_layers",
    "window",
    "strategy",
    "segment",
    "likelihood",
    "learning_rate",
    "dropout",
    "weight_decay",
)
"""The parameters that are searched, unless they are given."""


def configuration(number: int, given: dict[str, Any], windows: tuple[int, ...], seed: int) -> dict[str, Any]:
    """The parameters that are searched, as drawn for this configuration; those that are given stay.

    Args:
      number: of the configuration; 0 draws nothing.
      given: parameters of the Forecaster.
      windows: those that the rows have room for; the first is the usual one.
      seed: of the search.
    """
    found = {name: value for name, value in Forecaster().get_params().items() if name in SPACE}
    found["window"] = windows[0]
    fixed = {name: value for name, value in given.items() if name in SPACE}
    if number == 0:
        return found | fixed
    rng = np.random.default_rng([seed, number])
    window = int(fixed.get("window") or rng.choice(windows))
    segments = [n for n in (2, 3, 4, 6, 7, 8, 12, 24, 48) if 2 * n <= window]
    way = str(rng.choice(["direct", "segment", "seq2seq", "recursive"], p=[0.4, 0.25, 0.2, 0.15]))
    drawn = {
        "cell": str(rng.choice(["gru", "lstm", "rnn"], p=[0.4, 0.4, 0.2])),
        "hidden_size": int(rng.choice([8, 16, 32, 64, 128])),
        "num_layers": int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])),
        "window": window,
        "strategy": "direct" if way == "segment" else way,
        "segment": int(rng.choice(segments)) if way == "segment" and segments else None,
        "likelihood": str(rng.choice(["quantiles", "gaussian", "student"])),
        "learning_rate": float(f"{10 ** rng.uniform(-3.5, -1.8):.2g}"),
        "dropout": float(rng.choice([0.0, 0.1, 0.2, 0.4], p=[0.4, 0.2, 0.2, 0.2])),
        "weight_decay": float(rng.choice([0.0, 1e-4, 1e-3, 1e-2], p=[0.4, 0.2, 0.2, 0.2])),
    }
    found |= drawn | fixed
    # What excludes each other: what was given stays, what was drawn gives way.
    if found["segment"] is not None and "segment" not in fixed:
        layers = fixed.get("num_layers", 1) > 1
        if layers or found["strategy"] != "direct" or given.get("bidirectional") or given.get("convolution"):
            found["segment"] = None
    if found["segment"] is not None:
        found |= {"num_layers": 1, "strategy": "direct"}
    if given.get("stateful") and "segment" not in fixed:
        found["segment"] = None
    if (given.get("bidirectional") or given.get("stateful")) and "strategy" not in fixed:
        found["strategy"] = "direct"
    return found
