"""An encoder-decoder from symbols to symbols in NumPy, forward (Q1-Q5) and backward (Q6-Q14) by hand.

The encoder reads the source; its final states, bridged or as they are, are the decoder's first ones. The decoder is fed
one target symbol at a time and gives logits for the next. With attention each output of the decoder asks all outputs of
the encoder, after the recurrence and not inside it (Luong et al. 2015, without input feeding): so all steps can be
asked at once where the symbols that are fed are known.

Dimension letters: S source steps, T target steps, B batch, E embedding size, H hidden size, K size of the encoder's
outputs, V target symbols.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random, search
from minirnn.equations import numbered
from minirnn.params import (
    Array,
    DenseParams,
    Directions,
    Encoded,
    EncoderDecoder,
    EncoderDecoderParams,
    RecurrentParams,
    State,
    check_lengths,
    check_symbols,
    init_encoder_decoder,
    map_state,
    state_of,
    state_parts,
)
from minirnn.readable import attention, layers, losses, recurrent
from minirnn.readable.cells import CELLS
from minirnn.readable.network import as_key


class EncoderCache(NamedTuple):
    """What the backward pass needs from :func:`encode`."""

    source: Array  # (S, B), padding replaced by the pad symbol
    lengths: Array | None
    layers: list[Any]  # a recurrent layer's cache for each
    scales: list[Any]  # of what each layer reads; None where nothing is dropped
    outputs: Array  # (S, B, K)
    finals: list[State]  # the encoder's final state of each layer, before the bridge
    states: tuple[State, ...]  # after it


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    description: EncoderDecoder
    params: EncoderDecoderParams
    encoder: EncoderCache
    symbols: Array  # (T, B), what the decoder was fed
    mask: Array | None  # (T, B, 1), True on real target steps
    decoder: list[Any]  # a cell's cache for each layer
    scales: list[Any]  # of what each of them reads
    attention: Any  # None without
    joined: Array  # (T, B, K + H) context and decoder output; the output alone without attention
    o: Array  # (T, B, H) attentional output
    weights: Array | None  # (T, B, S) attention weights


def init(rng, description: EncoderDecoder, dtype=np.float32) -> EncoderDecoderParams:
    """Fresh weights: embeddings, encoder, bridge, decoder, attention and output, drawn from one generator."""
    return init_encoder_decoder(rng, description, dtype)


# ---------------------------------------------------------------- forward


@numbered("Q1-Q2")
def encode(description: EncoderDecoder, params: EncoderDecoderParams, source, lengths=None, dropout_key=None):
    """Source (S, B) of symbols, lengths (B,) -> Encoded (outputs (S, B, K), mask, first states of the decoder), cache.

    What stands in the padding changes nothing. A source of length 0 leaves the decoder with states of zero (bridged or
    as they are) and nothing to attend to. The key is that of :func:`forward`.
    """
    key = as_key(dropout_key)
    source = np.asarray(source)
    lengths = None if lengths is None else np.asarray(lengths)
    source, mask = _clean(source, lengths, "source", description.source_vocabulary, description.pad)
    xs = _embed(params.source_embedding, source)  # (S, B, E)
    finals, states, caches, scales = [], [], [], []
    for index, weights in enumerate(params.encoder):
        layer = RecurrentParams(weights, ())
        xs, scale = _dropped(description, xs, key, index)
        scales.append(scale)
        xs, final, cache = recurrent.forward(description.encoder_layer, layer, xs, None, lengths)  # (S, B, K)
        if description.bidirectional:
            final = map_state(lambda *parts: np.concatenate(parts, axis=-1), *final)  # (B, 2H) for each part
        finals.append(final)
        states.append(_bridge(params.bridge[index], final) if params.bridge else final)
        caches.append(cache)
    return Encoded(xs, mask, tuple(states)), EncoderCache(source, lengths, caches, scales, xs, finals, tuple(states))


@numbered("Q1, Q3-Q5")
def step(description: EncoderDecoder, params: EncoderDecoderParams, symbols, states, encoded: Encoded):
    """One step of the decoder. symbols (B,), states, encoded -> logits (B, V), states, attention weights (B, S)."""
    cell = CELLS[description.cell]
    xs = _embed(params.target_embedding, symbols)  # (B, E)
    new_states = []
    for layer, state in zip(params.decoder, states):
        xs, state, _ = cell.step(layer, xs, state)
        new_states.append(state)
    p, weights, _ = _head(params, xs, encoded)
    return p, tuple(new_states), weights


@numbered("Q1-Q5")
def forward(
    description: EncoderDecoder,
    params: EncoderDecoderParams,
    source,
    source_lengths,
    target_in,
    target_lengths=None,
    forced=None,
    dropout_key=None,
):
    """From source (S, B), target_in (T, B) to logits (T, B, V), cache; ``logits[t]`` is for what follows target_in[t].

    Args:
      description: of the network.
      params: weights.
      source: symbols, time-major.
      source_lengths: integers (B,) from 0 to S, or None.
      target_in: what the decoder is fed: the start symbol, then the target but for its last (:func:`decoder_inputs`).
      target_lengths: integers (B,) from 0 to T, or None; past them logits are zero.
      forced: bool (T, B), from ``minirnn.params.teacher_forcing_mask``; where it is False the decoder is fed its own
        likeliest symbol of the step before, and not target_in. At step 0 it is always fed target_in. None is True.
        That symbol is chosen without dropout.
      dropout_key: as in :func:`minirnn.readable.network.forward`; None drops nothing.

    The choice of a symbol has no derivative: gradients take what was fed as given.

    >>> description = EncoderDecoder(source_vocabulary=9, target_vocabulary=8, attention="dot")
    >>> params = init(0, description)
    >>> logits, cache = forward(description, params, [[3, 4], [5, 0]], [2, 1], [[1, 1], [6, 7], [7, 2]])
    >>> logits.shape, cache.weights[0, 1]
    ((3, 2, 8), array([1., 0.], dtype=float32))
    """
    target_in = np.asarray(target_in)
    target_lengths = None if target_lengths is None else np.asarray(target_lengths)
    symbols, mask = _clean(target_in, target_lengths, "target_in", description.target_vocabulary, description.pad)
    key = as_key(dropout_key)
    encoded, encoder_cache = encode(description, params, source, source_lengths, key)
    _check_batch(encoded, symbols, forced)
    if forced is not None:
        whole = encoded if key is None else encode(description, params, source, source_lengths)[0]
        symbols = _fed(description, params, symbols, np.asarray(forced), whole)
    cell = CELLS[description.cell]
    xs = _embed(params.target_embedding, symbols)  # (T, B, E)
    caches, scales = [], []
    for index, (layer, state) in enumerate(zip(params.decoder, encoded.states), description.num_layers):
        xs, scale = _dropped(description, xs, key, index)
        scales.append(scale)
        xs, _, cache = cell.forward(layer, xs, state)
        caches.append(cache)
    p, weights, (attention_cache, joined, o) = _head(params, xs, encoded)
    mask = None if mask is None else mask[:, :, None]
    logits = p if mask is None else np.where(mask, p, 0)
    cache = Cache(
        description, params, encoder_cache, symbols, mask, caches, scales, attention_cache, joined, o, weights
    )
    return logits, cache


def loss(
    description: EncoderDecoder,
    params: EncoderDecoderParams,
    source,
    source_lengths,
    target,
    target_lengths,
    forced=None,
    dropout_key=None,
):
    """Mean cross-entropy of the target's symbols, the end included -> loss, dparams.

    Args:
      description: of the network.
      params: weights.
      source: symbols (S, B).
      source_lengths: integers (B,), or None.
      target: symbols (T, B), each sequence closed by the end symbol.
      target_lengths: integers (B,), the end counted; what stands past it changes nothing. None where all are full.
      forced: as in :func:`forward`.
      dropout_key: as in :func:`forward`.
    """
    target = np.asarray(target)
    logits, cache = forward(
        description,
        params,
        source,
        source_lengths,
        decoder_inputs(description, target),
        target_lengths,
        forced,
        dropout_key,
    )
    weight = None if cache.mask is None else cache.mask[:, :, 0]
    value, dlogits = losses.softmax_cross_entropy(logits, target, weight)
    return value, backward(dlogits, cache)


def decoder_inputs(description: EncoderDecoder, target):
    """What the decoder is fed to write a target (T, B): the start symbol, then the target but for its last (T, B).

    >>> decoder_inputs(EncoderDecoder(9, 9), np.array([[5], [7], [2]])).T
    array([[1, 5, 7]])
    """
    target = np.asarray(target)
    return np.concatenate([np.full_like(target[:1], description.start), target[:-1]])


# ---------------------------------------------------------------- writing


def greedy(description: EncoderDecoder, params: EncoderDecoderParams, source, source_lengths, max_length: int):
    """The likeliest symbol at every step -> symbols (T, B), lengths (B,), attention weights (T, B, S).

    T is ``max_length``. Lengths count the end symbol, where it came; after it stand pad symbols and weights of zero.
    The weights are None without attention.
    """
    encoded, _ = encode(description, params, source, source_lengths)
    S, B, _ = encoded.outputs.shape
    symbols, lengths = np.full((max_length, B), description.pad), np.zeros(B, int)
    weights = np.zeros((max_length, B, S), encoded.outputs.dtype)
    last, states, writing = np.full(B, description.start), encoded.states, np.full(B, True)
    for t in range(max_length):
        p, states, a = step(description, params, last, states, encoded)
        last = np.where(writing, p.argmax(axis=-1), description.pad)
        symbols[t] = last
        if a is not None:
            weights[t] = np.where(writing[:, None], a, 0)
        lengths += writing
        writing &= last != description.end
        if not writing.any():
            break
    return symbols, lengths, None if description.attention is None else weights


def beam_search(
    description: EncoderDecoder,
    params: EncoderDecoderParams,
    source,
    source_lengths,
    max_length: int,
    *,
    beam: int = 4,
    length_penalty: float = 0.6,
):
    """The best sequences that a beam finds -> symbols (T, B), lengths (B,), scores (B,).

    Lengths and padding are those of :func:`greedy`; the search is that of :func:`minirnn.search.beam_search`.
    """
    encoded, _ = encode(description, params, source, source_lengths)
    B = encoded.outputs.shape[1]
    encoded = Encoded(
        np.repeat(encoded.outputs, beam, axis=1),
        None if encoded.mask is None else np.repeat(encoded.mask, beam, axis=1),
        tuple(map_state(lambda part: np.repeat(part, beam, axis=0), state) for state in encoded.states),
    )
    return search.beam_search(
        lambda symbols, states: step(description, params, symbols, states, encoded)[:2],
        encoded.states,
        B,
        start=description.start,
        end=description.end,
        pad=description.pad,
        max_length=max_length,
        beam=beam,
        length_penalty=length_penalty,
    )


# ---------------------------------------------------------------- backward


@numbered("Q6-Q14")
def backward(dlogits, cache: Cache) -> EncoderDecoderParams:
    """Gradients with respect to all weights: dlogits (T, B, V) -> dparams."""
    cell, params = CELLS[cache.description.cell], cache.params
    dp = np.asarray(dlogits)
    if dp.shape[:2] != cache.symbols.shape:
        raise ValueError(f"dlogits has shape {dp.shape}; expected (T, B, V) with (T, B) = {cache.symbols.shape}")
    dp = dp if cache.mask is None else np.where(cache.mask, dp, 0)

    # The output, and the attention.
    do = dp @ params.output.W.T  # (T, B, H)  Q6
    doutput = _dense_gradient(cache.o, dp)  # Q7
    dcombine: Any = ()
    dattention: Any = ()
    dys, dencoded = do, np.zeros_like(cache.encoder.outputs)
    if cache.attention is not None:
        dz = do * (1 - cache.o**2)  # Q8
        dj = dz @ params.combine.W.T  # (T, B, K + H)  Q9
        dcombine = _dense_gradient(cache.joined, dz)  # Q10
        K = dj.shape[-1] - do.shape[-1]
        dattention, dqueries, dkeys, dvalues = attention.backward(dj[..., :K], None, cache.attention)
        dys, dencoded = dj[..., K:] + dqueries, dkeys + dvalues  # the encoder's outputs are keys and values

    # The decoder, last layer first.
    ddecoder: list[Any] = []
    dstates: list[Any] = []
    for layer_cache, scale in zip(reversed(cache.decoder), reversed(cache.scales)):
        dlayer, dys, dstate0 = cell.backward(dys, None, layer_cache)
        dys = _dropped_backward(dys, scale)
        ddecoder.insert(0, dlayer)
        dstates.insert(0, dstate0)
    dtarget_embedding = _embedding_gradient(params.target_embedding, cache.symbols, dys)

    # The bridge.
    dbridge: list[Any] = []
    if params.bridge:
        for index, dense in enumerate(params.bridge):
            dlayer, dstates[index] = _bridge_backward(
                dense, dstates[index], cache.encoder.finals[index], cache.encoder.states[index]
            )
            dbridge.append(dlayer)

    # The encoder.
    dencoder, dxs = _encoder_backward(dencoded, dstates, cache.encoder)
    return EncoderDecoderParams(
        source_embedding=_embedding_gradient(params.source_embedding, cache.encoder.source, dxs),
        encoder=dencoder,
        bridge=tuple(dbridge),
        target_embedding=dtarget_embedding,
        decoder=tuple(ddecoder),
        attention=dattention,
        combine=dcombine,
        output=doutput,
    )


def _encoder_backward(dys, dfinals, cache):
    """Gradients of the layers, and dxs (S, B, E), from dys (S, B, K) and dfinals of each layer."""
    dlayers: list[Any] = []
    for layer, scale, dfinal in zip(reversed(cache.layers), reversed(cache.scales), reversed(dfinals)):
        if layer.layer.bidirectional:
            H = dys.shape[-1] // 2
            dfinal = Directions(*(map_state(lambda d: d[:, half], dfinal) for half in (slice(H), slice(H, None))))
        dlayer, dys, _ = recurrent.backward(dys, dfinal, layer)
        dys = _dropped_backward(dys, scale)
        dlayers.insert(0, dlayer.weights)
    return tuple(dlayers), dys


# ---------------------------------------------------------------- the parts


def _embed(embedding, symbols):
    x = embedding[symbols]  # (..., E)  Q1
    return x


def _embedding_gradient(embedding, symbols, dx):
    """Each row receives from every place where its symbol stood."""
    dembedding = np.zeros(embedding.shape, dx.dtype)
    np.add.at(dembedding, symbols, dx)  # Q14
    return dembedding


def _dropped(description, xs, key, index):
    """What a layer reads (T, B, D), some features dropped in all steps, and their scale (B, D) or None."""
    if key is None or not description.dropout:
        return xs, None
    key = random.fold_in(key, index)
    return layers.dropout(xs, recurrent.dropout_scale(key, xs.shape[1:], description.dropout, xs.real.dtype))


def _dropped_backward(dys, scale):
    return dys if scale is None else layers.dropout_backward(dys, scale)


def _bridge(dense, state):
    """Each part s (B, K) of the encoder's final state becomes a part (B, H) of the decoder's first."""
    parts = [np.tanh(s @ W + b) for s, (W, b) in zip(state_parts(state), dense)]  # Q2
    return state_of(parts, state)


def _bridge_backward(dense, dstate, final, state):
    dlayer, ds = [], []
    for (W, _), dh, s, h in zip(dense, state_parts(dstate), state_parts(final), state_parts(state)):
        dz = dh * (1 - h**2)  # Q11
        ds.append(dz @ W.T)  # Q12
        dlayer.append(_dense_gradient(s, dz))  # Q13
    return tuple(dlayer), state_of(ds, dstate)


def _head(params, h, encoded):
    """Decoder outputs h (..., B, H) -> logits (..., B, V), attention weights (..., B, S), what backward needs."""
    j, weights, cache, o = h, None, None, h
    if params.combine:
        context, weights, cache = attention.forward(params.attention, h, encoded.outputs, encoded.outputs, encoded.mask)
        j = np.concatenate([context, h], axis=-1)  # (..., B, K + H)  Q3
        o = np.tanh(j @ params.combine.W + params.combine.b)  # Q4
    p = o @ params.output.W + params.output.b  # Q5
    return p, weights, (cache, j, o)


def _dense_gradient(inputs, dz):
    """The gradients of W and b of ``inputs @ W + b``, summed over all steps and sequences."""
    inputs, dz = (array.reshape(-1, array.shape[-1]) for array in (inputs, dz))
    return DenseParams(W=inputs.T @ dz, b=dz.sum(axis=0))


def _clean(symbols, lengths, name, vocabulary, pad):
    """The symbols (T, B), checked, with pad past the lengths; and the mask (T, B), None without lengths."""
    check_symbols(symbols, name, vocabulary, values=False)
    mask = None
    if lengths is not None:
        check_lengths(lengths, *symbols.shape)
        mask = np.arange(len(symbols))[:, None] < lengths
        symbols = np.where(mask, symbols, pad)
    check_symbols(symbols, name, vocabulary)
    return symbols, mask


def _check_batch(encoded, symbols, forced):
    B = encoded.outputs.shape[1]
    if symbols.shape[1] != B:
        raise ValueError(f"target_in has shape {symbols.shape}; expected (T, B) with B = {B} of the source")
    if forced is not None and (np.shape(forced) != symbols.shape or np.asarray(forced).dtype.kind != "b"):
        raise ValueError(f"forced is {np.asarray(forced).dtype} {np.shape(forced)}; expected bool {symbols.shape}")


def _fed(description, params, target_in, forced, encoded):
    """What the decoder is fed (T, B): target_in where that is forced, else its own likeliest symbol."""
    fed, states = target_in.copy(), encoded.states
    for t in range(len(fed) - 1):
        p, states, _ = step(description, params, fed[t], states, encoded)
        fed[t + 1] = np.where(forced[t + 1], target_in[t + 1], p.real.argmax(axis=-1))
    return fed
