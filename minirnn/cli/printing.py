"""What a person reads of a backtest and of a forecast: aligned columns, no more digits than there is to say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table
    from minirnn.models.backtest import Backtest
    from minirnn.models.forecaster import Forecaster

SINGLE = ("MAE", "RMSE", "MAPE", "sMAPE", "MASE")
SEVERAL = ("MASE", "RMSSE", "MAPE", "sMAPE")  # errors of different units have no mean
FEW_SERIES, FEW_STEPS, FEW_NOTES = 3, 8, 20
LONGEST = 24  # letters of a class or model in a table of scores


def heading(source: str, table: Table) -> list[str]:
    """Where the rows come from, and what their columns are for."""
    from minirnn.data.words import listed

    roles = table.roles
    targets = ", ".join(f"{name}{in_unit(table.units.get(name))}" for name in roles.target)
    read = [f"{', '.join(names)}" for names in (roles.past,) if names]
    read += [
        f"{', '.join(names)} ({word})" for names, word in ((roles.future, "ahead"), (roles.static, "of each")) if names
    ]
    lines = [f"data        {source}", f"target      {targets}" + (f"; also read: {', '.join(read)}" if read else "")]
    if table.series > 1:
        lines.append(f"series      {table.series:,} by {table.series_column}: {listed(table.names, 5)}")
    return [*lines, f"dates       column {table.date_column}, frequency {table.frequency}"]


def decided(model: Forecaster, evaluation: Backtest | None) -> list[str]:
    """The parts of the rows, what was chosen, and what the network is."""
    from minirnn.data.words import count
    from minirnn.models.wording import title

    lines = []
    for name, part in evaluation.splits.items() if evaluation is not None else ():
        known = "" if part["observed"] == part["rows"] else f", {part['observed']:,} of them with a value"
        lines.append(f"{name:<11} {part['start']} to {part['end']}, {part['rows']:,} rows{known}")
    lines.append(f"season      {model.season_} rows" if model.season_ > 1 else "season      none")
    bases = len(model.fitted_.bases)
    lines.append(f"forecast    {_mean_of(bases)} measured from {plan_in_words(model.plan_)}, plus the network")
    about = model.fitted_params_
    lines.append(
        f"network     {title(about['cell'])}, {about['hidden_size']} units, window {model.window_}, horizon "
        f"{model.horizon_}; {count(about['ensemble'], 'member')}; {count(model.history_.epochs, 'epoch')}; the "
        f"validation rows let {100 * model.fitted_.share:.0f} % of it count"
    )
    return lines


def _mean_of(bases: int) -> str:
    return "a linear forecast" if bases == 1 else f"the mean of {bases} linear forecasts, the heaviest"


def plan_in_words(plan) -> str:
    """What a forecast is measured from."""
    level = "the last value" if plan.alpha == 1 else f"a smoothed level (alpha {plan.alpha:g})"
    season = f" and a season of {plan.season} rows" if plan.season > 1 else ""
    season += " and a season of the calendar" if any(plan.harmonics) else ""
    return f"{level}{season}{', in logarithms' if plan.log else ''}"


def notes(lines: Sequence[str]) -> list[str]:
    """What was found, decided or repaired; only the first of very many."""
    shown = [f"note        {line}" for line in lines[:FEW_NOTES]]
    return shown + ([f"note        and {len(lines) - FEW_NOTES} more"] if len(lines) > FEW_NOTES else [])


def in_unit(unit: str | None) -> str:
    """`` (unit)``, or nothing."""
    return f" ({unit})" if unit else ""


def errors(evaluation: Backtest) -> list[str]:
    """The table of errors, the best forecast first, and how often the network's intervals held."""
    steps = f"{evaluation.horizon} steps ahead together" if evaluation.horizon > 1 else "1 step ahead"
    unit = evaluation.units.get(evaluation.targets[0]) if evaluation.single else None
    over = "" if evaluation.single else f", {evaluation.several}"
    origins = f"from {len(evaluation.origins):,} origins"
    table = evaluation.table[list(SINGLE if evaluation.single else SEVERAL)]
    table = table.rename(index=_titles(evaluation))
    return [
        f"errors on the test rows, {steps}, {origins}{over}{in_unit(unit)}",
        *aligned(table),
        *_intervals(evaluation),
    ]


def _titles(evaluation: Backtest) -> dict[str, str]:
    return {name: evaluation.title_of(name) for name in evaluation.forecasts}


def _intervals(evaluation: Backtest) -> list[str]:
    own = evaluation.test[evaluation.network]
    found = [name.removeprefix("coverage_") for name in own if name.startswith("coverage_")]
    parts = [f"{level} %: {100 * (own[f'coverage_{level}'] or 0):.1f} %" for level in found]
    return [f"  of the test points lie in the interval that should hold  {', '.join(parts)}"] if parts else []


def by_horizon(evaluation: Backtest) -> list[str]:
    """Errors by steps ahead; of many steps some."""
    table = evaluation.by_horizon.rename(index=_titles(evaluation)).loc[
        [_titles(evaluation)[name] for name in evaluation.table.index]
    ]
    if table.shape[1] > FEW_STEPS:
        last = table.shape[1] - 1
        table = table.iloc[:, [round(k * last / (FEW_STEPS - 1)) for k in range(FEW_STEPS)]]
    return [f"{evaluation.ranked_by} by steps ahead", *aligned(table, together=True)]


