"""What an encoder-decoder learns from: pairs of sequences of symbols, sources and targets each laid end to end.

Dimension letters: n pairs, N symbols of all sources, M symbols of all targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from minirnn.params.cells import Array
from minirnn.params.seq2seq import EncoderDecoder


@dataclass(frozen=True)
class Translating:
    """An encoder-decoder, and the lengths of the batches it is trained on.

    Args:
      network: the description.
      sizes: (S, T) of each kind of batch, the steps to which its sources and targets are padded.
      unknown: the target symbol that counts for nothing: no one can learn to write what is not in the vocabulary.
    """

    network: EncoderDecoder
    sizes: tuple[tuple[int, int], ...] = ()
    unknown: int = 1


class Translated(NamedTuple):
    """Pairs. Source i is ``sources[source_starts[i]:]``, ``source_lengths[i]`` symbols of it; its target likewise."""

    source_starts: Array  # (n,)
    source_lengths: Array  # (n,)
    target_starts: Array  # (n,)
    target_lengths: Array  # (n,), the end symbol counted
    sources: Array  # (N,) integers
    targets: Array  # (M,) integers, each target closed by the end symbol
