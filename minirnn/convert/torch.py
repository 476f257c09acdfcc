"""Weights to and from PyTorch; what it does differently stands in :mod:`minirnn.convert`.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.convert.blocks import (
    check_names,
    checked,
    copied,
    flattened,
    matrix,
    merged,
    number_of_gates,
    ours,
    second_bias,
    theirs,
)
from minirnn.params import (
    Directions,
    Params,
    RecurrentParams,
)


def to_torch(layers: Iterable[Params], bias: bool = True) -> dict[str, np.ndarray]:
    """The ``state_dict()`` of the ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same.

    Load it with ``layer.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})``.

    Args:
      layers: one thing for each layer: its weights, or ``Directions`` of them where the layer is bidirectional; or the
        ``RecurrentParams`` of a network.
      bias: False for a torch layer built with ``bias=False``.

    Returns:
      ``weight_ih_l0`` (GH, D), ``weight_hh_l0`` (GH, H), ``bias_ih_l0`` (GH,), ``bias_hh_l0`` (GH,), and so on for the
      other layers (``_l1``) and for the backward direction (``_l0_reverse``). ``bias_ih`` carries our one bias;
      ``bias_hh`` is zero but for a GRU's ``b_hn``.

    Raises:
      TypeError: ``layers`` is one layer, or holds weights of a cell that torch does not have.
      ValueError: the layers do not fit each other, or ``bias=False`` would lose a bias that is not zero.

    >>> from minirnn import readable
    >>> arrays = to_torch((readable.gru.init(0, input_size=3, hidden_size=2),))
    >>> {name: array.shape for name, array in arrays.items()}
    {'weight_ih_l0': (6, 3), 'weight_hh_l0': (6, 2), 'bias_ih_l0': (6,), 'bias_hh_l0': (6,)}
    """
    if hasattr(layers, "_fields"):  # a NamedTuple is a tuple too
        raise TypeError(f"to_torch: layers is a {type(layers).__name__}; expected a tuple of layers, e.g. (layer,)")
    arrays: dict[str, np.ndarray] = {}
    kinds, H, D = set(), 0, 0
    for index, layer in enumerate(layers):
        layer = layer.weights if isinstance(layer, RecurrentParams) else layer
        directions = layer if isinstance(layer, Directions) else (layer,)
        for suffix, params in zip(("", "_reverse"), directions):
            where = f"to_torch: layers[{index}]{'.backward' if suffix else ''}"
            cell, Wx, Wh, b, b_hn = theirs("torch", params, where, bias)
            kinds.add((cell, len(directions)))
            if not arrays:
                H, D = Wh.shape[0], Wx.shape[0]
            if Wx.shape[0] != D or Wh.shape[0] != H:
                raise ValueError(f"{where} has D = {Wx.shape[0]}, H = {Wh.shape[0]}; expected D = {D}, H = {H}")
            tail = f"l{index}{suffix}"
            arrays |= {f"weight_ih_{tail}": copied(Wx.T), f"weight_hh_{tail}": copied(Wh.T)}
            if bias:
                arrays[f"bias_ih_{tail}"], arrays[f"bias_hh_{tail}"] = b, second_bias(b, b_hn)
        D = H * len(directions)  # what the next layer reads
    if not arrays:
        raise ValueError("to_torch: there are no layers; expected at least one")
    if len(kinds) > 1:
        found = ", ".join(f"{cell} in {n} direction{'s' * (n > 1)}" for cell, n in sorted(kinds))
        raise ValueError(f"to_torch: the layers are of several kinds ({found}); a torch module holds only one")
    return arrays


def from_torch(arrays: Mapping[str, Any], cell: str, *, gradients: bool = False) -> tuple[Params, ...]:
    """Our layers from the ``state_dict()`` of a ``torch.nn.RNN``, ``LSTM`` or ``GRU``.

    Call it as ``from_torch({k: v.detach().numpy() for k, v in layer.state_dict().items()}, "lstm")``; tensors on a GPU
    need ``.cpu()`` first. The number of layers, the directions and whether there are biases follow from the names.

    Args:
      arrays: see :func:`to_torch`.
      cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
      gradients: the arrays are gradients with respect to such weights; then the two biases' are equal, not summed.

    Returns:
      A tuple with the weights of each layer, ``Directions`` of them if it is bidirectional. ``b`` is the *sum* of
      torch's two biases, but for a GRU's candidate, whose second one is ``b_hn``.

    Raises:
      ValueError: torch has no such cell; a name is missing or unknown, ``proj_size`` was used, or a shape is wrong.
      TypeError: an array does not hold floating point.
    """
    function, G = "from_torch", number_of_gates("torch", cell)
    given = flattened(function, arrays)
    projections = [name for name in given if name.startswith("weight_hr_l")]
    if projections:
        raise ValueError(f"{function}: {projections[0]} belongs to torch's proj_size, which minirnn does not have")
    matches = [re.fullmatch(r"(?:weight|bias)_(?:ih|hh)_l(\d+)(_reverse)?", name) for name in given]
    L = len({match[1] for match in matches if match}) or 1
    suffixes = ("", "_reverse") if any(match and match[2] for match in matches) else ("",)
    kinds = ["weight_ih", "weight_hh"]
    if any(name.startswith("bias") for name in given):
        kinds += ["bias_ih", "bias_hh"]
    check_names(function, given, [f"{kind}_l{k}{suffix}" for k in range(L) for suffix in suffixes for kind in kinds])
    H, D = matrix(function, given, "weight_hh_l0")[1], matrix(function, given, "weight_ih_l0")[1]
    layers = []
    for index in range(L):
        sizes = {"weight_ih": (G * H, D), "weight_hh": (G * H, H), "bias_ih": (G * H,), "bias_hh": (G * H,)}
        directions = []
        for suffix in suffixes:
            tail = f"l{index}{suffix}"
            shapes = {f"{kind}_{tail}": sizes[kind] for kind in kinds}
            Wx, Wh, *biases = checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
            b, b_hn = merged(cell, gradients, *biases) if biases else (None, None)
            directions.append(ours("torch", cell, Wx.T, Wh.T, b, b_hn))
        layers.append(Directions(*directions) if len(directions) == 2 else directions[0])
        D = H * len(directions)
    return tuple(layers)
