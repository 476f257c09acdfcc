"""The first half of the report: the verdict, the forecast, and how good it was on the test rows."""

from __future__ import annotations

import math

import numpy as np

from minirnn.inspect.charts import Band, Line, chart
from minirnn.inspect.markup import (
    digits_of,
    name,
    number,
    numbers,
    paragraph,
    percent,
    section,
    sentence,
    shortened,
    strongest,
    table,
    text,
)
from minirnn.inspect.subject import Pair, Subject, binomial_range

ROWS = 60  # of the forecast in its table
TARGETS = 12  # in a table of targets
OTHERS = ("other1", "other2", "other3", "other4", "other5")  # looks, in turn


# ---------------------------------------------------------------- the verdict


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
    return (
        f"<header>\n<h1>Forecast of {', '.join(targets)}{more}{several}</h1>\n<p class='about'>{about}</p>\n"
        f'<p class="sentence">{sentence(backtest.sentence)}</p>\n<ul class="tiles">\n'
        + "\n".join(f"<li><span>{what}</span><b>{value}</b><small>{how}</small></li>" for what, value, how in tiles)
        + "\n</ul>\n</header>"
    )


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
    for level, (lower, upper) in subject.stated.items():
        share = _share(subject, lower, upper)
        yield f"{percent(level, 0)} interval", percent(share), "of the test values were inside it"
        return


def _next(subject: Subject):
    if not subject.single or not len(subject.forecast):
        return
    frame = subject.forecast
    row = frame.iloc[0]
    digits = digits_of([backtest_error(subject)], 2)
    how = ""
    if subject.levels:
        level = subject.levels[0]
        ends = (number(float(row[f"{end}_{level}"]), digits) for end in ("lower", "upper"))
        how = f"{' to '.join(ends)} with {text(level)} % certainty; {text(clock(frame.index[:1])[0])}"
    yield "Next value", number(float(row["mean"]), digits), how


def backtest_error(subject: Subject) -> float:
    """The mean absolute error of the network: what digits of a value mean anything."""
    return subject.backtest.test[subject.backtest.network]["MAE"]


