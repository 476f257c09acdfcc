"""Descriptions of networks, the weights that belong to them, and fresh ones.

A network is a plain description: a tuple of layers, and a dense head. Its weights are a tree of NamedTuples beside it.

>>> network = Network((Embedding(100, 16), Dropout(0.2), Recurrent("gru", 32, bidirectional=True)), output_size=5)
>>> network.layers[2].width(16)
64

Dimension letters: T time steps, B batch, D input size, H hidden size, K width of a convolution, O output size,
V vocabulary size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.params.cells import STATES, Array, Directions
from minirnn.params.initialisers import INITIALISERS, SCHEMES, generator, glorot_uniform, uniform

# ---------------------------------------------------------------- weights


class DenseParams(NamedTuple):
    """Weights of an affine map ``y = h @ W + b``."""

    W: Array  # (H, O)
    b: Array  # (O,)


class EmbeddingParams(NamedTuple):
    """One row for each symbol."""

    E: Array  # (V, D)


class ConvolutionParams(NamedTuple):
    """Weights of a convolution over time."""

    W: Array  # (K, D, O)
    b: Array  # (O,)


class LayerNormParams(NamedTuple):
    """Gain and bias after the normalisation."""

    gain: Array  # (D,)
    bias: Array  # (D,)


class RecurrentParams(NamedTuple):
    """Weights of a recurrent layer.

    ``weights`` are the cell's, in a ``Directions`` if the layer is bidirectional. ``initial`` is the learned initial
    state of one sequence, every part (H,), in the same form; the empty tuple if it is not learned.
    """

    weights: Any
    initial: Any

    @property
    def learns_initial_state(self) -> bool:
        """Whether there is a learned initial state."""
        return not (isinstance(self.initial, tuple) and len(self.initial) == 0)


class AttentionHeadParams(NamedTuple):
    """A dense head behind a mean over the steps whose weights a learned query finds (A1, A5, A6)."""

    query: Array  # (H,)
    W: Array  # (H, O)
    b: Array  # (O,)


class NetworkParams(NamedTuple):
    """Weights of every layer (the empty tuple where a layer has none) and of the dense head."""

    layers: tuple[Any, ...]
    head: Any  # DenseParams, or AttentionHeadParams where the head reads by attention


# ---------------------------------------------------------------- descriptions of layers


def check_at_least_one(layer: Any, *names: str) -> None:
    """Raises a ValueError unless the named fields of a description are integers of at least 1."""
    for name in names:
        value = getattr(layer, name)
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{type(layer).__name__}.{name} is {value!r}; expected an integer of at least 1")


def check_one_of(layer: Any, name: str, expected: tuple[str | None, ...]) -> None:
    """Raises a ValueError unless the named field of a description is one of those expected."""
    if getattr(layer, name) not in expected:
        raise ValueError(
            f"unknown {name} {getattr(layer, name)!r} of {type(layer).__name__}; "
            f"expected one of {', '.join(map(str, expected))}"
        )


def check_rate(layer: Any, name: str) -> None:
    """Raises a ValueError unless the named field of a description is a rate: at least 0 and below 1."""
    if not 0 <= getattr(layer, name) < 1:
        raise ValueError(f"{type(layer).__name__}.{name} is {getattr(layer, name)!r}; expected at least 0 and below 1")


ACTIVATION_NAMES = ("identity", "tanh", "relu", "sigmoid")
MERGES = ("concat", "sum", "mean")
READS = ("last", "mean", "steps", "ends", "attention")
# What the JAX half keeps of every step for the gradient; see minirnn.fast.scan.
SAVE = ("all", "states", "chunks")
PRODUCTS = (None, "bfloat16")
_WITHOUT_RECURRENT_PRODUCT = ("mingru", "minlstm")


@dataclass(frozen=True)
class Embedding:
    """Symbols (T, B), integers from 0 to V - 1, to vectors (T, B, size). Only as the first layer."""

    vocabulary_size: int
    size: int

    def __post_init__(self):
        check_at_least_one(self, "vocabulary_size", "size")

    def width(self, input_size: int | None) -> int:
        """Features that come out."""
        return self.size


@dataclass(frozen=True)
class Convolution:
    """A convolution over time, of stride 1.

    Args:
      size: features that come out.
      kernel_size: K, steps that one output reads.
      padding: ``"causal"`` reads the step itself and the K - 1 before it; ``"same"`` reads as many on
        either side, and one more after the step where K is even.
      activation: ``"identity"``, ``"tanh"``, ``"relu"`` or ``"sigmoid"``.
    """

    size: int
    kernel_size: int = 3
    padding: str = "causal"
    activation: str = "relu"

    def __post_init__(self):
        check_at_least_one(self, "size", "kernel_size")
        check_one_of(self, "padding", ("causal", "same"))
        check_one_of(self, "activation", ACTIVATION_NAMES)

    def width(self, input_size: int | None) -> int:
        """Features that come out."""
        return self.size


@dataclass(frozen=True)
class Recurrent:
    """One recurrent layer.

    Args:
      cell: name of a cell, such as ``"lstm"``; see ``INITIALISERS``.
      hidden_size: H, units of each direction.
      bidirectional: also walk through each sequence from its last valid step to its first, with weights of its own.
      merge: how the outputs of the two directions, aligned in time, become one: ``"concat"``, ``"sum"``, ``"mean"``.
      recurrent_dropout: rate at which units of h are dropped where h enters h Wh: one mask for each sequence, the same
        at every step (Gal and Ghahramani 2016, arXiv 1512.05287). The state itself is not touched.
      learn_initial_state: start from a learned state instead of zeros, where no state is given.
      activation: of an ``"rnn"``.
      scheme: of the initialisation; see :mod:`minirnn.params.initialisers`.
      save: what the JAX half keeps of every step for the gradient: ``"all"``, ``"states"`` or ``"chunks"``, in the
        order of falling memory and rising time. The NumPy half keeps everything.
      products: ``"bfloat16"`` lets the JAX half round the factors of its products to that type, for accelerators; sums,
        states and gates stay in the type of the weights. The NumPy half rounds nothing.
    """

    cell: str = "lstm"
    hidden_size: int = 32
    bidirectional: bool = False
    merge: str = "concat"
    recurrent_dropout: float = 0.0
    learn_initial_state: bool = False
    activation: str = "tanh"
    scheme: str = "orthogonal"
    save: str = "all"
    products: str | None = None

    def __post_init__(self):
        check_one_of(self, "cell", tuple(INITIALISERS))
        check_one_of(self, "save", SAVE)
        check_one_of(self, "products", PRODUCTS)
        check_at_least_one(self, "hidden_size")
        check_one_of(self, "merge", MERGES)
        check_rate(self, "recurrent_dropout")
        check_one_of(self, "activation", ACTIVATION_NAMES)
        check_one_of(self, "scheme", SCHEMES)
        if self.activation != "tanh" and self.cell != "rnn":
            raise ValueError(f"Recurrent.activation is {self.activation!r}; only the cell 'rnn' has a choice")
        if self.recurrent_dropout and self.cell in _WITHOUT_RECURRENT_PRODUCT:
            raise ValueError(f"a {self.cell} has no product h Wh to drop units of; leave recurrent_dropout at 0")

    @property
    def options(self) -> dict[str, str]:
        """What the cell's ``forward`` takes beyond its weights and inputs."""
        return {"activation": self.activation} if self.cell == "rnn" else {}

    def width(self, input_size: int | None) -> int:
        """Features that come out."""
        return self.hidden_size * (2 if self.bidirectional and self.merge == "concat" else 1)


