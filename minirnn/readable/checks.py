"""Is a hand-derived gradient right? :func:`compare` asks an independent judge, and names the first array that is wrong.

Three judges:

  "complex step"          dL/dx = Im L(x + i ε) / ε with ε = 1e-30. Nothing is subtracted, so nothing is lost to
                          rounding: a right gradient agrees to about 1e-15. The loss must work on complex numbers: no
                          ``abs``, ``max`` or ``<`` of them (branch on ``.real``), no ``conj``, no cast to float.
  "central differences"   dL/dx = (L(x + s) - L(x - s)) / 2s with s = eps^(1/3) max(1, |x|). Works for every smooth
                          loss and agrees to about 1e-8. Near a kink (relu at 0) it judges wrongly.
  a function              judge(inputs) -> gradients, laid out like the inputs: ``jax.grad(loss)``, say.

The first two evaluate the loss in double precision, whatever the inputs are, so that they judge float32 gradients too.

Sources: Squire and Trapp 1998, Using complex variables to estimate derivatives of real functions; Nocedal and Wright
2006, chapter 8, for the step of the differences.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

STEP = 1e-30  # of the complex step: nothing is subtracted, so it may be as small as one likes

# Judge -> the largest relative error that counts as right.
BOUNDS = {"complex step": 1e-12, "central differences": 1e-6, "a function": 1e-10}
FLOAT32_BOUND = 1e-5  # of every judge, where the gradient (or the judge's) holds float32


class Report(NamedTuple):
    """What :func:`compare` found, by array, in the order of the inputs. ``print(report)`` shows it as a table."""

    judge: str
    errors: dict[str, float]  # ||gradient - judge's|| / ||judge's||; NaN or inf where they cannot be compared
    bounds: dict[str, float]  # an error up to here counts as right
    shapes: dict[str, tuple[int, ...]]
    checked: dict[str, str]  # "all elements", or along how many random directions
    notes: dict[str, str]  # what is known about a wrong gradient beyond its error
    wrong_steps: dict[str, list[int]]  # of wrong arrays (T, B, ...) of which all elements were checked: steps t

    @property
    def wrong(self) -> list[str]:
        """The names of all wrong arrays."""
        return [name for name, error in self.errors.items() if not error <= self.bounds[name]]  # NaN is wrong

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return not self.wrong

    @property
    def first_wrong(self) -> str | None:
        """The first wrong array; for an array over time with the steps, as in ``"xs at t = 0 to 3"``. None if right."""
        if self.ok:
            return None
        name = self.wrong[0]
        steps = self.wrong_steps.get(name, [])
        return f"{name} at t = {_steps_text(steps)}" if steps else name

    def __str__(self) -> str:
        rows = [("array", "shape", "error", "bound", "", "checked")]
        for name, error in self.errors.items():
            mark = "WRONG" if name in self.wrong else "right"
            shape = str(self.shapes[name])
            rows.append((name, shape, f"{error:.1e}", f"{self.bounds[name]:.0e}", mark, self.checked[name]))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [f"Gradients judged by {self.judge}; error = ||yours - judge's|| / ||judge's||"]
        for name, shape, *numbers, mark, checked in rows:
            cells = [name.ljust(widths[0]), shape.ljust(widths[1])]
            cells += [number.rjust(width) for number, width in zip(numbers, widths[2:])]
            lines.append("  ".join([*cells, mark.ljust(widths[4]), checked]).rstrip())
        if self.ok:
            return "\n".join(
                [*lines, "The gradient is right." if len(self.errors) == 1 else f"All {len(self.errors)} are right."]
            )
        lines.append(f"First wrong: {self.first_wrong}")
        lines += [f"  {name}: {note}" for name, note in self.notes.items()]
        for name, steps in self.wrong_steps.items():
            lines.append(
                f"  {name}: wrong at t = {_steps_text(steps)} of 0 to {self.shapes[name][0] - 1}; the backward"
            )
            lines.append(f"  pass runs from the last step to the first, so look at t = {steps[-1]}")
        return "\n".join(lines)


def compare(
    loss: Callable[[Any], Any],
    gradients: Any,
    inputs: Any,
    judge: str | Callable[[Any], Any] = "complex step",
    bound: float | None = None,
    *,
    limit: int = 2000,
    directions: int = 10,
    seed: int = 0,
) -> Report:
    """Compares the gradients of ``loss`` at ``inputs`` with those of an independent judge, array by array.

    Args:
      loss: ``loss(inputs) -> one number``. The judges call it with arrays changed.
      gradients: the gradients to be judged, laid out like ``inputs``.
      inputs: a tree of arrays: NamedTuples, tuples, lists and dicts, nested as you like. Integer arrays (labels,
        lengths) and None have no gradient and are left alone. An array's name is its path, as in ``"params.Wx"``.
      judge: ``"complex step"``, ``"central differences"``, or a function ``judge(inputs) -> gradients``.
      bound: relative error up to which a gradient is right. The defaults are 1e-12 for the complex step, 1e-6 for
        central differences (1e-2 if the loss itself computes in float32), 1e-10 for a function; where a gradient
        holds float32, no smaller than 1e-5. Differences that the judge cannot see for rounding never count.
      limit: an array of more elements is not checked one by one but along random directions (not for a function).
      directions: how many, for such an array.
      seed: of the directions.

    Returns:
      A :class:`Report`: ``.ok``, ``.errors``, ``.first_wrong``; ``assert report.ok, report`` prints the table.

    Raises:
      ValueError: the trees do not fit, the loss is not one finite number, or it is not made for the complex step.
      TypeError: the loss fails on complex numbers.

    >>> from minirnn.readable import losses, rnn
    >>> rng = np.random.default_rng(0)
    >>> params, target = rnn.init(0, 3, 2, np.float64), rng.standard_normal((4, 5, 2))
    >>> inputs = {"params": params, "xs": rng.standard_normal((4, 5, 3))}
    >>> def loss(inputs):
    ...     return losses.mse(rnn.forward(inputs["params"], inputs["xs"])[0], target)[0]
    >>> ys, _, cache = rnn.forward(params, inputs["xs"])
    >>> dparams, dxs, _ = rnn.backward(losses.mse(ys, target)[1], None, cache)
    >>> compare(loss, {"params": dparams, "xs": dxs}, inputs).ok
    True
    >>> report = compare(loss, {"params": dparams._replace(b=2 * dparams.b), "xs": dxs}, inputs)
    >>> report.first_wrong
    'params.b'
    >>> report.notes["params.b"]
    'it is 2 times the right gradient'
    """
    arrays = {name: array for name, array in _flatten(inputs) if array.dtype.kind == "f"}
    if not arrays:
        kinds = ", ".join(f"{name or 'inputs'}: {array.dtype}" for name, array in _flatten(inputs)) or "no array"
        raise TypeError(f"inputs holds no floating-point array ({kinds}); nothing can be judged: convert it first")
    given = _gradients_by_name(inputs, gradients, "gradients")
    if callable(judge):
        found = _gradients_by_name(inputs, judge(inputs), "the judge's gradients")
        truths = {name: _of_function(name, found[name], arrays[name].shape) for name in arrays}
    elif judge in ("complex step", "central differences"):
        truths = _derivatives(loss, inputs, arrays, judge, limit, directions, seed)
    else:
        raise ValueError(
            f"unknown judge {judge!r}; expected 'complex step', 'central differences' or a function of the inputs"
        )
    if bound is not None and not bound > 0:
        raise ValueError(f"bound must be above 0, got {bound}")
    total = np.sqrt(sum(np.linalg.norm(truth.values.ravel()) ** 2 for truth in truths.values()))
    report = Report(judge if isinstance(judge, str) else "a function", {}, {}, {}, {}, {}, {})
    for name, truth in truths.items():
        report.shapes[name], report.checked[name] = arrays[name].shape, truth.checked
        report.bounds[name] = _bound(report.judge, given[name], truth) if bound is None else bound
        _judge_one(report, name, given[name], truth, float(total))
    return report


# ---------------------------------------------------------------- judging one array


class _Truth(NamedTuple):
    """A judge's word on one array: its gradient, or the slopes along some directions."""

    values: np.ndarray  # like the array, or (K,)
    checked: str
    vectors: np.ndarray | None = None  # (K, *shape) directions; None where values is the whole gradient
    noise: float = 0.0  # rounding error of the values, as a norm
    eps: float = float(np.finfo(np.float64).eps)  # of the numbers that the judge computes with


