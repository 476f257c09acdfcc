"""Windows over sequences: each step counts in one of them, and there it has its neighbours to both sides.

Dimension letters: n sequences, W windows, N steps of all sequences.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minirnn.data.sequences.ragged import Ragged


class Windows(NamedTuple):
    """Parts of sequences that lie end to end: the steps from ``first`` to ``stop`` count, the others are only read."""

    starts: np.ndarray  # (W,) among all steps
    lengths: np.ndarray  # (W,)
    first: np.ndarray  # (W,) within the window
    stop: np.ndarray  # (W,)

    def counted(self) -> np.ndarray:
        """Where the steps that count stand when the windows' steps are laid end to end, in the order of the steps."""
        offsets = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        counts = self.stop - self.first
        firsts = np.cumsum(counts) - counts
        return np.repeat(offsets + self.first - firsts, counts) + np.arange(counts.sum())

    def over(self, values: np.ndarray) -> Ragged:
        """The windows as sequences of these values (N, ...)."""
        return Ragged(values, self.starts, self.lengths)


def cut(lengths: np.ndarray, window: int, before: int, after: int) -> Windows:
    """Windows of ``before + window + after`` steps; what is no longer than that is one window.

    Each step counts in one window, and has there at least ``before`` steps before it and ``after`` steps behind it, or
    all that its sequence has. All windows of a long sequence are equally long: the last one begins earlier instead.

    Args:
      lengths: (n,) of the sequences, which lie end to end.
      window: steps that count.
      before: steps of context before these.
      after: and behind.

    >>> found = cut(np.array([3, 12]), window=4, before=1, after=2)
    >>> found.starts, found.first, found.stop
    (array([0, 3, 7, 8], dtype=int32), array([0, 0, 1, 4], dtype=int32), array([3, 5, 5, 7], dtype=int32))
    """
    T = before + window + after
    rows: list[tuple[int, int, int, int]] = []
    offset = 0
    for n in np.asarray(lengths).tolist():
        done = 0
        while done < n:
            start = min(max(done - before, 0), max(n - T, 0))
            length = min(T, n)
            stop = length if start + length == n else length - after
            rows.append((offset + start, length, done - start, stop))
            done = start + stop
        offset += n
    return Windows(*np.array(rows, np.int32).reshape(len(rows), 4).T.copy())
