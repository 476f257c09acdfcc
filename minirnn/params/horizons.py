"""Three ways from a window to the N rows after it: descriptions, named weights, fresh ones, checks of what is passed.

They read a window xs (T, B, D), and ahead (N, B, F): what is known of the N rows already (calendar, plans). They give
raw numbers (B, N, O), O for each row ahead. What those mean (means, quantiles, ...) is the business of the loss.

>>> segments = Segments("gru", 64, segment=24, horizon=96)
>>> segments.steps
4

Dimension letters: T time steps, B batch, D input size, N rows ahead, F features of a row ahead, O numbers for each row
ahead, H hidden size, S rows of a segment, M segments ahead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from minirnn.params.cells import Array, Params
from minirnn.params.initialisers import INITIALISERS, generator
from minirnn.params.networks import (
    DenseParams,
    Layer,
    Network,
    NetworkParams,
    Recurrent,
    Residual,
    check_at_least_one,
    check_layers,
    check_one_of,
    check_rate,
    init_dense,
    init_layers,
    init_network,
)

# ---------------------------------------------------------------- weights


class DecoderParams(NamedTuple):
    """Weights of a :class:`Decoder`."""

    encoder: tuple[Any, ...]  # of each layer that reads the window
    decoder: tuple[Any, ...]  # of each layer that walks through the rows ahead
    head: DenseParams  # W (width of the last layer, O)


class SegmentsParams(NamedTuple):
    """Weights of :class:`Segments`."""

    embedding: DenseParams  # W (S·D, H): of the segments of the window
    cell: Params  # reads H features
    position: Array  # (M, H), one row for each segment ahead
    ahead: Any  # DenseParams, W (S·F, H): of what is known of a segment ahead; the empty tuple where F = 0
    head: DenseParams  # W (H, S·O)


HorizonParams = NetworkParams | DecoderParams | SegmentsParams

# ---------------------------------------------------------------- descriptions


@dataclass(frozen=True)
class Direct:
    """A network whose head gives the numbers of all rows ahead at once. It reads nothing of those rows: F = 0.

    Args:
      network: reads ``"last"`` or ``"mean"``; its ``output_size`` is N·O, row after row.
      horizon: N.
      outputs: O.
    """

    network: Network
    horizon: int
    outputs: int = 1

    def __post_init__(self):
        check_at_least_one(self, "horizon", "outputs")
        if not isinstance(self.network, Network):
            raise TypeError(f"Direct.network is a {type(self.network).__name__}; expected a Network")
        if self.network.read == "steps":
            raise ValueError("Direct.network reads 'steps'; expected 'last' or 'mean': one vector for a window")
        if self.network.output_size != self.horizon * self.outputs:
            raise ValueError(
                f"Direct.network has output_size {self.network.output_size}; "
                f"expected horizon·outputs = {self.horizon}·{self.outputs} = {self.horizon * self.outputs}"
            )


@dataclass(frozen=True)
class Decoder:
    """An encoder reads the window; a decoder goes on from its final states and takes one step for each row ahead.

    At row n it reads what is known of that row, and n / N; never a forecast of its own. So nothing is sampled, errors
    do not feed on themselves, and training and forecasting are the same computation (unlike in ``seq2seq``).

    Args:
      layers: as those of a :class:`Network`, in one direction. The encoder is made of all up to the last recurrent one,
        the decoder of all from the first recurrent one on, with weights of its own.
      horizon: N.
      outputs: O.
    """

    layers: tuple[Layer, ...]
    horizon: int
    outputs: int = 1

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(self.layers))
        check_layers(self.layers, "Decoder")
        check_at_least_one(self, "horizon", "outputs")
        recurrent = [index for index, layer in enumerate(self.layers) if any(_recurrent_layers((layer,)))]
        if not recurrent:
            raise ValueError("Decoder.layers holds no recurrent layer; expected at least one, whose state is handed on")
        if not isinstance(self.layers[recurrent[0]], Recurrent):
            raise ValueError(
                "the first recurrent layer of Decoder.layers stands inside a Residual; expected it outside"
            )
        if any(layer.bidirectional for layer in _recurrent_layers(self.layers)):
            raise ValueError(
                "a recurrent layer of Decoder.layers is bidirectional; expected one direction: the decoder goes on "
                "from its final state, into rows that no backward direction has read"
            )

    @property
    def first(self) -> int:
        """Which layer is the first recurrent one."""
        return next(index for index, layer in enumerate(self.layers) if isinstance(layer, Recurrent))

    @property
    def encoder(self) -> tuple[Layer, ...]:
        """The layers that read the window."""
        last = max(index for index, layer in enumerate(self.layers) if any(_recurrent_layers((layer,))))
        return self.layers[: last + 1]

    @property
    def decoder(self) -> tuple[Layer, ...]:
        """The layers that walk through the rows ahead; they start from the encoder's states."""
        return tuple(_started(layer) for layer in self.layers[self.first :])