def clock(index) -> list[str]:
    """Times without the clock where all are midnight."""
    if getattr(index, "dtype", np.dtype(int)).kind != "M":
        return [f"row {value}" for value in index]
    midnight = (index == index.normalize()).all()
    return [time.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M") for time in index]


# ---------------------------------------------------------------- the forecast


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
        yield (
            f"<details{' open' if subject.single else ''}><summary>The numbers: {name(subject.called(pair))}</summary>\n"
            + table(head, rows, label=f"Forecast of {called}")
            + more
            + "</details>"
        )


def _spread(subject: Subject, pair: Pair) -> float:
    """What digits of this pair mean anything: the error of the seasonal naive forecast on the training rows."""
    return float(subject.backtest.mase_scale[pair.series, pair.target])


# ---------------------------------------------------------------- other forecasts


def others(subject: Subject, identity: str, title: str) -> str:
    """Every forecast by every metric, the error by horizon, targets and series, and what the network adds."""
    backtest = subject.backtest
    frame = backtest.table
    general = [column for column in frame if frame[column].notna().sum() > 1]
    values = frame[general].to_numpy(float)
    cells = strongest(numbers([frame[column] for column in general]), values)
    rows = [[text(subject.title(key)), *row] for key, row in zip(frame.index, cells)]
    own = list(frame.index).index(backtest.network)
    unit = f" in {text(shortened(subject.unit, 30))}" if subject.unit else ""
    test = backtest.splits.get("test", {})
    words = (
        f"Errors{unit} on the test rows, {text(test.get('start', ''))} to {text(test.get('end', ''))}, "
        f"{text(subject.ahead(backtest.horizon))} ahead together, from {len(backtest.origins):,} origins. "
        "None of these rows was used in training. Less is better; the least of each column is bold."
    )
    if "MASE" in general:
        words += " MASE and RMSSE below 1 are better than repeating the last season was on the training rows."
    return section(
        identity,
        title,
        paragraph(words),
        table(["Forecast", *map(text, general)], rows, label="Errors of every forecast", marked=[own]),
        paragraph(*_network_adds(subject)),
        _by_horizon(subject),
        *_by_target(subject),
        *_by_series(subject),
    )


def _network_adds(subject: Subject):
    """What the network itself is worth, and how its members differ."""
    backtest = subject.backtest
    model, called = backtest.model, text(subject.title(backtest.network))
    bare = (model.get("without_network") or {}).get("MAE")
    share, adds = model.get("network_share"), model.get("network_adds")
    if share is not None and share <= 0:
        yield (
            "<strong>The network itself adds nothing here:</strong> on the validation rows it did not reliably improve "
            f"on the simple part of the model, so the row “{called}” is that simple part (a moving reference and a "
            "linear map of the window)."
        )
    elif bare is not None and adds is not None:
        own = backtest.test[backtest.network]["MAE"]
        digits = digits_of([own, bare])
        unit = f" {text(subject.unit)}" if subject.unit else ""
        does = f"lowers the mean absolute error by {percent(adds)}" if adds > 0 else (
            f"raises the mean absolute error by {percent(-adds)}"
        )  # fmt: skip
        counted = f", counted at {percent(share, 0)}," if share is not None and share < 0.995 else ""
        yield (
            f"<strong>What the network itself adds{counted} {does}</strong>: {number(own, digits)}{unit} with it, "
            f"{number(bare, digits)} without, where only a moving reference and a linear map of the window forecast."
        )
    seeds = backtest.seeds
    if seeds and seeds["members"] > 1 and (share is None or share > 0):
        digits = digits_of([seeds["min"]])
        yield (
            f"It is the mean of {seeds['members']} members, trained from different seeds, whose errors by themselves "
            f"lie between {number(seeds['min'], digits)} and {number(seeds['max'], digits)}."
        )


def _by_horizon(subject: Subject) -> str:
    backtest = subject.backtest
    frame = backtest.by_horizon
    if backtest.horizon < 2:
        return ""
    steps = np.asarray(frame.columns, float)
    means = frame.mean(axis=1)
    digits = digits_of(means, 3)
    main = [backtest.network, backtest.best_naive]
    order = [*main, *(key for key in means.sort_values(kind="stable").index if key not in main)]
    looks = {backtest.network: "network", backtest.best_naive: "best"}
    rest = iter(OTHERS * len(order))
    lines = [
        Line(
            subject.title(key),
            steps,
            frame.loc[key].to_numpy(float),
            looks.get(key) or f"thin {next(rest)}",
            told=number(means[key], digits),
        )
        for key in order
    ]
    limit = 2 * float(np.nanmax(frame.loc[main].to_numpy(float)))
    first, last = frame.loc[backtest.network].iloc[[0, -1]]
    own = subject.title(backtest.network)
    alt = (
        f"Error by steps ahead: the {own} goes from {number(float(first), digits)} one step ahead to "
        f"{number(float(last), digits)} {backtest.horizon} steps ahead; the best other forecast is "
        f"{subject.title(backtest.best_naive)}."
    )
    return chart(
        lines,
        alt=alt,
        caption="Error by steps ahead, and the mean of all steps",
        y_label=subject.error,
        x_label=f"steps ahead (1 step = {subject.ahead(1)})" if backtest.frequency else "steps ahead",
        limit=limit if limit > 0 else None,
        direct=True,
        height=300,
    )


def _by_target(subject: Subject):
    backtest = subject.backtest
    if len(backtest.targets) < 2:
        return
    frame = backtest.by_target
    keys = [backtest.network, backtest.best_naive]
    chosen = list(backtest.targets)
    skills = {
        t: 1 - frame.loc[keys[0], t] / frame.loc[keys[1], t] if frame.loc[keys[1], t] > 0 else np.nan for t in chosen
    }
    if len(chosen) > TARGETS:
        ranked = sorted(chosen, key=lambda t: -skills[t] if math.isfinite(skills[t]) else math.inf)
        chosen = ranked[: TARGETS // 2] + ranked[-TARGETS // 2 :]
    rows = []
    for target in chosen:
        own, best = (float(frame.loc[key, target]) for key in keys)
        digits = digits_of([own, best])
        unit = backtest.units.get(target, "")
        label = name(target) + (f" ({text(shortened(unit, 24))})" if unit else "")
        rows.append([label, number(own, digits), number(best, digits), percent(skills[target])])
    yield f"<h3>Mean absolute error by target{', the best and worst' if len(backtest.targets) > TARGETS else ''}</h3>"
    head = ["Target", *(text(subject.title(key)) for key in keys), "less error"]
    yield table(head, rows, label="Errors of each target")


def _by_series(subject: Subject):
    backtest = subject.backtest
    if len(backtest.names) < 2:
        return
    frame = backtest.by_series
    keys = [backtest.network, backtest.best_naive]
    own, best = (frame.loc[key].to_numpy(float) for key in keys)
    known = np.isfinite(own) & np.isfinite(best) & (best > 0)
    skill = 1 - own[known] / best[known]
    if not len(skill):
        return
    network, other = (subject.title(key) for key in keys)
    better = int((skill > 0).sum())
    words = f"The {network} has less error than {other} in {better:,} of {len(skill):,} series."
    yield paragraph(text(words))
    order = np.argsort(-skill, kind="stable")
    if len(skill) >= 5:
        floor = max(float(np.quantile(skill, 0.02)), -2.0)
        yield chart(
            [
                Line("", np.arange(1, len(skill) + 1), 100 * np.maximum(skill[order], floor), "network", dots=True),
                Line("", np.array([1, len(skill)]), np.zeros(2), "rule"),
            ],
            alt=f"Skill of each series, sorted: {words}",
            caption=f"Skill of each series against {other}, sorted (above 0 the {network} is better)",
            y_label="less error (%)",
            x_label="rank of the series",
            zero=True,
            height=200,
        )
    places = np.flatnonzero(known)[order]
    few = places if len(places) <= 10 else np.concatenate([places[:3], places[-3:]])
    word = "error by series" if len(places) <= 10 else "error by series, the three best and worst"
    unit = backtest.units.get(backtest.targets[0], "") if len(backtest.targets) == 1 else "scaled"
    word = f"Mean absolute {word}" + (f" ({text(shortened(unit, 24))})" if unit else "")
    rows = []
    for k in few:
        digits = digits_of([own[k], best[k]])
        rows.append(
            [name(backtest.names[k]), number(own[k], digits), number(best[k], digits), percent(1 - own[k] / best[k])]
        )
    yield f"<h3>{word}</h3>"
    yield table(["Series", text(network), text(other), "less error"], rows, label="Errors of some series")


# ---------------------------------------------------------------- intervals


def _share(subject: Subject, lower, upper) -> float:
    counts, actual = subject.backtest.counts, subject.backtest.actual
    return float(((actual >= lower) & (actual <= upper))[counts].mean())


def intervals(subject: Subject, identity: str, title: str) -> str:
    """Stated against covered, with what chance allows; the width; coverage by steps ahead."""
    backtest = subject.backtest
    if not subject.intervals:
        return ""
    truths = subject.truths
    rows, verdicts = [], []
    least = min(1.0, *(_share(subject, *ends) for ends in subject.intervals.values()))
    found = {
        level: (_share(subject, *ends), binomial_range(truths, level)) for level, ends in subject.intervals.items()
    }
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
        f"The intervals were calibrated on the validation rows. Expected is the range that holds 95 % of such shares "
        f"if the level is true and {truths:,} test values are independent; neighbouring values are not, so the real "
        "range is somewhat wider."
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
        lines.append(Line(f"{percent(level, 0)} interval", steps, share, ("network", "best")[i % 2]))
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


# ---------------------------------------------------------------- errors over time


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
    for at, (a, b) in enumerate(zip(edges[:-1], edges[1:])):
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
