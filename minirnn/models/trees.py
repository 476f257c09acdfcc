"""Weights as trees of NamedTuples, and as arrays by name: for messages and for files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn.models import storage


def array_names(params: Any, name: str = "") -> list[str]:
    """The names of all arrays of weights, in the order of the tree: ``layers[0].weights.Wx``, ..."""
    if not isinstance(params, tuple | list):
        return [name or "weights"]
    parts = zip(params._fields, params) if hasattr(params, "_fields") else enumerate(params)
    named = [(f"{name}.{key}".lstrip(".") if isinstance(key, str) else f"{name}[{key}]", part) for key, part in parts]
    return [array for label, part in named for array in array_names(part, label)]


def leaves(tree: Any) -> list[np.ndarray]:
    """All arrays, in the order of the tree."""
    if not isinstance(tree, tuple):
        return [np.asarray(tree)]
    return [leaf for part in tree for leaf in leaves(part)]


def to_arrays(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """All arrays by their names, with a prefix."""
    return {f"{prefix}{name}": leaf for name, leaf in zip(array_names(tree), leaves(tree))}


def from_arrays(arrays: dict[str, np.ndarray], prefix: str, template: Any) -> Any:
    """A tree like ``template``, with the arrays of a file; they are taken out of it.

    Raises:
      KeyError: an array is missing.
      ValueError: one has another shape, or holds what is not a finite number.
    """
    found = [
        storage.expect(arrays, f"{prefix}{name}", leaf.shape).astype(leaf.dtype)
        for name, leaf in zip(array_names(template), leaves(template))
    ]
    return _with_leaves(template, iter(found))


def _with_leaves(tree: Any, arrays: Iterator[np.ndarray]) -> Any:
    if not isinstance(tree, tuple):
        return next(arrays)
    parts = [_with_leaves(part, arrays) for part in tree]
    return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
