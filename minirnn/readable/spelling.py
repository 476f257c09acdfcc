"""A network that reads words, and the letters of each, in NumPy, forward and backward.

Dimension letters: T words of a sequence, B batch, E size of a word's embedding, F features, S letters of a word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import random
from minirnn.params import UNKNOWN, Spelled, SpelledParams, Spelling, check_spelling, init_spelled
from minirnn.readable import layers, network, recurrent

init = init_spelled


class Cache(NamedTuple):
    """What :func:`backward` needs from :func:`forward`."""

    spelled: Spelled
    words: Any
    letters: network.Cache
    network: network.Cache


def forward(spelled: Spelled, params: SpelledParams, values: Spelling, state=None, lengths=None, dropout_key=None):
    """Words, as their :class:`Spelling` (T, B, ...) -> outputs (B, O), or (T, B, O) of every word; final states; cache.

    Args:
      spelled: the description.
      params: weights.
      values: what there is to read of each word.
      state: initial states of the network above the words; see :func:`minirnn.readable.network.forward`.
      lengths: integers (B,); past its length a sequence counts for nothing.
      dropout_key: as of :func:`minirnn.readable.network.forward`; None drops nothing.
    """
    values = Spelling(*map(np.asarray, values))
    check_spelling(spelled, values, lengths)
    words, features, letters, counts = values
    T, B = words.shape
    if lengths is not None:
        real = np.arange(T)[:, None] < np.asarray(lengths)  # (T, B)
        words, counts = np.where(real, words, 0), np.where(real, counts, 0)
        letters, features = (np.where(real[:, :, None], array, 0) for array in (letters, features))
    key = network.as_key(dropout_key)
    if key is not None and spelled.word_dropout:
        kept = recurrent.dropout_scale(random.fold_in(key, 0), (B, T), spelled.word_dropout, np.float32)
        words = np.where(kept.T > 0, words, UNKNOWN)
    spelling, _, letters_cache = network.forward(
        spelled.letters, params.letters, letters.reshape(T * B, -1).T, None, counts.reshape(-1)
    )  # (TB, O)
    vectors, words_cache = layers.embedding(params.words, words)  # (T, B, E)
    xs = np.concatenate([vectors, features.astype(vectors.dtype), spelling.reshape(T, B, -1)], axis=-1)
    upper = None if key is None else random.fold_in(key, 1)
    outputs, final, cache = network.forward(spelled.network, params.network, xs, state, lengths, upper)
    return outputs, final, Cache(spelled, words_cache, letters_cache, cache)


def backward(doutputs, dstate, cache: Cache):
    """The gradients: doutputs like the outputs, dstate (a tuple like the states, or None) -> dparams, None, dstate0.

    The None stands for the gradient of what is read: neither symbols nor given features have one.
    """
    spelled, words, letters, above = cache
    dnetwork, dxs, dstate0 = network.backward(doutputs, dstate, above)  # dxs (T, B, E + F + O), zero on padding
    E, F = spelled.words.size, spelled.features
    dwords = layers.embedding_backward(dxs[:, :, :E], words)
    dspelling = dxs[:, :, E + F :].reshape(-1, spelled.letters.output_size)  # (TB, O)
    dletters, _, _ = network.backward(dspelling, None, letters)
    return SpelledParams(dwords, dletters, dnetwork), None, dstate0
