"""Files and frames in, regular tables out, and the embedded series."""

from minirnn.data.embedded import NAMES, load
from minirnn.data.preparing import prepare
from minirnn.data.reading import read_csv
from minirnn.data.table import DataError, Table

__all__ = ["NAMES", "DataError", "Table", "load", "prepare", "read_csv"]
