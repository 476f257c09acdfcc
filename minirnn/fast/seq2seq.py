"""An encoder-decoder from symbols to symbols in JAX (Q1-Q5). The derivatives come from JAX.

The encoder reads the source; its final states, bridged or as they are, are the decoder's first ones. The decoder is fed
one target symbol at a time and gives logits for the next. With attention each output of the decoder asks all outputs of
the encoder, after the recurrence and not inside it (Luong et al. 2015, without input feeding): so all steps can be
asked at once where the symbols that are fed are known.

Dimension letters: S source steps, T target steps, B batch, E embedding size, H hidden size, K size of the encoder's
outputs, V target symbols.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from minirnn import search
from minirnn.equations import numbered
from minirnn.fast import attention, layers, losses, recurrent
from minirnn.fast.cells import CELLS
from minirnn.fast.network import as_key
from minirnn.params import (
    Encoded,
    EncoderDecoder,
    EncoderDecoderParams,
    RecurrentParams,
    check_lengths,
    check_symbols,
    init_encoder_decoder,
    map_state,
    state_of,
    state_parts,
)


def init(rng, description: EncoderDecoder, dtype=np.float32) -> EncoderDecoderParams:
    """Fresh weights: embeddings, encoder, bridge, decoder, attention and output, drawn from one generator."""
    return init_encoder_decoder(rng, description, dtype)


# ---------------------------------------------------------------- forward


@numbered("Q1-Q2")
def encode(description: EncoderDecoder, params: EncoderDecoderParams, source, lengths=None, dropout_key=None):
    """Source (S, B) of symbols, lengths (B,) -> Encoded (outputs (S, B, K), mask, first states of the decoder).

    What stands in the padding changes nothing. A source of length 0 leaves the decoder with states of zero (bridged or
    as they are) and nothing to attend to. The key is that of :func:`forward`.
    """
    key = as_key(dropout_key)
    source, mask = _clean(source, lengths, "source", description.source_vocabulary, description.pad)
    xs = _embed(params.source_embedding, source)  # (S, B, E)
    states = []
    for index, weights in enumerate(params.encoder):
        layer = RecurrentParams(weights, ())
        xs = _dropped(description, xs, key, index)
        xs, final = recurrent.forward(description.encoder_layer, layer, xs, None, lengths)  # (S, B, K)
        if description.bidirectional:
            final = map_state(lambda *parts: jnp.concatenate(parts, axis=-1), *final)  # (B, 2H) for each part
        states.append(_bridge(params.bridge[index], final) if params.bridge else final)
    return Encoded(xs, mask, tuple(states))


@numbered("Q1, Q3-Q5")
def step(description: EncoderDecoder, params: EncoderDecoderParams, symbols, states, encoded: Encoded):
    """One step of the decoder. symbols (B,), states, encoded -> logits (B, V), states, attention weights (B, S)."""
    cell = CELLS[description.cell]
    xs = _embed(params.target_embedding, symbols)  # (B, E)
    new_states = []
    for layer, state in zip(params.decoder, states):
        xs, state = cell.step(layer, xs, state)
        new_states.append(state)
    p, weights = _head(params, xs, encoded)
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
    """From source (S, B), target_in (T, B) -> logits (T, B, V). ``logits[t]`` are for the symbol after target_in[t].

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
      dropout_key: as in :func:`minirnn.fast.network.forward`; None drops nothing.

    The choice of a symbol has no derivative: gradients take what was fed as given. Compiled code cannot raise: there a
    symbol beyond the vocabulary makes the logits NaN.

    >>> description = EncoderDecoder(source_vocabulary=9, target_vocabulary=8, attention="dot")
    >>> forward(description, init(0, description), [[3, 4], [5, 0]], [2, 1], [[1, 1], [6, 7], [7, 2]]).shape
    (3, 2, 8)
    """
    symbols, mask = _clean(target_in, target_lengths, "target_in", description.target_vocabulary, description.pad)
    key = as_key(dropout_key)
    encoded = encode(description, params, source, source_lengths, key)
    _check_batch(encoded, symbols, forced)
    if forced is not None:
        whole = encoded if key is None else encode(description, params, source, source_lengths)
        symbols = _fed(description, params, symbols, jnp.asarray(forced), whole)
    cell = CELLS[description.cell]
    xs = _embed(params.target_embedding, symbols)  # (T, B, E)
    for index, (layer, state) in enumerate(zip(params.decoder, encoded.states), description.num_layers):
        xs = _dropped(description, xs, key, index)
        xs, _ = cell.forward(layer, xs, state, save=description.save, products=description.products)
    p, _ = _head(params, xs, encoded)
    return p if mask is None else jnp.where(mask[:, :, None], p, 0)


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
    """Mean cross-entropy of the target's symbols, the end included -> loss.

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
    target = jnp.asarray(target)
    logits = forward(
        description,
        params,
        source,
        source_lengths,
        decoder_inputs(description, target),
        target_lengths,
        forced,
        dropout_key,
    )
    weight = None if target_lengths is None else jnp.arange(len(target))[:, None] < jnp.asarray(target_lengths)
    return losses.softmax_cross_entropy(logits, target, weight)


