"""Weights to and from haiku; what it does differently stands in :mod:`minirnn.convert`.

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
    merged,
    number_of_gates,
    ours,
    theirs,
)
from minirnn.params import (
    Params,
)


def to_haiku(layer: Params) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of haiku's ``VanillaRNN``, ``LSTM`` or ``GRU`` that computes the same.

    haiku's GRU resets before the product (``GRUResetBeforeParams``), and its VanillaRNN is relu. The names are those of
    a core that is alone in its transform; under a module, or for a second core, change the keys:
    ``{"lstm_1/linear": arrays["lstm/linear"]}``.

    Args:
      layer: weights of one direction.

    Returns:
      - ``{"lstm/linear": {"w": (D+H, 4H), "b": (4H,)}}``, the forget bias 1 lower than ours;
      - ``{"gru": {"w_i": (D, 3H), "w_h": (H, 3H), "b": (3H,)}}``;
      - ``{"vanilla_rnn/linear": {"w": (D, H), "b": (H,)}, "vanilla_rnn/linear_1": {"w": (H, H), "b": (H,)}}``: the
        first ``b`` carries our one bias, the second is zero (drop it for ``double_bias=False``).

    Raises:
      TypeError: the weights are those of a cell that haiku does not have, or of two directions.
      ValueError: a shape is wrong.
    """
    cell, Wx, Wh, b, _ = theirs("haiku", layer, "to_haiku")
    if cell == "gru_reset_before":
        return {"gru": {"w_i": Wx, "w_h": Wh, "b": b}}
    if cell == "rnn":
        second = {"w": Wh, "b": np.zeros_like(b)}
        return {"vanilla_rnn/linear": {"w": Wx, "b": b}, "vanilla_rnn/linear_1": second}
    b[_haiku_forget(len(b))] -= 1
    return {"lstm/linear": {"w": np.concatenate([Wx, Wh]), "b": b}}


def from_haiku(arrays: Mapping[str, Any], cell: str, *, gradients: bool = False) -> Params:
    """Our weights from those of haiku's ``VanillaRNN``, ``LSTM`` or ``GRU``.

    Args:
      arrays: see :func:`to_haiku`, with the names of a core that is alone in its transform.
      cell: ``"rnn"``, ``"lstm"`` or ``"gru_reset_before"``.
      gradients: the arrays are gradients with respect to such weights; then no 1 is added, and no two biases are.

    Returns:
      The weights of the core. The LSTM's forget bias is 1 higher than haiku's, which adds the 1 in every step. The
      RNN's ``b`` is the *sum* of haiku's two; without the second (``double_bias=False``) it is the first.

    Raises:
      ValueError: haiku has no such cell; a name is missing or unknown, or a shape is wrong.
      TypeError: an array does not hold floating point.
    """
    function, G = "from_haiku", number_of_gates("haiku", cell)
    given = flattened(function, arrays)
    if cell == "lstm":
        check_names(function, given, ["lstm/linear/w", "lstm/linear/b"])
        rows, columns = matrix(function, given, "lstm/linear/w")
        H = columns // G
        D = max(rows - H, 1)
        shapes: dict[str, tuple[int, ...]] = {"lstm/linear/w": (D + H, G * H), "lstm/linear/b": (G * H,)}
        w, b = checked(function, given, shapes, f"for lstm with D = {D}, H = {H}")
        b = copied(b)
        b[_haiku_forget(len(b))] += 0 if gradients else 1
        return ours("haiku", cell, w[:D], w[D:], b)
    if cell == "rnn":
        names = ["vanilla_rnn/linear/w", "vanilla_rnn/linear_1/w", "vanilla_rnn/linear/b"]
        second = "vanilla_rnn/linear_1/b"
        check_names(function, given, names, [second])
        names += [second] if second in given else []
    else:
        names = ["gru/w_i", "gru/w_h", "gru/b"]
        check_names(function, given, names)
    H, D = matrix(function, given, names[1])[0], matrix(function, given, names[0])[0]
    shapes = dict(zip(names, ((D, G * H), (H, G * H), (G * H,), (G * H,))))
    Wx, Wh, *biases = checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    return ours("haiku", cell, Wx, Wh, merged(cell, gradients, *biases)[0])


def _haiku_forget(length: int) -> slice:
    """Where haiku's bias (4H,) holds the forget gate, to which its LSTM adds 1."""
    start = BLOCKS["haiku"]["lstm"].index("f") * (length // 4)
    return slice(start, start + length // 4)
