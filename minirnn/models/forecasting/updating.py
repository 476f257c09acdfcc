"""Going on with a fitted model when new rows have come.

The network is trained on the new windows and on a small sample of old ones (replay: Rolnick et al. 2019, arXiv
1811.11682), from the state in which Adam was left; the last new rows are held out, and where the members do not get
better on them they stay what they were. What was chosen and fitted for the rows (fillings, scales, references, the
linear part) stays as it is. The intervals learn from the errors of the forecasts that the model made before.

Dimension letters: n windows, W rows, D inputs, N rows ahead, C targets, F features of a row ahead, K members.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn.data.words import count
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import fitting, frames, intervals, stateful
from minirnn.models.forecasting.fitted import Fitted, Rows
from minirnn.models.forecasting.series import Series, lay_out
from minirnn.models.training import train

if TYPE_CHECKING:
    from minirnn.data.table import Table
    from minirnn.models.forecaster import Forecaster

MOST = 512  # windows that are kept
MOST_BYTES = 4 << 20  # and at most so many bytes of them
HELD_OUT = 0.25  # of the new rows
DRIFT_LEVEL = 0.95
DRIFT_CHANCE = 0.001  # a share of errors outside that is less likely than this is called drift
FARTHEST = 1_000_000  # rows that may be missing between the known rows and the new ones


class Memory(NamedTuple):
    """What a model keeps to go on training.

    Args:
      replay: a sample of all windows that it was trained on: inputs (n, W, D), targets (n, N, C), weights (n, N, C) and
        features ahead (n, N, F).
      seen: how many windows the sample stands for.
      moments: what Adam remembers of each member; None where the caller's own optimiser trained.
      updates: what each update did.
    """

    replay: tuple[np.ndarray, ...]
    seen: int
    moments: list | None
    updates: tuple[dict[str, Any], ...] = ()


def remember(fitted: Fitted, series: Series, start, stop, moments: list | None, seed: int) -> Memory:
    """The memory of a fresh model, trained on the windows of ``start[k] .. stop[k] - 1``."""
    rows = fitted.prepare(series)
    origins = series.origins(fitted.least, start, stop, fitted.encoder.horizon)
    some = np.sort(np.random.default_rng([seed, 1]).permutation(len(origins))[: _room(fitted, rows, origins)])
    return Memory(_windows(fitted, rows, origins[some]), len(origins), moments)


def _windows(fitted: Fitted, rows: Rows, origins: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(part, np.float32) for part in fitting._data(fitted, rows, origins))


def _room(fitted: Fitted, rows: Rows, origins: np.ndarray) -> int:
    """How many windows are kept."""
    size = sum(part.nbytes for part in _windows(fitted, rows, origins[:1]))
    return min(MOST, max(MOST_BYTES // max(size, 1), 1))


# ------------------------------------------------------------ an update


class Update(NamedTuple):
    """What an update did.

    Args:
      rows: new rows.
      first: time of the first of them.
      last: time of the last of them.
      windows: new windows that were trained on.
      replayed: old windows that were trained on too.
      epochs: that were run.
      before: mean absolute error on the held-out rows, in the unit of each target, before (C,).
      after: the same afterwards.
      kept: whether the new weights were kept.
      outside: share of the new rows outside the 95 % interval of the forecast one row before.
      chance: how likely at least so large a share is, if nothing has changed.
      drift: whether that is too unlikely.
      notes: the same in plain sentences.
    """

    rows: int
    first: str
    last: str
    windows: int
    replayed: int
    epochs: int
    before: tuple[float, ...] | None
    after: tuple[float, ...] | None
    kept: bool
    outside: float | None
    chance: float | None
    drift: bool
    notes: tuple[str, ...]


def update(
    model: Forecaster,
    table: Table,
    *,
    epochs: int = 20,
    learning_rate: float | None = None,
    replay: float = 1.0,
    patience: int = 3,
) -> Update:
    """What :meth:`Forecaster.update` does; the model changes at the very end, or not at all."""
    _check(epochs, learning_rate, replay, patience)
    fitted, memory, settings = model.fitted_, model.memory_, model.fitted_params_
    series, fresh, notes = extend(model, table)
    rows, backend = fitted.prepare(series), settings["backend"]
    least, N = fitted.least, fitted.encoder.horizon
    stop = series.last + 1
    new = stop - fresh
    held = np.where(new > 0, np.maximum(np.ceil(HELD_OUT * new).astype(int), N), 0)
    split = np.maximum(stop - held, fresh)
    origins = series.origins(least, fresh, split, N)
    judged = series.origins(least, split, stop, N)
    changed, history = fitted, None
    windows: tuple[np.ndarray, ...] = ()
    before = after = None
    replayed = 0
    if memory is None:
        notes.append("the file holds no memory of the training: the weights stay as they are")
    elif not len(origins) or not len(judged):
        notes.append(
            f"{count(int(new.sum()), 'new row')}: too few to train on and to judge by with a horizon of {N}; the "
            "weights stay as they are"
        )
    else:
        windows = _windows(fitted, rows, origins)
        rng = np.random.default_rng([settings["seed"], 2, len(memory.updates)])
        replayed = min(len(memory.replay[0]), round(replay * len(origins)))
        old = rng.permutation(len(memory.replay[0]))[:replayed]
        training = tuple(np.concatenate([a, b[old]]) for a, b in zip(windows, memory.replay))
        half = importlib.import_module(f"minirnn.{backend}.forecasting")
        members, history = train(
            half,
            fitted.description,
            fitted.members,
            training,
            _windows(fitted, rows, judged),
            rng=rng,
            learning_rate=settings["learning_rate"] / 3 if learning_rate is None else learning_rate,
            max_norm=settings["max_norm"],
            batch_size=settings["batch_size"],
            max_epochs=epochs,
            patience=patience,
            weight_decay=settings["weight_decay"],
            dropout_seed=len(memory.updates) if settings["dropout"] else None,
            moments=memory.moments,
        )
        changed = dataclasses.replace(fitted, members=members)
        before, after = (_error(each, series, rows, judged, backend) for each in (fitted, changed))
    kept = history is not None and any(history.best)
    if history is not None:
        held_out = count(int(held.sum()), "held-out row")
        if not fitted.share:
            notes.append(
                "the network has no weight in this forecast, and an update leaves its other parts as they are: only "
                "what is known, and the intervals, have changed; fit the model anew to let it learn from the new rows"
            )
        notes.append(
            f"the network was trained on {count(len(origins), 'new window')} and {count(replayed, 'old one')}: "
            + (
                f"its own loss is smaller on the {held_out}"
                if kept
                else f"no member does better on the {held_out}; rolled back"
            )
        )
    share, chance, warning = drift(fitted, rows, series, fresh, stop, backend)
    if warning:
        notes.append(warning)
    every = series.origins(least, fresh, stop, fitted.steps)
    if len(every):
        changed = changed.with_scores(fitting.latest_scores(fitted, rows, every, backend), later=True)
    earliest, latest = fresh[new > 0], series.last[new > 0]
    first, last = (
        frames.time_of(series, int(row))
        for row in (earliest[series.times[earliest].argmin()], latest[series.times[latest].argmax()])
    )
    done = Update(
        int(new.sum()),
        first,
        last,
        len(origins),
        replayed,
        history.epochs if history is not None else 0,
        before,
        after if kept else before,
        kept,
        share,
        chance,
        bool(warning),
        tuple(notes),
    )
    if memory is not None:
        if len(origins) and history is not None:
            memory = _replayed(memory, windows, _room(fitted, rows, origins), rng)
        moments = history.moments if kept and history is not None else memory.moments
        record = {name: list(value) if isinstance(value, tuple) else value for name, value in done._asdict().items()}
        model.memory_ = memory._replace(moments=moments, updates=(*memory.updates, record))
    model.recent_ = frames.recent(series, fitted)
    model.fitted_ = stateful.carried_to(changed, series, model.recent_)
    return done


def _check(epochs, learning_rate, replay, patience) -> None:
    for name, value in (("epochs", epochs), ("patience", patience)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}")
    if learning_rate is not None and not (isinstance(learning_rate, int | float) and 0 < learning_rate < np.inf):
        raise ParameterError(f"learning_rate must be positive, got {learning_rate!r}")
    if not isinstance(replay, int | float) or not 0 <= replay < np.inf:
        raise ParameterError(f"replay must be 0 or above: old windows for each new one; got {replay!r}")


def _error(fitted: Fitted, series: Series, rows: Rows, origins: np.ndarray, backend: str) -> tuple[float, ...]:
    """(C,) the mean absolute error of the forecasts from these origins, in the unit of the targets."""
    means, _ = fitted.forecast(series, origins, (), backend, rows)
    ahead = origins[:, None] + np.arange(1, means.shape[2] + 1)
    truth = series.values[ahead][..., : fitted.encoder.targets]
    known = ~np.isnan(truth)
    errors = np.where(known, np.abs(means.mean(axis=0) - truth), 0.0).sum(axis=(0, 1))
    return tuple((errors / np.maximum(known.sum(axis=(0, 1)), 1)).tolist())


def _replayed(memory: Memory, windows: tuple[np.ndarray, ...], room: int, rng: np.random.Generator) -> Memory:
    """A sample of all windows so far: each of them is in it with the same chance."""
    new, old, seen = len(windows[0]), len(memory.replay[0]), memory.seen + len(windows[0])
    share = min(new, max(round(room * new / seen), room - old))
    kept_new = np.sort(rng.permutation(new)[:share])
    kept_old = np.sort(rng.permutation(old)[: room - share])
    replay = tuple(np.concatenate([b[kept_old], a[kept_new]]) for a, b in zip(windows, memory.replay))
    return memory._replace(replay=replay, seen=seen)


def drift(fitted: Fitted, rows: Rows, series: Series, fresh, stop, backend: str):
    """Share of new rows outside the 95 % interval of the forecast one row before, its chance, and a warning or None.

    Outside lie 5 % of ordinary rows; how likely so many or more are is said by the binomial distribution. Series and
    targets may move together, so that all values of one time count as one.
    """
    origins = series.origins(fitted.least, fresh, stop, 1)
    if not len(origins):
        return None, None, None
    scores = fitting.scores(fitted, rows, origins, backend)[:, 0]
    low, high = (fitted.calibration.quantile(end)[0] for end in intervals.ends(DRIFT_LEVEL))
    known = ~np.isnan(scores)
    number, outside = int(known.sum()), int(((scores < low) | (scores > high))[known].sum())
    if not number:
        return None, None, None
    times = len(np.unique(series.times[origins[known.any(axis=1)]]))
    chance = binomial_tail(int(times * outside / number), times, 1 - DRIFT_LEVEL)
    warning = None
    if chance < DRIFT_CHANCE:
        warning = (
            f"drift: {outside} of {number} new values lie outside the 95 % interval of the forecast one row before "
            f"({100 * outside / number:.0f} %, expected 5 %); a chance of {chance:.1g} if nothing had changed: check "
            "the data, or fit the model anew"
        )
    return outside / number, chance, warning


def binomial_tail(successes: int, trials: int, share: float) -> float:
    """The chance of at least so many successes.

    >>> round(binomial_tail(2, 3, 0.5), 6)
    0.5
    """
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(share) + (trials - k) * math.log1p(-share)
        for k in range(successes, trials + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(math.exp(each) for each in logs))


# ------------------------------------------------------------ rows


def extend(model: Forecaster, table: Table) -> tuple[Series, np.ndarray, list[str]]:
    """The rows that the model keeps with the new ones below, the first new row of each series, and notes."""
    recent, names = model.recent_, model.fitted_.names
    for name in table.names:
        if name not in names:
            raise ParameterError(f"the series {name!r} is not one of the model's; fit the model anew to add it")
    values, bounds, last, fresh, notes = [], [0], [], [], list[str]()
    total = 0
    starts = recent.times[recent.bounds[:-1]]
    for k, name in enumerate(names):
        i = int(np.flatnonzero(recent.which == k)[0])
        known = recent.values[recent.bounds[i] : recent.last[i] + 1].copy()
        added, ahead = known[:0], recent.values[recent.last[i] + 1 : recent.bounds[i + 1]]
        if name in table.names:
            j = table.names.index(name)
            given = lay_out(
                table.values[table.rows_of(j)],
                np.array([0, table.bounds[j + 1] - table.bounds[j]]),
                np.array([table.last_known[j] - table.bounds[j]]),
                table.starts[[j]],
                table.frequency,
                model.horizon_,
                np.array([k]),
            )
            added = _later(given, recent, i, known, model, name, notes)
            ahead = given.values[given.last[0] + 1 :] if len(added) else ahead
            total += len(added)
        values.append(np.concatenate([known, added, ahead]))
        fresh.append(len(known))
        last.append(bounds[-1] + len(known) + len(added) - 1)
        bounds.append(bounds[-1] + len(values[-1]))
    if not total:
        raise ParameterError(
            f"no row is new: the model knows rows up to {frames.time_of(recent, _latest(recent))}; give later ones"
        )
    rows = lay_out(
        np.concatenate(values),
        np.array(bounds),
        np.array(last),
        starts[[int(np.flatnonzero(recent.which == k)[0]) for k in range(len(names))]],
        model.frequency_,
        model.horizon_,
        np.arange(len(names)),
    )
    return rows, rows.bounds[:-1] + np.array(fresh), notes


def _later(given: Series, recent: Series, i: int, known: np.ndarray, model, name: str, notes: list[str]) -> np.ndarray:
    """The rows after the known ones, with empty ones where some are missing in between.

    Values that were missing in the known ones are written into these.
    """
    from minirnn.data import calendar

    of = f" of the series {name!r}" if len(model.fitted_.names) > 1 else ""
    end = recent.times[recent.last[i]]
    if model.frequency_ is None:
        # Counted rows have no place of their own: they follow those that are known.
        return given.values[: given.last[0] + 1]
    new = (given.times > end) & (np.arange(len(given.times)) <= given.last[0])
    overlap = int((given.times <= end).sum())
    if overlap:
        times = recent.times[recent.bounds[i] : recent.last[i] + 1]
        both, a, b = np.intersect1d(times, given.times, return_indices=True)
        differ = (np.abs(known[a] - given.values[b]) > 1e-9 * np.maximum(np.abs(known[a]), 1)).any(axis=1)
        if differ.any():
            raise ParameterError(
                f"the row of {both[differ][0].astype('datetime64[s]')}{of} differs from what the model knows; leave "
                f"rows up to {frames.time_of(recent, int(recent.last[i]))} out, or fit the model anew"
            )
        told = np.isnan(known[a]) & ~np.isnan(given.values[b])
        known[a] = np.where(told, given.values[b], known[a])
        filled = f", now with {count(int(told.sum()), 'value')} that had been missing" if told.any() else ""
        notes.append(
            f"{count(overlap, 'row')}{of} up to {frames.time_of(recent, int(recent.last[i]))}: known already{filled}"
        )
    if not new.any():
        return given.values[:0]
    first = given.times[new][0]
    days = (first - end) / np.timedelta64(1, "D")
    steps = int(days / calendar.step_days(model.frequency_) * 1.5) + 400
    if steps > FARTHEST:
        raise ParameterError(f"the rows{of} begin at {first}, more than {FARTHEST:,} rows after {end}; fit anew")
    grid = calendar.later(end, steps, model.frequency_)
    missing = int(np.searchsorted(grid, first))
    if grid[missing] != first:
        raise ParameterError(
            f"the row of {first.astype('datetime64[s]')}{of} lies between two rows: they are {model.frequency_} apart "
            f"after {end.astype('datetime64[s]')}"
        )
    if missing:
        notes.append(
            f"{count(missing, 'row')}{of} between {frames.time_of(recent, int(recent.last[i]))} and the first new one "
            "are missing: filled as missing values"
        )
    later = np.concatenate([np.full((missing, known.shape[1]), np.nan), given.values[new]])
    planned = recent.values[recent.last[i] + 1 : recent.bounds[i + 1]][: len(later)]  # what was known of them ahead
    later[: len(planned)] = np.where(np.isnan(later[: len(planned)]), planned, later[: len(planned)])
    return later


def _latest(series: Series) -> int:
    """The last known row of the series that goes on longest."""
    return int(series.last[series.times[series.last].argmax()])
