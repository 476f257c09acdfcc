"""Weights to and from flax; what it does differently stands in :mod:`minirnn.convert`.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.convert.blocks import (
    BLOCKS,
    check_names,
    checked,
    copied,
    flattened,
    matrix,
    number_of_gates,
    ours,
    theirs,
)
from minirnn.params import (
    Params,
)


def to_flax(layer: Params) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of flax's linen ``SimpleCell``, ``LSTMCell``, ``OptimizedLSTMCell`` or ``GRUCell``.

    Use them as ``cell.apply({"params": arrays}, carry, x)``, or ``{"params": {"cell": arrays}}`` under ``nn.RNN``. The
    carry of flax's LSTM is (c, h).

    Args:
      layer: weights of one direction.

    Returns:
      One dictionary for each gate's input and recurrent part: ``{"ir": {"kernel", "bias"}, "hr": {"kernel"}, ...}``
      for the GRU, ``{"ii": {"kernel"}, "hi": {"kernel", "bias"}, ...}`` for the LSTM, ``{"i", "h"}`` for the RNN.
      Kernels are (D, H) and (H, H), biases (H,).

    Raises:
      TypeError: the weights are those of a cell that flax does not have, or of two directions.
      ValueError: a shape is wrong.
    """
    cell, Wx, Wh, b, b_hn = theirs("flax", layer, "to_flax")
    gates = _flax_gates(cell)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for gate, *blocks in zip(gates, *(np.split(array, len(gates), axis=-1) for array in (Wx, Wh, b))):
        kernel, recurrent_kernel, bias = map(copied, blocks)
        arrays |= {f"i{gate}": {"kernel": kernel}, f"h{gate}": {"kernel": recurrent_kernel}}
        arrays[f"{_flax_bias(cell)}{gate}"]["bias"] = bias
    if b_hn is not None:
        arrays["hn"]["bias"] = b_hn
    return arrays


def from_flax(arrays: Mapping[str, Any], cell: str) -> Params:
    """Our weights from flax's linen ``SimpleCell``, ``LSTMCell``, ``OptimizedLSTMCell`` or ``GRUCell``.

    Call it as ``from_flax(variables["params"], "lstm")``, under ``nn.RNN`` with ``variables["params"]["cell"]``.

    Args:
      arrays: see :func:`to_flax`.
      cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.

    Raises:
      ValueError: flax has no such cell; a name is missing or unknown, or a shape is wrong.
      TypeError: an array does not hold floating point.
    """
    function = "from_flax"
    number_of_gates("flax", cell)  # refuses what flax does not have
    given, gates = flattened(function, arrays), _flax_gates(cell)
    kinds = (("i", "kernel"), ("h", "kernel"), (_flax_bias(cell), "bias"))
    kernels, recurrent_kernels, biases = ([f"{part}{gate}/{name}" for gate in gates] for part, name in kinds)
    second = ["hn/bias"] if cell == "gru" else []
    check_names(function, given, kernels + recurrent_kernels + biases + second)
    H, D = matrix(function, given, recurrent_kernels[0])[0], matrix(function, given, kernels[0])[0]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(kernels, (D, H))
    shapes |= dict.fromkeys(recurrent_kernels, (H, H)) | dict.fromkeys(biases + second, (H,))
    checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    groups = [names for names in (kernels, recurrent_kernels, biases, second) if names]
    parts = [np.concatenate([given[name] for name in names], axis=-1) for names in groups]
    return ours("flax", cell, *parts)


def _flax_gates(cell: str) -> list[str]:
    """The gates as flax's names end in them; the RNN's have no such end."""
    return [""] if cell == "rnn" else [block.removeprefix("-") for block in BLOCKS["flax"][cell]]


def _flax_bias(cell: str) -> str:
    """The part, i or h, whose dense map has the bias."""
    return "h" if cell == "lstm" else "i"
