"""Charts for the report: lines and bands as inline SVG that stretches with the page, labels as text that does not.

The curves are drawn in a square of 1000 x 1000 that is stretched to the place there is; strokes keep their width. Ticks
and labels are HTML beside it, placed in percent. So one chart fits 300 pixels and 1300, needs no script, prints, can be
read aloud, and takes its colours from the page, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minirnn.inspect.report.markup import number, shortened, text

HEIGHT = 260  # pixels
LINE = 17  # pixels between two labels at the ends of lines
MOST = 700  # points of a line that are drawn; of more, the least and largest of each of that many bins


class Line(NamedTuple):
    """A line, or dots: x and y of one length, NaN where there is a gap; `look` is a class of the page's style."""

    name: str
    x: np.ndarray
    y: np.ndarray
    look: str
    dots: bool = False
    told: str = ""


class Band(NamedTuple):
    """The area between two lines."""

    name: str
    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    look: str


def chart(
    lines: Sequence[Line],
    bands: Sequence[Band] = (),
    *,
    alt: str,
    caption: str = "",
    y_label: str = "",
    x_label: str = "",
    height: int = HEIGHT,
    zero: bool = False,
    limit: float | None = None,
    direct: bool = False,
) -> str:
    """A figure: caption, legend, curves. Texts are given plain and escaped here.

    Args:
      lines: in the order of the legend; later ones are drawn below earlier ones.
      bands: below the lines, the widest first.
      alt: what the picture shows, in a sentence.
      caption: above it.
      y_label: what is drawn, with its unit.
      x_label: under the axis; times need none.
      height: in pixels.
      zero: whether the axis holds nought.
      limit: where the axis ends; lines that lie above it wholly are named, and not drawn.
      direct: whether lines are named at their ends where there is room, instead of in a legend.
    """
    timed = any(x.dtype.kind == "M" for x in _xs(lines, bands))
    lines = [line._replace(x=_seconds(line.x), y=_bounded(line.y)) for line in lines]
    bands = [band._replace(x=_seconds(band.x), low=_bounded(band.low), high=_bounded(band.high)) for band in bands]
    left, right = _range(_xs(lines, bands), pad=0.01 if any(line.dots for line in lines) else 0.0)
    held = [line.y for line in lines] + [edge for band in bands for edge in (band.low, band.high)]
    if limit is not None:
        held = [np.where(values <= limit, values, np.nan) for values in held]
    low, high = _range(held, pad=0.05)
    if zero:
        low, high = (0.0 if low >= -0.05 * (high - low) else low), max(high, 0.0)

    def across(x):
        return 1000 * (np.asarray(x, float) - left) / (right - left)

    def down(y):
        return np.clip(1000 * (high - np.asarray(y, float)) / (high - low), -1e5, 1e5)

    y_ticks = nice(low, high, max(height // 50, 2))
    digits = next((d for d in range(8) if all(math.isclose(round(t, d), t, abs_tol=1e-12) for t in y_ticks)), 8)
    y_texts = [number(tick, digits) for tick in y_ticks]
    x_ticks = time_ticks(left, right) if timed else count_ticks(left, right)

    drawn = [f'<path class="grid" d="M0 {down(tick):.1f}H1000"/>' for tick in y_ticks]
    for band in bands:
        drawn.append(f'<path class="band {band.look}" d="{_area(across(band.x), down(band.low), down(band.high))}"/>')
    for line in reversed(lines):
        drawn.append(_curve(across(line.x), down(line.y), line))
    marks = [
        f'<span class="y" style="top:{down(tick) / 10:.2f}%">{label}</span>' for tick, label in zip(y_ticks, y_texts)
    ]
    shown = [(tick, label) for tick, label in x_ticks if left <= tick <= right]
    for place, (tick, label) in enumerate(shown):
        at = across(tick) / 10
        edge = " first" if at < 4 else " last" if at > 96 else ""
        some = " some" if place % 2 else ""
        marks.append(f'<span class="x{edge}{some}" style="left:{at:.2f}%">{text(label)}</span>')
    if direct:
        marks += _ends(lines, down, height)
    legend = _legend(lines, bands, narrow=direct, limit=limit)
    width = max(map(len, y_texts), default=1)
    room = max((len(_label(line)) for line in lines if line.name), default=0)
    style = f"--h:{height}px;--left:{width + 1}ch;--right:{min(room, 34) + 5 if direct else 1}ch"
    return (
        f'<figure class="chart{" direct" if direct else ""}">\n'
        + (f"<figcaption>{text(caption)}</figcaption>\n" if caption else "")
        + legend
        + (f'<p class="label">{text(y_label)}</p>\n' if y_label else "")
        + f'<div class="plot" role="img" aria-label="{text(alt)}" style="{style}">\n'
        + '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        + "".join(drawn)
        + "</svg>\n"
        + "".join(marks)
        + "\n</div>\n"
        + (f'<p class="label below">{text(x_label)}</p>\n' if x_label else "")
        + "</figure>"
    )


# ---------------------------------------------------------------- ranges and ticks


def _xs(lines: Sequence[Line], bands: Sequence[Band]) -> list[np.ndarray]:
    return [line.x for line in lines] + [band.x for band in bands]


def _bounded(y: np.ndarray) -> np.ndarray:
    """Numbers whose differences and thousandfolds are still numbers."""
    return np.clip(np.asarray(y, float), -1e300, 1e300)


def _seconds(x: np.ndarray) -> np.ndarray:
    """Times as seconds since 1970; counts as they are."""
    return x.astype("datetime64[us]").astype(np.int64) / 1e6 if x.dtype.kind == "M" else x.astype(float)


def _range(arrays: Sequence[np.ndarray], pad: float) -> tuple[float, float]:
    """The least and largest of all finite numbers, a little further apart; never the same."""
    finite = [array[np.isfinite(array)] for array in arrays]
    values = np.concatenate([*finite, np.empty(0)])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    between = high - low
    if between <= 1e-9 * max(abs(low), abs(high)):
        between = abs(high) or 1.0
        pad = max(pad, 0.5)
    return low - pad * between, high + pad * between


def nice(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within a range, at most so many and one.

    >>> nice(0, 9.7, 5)
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * k for k in range(first, last + 1)]


def count_ticks(left: float, right: float) -> list[tuple[float, str]]:
    """Whole numbers along an axis."""
    if right - left <= 8:
        return [(float(k), f"{k:,}") for k in range(math.ceil(left), math.floor(right) + 1)]
    return [(tick, f"{tick:,.0f}") for tick in nice(left, right, 8)]


# Steps between times: seconds, or months.
SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600)
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200)


