"""The exercises about what connects walks: attention, and two directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import readable
from minirnn.learn.exercises import sizes
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.lengths import equation, library, weights
from minirnn.params import RNNParams
from minirnn.readable import recurrent

_RIGHT = "float64 arrays agree to about 1e-15 (||yours - right|| / ||right||); 1e-7 if you compute in float32."


# ---------------------------------------------------------------- attention

_ATTENTION = f'''def attention_backward(q, k, v, mask, dcontext, dweights):
    """Dot-product attention of T queries over S keys, forward and backward.

      q         (T, B, K)  queries
      k         (S, B, K)  keys; on padding anything, NaN too
      v         (S, B, V)  values; on padding anything, NaN too
      mask      (S, B)     True on real keys; a sequence may have none: its weights and contexts are zero
      dcontext  (T, B, V)  gradient of the loss with respect to the contexts c
      dweights  (T, B, S)  gradient of the loss with respect to the weights a, apart from what reaches them through c:
                           da^out in A7

    Returns e, a (T, B, S), c (T, B, V), and the gradients da, dv, de, dq, dk by name. The numbered equations are those
    of one query and one sequence; np.einsum with the letters t, s, b, k, v does all at once.
    """
    real = mask.T[None]  # (1, B, S)
    # Before any product: 0 * NaN is NaN.
    k = np.where(mask[:, :, None], k, 0)  # [padded keys]
    v = np.where(mask[:, :, None], v, 0)  # [padded values]
    {equation("A1")}
    e = np.einsum("tbk,sbk->tbs", q, k) / k.shape[-1] ** 0.5  # A1
    # Zero for keys that are not real.
    exponentials = np.where(real, np.exp(e), 0)  # [mask]
    total = exponentials.sum(axis=-1, keepdims=True)  # [total]
    {equation("A5")}
    a = exponentials / np.where(total == 0, 1, total)  # A5
    {equation("A6")}
    c = np.einsum("tbs,sbv->tbv", a, v)  # A6
    # Backward. A6: into a (and what arrives there from elsewhere) and v. A padded weight is no variable: it is zero.
    da = np.where(real, np.einsum("tbv,sbv->tbs", dcontext, v) + dweights, 0)  # A7
    dv = np.einsum("tbs,tbv->sbv", a, dcontext)  # A8
    {equation("A5")}
    de = a * (da - (a * da).sum(axis=-1, keepdims=True))  # A9
    {equation("A1")}
    dq = np.einsum("tbs,sbk->tbk", de, k) / k.shape[-1] ** 0.5  # A10
    dk = np.einsum("tbs,tbk->sbk", de, q) / k.shape[-1] ** 0.5  # A11
    return {{"e": e, "a": a, "c": c, "da": da, "dv": dv, "de": de, "dq": dq, "dk": dk}}
'''


def _attention_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, S, Q = sizes.draw(rng)  # queries, batch, keys, size of a key
    V = Q + T  # size of a value

    def case(lengths, padding=None):
        mask = np.arange(S)[:, None] < lengths
        k, v = rng.standard_normal((S, B, Q)), rng.standard_normal((S, B, V))
        if padding is not None:
            k, v = (np.where(mask[:, :, None], array, padding) for array in (k, v))
        upstream = {"dcontext": rng.standard_normal((T, B, V)), "dweights": rng.standard_normal((T, B, S))}
        return {"q": rng.standard_normal((T, B, Q)), "k": k, "v": v, "mask": mask, **upstream}

    return {
        "values": case(np.full(B, S)),
        "masks": case(sizes.lengths(rng, S, B)),
        "NaN on padding": case(sizes.lengths(rng, S, B), np.nan),
    }


# ---------------------------------------------------------------- two directions


class Direction(NamedTuple):
    """One direction's walk, handed to the student as two functions."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


def direction(params: RNNParams) -> Direction:
    """A vanilla RNN with these weights, as two functions."""

    def forward(xs, lengths):
        return readable.rnn.forward(params, xs, None, lengths)

    def backward(dys, dh_T, cache):
        dparams, dxs, _ = readable.rnn.backward(dys, dh_T, cache)
        return {"dxs": dxs, **{f"d{name}": array for name, array in dparams._asdict().items()}}

    return Direction(forward, backward)