@dataclass(frozen=True)
class Dropout:
    """Drops features: one mask for each sequence, the same at every step; what is kept is divided by 1 - rate."""

    rate: float

    def __post_init__(self):
        check_rate(self, "rate")

    def width(self, input_size: int) -> int:
        """Features that come out."""
        return input_size


@dataclass(frozen=True)
class LayerNorm:
    """Normalises the features of every step to mean 0 and variance 1, then scales and shifts them."""

    epsilon: float = 1e-5

    def __post_init__(self):
        if not self.epsilon > 0:  # features that are all equal, such as padding, would become 0 / 0
            raise ValueError(f"LayerNorm.epsilon is {self.epsilon!r}; expected more than 0")

    def width(self, input_size: int) -> int:
        """Features that come out."""
        return input_size


@dataclass(frozen=True)
class Dense:
    """An affine map of every step, and an activation."""

    size: int
    activation: str = "identity"

    def __post_init__(self):
        check_at_least_one(self, "size")
        check_one_of(self, "activation", ACTIVATION_NAMES)

    def width(self, input_size: int | None) -> int:
        """Features that come out."""
        return self.size


@dataclass(frozen=True)
class Residual:
    """Adds its input to what its layers make of it: ``y = x + f(x)``."""

    layers: tuple[Any, ...]

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        check_layers(self.layers, "Residual")
        if any(isinstance(layer, Embedding) for layer in self.layers):
            raise ValueError("an Embedding cannot stand inside a Residual: symbols cannot be added to vectors")

    def width(self, input_size: int) -> int:
        """Features that come out."""
        width = input_size
        for layer in self.layers:
            width = layer.width(width)
        if width != input_size:
            raise ValueError(f"Residual reads {input_size} features and its layers give {width}; expected the same")
        return width