@dataclass(frozen=True)
class Segments:
    """Segment-wise recurrence (SegRNN; Lin et al. 2023, arXiv 2308.11200): one step of the cell reads S rows.

    Each segment of the window, S rows with D features, is embedded by a dense map and a relu. From the last state each
    of the M = ceil(N / S) segments ahead is decoded by one step of the same cell, all of them in parallel: the step
    reads a learned embedding of the segment's position and, where F > 0, a dense map of what is known of its S rows. A
    dense head makes S rows of it, and the rows past N are cut off. A window whose T is no multiple of S is filled up
    with zeros in front.

    The paper forecasts every column by itself, with the same weights: put the columns into the batch, D = 1. What tells
    columns apart there, an embedding of the column, is here a constant feature of the rows ahead, such as 1 for the
    column and 0 for the others: its dense map is that embedding. In the paper position and column have half of the H
    features each; here they are added.

    Args:
      cell: name of a cell, such as ``"gru"``, which the paper uses.
      hidden_size: H.
      segment: S.
      horizon: N.
      outputs: O.
      dropout: rate at which the decoded features are dropped before the head, by themselves for each segment.
    """

    cell: str
    hidden_size: int
    segment: int
    horizon: int
    outputs: int = 1
    dropout: float = 0.0

    def __post_init__(self):
        check_one_of(self, "cell", tuple(INITIALISERS))
        check_at_least_one(self, "hidden_size", "segment", "horizon", "outputs")
        check_rate(self, "dropout")

    @property
    def steps(self) -> int:
        """M, the segments ahead."""
        return -(-self.horizon // self.segment)


Horizon = Direct | Decoder | Segments


def _recurrent_layers(layers: tuple[Any, ...]) -> Any:
    for layer in layers:
        if isinstance(layer, Recurrent):
            yield layer
        yield from _recurrent_layers(getattr(layer, "layers", ()))


def _started(layer: Any) -> Any:
    """The layer without a learned initial state: it is always given one."""
    if isinstance(layer, Residual):
        return replace(layer, layers=tuple(_started(inner) for inner in layer.layers))
    return replace(layer, learn_initial_state=False) if isinstance(layer, Recurrent) else layer


# ---------------------------------------------------------------- fresh weights


def init_horizon(rng, description: Horizon, input_size: int, ahead_size: int, dtype: Any = np.float32) -> HorizonParams:
    """Fresh weights, drawn in the order of their fields from one generator.

    Args:
      rng: a seed or a ``np.random.Generator``.
      description: :class:`Direct`, :class:`Decoder` or :class:`Segments`.
      input_size: D.
      ahead_size: F, 0 where nothing is known of the rows ahead.
      dtype: of every array.
    """
    rng = generator(rng)
    match description:
        case Direct():
            _check_nothing_ahead(ahead_size)
            return init_network(rng, description.network, input_size, dtype)
        case Decoder():
            encoder, _ = init_layers(rng, description.encoder, input_size, dtype)
            decoder, width = init_layers(rng, description.decoder, ahead_size + 1, dtype)
            return DecoderParams(encoder, decoder, init_dense(rng, width, description.outputs, dtype))
        case Segments(cell=cell, hidden_size=H, segment=S):
            return SegmentsParams(
                embedding=init_dense(rng, S * input_size, H, dtype),
                cell=INITIALISERS[cell](rng, H, H, dtype),
                position=rng.standard_normal((description.steps, H)).astype(dtype),
                ahead=init_dense(rng, S * ahead_size, H, dtype) if ahead_size else (),
                head=init_dense(rng, H, S * description.outputs, dtype),
            )
    raise TypeError(f"description is a {type(description).__name__}; expected Direct, Decoder or Segments")


# ---------------------------------------------------------------- checks


def check_horizon(description: Horizon, xs: Array, ahead: Array) -> None:
    """Raises a ValueError or TypeError unless xs (T, B, D) and ahead (N, B, F) are what the description reads."""
    if not isinstance(description, Horizon):
        raise TypeError(f"description is a {type(description).__name__}; expected Direct, Decoder or Segments")
    if xs.ndim != 3 or not xs.shape[0]:
        raise ValueError(f"xs has shape {tuple(xs.shape)}; expected time-major (T, B, D) with T of at least 1")
    N, B = description.horizon, xs.shape[1]
    if ahead.ndim != 3 or tuple(ahead.shape[:2]) != (N, B):
        raise ValueError(
            f"ahead has shape {tuple(ahead.shape)}; expected time-major (N, B, F) with N = {N}, the horizon, and "
            f"B = {B} of xs (F = 0 where nothing is known of the rows ahead)"
        )
    for name, array in (("xs", xs), ("ahead", ahead)):
        if array.dtype.kind in "biu":
            raise TypeError(f"{name} holds {array.dtype}; expected floating point")
    if xs.dtype != ahead.dtype and "c" not in (xs.dtype.kind, ahead.dtype.kind):
        raise TypeError(f"xs holds {xs.dtype} and ahead {ahead.dtype}; expected the same, or one would be converted")
    if isinstance(description, Direct):
        _check_nothing_ahead(ahead.shape[2])


def check_ahead(params: SegmentsParams, ahead: Array) -> None:
    """Raises a ValueError unless the weights are made for as many features of the rows ahead as there are."""
    if bool(params.ahead) != bool(ahead.shape[2]):
        wanted = "F of at least 1, which its weights read" if params.ahead else "F = 0: its weights read none"
        raise ValueError(f"ahead has shape {tuple(ahead.shape)}; expected (N, B, F) with {wanted}")


def _check_nothing_ahead(ahead_size: int) -> None:
    if ahead_size:
        raise ValueError(
            f"F is {ahead_size}, but Direct reads no features of the rows ahead; "
            "expected F = 0: use Decoder or Segments"
        )
