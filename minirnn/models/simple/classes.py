"""Classes from simple rules. All have ``fit(sequences, labels, classes, validation)`` and ``predict`` probabilities.

What is chosen (how many neighbours, how much smoothing) is chosen by the log loss of the validation part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from minirnn.models.scores.labels import log_loss, temperature

NEIGHBOURS = (1, 5, 15, 45)
KEPT = 10_000  # training sequences that the nearest neighbours are looked for among
ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
WORD = re.compile(r"\w+(?:'\w+)*")


class Simple(Protocol):
    """What the three have in common."""

    title: str

    def fit(
        self, sequences: Sequence, labels: np.ndarray, classes: int, validation: tuple[Sequence, np.ndarray]
    ) -> Any:
        """Learns from training sequences and labels (n,), 0 to classes - 1; returns itself."""
        ...

    def predict(self, sequences: Sequence) -> np.ndarray:
        """Probabilities (n, classes), none of them 0."""
        ...


def _checked(sequences, labels, classes, validation) -> tuple[np.ndarray, np.ndarray]:
    """The labels of the training and the validation part."""
    found = []
    for part, (own, y) in {"training": (sequences, labels), "validation": validation}.items():
        y = np.asarray(y)
        if not len(own) or len(own) != len(y):
            raise ValueError(f"{part}: {len(own):,} sequences and {len(y):,} labels; one for each is needed")
        if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= classes:
            raise ValueError(f"{part}: labels are integers from 0 to {classes - 1}")
        found.append(y.astype(np.int64))
    return found[0], found[1]


def _frequencies(labels, classes) -> np.ndarray:
    """(classes,) after one sequence more of each (Laplace): no class is impossible."""
    return (np.bincount(labels, minlength=classes) + 1) / (len(labels) + classes)


class Majority:
    """The frequencies of the training classes for every sequence; the most frequent one is what it says.

    >>> Majority().fit(["a", "b", "c"], [0, 1, 1], 2, (["d"], [0])).predict(["e"])
    array([[0.4, 0.6]])
    """

    title = "majority class"

    def fit(self, sequences, labels, classes: int, validation) -> Majority:
        """Counts the labels (n,); reads neither sequences nor the validation part."""
        labels, _ = _checked(sequences, labels, classes, validation)
        self._frequencies = _frequencies(labels, classes)
        return self

    def predict(self, sequences) -> np.ndarray:
        """(n, classes), all rows alike."""
        return np.repeat(self._frequencies[None], len(sequences), axis=0)


def summary(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """What a sequence (T, D) or (T,) looks like, whatever its length: (n, 6 D).

    For each column the mean, standard deviation, least and largest value, last value, and slope of the line through it
    by least squares, for a step; 0 for a single row.

    >>> summary([np.array([1.0, 2.0, 6.0])]).round(2)
    array([[3.  , 2.16, 1.  , 6.  , 6.  , 2.5 ]])
    """
    columns = 0
    arrays = []
    for i, sequence in enumerate(sequences):
        x = np.asarray(sequence, np.float64)
        x = x[:, None] if x.ndim == 1 else x
        columns = columns or (x.shape[1] if x.ndim == 2 else 0)
        if x.ndim != 2 or x.shape[1] != columns or not len(x):
            raise ValueError(f"sequence {i}: expected (T, {columns or 'D'}) with at least one row, got {x.shape}")
        arrays.append(x)
    if not arrays:
        raise ValueError("there is no sequence to describe")
    lengths = np.array([len(x) for x in arrays])
    starts = np.cumsum(lengths) - lengths
    rows = np.concatenate(arrays)  # (N, D)
    if not np.isfinite(rows).all():
        first = np.flatnonzero(~np.isfinite(rows).all(axis=1))[0]
        raise ValueError(f"sequence {np.searchsorted(starts, first, side='right') - 1}: a value is missing or infinite")
    n = lengths[:, None]
    mean = np.add.reduceat(rows, starts) / n
    away = rows - np.repeat(mean, lengths, axis=0)
    time = (np.arange(len(rows)) - np.repeat(starts + (lengths - 1) / 2, lengths))[:, None]
    spread = np.add.reduceat(time**2, starts)  # 0 for a single row
    return np.concatenate(
        [
            mean,
            np.sqrt(np.add.reduceat(away**2, starts) / n),
            np.minimum.reduceat(rows, starts),
            np.maximum.reduceat(rows, starts),
            rows[starts + lengths - 1],
            np.add.reduceat(time * away, starts) / np.where(spread > 0, spread, 1),
        ],
        axis=1,
    )


class NearestNeighbour:
    """The classes of the training sequences that look most alike: Euclidean distance of :func:`summary`, standardised.

    Each of the k neighbours has one vote, and one more is shared by the classes as they are frequent in training, so
    that no class is impossible. k is 1, 5, 15 or 45. Of more than 10,000 training sequences, as many are drawn.

    >>> x = [np.array([0.0]), np.array([1.0]), np.array([9.0])]
    >>> model = NearestNeighbour().fit(x, [0, 0, 1], 2, (x, [0, 0, 1]))
    >>> model.k, model.predict([np.array([8.0])]).round(2)
    (1, array([[0.3, 0.7]]))
    """

    title = "nearest neighbour"

    def fit(self, sequences, labels, classes: int, validation) -> NearestNeighbour:
        """Keeps training sequences (T, D) and labels (n,), and chooses k on ``validation``, (sequences, labels)."""
        labels, judge = _checked(sequences, labels, classes, validation)
        self._frequencies = _frequencies(labels, classes)
        kept = np.arange(len(labels))
        if len(kept) > KEPT:
            kept = np.sort(np.random.default_rng(0).permutation(len(kept))[:KEPT])
        features = summary([sequences[i] for i in kept])
        self._mean, spread = features.mean(axis=0), features.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._points, self._labels = (features - self._mean) / self._spread, labels[kept]
        candidates = [k for k in NEIGHBOURS if k <= len(kept)]
        neighbours = self._neighbours(validation[0], candidates[-1])
        losses = [log_loss(judge, self._votes(neighbours[:, :k])) for k in candidates]
        self.k = candidates[int(np.argmin(losses))]
        return self

    def predict(self, sequences) -> np.ndarray:
        """(n, classes)."""
        return self._votes(self._neighbours(sequences, self.k))

    def _votes(self, neighbours) -> np.ndarray:
        votes = (neighbours[:, :, None] == np.arange(len(self._frequencies))).sum(axis=1)
        return (votes + self._frequencies) / (neighbours.shape[1] + 1)

    def _neighbours(self, sequences, k) -> np.ndarray:
        """The classes (n, k) of the k nearest training sequences, the nearest first."""
        features = summary(sequences)
        if features.shape[1] != len(self._mean):
            raise ValueError(f"{features.shape[1] // 6} columns, but {len(self._mean) // 6} in training")
        queries = (features - self._mean) / self._spread
        # |point|² - 2 query point, which is the squared distance but for |query|²: one product, and no copies.
        left = np.concatenate([np.ones((len(queries), 1)), -2 * queries], axis=1)
        right = np.concatenate([(self._points**2).sum(axis=1, keepdims=True), self._points], axis=1).T
        found = np.empty((len(queries), k), np.int64)
        block = max(1, 4_000_000 // len(self._points))  # queries at a time: their distances take 32 MB
        room = np.empty((block, len(self._points)))
        for start in range(0, len(queries), block):
            some = left[start : start + block]
            distances = np.matmul(some, right, out=room[: len(some)])
            near = np.sort(np.argpartition(distances, k - 1, axis=1)[:, :k], axis=1)
            order = np.argsort(np.take_along_axis(distances, near, axis=1), axis=1, kind="stable")
            found[start : start + block] = np.take_along_axis(near, order, axis=1)
        return self._labels[found]


def words(text: str) -> list[str]:
    """The words of a text in small letters.

    >>> words("It's GOOD, isn't it?")
    ["it's", 'good', "isn't", 'it']
    """
    return WORD.findall(text.lower())


class NaiveBayes:
    """Classes from words, as if these were drawn independently: log p(class) + Σ log p(word | class), then softmax.

    p(word | class) = (count + alpha) / (words of the class + alpha times the number of different words). Words that
    training did not hold are passed over. Since words are not independent the probabilities would be far too sure:
    for each alpha the temperature of the softmax, at least 1, is fitted on the validation part.

    >>> model = NaiveBayes().fit(["good fine", "bad"], [0, 1], 2, (["good", "bad bad"], [0, 1]))
    >>> model.predict(["fine", "bad", "new"]).argmax(axis=1)
    array([0, 1, 0])
    """

    title = "naive Bayes on words"

    def fit(self, sequences, labels, classes: int, validation) -> NaiveBayes:
        """Counts the words of texts by their labels (n,); chooses on ``validation``, (texts, labels)."""
        labels, judge = _checked(sequences, labels, classes, validation)
        lists = [words(text) for text in sequences]
        self._numbers = {word: i for i, word in enumerate(dict.fromkeys(word for own in lists for word in own))}
        ids = np.array([self._numbers[word] for own in lists for word in own], np.int64)
        class_of = np.repeat(labels, [len(own) for own in lists])
        size = len(self._numbers)
        counts = np.bincount(class_of * size + ids, minlength=classes * size).reshape(classes, size)
        self._prior = np.log(_frequencies(labels, classes))
        best = np.inf
        for alpha in ALPHAS:
            logs = np.log((counts + alpha) / (counts.sum(axis=1, keepdims=True) + alpha * max(size, 1)))
            scores = self._scores(validation[0], logs)
            T = max(1.0, temperature(scores, judge))
            loss = log_loss(judge, _softmax(scores / T))
            if loss < best:
                best, self.alpha, self.temperature, self._logs = loss, alpha, T, logs
        return self

    def predict(self, sequences) -> np.ndarray:
        """(n, classes)."""
        return _softmax(self._scores(sequences, self._logs) / self.temperature)

    def _scores(self, texts, logs) -> np.ndarray:
        """Log of p(class) Π p(word | class), (n, classes)."""
        ids, text_of = [], []
        for i, text in enumerate(texts):
            own = [self._numbers[word] for word in words(text) if word in self._numbers]
            ids += own
            text_of += [i] * len(own)
        place, text = np.array(ids, np.int64), np.array(text_of, np.int64)
        sums = [np.bincount(text, row[place], minlength=len(texts)) for row in logs]
        return self._prior + np.stack(sums, axis=1)


def _softmax(z) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