Layer = Embedding | Convolution | Recurrent | Dropout | LayerNorm | Dense | Residual


def check_layers(layers: tuple[Any, ...], owner: str) -> None:
    """Raises a TypeError unless all are layers; ``owner`` is the description that holds them."""
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{owner}.layers holds a {type(layer).__name__}; expected Embedding, Convolution, Recurrent, Dropout, "
                "LayerNorm, Dense or Residual"
            )


@dataclass(frozen=True)
class Network:
    """Description of a network: layers, one on top of the other, and a dense head.

    Args:
      layers: a tuple of layers. See :func:`stack` for the usual ones.
      output_size: O, numbers that the head gives.
      read: what the head reads: ``"last"``, the last valid step of each sequence; ``"mean"``, the mean over its valid
        steps; ``"steps"``, every step by itself; ``"ends"``, the last valid step of the first half of the features and
        the first step of the second half: where both directions of a bidirectional layer end; ``"attention"``, a mean
        whose weights a learned query finds, dot product by dot product. At the last step the backward direction of a
        bidirectional layer has read one input only: with two directions ``"last"`` is a poor choice.
    """

    layers: tuple[Any, ...]
    output_size: int = 1
    read: str = "last"

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        check_layers(self.layers, "Network")
        check_at_least_one(self, "output_size")
        check_one_of(self, "read", READS)
        if any(isinstance(layer, Embedding) for layer in self.layers[1:]):
            raise ValueError("an Embedding must be the first layer: it reads symbols")


