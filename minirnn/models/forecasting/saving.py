"""A Forecaster as arrays and a description, and back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.imputing import METHODS, Imputer
from minirnn.data.outliers import Outliers
from minirnn.data.scaling import Scaler
from minirnn.data.table import Roles
from minirnn.models import storage, trees
from minirnn.models.forecasting import fitting, format1, series, stateful
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.encoder import Encoder, Plan
from minirnn.models.forecasting.fitted import Base, Fitted
from minirnn.models.forecasting.intervals import Calibration
from minirnn.models.forecasting.statics import Column
from minirnn.models.forecasting.updating import Memory
from minirnn.models.linear import Ridge
from minirnn.models.training import History
from minirnn.params import Direct, Moments, init_horizon

if TYPE_CHECKING:
    from minirnn.models.forecaster import Forecaster


NOT_CALIBRATED = (
    "The model was saved by an earlier version of minirnn, which calibrated nothing: its forecasts come without "
    "intervals; fit it again to have them."
)


def flatten(model: Forecaster) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and everything else in what JSON knows."""
    fitted, recent = model.fitted_, model.recent_
    arrays = {
        "scaler.mean": fitted.encoder.scaler.mean,
        "scaler.std": fitted.encoder.scaler.std,
        "imputer.fallback": fitted.encoder.imputer.fallback,
        "floor": fitted.encoder.floor,
        "statics": fitted.encoder.statics,
        "scale": fitted.scale,
        "calibration.scores": fitted.calibration.scores.astype(np.float32),
        "calibration.later": fitted.calibration.later.astype(np.float32),
        "recent.values": recent.values,
        "recent.bounds": recent.bounds.astype(np.int64),
        "recent.last": recent.last.astype(np.int64),
        "recent.times": recent.times.astype(np.int64),
    }
    encoders = {"encoder": fitted.encoder} | {f"bases.{k}": base.encoder for k, base in enumerate(fitted.bases)}
    for name, encoder in encoders.items():
        arrays |= {f"{name}.{part}": getattr(encoder, part) for part in ("usual", "spread", "level")}
    for k, base in enumerate(fitted.bases):
        for c, ridge in enumerate(base.linear):
            arrays[f"bases.{k}.linear.{c}.coefficients"] = ridge.coefficients
            arrays[f"bases.{k}.linear.{c}.intercept"] = ridge.intercept
    if fitted.recursion is not None:
        arrays["recursion"] = fitted.recursion
    if fitted.carried is not None:
        arrays["carried.starts"] = fitted.carried.starts
        for i, state in enumerate(fitted.carried.states):
            arrays |= {f"carried.{i}.{name}": part for name, part in zip("hc", state)}
    if fitted.outliers is not None:  # NaN stands for no limit
        for name in ("low", "high"):
            limits = getattr(fitted.outliers, name)
            arrays[f"outliers.{name}"] = np.where(np.isinf(limits), np.nan, limits)
    for k, params in enumerate(fitted.members):
        arrays |= trees.to_arrays(f"members.{k}.", params)
    arrays |= _memory_arrays(model.memory_)
    description = {
        # As they were when it was trained: a parameter changed since then does not describe these weights.
        "parameters": {name: _plain(value) for name, value in model.fitted_params_.items() if name != "progress"},
        "roles": dataclasses.asdict(model.roles_),
        "columns": list(model.columns_),
        "units": model.units_,
        "title": model.title_,
        "frequency": model.frequency_,
        "date_column": model.date_column_,
        "series_column": model.series_column_,
        "static_columns": [column.as_dict() for column in model.static_columns_],
        "names": list(fitted.names),
        "window": model.window_,
        "horizon": model.horizon_,
        "season": model.season_,
        "imputer": {"methods": list(fitted.encoder.imputer.methods), "season": fitted.encoder.imputer.season},
        "outliers": None
        if fitted.outliers is None
        else {"seasonal": fitted.outliers.seasonal.tolist(), "season": fitted.outliers.season},
        "masked": list(fitted.encoder.masked),
        "plan": dataclasses.asdict(fitted.encoder.plan),
        "bases": [
            {
                "plan": dataclasses.asdict(base.encoder.plan),
                "weight": base.weight,
                "penalties": [r.penalty for r in base.linear],
            }
            for base in fitted.bases
        ],
        "choices": [
            {"penalty": choice.penalty, "error": choice.error if np.isfinite(choice.error) else None}
            for choice in model.choices_
        ],
        "share": fitted.share,
        "counted": model.frequency_ is None,
        "history": model.history_.as_dict(),
        "devices": model.devices_,
        "memory": _memory_description(model.memory_),
    }
    return arrays, description


def restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Forecaster:
    """The model; whatever does not fit together is a ValueError, KeyError or TypeError."""
    from minirnn.models.forecasting import checking, settings

    if description["format"] == 1:
        arrays, description = format1.upgraded(arrays, description)
    checking.check(arrays, description)
    model = cls().set_params(**description["parameters"])
    settings.check(model.get_params())
    model.fitted_params_ = model.get_params()
    model.roles_ = Roles(**{name: tuple(map(str, columns)) for name, columns in description["roles"].items()})
    model.columns_ = tuple(map(str, description["columns"]))
    if model.columns_ != (*model.roles_.target, *model.roles_.past, *model.roles_.future) or not model.roles_.target:
        raise ValueError("the columns are not those of the roles")
    if len(set(model.columns_)) != len(model.columns_):
        raise ValueError("the columns are not distinct")
    model.units_, model.title_ = dict(description["units"]), str(description["title"])
    model.frequency_ = description["frequency"]
    model.date_column_, model.series_column_ = description["date_column"], description["series_column"]
    model.static_columns_ = tuple(
        Column(str(c["name"]), None if c["levels"] is None else tuple(c["levels"]), float(c["mean"]), float(c["std"]))
        for c in description["static_columns"]
    )
    for name in ("window", "horizon", "season"):
        value = description[name]
        if type(value) is not int or not 1 <= value < 10**7:
            raise ValueError(f"{name} is {value!r}")
        setattr(model, f"{name}_", value)
    model.fitted_ = _fitted(model, arrays, description)
    model.plan_ = model.fitted_.encoder.plan
    model.choices_ = tuple(
        Choice(base.encoder.plan, float(about["penalty"]), _error(about["error"]), base.weight)
        for base, about in zip(model.fitted_.bases, description["choices"], strict=True)
    )
    model.recent_ = _recent(model, arrays, description)
    of_memory = {name: arrays.pop(name) for name in list(arrays) if name.startswith(("replay.", "moments."))}
    if arrays:
        raise ValueError(f"unexpected array {sorted(arrays)[0]}")
    model.memory_ = _memory(model.fitted_, of_memory, description.get("memory"))
    if of_memory:
        raise ValueError(f"unexpected array {sorted(of_memory)[0]}")
    model.devices_ = int(description.get("devices", 1))
    model.notes_ = () if model.fitted_.calibrated else (NOT_CALIBRATED,)
    model.history_ = History.of(description["history"])
    return model


