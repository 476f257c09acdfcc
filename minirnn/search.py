"""Beam search: the likeliest sequence that a decoder can write, nearly. Both halves bring their own decoder step.

Dimension letters: T target steps, B batch, N = B·beam hypotheses, V symbols.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minirnn.equations import numbered
from minirnn.params import map_state


def penalty(length, alpha: float):
    """What a log-probability is divided by (in Q15): 1 for one symbol, more for longer sequences."""
    return ((5 + length) / 6) ** alpha


@numbered("Q15")
def beam_search(
    step: Callable,
    states,
    batch: int,
    *,
    start: int,
    end: int,
    pad: int,
    max_length: int,
    beam: int = 4,
    length_penalty: float = 0.6,
):
    """The best sequences that are found with ``beam`` hypotheses for each -> symbols (T, B), lengths (B,), scores (B,).

    At every step the ``beam`` likeliest continuations are kept. One that ends is finished and leaves its place to
    others. The search ends when no hypothesis can beat the best finished one any more: log-probabilities only fall, and
    no sequence is divided by more than one of ``max_length`` symbols. With a beam of 1 it is the greedy choice.

    Args:
      step: symbols (N,), states -> logits (N, V), states; hypothesis k of sequence b is row ``b * beam + k``.
      states: a tuple of states whose arrays have N rows.
      batch: B.
      start: the symbol that the decoder reads first.
      end: the symbol that ends a sequence; it counts for the length.
      pad: what stands after the end.
      max_length: T. A sequence that has not ended there is returned only where none has ended.
      beam: hypotheses kept.
      length_penalty: alpha of Q15; 0 compares log-probabilities as they are, which favours short sequences.

    Returns:
      The best sequence of each, its length (the end included) and its score by Q15.

    Raises:
      ValueError: ``beam`` or ``max_length`` is below 1, or ``length_penalty`` below 0.
    """
    if beam < 1 or max_length < 1 or length_penalty < 0:
        raise ValueError(
            "beam and max_length must be at least 1 and length_penalty at least 0,"
            f" got {beam}, {max_length} and {length_penalty}"
        )
    rows = np.arange(batch)
    totals = np.full((batch, beam), -np.inf)  # log-probability of each hypothesis; -inf: there is none
    totals[:, 0] = 0
    symbols = np.full((max_length, batch, beam), pad)
    best, lengths = np.full(batch, -np.inf), np.zeros(batch, int)
    found = np.full((max_length, batch), pad)
    last = np.full(batch * beam, start)
    for t in range(max_length):
        logits, states = step(last, states)
        V = logits.shape[-1]
        continued = totals[:, :, None] + _log_softmax(logits).reshape(batch, beam, V)
        continued = continued.reshape(batch, beam * V)
        order = np.argsort(-continued, axis=1, kind="stable")[:, :beam]  # (B, beam), the likeliest first
        totals = np.take_along_axis(continued, order, axis=1)
        parents, chosen = order // V, order % V
        symbols = np.take_along_axis(symbols, parents[None], axis=2)
        symbols[t] = chosen
        origin = (rows[:, None] * beam + parents).ravel()  # (N,)
        states = tuple(map_state(lambda part: part[origin], state) for state in states)
        last = chosen.ravel()

        ended = chosen == end
        scores = np.where(ended, totals, -np.inf) / penalty(t + 1, length_penalty)  # Q15
        k = scores.argmax(axis=1)
        better = scores[rows, k] > best
        best = np.where(better, scores[rows, k], best)
        lengths = np.where(better, t + 1, lengths)
        found = np.where(better, symbols[:, rows, k], found)
        totals = np.where(ended, -np.inf, totals)
        if (best >= totals.max(axis=1) / penalty(max_length, length_penalty)).all():
            break
    k, never = totals.argmax(axis=1), lengths == 0
    return (
        np.where(never, symbols[:, rows, k], found),
        np.where(never, t + 1, lengths),
        np.where(never, totals[rows, k] / penalty(t + 1, length_penalty), best),
    )


def _log_softmax(logits):
    """In float64, so that no two different logits become equal: ties would be decided otherwise than by argmax."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
