"""Scores of classes. y is the true class (n,), 0 to C - 1; p the predicted classes (n,) or their probabilities (n, C).

Where a function needs classes and is handed probabilities, the most probable class counts (of equals, the first). What
is not defined counts as 0, as in scikit-learn with ``zero_division=0``: the precision of a class that is never
predicted, the recall of one that never occurs. A class that neither occurs nor is predicted says nothing about the
predictions and leaves the macro average, as in scikit-learn, which does not know of it at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

LEAST = 1e-15  # a probability below it counts as this one, so that no single mistake makes a loss infinite
TEMPERATURES = (0.05, 20.0)  # among which :func:`temperature` looks


class Rates(NamedTuple):
    """One number for each class, (C,) each."""

    precision: np.ndarray  # of those predicted, the part that is right
    recall: np.ndarray  # of those that there are, the part that was found
    f1: np.ndarray  # harmonic mean of the two
    support: np.ndarray  # how many there are, integers


def _labels(labels, what="labels") -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim == 1 and not len(labels):
        raise ValueError(f"{what}: there is nothing to score")
    if labels.ndim != 1 or not (np.issubdtype(labels.dtype, np.integer) or labels.dtype == bool):
        raise ValueError(f"{what}: expected integers (n,), got {labels.dtype} {labels.shape}")
    if labels.min() < 0:
        raise ValueError(f"{what}: a class is a number from 0, got {labels.min()}")
    return labels.astype(np.int64)


def _pair(labels, predicted) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes, (n,) both."""
    labels, predicted = _labels(labels), np.asarray(predicted)
    predicted = np.argmax(predicted, axis=1) if predicted.ndim == 2 else predicted
    predicted = _labels(predicted, "predicted")
    if len(labels) != len(predicted):
        raise ValueError(f"{len(labels):,} labels, but {len(predicted):,} predictions")
    return labels, predicted


def _scored(labels, values, what) -> tuple[np.ndarray, np.ndarray]:
    """True classes (n,) and a number for each class (n, C) in float64."""
    labels, values = _labels(labels), np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) != len(labels):
        raise ValueError(f"{what}: expected ({len(labels)}, C), got {values.shape}")
    if labels.max() >= values.shape[1]:
        raise ValueError(f"labels: {labels.max()} is no class of {values.shape[1]}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: row {np.argmin(np.isfinite(values).all(1))} is not finite")
    return labels, values


def accuracy(labels, predicted) -> float:
    """The part of the predictions that are right: Σ [y = p] / n."""
    y, p = _pair(labels, predicted)
    return float(np.mean(y == p))


def confusion(labels, predicted, classes: int | None = None) -> np.ndarray:
    """How often class p (column) was predicted where y (row) was true: (C, C) integers.

    Args:
      labels: (n,).
      predicted: (n,) or (n, C).
      classes: C; where it is not given, that of the probabilities, or what the largest number says.

    >>> confusion([0, 0, 1], [0, 1, 1])
    array([[1, 1],
           [0, 1]])
    """
    y, p = _pair(labels, predicted)
    if classes is None:
        classes = np.shape(predicted)[1] if np.ndim(predicted) == 2 else int(max(y.max(), p.max())) + 1
    if max(y.max(), p.max()) >= classes:
        raise ValueError(f"{max(y.max(), p.max())} is no class of {classes}")
    return np.bincount(y * classes + p, minlength=classes**2).reshape(classes, classes)


def rates(right: np.ndarray, predicted: np.ndarray, support: np.ndarray) -> Rates:
    """Precision, recall and F1 of counts of any shape: found rightly, predicted at all, truly there."""
    right, predicted, support = np.asarray(right), np.asarray(predicted), np.asarray(support)
    return Rates(
        right / np.maximum(predicted, 1),
        right / np.maximum(support, 1),
        2 * right / np.maximum(predicted + support, 1),
        support,
    )