def _of_function(name: str, gradient, shape: tuple[int, ...]) -> _Truth:
    """The gradient that the caller's judge gave for one array."""
    if gradient is None or np.shape(gradient) != shape:
        found = "none" if gradient is None else f"one of shape {np.shape(gradient)}"
        raise ValueError(f"the judge's gradients: {found} for {name}; expected shape {shape}")
    gradient = np.asarray(gradient)
    return _Truth(gradient.astype(np.float64), "all elements", eps=_eps(gradient))


def _eps(array) -> float:
    """Relative rounding error of an array's numbers; 0 for integers and None."""
    dtype = np.asarray(array).dtype
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


def _bound(judge: str, gradient, truth: _Truth) -> float:
    """The default bound of an array: wider where the gradient, or what judges it, is in float32."""
    single = _eps(np.float32(0))
    if judge == "central differences" and truth.eps >= single:
        return 1e-2
    return max(BOUNDS[judge], FLOAT32_BOUND) if max(truth.eps, _eps(gradient)) >= single else BOUNDS[judge]


def _judge_one(report: Report, name: str, gradient, truth: _Truth, total: float) -> None:
    """Enters the error of one array into the report and, where it is wrong, what is known about the mistake."""
    shape, bound = report.shapes[name], report.bounds[name]
    if gradient is None or np.shape(gradient) != shape:
        found = "no gradient was given" if gradient is None else f"it has shape {np.shape(gradient)}"
        report.errors[name], report.notes[name] = float("inf"), f"{found}; expected shape {shape}"
        return
    if np.asarray(gradient).dtype.kind not in "fiu":
        report.errors[name] = float("inf")
        report.notes[name] = f"it holds {np.asarray(gradient).dtype}; expected real numbers"
        return
    actual = np.asarray(gradient, np.float64)
    if truth.vectors is not None:  # the slope along a direction v is the sum over gradient * v
        actual = truth.vectors.reshape(len(truth.vectors), -1) @ actual.ravel()
    difference = actual - truth.values
    # What the judge cannot tell from zero: its own rounding, and that of the loss's largest gradients.
    unseen = truth.noise + max(truth.eps, _eps(gradient)) * total
    scale = max(float(np.linalg.norm(truth.values.ravel())), unseen / bound)
    norm = float(np.linalg.norm(difference.ravel()))
    report.errors[name] = error = norm / scale if scale else norm
    if error <= bound:
        return
    if not np.isfinite(actual).all():
        report.notes[name] = "it holds NaN or infinity"
    elif not np.isfinite(truth.values).all():
        report.notes[name] = "the judge's holds NaN or infinity"
    else:
        factor = float((actual * truth.values).sum() / max((truth.values**2).sum(), np.finfo(np.float64).tiny))
        if np.linalg.norm((actual - factor * truth.values).ravel()) <= 10 * bound * scale:
            report.notes[name] = "it is zero" if not actual.any() else f"it is {factor:.4g} times the right gradient"
    if truth.vectors is None and len(shape) >= 3:
        per_step = np.sqrt((difference**2).sum(axis=tuple(range(1, len(shape)))))  # (T,)
        report.wrong_steps[name] = [
            int(t) for t in np.flatnonzero(~(per_step <= bound * scale / np.sqrt(len(per_step))))
        ]


