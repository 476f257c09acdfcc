"""What the networks of a Tagger read: characters; or words, what they look like, and their letters.

Dimension letters: N steps of all sequences, L labels, F features, S letters of a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn.data.sequences.vocabulary import Vocabulary
from minirnn.models.sequences.reading import rounded_up
from minirnn.params import (
    Dropout,
    Embedding,
    Network,
    Recurrent,
    Spelled,
    Spelling,
    init_network,
    init_spelled,
)

LETTERS = 24  # of a longer word its first and last ones are read
_RARE = 5  # characters that occur fewer times stand for those that no training has seen
_SUFFIXES, _OFTEN = 64, 3  # endings that are features, and how many words of the training they need
_MOST_WORDS = 50_000
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Characters:
    """Texts as the symbols of their characters."""

    vocabulary: Vocabulary

    @classmethod
    def of(cls, sequences: Iterable[Any]) -> Characters:
        """What the training part knows."""
        return cls(Vocabulary.of(sequences, "characters", least=_RARE))

    def values(self, sequences: Sequence[Any]) -> np.ndarray:
        """The symbols of all steps, (N,)."""
        return self.vocabulary.encode("".join(sequences))

    def network(self, parameters: Mapping[str, Any], labels: int) -> Network:
        """The description: L numbers for each step."""
        embedding = Embedding(self.vocabulary.size, parameters["embedding_size"])
        return Network((embedding, *_layers(parameters)), labels, "steps")

    def init(self, seed: int, network: Any) -> Any:
        """Fresh weights."""
        return init_network(seed, network, None)

    def unknown(self, sequences: Sequence[Any]) -> float:
        """The share of the steps whose symbol is not known."""
        return self.vocabulary.unknown_share(self.values(sequences))

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {"characters": self.vocabulary.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Characters:
        """The reverse."""
        return cls(_vocabulary(content["characters"], "characters"))


@dataclass(frozen=True)
class Words:
    """Sentences: each word as a symbol, as features, and as its letters.

    Args:
      vocabulary: of words, in small letters and with 0 for each digit.
      letters: of their letters as they stand.
      suffixes: endings of three letters that are features.
    """

    vocabulary: Vocabulary
    letters: Vocabulary
    suffixes: tuple[str, ...]

    @classmethod
    def of(cls, sequences: Iterable[Sequence[str]]) -> Words:
        """What the training part knows."""
        tokens = [token for sequence in sequences for token in sequence]
        times = Counter(map(normal, tokens))
        known = sorted((word for word in times if _plain(word)), key=lambda word: (-times[word], word))
        letters = Vocabulary.of(tokens, "characters", least=2)
        endings = Counter(word[-3:] for word in times if len(word) > 4 and word[-3:].isalpha())
        often = sorted((e for e in endings if endings[e] >= _OFTEN), key=lambda e: (-endings[e], e))[:_SUFFIXES]
        return cls(Vocabulary("words", tuple(known[:_MOST_WORDS])), letters, tuple(often))

    def values(self, sequences: Sequence[Sequence[str]]) -> Spelling:
        """What there is to read of all steps, (N, ...)."""
        tokens = [token for sequence in sequences for token in sequence]
        kinds: dict[str, int] = {}
        which = np.array([kinds.setdefault(token, len(kinds)) for token in tokens], np.int32)
        n = len(kinds)
        words = np.array([self.vocabulary.index(normal(token)) for token in kinds], np.int32)
        features = np.array([self._features(token) for token in kinds], np.uint8).reshape(n, self._count - 1)
        # As wide as the longest word needs: the network reads all of it.
        width = min(LETTERS, rounded_up(max(map(len, kinds), default=1)))
        letters, lengths = np.zeros((n, width), np.int32), np.zeros(n, np.int32)
        for k, token in enumerate(kinds):
            read = token if len(token) <= LETTERS else token[: LETTERS // 2] + token[-(LETTERS // 2) :]
            lengths[k] = len(read)
            letters[k, : len(read)] = self.letters.encode(read)
        first = np.zeros((len(tokens), 1), np.uint8)
        starts = np.cumsum([0, *map(len, sequences)])[:-1]
        first[starts[starts < len(tokens)]] = 1
        return Spelling(words[which], np.concatenate([features[which], first], axis=1), letters[which], lengths[which])

    def network(self, parameters: Mapping[str, Any], labels: int) -> Spelled:
        """The description: L numbers for each step."""
        size = parameters["letter_size"]
        letters = Network(
            (Embedding(self.letters.size, size), Recurrent(parameters["cell"], size, True)), 2 * size, "ends"
        )
        words = Embedding(self.vocabulary.size, parameters["embedding_size"])
        above = Network(_layers(parameters), labels, "steps")
        return Spelled(words, self._count, letters, above, parameters["word_dropout"])

    def init(self, seed: int, network: Any) -> Any:
        """Fresh weights."""
        return init_spelled(seed, network)

    def unknown(self, sequences: Sequence[Sequence[str]]) -> float:
        """The share of the steps whose word is not known."""
        return self.vocabulary.unknown_share(self.values(sequences).words)

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            "words": self.vocabulary.to_dict(),
            "letters": self.letters.to_dict(),
            "suffixes": list(self.suffixes),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Words:
        """The reverse."""
        suffixes = tuple(content["suffixes"])
        if len(set(suffixes)) != len(suffixes) or not all(isinstance(each, str) and each for each in suffixes):
            raise ValueError("suffixes must be different texts")
        words, letters = _vocabulary(content["words"], "words"), _vocabulary(content["letters"], "characters")
        return cls(words, letters, suffixes)

    @property
    def _count(self) -> int:
        return len(_shape("x")) + len(self.suffixes) + 1  # and whether a word is the first of its sentence

    def _features(self, token: str) -> list[bool]:
        ending = normal(token)[-3:]
        return [*_shape(token), *(ending == suffix for suffix in self.suffixes)]


Inputs = Characters | Words
"""Either."""


def of(unit: str) -> type[Characters] | type[Words]:
    """What reads sequences of such a unit."""
    return {"characters": Characters, "words": Words}[unit]


def normal(token: str) -> str:
    """A word as its embedding knows it.

    >>> normal("B-52s")
    'b-00s'
    """
    return _DIGIT.sub("0", token.lower())


def _shape(token: str) -> list[bool]:
    """What a word looks like."""
    return [
        token.islower(),
        len(token) > 1 and token.isupper(),
        token[:1].isupper() and token[1:].islower(),
        len(token) == 1 and token.isupper(),
        token[:1].islower() and not token.islower(),  # iPhone, mRNA
        not token[:1].islower() and not token.isupper() and any(map(str.isupper, token[1:])),  # McCoy, YouTube
        token.isdigit(),
        any(map(str.isdigit, token)),
        not any(map(str.isalnum, token)),
        "-" in token,
        "." in token,
        "'" in token or "’" in token,
        len(token) <= 3,
    ]


def _layers(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    drop = (Dropout(parameters["dropout"]),) if parameters["dropout"] else ()
    layer = Recurrent(parameters["cell"], parameters["hidden_size"], parameters["bidirectional"])
    return (*drop, *(layer, *drop) * parameters["num_layers"])


def _plain(word: str) -> bool:
    """Whether a vocabulary can hold it."""
    return not any(letter.isspace() or "\ud800" <= letter <= "\udfff" for letter in word)


def _vocabulary(content: Any, unit: str) -> Vocabulary:
    found = Vocabulary.from_dict(content)
    if found.unit != unit:
        raise ValueError(f"a vocabulary of {found.unit} where one of {unit} was expected")
    return found