def averages(each: Rates, counts: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Macro and weighted averages of precision, recall and F1.

    Args:
      each: of C classes.
      counts: (C,) classes where it is 0 leave the macro average.
    """
    macro, weighted = [], []
    for values in each[:3]:
        macro.append(float(values[counts > 0].mean()) if (counts > 0).any() else 0.0)
        weighted.append(float(values @ each.support / max(each.support.sum(), 1)))
    return (macro[0], macro[1], macro[2]), (weighted[0], weighted[1], weighted[2])


def _of_confusion(counts: np.ndarray) -> tuple[Rates, np.ndarray]:
    predicted, support = counts.sum(0), counts.sum(1)
    return rates(np.diag(counts), predicted, support), predicted + support


def macro_f1(labels, predicted, classes: int | None = None) -> float:
    """The mean of the F1 of the classes that occur or are predicted: each class counts the same, rare or not."""
    return averages(*_of_confusion(confusion(labels, predicted, classes)))[0][2]


def table(labels, predicted, names: Sequence[str]) -> pd.DataFrame:
    """Precision, recall, F1 and support of each class, then their averages: scikit-learn's classification report.

    The macro average is the mean of the classes, the weighted one their mean by support.

    >>> print(table([0, 0, 0, 1], [0, 0, 1, 1], ["rain", "sun"]).round(2))
                      precision  recall    f1  support
    rain                   1.00    0.67  0.80        3
    sun                    0.50    1.00  0.67        1
    macro average          0.75    0.83  0.73        4
    weighted average       0.88    0.75  0.77        4
    """
    if np.ndim(predicted) == 2 and np.shape(predicted)[1] != len(names):
        raise ValueError(f"{len(names)} names, but probabilities of {np.shape(predicted)[1]} classes")
    each, counts = _of_confusion(confusion(labels, predicted, len(names)))
    macro, weighted = averages(each, counts)
    return frame(names, each, {"macro average": macro, "weighted average": weighted})


def frame(names: Sequence[str], each: Rates, below: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    """The rates of each class, and below them rows of (precision, recall, F1) with the sum of the support."""
    import pandas as pd

    total = int(each.support.sum())
    columns = {
        field: [*(float(v) for v in values), *(row[i] for row in below.values())]
        for i, (field, values) in enumerate(zip(Rates._fields[:3], each[:3]))
    }
    support = [*(int(v) for v in each.support), *([total] * len(below))]
    return pd.DataFrame({**columns, "support": support}, index=[*names, *below])


def log_loss(labels, probabilities) -> float:
    """Mean negative log probability of the true class, in nats: -Σ log max(p_y, 1e-15) / n.

    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.75, 0.25]]), 4)
    1.0397
    """
    y, p = _scored(labels, probabilities, "probabilities")
    return float(-np.mean(np.log(np.clip(p[np.arange(len(y)), y], LEAST, 1.0))))


def calibration_error(labels, probabilities, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between how sure the predictions are and how often they are right.

    The predictions are put into ``bins`` intervals of equal width by the probability of the predicted class, (a, b];
    in each, |mean probability - accuracy|, weighted by how many lie there (Guo et al. 2017).
    """
    y, p = _scored(labels, probabilities, "probabilities")
    sure, right = p.max(axis=1), np.argmax(p, axis=1) == y
    bin_of = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of, sure - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))


def temperature(logits, labels) -> float:
    """The T in 0.05 to 20 for which softmax(logits / T) has the least log loss; 1 where every T has the same.

    To be found on a validation part (Guo et al. 2017). The loss is convex in b = 1 / T, with the slope
    Σ (E_b[z] - z_y) / n, where E_b is the mean over the classes under softmax(b z): its root is found by bisection.

    Args:
      logits: (n, C) finite; log probabilities do as well.
      labels: (n,).
    """
    y, z = _scored(labels, logits, "logits")
    z = z - z.max(axis=1, keepdims=True)  # (n, C) at most 0, so that nothing overflows
    true = z[np.arange(len(y)), y].mean()

    def slope(b):
        e = np.exp(b * z)
        return np.mean((e * z).sum(1) / e.sum(1)) - true

    low, high = np.log(1 / TEMPERATURES[1]), np.log(1 / TEMPERATURES[0])
    rises, falls = slope(np.exp(low)) >= 0, slope(np.exp(high)) <= 0  # from the start; to the end
    if rises or falls:
        return 1.0 if rises and falls else TEMPERATURES[1] if rises else TEMPERATURES[0]
    for _ in range(50):  # the interval, 6 wide at first, ends far below what a float of T tells apart
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))
