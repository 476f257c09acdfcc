"""``minirnn tag``."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    subparsers.add_parser("tag", help="A label for each step of a sequence, and the spans that they make.")


def predict(arguments: argparse.Namespace, model: Any) -> int:
    """``minirnn predict`` for a model of this command; returns its exit status."""
    raise NotImplementedError
