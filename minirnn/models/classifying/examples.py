"""What a classifier is given: labelled examples, or lists of sequences or texts, as scikit-learn takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minirnn.data.sequences.labelled import LARGEST, Labelled
from minirnn.data.words import DataError, quoted


def labelled(data: Any, labels: Iterable[Any] | None) -> tuple[Labelled, tuple[Any, ...]]:
    """The examples with their labels as texts, and the classes as they were given: sorted texts, or sorted integers.

    Args:
      data: Labelled; or texts, or sequences of numbers (T,) or (T, D), or an array of them (n, T) or (n, T, D).
      labels: of the examples, texts or integers; None where ``data`` holds them.

    Raises:
      DataError: there are no labels, or not one for each example; an example cannot be used.
    """
    if isinstance(data, Labelled):
        if labels is not None:
            raise DataError("the data hold their labels already: leave y out")
        examples(data)
        return data, data.classes
    if labels is None:
        raise DataError("there are no labels: pass y, one for each example, or a Labelled")
    found = examples(data)
    given = [label.item() if isinstance(label, np.generic) else label for label in labels]
    if len(given) != len(found):
        raise DataError(f"{len(found):,} examples and {len(given):,} labels: one label for each example was expected")
    whole = all(isinstance(label, int) for label in given)
    for i, label in enumerate(given):
        if not whole and (not isinstance(label, str) or not label.strip()):
            raise DataError(f"the label of example {i} is {quoted(label)}: texts or integers were expected")
    places = [f"example {i}" for i in range(len(found))]
    classes = sorted(set(given))
    names, texts = [str(label) for label in given], isinstance(found[0], str)
    return Labelled(names, places, None if texts else found, found if texts else None), tuple(classes)


def examples(data: Any) -> list[Any]:
    """Texts as they are, or sequences as arrays (T, D) in float32.

    Raises:
      DataError: there are none; one is empty, of another kind or width than the first, or holds an infinite number.
    """
    if isinstance(data, str | bytes):
        raise DataError("a list of texts or sequences was expected, not one text")
    found = list(data.examples if isinstance(data, Labelled) else data)
    if not found:
        raise DataError("there are no examples: at least one was expected")
    if isinstance(found[0], str):
        for i, text in enumerate(found):
            if not isinstance(text, str) or not text.strip():
                what = "empty" if isinstance(text, str) else f"a {type(text).__name__}"
                raise DataError(f"example {i} is {what}: a text was expected, as in example 0")
        return found
    arrays = [_array(sequence, i) for i, sequence in enumerate(found)]
    for i, array in enumerate(arrays):
        if array.shape[1] != arrays[0].shape[1]:
            raise DataError(f"example {i} has {array.shape[1]} columns, but example 0 has {arrays[0].shape[1]}")
    return arrays


def _array(sequence: Any, i: int) -> np.ndarray:
    """One sequence (T, D)."""
    try:
        array = np.asarray(sequence, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"example {i} holds {quoted(sequence)}: numbers (T, D), or a text, were expected") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        raise DataError(f"example {i} has the shape {np.shape(sequence)}: (T,) or (T, D) was expected, T at least 1")
    with np.errstate(invalid="ignore"):
        if (np.abs(array) > LARGEST).any():
            raise DataError(f"example {i} holds an infinite number, or one beyond {LARGEST:.0e}: correct it")
    return array.astype(np.float32)
