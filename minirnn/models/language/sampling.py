"""Text from a language model, symbol by symbol. In NumPy, which needs no compilation and so begins at once."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minirnn.data.sequences.vocabulary import UNKNOWN, Vocabulary
from minirnn.params import BETWEEN, Language
from minirnn.readable import language


def symbols(
    description: Language,
    params: Any,
    prompt: np.ndarray,
    temperature: float,
    top_k: int | None,
    rng: np.random.Generator,
) -> Iterator[int]:
    """The symbols that follow those of a prompt (n,) at the start of a document, without end."""
    read = np.concatenate([[BETWEEN], prompt]).astype(np.int32)
    state = None
    while True:
        logits, state = language.advance(description, params, read[:, None], state)
        chosen = choose(logits[0], temperature, top_k, rng)
        yield chosen
        read = np.array([chosen], np.int32)


def choose(logits: np.ndarray, temperature: float, top_k: int | None, rng: np.random.Generator) -> int:
    """One symbol by its logits (V,): never an unknown one. Temperature 0 takes the most probable."""
    logits = logits.astype(np.float64)
    logits[[BETWEEN, UNKNOWN]] = -np.inf
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None and top_k < len(logits):
        logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
    with np.errstate(over="ignore"):
        scaled = np.cumsum(np.exp((logits - logits.max()) / temperature))
    return int(np.searchsorted(scaled, rng.random() * scaled[-1], side="right"))


def pieces(vocabulary: Vocabulary, prompt: np.ndarray, found: Iterable[int]) -> Iterator[str]:
    """The text of symbols, piece by piece as they come; bytes as soon as they are a whole character."""
    if vocabulary.unit == "bytes":
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        first = len(vocabulary.special)
        for symbol in found:
            piece = decoder.decode(bytes([symbol - first]))
            if piece:
                yield piece
        rest = decoder.decode(b"", final=True)
        if rest:
            yield rest
    elif vocabulary.unit == "words":
        known = prompt.tolist()
        before = vocabulary.decode(known)
        for symbol in found:
            known.append(symbol)
            whole = vocabulary.decode(known)
            yield whole[len(before) :]
            before = whole
    else:
        for symbol in found:
            yield vocabulary.decode([symbol])