def _fitted(model, arrays, description) -> Fitted:
    params = model.fitted_params_
    C, columns, S = len(model.roles_.target), len(model.columns_), len(description["names"])
    methods = tuple(description["imputer"]["methods"])
    if len(methods) != columns or not set(methods) <= set(METHODS):
        raise ValueError("imputer.methods do not fit the columns")
    imputer = Imputer(
        methods, storage.expect(arrays, "imputer.fallback", (S, columns)), int(description["imputer"]["season"])
    )
    scaler = Scaler(*(storage.expect(arrays, f"scaler.{name}", (S, columns)) for name in ("mean", "std")))
    if not (scaler.std > 0).all():
        raise ValueError("scaler.std must be positive")
    floor = storage.expect(arrays, "floor", (S, C))
    statics = storage.expect(arrays, "statics", (S, None))
    masked = tuple(int(c) for c in description["masked"])
    if not all(0 <= c < columns for c in masked):
        raise ValueError("masked names columns that do not exist")
    recursive = params["strategy"] == "recursive" and model.horizon_ > 1
    steps = 1 if recursive else model.horizon_  # that are forecast at once
    ahead = tuple(model.columns_.index(name) for name in model.roles_.future)

    def encoder(name: str, about: dict[str, Any]) -> Encoder:
        plan = _plan(about)
        bare = Encoder(
            plan,
            model.window_,
            steps,
            C,
            ahead,
            model.frequency_,
            imputer,
            scaler,
            floor,
            np.zeros((S + 1, 0, C)),
            masked,
            statics,
            storage.expect(arrays, f"{name}.spread", (C,)),
            storage.expect(arrays, f"{name}.level", (2, C)),
        )
        width = bare._harmonics(np.empty(0, "datetime64[us]")).shape[1] if any(plan.harmonics) else 0
        return dataclasses.replace(bare, usual=storage.expect(arrays, f"{name}.usual", (S + 1, width, C)))

    own = encoder("encoder", description["plan"])
    bases = []
    for k, about in enumerate(description["bases"]):
        each = encoder(f"bases.{k}", about["plan"])
        ridges = []
        for c, penalty in zip(range(C), about["penalties"], strict=True):
            prefix = f"bases.{k}.linear.{c}"
            shape = (len(each.linear_inputs(c)), steps)
            coefficients = storage.expect(arrays, f"{prefix}.coefficients", shape)
            ridges.append(Ridge(coefficients, storage.expect(arrays, f"{prefix}.intercept", shape[1:]), float(penalty)))
        bases.append(Base(each, tuple(ridges), float(about["weight"])))
    if not bases:
        raise ValueError("there is no base")
    network = fitting.describe(params, steps, C)
    inputs = sum(map(len, own.channels().values()))
    features = 0 if params["strategy"] != "seq2seq" and params["segment"] is None else len(own.names) + len(ahead)
    template = init_horizon(0, network.horizon, inputs, features)
    members = [trees.from_arrays(arrays, f"members.{k}.", template) for k in range(params["ensemble"])]
    share = float(description["share"])
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}")
    scale = storage.expect(arrays, "scale", (steps, C))
    recursion = storage.expect(arrays, "recursion", (model.horizon_, C)) if recursive else None
    scores, later = (
        storage.expect(arrays, name, (None, model.horizon_, C), missing=True).astype(np.float64)
        for name in ("calibration.scores", "calibration.later")
    )
    names = tuple(map(str, description["names"]))
    outliers = _outliers(arrays, description["outliers"], (S, columns))
    carried = _carried(params, S, arrays) if params["stateful"] else None
    return Fitted(
        own,
        tuple(bases),
        network,
        members,
        scale,
        share,
        Calibration(scores, later),
        names,
        recursion,
        outliers,
        carried,
    )


def _carried(params, S: int, arrays) -> stateful.Carried:
    starts = storage.expect(arrays, "carried.starts", (S,), kind="i")
    shape = (S, params["ensemble"], 1, params["hidden_size"])
    parts = "hc" if params["cell"] == "lstm" else "h"
    states = tuple(
        tuple(storage.expect(arrays, f"carried.{i}.{name}", shape) for name in parts)
        for i in range(params["num_layers"])
    )
    return stateful.Carried(starts, states)


def _plan(about: dict[str, Any]) -> Plan:
    plan = Plan(**{**about, "harmonics": tuple(about["harmonics"])})
    shares, counts = (plan.alpha, plan.gamma), (plan.season, plan.seasons, *plan.harmonics)
    whole = all(type(n) is int and 0 <= n < 10**6 for n in counts) and min(plan.season, plan.seasons) > 0
    if not whole or not all(isinstance(share, float | int) and 0 <= share <= 1 for share in shares):
        raise ValueError(f"not a plan: {plan}")
    return plan


