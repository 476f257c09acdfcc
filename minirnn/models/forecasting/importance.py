"""Permutation importance: how much larger the error gets if a column, or rows of it, come from another window.

Breiman (2001); the increase is that of the mean absolute error over windows whose truth is known, in the unit of the
target. What is exchanged are standardised values, so that series of different size can lend to each other.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import numpy as np

from minirnn.models.forecasting.program import Program, Window

LEAST = 8  # windows below which exchanges say nothing


class Importance(NamedTuple):
    """The increase of the error by what was exchanged: mean over the repeats, and their standard deviation."""

    error: float  # as it is, without any exchange
    columns: dict[str, tuple[float, float]]
    blocks: dict[str, dict[tuple[int, int], tuple[float, float]]]  # by column, then first and last lag; ahead negative
    windows: int


def lag_blocks(rows: int) -> list[tuple[int, int]]:
    """Blocks of rows by how many rows they lie before the origin: the further back, the longer.

    >>> lag_blocks(12)
    [(0, 0), (1, 1), (2, 3), (4, 7), (8, 11)]
    """
    ends = [0, 1]
    while ends[-1] < rows:
        ends.append(2 * ends[-1])
    return [(a, min(b, rows) - 1) for a, b in itertools.pairwise(ends)]


def permuted(
    program: Program, stacked: Window, truth: np.ndarray, target: int, columns: tuple[str, ...], repeats: int, seed: int
) -> Importance:
    """Exchanges every column, and every block of its rows, between the windows.

    Args:
      program: of the model.
      stacked: the windows, n of them.
      truth: (n, N) of the target, NaN where it is not known.
      target: its number.
      columns: names of all columns.
      repeats: exchanges of each.
      seed: of the exchanges.
    """
    encoder = program.fitted.encoder
    n, R = stacked.values.shape[:2]
    known = ~np.isnan(truth)
    rng = np.random.default_rng(seed)
    orders = [_derangement(rng, n) for _ in range(repeats)]  # the same for all columns: their differences are steadier

    with jax.enable_x64(True):
        scaled = jax.tree.map(np.asarray, jax.jit(jax.vmap(program.scaled))(stacked))
        forecast = jax.jit(jax.vmap(lambda window: program.mean_of(window)[:, target]))

        def error(window):
            return float(np.abs(np.where(known, np.asarray(forecast(window)) - np.where(known, truth, 0.0), 0.0)).sum())

        points = max(int(known.sum()), 1)
        plain = error(scaled)

        def increase(changed):
            found = np.array([error(changed(order)) - plain for order in orders]) / points
            return float(found.mean()), float(found.std(ddof=1)) if repeats > 1 else 0.0

        def exchanged(column, rows):
            """Rows count from the oldest; those from R on lie ahead."""

            def change(order):
                values, lead, missing = scaled.values.copy(), scaled.lead.copy(), scaled.missing.copy()
                within = rows[rows < R]
                values[:, within, column] = values[order][:, within, column]
                for part, chosen, reads in ((lead, encoder.ahead, rows), (missing, encoder.masked, within)):
                    if column in chosen:
                        j = chosen.index(column)
                        part[:, reads, j] = part[order][:, reads, j]
                return scaled._replace(values=values, lead=lead, missing=missing)

            return increase(change)

        whole, parts = {}, {}
        for c, name in enumerate(columns):
            last = R + (encoder.horizon if c in encoder.ahead else 0)
            whole[name] = exchanged(c, np.arange(last))
            parts[name] = {(a, b): exchanged(c, np.arange(R - 1 - b, R - a)) for a, b in lag_blocks(R)}
            if last > R:
                parts[name] = {(-encoder.horizon, -1): exchanged(c, np.arange(R, last)), **parts[name]}
        if encoder.names:
            whole["calendar"] = increase(
                lambda order: scaled._replace(days=scaled.days[order], seconds=scaled.seconds[order])
            )
    return Importance(plain / points, whole, parts, n)


def _derangement(rng, n: int) -> np.ndarray:
    """A random order in which (nearly) every window gets another one's rows: a rotation of a random order."""
    order = rng.permutation(n)
    source = np.empty(n, np.int64)
    source[order] = np.roll(order, 1)
    return source
