"""Truncated backpropagation through time, in JAX: the state is carried over, its gradient is not.

What it is and does stands in :mod:`minirnn.readable.truncated`.

Dimension letters: T time steps, B batch, D input size, O output size.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from minirnn.fast import network as networks
from minirnn.fast import recurrent
from minirnn.params import Network, NetworkParams, check_lengths, check_truncated


def windows(T: int, window: int) -> list[slice]:
    """The steps of each window; the last one may be shorter."""
    return [slice(start, min(start + window, T)) for start in range(0, T, window)]


def gradient(
    network: Network,
    params: NetworkParams,
    xs,
    targets: tuple,
    loss: Callable,
    window: int,
    state=None,
    lengths=None,
    dropout_key=None,
):
    """The sum of the windows' losses, its truncated gradient, and the final state.

    Arguments as in :func:`minirnn.readable.truncated.gradient`, but ``loss`` returns the loss alone, as those of
    :mod:`minirnn.fast.losses` do. Windows of equal length are one compiled loop.
    """
    check_truncated(network, window, len(xs), targets)
    key = networks.as_key(dropout_key)
    xs, targets = jnp.asarray(xs), tuple(jnp.asarray(target) for target in targets)
    spans = windows(len(xs), window)
    if lengths is None:
        lengths = np.full(xs.shape[1], len(xs))
    traced = isinstance(lengths, jax.core.Tracer)
    lengths = lengths if traced else np.asarray(lengths)
    check_lengths(lengths, len(xs), xs.shape[1], values=not traced)
    lengths = lengths.astype(int)  # a difference of unsigned integers cannot be negative

    def one_window(params, state, index, xs, targets):
        inside = jnp.clip(lengths - index * window, 0, len(xs))
        window_key = None if key is None else recurrent.fold_in(key, index)
        outputs, state = networks.forward(network, params, xs, state, inside, window_key)
        return loss(outputs, *targets), lax.stop_gradient(state)

    def total(params):
        first = spans[0]
        value, carried = one_window(params, state, 0, xs[first], tuple(t[first] for t in targets))
        whole = len(xs) // window  # windows of full length
        if whole > 1:
            rest = slice(window, whole * window)
            arrays = [a[rest].reshape(whole - 1, window, *a.shape[1:]) for a in (xs, *targets)]

            def one_step(carry, step_inputs):
                index, x, *target = step_inputs
                more, after = one_window(params, carry[1], index, x, tuple(target))
                return (carry[0] + more, after), None

            (value, carried), _ = lax.scan(one_step, (value, carried), (jnp.arange(1, whole), *arrays))
        if len(spans) > max(whole, 1):  # a shorter one at the end
            last = spans[-1]
            more, carried = one_window(params, carried, len(spans) - 1, xs[last], tuple(t[last] for t in targets))
            value = value + more
        return value, carried

    (value, final), dparams = jax.value_and_grad(total, has_aux=True)(params)
    return value, dparams, final
