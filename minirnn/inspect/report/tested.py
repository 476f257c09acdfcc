"""The chapters of the report on the intervals, and on the errors over time."""

from __future__ import annotations

import itertools
import math

import numpy as np

from minirnn.inspect.report.charts import Band, Line, chart
from minirnn.inspect.report.markup import digits_of, number, paragraph, percent, section, shortened, table, text
from minirnn.inspect.report.subject import Subject, binomial_range

LOOKS = ("network", "best", "other1")  # of intervals


def intervals(subject: Subject, identity: str, title: str) -> str:
    """Stated against covered, with what chance allows; the width; coverage by steps ahead."""
    backtest = subject.backtest
    if not subject.intervals:
        return ""
    truths = subject.truths
    rows, verdicts = [], []
    found = {level: (subject.covered(level), binomial_range(truths, level)) for level in subject.intervals}
    least = min(min(share, low) for share, (low, _) in found.values())
    floor = max(0.0, math.floor(20 * least - 0.5) / 20)
    widths = {
        level: float((upper - lower)[backtest.counts].mean()) for level, (lower, upper) in subject.intervals.items()
    }
    digits = digits_of(widths.values())
    for level, (share, (low, high)) in found.items():
        if level in subject.stated:
            verdicts.append(
                f"The {percent(level, 0)} interval held {percent(share)} of the test values{_judged(share, low, high)}."
            )
        rows.append(
            [
                f"{percent(level, 0)} interval",
                percent(share),
                f"{percent(low)} to {percent(high)}",
                _gauge(level, share, low, high, floor),
                *([number(widths[level], digits)] if subject.single else []),
            ]
        )
    unit = f" ({text(shortened(subject.unit, 24))})" if subject.unit else ""
    head = ["Stated", "covered", "expected", f"from {percent(floor, 0)} to 100 %"]
    head += [f"mean width{unit}"] if subject.single else []
    words = (
        "The intervals are calibrated with errors on rows that trained no network and were known when the forecast was "
        f"made. Expected is the range that holds 95 % of such shares if the level is true and {truths:,} test values "
        "are independent; neighbouring values are not, so the real range is somewhat wider."
    )
    return section(
        identity,
        title,
        paragraph(*verdicts),
        table(head, rows, label="Coverage of the intervals"),
        paragraph(text(words)),
        _coverage_by_step(subject),
    )


def _judged(share: float, low: float, high: float) -> str:
    if low <= share <= high:
        return ", as it should"
    little = "a little " if max(low - share, share - high) < 0.025 else ""
    return f": {little}{'fewer' if share < low else 'more'} than expected"


def _gauge(level: float, share: float, low: float, high: float, floor: float) -> str:
    """A little scale: the expected range, the stated level, and what was covered."""

    def at(value):
        return f"{100 * (value - floor) / (1 - floor):.1f}%"

    return (
        '<span class="gauge" aria-hidden="true">'
        f'<i class="range" style="left:{at(low)};right:calc(100% - {at(high)})"></i>'
        f'<i class="stated" style="left:{at(level)}"></i><i class="covered" style="left:{at(share)}"></i></span>'
    )


def _coverage_by_step(subject: Subject) -> str:
    backtest = subject.backtest
    if backtest.horizon < 2:
        return ""
    steps = np.arange(1, backtest.horizon + 1)
    total = backtest.counts.sum(axis=(0, 2))
    lines = []
    for i, (level, (lower, upper)) in enumerate(subject.intervals.items()):
        hits = (backtest.actual >= lower) & (backtest.actual <= upper) & backtest.counts
        share = np.where(total > 0, 100 * hits.sum(axis=(0, 2)) / np.maximum(total, 1), np.nan)
        lines.append(Line(f"{percent(level, 0)} interval", steps, share, LOOKS[i % 3]))
        lines.append(Line("", np.array([1, backtest.horizon]), np.full(2, 100 * level), "rule"))
    return chart(
        lines,
        alt="Covered share by steps ahead; the thin lines are the stated levels.",
        caption="Covered share by steps ahead (thin lines: stated)",
        y_label="covered (%)",
        x_label="steps ahead",
        direct=True,
        height=200,
    )


def residuals(subject: Subject, identity: str, title: str) -> str:
    """Observed minus forecast, over the time of the observed value."""
    backtest = subject.backtest
    difference = np.where(
        backtest.counts, backtest.actual - backtest.forecasts[backtest.network], np.nan
    )  # (n, horizon, C)
    if subject.single:
        return _residuals_of_one(subject, identity, title, difference[..., 0])
    return _residuals_of_many(subject, identity, title, difference / _scales(backtest))


def _scales(backtest) -> np.ndarray:
    scale = backtest.mase_scale[backtest.series][:, None, :]
    return np.where(scale > 0, scale, np.nan)


def _residuals_of_one(subject: Subject, identity: str, title: str, difference: np.ndarray) -> str:
    backtest = subject.backtest
    times, which = subject.when
    steps = sorted({1, backtest.horizon})
    unit = f" {text(subject.unit)}" if subject.unit else ""
    lines, words = [], []
    for step, look in zip(steps, ("best", "network")):
        errors = difference[:, step - 1]
        x = times[which, step - 1]
        lines.append(Line(f"{subject.ahead(step)} ahead", x, errors, look, dots=len(errors) <= 400))
        if np.isfinite(errors).any():
            bias, size = float(np.nanmean(errors)), float(np.nanmean(np.abs(errors)))
            digits = digits_of([size], 3)
            side = "low" if bias > 0 else "high"
            words.append(
                f"{text(subject.ahead(step)).capitalize()} ahead the forecast was on average "
                f"{number(abs(bias), digits)}{unit} too {side}."
            )
    ends = np.array([lines[0].x.min(), max(line.x.max() for line in lines)])
    lines.append(Line("", ends, np.zeros(2), "rule"))
    label = f"observed − forecast{f' ({subject.unit})' if subject.unit else ''}"
    drawn = chart(
        lines, alt=f"Errors on the test rows over time. {' '.join(words)}", y_label=label, zero=True, height=240
    )
    return section(identity, title, paragraph("Above 0 the forecast was too low, below 0 too high.", *words), drawn)


def _residuals_of_many(subject: Subject, identity: str, title: str, scaled: np.ndarray) -> str:
    """The spread of all errors, each divided by the scale of its series and target, at each origin."""
    _, which = subject.when
    origins = np.unique(subject.backtest.origins)
    order = np.argsort(which, kind="stable")
    edges = np.searchsorted(which[order], np.arange(len(origins) + 1))
    if len(origins) > 300:  # several origins share a point
        groups = np.linspace(0, len(origins), 301).astype(int)
        edges, origins = edges[groups], origins[groups[:-1]]
    middle = np.full((3, len(origins)), np.nan)
    for at, (a, b) in enumerate(itertools.pairwise(edges)):
        values = scaled[order[a:b]]
        values = values[np.isfinite(values)]
        if len(values):
            middle[:, at] = np.quantile(values, (0.1, 0.5, 0.9))
    drawn = chart(
        [Line("median", origins, middle[1], "network"), Line("", origins[[0, -1]], np.zeros(2), "rule")],
        [Band("middle 80 %", origins, middle[0], middle[2], "level0")],
        alt="Median and middle 80 % of all scaled errors over the time of the forecast.",
        y_label="(observed − forecast) / scale of the series",
        zero=True,
        height=240,
    )
    words = (
        "Errors of all series, targets and steps ahead by the time at which the forecast was made, each divided by the "
        "error of the seasonal naive forecast on the training rows. Above 0 the forecasts were too low."
    )
    return section(identity, title, paragraph(words), drawn)
