"""A network that reads words, and the letters of each, in JAX.

Dimension letters: T words of a sequence, B batch, E size of a word's embedding, F features, S letters of a word.
"""

from __future__ import annotations

import jax.numpy as jnp

from minirnn.fast import layers, network, recurrent
from minirnn.params import UNKNOWN, Spelled, SpelledParams, Spelling, check_spelling, init_spelled

init = init_spelled


def forward(spelled: Spelled, params: SpelledParams, values: Spelling, state=None, lengths=None, dropout_key=None):
    """Words, as their :class:`Spelling` (T, B, ...) -> outputs (B, O), or (T, B, O) of every word; final states.

    Args:
      spelled: the description.
      params: weights.
      values: what there is to read of each word.
      state: initial states of the network above the words; see :func:`minirnn.fast.network.forward`.
      lengths: integers (B,); past its length a sequence counts for nothing.
      dropout_key: as of :func:`minirnn.fast.network.forward`; None drops nothing.
    """
    values = Spelling(*map(jnp.asarray, values))
    check_spelling(spelled, values, lengths)
    words, features, letters, counts = values
    T, B = words.shape
    if lengths is not None:
        real = jnp.arange(T)[:, None] < jnp.asarray(lengths)  # (T, B)
        words, counts = jnp.where(real, words, 0), jnp.where(real, counts, 0)
        letters, features = (jnp.where(real[:, :, None], array, 0) for array in (letters, features))
    key = network.as_key(dropout_key)
    if key is not None and spelled.word_dropout:
        kept = recurrent.dropout_scale(recurrent.fold_in(key, 0), (B, T), spelled.word_dropout, jnp.float32)
        words = jnp.where(kept.T > 0, words, UNKNOWN)
    spelling, _ = network.forward(
        spelled.letters, params.letters, letters.reshape(T * B, -1).T, None, counts.reshape(-1)
    )  # (TB, O)
    vectors = layers.embedding(params.words, words)  # (T, B, E)
    xs = jnp.concatenate([vectors, features.astype(vectors.dtype), spelling.reshape(T, B, -1)], axis=-1)
    upper = None if key is None else recurrent.fold_in(key, 1)
    return network.forward(spelled.network, params.network, xs, state, lengths, upper)
