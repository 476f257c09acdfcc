"""The exercises about walks through time that do not read everything: windows, and sequences that end early."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.equations import EQUATIONS
from minirnn.learn.exercises import sizes
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.recurrent import LESSONS, step_backward_text
from minirnn.params import RNNParams
from minirnn.readable import truncated

_RIGHT = "float64 arrays agree to about 1e-15 (||yours - right|| / ||right||); 1e-7 if you compute in float32."
_STEP = step_backward_text(LESSONS["rnn"])


def library(function: Callable[..., Any], labels: dict[str, str] | None = None) -> str:
    """The source of a function of the library, its example left out, with labels at the ends of some lines.

    Args:
      function: of the library.
      labels: beginning of a line, without its indentation, to its label.

    Raises:
      ValueError: the library has no such line any more.
    """
    lines = inspect.getsource(function).rstrip().splitlines()
    for start, label in (labels or {}).items():
        found = [k for k, line in enumerate(lines) if line.strip().startswith(start)]
        if len(found) != 1:
            raise ValueError(f"{function.__name__} has {len(found)} lines that begin with {start!r}; expected one")
        lines[found[0]] += f"  # {label}"
    # Examples compare with printed numbers: in a student's file they would be noise.
    return re.sub(r'\n\n +>>>.*?\n +"""', '"""', "\n".join(lines), flags=re.DOTALL) + "\n"


def equation(number: str) -> str:
    """The forward equation that a line computes, or that a line differentiates, as a comment."""
    return f"# {number}  {EQUATIONS[number].plain}"


def weights(rng: np.random.Generator, D: int = 5, H: int = 4) -> RNNParams:
    """Random weights of a vanilla RNN; no bias is zero, since that would hide a mistake."""
    return RNNParams(0.6 * rng.standard_normal((D, H)), 0.6 * rng.standard_normal((H, H)), rng.standard_normal(H))


# ---------------------------------------------------------------- truncated backpropagation


def _truncated_text() -> str:
    walk = f'''def truncated(xs, dys, h0, window, Wx, Wh, b):
    """Truncated backpropagation through time for the vanilla RNN: the state is carried over, its gradient is not.

      xs      (T, B, D)  inputs
      dys     (T, B, H)  gradient of the loss with respect to each output alone
      h0      (B, H)     initial state of the first window
      window             steps in a window; the last window may be shorter
      Wx (D, H), Wh (H, H), b (H,)

    The outputs are those of the whole sequence: every window starts from the state in which the one before it ended.
    The gradient of a window ends at the window's first step. Returns ys (T, B, H), dxs (T, B, D), dh0, dWx, dWh, db.
    """
    T, h = len(xs), h0
    caches, ys = [], []
    for steps in windows(T, window):
        h_start = h  # [state of the window]
        h_prev = h_start
        for x in xs[steps]:
            {equation("R1")}
            z = x @ Wx + h_prev @ Wh + b
            {equation("R2")}
            h = np.tanh(z)
            caches.append((x, h_prev, z, h, Wx, Wh))
            ys.append(h)
            h_prev = h
    dxs, sums = [None] * T, dict.fromkeys(["dWx", "dWh", "db"], 0.0)
    # blank: from the last window to the first, and in each from its last step to its first
    dh_next = np.zeros(h0.shape)
    for steps in reversed(windows(T, window)):
        dh_next = np.zeros(h0.shape)  # [edge]
        for t in reversed(range(steps.start, steps.stop)):
            step = step_backward(dys[t], dh_next, caches[t])
            dxs[t] = step["dx"]
            sums = {{name: sums[name] + step[name] for name in sums}}  # [sum]
            dh_next = step["dh_prev"]  # [carry]
        # end
    dh0 = dh_next  # [initial state]
    return {{"ys": np.stack(ys), "dxs": np.stack(dxs), "dh0": dh0, **sums}}
'''
    return "\n\n".join([library(truncated.windows), _STEP, walk])


def _truncated_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, H = sizes.draw(rng)
    short = 3 if T % 3 else 4  # T is no multiple of it

    def case(T, window):
        given = {"xs": rng.standard_normal((T, B, D)), "dys": rng.standard_normal((T, B, H))}
        return {**given, "h0": rng.standard_normal((B, H)), "window": window, **weights(rng, D, H)._asdict()}

    return {"values": case(2 * short, short), "a short last window": case(T, short), "one window": case(short, T)}


# ---------------------------------------------------------------- lengths


def _masked_text() -> str:
    walk = f'''def masked(xs, dys, dh_T, lengths, h0, Wx, Wh, b):
    """The vanilla RNN over sequences of different lengths, forward and backward.

      xs       (T, B, D)  inputs; beyond a sequence's length anything, NaN too
      dys      (T, B, H)  gradient of the loss with respect to each output alone; there too
      dh_T     (B, H)     gradient with respect to the last state
      lengths  (B,)       integers from 0 to T
      h0       (B, H)     initial state
      Wx (D, H), Wh (H, H), b (H,)

    Beyond its length a sequence's state is frozen, so that h_T is the state after its last real step, and its outputs
    are zero. Nothing that the padding holds counts. Returns ys (T, B, H), h_T (B, H), dxs (T, B, D), dh0, dWx, dWh, db.
    """
    T = len(xs)
    mask = np.arange(T)[:, None] < lengths  # [mask]
    mask = mask[:, :, None]  # (T, B, 1)
    # Before any product: 0 * NaN is NaN.
    xs = np.where(mask, xs, 0)  # [padded inputs]
    dys = np.where(mask, dys, 0)  # [padded gradients]
    h, caches, ys = h0, [], []
    for t in range(T):
        {equation("R1")}
        z = xs[t] @ Wx + h @ Wh + b
        {equation("R2")}
        new = np.tanh(z)
        caches.append((xs[t], h, z, new, Wx, Wh))
        # The state after this step: of sequences that have ended, the one before it.
        h = np.where(mask[t], new, h)  # [freeze]
        y = np.where(mask[t], h, 0)  # [output]
        ys.append(y)
    h_T = h
    dxs, sums = [None] * T, dict.fromkeys(["dWx", "dWh", "db"], 0.0)
    dh_next = dh_T  # [final state]
    for t in reversed(range(T)):
        # What arrives at the state after step t has come through the step, or has gone past it.
        through = np.where(mask[t], dh_next, 0)  # [through]
        past = np.where(mask[t], 0, dh_next)  # [past]
        step = step_backward(dys[t], through, caches[t])
        dxs[t] = step["dx"]
        sums = {{name: sums[name] + step[name] for name in sums}}
        dh_next = step["dh_prev"] + past  # [carry]
    dh0 = dh_next
    return {{"ys": np.stack(ys), "h_T": h_T, "dxs": np.stack(dxs), "dh0": dh0, **sums}}
'''
    return "\n\n".join([_STEP, walk])


def _masked_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, H = sizes.draw(rng)

    def case(lengths, **padding):
        mask = (np.arange(T)[:, None] < lengths)[:, :, None]
        given = {"xs": rng.standard_normal((T, B, D)), "dys": rng.standard_normal((T, B, H))}
        given |= {name: np.where(mask, given[name], value) for name, value in padding.items()}
        rest = {"dh_T": rng.standard_normal((B, H)), "lengths": lengths, "h0": rng.standard_normal((B, H))}
        return {**given, **rest, **weights(rng, D, H)._asdict()}

    return {
        "values": case(np.full(B, T)),
        "lengths": case(sizes.lengths(rng, T, B)),
        "NaN in padded inputs": case(sizes.lengths(rng, T, B), xs=np.nan),
        "NaN in padded gradients": case(sizes.lengths(rng, T, B), dys=np.nan),
    }


EXERCISES = (
    Exercise(
        name="truncated_backward",
        title="Truncated backpropagation through time",
        task="A long sequence is walked through in windows: the state goes on from window to window, the gradient "
        "stops at each window's first step. Write the walk. Take your own step_backward if you have done that "
        "exercise.",
        difficulty=3,
        minutes=20,
        before=("rnn_backward",),
        equations="R1-R4, P1-P5",
        text=_truncated_text,
        function="truncated",
        cases=_truncated_cases,
        required=("ys", "dxs", "dh0", "dWx", "dWh", "db"),
        upstream=("dys",),
        walk="backward",
        over_time=("dxs",),
        hints=(
            "Which h does the first step of a window read? Which gradient arrives at its last step from the next "
            "window?",
            "Forward the windows change nothing: the outputs are those of one long sequence. Backward each window is "
            "a sequence of its own, after which nothing comes.",
            "h_prev = h at the start of a window; dh_next is zero at the end of each; inside of a window dh_next = "
            'step["dh_prev"]. The sums go on over all windows.',
        ),
        errors=_RIGHT,
        first_step="rnn_step_backward",
    ),
    Exercise(
        name="masked_backward",
        title="Sequences of different lengths, forward and backward",
        task="Sequences of one batch end at different steps. Beyond its length a sequence's state stands still: the "
        "step computes something, and it is thrown away. Write what this does to the way forward and to the way back. "
        "Take your own step_backward if you have done that exercise.",
        difficulty=4,
        minutes=30,
        before=("rnn_backward",),
        equations="R1-R4, P1-P5",
        text=_masked_text,
        function="masked",
        cases=_masked_cases,
        required=("ys", "h_T", "dxs", "dh0", "dWx", "dWh", "db"),
        upstream=("dys", "dh_T"),
        walk="backward",
        over_time=("ys", "dxs"),
        hints=(
            "h_t is the new state where the step is real and h_{t-1} where it is not. What is the gradient of each "
            "with respect to h_{t-1}?",
            "np.where(mask, a, b) forward becomes two gradients backward: into a where the mask is True, into b where "
            "it is False. What goes into b passes the step by.",
            "through = np.where(mask[t], dh_next, 0), past = np.where(mask[t], 0, dh_next), and "
            'dh_next = step["dh_prev"] + past.',
        ),
        errors=_RIGHT,
        first_step="rnn_step_backward",
    ),
)
