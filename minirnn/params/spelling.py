"""Description of a network that reads words: as themselves, as what they look like, and letter by letter.

Dimension letters: N words, T of a sequence, B batch, E size of a word's embedding, F features, S letters of a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.params.cells import Array
from minirnn.params.checks import check_features, check_lengths
from minirnn.params.initialisers import generator
from minirnn.params.networks import (
    Embedding,
    EmbeddingParams,
    Network,
    NetworkParams,
    check_at_least_one,
    check_rate,
    init_embedding,
    init_network,
)

UNKNOWN = 1  # the symbol of a word that no training has seen


class Spelling(NamedTuple):
    """What there is to read of each word: (N, ...) of words laid end to end, (T, B, ...) of a batch of sequences."""

    words: Array  # (T, B) symbols; 1 stands for a word that is not known
    features: Array  # (T, B, F) numbers
    letters: Array  # (T, B, S) symbols
    lengths: Array  # (T, B) how many of the S letters there are


@dataclass(frozen=True)
class Spelled:
    """A network over words whose vectors hold an embedding, features, and what a second network makes of the letters.

    The letters say something of words that no training has seen: a recurrent encoder reads them from both ends
    (Lample et al. 2016, arXiv 1603.01360). Words that are dropped in training become unknown ones: so the embedding of
    the unknown word is learned, and the network learns to do without the word itself.

    Args:
      words: the embedding of words.
      features: F, numbers that come with each word; 0 for none.
      letters: symbols (S, words) -> a vector of each word; such as an Embedding and a bidirectional layer that is read
        at its ends. It drops nothing.
      network: reads the vectors of a sequence, (T, B, E + F + those of the letters).
      word_dropout: rate at which words become unknown in training.
    """

    words: Embedding
    features: int
    letters: Network
    network: Network
    word_dropout: float = 0.0

    def __post_init__(self):
        if self.features:
            check_at_least_one(self, "features")
        check_rate(self, "word_dropout")
        if self.letters.read == "steps":
            raise ValueError("Spelled.letters reads 'steps'; expected one vector of each word: 'ends', 'last', ...")
        if not (self.letters.layers and isinstance(self.letters.layers[0], Embedding)):
            raise ValueError("Spelled.letters must begin with an Embedding: it reads symbols")
        if any(getattr(layer, name, 0) for layer in self.letters.layers for name in ("rate", "recurrent_dropout")):
            raise ValueError("Spelled.letters drops units; expected none: dropout belongs to Spelled.network")

    @property
    def read(self) -> str:
        """What the head of the network reads; see :class:`Network`."""
        return self.network.read

    @property
    def output_size(self) -> int:
        """O, numbers that the head gives."""
        return self.network.output_size

    @property
    def width(self) -> int:
        """D, the size of a word's vector."""
        return self.words.size + self.features + self.letters.output_size


class SpelledParams(NamedTuple):
    """Weights of a :class:`Spelled`."""

    words: EmbeddingParams
    letters: NetworkParams
    network: NetworkParams


def init_spelled(rng, spelled: Spelled, dtype: Any = np.float32) -> SpelledParams:
    """Fresh weights: of the words, of the letters, and of the network above them, drawn in that order."""
    rng = generator(rng)
    return SpelledParams(
        init_embedding(rng, spelled.words.vocabulary_size, spelled.words.size, dtype),
        init_network(rng, spelled.letters, None, dtype),
        init_network(rng, spelled.network, spelled.width, dtype),
    )


def check_spelling(spelled: Spelled, values: Spelling, lengths: Array | None) -> None:
    """Raises a ValueError unless the arrays fit each other, and the description."""
    words, features, letters, counts = values
    T, B = words.shape
    if features.shape[:2] != (T, B) or letters.shape[:2] != (T, B) or counts.shape != (T, B):
        raise ValueError(
            f"words has shape {words.shape}, features {features.shape}, letters {letters.shape}, lengths "
            f"{counts.shape}; expected (T, B), (T, B, F), (T, B, S) and (T, B)"
        )
    check_features("the description", features, spelled.features)
    if lengths is not None:
        check_lengths(np.empty(np.shape(lengths), int), T, B, values=False)
