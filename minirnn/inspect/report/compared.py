"""The chapter of the report that sets the forecast beside all others."""

from __future__ import annotations

import math

import numpy as np

from minirnn.inspect.report.charts import Line, chart
from minirnn.inspect.report.markup import (
    digits_of,
    name,
    number,
    numbers,
    paragraph,
    percent,
    section,
    shortened,
    strongest,
    table,
    text,
)
from minirnn.inspect.report.subject import Subject

TARGETS = 12  # in a table of targets
OTHERS = [f"thin {kind}other{k}" for kind in ("", "dotted ") for k in range(1, 6)]  # looks, in turn


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
    adds, own = backtest.network_adds, backtest.test[backtest.network][backtest.ranked_by]
    if adds is None:
        return
    simple = "a reference that moves with the rows, and a linear map of the window"
    # A mean over members rounds, so that a network of no weight need not leave the very same numbers.
    if np.allclose(backtest.without, backtest.forecasts[backtest.network], rtol=1e-9, atol=0):
        yield (
            "<strong>The network itself adds nothing here.</strong> It was trained, but on the validation rows it did "
            f"not reliably improve on the rest of the model, so it was given no weight; all of it is {simple}."
        )
        return
    bare = own / (1 - adds)
    digits = digits_of([own, bare])
    unit = f" {text(shortened(subject.unit, 24))}" if subject.unit else ""
    by = percent(abs(adds))
    does = (
        f"{'lowers' if adds > 0 else 'raises'} the error by {by}" if abs(adds) >= 0.0005 else "hardly changes the error"
    )
    share = backtest.model.get("network_share")
    counted = f", counted at {percent(share, 0)}," if share is not None and share < 0.995 else ""
    yield (
        f"<strong>The network itself{counted} {does}</strong>: "
        f"{number(own, digits)}{unit} with it, {number(bare, digits)} without. The rest of the model is {simple}."
    )
    seeds = backtest.seeds
    if seeds and seeds["members"] > 1:
        digits = digits_of([seeds["min"]])
        yield (
            f"It is the mean of {seeds['members']} members, trained from different seeds, whose mean absolute errors "
            f"by themselves lie between {number(seeds['min'], digits)} and {number(seeds['max'], digits)}."
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
    limit = 1.7 * float(np.nanmax(frame.loc[main].to_numpy(float)))
    # A line that leaves the picture tells nothing of how errors grow: its name is enough.
    off = [key for key in order if key not in main and limit > 0 and np.nanmax(frame.loc[key]) > limit]
    order = [key for key in order if key not in off]
    beyond = f"; too large to be drawn: {', '.join(subject.title(key) for key in off)}" if off else ""
    looks = {backtest.network: "network", backtest.best_naive: "best"}
    rest = iter(OTHERS * len(order))
    lines = [
        Line(
            subject.title(key),
            steps,
            frame.loc[key].to_numpy(float),
            looks.get(key) or next(rest),
            told=number(frame.loc[key].iloc[-1], digits),
        )
        for key in order
    ]
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
        caption=f"Error by steps ahead, and its value at the last step{beyond}",
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
