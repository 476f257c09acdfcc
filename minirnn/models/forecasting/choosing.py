"""Choosing what a forecast is measured from: a rolling cross-validation of the linear part, over a few plans.

The rows before the test part are cut three times; a plan is fitted on the rows before each cut and judged on those up
to the next one. One row cannot be in both. What is compared is the mean absolute error in the unit of the target,
divided by each series' spread. Of all that were tried a mean is made, as of Caruana et al. (2004): again and again the
plan is added that makes the mean of those so far err least. A mean of several is steadier than the best of many.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.data import calendar
from minirnn.data.imputing import Imputer
from minirnn.data.scaling import Scaler
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting.encoder import Encoder, Plan, Prepared
from minirnn.models.forecasting.series import Series
from minirnn.models.linear import Ridge

CUTS = (0.5, 2 / 3, 5 / 6, 1.0)
PENALTIES = 10.0 ** np.arange(-6, 2.25, 0.5)  # in units of the largest squared singular value
ALPHAS = (0.2, 1.0)
GAMMAS = (0.2,)
HARMONICS = (2, 4)
LONGEST_SEASON = 200  # rows; longer ones are left to the calendar
LEAST_WINDOWS = 8
MOST_SERIES, MOST_ROWS, MOST_WINDOWS = 30, 2500, 1500  # that are looked at


STEPS = 20  # plans that are added to the mean, some of them several times


@dataclass(frozen=True)
class Choice:
    """A plan and its part in the mean.

    Args:
      plan: what is measured from what.
      penalty: of its linear part, in units of the largest squared singular value.
      error: cross-validated.
      weight: in the mean.
    """

    plan: Plan
    penalty: float
    error: float
    weight: float = 1.0


class Trial(NamedTuple):
    """A plan that was judged, and its errors."""

    choice: Choice
    errors: np.ndarray  # forecast - truth at every judged point, in units of the spread


@dataclass(frozen=True)
class Setting:
    """What all plans have in common; arguments as of ``Encoder.fit``."""

    series: Series
    stop: np.ndarray
    window: int
    horizon: int
    targets: int
    ahead: tuple[int, ...]
    frequency: str | None
    imputer: Imputer
    season: int

    def encoder(self, plan: Plan, stop: np.ndarray, series: Series | None = None) -> Encoder:
        """The encoder of a plan, fitted on the rows before ``stop``."""
        return Encoder.fit(
            plan,
            self.series if series is None else series,
            stop,
            window=self.window,
            horizon=self.horizon,
            targets=self.targets,
            ahead=self.ahead,
            frequency=self.frequency,
            imputer=self.imputer,
        )


REFERENCES: dict[str, Callable[[Plan], bool]] = {
    "auto": lambda plan: True,
    "last": lambda plan: plan.season == 1 and not any(plan.harmonics) and plan.alpha == 1.0,
    "smoothing": lambda plan: plan.season == 1 and not any(plan.harmonics),
    "season": lambda plan: plan.season > 1,
    "calendar": lambda plan: any(plan.harmonics),
}


def choose(
    setting: Setting, reference: str = "auto", transform: str = "auto", progress: bool = False
) -> tuple[Choice, ...]:
    """The plans whose mean errs least, the heaviest first; their weights sum to one.

    Args:
      setting: the rows; those at and after ``stop[k]`` of each series are not read.
      reference: which plans are looked at.
      transform: ``"log"`` or ``"none"``; ``"auto"`` leaves the choice.
      progress: show a bar on standard error.

    Raises:
      ParameterError: the rows allow no such plan.
    """
    from tqdm import tqdm

    setting = _smaller(setting)
    plans = candidates(setting, reference, transform)
    least, folds = _folds(setting, plans)
    bar = tqdm(plans, desc="choosing", unit="plan", disable=not progress, leave=False)
    trials = [_judge(setting, plan, least, folds) for plan in bar]
    found = min((trial.choice for trial in trials), key=lambda choice: choice.error)
    if not math.isfinite(found.error):  # too few rows to judge anything by
        return (found,)
    # A mean is taken of scaled values: all or none of them are logarithms.
    return _mean_of([trial for trial in trials if trial.choice.plan.log == found.plan.log])


def _mean_of(trials: list[Trial]) -> tuple[Choice, ...]:
    """Forward selection with replacement."""
    trials = sorted((t for t in trials if math.isfinite(t.choice.error)), key=lambda t: t.choice.error)
    errors = np.stack([trial.errors for trial in trials])
    counts, total = np.zeros(len(trials), int), np.zeros(errors.shape[1])
    for step in range(STEPS):
        added = int(np.abs((total + errors) / (step + 1)).mean(axis=1).argmin())
        counts[added] += 1
        total = total + errors[added]
    order = np.argsort(-counts, kind="stable")
    return tuple(dataclasses.replace(trials[k].choice, weight=float(counts[k] / STEPS)) for k in order if counts[k])


def _folds(setting: Setting, plans: list[Plan]) -> tuple[int, list[tuple[np.ndarray, np.ndarray]]]:
    """The rows before an origin that is judged, and the folds (cut, until), (series,) each: plans are judged alike.

    As many rows as the plan that reads the most of them needs, if two folds hold origins with so many; or else as many
    as the next one needs, and plans that need more are not judged.
    """
    firsts, N = setting.series.bounds[:-1], setting.horizon
    lengths = setting.stop - firsts
    ends = [firsts + (lengths * cut).astype(np.int64) for cut in CUTS]
    folds = list(itertools.pairwise(ends))
    needed = sorted({plan.reference(setting.window, N).least for plan in plans}, reverse=True)
    for least in needed:
        suit = [
            (cut, until)
            for cut, until in folds
            if (cut - firsts - least - N).max() >= LEAST_WINDOWS and len(setting.series.origins(least, cut, until, N))
        ]
        if len(suit) > 1:
            return least, suit
    return needed[-1], folds


def candidates(setting: Setting, reference: str = "auto", transform: str = "auto") -> list[Plan]:
    """Every combination of a few values of each field: at most some dozens, which do as well as a finer grid."""
    logs = (False, True) if _positive(setting) else (False,)
    others = (False, True) if len(setting.imputer.methods) > 1 else (False,)
    plans = [
        Plan(log=log, alpha=alpha, revert=revert, linear_others=read, **season)
        for log in logs
        for season in _seasons(setting)
        for alpha in ALPHAS
        for revert in (False, True)
        for read in others
    ]
    found = [
        plan for plan in plans if REFERENCES[reference](plan) and transform in ("auto", "log" if plan.log else "none")
    ]
    if not found:
        raise ParameterError(
            {
                "season": f"reference='season' needs a season of 2 to {_longest_season(setting)} rows, and "
                f"{'none was found' if setting.season == 1 else f'got one of {setting.season}'}: give season, more "
                "rows, or another reference",
                "calendar": "reference='calendar' needs dates, and rows of two years, weeks or days, whose cycle they "
                "then follow: give more rows, or another reference",
            }.get(reference, f"transform={transform!r} needs targets above 0 in all rows: take 'auto' or 'none'")
        )
    return found


def _longest_season(setting: Setting) -> int:
    """Rows of the longest season that the rows allow."""
    return min(LONGEST_SEASON, int(np.median(setting.stop - setting.series.bounds[:-1])) // 3)


def _positive(setting: Setting) -> bool:
    """Whether every target that may be looked at is above zero."""
    rows = np.arange(len(setting.series.values)) < np.repeat(setting.stop, np.diff(setting.series.bounds))
    values = setting.series.values[rows, : setting.targets]
    return bool((values[~np.isnan(values)] > 0).all())


def _seasons(setting: Setting) -> list[dict[str, Any]]:
    """No season; seasons that move, of the length that was found; fixed ones of the calendar."""
    found: list[dict[str, Any]] = [{"season": 1, "harmonics": ()}]
    rows = int(np.median(setting.stop - setting.series.bounds[:-1]))
    if 1 < setting.season <= _longest_season(setting):
        found += [{"season": setting.season, "harmonics": (), "gamma": gamma} for gamma in GAMMAS]
    cycles = calendar.cycles(setting.frequency)
    days = rows * calendar.step_days(setting.frequency)
    usable = [cycle.harmonics if 2 * cycle.days <= days else 0 for cycle in cycles]
    counts = {tuple(min(n, most) for n in usable) for most in HARMONICS}
    return found + [{"season": 1, "harmonics": count} for count in sorted(counts) if any(count)]


def _smaller(setting: Setting) -> Setting:
    """The last rows of some of the series, where all of them would be too many."""
    series = setting.series
    lengths = setting.stop - series.bounds[:-1]
    chosen = np.flatnonzero(lengths > setting.window + setting.horizon)
    if not len(chosen):
        chosen = np.arange(len(lengths))
    if len(chosen) > MOST_SERIES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_SERIES).astype(int)]
    if len(chosen) == len(lengths) and lengths.max() <= MOST_ROWS:
        return setting
    rows = [np.arange(max(series.bounds[k], setting.stop[k] - MOST_ROWS), setting.stop[k]) for k in chosen]
    kept, sizes = np.concatenate(rows), [len(r) for r in rows]
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    fallback = setting.imputer.fallback[chosen]
    return dataclasses.replace(
        setting,
        series=Series(series.values[kept], bounds, bounds[1:] - 1, series.times[kept], np.arange(len(chosen))),
        stop=bounds[1:],
        imputer=dataclasses.replace(setting.imputer, fallback=fallback),
    )


def _judge(setting: Setting, plan: Plan, least: int, folds) -> Trial:
    """The errors of a plan with the best penalty, at origins with ``least`` rows."""
    series, firsts, spread = setting.series, setting.series.bounds[:-1], _spread(setting)
    parts = []
    for cut, until in folds if plan.reference(setting.window, setting.horizon).least <= least else ():
        encoder = setting.encoder(plan, cut)
        train = _some(series.origins(encoder.reference.least, firsts, cut, setting.horizon))
        judged = _some(series.origins(least, cut, until, setting.horizon))
        if len(train) < LEAST_WINDOWS:
            return Trial(Choice(plan, 1.0, math.inf), np.empty(0))
        if len(judged):
            parts.append(_errors(encoder, encoder.prepare(series), train, judged, spread))
    if not parts:
        return Trial(Choice(plan, 1.0, math.inf), np.empty(0))
    errors = np.concatenate(parts, axis=1)
    means = np.abs(errors).mean(axis=1)
    j = int(means.argmin())
    return Trial(Choice(plan, float(PENALTIES[j]), float(means[j])), errors[j])


def _some(origins: np.ndarray) -> np.ndarray:
    if len(origins) <= MOST_WINDOWS:
        return origins
    return origins[np.linspace(0, len(origins) - 1, MOST_WINDOWS).astype(np.int64)]


def _errors(
    encoder: Encoder, prepared: Prepared, train: np.ndarray, judged: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Scaled errors at the known points of the judged windows, for each of ``PENALTIES``: (penalties, points)."""
    measured = encoder.measure(prepared, judged)
    base = encoder.base(prepared, judged, measured)
    truth, known = encoder.truth(prepared, judged)
    series = np.searchsorted(prepared.series.bounds, judged, side="right") - 1
    raw_truth = np.where(known, encoder.unscale(truth, prepared.series, judged), 0.0)
    scale = spread[series][:, None, :]
    read = encoder.inputs(prepared, judged, measured).reshape(len(judged), -1)
    additions = np.zeros((len(PENALTIES), *base.shape))
    for c in range(encoder.targets):
        chosen = encoder.linear_inputs(c)
        complete = encoder.truth(prepared, train)[1][:, :, c].all(axis=1)
        whole = 2 * complete.sum() >= len(train)
        solve, largest = Ridge.path(linear_windows(encoder, prepared, c, whole), train[complete] if whole else train)
        for j, penalty in enumerate(PENALTIES):
            additions[j, :, :, c] = solve(penalty * largest).predict(read[:, chosen])
    forecasts = (encoder.unscale(base + addition, prepared.series, judged) for addition in additions)
    return np.stack([((forecast - raw_truth) / scale)[known] for forecast in forecasts])


def _spread(setting: Setting) -> np.ndarray:
    """(series, C) the spread of the known values before ``stop``: the unit in which series of any size are compared."""
    return Scaler.fit(setting.series.values[:, : setting.targets], setting.series.bounds, setting.stop).std


def linear_windows(encoder: Encoder, prepared: Prepared, target: int, whole: bool = False):
    """What ridge regression reads of the windows of these origins, for one target.

    ``whole`` reads windows only whose targets are all known: steps with other windows each cost a decomposition.
    """
    chosen = encoder.linear_inputs(target)

    def windows(origins):
        measured = encoder.measure(prepared, origins)
        inputs = encoder.inputs(prepared, origins, measured).reshape(len(origins), -1)[:, chosen]
        truth, known = encoder.truth(prepared, origins)
        left = (truth - encoder.base(prepared, origins, measured))[:, :, target]
        counts = known[:, :, target]
        if whole:
            counts = np.broadcast_to(counts.all(axis=1, keepdims=True), counts.shape)
        return inputs.astype(np.float64), np.where(counts, left, 0.0), counts

    return windows
