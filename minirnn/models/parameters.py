"""Checks of a model's parameters: each refuses the first one that is out of its range, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minirnn.models.estimator import ParameterError


def check_choices(parameters: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Each named parameter is one of its choices."""
    for name, known in choices.items():
        if parameters[name] not in known:
            raise ParameterError(f"unknown {name} {parameters[name]!r}; expected {_listed(known)}")


def check_whole(parameters: Mapping[str, Any], least: Mapping[str, int], optional: Iterable[str] = ()) -> None:
    """Each named parameter is a whole number of at least so much; those of ``optional`` may be None."""
    for name, smallest in least.items():
        value = parameters[name]
        if value is None and name in optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
            raise ParameterError(f"{name} must be a whole number of at least {smallest}, got {value!r}")


def check_positive(parameters: Mapping[str, Any], names: Iterable[str]) -> None:
    """Each named parameter is a number above 0."""
    for name in names:
        if not is_number(parameters[name]) or not 0 < parameters[name] < np.inf:
            raise ParameterError(f"{name} must be positive, got {parameters[name]!r}")


def check_shares(parameters: Mapping[str, Any], names: Iterable[str], above: Iterable[str] = ()) -> None:
    """Each named parameter is a number of at least 0 and below 1; those of ``above`` are not 0."""
    for name in names:
        value, positive = parameters[name], name in above
        if not is_number(value) or not (0 <= value < 1 and (value > 0 or not positive)):
            raise ParameterError(f"{name} must be {'above 0' if positive else '0 or above'} and below 1, got {value!r}")


def check_switches(parameters: Mapping[str, Any], names: Iterable[str]) -> None:
    """Each named parameter is True or False."""
    for name in names:
        if not isinstance(parameters[name], bool):
            raise ParameterError(f"{name} must be True or False, got {parameters[name]!r}")


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a switch."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python number that JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value


def _listed(choices: tuple[Any, ...]) -> str:
    return f"{', '.join(map(str, choices[:-1]))} or {choices[-1]}"
