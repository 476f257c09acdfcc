"""Weights to and from Keras; what it does differently stands in :mod:`minirnn.convert`.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.convert.blocks import (
    check_names,
    checked,
    flattened,
    matrix,
    merged,
    number_of_gates,
    ours,
    second_bias,
    theirs,
)
from minirnn.params import (
    Params,
)


def to_keras(layer: Params, bias: bool = True) -> dict[str, np.ndarray]:
    """The weights of the Keras ``SimpleRNN``, ``LSTM`` or ``GRU`` that computes the same.

    Load them with ``keras_layer.set_weights([arrays[w.name] for w in keras_layer.weights])``.
    ``GRUParams`` are for ``reset_after=True`` (Keras's default), ``GRUResetBeforeParams`` for ``reset_after=False``.

    Args:
      layer: weights of one direction; for ``Bidirectional`` convert each and load them into its ``forward_layer`` and
        ``backward_layer``.
      bias: False for a Keras layer built with ``use_bias=False``.

    Returns:
      ``kernel`` (D, GH), ``recurrent_kernel`` (H, GH) and ``bias`` (GH,). The bias of the GRU with ``reset_after=True``
      is (2, GH): the first row carries our one bias, the second is zero but for ``b_hn``.

    Raises:
      TypeError: the weights are those of a cell that Keras does not have, or of two directions.
      ValueError: a shape is wrong, or ``bias=False`` would lose a bias that is not zero.
    """
    cell, Wx, Wh, b, b_hn = theirs("keras", layer, "to_keras", bias)
    arrays = {"kernel": Wx, "recurrent_kernel": Wh}
    if bias:
        arrays["bias"] = np.stack([b, second_bias(b, b_hn)]) if cell == "gru" else b
    return arrays


def from_keras(arrays: Mapping[str, Any], cell: str, *, gradients: bool = False) -> Params:
    """Our weights from those of a Keras ``SimpleRNN``, ``LSTM`` or ``GRU``.

    Call it as ``from_keras({w.name: w.numpy() for w in keras_layer.weights}, "lstm")``. A ``Bidirectional`` layer ``m``
    becomes ``Directions(..., ...)`` of its ``m.forward_layer`` and ``m.backward_layer``, each converted alone.

    Args:
      arrays: see :func:`to_keras`; without ``bias`` it is read as zeros.
      cell: ``"rnn"``, ``"lstm"``, ``"gru"`` (``reset_after=True``) or ``"gru_reset_before"`` (``reset_after=False``).
      gradients: the arrays are gradients with respect to such weights; then the two biases' are equal, not summed.

    Returns:
      The weights of the layer. In the GRU with ``reset_after=True``, ``b`` is the *sum* of the two rows of Keras's
      bias, but for the candidate, whose second one is ``b_hn``.

    Raises:
      ValueError: Keras has no such cell; a name is missing or unknown, or a shape is wrong.
      TypeError: an array does not hold floating point.
    """
    function, G = "from_keras", number_of_gates("keras", cell)
    given = flattened(function, arrays)
    check_names(function, given, ["kernel", "recurrent_kernel"], ["bias"])
    H, D = matrix(function, given, "recurrent_kernel")[0], matrix(function, given, "kernel")[0]
    shapes: dict[str, tuple[int, ...]] = {"kernel": (D, G * H), "recurrent_kernel": (H, G * H)}
    if "bias" in given:
        shapes["bias"] = (2, G * H) if cell == "gru" else (G * H,)
    reset = {"gru": " (reset_after=True)", "gru_reset_before": " (reset_after=False)"}.get(cell, "")
    Wx, Wh, *bias = checked(function, given, shapes, f"for {cell}{reset} with D = {D}, H = {H}")
    b, b_hn = (bias[0] if bias else None), None
    if bias and cell == "gru":
        b, b_hn = merged(cell, gradients, *bias[0])
    return ours("keras", cell, Wx, Wh, b, b_hn)
