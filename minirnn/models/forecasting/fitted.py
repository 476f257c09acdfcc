"""A fitted forecast: encoder, linear part, network and calibration. NumPy, and a half for the network.

Dimension letters: n windows, N rows ahead, C targets, K members, P numbers of the network for each row and target,
Q levels.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minirnn.data.outliers import Outliers
from minirnn.models.forecasting import recursion, stateful
from minirnn.models.forecasting.encoder import Encoder, Prepared
from minirnn.models.forecasting.intervals import Calibration, ends_of, normal_scores
from minirnn.models.forecasting.series import Series
from minirnn.models.linear import Ridge
from minirnn.params import QUANTILES, Direct, Forecast

BLOCK = 4096  # windows that are read at a time


class Base(NamedTuple):
    """A forecast without a network: a reference, and a linear part for each target."""

    encoder: Encoder
    linear: tuple[Ridge, ...]
    weight: float

    def forecast(self, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
        """(n, N, C), scaled."""
        measured = self.encoder.measure(prepared, origins)
        flat = self.encoder.inputs(prepared, origins, measured).reshape(len(origins), -1)
        parts = [ridge.predict(flat[:, self.encoder.linear_inputs(c)]) for c, ridge in enumerate(self.linear)]
        return self.encoder.base(prepared, origins, measured) + np.stack(parts, axis=2)


def base_forecast(bases: tuple[Base, ...], prepared: Sequence[Prepared], origins: np.ndarray) -> np.ndarray:
    """The weighted mean of the bases (n, N, C), scaled."""
    parts = [base.weight * base.forecast(rows, origins) for base, rows in zip(bases, prepared)]
    return np.sum(parts, axis=0)


class Rows(NamedTuple):
    """Rows as the network's encoder and those of the bases prepare them.

    ``statics`` (series, Q) says what each series is, where it is not as in the training.
    """

    series: Series
    own: Prepared
    bases: tuple[Prepared, ...]
    statics: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a forecast is made of: the mean of the bases, plus ``share`` of what the network adds.

    Args:
      encoder: rows to what the network reads.
      bases: forecasts without a network, whose weights sum to one; all forecast the same scaled targets.
      description: of the network.
      members: its weights, K times.
      scale: (N, C) the spread of what the bases leave over on training windows: the network's unit.
      share: of the network's mean in the forecast, 0 to 1: how sure the validation rows are of its worth.
      calibration: of the intervals.
      names: of the series of the training.
      recursion: (N, C) the spread of the errors of each step, where forecasts are fed back; the parts above then
        forecast one row. None where they forecast all N at once.
      outliers: their limits, where rows are clipped to them before they are read; None where they are read as they are.
      carried: where the state of the network is carried from row to row; None where it reads windows.
    """

    encoder: Encoder
    bases: tuple[Base, ...]
    description: Forecast
    members: list[Any]
    scale: np.ndarray
    share: float
    calibration: Calibration
    names: tuple[str, ...]
    recursion: np.ndarray | None = None
    outliers: Outliers | None = None
    carried: stateful.Carried | None = None

    @property
    def calibrated(self) -> bool:
        """Whether there is anything to make intervals of: files of format 1 hold no scores."""
        return len(self.calibration.every) > 0

    @property
    def least(self) -> int:
        """Rows without which there is no forecast."""
        return max(base.encoder.reference.least for base in self.bases)

    @property
    def reach(self) -> int:
        """Rows that a forecast depends on, where none is missing."""
        encoders = [self.encoder, *(base.encoder for base in self.bases)]
        before = 0 if self.outliers is None else self.outliers.reach
        return before + max(encoder.reference.reach for encoder in encoders)

    # ------------------------------------------------------------ scaled forecasts

    def read(self, series: Series) -> Series:
        """The rows as they are read: clipped, if the model clips."""
        if self.outliers is None:
            return series
        limits = self.outliers.of(series.which)
        return dataclasses.replace(series, values=limits.clip(series.values, series.bounds))

    def prepare(self, series: Series, statics: np.ndarray | None = None) -> Rows:
        """Rows as they are read; encoders that prepare them alike share the result."""
        series = self.read(series)
        kept: dict[Any, Prepared] = {}

        def prepared(encoder):
            key = (encoder.plan.log, encoder.plan.harmonics, encoder.usual.tobytes())
            if key not in kept:
                kept[key] = encoder.prepare(series, statics)
            return kept[key]

        return Rows(series, prepared(self.encoder), tuple(prepared(base.encoder) for base in self.bases), statics)

    def settled(self, series: Series, statics: np.ndarray | None) -> Fitted:
        """The same for parts of these series, of which part k belongs to the k-th: see :meth:`Encoder.settled`."""
        bases = tuple(base._replace(encoder=base.encoder.settled(series, statics)) for base in self.bases)
        return dataclasses.replace(self, encoder=self.encoder.settled(series, statics), bases=bases)

    def network(self, prepared: Prepared, origins: np.ndarray, backend: str) -> np.ndarray:
        """Raw numbers of the members (K, n, N, C, P)."""
        if self.carried is not None:
            return stateful.network(self, prepared, np.asarray(origins))
        half = importlib.import_module(f"minirnn.{backend}.forecasting")
        state = half.start(half.make_optimizer(1e-3, 1.0), self.members)
        inputs, ahead = self.encoder.inputs(prepared, origins), self.ahead(prepared, origins)
        return np.asarray(half.predict(self.description, state, inputs, ahead), np.float64)

    def inputs(self, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
        """What the network reads in training (n, W, D)."""
        if self.carried is not None:
            return stateful.windows(self.encoder, prepared, np.asarray(origins))
        return self.encoder.inputs(prepared, origins)

    def ahead(self, prepared: Prepared, origins: np.ndarray) -> np.ndarray:
        """What the network reads of the rows ahead (n, N, F); F = 0 where it reads the window alone."""
        if isinstance(self.description.horizon, Direct):
            return np.zeros((len(origins), self.encoder.horizon, 0), np.float32)
        return self.encoder.ahead_features(prepared, origins)

    def curves(self, rows: Rows, origins: np.ndarray, backend: str) -> tuple[np.ndarray, np.ndarray]:
        """Means of each member (K, n, N, C) and the values of the curves (n, N, C, Q) at ``QUANTILES``, scaled."""
        origins = np.asarray(origins)
        if self.recursion is not None:
            mean = recursion.means(self, rows, origins, backend)
            return mean[None], mean[..., None] + self.recursion[..., None] * normal_scores(QUANTILES)
        means, values = [], []
        for first in range(0, max(len(origins), 1), BLOCK):
            block = origins[first : first + BLOCK]
            raw = self.network(rows.own, block, backend)
            base = base_forecast(self.bases, rows.bases, block)
            mean = base + self.share * self.scale * raw[..., 0]  # (K, n, N, C)
            means.append(mean)
            offsets = (self.scale[..., None] * spread(self.description, raw)).mean(axis=0)
            values.append(mean.mean(axis=0)[..., None] + offsets)
        return np.concatenate(means, axis=1), np.concatenate(values)

    @property
    def steps(self) -> int:
        """N."""
        return self.encoder.horizon if self.recursion is None else len(self.recursion)

    def truth(self, rows: Rows, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The scaled targets ahead (n, N, C), and where they are known."""
        ahead = origins[:, None] + np.arange(1, self.steps + 1)
        return (rows.own.targets.carried + rows.own.usual)[ahead], rows.own.known[ahead]

    # ------------------------------------------------------------ forecasts

    def forecast(
        self, series: Series, origins: np.ndarray, levels=(), backend: str = "readable", rows: Rows | None = None
    ) -> tuple[np.ndarray, dict[float, np.ndarray]]:
        """Means of each member (K, n, N, C) and quantiles (n, N, C) by level, in the unit of the targets.

        There are no quantiles of a forecast that is not calibrated.
        """
        rows = self.prepare(series) if rows is None else rows
        means, values = self.curves(rows, origins, backend)
        return self.in_units(means, values, series, origins, ends_of(levels) if self.calibrated else [])

    def in_units(
        self, means: np.ndarray, values: np.ndarray, series: Series, origins: np.ndarray, ends: list[float]
    ) -> tuple[np.ndarray, dict[float, np.ndarray]]:
        """What :meth:`curves` gives, in the unit of the targets: means (K, n, N, C), quantiles (n, N, C) by level."""
        unscale = self.encoder.unscale
        return (
            np.stack([unscale(mean, series, origins) for mean in means]),
            {
                end: unscale(value, series, origins)
                for end, value in self.calibration.quantiles(values, QUANTILES, ends).items()
            },
        )

    def with_scores(self, scores: np.ndarray, later: bool = False) -> Fitted:
        """The same with these validation scores, or with more of ``later`` rows, in the precision of the model file."""
        rounded = scores.astype(np.float32).astype(np.float64)
        return dataclasses.replace(
            self, calibration=self.calibration.extended(rounded) if later else Calibration.of(rounded)
        )


def spread(description: Forecast, raw: np.ndarray) -> np.ndarray:
    """How far the curve lies from the mean at ``QUANTILES``: raw (..., P) -> (..., Q), in the network's unit."""
    from minirnn.readable import losses

    z = normal_scores(QUANTILES)
    match description.likelihood:
        case "quantiles":
            return losses.monotone_quantiles(raw[..., 1:]) - raw[..., :1]
        case "gaussian":
            return losses.gaussian_parameters(raw)[1][..., None] * z
        case "student":
            return losses.student_t_parameters(raw)[1][..., None] * z
    return np.broadcast_to(z, (*raw.shape[:-1], len(z)))
