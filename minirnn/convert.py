r"""Weights to and from PyTorch, Keras 3, flax (linen), equinox and haiku, as plain dictionaries of NumPy arrays.

The dictionaries carry each library's own names, so that the library itself reads and writes them; none of them is
imported here. What comes in is anything that ``np.asarray`` takes; what goes out is always a copy. dtypes stay.

A cell is named like its module in minirnn: ``"rnn"``, ``"lstm"``, ``"gru"`` (resets after the product),
``"gru_reset_before"``. No library has the other cells; ``LSTMParams`` are taken for those of ``lstm``.
An RNN's activation is not a weight: torch's ``nonlinearity``, Keras's ``activation`` and flax's ``activation_fn`` are
tanh unless told otherwise, haiku's is always relu (``forward(..., activation="relu")`` here).

What differs between the libraries, apart from names and orientation:

- *Order and sign of the gates.* The table :data:`BLOCKS`. PyTorch, Keras, flax and equinox compute the GRU as
  ``h = z h' + (1-z) n``, minirnn and haiku as ``h = (1-z) h' + z n``. Since sigma(-a) = 1 - sigma(a), negating the z
  columns of Wx, Wh and b turns one into the other exactly.
- *Two biases where one would do* (torch; Keras's GRU with ``reset_after=True``; haiku's VanillaRNN). Both are only ever
  added, so they cannot be told apart: on the way in they are merged into their sum, on the way out the first (the
  input's) carries the sum and the second is zero. The second bias of a GRU's candidate is no such case: it is ``b_hn``.
- *haiku's LSTM adds 1 to the forget gate* in every step; here that 1 is stored in ``b``. Adding and subtracting it
  rounds: the forget bias comes back to within a rounding of the larger of 1 and itself. Every other array comes back
  bit for bit.
- *No bias* is read as a bias of zeros; written it is with ``bias=False``, which refuses biases that are not zero.

*Gradients.* Weights in are w = A v (+ 1), weights out v = B w (- 1), with A and B linear and A B = 1. For a loss of v
the gradients are dv = A^T dw and dw = B^T dv. Where nothing is merged, A and B only reorder and change signs, so that
A^T = B and B^T = A: gradients go through the same functions as weights. Of two merged biases each has the whole
gradient db, which their sum would count twice; and haiku's 1 has no gradient. ``gradients=True`` minds both on the way
in. On the way out the second bias has the gradient of the first (but in a GRU's candidate), where these functions put
zero; and ``to_haiku`` has taken 1 off the LSTM's forget gate.

Dimension letters: D input size, H hidden size, G gates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.params import (
    GRU_GATES,
    LSTM_GATES,
    Array,
    Directions,
    GRUParams,
    GRUResetBeforeParams,
    LSTMParams,
    Params,
    RNNParams,
)

# Library -> its cells -> its blocks of H columns, in its order and by our names. "-z": its z is one minus ours.
BLOCKS = {
    "torch": {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "keras": {
        "rnn": ("h",),
        "lstm": ("i", "f", "g", "o"),
        "gru": ("-z", "r", "n"),
        "gru_reset_before": ("-z", "r", "n"),
    },
    "flax": {"rnn": ("h",), "lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "equinox": {"lstm": ("i", "f", "g", "o"), "gru": ("r", "-z", "n")},
    "haiku": {"rnn": ("h",), "lstm": ("i", "g", "f", "o"), "gru_reset_before": ("z", "r", "n")},
}

_OURS = {"rnn": ("h",), "lstm": LSTM_GATES, "gru": GRU_GATES, "gru_reset_before": GRU_GATES}
_TYPES = {"rnn": RNNParams, "lstm": LSTMParams, "gru": GRUParams, "gru_reset_before": GRUResetBeforeParams}

# ---------------------------------------------------------------- PyTorch


def to_torch(layers: Iterable[Params], bias: bool = True) -> dict[str, np.ndarray]:
    """The ``state_dict()`` of the ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same.

    Load it with ``layer.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})``.

    Args:
      layers: one thing for each layer: its weights, or ``Directions`` of them where the layer is bidirectional.
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
        directions = layer if isinstance(layer, Directions) else (layer,)
        for suffix, params in zip(("", "_reverse"), directions):
            where = f"to_torch: layers[{index}]{'.backward' if suffix else ''}"
            cell, Wx, Wh, b, b_hn = _theirs("torch", params, where, bias)
            kinds.add((cell, len(directions)))
            if not arrays:
                H, D = Wh.shape[0], Wx.shape[0]
            if Wx.shape[0] != D or Wh.shape[0] != H:
                raise ValueError(f"{where} has D = {Wx.shape[0]}, H = {Wh.shape[0]}; expected D = {D}, H = {H}")
            tail = f"l{index}{suffix}"
            arrays |= {f"weight_ih_{tail}": _copy(Wx.T), f"weight_hh_{tail}": _copy(Wh.T)}
            if bias:
                arrays[f"bias_ih_{tail}"], arrays[f"bias_hh_{tail}"] = b, _second_bias(b, b_hn)
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
    function, G = "from_torch", _gates("torch", cell)
    given = _flat(function, arrays)
    projections = [name for name in given if name.startswith("weight_hr_l")]
    if projections:
        raise ValueError(f"{function}: {projections[0]} belongs to torch's proj_size, which minirnn does not have")
    matches = [re.fullmatch(r"(?:weight|bias)_(?:ih|hh)_l(\d+)(_reverse)?", name) for name in given]
    L = len({match[1] for match in matches if match}) or 1
    suffixes = ("", "_reverse") if any(match and match[2] for match in matches) else ("",)
    kinds = ["weight_ih", "weight_hh"]
    if any(name.startswith("bias") for name in given):
        kinds += ["bias_ih", "bias_hh"]
    _check_names(function, given, [f"{kind}_l{k}{suffix}" for k in range(L) for suffix in suffixes for kind in kinds])
    H, D = _matrix(function, given, "weight_hh_l0")[1], _matrix(function, given, "weight_ih_l0")[1]
    layers = []
    for index in range(L):
        sizes = {"weight_ih": (G * H, D), "weight_hh": (G * H, H), "bias_ih": (G * H,), "bias_hh": (G * H,)}
        directions = []
        for suffix in suffixes:
            tail = f"l{index}{suffix}"
            shapes = {f"{kind}_{tail}": sizes[kind] for kind in kinds}
            Wx, Wh, *biases = _checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
            b, b_hn = _merged(cell, gradients, *biases) if biases else (None, None)
            directions.append(_ours("torch", cell, Wx.T, Wh.T, b, b_hn))
        layers.append(Directions(*directions) if len(directions) == 2 else directions[0])
        D = H * len(directions)
    return tuple(layers)


