"""``minirnn classify``."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    subparsers.add_parser("classify", help="A label for each sequence: numeric windows of unequal length, or text.")


def predict(arguments: argparse.Namespace, model: Any) -> int:
    """``minirnn predict`` for a model of this command; returns its exit status."""
    raise NotImplementedError