def _steps_text(steps: list[int]) -> str:
    """[0, 1, 2, 5] -> "0 to 2, 5"."""
    runs: list[list[int]] = []
    for t in steps:
        if runs and t == runs[-1][-1] + 1:
            runs[-1].append(t)
        else:
            runs.append([t])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


# ---------------------------------------------------------------- differentiating without a derivation


def _derivatives(loss, inputs, arrays, judge, limit, directions, seed) -> dict[str, _Truth]:
    """The derivative of the loss with respect to every array, by one of the two numerical judges."""
    rng = np.random.default_rng(seed)
    names = [name for name, _ in _flatten(inputs)]
    # Double precision for all arrays: a judge must be more exact than what it judges.
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}

    def value(name, array):
        changed = {**wide, name: array}
        return loss(_rebuild(inputs, iter(changed.get(n) for n in names)))

    if not arrays:
        return {}
    first = next(iter(wide))
    at_inputs = _number(value(first, wide[first]))
    if not np.isfinite(at_inputs):
        raise ValueError(f"loss(inputs) is {at_inputs}; gradients can be judged only where the loss is finite")
    eps = _eps(at_inputs) or _eps(np.float64(0))
    step = eps ** (1 / 3)
    noise = eps * abs(float(at_inputs)) / step  # of one difference quotient

    def differences(name, vector):
        """The slope along a vector, by central differences."""
        x = wide[name]
        moved = np.abs(x[vector != 0])
        size = step * max(1.0, float(np.max(moved[np.isfinite(moved)], initial=0)))
        up, down = _number(value(name, x + size * vector)), _number(value(name, x - size * vector))
        return (float(up) - float(down)) / (2 * size)

    def complex_step(name, vector):
        return _imaginary(value, name, wide[name] + 1j * STEP * vector) / STEP

    slope = complex_step if judge == "complex step" else differences
    truths = {}
    for name, array in wide.items():
        if judge == "complex step" and array.size:
            vector = _unit_vectors(rng, 1, array.shape)[0]
            _check_complex_safe(name, complex_step(name, vector), differences(name, vector), 1e4 * noise)
        if array.size <= limit:
            vectors, checked = np.eye(array.size).reshape(array.size, *array.shape), "all elements"
        else:
            vectors, checked = _unit_vectors(rng, directions, array.shape), f"{directions} random directions"
        values = np.array([slope(name, vector) for vector in vectors])
        lost = noise * np.sqrt(len(values)) if judge == "central differences" else 0.0
        if array.size <= limit:
            truths[name] = _Truth(values.reshape(array.shape), checked, None, lost, eps)
        else:
            truths[name] = _Truth(values, checked, vectors, lost, eps)
    return truths


