"""The four functions that every cell module of this half offers, made from its ``CELL``.

They do no mathematics of their own: they hand their arguments to :mod:`minirnn.fast.engine`, or to
:mod:`minirnn.fast.linear`, and carry the cell's equations in their docstrings.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minirnn.equations import numbered
from minirnn.fast import engine, linear


class Contract(NamedTuple):
    """The functions of a cell module, in this order."""

    initial_state: Callable[..., Any]
    step: Callable[..., Any]
    forward: Callable[..., Any]
    gates: Callable[..., Any]


def contract(module: str, cell: Any, forwards: str) -> Contract:
    """The functions of a cell module.

    Args:
      module: ``__name__`` of the cell module.
      cell: its Cell, of either engine, or a function from keyword options (an RNN's activation) to a Cell.
      forwards: the span of its forward equations, such as ``"L1-L7"``.
    """

    def only(**options):
        if options:
            raise TypeError(f"{module.rpartition('.')[2]} has no option {next(iter(options))!r}")
        return cell

    make = cell if callable(cell) else only
    walk: Any = linear if isinstance(make(), linear.Cell) else engine

    def initial_state(params, batch_size):
        """Zero state, every part (B, H), in the dtype of the weights."""
        return walk.initial_state(make(), params, batch_size)

    @numbered(forwards)
    def step(params, x, state, **options):
        """One step. x (B, D), state (every part (B, H); None stands for zeros) -> y (B, H), state."""
        return walk.step(make(**options), params, x, state)

    @numbered(forwards)
    def forward(
        params,
        xs,
        state=None,
        lengths=None,
        *,
        recurrent_scale=None,
        plain=False,
        save="all",
        products=None,
        **options,
    ):
        """A whole sequence. xs (T, B, D), or symbols (T, B) if the gates read h -> ys (T, B, H), final state.

        ``state``: initial state, None stands for zeros. ``lengths``: integers (B,) from 0 to T. ``recurrent_scale``:
        (B, H), for recurrent dropout. ``plain``: JAX's own gradient, slower, which allows Hessians and ``jax.jvp``.
        ``save``: "all", "states" or "chunks", what is kept for the gradient. ``products``: "bfloat16" rounds the
        factors of products. Masking and errors: :func:`minirnn.fast.engine.forward`.
        """
        how = {"plain": plain, "save": save, "products": products}
        if recurrent_scale is None:
            return walk.forward(make(**options), params, xs, state, lengths, **how)
        if walk is linear:
            raise ValueError("recurrent_scale was given, but the gates of this cell do not read h: leave it None")
        return walk.forward(make(**options), params, xs, state, lengths, recurrent_scale, **how)

    def gates(params, xs, state=None, lengths=None, **options):
        """Every named intermediate over time: a NamedTuple of arrays (T, B, H), zero on padding."""
        return walk.gates(make(**options), params, xs, state, lengths)

    functions = Contract(initial_state, step, forward, gates)
    for function in functions:
        function.__module__ = module
        function.__qualname__ = function.__name__
    return functions
