"""What a fitted encoder-decoder writes: greedily or with a beam, in batches of few shapes, whatever comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.sequences.vocabulary import PAD, UNKNOWN
from minirnn.models import fitting
from minirnn.models.sequences.reading import rounded_up
from minirnn.models.translating.codecs import END, START
from minirnn.models.translating.examples import laid
from minirnn.params import EncoderDecoder, EncoderDecoderParams, Translating
from minirnn.readable import seq2seq as by_hand

_STEPS = 2**14  # source steps of a batch, times the hypotheses, at most
_NEVER = np.float32(-1e9)  # a logit that no softmax hears of


class Writer(NamedTuple):
    """What writes.

    Args:
      backend: ``"fast"`` or ``"readable"``.
      network: the description.
      params: its weights, with which padding, unknown and start symbols are never written: see :func:`writer`.
      longest: symbols of a target at most, its end not counted.
    """

    backend: str
    network: EncoderDecoder
    params: EncoderDecoderParams
    longest: int


def writer(backend: str, network: EncoderDecoder, params: EncoderDecoderParams, longest: int) -> Writer:
    """A Writer: the logits of symbols that nobody can read are made so small that they are never chosen."""
    W, b = params.output.W.copy(), params.output.b.copy()
    for symbol in (PAD, UNKNOWN, START):
        W[:, symbol], b[symbol] = 0, _NEVER
    return Writer(backend, network, params._replace(output=params.output._replace(W=W, b=b)), longest)


def write(
    to: Writer, sources: Sequence[np.ndarray], beam: int, judged: bool = True
) -> tuple[list[np.ndarray], np.ndarray]:
    """The targets of sources (S,), without their ends, and their log-probabilities (n,) in nats, the ends among them.

    With a beam, the better of what the beam and what the greedy choice found: a beam alone may lose the greedy
    sequence on the way, and end at a worse one. A target that has not ended when it is as long as it may be ends there.

    Args:
      to: what writes.
      sources: symbols of each.
      beam: hypotheses; 1 is the greedy choice.
      judged: whether log-probabilities are asked for; without them, and without a beam, they are NaN.
    """
    seq2seq = fitting.half(to.backend, "seq2seq")
    targets: list[np.ndarray] = [np.zeros(0, np.int32)] * len(sources)
    totals = np.full(len(sources), np.nan)
    for rows, filled, S in _batches([len(source) for source in sources], beam):
        chosen = [sources[row] for row in filled]
        batch = _padded(chosen, S)
        found = _cut(*seq2seq.greedy(to.network, to.params, *batch, to.longest)[:2])
        log_p = np.full(len(chosen), np.nan)
        if judged or beam > 1:
            log_p = log_probabilities(to, chosen, found, S)
        if beam > 1:
            options = {"beam": beam, "length_penalty": 0.0}
            others = _cut(*seq2seq.beam_search(to.network, to.params, *batch, to.longest, **options)[:2])
            theirs = log_probabilities(to, chosen, others, S)
            found = [b if better else a for a, b, better in zip(found, others, theirs > log_p)]
            log_p = np.maximum(log_p, theirs)
        for k, row in enumerate(rows):
            targets[row], totals[row] = found[k], log_p[k]
    return targets, totals


def log_probabilities(
    to: Writer, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], S: int | None = None
) -> np.ndarray:
    """The log-probability of each target (n,) given its source, its end included; S is what sources are padded to."""
    half = fitting.half(to.backend, "translating")
    T = max(to.longest, *map(len, targets)) + 1
    S = rounded_up(max(map(len, sources))) if S is None else S
    state = fitting.state_of(half, to.params)
    found: np.ndarray = half.log_probabilities(Translating(to.network), state, _fixed(sources, targets, S, T), (S, T))
    return found[0]


def attention(to: Writer, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where the decoder looked while it wrote a target and its end (T + 1, S). NumPy: one sequence is soon done."""
    whole = np.append(target, END)[:, None]
    fed = by_hand.decoder_inputs(to.network, whole)
    _, cache = by_hand.forward(to.network, to.params, source[:, None], None, fed)
    return np.asarray(cache.weights[:, 0])


def _batches(lengths: list[int], beam: int) -> Iterator[tuple[np.ndarray, list[int], int]]:
    """Rows of each batch, the same with rows repeated up to a size that many batches share, and steps S.

    The longest sources come first, and share their batches with those of about their length.
    """
    order = np.argsort([-length for length in lengths], kind="stable")
    most = max(1, _STEPS // rounded_up(max(lengths, default=1)) // beam)
    for first in range(0, len(order), most):
        rows = order[first : first + most]
        size = min(rounded_up(len(rows)), most)
        yield rows, np.resize(rows, size).tolist(), rounded_up(lengths[rows[0]])


def _padded(sources: Sequence[np.ndarray], S: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols (S, B), and lengths (B,)."""
    padded = np.full((S, len(sources)), PAD, np.int32)
    for b, source in enumerate(sources):
        padded[: len(source), b] = source
    return padded, np.array([len(source) for source in sources], np.int32)


def _cut(symbols: Any, counts: Any) -> list[np.ndarray]:
    """Symbols (T, B), lengths (B,) -> each sequence without its end."""
    symbols = np.asarray(symbols)
    whole = [symbols[:count, b] for b, count in enumerate(np.asarray(counts))]
    return [each[:-1] if len(each) and each[-1] == END else each for each in whole]


def _fixed(sources, targets, S: int, T: int):
    """The pairs as arrays whose sizes depend on n, S and T alone: compiled code is compiled for every size."""
    n = len(sources)
    data = laid(sources, targets)
    left, right = np.zeros(n * S, np.int32), np.zeros(n * T, np.int32)
    left[: len(data.sources)], right[: len(data.targets)] = data.sources, data.targets
    return data._replace(sources=left, targets=right)
