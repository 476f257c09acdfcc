"""Integrated gradients of a forecast with respect to its rows (Sundararajan et al. 2017, arXiv 1703.01365).

The forecast is compared with that from a baseline: the same times with every column at its usual level, the mean of the
training rows (of their logarithms, where these are forecast). So an attribution says what a value has done to the
forecast by not being the usual one, and all of them together make up the difference of the two forecasts. On the
straight line between the two windows the gradients are averaged by Gauss and Legendre's rule, with twice as many nodes
until the sum is right.

Dimension letters: m nodes, S results that are explained (weighted sums of the steps ahead), R rows up to the origin,
N rows ahead, C targets, P other columns, A columns known ahead.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from minirnn.models.forecasting.program import Program, Window

NODES = 16  # that are evaluated at once, and the fewest
MOST_NODES = 1024
WANTED = 0.01  # the gap that is allowed, as a part of the change
LEAST_CHANGE = 0.05  # of the target's spread: a smaller change counts as this


class Attribution(NamedTuple):
    """What each value adds to the forecast of one window, in the unit of the target."""

    values: np.ndarray  # (S, R+N, C+P) of the rows up to the origin, then of those ahead
    forecast: np.ndarray  # (S,)
    baseline: np.ndarray  # (S,) the forecast from the baseline
    size: np.ndarray  # (S,) what the gap is measured by: the change, at least a twentieth of the target's spread
    nodes: int

    @property
    def change(self) -> np.ndarray:
        """(S,) what is to be explained."""
        return self.forecast - self.baseline

    @property
    def gap(self) -> np.ndarray:
        """(S,) the sum of the attributions less the change, as a part of ``size``: zero if they are complete."""
        return (self.values.sum(axis=(1, 2)) - self.change) / self.size

    @property
    def complete(self) -> bool:
        """Whether every gap is below 1 %."""
        return bool((np.abs(self.gap) < WANTED).all())


def usual(program: Program, window: Window) -> Window:
    """The baseline of a window: every column at the mean of its training rows."""
    encoder = program.fitted.encoder
    mean = np.array(window.place.mean, float)
    if encoder.plan.log:
        mean[: encoder.targets] = np.exp(np.minimum(mean[: encoder.targets], 700.0))
    return window._replace(
        values=np.broadcast_to(mean, window.values.shape),
        lead=np.broadcast_to(mean[list(encoder.ahead)], window.lead.shape),
    )


def spread(program: Program, window: Window, target: int) -> float:
    """The spread of the target's training rows, in its unit; of a logarithm by the log-normal distribution."""
    mean, std = float(window.place.mean[target]), float(window.place.std[target])
    if not program.fitted.encoder.plan.log:
        return std
    return float(np.exp(min(mean + std**2 / 2, 300.0)) * np.sqrt(np.expm1(min(std**2, 300.0))))


def integrated(program: Program, stacked: Window, target: int, *, by_step: bool = False) -> list[Attribution]:
    """The attributions of each of the windows, all of the same number of rows.

    Of the results that are explained the mean of the steps ahead stands first; with ``by_step`` each step follows.
    """
    encoder = program.fitted.encoder
    N = encoder.horizon
    weights = np.full((1, N), 1 / N)
    if by_step:
        weights = np.concatenate([weights, np.eye(N)])

    def results(window):
        return jnp.asarray(weights) @ program.mean(window)[:, target]  # (S,)

    @jax.jit
    def gradients(window, start, nodes, shares):
        """The weighted mean of the gradients at these nodes: (S, R, C+P) and (S, R+N, A)."""

        def at(node):
            values, lead = (a + node * (b - a) for a, b in zip(start[:2], window[:2]))
            return jax.jacrev(lambda v, u: results(window._replace(values=v, lead=u)), (0, 1))(values, lead)

        return jax.tree.map(lambda each: jnp.tensordot(shares, each, 1), jax.vmap(at)(nodes))

    def one(window):
        start = usual(program, window)
        forecast, baseline = (np.asarray(jax.jit(results)(each)) for each in (window, start))
        size = np.maximum(np.abs(forecast - baseline), LEAST_CHANGE * spread(program, window, target))
        nodes = NODES
        while True:
            x, w = np.polynomial.legendre.leggauss(nodes)
            x, w = (x + 1) / 2, w / 2
            blocks = [slice(first, first + NODES) for first in range(0, nodes, NODES)]
            sums = [gradients(window, start, x[block], w[block]) for block in blocks]
            of_values, of_lead = (np.sum([np.asarray(each[i]) for each in sums], axis=0) for i in (0, 1))
            values = np.pad(of_values * (window.values - start.values), ((0, 0), (0, N), (0, 0)))
            values[:, :, list(encoder.ahead)] += of_lead * (window.lead - start.lead)
            found = Attribution(values, forecast, baseline, size, nodes)
            if (np.abs(found.gap) < WANTED / 10).all() or nodes == MOST_NODES:
                return found
            nodes *= 2

    with jax.enable_x64(True):
        count = len(stacked.values)
        return [one(jax.tree.map(lambda each, k=k: np.asarray(each[k]), stacked)) for k in range(count)]