def _unit_vectors(rng, count, shape) -> np.ndarray:
    vectors = rng.standard_normal((count, *shape))
    return vectors / np.sqrt((vectors**2).sum(axis=tuple(range(1, vectors.ndim)), keepdims=True))


def _number(value) -> np.ndarray:
    """The loss as a number, whatever array it came in."""
    if isinstance(value, tuple):
        raise ValueError("loss returned a tuple; expected one number (minirnn's losses return (loss, dprediction))")
    value = np.asarray(value)
    if value.size != 1:
        raise ValueError(f"loss returned an array of shape {value.shape}; expected one number: sum or average it")
    return value.reshape(())


def _imaginary(value, name, moved) -> float:
    """The imaginary part of the loss at complex inputs; 0 where it is real, as for an array that it does not use."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            result = _number(value(name, moved))
    except (TypeError, np.exceptions.ComplexWarning) as error:
        raise TypeError(
            f"loss fails where {name} is complex ({error});"
            ' judge it with "central differences", or see minirnn.readable.checks for what the complex step needs'
        ) from error
    return float(result.imag)


def _check_complex_safe(name: str, exact: float, approximate: float, noise: float) -> None:
    """Raises where the complex step is far from the difference quotient: part of the loss lost its imaginary part."""
    if abs(exact - approximate) > 1e-3 * max(abs(exact), abs(approximate)) + noise:
        raise ValueError(
            f"loss is not made for the complex step: a slope in {name} is {exact:.4g} by it and {approximate:.4g} by"
            ' central differences (abs, max, conj or .real of complex numbers?); judge it with "central differences"'
        )


# ---------------------------------------------------------------- trees


def _children(tree) -> list[tuple[str, Any]] | None:
    """Names and parts of a container; None for a leaf."""
    if isinstance(tree, dict):
        return [(str(key), part) for key, part in tree.items()]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return list(zip(tree._fields, tree))
    if isinstance(tree, (tuple, list)):
        return [(str(k), part) for k, part in enumerate(tree)]
    return None


def _flatten(tree, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(name, array) of every leaf; a bare array is called "inputs"."""
    parts = _children(tree)
    if parts is None:
        array = np.asarray(tree)
        if array.dtype.kind == "c":
            raise TypeError(f"{path or 'inputs'} holds {array.dtype}; expected real numbers")
        yield path or "inputs", array
        return
    for key, part in parts:
        yield from _flatten(part, f"{path}.{key}" if path else key)


def _rebuild(tree, arrays: Iterator):
    """The same tree with its leaves replaced in order; None keeps a leaf as it is."""
    parts = _children(tree)
    if parts is None:
        array = next(arrays)
        return tree if array is None else array
    rebuilt = [_rebuild(part, arrays) for _, part in parts]
    if isinstance(tree, dict):
        return dict(zip(tree, rebuilt))
    return type(tree)(*rebuilt) if hasattr(tree, "_fields") else type(tree)(rebuilt)


def _gradients_by_name(inputs, gradients, what: str, path: str = "") -> dict[str, Any]:
    """The gradient of every leaf of the inputs, by the leaf's name; None where none is given."""
    parts = _children(inputs)
    if parts is None:
        return {path or "inputs": gradients}
    if gradients is None:
        return dict.fromkeys((name for name, _ in _flatten(inputs, path)), None)
    own = _children(gradients)
    if own is None or len(own) != len(parts):
        found = f"a {type(gradients).__name__}" + (f" of {len(own)}" if own is not None else "")
        raise ValueError(
            f"{what}: {found} at {path or 'the top'}; expected {', '.join(key for key, _ in parts)}, as in the inputs"
        )
    if isinstance(inputs, dict):  # by name; a tuple's parts, by position
        missing = [key for key in inputs if not isinstance(gradients, dict) or key not in gradients]
        if missing:
            raise ValueError(f"{what}: nothing for {', '.join(map(str, missing))}; expected the names of the inputs")
        own = [(str(key), gradients[key]) for key in inputs]
    named: dict[str, Any] = {}
    for (key, part), (_, gradient) in zip(parts, own):
        named |= _gradients_by_name(part, gradient, what, f"{path}.{key}" if path else key)
    return named