def stack(
    cell: str = "lstm",
    hidden_size: int = 32,
    num_layers: int = 1,
    output_size: int = 1,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    read: str = "last",
    save: str = "all",
    products: str | None = None,
) -> Network:
    """The usual network: ``num_layers`` recurrent layers, with dropout between them, and a head.

    What the arguments mean: :class:`Recurrent`, :class:`Dropout`, :class:`Network`.

    >>> stack("gru", 8, num_layers=2, dropout=0.1).layers[1]
    Dropout(rate=0.1)
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}")
    layer = Recurrent(
        cell, hidden_size, bidirectional, recurrent_dropout=recurrent_dropout, save=save, products=products
    )
    between = (Dropout(dropout),) if dropout else ()
    return Network((layer, *(*between, layer) * (num_layers - 1)), output_size, read)


# ---------------------------------------------------------------- fresh weights


def init_dense(rng, input_size: int, output_size: int, dtype: Any = np.float32) -> DenseParams:
    """Fresh weights of an affine map: Glorot uniform W, zero b."""
    rng = generator(rng)
    return DenseParams(glorot_uniform(rng, input_size, output_size).astype(dtype), np.zeros(output_size, dtype))


def init_embedding(rng, vocabulary_size: int, size: int, dtype: Any = np.float32) -> EmbeddingParams:
    """Fresh embedding: uniform on ±sqrt(3 / size), of variance 1 / size, so that a row has a norm of about 1."""
    rng = generator(rng)
    return EmbeddingParams(uniform(rng, (vocabulary_size, size), np.sqrt(3 / size)).astype(dtype))


def init_convolution(rng, kernel_size: int, input_size: int, size: int, dtype: Any = np.float32) -> ConvolutionParams:
    """Fresh weights of a convolution: Glorot uniform over K·D inputs and K·O outputs, zero b."""
    rng, limit = generator(rng), np.sqrt(6.0 / (kernel_size * (input_size + size)))
    W = rng.uniform(-limit, limit, (kernel_size, input_size, size))
    return ConvolutionParams(W.astype(dtype), np.zeros(size, dtype))


def init_recurrent(rng, layer: Recurrent, input_size: int, dtype: Any = np.float32) -> RecurrentParams:
    """Fresh weights of a recurrent layer: forward direction first; a learned initial state starts at zero."""
    rng = generator(rng)
    draw = lambda: INITIALISERS[layer.cell](rng, input_size, layer.hidden_size, dtype, scheme=layer.scheme)  # noqa: E731
    weights = Directions(draw(), draw()) if layer.bidirectional else draw()
    if not layer.learn_initial_state:
        return RecurrentParams(weights, ())
    zeros = lambda: _initial_state(layer.cell, np.zeros(layer.hidden_size, dtype))  # noqa: E731
    return RecurrentParams(weights, Directions(zeros(), zeros()) if layer.bidirectional else zeros())


def _initial_state(cell: str, zeros: np.ndarray) -> Any:
    """A state of zeros (H,), without a batch."""
    return STATES[cell](*(zeros.copy() for _ in STATES[cell]._fields)) if cell in STATES else zeros


def init_layer(rng: np.random.Generator, layer: Layer, input_size: Any, dtype: Any = np.float32) -> Any:
    """Fresh weights of any layer; the empty tuple where it has none."""
    match layer:
        case Embedding():
            if input_size not in (None, layer.vocabulary_size):
                raise ValueError(f"input_size is {input_size}; a network that begins with an Embedding takes None")
            return init_embedding(rng, layer.vocabulary_size, layer.size, dtype)
        case Convolution():
            return init_convolution(rng, layer.kernel_size, input_size, layer.size, dtype)
        case Recurrent():
            return init_recurrent(rng, layer, input_size, dtype)
        case LayerNorm():
            return LayerNormParams(np.ones(input_size, dtype), np.zeros(input_size, dtype))
        case Dense():
            return init_dense(rng, input_size, layer.size, dtype)
        case Residual():
            return init_layers(rng, layer.layers, input_size, dtype)[0]
    return ()


def init_layers(rng, layers: tuple[Layer, ...], size: Any, dtype) -> tuple[tuple[Any, ...], int]:
    """Weights of layers one on top of the other, and the features that come out."""
    params = []
    for layer in layers:
        params.append(init_layer(rng, layer, size, dtype))
        size = layer.width(size)
    return tuple(params), size


def init_network(rng, network: Network, input_size: int | None, dtype: Any = np.float32) -> NetworkParams:
    """Fresh weights of every layer and of the head, drawn in that order from one generator.

    Args:
      rng: a seed or a ``np.random.Generator``.
      network: the description.
      input_size: D; None for a network that begins with an Embedding.
      dtype: of every array.

    Raises:
      ValueError: the sizes of the layers do not fit.
    """
    if input_size is None and not (network.layers and isinstance(network.layers[0], Embedding)):
        raise ValueError("input_size is None; expected D, the number of features of xs (T, B, D)")
    rng = generator(rng)
    layers, width = init_layers(rng, network.layers, input_size, dtype)
    if network.read == "ends" and width % 2:
        raise ValueError(f"read is 'ends' and the layers give {width} features; expected two halves of equal size")
    head = init_dense(rng, width, network.output_size, dtype)
    if network.read == "attention":  # the query starts at zero: as a mean
        return NetworkParams(layers, AttentionHeadParams(np.zeros(width, dtype), *head))
    return NetworkParams(layers, head)
