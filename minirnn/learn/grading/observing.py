"""What can be seen of a function from outside: what it returns, what it changes, whether it does so twice."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EXACT, SINGLE = 1e-9, 1e-5  # relative errors that rounding of float64 and of float32 stays below


@dataclass
class Observation:
    """One call.

    Args:
      answer: what was returned, by name; None if something else was returned, or nothing.
      changed: arguments that were changed, by name: by how much.
      unsteady: whether a second call with the same arguments gave something else.
      error: what went wrong, in one line; empty if nothing did.
      returned: the type of what was returned.
      single: whether what is asked for is in single precision; whoever knows what that is sets it.
    """

    answer: dict[str, np.ndarray] | None = None
    changed: dict[str, np.ndarray] = field(default_factory=dict)
    unsteady: bool = False
    error: str = ""
    returned: str = ""
    single: bool = False

    @property
    def bound(self) -> float:
        """The relative error up to which an array counts as right: what rounding does, and no more."""
        return SINGLE if self.single else EXACT


@dataclass(frozen=True)
class NoNumbers:
    """What was returned where an array of numbers was expected."""

    kind: str


def copied(value: Any, known: dict[int, Any] | None = None) -> Any:
    """Arguments, with every array copied once: what was one array stays one."""
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, np.ndarray):
        made: Any = value.copy()
    elif isinstance(value, Mapping):
        made = {key: copied(part, known) for key, part in value.items()}
    elif hasattr(value, "_fields"):
        made = type(value)(*(copied(part, known) for part in value))
    elif isinstance(value, list | tuple):
        made = type(value)(copied(part, known) for part in value)
    else:
        made = copy.deepcopy(value)
    known[id(value)] = made
    return made


def leaves(value: Any, name: str = "") -> Iterable[tuple[str, np.ndarray]]:
    """The arrays of an argument, by path."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{name}[{key!r}]" if name else str(key))
    elif hasattr(value, "_fields"):
        for key, part in zip(value._fields, value):
            yield from leaves(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from leaves(part, f"{name}[{place}]")


def observe(function: Callable[..., Any], arguments: Mapping[str, Any], twice: bool = False) -> Observation:
    """Calls a function on copies of the arguments, and looks.

    Args:
      function: returns a dictionary of arrays.
      arguments: by name; they are not changed.
      twice: also call it a second time.
    """
    mine = copied(dict(arguments))
    seen = Observation()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            answer = function(**mine)
        except Exception as error:
            seen.error = described(error)
            seen.returned = "nothing"
            return seen
        seen.returned = type(answer).__name__
        if isinstance(answer, Mapping):
            seen.answer = {one_line(str(name)): as_array(value) for name, value in answer.items()}
        seen.changed = _changes(dict(arguments), mine)
        if twice and seen.answer is not None:
            again = observe(function, arguments)
            first, second = seen.answer, again.answer or {}
            seen.unsteady = first.keys() != second.keys() or any(
                not _equal(first[name], second[name]) for name in first
            )
    return seen


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, np.ndarray]:
    """What was added to each array, by path; NaN where an array is another one now."""
    old, new = arrays(before), arrays(after)
    if len(old) == len(new) and all(_equal(a, b) for a, b in zip(old, new)):
        return {}
    if old and len(old) == len(new) and _same_set(old, new):
        # Every array is as it was, and stands elsewhere: a list was turned round, or sorted.
        return {name: np.asarray(np.nan) for name in before if not _alike_in_order(before[name], after.get(name))}
    known, changed = dict(leaves(before)), {}
    for name, array in leaves(after):
        if name not in known or array.shape != known[name].shape:
            changed[name] = np.asarray(np.nan)
        elif not _equal(array, known[name]):
            changed[name] = array - known[name]
    return changed


def arrays(value: Any) -> list[np.ndarray]:
    """The different arrays of an argument, in order."""
    found: dict[int, np.ndarray] = {}
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, np.ndarray):
            found.setdefault(id(part), part)
        elif isinstance(part, Mapping):
            left += part.values()
        elif isinstance(part, list | tuple):
            left += part
    return list(found.values())


def as_array(value: Any) -> Any:
    """An array of what was returned, or what it is if it holds no numbers."""
    if value is Ellipsis:
        return value
    try:
        array = np.array(value)  # a copy: a view of an argument may change later
    except Exception:
        return NoNumbers(type(value).__name__)
    if array.dtype.kind in "biufc":
        return array
    return NoNumbers("None" if value is None else f"{type(value).__name__} of {array.dtype} values")


def is_single(arrays: Iterable[Any]) -> bool:
    """Whether arrays are in single precision: by their type, or since each holds numbers of float32 only.

    One array of whole numbers says nothing; it takes all of them.
    """
    held = [array for array in arrays if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size]
    with np.errstate(all="ignore"):
        exact = [bool(np.array_equal(array, array.astype(np.float32), equal_nan=True)) for array in held]
        whole = [bool(np.array_equal(array, np.round(array), equal_nan=True)) for array in held]
    return any(array.dtype.itemsize < 8 for array in held) or (all(exact) and not all(whole) and bool(held))


def described(error: BaseException) -> str:
    """An error in one line; of one that cannot say what it is, its kind."""
    try:
        return one_line(f"{type(error).__name__}: {error}").rstrip(": ")
    except Exception:
        return type(error).__name__


def one_line(text: str, longest: int = 240) -> str:
    """A text of somebody else's on one line, not longer than that, and of characters that can be printed."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _same_set(old: list[np.ndarray], new: list[np.ndarray]) -> bool:
    left = list(new)
    for array in old:
        place = next((k for k, other in enumerate(left) if _equal(array, other)), None)
        if place is None:
            return False
        del left[place]
    return True


def _alike_in_order(before: Any, after: Any) -> bool:
    one, other = arrays(before), arrays(after)
    return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes():
            return True  # the usual case, a tenth of the time
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
    return a is b or (isinstance(a, NoNumbers) and a == b)


def distance(a: Any, b: Any) -> float:
    """||a - b|| / max(||a||, ||b||); inf where shapes differ or a number is missing in one of them."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return np.inf
    if a.size == 0:
        return 0.0
    with np.errstate(all="ignore"):
        a, b = a.astype(np.result_type(a, np.float64)), b.astype(np.result_type(b, np.float64))
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            same = np.array_equal(np.isfinite(a), np.isfinite(b))
            known = np.isfinite(a) & np.isfinite(b)
            if same and not known.any():
                return 0.0 if np.array_equal(a, b, equal_nan=True) else np.inf
            return distance(a[known], b[known]) if same else np.inf
        size = max(np.linalg.norm(a), np.linalg.norm(b))
        return float(np.linalg.norm(a - b) / size) if size > 0 else 0.0


def alike(a: Observation, b: Observation, names: Iterable[str], bound: float) -> bool:
    """Whether two functions did the same: the answers of these names, what was changed, and whether it was steady."""
    if a.answer is None or b.answer is None or a.changed.keys() != b.changed.keys() or a.unsteady != b.unsteady:
        return False
    for name in names:
        if name not in a.answer or name not in b.answer:
            return False
        one, other = a.answer[name], b.answer[name]
        if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and distance(one, other) <= bound):
            return False
    return all(distance(a.changed[name], b.changed[name]) <= bound for name in a.changed)
