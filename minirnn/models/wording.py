"""What forecasts are called, and how many digits of a number are shown."""

from __future__ import annotations

import math

from minirnn.models import baselines

TITLES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", **baselines.TITLES}


def title(name: str) -> str:
    """What a forecast is called in sentences and tables; a name that has no title is its own."""
    return TITLES.get(name, name)


def digits_for(smallest: float, significant: int = 4) -> int:
    """Digits after the point that show the smallest of some numbers with four significant digits; at most 12."""
    if not smallest > 0:
        return significant - 1
    return min(max(significant - 1 - math.floor(math.log10(smallest)), 0), 12)


def in_digits(value: float, digits: int) -> str:
    """A number with so many digits after the point; in powers of ten where it is far too large or too small for that.

    >>> in_digits(2.7034, 3), in_digits(37240.2, 0), in_digits(1.5e-9, 12), in_digits(2.3e20, 0)
    ('2.703', '37,240', '1.5e-09', '2.3e+20')
    """
    if value != 0 and not 1e-8 < abs(value) < 1e12:
        return f"{value:.4g}"
    return f"{value:,.{digits}f}"
