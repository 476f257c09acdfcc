"""Files and frames in, regular tables out, and the embedded series.

Importing this module loads no pandas, since a saved model forecasts without it: the names below are imported when
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minirnn.data.embedded import NAMES, load
    from minirnn.data.preparing import prepare
    from minirnn.data.reading import read_csv
    from minirnn.data.table import DataError, Table

# Public name -> the module that defines it.
_LAZY = {
    "NAMES": "minirnn.data.embedded",
    "DataError": "minirnn.data.table",
    "Table": "minirnn.data.table",
    "load": "minirnn.data.embedded",
    "prepare": "minirnn.data.preparing",
    "read_csv": "minirnn.data.reading",
}

__all__ = ["NAMES", "DataError", "Table", "load", "prepare", "read_csv"]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'minirnn.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
