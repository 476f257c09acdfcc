"""Weights to and from equinox; what it does differently stands in :mod:`minirnn.convert`.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.convert.blocks import check_names, checked, copied, flattened, matrix, number_of_gates, ours, theirs
from minirnn.params import (
    Params,
)


def to_equinox(layer: Params, bias: bool = True) -> dict[str, np.ndarray]:
    """The fields of equinox's ``LSTMCell`` or ``GRUCell`` that computes the same.

    Put them into a cell with ``eqx.tree_at(lambda cell: [getattr(cell, name) for name in arrays], cell,
    [jnp.asarray(a) for a in arrays.values()])``.

    Args:
      layer: weights of one direction.
      bias: False for a cell built with ``use_bias=False``.

    Returns:
      ``weight_ih`` (GH, D), ``weight_hh`` (GH, H), ``bias`` (GH,), and the GRU's ``bias_n`` (H,), our ``b_hn``.

    Raises:
      TypeError: the weights are those of a cell that equinox does not have, or of two directions.
      ValueError: a shape is wrong, or ``bias=False`` would lose a bias that is not zero.
    """
    _, Wx, Wh, b, b_hn = theirs("equinox", layer, "to_equinox", bias)
    arrays = {"weight_ih": copied(Wx.T), "weight_hh": copied(Wh.T)}
    if bias:
        arrays["bias"] = b
        if b_hn is not None:
            arrays["bias_n"] = b_hn
    return arrays


def from_equinox(arrays: Mapping[str, Any], cell: str) -> Params:
    """Our weights from the fields of equinox's ``LSTMCell`` or ``GRUCell``.

    Call it as ``from_equinox({k: v for k, v in vars(eqx_cell).items() if eqx.is_array(v)}, "lstm")``.

    Args:
      arrays: see :func:`to_equinox`; biases that are not there are read as zeros.
      cell: ``"lstm"`` or ``"gru"``.

    Raises:
      ValueError: equinox has no such cell; a name is missing or unknown, or a shape is wrong.
      TypeError: an array does not hold floating point.
    """
    function, G = "from_equinox", number_of_gates("equinox", cell)
    given = flattened(function, arrays)
    biases = {"lstm": ["bias"], "gru": ["bias", "bias_n"]}[cell]
    names = ["weight_ih", "weight_hh", *(biases if set(biases) & set(given) else [])]
    check_names(function, given, names, biases)
    H, D = matrix(function, given, "weight_hh")[1], matrix(function, given, "weight_ih")[1]
    sizes = {"weight_ih": (G * H, D), "weight_hh": (G * H, H), "bias": (G * H,), "bias_n": (H,)}
    shapes = {name: sizes[name] for name in names}
    Wx, Wh, *rest = checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    return ours("equinox", cell, Wx.T, Wh.T, *rest)
