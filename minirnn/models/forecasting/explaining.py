"""Why a forecast is what it is: what its rows add, what is important in general, the gates, and similar windows.

Dimension letters: R rows up to the origin, W rows of the window, N rows ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minirnn.data.words import listed
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import attributions, gates, importance, incoming, neighbours, program, statics
from minirnn.models.forecasting.attributions import Attribution
from minirnn.models.forecasting.explanation import Explanation
from minirnn.models.forecasting.fitted import base_forecast
from minirnn.models.forecasting.program import Program
from minirnn.models.forecasting.series import Series, of_table

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.models.forecaster import Forecaster

JUDGED, TYPICAL, WATCHED, CANDIDATES = 64, 16, 48, 20_000  # windows: of importance, attributions, gates, neighbours


class Rows(NamedTuple):
    """What there is to look at."""

    series: Series  # of the window that is explained
    k: int  # its series there
    statics: np.ndarray | None
    samples: Series | None  # of all other windows
    sample: int  # its series there
    sample_statics: np.ndarray | None
    judged: np.ndarray  # origins of the same series whose truth is known
    judged_in: str  # where these are, in words
    past: np.ndarray  # origins among which neighbours are looked for
    past_in: str
    names: tuple[str, ...]

    @property
    def origin(self) -> int:
        """The last known row."""
        return int(self.series.last[self.k])


def explain(
    model: Forecaster, frame, target: str | None, series: str | None, by_step: bool, repeats: int, seed: int
) -> Explanation:
    """What :meth:`Forecaster.explain` does."""
    c = _number(target, model.roles_.target, "target")
    if isinstance(repeats, bool) or not isinstance(repeats, int | np.integer) or repeats < 1:
        raise ParameterError(f"repeats must be a whole number of at least 1, got {repeats!r}")
    if model.fitted_.recursion is not None:
        raise ParameterError("a forecast that is fed back (strategy='recursive') cannot be explained; fit another one")
    rows = _rows(model, frame, series)
    if rows.series.known[rows.k] < model.least_:
        raise ParameterError(f"the series {rows.names[rows.k]!r} has fewer than {model.least_} rows: no forecast")
    fitted, N = model.fitted_, model.horizon_
    name = model.roles_.target[c]
    notes = []
    if len(rows.names) > 1 and series is None:
        notes.append(f"There are {len(rows.names)} series: this explains the forecast of {rows.names[rows.k]!r}.")
    if len(model.roles_.target) > 1 and target is None:
        notes.append(f"There are {len(model.roles_.target)} targets: this explains the forecast of {name!r}.")

    origin = np.array([rows.origin])
    read = min(model.reach_, rows.origin - int(rows.series.bounds[rows.k]) + 1)
    forecaster = Program(fitted, np.float64)
    window = program.windows(fitted, rows.series, origin, read, rows.statics)
    samples, truth = _samples(model, rows, read, c)
    shown = [window]
    if samples is not None:
        shown.append(_some(samples, TYPICAL))
    found = attributions.integrated(forecaster, _joined(shown), c, by_step=by_step)
    times = rows.series.times[rows.origin + np.arange(1 - read, 1 + N)]

    importances = None
    if samples is not None and len(truth) >= importance.LEAST:
        importances = importance.permuted(forecaster, samples, truth, c, model.columns_, repeats, seed)
    elif rows.samples is None:
        notes.append(
            "The model file holds no rows to try anything on: importance and neighbours need rows, so give some."
        )
    else:
        notes.append(f"The importance of columns needs at least {importance.LEAST} windows; there are {len(truth)}.")

    prepared = fitted.prepare(rows.series, rows.statics)
    means, _ = fitted.forecast(rows.series, origin, (), model.backend, prepared)
    base = base_forecast(fitted.bases, prepared.bases, origin)
    forecast = means.mean(axis=0)[0, :, c]
    without = fitted.encoder.unscale(base, rows.series, origin)[0, :, c]
    return Explanation(
        target=name,
        unit=model.units_.get(name, ""),
        series=rows.names[rows.k],
        horizon=N,
        window=model.window_,
        frequency=model.frequency_,
        share=fitted.share,
        network_adds=float((forecast - without).mean()),
        times=times,
        history=window.values[0][:, c],
        forecast=forecast,
        attribution=found[0],
        typical=_typical(found[1:]),
        columns=model.columns_,
        future=model.roles_.future,
        importance=importances,
        judged_in=rows.judged_in,
        gates=_gates(model, rows, origin, prepared.own),
        season=model.season_,
        neighbours=_neighbours(model, rows, origin, prepared.own, c),
        past_in=rows.past_in,
        notes=tuple(notes),
    )


def _number(wanted: str | None, names: tuple[str, ...], what: str) -> int:
    if wanted is None:
        return 0
    if wanted not in names:
        raise ParameterError(f"there is no {what} {wanted!r}; expected one of {listed(names, 10)}")
    return names.index(wanted)


def _rows(model: Forecaster, frame, name: str | None) -> Rows:
    """The window that is explained, and others of the same model: of the table of the training, or of the frame."""
    fitted, N = model.fitted_, model.horizon_
    least = max(model.window_, model.least_)
    none = np.empty(0, np.int64)
    if frame is None:
        k = _number(name, fitted.names, "series")
        recent = model.recent_
        if not hasattr(model, "table_"):
            return Rows(recent, k, None, None, 0, None, none, "", none, "", fitted.names)
        table, parts = model.table_, model.parts_
        samples = of_table(table, N)
        part = "test" if parts.rows("test") >= N else "validation"
        judged = samples.origins(least, *parts.of(part), N)
        past = samples.origins(least, *parts.of("train"), N)
        return Rows(
            recent, k, None, samples, k, None, _of(samples, judged, k), f"the {part} rows", past, "the training rows",
            fitted.names,
        )  # fmt: skip
    table = incoming.to_forecast(model, frame)
    k = _number(name, table.names, "series")
    given = of_table(table, N, fitted.names)
    encoded = statics.encode(model.static_columns_, table.statics) if model.static_columns_ else None
    past = given.origins(least, given.bounds[:-1], given.last + 1, N)
    first = given.bounds[k]
    # Windows that overlap with the one that is explained are no news.
    apart = (past < first) | (past > given.last[k]) | (past <= given.last[k] - max(model.window_, N))
    return Rows(
        given, k, encoded, given, k, encoded, _of(given, past, k), "the rows given", past[apart], "the rows given",
        table.names,
    )  # fmt: skip


def _of(series: Series, origins: np.ndarray, k: int) -> np.ndarray:
    return origins[(origins >= series.bounds[k]) & (origins < series.bounds[k + 1])]


def _evenly(origins: np.ndarray, most: int) -> np.ndarray:
    if len(origins) <= most:
        return origins
    return origins[np.linspace(0, len(origins) - 1, most).astype(np.int64)]


def _samples(model: Forecaster, rows: Rows, read: int, c: int):
    """Windows of as many rows whose truth is known, and that truth (n, N)."""
    if rows.samples is None:
        return None, np.empty((0, model.horizon_))
    origins = rows.judged[rows.judged - rows.samples.bounds[rows.sample] + 1 >= read]
    truth = rows.samples.values[origins[:, None] + np.arange(1, model.horizon_ + 1), c]
    origins = _evenly(origins[~np.isnan(truth).all(axis=1)], JUDGED)
    if not len(origins):
        return None, np.empty((0, model.horizon_))
    truth = rows.samples.values[origins[:, None] + np.arange(1, model.horizon_ + 1), c]
    return program.windows(model.fitted_, rows.samples, origins, read, rows.sample_statics), truth


def _some(stacked, most: int):
    chosen = _evenly(np.arange(len(stacked.values)), most)
    return program.map_arrays(lambda each: each[chosen], stacked)


def _joined(parts):
    return program.map_arrays(lambda *each: np.concatenate(each), *parts)


def _typical(found: list[Attribution]) -> Attribution | None:
    """Mean sizes over the windows."""
    if not found:
        return None
    return Attribution(
        np.mean([np.abs(each.values) for each in found], axis=0),
        np.mean([each.forecast for each in found], axis=0),
        np.mean([each.baseline for each in found], axis=0),
        np.mean([each.size for each in found], axis=0),
        max(each.nodes for each in found),
    )


def _gates(model: Forecaster, rows: Rows, origin: np.ndarray, prepared) -> gates.Gates:
    """Of the explained window, and of others of the same series."""
    encoder, back = model.fitted_.encoder, np.arange(1 - model.window_, 1)
    inputs = encoder.inputs(prepared, origin)
    place = (origin - rows.series.bounds[rows.k])[:, None] + back
    if rows.samples is not None and len(rows.judged):
        others = _evenly(rows.judged, WATCHED)
        first = int(rows.samples.bounds[rows.sample])
        last = int(rows.samples.last[rows.sample])
        inputs = np.concatenate(
            [encoder.inputs(model.fitted_.prepare(rows.samples, rows.sample_statics).own, others), inputs]
        )
        place = np.concatenate([(others - first)[:, None] + back, [last - first + back]])
    return gates.examined(model.fitted_.description.horizon, model.fitted_.members, inputs, place, model.season_)


def _neighbours(model: Forecaster, rows: Rows, origin: np.ndarray, prepared, c: int) -> pd.DataFrame | None:
    """One row for each neighbour: when it ended, its distance, its values and those that followed."""
    import pandas as pd

    if rows.samples is None or not len(rows.past):
        return None
    window = model.fitted_.encoder.inputs(prepared, origin)[0].astype(np.float64)
    past = _evenly(rows.past, CANDIDATES)
    found = neighbours.nearest(model.fitted_, rows.samples, past, window, rows.sample_statics)
    steps = np.arange(1 - model.window_, 1 + model.horizon_)
    values = rows.samples.values[found.origins[:, None] + steps, c]
    which = np.searchsorted(rows.samples.bounds, found.origins, side="right") - 1
    frame = pd.DataFrame(
        {
            "series": [rows.names[k] for k in which],
            "from": rows.samples.times[found.origins - model.window_ + 1],
            "to": rows.samples.times[found.origins],
            "distance": found.distances,
        }
    )
    table = pd.concat([frame, pd.DataFrame(values, columns=steps)], axis=1)
    table.attrs = {"usual": found.usual, "candidates": found.candidates}
    return table