# ---------------------------------------------------------------- Keras


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
    cell, Wx, Wh, b, b_hn = _theirs("keras", layer, "to_keras", bias)
    arrays = {"kernel": Wx, "recurrent_kernel": Wh}
    if bias:
        arrays["bias"] = np.stack([b, _second_bias(b, b_hn)]) if cell == "gru" else b
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
    function, G = "from_keras", _gates("keras", cell)
    given = _flat(function, arrays)
    _check_names(function, given, ["kernel", "recurrent_kernel"], ["bias"])
    H, D = _matrix(function, given, "recurrent_kernel")[0], _matrix(function, given, "kernel")[0]
    shapes: dict[str, tuple[int, ...]] = {"kernel": (D, G * H), "recurrent_kernel": (H, G * H)}
    if "bias" in given:
        shapes["bias"] = (2, G * H) if cell == "gru" else (G * H,)
    reset = {"gru": " (reset_after=True)", "gru_reset_before": " (reset_after=False)"}.get(cell, "")
    Wx, Wh, *bias = _checked(function, given, shapes, f"for {cell}{reset} with D = {D}, H = {H}")
    b, b_hn = (bias[0] if bias else None), None
    if bias and cell == "gru":
        b, b_hn = _merged(cell, gradients, *bias[0])
    return _ours("keras", cell, Wx, Wh, b, b_hn)


# ---------------------------------------------------------------- flax


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
    cell, Wx, Wh, b, b_hn = _theirs("flax", layer, "to_flax")
    gates = _flax_gates(cell)
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for gate, *blocks in zip(gates, *(np.split(array, len(gates), axis=-1) for array in (Wx, Wh, b))):
        kernel, recurrent_kernel, bias = map(_copy, blocks)
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
    _gates("flax", cell)  # refuses what flax does not have
    given, gates = _flat(function, arrays), _flax_gates(cell)
    kinds = (("i", "kernel"), ("h", "kernel"), (_flax_bias(cell), "bias"))
    kernels, recurrent_kernels, biases = ([f"{part}{gate}/{name}" for gate in gates] for part, name in kinds)
    second = ["hn/bias"] if cell == "gru" else []
    _check_names(function, given, kernels + recurrent_kernels + biases + second)
    H, D = _matrix(function, given, recurrent_kernels[0])[0], _matrix(function, given, kernels[0])[0]
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(kernels, (D, H))
    shapes |= dict.fromkeys(recurrent_kernels, (H, H)) | dict.fromkeys(biases + second, (H,))
    _checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    groups = [names for names in (kernels, recurrent_kernels, biases, second) if names]
    parts = [np.concatenate([given[name] for name in names], axis=-1) for names in groups]
    return _ours("flax", cell, *parts)


