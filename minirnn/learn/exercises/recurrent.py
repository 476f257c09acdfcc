"""The exercises of the four cells: one step forward, one step backward, and back through time."""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

import numpy as np

from minirnn import readable
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.sizes import draw
from minirnn.learn.recurrent import LESSONS, Lesson, backward_text, step_backward_text, step_text
from minirnn.params import map_state

_RIGHT = "float64 arrays agree to about 1e-15 (||yours - right|| / ||right||); 1e-7 if you compute in float32."


@functools.cache
def cache_type(cell: str) -> Any:
    """The named tuple that one backward step is given."""
    return namedtuple("Cache", LESSONS[cell].cache)


def weights(lesson: Lesson, rng: np.random.Generator, input_size: int = 5, hidden_size: int = 4) -> Any:
    """Random weights: nothing is zero, since a bias of zero hides a mistake."""
    params = getattr(readable, lesson.module).init(rng, input_size, hidden_size, np.float64)
    return type(params)(*(rng.standard_normal(np.shape(a)) * (0.6 if np.ndim(a) == 2 else 1.0) for a in params))


def run(lesson: Lesson, params: Any, xs: np.ndarray, state: Any):
    """The library's forward pass -> ys, and the cache of every step under the lesson's names."""
    ys, _, cache = getattr(readable, lesson.module).forward(params, xs, state)
    made = []
    width = params.Wh.shape[0]
    for t in range(len(xs)):
        before = cache.states[t]
        names = {"x": xs[t], "h": ys[t], **params._asdict(), **cache.gates[t]._asdict()}
        names |= {f"{part}_prev": getattr(before, part, before) for part in lesson.state}
        names["Wh_rz"], names["Wh_n"] = params.Wh[:, :-width], params.Wh[:, -width:]
        if lesson.module == "rnn":
            names["z"] = xs[t] @ params.Wx + names["h_prev"] @ params.Wh + params.b
        if lesson.module == "gru":
            names["zh_n"] = names["h_prev"] @ names["Wh_n"]
        if lesson.module == "gru_reset_before":
            names["u"] = names["r"] * names["h_prev"]
        made.append(cache_type(lesson.module)(*(names[name] for name in lesson.cache)))
    return ys, made


def _state(lesson: Lesson, params: Any, B: int, rng: np.random.Generator) -> Any:
    like = getattr(readable, lesson.module).initial_state(params, B)
    return map_state(lambda a: rng.standard_normal(a.shape), like)


