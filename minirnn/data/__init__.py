"""Files and frames in, regular tables out, and the embedded series. Nothing is imported before it is used."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirnn.data.embedded import NAMES, load
    from minirnn.data.preparing import prepare
    from minirnn.data.reading import read, read_csv
    from minirnn.data.table import Roles, Table
    from minirnn.data.words import DataError, DataWarning

__all__ = ["NAMES", "DataError", "DataWarning", "Roles", "Table", "load", "prepare", "read", "read_csv"]

_FILES = {
    "NAMES": "embedded",
    "load": "embedded",
    "prepare": "preparing",
    "read": "reading",
    "read_csv": "reading",
    "Roles": "table",
    "Table": "table",
    "DataError": "words",
    "DataWarning": "words",
}


def __getattr__(name: str):
    if name not in _FILES:
        raise AttributeError(f"module 'minirnn.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"minirnn.data.{_FILES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
