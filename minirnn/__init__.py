"""Recurrent networks that read like the mathematics and train at full speed.

``minirnn.readable`` holds every gate equation in NumPy with its gradient derived by hand; ``minirnn.fast`` holds the
same modules in JAX; ``minirnn.Forecaster`` and the command ``minirnn`` are what most people use.

Importing this module loads neither JAX nor pandas nor matplotlib: the names below are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from minirnn._version import __version__

if TYPE_CHECKING:
    from minirnn.models.classifier import Classifier
    from minirnn.models.forecaster import Forecaster
    from minirnn.models.language_model import LanguageModel
    from minirnn.models.seq2seq import Seq2Seq
    from minirnn.models.storage import load
    from minirnn.models.tagger import Tagger

# Public name -> the module that defines it.
_LAZY = {
    "Classifier": "minirnn.models.classifier",
    "Forecaster": "minirnn.models.forecaster",
    "LanguageModel": "minirnn.models.language_model",
    "Seq2Seq": "minirnn.models.seq2seq",
    "Tagger": "minirnn.models.tagger",
    "load": "minirnn.models.storage",
}
_MODULES = (
    "bench",
    "cli",
    "convert",
    "data",
    "equations",
    "fast",
    "inspect",
    "learn",
    "models",
    "params",
    "random",
    "readable",
    "search",
)

__all__ = ["Classifier", "Forecaster", "LanguageModel", "Seq2Seq", "Tagger", "__version__", "load"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"minirnn.{name}")
    raise AttributeError(f"module 'minirnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
