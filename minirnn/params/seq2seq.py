"""Attention and encoder-decoders: descriptions, named weights, fresh ones, and checks of what callers pass.

Dimension letters: S source steps, T target steps, B batch, E embedding size, H hidden size; Q, K, V sizes of a query, a
key and a value, A size of the additive attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.params.cells import STATES, Array, Directions, Params, State
from minirnn.params.initialisers import INITIALISERS, generator, glorot_uniform
from minirnn.params.networks import PRODUCTS, SAVE, DenseParams, Recurrent, init_dense, init_embedding

# ---------------------------------------------------------------- attention


class DotAttentionParams(NamedTuple):
    """Dot-product attention has no weights; this type only says which kind it is."""


class BilinearAttentionParams(NamedTuple):
    """Weights of bilinear attention: the score of q and k is ``q W kᵀ``."""

    W: Array  # (Q, K)


class AdditiveAttentionParams(NamedTuple):
    """Weights of additive attention: the score of q and k is ``tanh(q Wq + k Wk + b) vᵀ``."""

    Wq: Array  # (Q, A)
    Wk: Array  # (K, A)
    b: Array  # (A,)
    v: Array  # (A,)


AttentionParams = DotAttentionParams | BilinearAttentionParams | AdditiveAttentionParams

ATTENTIONS = ("dot", "bilinear", "additive")


def init_attention(
    rng, kind: str, query_size: int, key_size: int, size: int | None = None, dtype: Any = np.float32
) -> AttentionParams:
    """Fresh attention weights: Glorot uniform matrices, zero b. Their type says which kind of attention it is.

    Args:
      rng: seed or ``np.random.Generator``.
      kind: ``"dot"``, ``"bilinear"`` or ``"additive"``.
      query_size: Q.
      key_size: K; dot-product attention needs K = Q.
      size: A, of additive attention only; K where it is None.
      dtype: of the weights.

    >>> init_attention(0, "bilinear", query_size=3, key_size=2).W.shape
    (3, 2)
    """
    rng, Q, K = generator(rng), query_size, key_size
    if kind not in ATTENTIONS:
        raise ValueError(f"unknown attention {kind!r}; expected one of {', '.join(ATTENTIONS)}")
    if min(Q, K) < 1 or (size is not None and size < 1):
        raise ValueError(f"query_size, key_size and size must be at least 1, got {Q}, {K} and {size}")
    if size is not None and kind != "additive":
        raise ValueError(f"size was given, but only additive attention has one; kind is {kind!r}")
    if kind == "dot":
        if Q != K:
            raise ValueError(f"dot-product attention needs queries and keys of one size, got {Q} and {K}: use bilinear")
        return DotAttentionParams()
    if kind == "bilinear":
        return BilinearAttentionParams(glorot_uniform(rng, Q, K).astype(dtype))
    A = K if size is None else size
    Wq, Wk, v = (glorot_uniform(rng, *shape).astype(dtype) for shape in ((Q, A), (K, A), (1, A)))
    return AdditiveAttentionParams(Wq, Wk, np.zeros(A, dtype), v[0])


def check_attention(params: AttentionParams, queries: Array, keys: Array, values: Array, mask: Array | None) -> None:
    """Raises a ValueError or TypeError unless queries, keys, values, mask and weights fit together."""
    if queries.ndim not in (2, 3) or keys.ndim != 3 or values.ndim != 3:
        raise ValueError(
            f"queries, keys and values have shapes {tuple(queries.shape)}, {tuple(keys.shape)} and"
            f" {tuple(values.shape)}; expected (T, B, Q) or (B, Q), (S, B, K) and (S, B, V)"
        )
    S, B, K = keys.shape
    if queries.shape[-2] != B or values.shape[:2] != (S, B):
        raise ValueError(
            f"queries {tuple(queries.shape)}, keys {tuple(keys.shape)} and values {tuple(values.shape)} do not agree"
            f" with S = {S} and B = {B} of the keys; expected (T, B, Q) or (B, Q), (S, B, K) and (S, B, V)"
        )
    if isinstance(params, DotAttentionParams):
        expected = (K, K)
    elif isinstance(params, BilinearAttentionParams):
        expected = tuple(params.W.shape)
    elif isinstance(params, AdditiveAttentionParams):
        expected = (params.Wq.shape[0], params.Wk.shape[0])
    else:
        raise TypeError(f"params is a {type(params).__name__}; expected attention weights, from init")
    if (queries.shape[-1], K) != expected:
        raise ValueError(f"queries and keys have sizes {(queries.shape[-1], K)}; expected (Q, K) = {expected}")
    for name, array in (("queries", queries), ("keys", keys), ("values", values)):
        if array.dtype.kind in "biu":
            raise TypeError(f"{name} holds {array.dtype}; expected floating point")
    if mask is not None and (tuple(mask.shape) != (S, B) or mask.dtype.kind != "b"):
        raise ValueError(
            f"mask is {mask.dtype} {tuple(mask.shape)}; expected bool (S, B) = ({S}, {B}), True on real steps"
        )


# ---------------------------------------------------------------- encoder-decoder


@dataclass(frozen=True)
class EncoderDecoder:
    """Description of an encoder-decoder from sequences of symbols to sequences of symbols.

    Args:
      source_vocabulary: how many source symbols there are, ``pad`` among them.
      target_vocabulary: how many target symbols there are; ``start``, ``end`` and ``pad`` among them.
      cell: of the encoder and of the decoder; a key of ``CELLS``.
      hidden_size: H, units of each layer and direction.
      embedding_size: E, numbers that stand for a symbol.
      num_layers: layers of the encoder, and of the decoder.
      bidirectional: whether each layer of the encoder reads in both directions (then it needs a bridge).
      bridge: whether each part of the encoder's final state passes a dense layer and a tanh on its way to the decoder.
      attention: None, ``"dot"``, ``"bilinear"`` or ``"additive"``.
      dropout: rate, of embeddings and between layers; one mask for all steps of a sequence (Gal & Ghahramani 2016).
      start: the symbol that the decoder reads first.
      end: the symbol that ends a target; it counts as part of it.
      pad: what stands after the end.
      save: what the JAX half keeps of every step for the gradient, as in :class:`Recurrent`.
      products: what the JAX half rounds the factors of the recurrent layers' products to, as in :class:`Recurrent`.
    """

    source_vocabulary: int
    target_vocabulary: int
    cell: str = "lstm"
    hidden_size: int = 64
    embedding_size: int = 32
    num_layers: int = 1
    bidirectional: bool = False
    bridge: bool = False
    attention: str | None = None
    dropout: float = 0.0
    start: int = 1
    end: int = 2
    pad: int = 0
    save: str = "all"
    products: str | None = None

    def __post_init__(self):
        _check_description(self)

    @property
    def encoder_layer(self) -> Recurrent:
        """Each layer of the encoder."""
        return Recurrent(self.cell, self.hidden_size, self.bidirectional, save=self.save, products=self.products)


class EncoderDecoderParams(NamedTuple):
    """Weights of an encoder-decoder. What it does not have is the empty tuple."""

    source_embedding: Array  # (source vocabulary, E)
    encoder: tuple[Params | Directions, ...]
    bridge: tuple[tuple[DenseParams, ...], ...]  # for each layer, for each part of the state
    target_embedding: Array  # (target vocabulary, E)
    decoder: tuple[Params, ...]
    attention: Any  # AttentionParams
    combine: Any  # DenseParams, W (K + H, H): from context and decoder output to the attentional output
    output: DenseParams  # W (H, target vocabulary)


class Encoded(NamedTuple):
    """What the encoder hands to the decoder."""

    outputs: Array  # (S, B, K), zero on padding; K is H, or 2H with two directions
    mask: Array | None  # (S, B), True on real steps; None where every step is real
    states: tuple[State, ...]  # the initial state of each layer of the decoder


def init_encoder_decoder(rng, description: EncoderDecoder, dtype: Any = np.float32) -> EncoderDecoderParams:
    """Fresh weights, as NumPy arrays, drawn in the order of the fields."""
    d = description
    rng = generator(rng)
    H, E, K = d.hidden_size, d.embedding_size, d.hidden_size * (2 if d.bidirectional else 1)

    def embedding(size):
        return init_embedding(rng, size, E, dtype).E

    def layer(input_size):
        return INITIALISERS[d.cell](rng, input_size, H, dtype)

    def encoder_layer(input_size):
        return Directions(layer(input_size), layer(input_size)) if d.bidirectional else layer(input_size)

    source_embedding = embedding(d.source_vocabulary)
    encoder = tuple(encoder_layer(E if index == 0 else K) for index in range(d.num_layers))
    parts = STATES[d.cell]._fields if d.cell in STATES else ("h",)
    bridge = tuple(tuple(init_dense(rng, K, H, dtype) for _ in parts) for _ in encoder) if d.bridge else ()
    target_embedding = embedding(d.target_vocabulary)
    decoder = tuple(layer(E if index == 0 else H) for index in range(d.num_layers))
    attention, combine = (
        ((), ())
        if d.attention is None
        else (init_attention(rng, d.attention, H, K, dtype=dtype), init_dense(rng, K + H, H, dtype))
    )
    output = init_dense(rng, H, d.target_vocabulary, dtype)
    return EncoderDecoderParams(
        source_embedding, encoder, bridge, target_embedding, decoder, attention, combine, output
    )


def _check_description(d: EncoderDecoder) -> None:
    if d.cell not in INITIALISERS:
        raise ValueError(f"unknown cell {d.cell!r}; expected one of {', '.join(INITIALISERS)}")
    if d.num_layers < 1 or d.embedding_size < 1:
        raise ValueError(f"num_layers and embedding_size must be at least 1, got {d.num_layers} and {d.embedding_size}")
    if d.bidirectional and not d.bridge:
        raise ValueError(
            "a bidirectional encoder hands over states of 2H numbers, the decoder takes H: set bridge=True"
        )
    if d.bidirectional and d.attention == "dot":
        raise ValueError("a bidirectional encoder has outputs of 2H numbers, a query has H: use bilinear attention")
    for name, known in (("save", SAVE), ("products", PRODUCTS)):
        if getattr(d, name) not in known:
            raise ValueError(f"unknown {name} {getattr(d, name)!r}; expected one of {', '.join(map(repr, known))}")
    if not 0 <= d.dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {d.dropout}")
    special = (d.pad, d.start, d.end)
    if len(set(special)) < 3 or min(special) < 0 or max(special) >= d.target_vocabulary:
        raise ValueError(f"pad, start and end must be three symbols below {d.target_vocabulary}, got {special}")
    if not 0 <= d.pad < d.source_vocabulary:
        raise ValueError(f"pad must be a source symbol below {d.source_vocabulary}, got {d.pad}")


def state_parts(state: State) -> tuple[Array, ...]:
    """The arrays of a state: h and c of an LSTM, or h alone."""
    return tuple(state) if isinstance(state, tuple) else (state,)


def state_of(parts: list[Array], like: State) -> State:
    """The state that has these parts, of the type of ``like``."""
    return type(like)(*parts) if isinstance(like, tuple) else parts[0]


def teacher_forcing_mask(rng, T: int, B: int, probability: float) -> np.ndarray:
    """Where the decoder is fed the true symbol and not its own: bool (T, B), True with this probability.

    At step 0 it is fed the start symbol in any case.

    >>> teacher_forcing_mask(0, T=3, B=4, probability=0.5).sum(axis=1)
    array([4, 4, 1])
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie between 0 and 1, got {probability}")
    # Integers are compared, not floating-point numbers: the same choice everywhere.
    bits = generator(rng).integers(0, 2**32, (T, B), dtype=np.uint64)
    forced = bits < round(probability * 2**32)
    forced[:1] = True
    return forced


def check_symbols(symbols: Array, name: str, vocabulary: int, values: bool = True) -> None:
    """Raises a TypeError or ValueError unless symbols are integers (T, B) from 0 to vocabulary - 1.

    ``values=False`` looks at shape and dtype only: inside a compiled function there are no values to look at.
    """
    if symbols.ndim != 2:
        raise ValueError(f"{name} has shape {tuple(symbols.shape)}; expected time-major (T, B) integers")
    if symbols.dtype.kind not in "iu":
        raise TypeError(f"{name} holds {symbols.dtype}; expected integers")
    if values and symbols.size and (symbols.min() < 0 or symbols.max() >= vocabulary):
        raise ValueError(f"{name} must lie between 0 and {vocabulary - 1}, got {symbols.min()} to {symbols.max()}")