def aligned(table: pd.DataFrame, together: bool = False) -> list[str]:
    """A frame as text; every column (or all ``together``) with as many digits as its smallest number needs.

    Forecasts that are all but perfect would need more than anyone wants to read: a hundredth of the usual is enough.
    """
    from minirnn.models.wording import digits_for, in_digits

    def digits(values: Iterable[float]) -> int:
        positive = [value for value in values if 0 < value < math.inf]
        return digits_for(max(min(positive), statistics.median(positive) / 100)) if positive else 3

    shared = digits(value for _, values in table.items() for value in values)
    columns = [["", *map(str, table.index)]]
    for name, values in table.items():
        places = shared if together else digits(values)
        columns.append([str(name), *("-" if value != value else in_digits(value, places) for value in values)])
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *cells in zip(*columns):
        padded = "".join(f"  {cell:>{max(width, 8)}}" for cell, width in zip(cells, widths[1:]))
        lines.append(f"  {first:<{widths[0]}}{padded}")
    return lines


def scores(table: pd.DataFrame) -> list[str]:
    """A frame of scores as text: counts as they are, scores with three digits, or more where all of a column are small.

    There is "-" where there is no number.
    """
    from minirnn.models.wording import digits_for, in_digits

    columns = [["", *(_short(name) for name in table.index)]]
    for name, values in table.items():
        whole = values.dtype.kind in "iu"
        digits = 0 if whole else max(3, digits_for(max((v for v in values if 0 < v < math.inf), default=1), 3))
        cells = ["-" if value != value else in_digits(value, digits) for value in values]
        columns.append([_short(name), *cells])
    widths = [max(map(len, column)) for column in columns]
    return [
        f"  {first:<{widths[0]}}" + "".join(f"  {cell:>{max(width, 5)}}" for cell, width in zip(cells, widths[1:]))
        for first, *cells in zip(*columns)
    ]


def _short(name: object) -> str:
    """A name that fits into a table."""
    text = " ".join(str(name).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def padding(shares: tuple[float, float] | None) -> list[str]:
    """What buckets save, if sequences are of unequal length."""
    if shares is None:
        return []
    buckets, mixed = (100 * share for share in shares)
    return [f"padding     {buckets:.1f} % of the real steps, instead of {mixed:.1f} % in mixed batches"]


def padding_row(shares: tuple[float, float] | None) -> list[tuple[str, str]]:
    """The same for a page: a term and what it is."""
    return [("Padding", line.removeprefix("padding").strip()) for line in padding(shares)]


def epochs(about: Mapping[str, Any]) -> str:
    """How long a model was trained, of its description in an evaluation."""
    from minirnn.data.words import count

    return f"{count(about['epochs'], 'epoch')}, the best {about['best_epochs'][0]}"


def forecast(
    frame: pd.DataFrame, units: dict[str, str], targets: Sequence[str], error: float | None = None
) -> list[str]:
    """The forecast; of many series the first ones."""
    from minirnn.models.wording import digits_for

    keys = [name for name in ("series", "target") if name in frame]
    if not keys:
        digits = digits_for(error) if error else None
        return [f"forecast of {targets[0]}{in_unit(units.get(targets[0]))}", *_rows(frame, digits)]
    lines = []
    groups = list(frame.groupby(keys, sort=False))
    for key, part in groups[: FEW_SERIES * len(targets)]:
        about = dict(zip(keys, key))
        target = str(about.get("target", targets[0]))
        of = f" of the series {about['series']}" if "series" in about else ""
        lines += [f"forecast of {target}{in_unit(units.get(target))}{of}", *_rows(part.drop(columns=keys), None), ""]
    more = len(groups) - FEW_SERIES * len(targets)
    if more > 0:
        return [*lines, f"and {more:,} more: --json or --out holds all of them"]
    return lines[:-1]


def _rows(frame: pd.DataFrame, digits: int | None) -> list[str]:
    """Times and numbers, as many digits as the width of the intervals, or the error, makes sense of."""
    from minirnn.models.wording import digits_for, in_digits

    if digits is None:
        ends = [frame[name] for name in frame.columns if name != "mean"]  # lower, upper, lower, upper, ...
        usual = float((ends[1] - ends[0]).median()) if ends else float(frame["mean"].abs().median())
        digits = digits_for(usual / 4, 3)
    head = ["", *(name.replace("_", " ") for name in frame.columns)]
    head = [f"{word} %" if word[-1:].isdigit() else word for word in head]
    cells = [
        head,
        *([time, *(in_digits(v, digits) for v in row)] for time, row in zip(times(frame.index), frame.to_numpy())),
    ]
    widths_ = [max(map(len, column)) for column in zip(*cells)]
    return [
        "  " + "  ".join(f"{cell:<{w}}" if k == 0 else f"{cell:>{w}}" for k, (cell, w) in enumerate(zip(row, widths_)))
        for row in cells
    ]


def times(index: pd.Index) -> list[str]:
    """Times as text, without the clock where all of them are midnights; positions as they are."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        return [str(position) for position in index]
    clock = "%Y-%m-%d" if (index == index.normalize()).all() else "%Y-%m-%d %H:%M:%S"
    return list(index.strftime(clock))


def forecast_as_dict(model: Forecaster, frame: pd.DataFrame, levels: Sequence[float]) -> dict[str, Any]:
    """A forecast in what JSON knows."""
    stamps = times(frame.index)
    rows = frame.to_dict(orient="records")
    return {
        "targets": list(model.roles_.target),
        "units": dict(model.units_),
        "horizon": model.horizon_,
        "frequency": model.frequency_,
        "levels": list(levels),
        "forecast": [{"time": time, **row} for time, row in zip(stamps, rows)],
    }