def _flax_gates(cell: str) -> list[str]:
    """The gates as flax's names end in them; the RNN's have no such end."""
    return [""] if cell == "rnn" else [block.removeprefix("-") for block in BLOCKS["flax"][cell]]


def _flax_bias(cell: str) -> str:
    """The part, i or h, whose dense map has the bias."""
    return "h" if cell == "lstm" else "i"


# ---------------------------------------------------------------- equinox


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
    _, Wx, Wh, b, b_hn = _theirs("equinox", layer, "to_equinox", bias)
    arrays = {"weight_ih": _copy(Wx.T), "weight_hh": _copy(Wh.T)}
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
    function, G = "from_equinox", _gates("equinox", cell)
    given = _flat(function, arrays)
    biases = {"lstm": ["bias"], "gru": ["bias", "bias_n"]}[cell]
    names = ["weight_ih", "weight_hh", *(biases if set(biases) & set(given) else [])]
    _check_names(function, given, names, biases)
    H, D = _matrix(function, given, "weight_hh")[1], _matrix(function, given, "weight_ih")[1]
    sizes = {"weight_ih": (G * H, D), "weight_hh": (G * H, H), "bias": (G * H,), "bias_n": (H,)}
    shapes = {name: sizes[name] for name in names}
    Wx, Wh, *rest = _checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    return _ours("equinox", cell, Wx.T, Wh.T, *rest)


# ---------------------------------------------------------------- haiku


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
    cell, Wx, Wh, b, _ = _theirs("haiku", layer, "to_haiku")
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
    function, G = "from_haiku", _gates("haiku", cell)
    given = _flat(function, arrays)
    if cell == "lstm":
        _check_names(function, given, ["lstm/linear/w", "lstm/linear/b"])
        rows, columns = _matrix(function, given, "lstm/linear/w")
        H = columns // G
        D = max(rows - H, 1)
        shapes: dict[str, tuple[int, ...]] = {"lstm/linear/w": (D + H, G * H), "lstm/linear/b": (G * H,)}
        w, b = _checked(function, given, shapes, f"for lstm with D = {D}, H = {H}")
        b = _copy(b)
        b[_haiku_forget(len(b))] += 0 if gradients else 1
        return _ours("haiku", cell, w[:D], w[D:], b)
    if cell == "rnn":
        names = ["vanilla_rnn/linear/w", "vanilla_rnn/linear_1/w", "vanilla_rnn/linear/b"]
        second = "vanilla_rnn/linear_1/b"
        _check_names(function, given, names, [second])
        names += [second] if second in given else []
    else:
        names = ["gru/w_i", "gru/w_h", "gru/b"]
        _check_names(function, given, names)
    H, D = _matrix(function, given, names[1])[0], _matrix(function, given, names[0])[0]
    shapes = dict(zip(names, ((D, G * H), (H, G * H), (G * H,), (G * H,))))
    Wx, Wh, *biases = _checked(function, given, shapes, f"for {cell} with D = {D}, H = {H}")
    return _ours("haiku", cell, Wx, Wh, _merged(cell, gradients, *biases)[0])


