"""Fitting a forecast: what it is measured from, its linear part, its network, and its calibration, in this order."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np

from minirnn.data.windows import Windows
from minirnn.models.forecasting import choosing, intervals, stateful
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.fitted import Base, Fitted, Rows, base_forecast
from minirnn.models.forecasting.intervals import Calibration
from minirnn.models.forecasting.jobs import Job
from minirnn.models.forecasting.series import Series, in_time
from minirnn.models.linear import Ridge
from minirnn.models.training import History, train
from minirnn.params import (
    QUANTILES,
    Convolution,
    Decoder,
    Direct,
    Dropout,
    Forecast,
    Network,
    Recurrent,
    Segments,
    init_horizon,
    numbers_for,
)

MOST_VALIDATION = 4000  # windows that are judged after every epoch
MOST_TRAINING = 16_384  # windows that a member sees in an epoch
# Neighbouring windows differ by a row: of more than these, evenly spaced ones say as much.
MOST_LINEAR, MOST_WINDOWS = 30_000, 100_000
KEPT_BYTES = 1 << 28  # of windows that are cut out beforehand
CAUTION = 2.0  # standard errors by which the network's gain has to exceed none
MOST_RECURSIVE = 500  # validation windows from which forecasts are fed back


def chosen(job: Job) -> tuple[Choice, ...]:
    """The plans: chosen on training and validation rows, where the settings leave a choice."""
    settings = job.settings
    return choosing.choose(
        job.setting(job.parts.validation), settings["reference"], settings["transform"], settings["progress"]
    )


def describe(settings: dict[str, Any], horizon: int, targets: int) -> Forecast:
    """The network of these settings."""
    likelihood = settings["likelihood"]
    outputs, H = targets * numbers_for(likelihood), settings["hidden_size"]
    if settings["segment"] is not None:
        way: Any = Segments(settings["cell"], H, settings["segment"], horizon, outputs, settings["dropout"])
        return Forecast(way, targets, likelihood)
    layer = Recurrent(settings["cell"], H, settings["bidirectional"], recurrent_dropout=settings["dropout"])
    drop = (Dropout(settings["dropout"]),) if settings["dropout"] else ()
    front = (Convolution(H, settings["convolution"]),) if settings["convolution"] else ()
    layers = (*front, layer, *(*drop, layer) * (settings["num_layers"] - 1), *drop)
    if settings["strategy"] == "seq2seq":
        return Forecast(Decoder(layers, horizon, outputs), targets, likelihood)
    read = "mean" if settings["bidirectional"] else "last"
    return Forecast(Direct(Network(layers, horizon * outputs, read), horizon, outputs), targets, likelihood)


def fit_bases(job: Job, choices: tuple[Choice, ...], stop: np.ndarray) -> tuple[Base, ...]:
    """The bases of these plans, fitted on the windows before ``stop``; scales and fillings are of the training rows."""
    bases = []
    for choice in choices:
        encoder = job.encoder(choice.plan, job.parts.train)
        prepared = encoder.prepare(job.series)
        origins = job.series.origins(encoder.reference.least, job.parts.first, stop, job.horizon)
        origins = _some(origins, MOST_LINEAR)
        ridges = []
        for c in range(job.targets):
            solve, largest = Ridge.path(choosing.linear_windows(encoder, prepared, c), origins)
            ridges.append(solve(choice.penalty * largest))
        bases.append(Base(encoder, tuple(ridges), choice.weight))
    return tuple(bases)


def start_members(job: Job, description: Forecast, input_size: int, ahead_size: int, errors: np.ndarray) -> list[Any]:
    """Fresh members whose heads begin at zero: they add nothing, and spread as the errors of the bases do."""
    # Of an even number no quantile lies on an error, where rounding would decide which way it is drawn.
    errors = errors[: len(errors) // 2 * 2]
    quantiles = np.quantile(errors, QUANTILES) if len(errors) else intervals.normal_scores(QUANTILES)
    steps = np.maximum(np.diff(quantiles), 1e-3)
    first = {
        "quantiles": [0.0, quantiles[0], *np.log(np.expm1(steps))],
        "gaussian": [0.0, np.log(np.expm1(1.0))],
        "student": [0.0, np.log(np.expm1(0.8)), 1.0],
        "none": [0.0],
    }[description.likelihood]
    members = []
    for k in range(job.settings["ensemble"]):
        rng = np.random.default_rng([job.settings["seed"], k])
        params = init_horizon(rng, description.horizon, input_size, ahead_size)
        b = np.tile(np.array(first, params.head.b.dtype), len(params.head.b) // len(first))
        members.append(params._replace(head=params.head._replace(W=np.zeros_like(params.head.W), b=b)))
    return members


def fit(
    job: Job, *, choices=None, mesh=None, checkpoint=None, resume=False, optimizer=None, progress=False
) -> tuple[Fitted, History, tuple[Choice, ...]]:
    """Fits everything, or what follows from these ``choices``; the test rows are not looked at.

    The network learns what bases that have seen the training rows leave over, and is judged on the validation rows with
    them. In the end the bases are fitted on both.
    """
    if job.settings["strategy"] == "recursive" and job.horizon > 1:
        return _recursive(job, choices, mesh, checkpoint, resume, optimizer, progress)
    settings, parts = job.settings, job.parts
    choices = chosen(job) if choices is None else choices
    bases = fit_bases(job, choices, parts.train)
    # The network reads no level: where levels drift it would be asked about ones that it has never seen.
    encoder = job.encoder(dataclasses.replace(choices[0].plan, revert=False), parts.train)
    description = describe(settings, job.horizon, job.targets)
    blank = Calibration.of(np.zeros((0, job.horizon, job.targets)))
    fitted = Fitted(encoder, bases, description, [], np.ones((job.horizon, job.targets)), 1.0, blank, job.names)
    if settings["stateful"]:
        fitted = dataclasses.replace(fitted, carried=stateful.NOTHING)
    rows = fitted.prepare(job.series)

    origins = {name: job.series.origins(fitted.least, *parts.of(name), job.horizon) for name in ("train", "validation")}
    for name, most in (("train", MOST_WINDOWS), ("validation", MOST_VALIDATION)):
        origins[name] = _some(origins[name], most)
    left, known = _left_over(bases, rows, origins["train"])
    count = np.maximum(known.sum(axis=0), 1)
    scale = np.sqrt(np.where(known, left**2, 0.0).sum(axis=0) / count)
    fitted = dataclasses.replace(fitted, scale=np.where(scale > 0, scale, 1.0))
    errors = (left / fitted.scale)[known]
    data = {name: _data(fitted, rows, origins[name]) for name in origins}
    members = start_members(
        job, description, data["train"][0].shape[2], data["train"][3].shape[2], errors[:: max(len(errors) // 10_000, 1)]
    )
    half = importlib.import_module(f"minirnn.{settings['backend']}.forecasting")
    members, history = train(
        half,
        description,
        members,
        data["train"],
        data["validation"],
        rng=np.random.default_rng(settings["seed"]),
        learning_rate=settings["learning_rate"],
        max_norm=settings["max_norm"],
        batch_size=settings["batch_size"],
        max_epochs=settings["max_epochs"],
        patience=settings["patience"],
        weight_decay=settings["weight_decay"],
        dropout_seed=settings["seed"] if settings["dropout"] else None,
        most=MOST_TRAINING,
        budget_bytes=KEPT_BYTES,
        progress=progress,
        optimizer=optimizer,
        mesh=mesh,
        checkpoint=checkpoint,
        resume=resume,
    )
    fitted = dataclasses.replace(fitted, members=members)
    fitted = calibrated(fitted, rows, origins["validation"], settings["backend"])
    fitted = dataclasses.replace(fitted, bases=fit_bases(job, choices, parts.validation), outliers=job.outliers)
    return fitted, history, choices


def _recursive(job: Job, choices, mesh, checkpoint, resume, optimizer, progress):
    """A model of one step, whose intervals are calibrated on forecasts that were fed back."""
    one = dataclasses.replace(job, horizon=1)
    fitted, history, choices = fit(
        one,
        choices=choices,
        mesh=mesh,
        checkpoint=checkpoint,
        resume=resume,
        optimizer=optimizer,
        progress=progress,
    )
    rows, backend = fitted.prepare(job.series), job.settings["backend"]
    # Judged with bases that have not seen the validation rows.
    judged = dataclasses.replace(fitted, bases=fit_bases(one, choices, job.parts.train))
    judged = dataclasses.replace(judged, recursion=np.ones((job.horizon, job.targets)))
    origins = _some(job.series.origins(fitted.least, *job.parts.of("validation"), job.horizon), MOST_RECURSIVE)
    means, _ = judged.curves(rows, origins, backend)
    truth, known = judged.truth(rows, origins)
    errors = np.where(known, truth - means[0], np.nan)
    spread = np.sqrt(np.where(known, errors**2, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    spread = np.where(spread > 0, spread, 1.0)
    fitted = dataclasses.replace(fitted, recursion=spread)
    return fitted.with_scores(errors / spread), history, choices


def _some(origins: np.ndarray, most: int) -> np.ndarray:
    if len(origins) <= most:
        return origins
    return origins[np.linspace(0, len(origins) - 1, most).astype(np.int64)]


def _left_over(bases, rows: Rows, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the bases leave over (n, N, C), 0 where the truth is not known, and where it is."""
    left, knowns = [], []
    for first in range(0, max(len(origins), 1), 4096):
        block = origins[first : first + 4096]
        truth, known = bases[0].encoder.truth(rows.bases[0], block)
        left.append(np.where(known, truth - base_forecast(bases, rows.bases, block), 0.0).astype(np.float32))
        knowns.append(known)
    return np.concatenate(left), np.concatenate(knowns)


