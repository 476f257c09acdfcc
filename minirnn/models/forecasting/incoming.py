"""Rows that are handed over: to be fitted, or to a fitted model, which asks for the columns of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.words import listed
from minirnn.models.estimator import ParameterError
from minirnn.models.forecasting import frames

if TYPE_CHECKING:
    from minirnn.data.table import Table
    from minirnn.models.forecaster import Forecaster

LEAST_STEPS = 12  # known rows after which a regular gap is no accident


def to_fit(frame: Any, roles: dict[str, Any]) -> Table:
    """Rows of any kind as a table.

    Args:
      frame: as for :meth:`Forecaster.fit`.
      roles: its arguments ``target``, ``past``, ``future``, ``static`` and ``series``, as they were given.

    Raises:
      DataError: the rows cannot be used.
      ParameterError: a table was read for other targets.
    """
    from minirnn.data import Table, prepare

    if not isinstance(frame, Table):
        return prepare(frame, **roles)
    target = roles["target"]
    wanted = (target,) if isinstance(target, str) else tuple(target or frame.roles.target)
    if wanted != frame.roles.target:
        raise ParameterError(
            f"the table was read for the target {listed(frame.roles.target)}; read it again for {listed(wanted)}"
        )
    return frame


def as_trained(model: Forecaster) -> dict[str, Any]:
    """The arguments with which ``minirnn.data`` reads rows in the roles of the training."""
    roles = {role: list(getattr(model.roles_, role)) for role in ("target", "past", "future", "static")}
    return roles | {"series": model.series_column_, "frequency": model.frequency_}


def to_forecast(model: Forecaster, frame: Any) -> Table:
    """Rows with the columns and the frequency of the training, and enough of them to forecast from.

    Raises:
      DataError: the rows cannot be used.
      ParameterError: they do not fit the model.
    """
    table = to_update(model, frame)
    known = table.last_known - table.bounds[:-1] + 1
    if (known < model.least_).any():
        k = int(np.argmax(known < model.least_))
        of = f" of the series {table.names[k]!r}" if table.series > 1 else ""
        raise ParameterError(f"{known[k]} rows{of} given; the model reads windows of {model.least_}")
    return table


def to_update(model: Forecaster, frame: Any) -> Table:
    """Rows with the columns and the frequency of the training.

    Raises:
      DataError: the rows cannot be used.
      ParameterError: they do not fit the model.
    """
    from minirnn.data import Table, prepare

    if isinstance(frame, Table):
        table = frame
    else:
        if not isinstance(frame, np.ndarray):
            _check_columns(model, frames.names_of(frame))
        table = prepare(frame, **as_trained(model))
    _check_columns(model, table.columns)
    if table.frequency != model.frequency_:
        raise ParameterError(
            f"the rows given have frequency {table.frequency}; the model was trained on {model.frequency_}"
        )
    table = frames.in_order(table, model.columns_)
    _check_steps(model, table)
    return table


def _check_steps(model: Forecaster, table: Table) -> None:
    """Refuses rows that regularly leave some out: they are of another frequency, and not rows that are missing."""
    targets = [table.columns.index(name) for name in table.roles.target]
    for k in range(table.series):
        known = np.flatnonzero((~np.isnan(table.values[table.rows_of(k)][:, targets])).any(axis=1))
        apart = int(np.gcd.reduce(np.diff(known))) if len(known) > LEAST_STEPS else 1
        if apart > 1:
            of = f" of the series {table.names[k]!r}" if table.series > 1 else ""
            raise ParameterError(
                f"the rows given{of} are all {apart} steps apart; the model was trained on rows of frequency "
                f"{model.frequency_}: give it all of them"
            )


def _check_columns(model: Forecaster, names) -> None:
    missing = [name for name in model.columns_ if name not in names]
    if missing:
        raise ParameterError(
            f"the model was trained with the column {missing[0]!r}, which is missing from the rows given"
        )
