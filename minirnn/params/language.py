"""What a network that predicts the next symbol of a text is trained on, and what it hands on from chunk to chunk.

Dimension letters: N symbols of a text, W window, B streams, H hidden size, V vocabulary size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.params.cells import STATES
from minirnn.params.checks import check_truncated
from minirnn.params.networks import Recurrent, Residual

BETWEEN = 0  # the symbol between documents: it is read, and never asked for
PIECE = 2**17  # symbols that are trained on in one call, between two reports
STREAMS = 64  # that are judged side by side
WARM_UP = 256  # symbols that a stream reads before those that it is judged by
CHUNK = 256  # symbols of a stream that are judged in one call


@dataclass(frozen=True)
class Language:
    """A network that reads a text symbol by symbol, and gives the logits of the next one at each.

    Args:
      network: from symbols to V numbers at every step (``read="steps"``), in one direction only.
      window: W, the symbols of a chunk. The state goes on from chunk to chunk, its gradient does not.
    """

    network: Any
    window: int = 64

    def __post_init__(self):
        check_truncated(self.network, self.window, 1, ())


def zero_states(layers: tuple[Any, ...], shape: tuple[int, ...], dtype: Any = np.float32) -> tuple[Any, ...]:
    """The states of layers at the start of a text, as a network returns them: every part (*shape, H)."""

    def zero(layer):
        if isinstance(layer, Residual):
            return zero_states(layer.layers, shape, dtype)
        if not isinstance(layer, Recurrent):
            return ()
        part = lambda: np.zeros((*shape, layer.hidden_size), dtype)  # noqa: E731
        return STATES[layer.cell](*(part() for _ in STATES[layer.cell]._fields)) if layer.cell in STATES else part()

    return tuple(zero(layer) for layer in layers)


def pieces(S: int, symbols: int) -> tuple[int, int]:
    """S batches of so many symbols in pieces of equal size: how many, and of how many batches each.

    >>> pieces(2200, 64 * 32)
    (34, 65)
    """
    size = -(-S // max(1, round(S * symbols / PIECE)))
    return -(-S // size), size


class Chunk(NamedTuple):
    """The next symbols of some streams."""

    read: np.ndarray  # (B, CHUNK)
    targets: np.ndarray  # (B, CHUNK) what follows each
    asked: np.ndarray  # (B, CHUNK) whether that is asked for


def chunks(symbols: np.ndarray, count: int = STREAMS) -> Iterator[Chunk]:
    """A text (N,) in streams of about equal size, to be judged side by side, chunk by chunk.

    All symbols but the first one and those between documents are asked for, once. A stream first reads the ``WARM_UP``
    symbols before its own. There are fewer streams where they would be shorter than that.
    """
    N = len(symbols)
    count = max(1, min(count, (N - 1) // WARM_UP))
    edges = 1 + np.arange(count + 1) * (N - 1) // count
    first, stop = edges[:-1, None], edges[1:, None]  # (B, 1) of the symbols that are asked for
    begin = np.maximum(first - 1 - WARM_UP, 0)
    for t in range(0, int((stop - 1 - begin).max()), CHUNK):
        places = begin + np.arange(t, t + CHUNK + 1)
        found = np.take(symbols, places, mode="clip")
        places, targets = places[:, 1:], found[:, 1:]
        yield Chunk(found[:, :-1], targets, (places >= first) & (places < stop) & (targets != BETWEEN))
