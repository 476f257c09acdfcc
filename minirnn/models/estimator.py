"""What every model can do: parameters as in scikit-learn, fitting that leaves nothing half-done, one file."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minirnn.models import storage


class ParameterError(ValueError):
    """A parameter out of its range, or data that do not fit the model; one line that says what was expected."""


class Estimator:
    """A model with keyword arguments that it keeps unchanged, and with attributes that end in ``_`` once it is fitted.

    A subclass defines ``fit``, the attribute ``fitted_params_`` that says it was fitted, ``_flatten`` (its arrays and
    what JSON knows of it) and ``_restore`` (the reverse, a class method).
    """

    fitted_params_: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, as they were given."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params) -> Self:
        """Changes arguments of the constructor; an unknown one is a ParameterError."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ParameterError(f"unknown parameter {name!r}; expected one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items() if v != defaults[k])
        return f"{type(self).__name__}({changed})"

    @contextlib.contextmanager
    def _whole_or_as_before(self) -> Iterator[None]:
        """A fit that fails leaves the model as it was, not the weights of one fit with the scales of another."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _check_fitted(self) -> None:
        if not hasattr(self, "fitted_params_"):
            raise ParameterError(f"this {type(self).__name__} is not fitted yet; call fit first")

    def save(self, path: str | os.PathLike) -> None:
        """Writes everything that the model needs to one ``.safetensors`` file, whole or not at all."""
        self._check_fitted()
        storage.save(path, type(self).__name__, *self._flatten())

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        raise NotImplementedError  # of the subclass, as _restore

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Self:
        raise NotImplementedError