def decoder_inputs(description: EncoderDecoder, target):
    """What the decoder is fed to write a target (T, B): the start symbol, then the target but for its last (T, B).

    >>> decoder_inputs(EncoderDecoder(9, 9), np.array([[5], [7], [2]])).T
    Array([[1, 5, 7]], dtype=int32)
    """
    target = jnp.asarray(target)
    return jnp.concatenate([jnp.full_like(target[:1], description.start), target[:-1]])


# ---------------------------------------------------------------- writing


def greedy(description: EncoderDecoder, params: EncoderDecoderParams, source, source_lengths, max_length: int):
    """The likeliest symbol at every step -> symbols (T, B), lengths (B,), attention weights (T, B, S).

    T is ``max_length``. Lengths count the end symbol, where it came; after it stand pad symbols and weights of zero.
    The weights are None without attention.
    """
    source, source_lengths = _checked(description, source, source_lengths)
    return _greedy(description, max_length, params, source, source_lengths)


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
    """The best sequences that a beam finds -> symbols (T, B), lengths (B,), scores (B,), as NumPy arrays.

    Lengths and padding are those of :func:`greedy`; the search is that of :func:`minirnn.search.beam_search`.
    """
    source, source_lengths = _checked(description, source, source_lengths)
    encoded = _encode(description, beam, params, source, source_lengths)
    return search.beam_search(
        lambda symbols, states: _step(description, params, symbols, states, encoded)[:2],
        encoded.states,
        source.shape[1],
        start=description.start,
        end=description.end,
        pad=description.pad,
        max_length=max_length,
        beam=beam,
        length_penalty=length_penalty,
    )


def _checked(description, source, lengths):
    """Source and lengths as arrays, checked before compiled code, which cannot raise."""
    source, _ = _clean(source, lengths, "source", description.source_vocabulary, description.pad)
    return source, None if lengths is None else jnp.asarray(lengths)