def _step_cases(lesson: Lesson, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    _, B, D, H = draw(rng)
    params = weights(lesson, rng, D, H)
    state = _state(lesson, params, B, rng)
    given = {f"{part}_prev": getattr(state, part, state) for part in lesson.state}
    return {"values": {"x": rng.standard_normal((B, D)), **given, **params._asdict()}}


def _step_backward_cases(lesson: Lesson, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    _, B, D, H = draw(rng)
    params = weights(lesson, rng, D, H)
    _, caches = run(lesson, params, rng.standard_normal((1, B, D)), _state(lesson, params, B, rng))
    arrives = {f"d{part}_next": rng.standard_normal((B, H)) for part in lesson.state}
    return {"values": {"dy": rng.standard_normal((B, H)), **arrives, "cache": caches[0]}}


def _backward_cases(lesson: Lesson, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    T, B, D, H = draw(rng)
    params = weights(lesson, rng, D, H)
    _, caches = run(lesson, params, rng.standard_normal((T, B, D)), _state(lesson, params, B, rng))
    last = {f"d{part}_T": rng.standard_normal((B, H)) for part in lesson.state}
    return {"sequence": {"dys": rng.standard_normal((T, B, H)), **last, "caches": caches}}


_STEP = (
    "Write one step forward. Every line has its equation above it; W and b hold the blocks of all gates side by side."
)
_STEP_BACKWARD = (
    "Write one step backward. Above each group of lines stands the forward equation that they differentiate; the names "
    "of what is asked for tell you with respect to what. Return every gradient by name: the more of them you return, "
    "the more precisely a mistake can be told."
)
_BACKWARD = (
    "Walk from the last step to the first. What a step returns for the state before it is what arrives at the step "
    "before. Take your own step_backward if you have done that exercise. Return the gradients of the inputs, of the "
    "initial state and of the weights."
)


def _three(
    cell: str, difficulty: tuple[int, int, int], minutes: tuple[int, int, int], hints, after: str
) -> list[Exercise]:
    lesson = LESSONS[cell]
    dstate = tuple(f"d{part}_prev" for part in lesson.state)
    span = lesson.forward
    step, back, walk = f"{cell}_step", f"{cell}_step_backward", f"{cell}_backward"
    gates = {"rnn": "h", "lstm": "i f g o c h", "gru": "r z n h", "gru_reset_before": "r z u n h"}[cell]
    common: dict[str, Any] = {"errors": _RIGHT}
    return [
        Exercise(
            name=step,
            title=f"{lesson.title[0].upper()}{lesson.title[1:]}: one step forward",
            task=_STEP,
            difficulty=difficulty[0],
            minutes=minutes[0],
            before=("NumPy", after) if after else ("NumPy",),
            equations=span,
            text=functools.partial(step_text, lesson),
            function="step",
            cases=functools.partial(_step_cases, lesson),
            required=tuple(gates.split()),
            hints=hints[0],
            needs_sigmoid=cell != "rnn",
            **common,
        ),
        Exercise(
            name=back,
            title=f"{lesson.title[0].upper()}{lesson.title[1:]}: one step backward",
            task=_STEP_BACKWARD,
            difficulty=difficulty[1],
            minutes=minutes[1],
            before=("the chain rule", step),
            equations=f"{span}, {lesson.backward}",
            text=functools.partial(step_backward_text, lesson),
            function="step_backward",
            cases=functools.partial(_step_backward_cases, lesson),
            required=("dx", *dstate, *lesson.gradients),
            upstream=("dy", *(f"d{part}_next" for part in lesson.state)),
            hints=hints[1],
            needs_sigmoid=cell != "rnn",
            **common,
        ),
        Exercise(
            name=walk,
            title=f"{lesson.title[0].upper()}{lesson.title[1:]}: back through time",
            task=_BACKWARD,
            difficulty=difficulty[2],
            minutes=minutes[2],
            before=(back,),
            equations=f"{span}, {lesson.backward}",
            text=functools.partial(backward_text, lesson),
            function="backward",
            cases=functools.partial(_backward_cases, lesson),
            required=("dxs", *(f"d{part}0" for part in lesson.state), *lesson.gradients),
            upstream=("dys", *(f"d{part}_T" for part in lesson.state)),
            walk="backward",
            over_time=("dxs",),
            hints=hints[2],
            needs_sigmoid=cell != "rnn",
            first_step=back,
            **common,
        ),
    ]


_WALK_HINTS = (
    "Which gradient arrives at the last step from a step after it? It is an argument of the function.",
    "Three things happen at every step: the gradients of the weights are added up, dx is kept, and what belongs to the "
    "state before becomes what arrives next.",
    "for t in reversed(range(T)): call step_backward with dys[t] and what is carried; after the loop, what is carried "
    "is the gradient of the initial state.",
)
EXERCISES = (
    *_three(
        "rnn",
        (1, 2, 2),
        (5, 15, 15),
        (
            (
                "Vectors are rows: a product is written x @ Wx, with the weights on the right.",
                "z has three terms: from x, from the state before, and the bias.",
                "h is the tanh of z, elementwise: np.tanh.",
            ),
            (
                "Take the equations in the opposite order: first what arrives at h, then z, then all that z reads.",
                "The slope of tanh can be written with its output: with h = tanh(z), dh/dz = 1 - h².",
                "For z = x @ Wx: dx = dz @ Wx.T and dWx = x.T @ dz. The shapes leave no other way. b is added to every "
                "row: its gradient is the sum over the rows.",
            ),
            _WALK_HINTS,
        ),
        "",
    ),
    *_three(
        "lstm",
        (2, 3, 4),
        (10, 30, 30),
        (
            (
                "All four gates come out of one product: z is (B, 4H), and its blocks are i, f, g, o, in this order.",
                "Three of the gates are shares between 0 and 1, the candidate g lies between -1 and 1.",
                "The memory keeps f of the old and takes i of the new; h shows o of its tanh.",
            ),
            (
                "c_t reaches the loss on two ways: through h_t, and through c_{t+1}. Which argument brings the second?",
                "In a product such as f * c_prev, each factor is multiplied by the other one to get its gradient.",
                "The slope of sigma is i * (1 - i), that of tanh is 1 - g**2, both written with the outputs that you "
                "are given. The blocks of dz stand in the order of z.",
            ),
            (_WALK_HINTS[0], _WALK_HINTS[1], _WALK_HINTS[2] + " Carry both: dh_next and dc_next."),
        ),
        "rnn_step",
    ),
    *_three(
        "gru",
        (2, 3, 4),
        (10, 30, 20),
        (
            (
                "zx comes from x and holds the bias; zh comes from h_prev, without one. Both have the blocks r, z, n.",
                "r multiplies the bracket of zh_n and b_hn, not zh_n alone.",
                "z = 1 takes all of the new, z = 0 keeps all of the old.",
            ),
            (
                "z stands twice in h = (1 - z) h_prev + z n: its gradient has two terms, with opposite signs.",
                "Inside of the tanh of n stand zx_n and r * (zh_n + b_hn): three gradients come out of one.",
                "h_prev has two ways into h: directly through 1 - z, and through all three blocks of zh = h_prev @ Wh.",
            ),
            _WALK_HINTS,
        ),
        "rnn_step",
    ),
    *_three(
        "gru_reset_before",
        (3, 4, 4),
        (10, 30, 20),
        (
            (
                "Wh has three blocks; the first two multiply h_prev, the last one multiplies u.",
                "u is what the reset gate leaves of h_prev.",
                "The candidate waits for r: two products one after the other.",
            ),
            (
                "u is one more station: from dz_n through Wh_n to du, and from there to r and to h_prev.",
                "h_prev has three ways into h: through 1 - z, through u, and through r and z.",
                "dWh has two parts: h_prev.T @ ... for the blocks r and z, u.T @ ... for the candidate's.",
            ),
            _WALK_HINTS,
        ),
        "gru_step",
    ),
)