def time_ticks(left: float, right: float, most: int = 7) -> list[tuple[float, str]]:
    """Round times along an axis of seconds since 1970.

    >>> [label for _, label in time_ticks(0, 4 * 365.25 * 86400)]
    ['1970', '1971', '1972', '1973', '1974']
    """
    step = next((each for each in SECONDS if (right - left) / each <= most), None)
    if step is not None:
        start = 4 * 86400 if step >= 604800 else 0  # the epoch was a Thursday: weeks begin on Mondays
        first = math.ceil((left - start) / step) * step + start
        places = np.arange(first, right + step * 1e-9, step).tolist()
        times = [np.datetime64(round(each * 1e6), "us").item() for each in places]
        if step >= 86400:  # the year once, and where it changes: labels have little room
            years = [None, *(t.year for t in times)]
            names = [f"{t.day} {t:%b}" + ("" if t.year == before else f" {t.year}") for t, before in zip(times, years)]
            return list(zip(places, names))
        clock = "%H:%M:%S" if step < 60 else "%H:%M"
        days = right - left > 86400
        return [(at, (f"{t.day} {t:%b} " if days else "") + t.strftime(clock)) for at, t in zip(places, times)]
    begin = int(np.datetime64(round(left * 1e6), "us").astype("datetime64[M]").astype(np.int64))
    end = int(np.datetime64(round(right * 1e6), "us").astype("datetime64[M]").astype(np.int64))
    months = next((each for each in MONTHS if (end - begin) / each <= most), 12 * 10 ** len(str(end - begin)))
    found = []
    for month in range(-(-begin // months) * months, end + 1, months):
        time = np.datetime64(month, "M").astype("datetime64[us]")
        label = str(time.astype("datetime64[Y]")) if months >= 12 else f"{time.item():%b} {time.item().year}"
        found.append((float(time.astype(np.int64)) / 1e6, label))
    return found


# ---------------------------------------------------------------- curves


def _curve(x: np.ndarray, y: np.ndarray, line: Line) -> str:
    """A path; dots are strokes without length, whose round ends are circles whatever the stretching."""
    if line.dots:
        kept = np.isfinite(y)
        points = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[kept], y[kept]))
        return f'<path class="dots {line.look}" d="{points}"/>'
    x, y = _thinned(x, y)
    steps: list[str] = []
    gap = True
    for a, b in zip(x, y):
        if not math.isfinite(b):
            gap = True
            continue
        steps.append(f"M{a:.1f} {b:.1f}h0" if gap else f"L{a:.1f} {b:.1f}")  # h0: a value by itself is a dot
        gap = False
    return f'<path class="line {line.look}" d="{"".join(steps)}"/>'


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest of each bin, in their order, where the points are more than a screen can show."""
    if len(x) <= 2 * MOST:
        return x, y
    chosen = []
    for part in np.array_split(np.arange(len(x)), MOST):
        known = part[np.isfinite(y[part])]
        chosen += sorted({known[np.argmin(y[known])], known[np.argmax(y[known])]}) if len(known) else [part[0]]
    return x[chosen], y[chosen]


def _area(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    kept = np.isfinite(low) & np.isfinite(high)
    there = [f"{a:.1f} {b:.1f}" for a, b in zip(x[kept], high[kept])]
    back = [f"{a:.1f} {b:.1f}" for a, b in zip(x[kept][::-1], low[kept][::-1])]
    return f"M{'L'.join(there + back)}Z" if there else ""


# ---------------------------------------------------------------- names


def _label(line: Line) -> str:
    return shortened(f"{line.name}  {line.told}".strip(), 34)


def _ends(lines: Sequence[Line], down, height: int) -> list[str]:
    """Names beside the last points, moved apart where they would cover each other."""
    wanted = []
    for line in lines:
        known = np.flatnonzero(np.isfinite(line.y))
        if line.name and len(known):
            wanted.append((float(down(line.y[known[-1]])) / 1000 * height, line))
    wanted.sort(key=lambda each: each[0])
    places: list[float] = []
    for at, _ in wanted:
        places.append(max(at, places[-1] + LINE) if places else max(at, 0.0))
    bottom = float(height)
    for index in range(len(places) - 1, -1, -1):  # up again from the foot
        places[index] = min(places[index], bottom)
        bottom = places[index] - LINE
    return [
        f'<span class="end" style="top:{at:.0f}px"><i class="{line.look}"></i>{text(_label(line))}'
        f"{' ↑' if end < 0 else ''}</span>"
        for at, (end, line) in zip(places, wanted)
    ]


def _legend(lines, bands, narrow: bool, limit: float | None) -> str:
    items = []
    for line in lines:
        if line.name:
            off = limit is not None and not (line.y <= limit).any() and np.isfinite(line.y).any()
            kind = "dot " if line.dots else ""
            more = " (off the scale)" if off else ""
            items.append(f'<li><i class="{kind}{line.look}"></i>{text(_label(line) + more)}</li>')
    items += [f'<li><i class="area {band.look}"></i>{text(band.name)}</li>' for band in reversed(bands) if band.name]
    if len(items) < 2:
        return ""
    return f'<ul class="legend{" narrow" if narrow else ""}" aria-hidden="true">{"".join(items)}</ul>\n'
