"""The first chapter of the report: the verdict, the figures to remember, and the forecast itself."""

from __future__ import annotations

import math

import numpy as np

from minirnn.inspect.report.charts import Band, Line, chart
from minirnn.inspect.report.markup import (
    digits_of,
    name,
    number,
    paragraph,
    percent,
    section,
    sentence,
    shortened,
    table,
    text,
)
from minirnn.inspect.report.page import header
from minirnn.inspect.report.subject import Pair, Subject

ROWS = 60  # of the forecast in its table


def verdict(subject: Subject) -> str:
    """Heading, the sentence, and the figures to remember."""
    backtest = subject.backtest
    targets = [name(target, 40) for target in backtest.targets[:3]]
    more = f" and {len(backtest.targets) - 3} more" if len(backtest.targets) > 3 else ""
    several = f" of {len(backtest.names):,} series" if len(backtest.names) > 1 else ""
    about = f"the next {text(subject.ahead(backtest.horizon))}"
    if subject.table.title:
        about += f" · {name(subject.source or subject.table.title)}"
    tiles = [*_skill(subject), *_error(subject), *_covered(subject), *_next(subject)]
    heading = f"Forecast of {', '.join(targets)}{more}{several}"
    return header(heading, about, sentence(backtest.sentence), tiles)


def _skill(subject: Subject):
    backtest = subject.backtest
    if backtest.skill is None:
        return
    how = f"less error than {text(subject.title(backtest.best_naive))}"
    found = backtest.skill_interval
    if found is not None:
        digits = 0 if max(map(abs, found)) >= 0.1 else 1
        how += f"; 95\u00a0% interval {number(100 * found[0], digits)} to {percent(found[1], digits)}"
    yield "Skill", percent(backtest.skill), how


def _error(subject: Subject):
    backtest = subject.backtest
    own, best = (backtest.test[key][backtest.ranked_by] for key in (backtest.network, backtest.best_naive))
    digits = digits_of([own, best])
    unit = f" {text(shortened(subject.unit, 24))}" if subject.unit else ""
    word = "Mean absolute error" if backtest.ranked_by == "MAE" else "Mean absolute scaled error"
    yield word, f"{number(own, digits)}{unit}", f"against {number(best, digits)} on the same test rows"


def _covered(subject: Subject):
    for level in subject.stated:
        share = subject.covered(level)
        yield f"{percent(level, 0)} interval", percent(share), "of the test values were inside it"
        return


def _next(subject: Subject):
    if not subject.single or not len(subject.forecast):
        return
    frame = subject.forecast
    row = frame.iloc[0]
    digits = digits_of([subject.backtest.test[subject.backtest.network]["MAE"]], 2)
    how = ""
    if subject.levels:
        level = subject.levels[0]
        ends = (number(float(row[f"{end}_{level}"]), digits) for end in ("lower", "upper"))
        how = f"{' to '.join(ends)} with {text(level)} % certainty; {text(clock(frame.index[:1])[0])}"
    yield "Next value", number(float(row["mean"]), digits), how


def clock(index) -> list[str]:
    """Times without the clock where all are midnight."""
    if getattr(index, "dtype", np.dtype(int)).kind != "M":
        return [f"row {value}" for value in index]
    midnight = (index == index.normalize()).all()
    return [time.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M") for time in index]


def forecast(subject: Subject, identity: str, title: str) -> str:
    """The fan, or the fans of the best and worst series, and the numbers."""
    few = subject.chosen
    intro = ""
    if len(subject.pairs) > len(few):
        intro = (
            f"{len(subject.pairs):,} forecasts were made; those that did best and worst on the test rows are shown, "
            "measured by the mean absolute scaled error (below 1 is better than repeating the last season did on the "
            "training rows). All of them stand in forecast.csv."
        )
    fans = [_fan(subject, word, pair) for word, pair in few]
    grid = f'<div class="grid">\n{chr(10).join(fans)}\n</div>' if len(fans) > 1 else "".join(fans)
    return section(identity, title, paragraph(text(intro)), grid, *_forecast_tables(subject))


def _fan(subject: Subject, word: str, pair: Pair) -> str:
    ahead = subject.forecast_of(pair)
    times, values = subject.observed(pair)
    shown = min(max(6 * len(ahead), 40), 400)
    times, values = times[-shown:], values[-shown:]
    future = ahead.index.to_numpy()
    mean = ahead["mean"].to_numpy(float)
    # The fan opens at the last observed value, where there is one in the last row.
    joined = bool(len(values)) and math.isfinite(values[-1])
    x = np.concatenate([times[-1:], future]) if joined else future

    def opened(column):
        column = np.asarray(column, float)
        return np.concatenate([values[-1:], column]) if joined else column

    bands = [
        Band(f"{level} % interval", x, opened(ahead[f"lower_{level}"]), opened(ahead[f"upper_{level}"]), f"level{i}")
        for i, level in enumerate(subject.levels)
    ][::-1]
    lines = [Line("forecast", x, opened(mean), "network"), Line("observed", times, values, "truth")]
    called = subject.called(pair)
    score = f", MASE {number(pair.error, 2)}" if math.isfinite(pair.error) and not subject.single else ""
    caption = f"{shortened(called)}: {word}{score}" if word else f"{shortened(called)}{score}"
    span = subject.ahead(len(ahead))
    alt = (
        f"{shortened(called)}: the last {len(values)} observed rows and the forecast of the next {span}, from "
        f"{number(float(mean[0]), 2)} to {number(float(mean[-1]), 2)}, inside its intervals, which widen."
        if len(mean)
        else f"{shortened(called)}: observed rows."
    )
    return chart(
        lines, bands, alt=alt, caption="" if subject.single else caption, y_label=shortened(subject.labelled(pair)),
        height=320 if subject.single else 220,
    )  # fmt: skip


def _forecast_tables(subject: Subject):
    """The numbers of the forecasts that are shown."""
    head = ["Time", "Mean", *(f"{text(level)} % interval" for level in subject.levels)]
    for _, pair in subject.chosen:
        ahead = subject.forecast_of(pair)
        digits = digits_of([_spread(subject, pair)], 3)
        rows = []
        for time, (_, row) in zip(clock(ahead.index[:ROWS]), ahead.iloc[:ROWS].iterrows()):
            ends = [
                f"{number(float(row[f'lower_{level}']), digits)} to {number(float(row[f'upper_{level}']), digits)}"
                for level in subject.levels
            ]
            rows.append([text(time), number(float(row["mean"]), digits), *ends])
        called = shortened(subject.called(pair))
        more = paragraph(f"{len(ahead) - ROWS:,} more rows stand in forecast.csv.") if len(ahead) > ROWS else ""
        summary = f"<summary>The numbers: {name(subject.called(pair))}</summary>"
        numbers = table(head, rows, label=f"Forecast of {called}")
        yield f"<details{' open' if subject.single else ''}>{summary}\n{numbers}{more}</details>"


def _spread(subject: Subject, pair: Pair) -> float:
    """What digits of this pair mean anything: the error of the seasonal naive forecast on the training rows."""
    return float(subject.backtest.mase_scale[pair.series, pair.target])
