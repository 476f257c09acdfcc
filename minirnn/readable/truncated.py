"""Truncated backpropagation through time, in NumPy: the state is carried over, its gradient is not.

A sequence of T steps is walked through in windows. Every window starts from the state in which the one before it ended,
so that the outputs are those of the whole sequence (without dropout: every window drops anew); but the backward pass of
a window ends at the window's first step. The memory needed, and the length over which a gradient can vanish or explode,
are those of one window (Williams and Peng 1990; Sutskever 2013, section 2.8.6).

Dimension letters: T time steps, B batch, D input size, O output size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minirnn import random
from minirnn.params import Network, NetworkParams, check_lengths, check_truncated
from minirnn.readable import network as networks
from minirnn.readable.optimizers import tree_map


def windows(T: int, window: int) -> list[slice]:
    """The steps of each window; the last one may be shorter.

    >>> windows(7, 3)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 7, None)]
    """
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

    With a loss that is a mean over its steps this is a sum of means: every window weighs as much as the others, a
    short one at the end too.

    Args:
      network: a description whose head reads every step, with recurrent layers in one direction only and no convolution
        (both would look beyond the window).
      params: weights.
      xs: (T, B, D), or symbols (T, B).
      targets: a tuple of arrays (T, ...) that the loss needs beside the outputs: targets, and weights. With lengths the
        weights must leave the padding out: ``(targets, mask)``.
      loss: ``loss(outputs, *targets) -> (loss, doutputs)`` of one window, such as ``losses.mse``.
      window: steps in a window.
      state: initial state of each layer, or None.
      lengths: integers (B,), or None.
      dropout_key: as in :func:`minirnn.readable.network.forward`; every window gets a key of its own. Callers who go on
        with a longer sequence fold the number of the call into the key.

    Returns:
      loss, dparams (a NetworkParams), state. Hand the state to the next call to go on with a longer sequence.
    """
    check_truncated(network, window, len(xs), targets)
    xs = np.asarray(xs)
    if lengths is not None:
        lengths = np.asarray(lengths)
        check_lengths(lengths, len(xs), xs.shape[1])
        lengths = lengths.astype(int)  # a difference of unsigned integers cannot be negative
    total, dparams = 0.0, tree_map(np.zeros_like, params)
    key = networks.as_key(dropout_key)
    for index, steps in enumerate(windows(len(xs), window)):
        inside = None if lengths is None else np.clip(lengths - steps.start, 0, steps.stop - steps.start)
        window_key = None if key is None else random.fold_in(key, index)
        outputs, state, cache = networks.forward(network, params, xs[steps], state, inside, window_key)
        value, doutputs = loss(outputs, *(target[steps] for target in targets))
        # dstate = None: nothing comes back from the windows after this one.
        dwindow, _, _ = networks.backward(doutputs, None, cache)
        total, dparams = total + value, tree_map(np.add, dparams, dwindow)
    return total, dparams, state