def _bidirectional_text() -> str:
    reverse = library(recurrent.reverse, {"return xs[np.where(": "[reverse]"})
    return f'''{reverse}

def bidirectional(xs, lengths, dys, dh_first, dh_second, first, second):
    """Two directions over sequences of different lengths, forward and backward.

      xs         (T, B, D)   inputs
      lengths    (B,)        integers from 0 to T
      dys        (T, B, 2H)  gradient of the loss with respect to the outputs
      dh_first   (B, H)      gradient with respect to the last state of the first direction
      dh_second  (B, H)      and of the second one: the state that has read the whole sequence backward
      first, second          one direction each, with two functions:
                             forward(xs, lengths) -> ys (T, B, H), h_T (B, H), cache
                             backward(dys, dh_T, cache) -> a dictionary with dxs, dWx, dWh, db

    The second direction reads each sequence from its last real step to its first. Its output at step t stands beside
    that of the first direction at step t, in the last H columns. Returns ys (T, B, 2H), h_first and h_second (B, H),
    dxs (T, B, D), dWx_first, dWh_first, dWx_second, dWh_second.
    """
    ys_first, h_first, cache_first = first.forward(xs, lengths)
    xs_second = reverse(xs, lengths)  # [read]
    ys_second, h_second, cache_second = second.forward(xs_second, lengths)
    ys = np.concatenate([ys_first, reverse(ys_second, lengths)], axis=-1)  # [outputs]
    dys_first, dys_second = np.split(dys, 2, axis=-1)  # [split]
    back_first = first.backward(dys_first, dh_first, cache_first)  # [back through the first]
    back_second = second.backward(reverse(dys_second, lengths), dh_second, cache_second)  # [back through the second]
    dxs = back_first["dxs"] + reverse(back_second["dxs"], lengths)  # [inputs]
    weights = {{
        f"{{name}}_{{which}}": back[name]
        for which, back in (("first", back_first), ("second", back_second))
        for name in ("dWx", "dWh")
    }}
    return {{"ys": ys, "h_first": h_first, "h_second": h_second, "dxs": dxs, **weights}}
'''


def _bidirectional_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, H = sizes.draw(rng)

    def case(lengths):
        states = {name: rng.standard_normal((B, H)) for name in ("dh_first", "dh_second")}
        xs, dys = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, 2 * H))
        walks = {"first": direction(weights(rng, D, H)), "second": direction(weights(rng, D, H))}
        return {"xs": xs, "lengths": lengths, "dys": dys, **states, **walks}

    return {"values": case(np.full(B, T)), "lengths": case(sizes.lengths(rng, T, B))}


EXERCISES = (
    Exercise(
        name="attention_backward",
        title="Attention, forward and backward",
        task="Write dot-product attention with a mask, and its gradients. Every line has above it the equation that it "
        "computes, or the one that it differentiates.",
        difficulty=4,
        minutes=40,
        before=("softmax_cross_entropy", "np.einsum"),
        equations="A1, A5-A11",
        text=lambda: _ATTENTION,
        function="attention_backward",
        cases=_attention_cases,
        required=("c", "dq", "dk", "dv"),
        upstream=("dcontext", "dweights"),
        hints=(
            "Shapes lead: dv has to be (S, B, V), and of what is at hand a is (T, B, S) and dcontext is (T, B, V).",
            "The weights of one query add up to one: if one grows, all others shrink. So the softmax has two terms "
            "backward, and what all weights receive alike changes nothing.",
            "de = a * (da - sum(a * da)), the sum over the keys. Both q and k stand in e, and both are divided by the "
            "root of K.",
        ),
        errors=_RIGHT,
    ),
    Exercise(
        name="bidirectional_backward",
        title="Two directions, forward and backward",
        task="One network reads each sequence forward, another one backward. Both walks are given as functions; write "
        "what goes in, what comes out and what comes back. Sequences have different lengths: the second direction "
        "begins at each sequence's own last step, and the padding stays at the end.",
        difficulty=3,
        minutes=25,
        before=("masked_backward",),
        equations="",
        text=_bidirectional_text,
        function="bidirectional",
        cases=_bidirectional_cases,
        required=("ys", "h_first", "h_second", "dxs", "dWx_first", "dWh_first", "dWx_second", "dWh_second"),
        upstream=("dys", "dh_first", "dh_second"),
        walk="backward",
        over_time=("ys", "dxs"),
        hints=(
            "xs[::-1] puts the padding first. Within a length N, step t becomes step N - 1 - t.",
            "Whatever goes into the second direction or comes out of it along time is turned round: inputs, outputs, "
            "the gradients of the outputs, those of the inputs.",
            "x_t is read by both directions: its gradient is that of the first plus reverse(that of the second, "
            "lengths).",
        ),
        errors=_RIGHT,
    ),
)
