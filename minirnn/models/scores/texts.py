"""Scores of texts, and of models of texts. All that compare take ``predictions`` first, then ``references``.

Where a score is of a whole corpus, counts are summed over its texts before they are divided: long texts weigh more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from minirnn.models.context import Unsuitable


def _check(predictions, references) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions):,} predictions, but {len(references):,} references")
    if not len(references):
        raise ValueError("there is no text to score")


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> float:
    """The part of the texts that are exactly right."""
    _check(predictions, references)
    return sum(p == r for p, r in zip(predictions, references)) / len(references)


def _codes(symbols, numbers: dict) -> np.ndarray:
    """An integer for each symbol; new symbols get the next ones."""
    return np.array([numbers.setdefault(symbol, len(numbers)) for symbol in symbols], np.int64)


def edit_distance(a: Sequence, b: Sequence) -> int:
    """Levenshtein's distance: the least number of symbols inserted, deleted or replaced that make b of a.

    Sequences of anything that can be compared and hashed: characters of a text, words of a list.

    >>> edit_distance("kitten", "sitting"), edit_distance("to be or not".split(), "not to be".split())
    (3, 3)
    """
    numbers: dict = {}
    rows, columns = sorted((_codes(a, numbers), _codes(b, numbers)), key=len)  # a step of Python for each row only
    places = np.arange(len(columns) + 1)
    row = places.copy()  # row[j]: distance of the first i symbols of the one from the first j of the other
    for i, symbol in enumerate(rows, 1):
        best = np.empty_like(row)
        best[0] = i
        best[1:] = np.minimum(row[1:] + 1, row[:-1] + (columns != symbol))  # deleted; replaced or kept
        # What is inserted costs 1 for each place to the right: min over k <= j of best[k] + (j - k).
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def _error_rate(predictions, references, unit) -> float:
    length = sum(len(r) for r in references)
    if length == 0:
        raise ValueError(f"no reference holds a {unit}: there is no rate of errors")
    return sum(edit_distance(p, r) for p, r in zip(predictions, references) if p != r) / length


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Sum of the edit distances over the sum of the references' lengths; may exceed 1."""
    _check(predictions, references)
    return _error_rate(predictions, references, "character")


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> float:
    """The same over words, which are what white space separates."""
    _check(predictions, references)
    return _error_rate([p.split() for p in predictions], [r.split() for r in references], "word")


def chrf(predictions: Sequence[str], references: Sequence[str], n: int = 6, beta: float = 2.0) -> float:
    """ChrF of Popović (2015), 0 to 100: F-score of character n-grams 1 to ``n``, recall weighing ``beta`` times more.

    As sacrebleu computes it: white space is removed, counts are summed over the texts, precision and recall are
    averaged over the lengths that occur on both sides, and F = (1 + β²) P R / (β² P + R).

    >>> chrf(["the cat"], ["the cat"]), round(chrf(["abc"], ["abd"]), 2)
    (100.0, 38.89)
    """
    _check(predictions, references)
    counts = np.zeros((n, 3))  # matches, n-grams predicted, n-grams of the references
    for prediction, reference in zip(predictions, references):
        p, r = "".join(prediction.split()), "".join(reference.split())
        for k in range(1, min(n, len(r)) + 1):  # lengths that the reference does not have are not counted against p
            of_p = Counter(p[i : i + k] for i in range(len(p) - k + 1))
            of_r = Counter(r[i : i + k] for i in range(len(r) - k + 1))
            counts[k - 1] += (of_p & of_r).total(), of_p.total(), of_r.total()
    both = counts[(counts[:, 1] > 0) & (counts[:, 2] > 0)]
    if not both[:, 0].any():
        return 0.0
    precision, recall = np.mean(both[:, 0] / both[:, 1]), np.mean(both[:, 0] / both[:, 2])
    return float(100 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall))


def bleu(predictions: Sequence[str], references: Sequence[str]) -> float:
    """BLEU of the corpus, 0 to 100, by sacrebleu with its defaults (4-grams, tokens of "13a", exponential smoothing).

    Raises:
      Unsuitable: sacrebleu is not installed.
    """
    _check(predictions, references)
    try:
        import sacrebleu
    except ImportError:
        raise Unsuitable("sacrebleu is not installed (pip install 'minirnn[bleu]')") from None
    return float(sacrebleu.corpus_bleu(list(predictions), [list(references)]).score)


def bits_per_character(nats: float, characters: int) -> float:
    """From a sum of negative log likelihoods in nats: nats / (characters log 2).

    >>> round(bits_per_character(math.log(8), 1), 12)
    3.0
    """
    if characters < 1:
        raise ValueError("there is no character to score")
    return float(nats / (characters * math.log(2)))


def perplexity(nats: float, symbols: int) -> float:
    """From the same sum, over characters or words: exp(nats / symbols); infinite where a float cannot hold it."""
    if symbols < 1:
        raise ValueError("there is no symbol to score")
    with np.errstate(over="ignore"):
        return float(np.exp(nats / symbols))