def _haiku_forget(length: int) -> slice:
    """Where haiku's bias (4H,) holds the forget gate, to which its LSTM adds 1."""
    start = BLOCKS["haiku"]["lstm"].index("f") * (length // 4)
    return slice(start, start + length // 4)


# ---------------------------------------------------------------- blocks, signs and biases


def _theirs(
    library: str, layer: Params, where: str, bias: bool = True
) -> tuple[str, Array, Array, Array, Array | None]:
    """The cell, and copies of Wx (D, GH), Wh (H, GH), b (GH,) in the library's order and sign, and b_hn (H,)."""
    if isinstance(layer, Directions):
        raise TypeError(f"{where} holds two directions; convert layer.forward and layer.backward each")
    cells = BLOCKS[library]
    cell = next((name for name in cells if type(layer) is _TYPES[name]), None)
    if cell is None:
        has = ", ".join(_TYPES[name].__name__ for name in cells)
        raise TypeError(f"{where}: {library} has no cell with {type(layer).__name__}; it has those of {has}")
    given = {name: _array(where, name, array) for name, array in layer._asdict().items()}
    G, H, D = len(cells[cell]), _matrix(where, given, "Wh")[0], _matrix(where, given, "Wx")[0]
    sizes = {"Wx": (D, G * H), "Wh": (H, G * H), "b": (G * H,), "b_hn": (H,)}
    _checked(where, given, {name: sizes[name] for name in given}, f"for {cell} with D = {D}, H = {H}")
    for name in ("b", "b_hn"):
        if not bias and name in given and given[name].any():
            raise ValueError(f"{where}: {name} is not zero; bias=False would lose it")
    Wx, Wh, b = (_rearranged(given[name], _OURS[cell], cells[cell]) for name in ("Wx", "Wh", "b"))
    return cell, Wx, Wh, b, _copy(given["b_hn"]) if "b_hn" in given else None


def _ours(library: str, cell: str, Wx: Array, Wh: Array, b: Array | None = None, b_hn: Array | None = None) -> Params:
    """Our weights from the library's, which come in its order and sign but in our orientation; no bias is zeros."""
    blocks, ours = BLOCKS[library][cell], _OURS[cell]
    weights = [_rearranged(Wx, blocks, ours), _rearranged(Wh, blocks, ours)]
    weights.append(np.zeros(Wx.shape[1], Wx.dtype) if b is None else _rearranged(b, blocks, ours))
    if cell == "gru":
        weights.append(np.zeros(Wh.shape[0], Wx.dtype) if b_hn is None else _copy(b_hn))
    return _TYPES[cell](*weights)


def _rearranged(array: Array, order: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """A copy with its blocks of columns in another order, negated where only one of the two orders says "-"."""
    blocks = dict(zip(order, np.split(array, len(order), axis=-1)))
    blocks |= {_opposite(name): -block for name, block in blocks.items()}
    return np.concatenate([blocks[name] for name in wanted], axis=-1)


def _opposite(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _second_bias(b: Array, b_hn: Array | None) -> np.ndarray:
    """The second of two biases: zero, but for the GRU's b_hn in the candidate's block, which is the last."""
    second = np.zeros_like(b)
    if b_hn is not None:
        second[-len(b_hn) :] = b_hn
    return second


def _merged(
    cell: str, gradients: bool, first: Array, second: Array | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """One bias from two, or the gradient of one; and the GRU's b_hn, the second's last block, which is not merged."""
    if second is None:
        return first, None
    # Not first + second where second is zero: that would turn -0 into 0, and the round trip is exact.
    merged = _copy(first) if gradients else np.where(second == 0, first, first + second)
    if cell != "gru":
        return merged, None
    candidate = slice(2 * len(first) // 3, None)
    merged[candidate] = first[candidate]
    return merged, second[candidate]


def _copy(array: Array) -> np.ndarray:
    """A copy in C order, which shares no memory with what was given."""
    return np.array(array, order="C")


# ---------------------------------------------------------------- checks; each error is one line


def _gates(library: str, cell: str) -> int:
    """G, if the library has the cell."""
    cells = BLOCKS[library]
    if cell not in cells:
        kind = "after" if "gru" in cells else "before"
        hint = f" (its GRU resets {kind} the product)" if str(cell).startswith("gru") else ""
        raise ValueError(f"from_{library}: {library} has no cell {cell!r}; it has {', '.join(cells)}{hint}")
    return len(cells[cell])


def _flat(function: str, arrays: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Nested dictionaries as one, with names joined by "/"."""
    if not isinstance(arrays, Mapping):
        raise TypeError(f"{function}: arrays is a {type(arrays).__name__}; expected a dictionary of arrays by name")
    flat: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        name = f"{prefix}{name}"
        flat |= _flat(function, value, f"{name}/") if isinstance(value, Mapping) else {name: np.asarray(value)}
    return flat


def _check_names(function: str, given: Iterable[str], expected: list[str], optional: list[str] | None = None) -> None:
    found, optional = list(given), optional or []
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected + optional]
    if missing or unknown:
        wrong = [f"{what} {_some(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        also = [name for name in optional if name not in expected]
        may = f", perhaps {_some(also)}" if also else ""
        raise ValueError(f"{function}: {'; '.join(wrong)}; expected {_some(expected)}{may}; found {_some(found)}")


def _some(names: list[str]) -> str:
    """The first names of a list, and how many there are."""
    return (", ".join(names[:8]) or "nothing") + (f", ... ({len(names)} in all)" if len(names) > 8 else "")


def _matrix(where: str, given: Mapping[str, np.ndarray], name: str) -> tuple[int, int]:
    """The shape of an array that the sizes are read from."""
    if given[name].ndim != 2:
        raise ValueError(f"{where}: {name} has shape {given[name].shape}; expected two axes")
    rows, columns = given[name].shape
    return rows, columns


def _checked(where: str, given: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], why: str) -> list:
    """The arrays in the order of ``shapes``, which they must have."""
    for name, shape in shapes.items():
        _array(where, name, given[name])
        if given[name].shape != shape:
            raise ValueError(f"{where}: {name} has shape {given[name].shape}; expected {shape} {why}")
    return [given[name] for name in shapes]


def _array(where: str, name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind in "biuOSU":
        raise TypeError(f"{where}: {name} holds {array.dtype}; expected floating point")
    return array