def _data(fitted: Fitted, rows: Rows, origins: np.ndarray):
    """Inputs, targets, weights and features ahead of these windows; inputs are cut out when they are read, if many."""
    left, known = _left_over(fitted.bases, rows, origins)
    targets = (left / fitted.scale).astype(np.float32)
    inputs: Any = Windows(origins, lambda o: fitted.inputs(rows.own, o))
    ahead: Any = Windows(origins, lambda o: fitted.ahead(rows.own, o))
    if inputs.nbytes + ahead.nbytes <= KEPT_BYTES:
        inputs, ahead = np.asarray(inputs), np.asarray(ahead)
    return inputs, targets, known.astype(np.float32), ahead


def calibrated(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> Fitted:
    """With the share of the network, and the scores of the validation windows."""
    fitted = dataclasses.replace(fitted, share=worth(fitted, rows, origins, backend))
    return fitted.with_scores(latest_scores(fitted, rows, origins, backend))


def calibrated_further(fitted: Fitted, series: Series, start: np.ndarray, stop: np.ndarray, backend: str) -> Fitted:
    """With the scores of the rows ``start[k] .. stop[k] - 1`` too, which neither trained nor chose anything."""
    origins = series.origins(fitted.least, start, stop, fitted.steps)
    if not len(origins):
        return fitted
    return fitted.with_scores(latest_scores(fitted, fitted.prepare(series), origins, backend), later=True)


def latest_scores(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> np.ndarray:
    """Scores in the order of time; of too many origins of some, of all series and times."""
    most = MOST_RECURSIVE if fitted.recursion is not None else intervals.MOST
    return scores(fitted, rows, _some(in_time(rows.series, origins), most), backend)


def scores(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> np.ndarray:
    """Where the truth lies on the curves (n, N, C), NaN where it is not known."""
    _, values = fitted.curves(rows, origins, backend)
    truth, known = fitted.truth(rows, origins)
    return np.where(known, intervals.score(np.where(known, truth, 0.0), values, QUANTILES), np.nan)


def worth(fitted: Fitted, rows: Rows, origins: np.ndarray, backend: str) -> float:
    """The share of the network's mean that the validation rows speak for.

    See :func:`shrunken`, of the gain in squared error over the bases. The network was stopped where it did best on
    these rows, so that the gain flatters it: hence a CAUTION of two.
    """
    if not len(origins):
        return 0.0
    left, known = _left_over(fitted.bases, rows, origins)
    left = left / fitted.scale
    half_of = dataclasses.replace(fitted, share=1.0)
    added = np.concatenate(
        [
            half_of.network(rows.own, origins[first : first + 4096], backend)[..., 0].mean(axis=0)
            for first in range(0, len(origins), 4096)
        ]
    )
    each = np.where(known, left**2 - (left - added) ** 2, 0.0).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
    return shrunken(each, rows.series.times[origins], fitted.encoder.horizon)


def shrunken(gains: np.ndarray, times: np.ndarray, horizon: int) -> float:
    """The share of something that gains so much, by how sure that is.

    With a mean gain g of standard error s over blocks of ``horizon`` times, it is 1 - (CAUTION s / g)^2, which with a
    CAUTION of one is the shrinkage of James and Stein (1961); 0 where nothing is gained, or where there are fewer than
    three blocks to judge by. A block holds all series of its times: they may move together.

    >>> shrunken(np.array([1.0, 1.2, 0.8, 1.1, 0.9, 1.0]), np.arange(6), horizon=2) > 0.9
    True
    """
    times, which = np.unique(times, return_inverse=True)
    gain = np.bincount(which, gains) / np.bincount(which)
    blocks = len(times) // horizon
    if blocks < 3 or gain.mean() <= 0:
        return 0.0
    means = np.array([block.mean() for block in np.array_split(gain, blocks)])
    error = means.std(ddof=1) / np.sqrt(blocks)
    return float(max(0.0, 1 - (CAUTION * error / gain.mean()) ** 2))