_step = jax.jit(step, static_argnums=0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(description, beam, params, source, lengths):
    """:func:`encode`, each sequence ``beam`` times side by side."""
    encoded = encode(description, params, source, lengths)
    return Encoded(
        jnp.repeat(encoded.outputs, beam, axis=1),
        None if encoded.mask is None else jnp.repeat(encoded.mask, beam, axis=1),
        jax.tree.map(lambda part: jnp.repeat(part, beam, axis=0), encoded.states),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _greedy(description, max_length, params, source, source_lengths):
    encoded = encode(description, params, source, source_lengths)
    S, B, _ = encoded.outputs.shape
    symbols, lengths = jnp.full((max_length, B), description.pad), jnp.zeros(B, int)
    weights = jnp.zeros((max_length, B, S), encoded.outputs.dtype)

    def unfinished(carry):
        t, _, _, writing, *_ = carry
        return (t < max_length) & writing.any()

    def one_step(carry):
        t, last, states, writing, symbols, lengths, weights = carry
        p, states, a = step(description, params, last, states, encoded)
        last = jnp.where(writing, p.argmax(axis=-1), description.pad)
        symbols = symbols.at[t].set(last)
        if a is not None:
            weights = weights.at[t].set(jnp.where(writing[:, None], a, 0))
        return t + 1, last, states, writing & (last != description.end), symbols, lengths + writing, weights

    carry = (0, jnp.full(B, description.start), encoded.states, jnp.full(B, True), symbols, lengths, weights)
    *_, symbols, lengths, weights = lax.while_loop(unfinished, one_step, carry)
    return symbols, lengths, None if description.attention is None else weights


# ---------------------------------------------------------------- the parts


def _embed(embedding, symbols):
    x = jnp.take(embedding, symbols, axis=0)  # (..., E), NaN beyond the vocabulary  Q1
    return x


def _dropped(description, xs, key, index):
    """What a layer reads (T, B, D), some of its features dropped in all steps; layers count from the encoder's."""
    if key is None or not description.dropout:
        return xs
    scale = recurrent.dropout_scale(recurrent.fold_in(key, index), xs.shape[1:], description.dropout, xs.dtype)
    return layers.dropout(xs, scale)


def _bridge(dense, state):
    """Each part s (B, K) of the encoder's final state becomes a part (B, H) of the decoder's first."""
    parts = [jnp.tanh(s @ W + b) for s, (W, b) in zip(state_parts(state), dense)]  # Q2
    return state_of(parts, state)


def _head(params, h, encoded):
    """Decoder outputs h (..., B, H) -> logits (..., B, V), attention weights (..., B, S)."""
    weights, o = None, h
    if params.combine:
        context, weights = attention.forward(params.attention, h, encoded.outputs, encoded.outputs, encoded.mask)
        j = jnp.concatenate([context, h], axis=-1)  # (..., B, K + H)  Q3
        o = jnp.tanh(j @ params.combine.W + params.combine.b)  # Q4
    p = o @ params.output.W + params.output.b  # Q5
    return p, weights


def _clean(symbols, lengths, name, vocabulary, pad):
    """The symbols (T, B), checked, with pad past the lengths; and the mask (T, B), None without lengths."""
    symbols, mask = jnp.asarray(symbols), None
    check_symbols(symbols, name, vocabulary, values=False)
    if lengths is not None:
        traced = isinstance(lengths, jax.core.Tracer)
        T, B = symbols.shape
        check_lengths(lengths if traced else np.asarray(lengths), T, B, values=not traced)
        mask = jnp.arange(len(symbols))[:, None] < jnp.asarray(lengths)
        symbols = jnp.where(mask, symbols, pad)
    if not isinstance(symbols, jax.core.Tracer):
        check_symbols(np.asarray(symbols), name, vocabulary)
    return symbols, mask


def _check_batch(encoded, symbols, forced):
    B = encoded.outputs.shape[1]
    if symbols.shape[1] != B:
        raise ValueError(f"target_in has shape {symbols.shape}; expected (T, B) with B = {B} of the source")
    if forced is not None and (np.shape(forced) != symbols.shape or jnp.asarray(forced).dtype.kind != "b"):
        raise ValueError(f"forced is {jnp.asarray(forced).dtype} {np.shape(forced)}; expected bool {symbols.shape}")


def _fed(description, params, target_in, forced, encoded):
    """What the decoder is fed (T, B): target_in where that is forced, else its own likeliest symbol."""

    def one_step(carry, following):
        last, states = carry
        target, is_forced = following
        p, states, _ = step(description, params, last, states, encoded)
        last = jnp.where(is_forced, target, p.argmax(axis=-1))
        return (last, states), last

    params, encoded = lax.stop_gradient((params, encoded))  # a choice has no derivative
    _, fed = lax.scan(one_step, (target_in[0], encoded.states), (target_in[1:], forced[1:]))
    return jnp.concatenate([target_in[:1], fed])