def _outliers(arrays, about: dict[str, Any] | None, shape: tuple[int, int]) -> Outliers | None:
    if about is None:
        return None
    low, high = (storage.expect(arrays, f"outliers.{name}", shape, missing=True) for name in ("low", "high"))
    seasonal, season = np.array(about["seasonal"], bool), int(about["season"])
    if seasonal.shape != shape[1:] or not 1 <= season < 10**7:
        raise ValueError("outliers do not fit the columns")
    return Outliers(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high), seasonal, season)


def _recent(model, arrays, description) -> series.Series:
    S = len(description["names"])
    bounds = storage.expect(arrays, "recent.bounds", (S + 1,), kind="i")
    last = storage.expect(arrays, "recent.last", (S,), kind="i")
    values = storage.expect(arrays, "recent.values", (None, len(model.columns_)), missing=True)
    times = storage.expect(arrays, "recent.times", (len(values),), kind="i")
    whole = (
        bounds[0] == 0
        and bounds[-1] == len(values)
        and (np.diff(bounds) > model.horizon_).all()
        and (last == bounds[1:] - 1 - model.horizon_).all()
    )
    encoders = [model.fitted_.encoder, *(base.encoder for base in model.fitted_.bases)]
    least = max(encoder.reference.least for encoder in encoders)
    if not whole or (last - bounds[:-1] + 1 < least).all():
        raise ValueError("recent rows do not fit the series")
    if not description["counted"]:
        times = times.astype("datetime64[us]")
    return series.Series(values, bounds, last, times, np.arange(S))


_REPLAY = ("inputs", "targets", "weights", "ahead")


def _memory_arrays(memory: Memory | None) -> dict[str, np.ndarray]:
    if memory is None:
        return {}
    arrays = {f"replay.{name}": array for name, array in zip(_REPLAY, memory.replay)}
    for k, moments in enumerate(memory.moments or ()):
        for part, tree in (("m", moments.m), ("v", moments.v)):
            arrays |= trees.to_arrays(f"moments.{k}.{part}.", tree)
    return arrays


def _memory_description(memory: Memory | None) -> dict[str, Any] | None:
    if memory is None:
        return None
    steps = None if memory.moments is None else [int(moments.steps) for moments in memory.moments]
    return {"seen": memory.seen, "steps": steps, "updates": list(memory.updates)}


def _memory(fitted: Fitted, arrays, about) -> Memory | None:
    if about is None:
        return None
    encoder, template = fitted.encoder, fitted.members[0]
    N, C, D = encoder.horizon, encoder.targets, sum(map(len, encoder.channels().values()))
    inputs = storage.expect(arrays, "replay.inputs", (None, encoder.window, D))
    n = len(inputs)
    features = 0 if isinstance(fitted.description.horizon, Direct) else len(encoder.names) + len(encoder.ahead)
    others = (storage.expect(arrays, f"replay.{name}", (n, N, C)) for name in ("targets", "weights"))
    replay = (inputs, *others, storage.expect(arrays, "replay.ahead", (n, N, features)))
    moments = None
    if about["steps"] is not None:
        moments = []
        for k, steps in zip(range(len(fitted.members)), about["steps"], strict=True):
            if type(steps) is not int or steps < 0:
                raise ValueError(f"memory.steps holds {steps!r}")
            m, v = (trees.from_arrays(arrays, f"moments.{k}.{part}.", template) for part in ("m", "v"))
            moments.append(Moments(steps, m, v))
    if type(about["seen"]) is not int or not all(isinstance(update, dict) for update in about["updates"]):
        raise ValueError("memory holds no whole updates")
    return Memory(replay, about["seen"], moments, tuple(about["updates"]))


def _error(value: float | None) -> float:
    """A cross-validated error; None stands for one that could not be judged: JSON knows no infinity."""
    return np.inf if value is None else float(value)


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value
