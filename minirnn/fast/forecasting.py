"""Forecasting networks in JAX: their loss, an epoch of it, and what they say of windows.

:mod:`minirnn.fast.training` trains networks on outputs; the functions of the same names here train a ``Forecast``.
Data are a tuple: inputs (n, T, D), targets (n, N, C), weights (n, N, C), and ahead (n, N, F), what is known of the rows
ahead.

Dimension letters: K members, n windows, B batch, T time steps, D inputs, N rows ahead, C targets, P numbers for each
target and row, F features of a row ahead.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np

from minirnn.fast import horizons, losses, training
from minirnn.fast.training import make_optimizer, members, moments, place, start, with_moments
from minirnn.params import Forecast

__all__ = [
    "epoch",
    "evaluate",
    "loss",
    "make_optimizer",
    "members",
    "moments",
    "place",
    "predict",
    "start",
    "with_moments",
]
MOST = 2048  # windows that are read at a time


def loss(description: Forecast, raw, targets, weights):
    """Raw numbers (B, N, C, P), targets and weights (B, N, C) -> the weighted mean loss of the likelihood."""
    match description.likelihood:
        case "quantiles":
            mean = losses.mse(raw[..., 0], targets, weights)
            return mean + losses.quantile_pinball(raw[..., 1:], targets, weights, quantiles=description.quantiles)
        case "gaussian":
            return losses.gaussian_nll(raw, targets, weights)
        case "student":
            return losses.student_t_nll(raw, targets, weights)
    return losses.mse(raw[..., 0], targets, weights)


def _raw(description: Forecast, params, inputs, ahead, key):
    """Inputs (B, T, D), ahead (B, N, F) -> (B, N, C, P)."""
    raw = horizons.forward(description.horizon, params, inputs.swapaxes(0, 1), ahead.swapaxes(0, 1), key)
    return raw.reshape(*raw.shape[:2], description.targets, description.numbers)


@functools.cache
def _windows_loss(description: Forecast):
    def windows_loss(params, batch, key):
        inputs, targets, weights, ahead = batch.data
        weights = jnp.where(batch.count[:, None, None], weights, 0)
        total = weights.sum()
        return loss(description, _raw(description, params, inputs, ahead, key), targets, weights) * total, total

    return windows_loss


def epoch(
    description: Forecast, optimizer, state, data, batches, counts, dropout_key=None, *, mesh=None, budget_bytes=None
):
    """Goes once through the batches of windows; as :func:`minirnn.fast.training.epoch`, with the likelihood's loss."""
    return training.run_epoch(
        _windows_loss(description),
        optimizer,
        state,
        data,
        batches,
        counts,
        dropout_key,
        mesh=mesh,
        budget_bytes=budget_bytes,
    )


@functools.cache
def _outputs(description: Forecast):
    return lambda params, batch: _raw(description, params, batch.data[0], batch.data[1], None)


def predict(description: Forecast, state, inputs, ahead, *, mesh=None) -> np.ndarray:
    """Inputs (n, T, D), ahead (n, N, F) -> the raw numbers of each member (K, n, N, C, P), as NumPy."""
    return training.run(_outputs(description), state, (inputs, ahead), batch_size=MOST, mesh=mesh)


def evaluate(description: Forecast, state, data, *, mesh=None) -> np.ndarray:
    """The loss of each member (K,) on windows."""
    inputs, targets, weights, ahead = data
    raw = predict(description, state, inputs, ahead, mesh=mesh)
    return np.array([float(loss(description, jnp.asarray(each), targets, weights)) for each in raw])
