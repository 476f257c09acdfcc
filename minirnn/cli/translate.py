"""``minirnn translate``."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    subparsers.add_parser("translate", help="From sequences to sequences: translation, transliteration, dates, series.")


def predict(arguments: argparse.Namespace, model: Any) -> int:
    """``minirnn predict`` for a model of this command; returns its exit status."""
    raise NotImplementedError
