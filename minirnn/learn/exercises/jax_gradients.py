"""Exercises with JAX: a gradient of one's own, and a parallel scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import readable
from minirnn.equations import EQUATIONS
from minirnn.learn.exercises import traced
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.recurrent import weights
from minirnn.learn.formulas import python_line
from minirnn.learn.recurrent import LESSONS, step_backward_text
from minirnn.params import RNNParams

B, D, H = 3, 5, 4  # all different: an array that is turned round has another shape
LONG, CHAIN = 11, (8, 128)  # steps of the cases, and of the programs whose longest chain is measured
_SIZES: dict[str, int | tuple[int, ...]] = {"T": (LONG, *CHAIN), "B": B, "D": D, "H": H}
_RIGHT = "64-bit numbers agree to about 1e-15 (||yours - right|| / ||right||); checks compute in 64 bits."


# ---------------------------------------------------------------- a gradient of one's own


def _vjp_text() -> str:
    lines = step_backward_text(LESSONS["rnn"]).splitlines()
    backward = lines[next(k for k, line in enumerate(lines) if line.endswith("# R3")) + 1 :]
    backward = [line for line in backward if line and not line.lstrip().startswith(("return", '"'))]
    h = python_line("R1").split(" = ")[1]
    return "\n".join(
        [
            "# Tells JAX that this function will get a gradient of its own:",
            "@jax.custom_vjp  # [decorator]",
            "def step(x, h_prev, Wx, Wh, b):",
            '    """One step of the vanilla RNN: x (B, D), h_prev (B, H), Wx (D, H), Wh (H, H), b (H,) -> h (B, H)."""',
            "    return step_fwd(x, h_prev, Wx, Wh, b)[0]",
            "",
            "",
            "def step_fwd(x, h_prev, Wx, Wh, b):",
            '    """-> h (B, H), and the residuals: a tuple of whatever step_bwd will need."""',
            f"    # R1  {EQUATIONS['R1'].plain}",
            f"    # R2  {EQUATIONS['R2'].plain}, and here φ = tanh",
            f"    h = jnp.tanh({h})",
            "    residuals = x, h_prev, h, Wx, Wh  # [residuals]",
            "    return h, residuals",
            "",
            "",
            "def step_bwd(residuals, dh):",
            '    """dh (B, H) is all that arrives at h -> the gradients of all arguments of step, in their order."""',
            "    x, h_prev, h, Wx, Wh = residuals  # [unpacked]",
            *[traced.in_jax(line) for line in backward],
            "    return dx, dh_prev, dWx, dWh, db  # [gradients]",
            "",
            "",
            "# And this is where it gets it, from step_fwd and step_bwd:",
            "step.defvjp(step_fwd, step_bwd)  # [plug in]",
            "",
        ]
    )


_STEP_ARGUMENTS = ("x", "h_prev", "Wx", "Wh", "b")
_SCALES = np.array([1.0, 0.5, -1.0])  # the inputs of a walk over three steps are multiples of x


def _vjp_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    params = weights(LESSONS["rnn"], rng)
    given = {"x": rng.standard_normal((B, D)), "h_prev": rng.standard_normal((B, H)), **params._asdict()}
    return {"values": {**given, "dh": rng.standard_normal((B, H))}}


def _vjp_truth(given: dict[str, Any]) -> dict[str, np.ndarray]:
    params = RNNParams(*(given[name] for name in RNNParams._fields))
    h, _, cache = readable.rnn.step(params, given["x"], given["h_prev"])
    dparams, dx, dh_prev = readable.rnn.step_backward(given["dh"], None, cache)
    gradients = {f"d{name}": value for name, value in dparams._asdict().items()}
    xs = given["x"] * _SCALES[:, None, None]
    hs, _, cache = readable.rnn.forward(params, xs, given["h_prev"])
    summed, _, dh0 = readable.rnn.backward(np.zeros_like(hs), given["dh"], cache)
    walked = {"dh0 of a walk": dh0, "dWh of a walk": summed.Wh}
    return {"h": h, "dx": dx, "dh_prev": dh_prev, **gradients, **walked, **traced.all_well("own gradient")}


@traced.viewed(_SIZES)
def _vjp_view(names: Mapping[str, Any]) -> Callable[..., Any]:
    import jax

    function = names["step"]

    def gradients(dh: Any, *arguments: Any) -> Any:
        h, back = jax.vjp(function, *arguments)
        return h, back(dh), jax.grad(walk, argnums=(0, 1))(arguments[1], arguments[3], dh, *arguments)

    def walk(h0: Any, Wh: Any, dh: Any, x: Any, h_prev: Any, Wx: Any, _: Any, b: Any) -> Any:
        # Within a scan the forward and the backward function are traced apart: what is kept aside is lost.
        h_T, _ = jax.lax.scan(lambda h, scale: (function(scale * x, h, Wx, Wh, b), None), h0, _SCALES)
        return (h_T * dh).sum()

    def tried(dh: np.ndarray, **given: Any) -> Any:
        ordered = {name: given[name] for name in _STEP_ARGUMENTS}
        abstract = [traced.abstract(each.shape) for each in ordered.values()]
        own = any(name.startswith("custom_vjp") for name in traced.names(traced.trace(function, *abstract)))
        traced.lower(gradients, traced.abstract(dh.shape), *abstract)
        with traced.eager():
            h, made, (dh0, dWh) = gradients(*traced.arrays({"dh": dh, **ordered}).values())
        found = dict(zip([f"d{name}" for name in _STEP_ARGUMENTS], made, strict=True))
        return {"h": h, **found, "dh0 of a walk": dh0, "dWh of a walk": dWh, "own gradient": float(own)}

    return tried


_VJP = Exercise(
    name="jax_custom_vjp",
    title="JAX: a backward step of your own inside jax.grad",
    task="Plug a hand-written backward step into JAX: decorate step, choose what step_fwd keeps for step_bwd (the "
    "residuals), write step_bwd, and join the three with defvjp. JAX believes whatever step_bwd returns; nothing but a "
    "check finds out that it is wrong. jax.grad, vjp and their like are not allowed in the answer: you derive.",
    difficulty=3,
    minutes=25,
    before=("rnn_step_backward", "tutorial 16"),
    equations="R1-R4, P1-P5",
    text=_vjp_text,
    function="step",
    cases=_vjp_cases,
    required=("h", "dx", "dh_prev", "dWx", "dWh", "db"),
    hints=(
        "What do the gradients of z = x Wx + h_prev Wh + b need? That has to be kept; z itself is not among it.",
        "step_bwd gets the residuals first and the gradient of h second. It returns a gradient for each argument.",
        "The slope of tanh is 1 - h**2. dh_prev = dz @ Wh.T, dWh = h_prev.T @ dz, and so on; return dx, dh_prev, dWx, "
        "dWh, db. Then: @jax.custom_vjp above step, and step.defvjp(step_fwd, step_bwd) below.",
    ),
    errors=_RIGHT,
    imports=("jax",),
    truth=_vjp_truth,
    library=traced.library,
    view=_vjp_view,
    traits={
        "own gradient": "JAX derives the gradient of step, your step_bwd is never called: jax.custom_vjp and defvjp "
        "are needed"
    },
)


# ---------------------------------------------------------------- a parallel scan

_JOIN_TEXT = f'''def combine(first, second):
    """Two steps, one after the other, as one step.

    A step is a pair (a, u) of arrays: it makes a * h + u of h. ``first`` is the earlier one.
    """
    (a1, u1), (a2, u2) = first, second
    # second of first of h:
    a = a1 * a2  # [a]
    u = a2 * u1 + u2  # [u]
    return a, u


def recurrence(a, u, h0, dys):
    """A linear recurrence, and its gradient, without a loop over time.

      a, u  (T, B, H)  of the steps 1 to T
      h0    (B, H)     state before the first step
      dys   (T, B, H)  gradient of the loss with respect to each h_t as an output alone

    Returns hs (T, B, H), all states; dhs (T, B, H), the gradient with respect to each h_t; and dh0 (B, H).
    """
    # H1  {EQUATIONS["H1"].plain}
    # As[t], us[t]: the steps up to t as one.
    As, us = lax.associative_scan(combine, (a, u))  # [scan]
    hs = As * h0 + us  # H1
    # h_t is an output, and it enters the next step. Backward that is a linear recurrence as well: with which a?
    a_next = jnp.concatenate([a[1:], jnp.ones_like(a[:1])])  # [a of the step after]
    _, dhs = lax.associative_scan(combine, (a_next, dys), reverse=True)  # [reverse]
    dh0 = a[0] * dhs[0]  # H5
    return {{"hs": hs, "dhs": dhs, "dh0": dh0}}
'''


def _join_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    def given() -> dict[str, Any]:
        a, u, dys = rng.uniform(0.2, 1.2, (LONG, B, H)), *rng.standard_normal((2, LONG, B, H))
        return {"a": a, "u": u, "h0": rng.standard_normal((B, H)), "dys": dys}

    closed = given()
    closed["a"] *= rng.random((LONG, B, H)) < 0.7  # who divides by a product of a finds NaN
    return {"values": given(), "closed gates": closed}


class _Coefficients(NamedTuple):
    """Weights that hand a and u through, so that the library's linear recurrence takes any."""

    Wx: np.ndarray
    b: np.ndarray


def _join_truth(given: dict[str, Any]) -> dict[str, np.ndarray]:
    cell = readable.linear.Cell(
        coefficients=lambda zx: (*np.split(zx, 2, axis=-1), ()),
        coefficients_backward=lambda da, du, a, gates: (np.concatenate([da, du], axis=-1), ()),
        gates=tuple,
        blocks=2,
    )
    both: Any = _Coefficients(np.eye(2 * H), np.zeros(2 * H))
    xs = np.concatenate([given["a"], given["u"]], axis=-1)
    hs, _, cache = readable.linear.forward(cell, both, xs, given["h0"])
    _, dxs, dh0 = readable.linear.backward(given["dys"], None, cache)
    joined_a, joined_u = given["a"][0] * given["a"][1], given["a"][1] * given["u"][0] + given["u"][1]
    return {
        "hs": hs,
        "dhs": dxs[..., H:],  # du = dh (H4)
        "dh0": dh0,
        "joined a": joined_a,
        "joined u": joined_u,
        **traced.all_well("associative", "log depth"),
    }


def _associative(combine: Callable[..., Any]) -> bool:
    """Whether steps may be joined in any grouping, tried on random ones."""
    p, q, r = (tuple(pair) for pair in np.random.default_rng(0).uniform(0.5, 1.5, (3, 2, B, H)))
    one, other = combine(combine(p, q), r), combine(p, combine(q, r))
    return all(np.allclose(a, b, rtol=1e-9) for a, b in zip(one, other, strict=True))


@traced.viewed(_SIZES)
def _join_view(names: Mapping[str, Any]) -> Callable[..., Any]:
    function, combine, seen = names["recurrence"], names.get("combine"), dict[str, float]()

    def program(length: int) -> Any:
        sizes = [(length, B, H), (length, B, H), (B, H), (length, B, H)]
        run = lambda *a: function(**dict(zip(("a", "u", "h0", "dys"), a)))  # noqa: E731
        return traced.trace(run, *(traced.abstract(size) for size in sizes))

    def tried(**given: Any) -> Any:
        if not callable(combine):
            raise TypeError("expected a function combine(first, second), and there is none")
        if "log depth" not in seen:
            short, long = map(program, CHAIN)
            # Three rounds against seven: a chain that grows with T would be sixteen times as long. How often a while
            # loop turns, nobody knows beforehand.
            seen["log depth"] = float(
                traced.depth(long) <= 6 * traced.depth(short) and "while" not in traced.names(long)
            )
        with traced.eager():
            arrays = traced.arrays(given)
            answer = function(**arrays)
            if not isinstance(answer, Mapping):
                return answer
            joined = combine((arrays["a"][0], arrays["u"][0]), (arrays["a"][1], arrays["u"][1]))
            pair = zip(("joined a", "joined u"), joined) if isinstance(joined, tuple) and len(joined) == 2 else ()
            if "associative" not in seen:
                seen["associative"] = float(_associative(combine))
        return {**answer, **dict(pair), **seen}

    return tried


_JOIN = Exercise(
    name="jax_associative_scan",
    title="JAX: a linear recurrence without a loop, by lax.associative_scan",
    task="Each step of a linear recurrence is h -> a h + u. Two of them, one after the other, are again such a step: "
    "write combine, which joins two. lax.associative_scan then joins all of them in about log2(T) rounds. The gradient "
    "obeys a recurrence of the same kind, from the last step to the first: write that as well, with the same combine.",
    difficulty=4,
    minutes=30,
    before=("jax_scan", "tutorial 17"),
    equations="H1-H5",
    text=lambda: _JOIN_TEXT,
    function="recurrence",
    cases=_join_cases,
    required=("hs", "dhs", "dh0"),
    hints=(
        "Put a1 h + u1 into a2 h + u2 and sort: what multiplies h, and what does not?",
        "The scan gives, for each t, the steps 1 to t as one step (A, U). What is left to do is to apply it to h0.",
        "Backward: dh_t = dy_t + a_{t+1} dh_{t+1}. So the steps are (a_{t+1}, dy_t), joined with reverse=True; nothing "
        "arrives after the last step, and its a does not matter.",
    ),
    errors=_RIGHT,
    imports=("jax",),
    truth=_join_truth,
    library=traced.library,
    view=_join_view,
    traits={
        "associative": "combine is not associative: (p, q), r joined gives another step than p, (q, r), so the result "
        "depends on how steps are paired",
        "log depth": "the longest chain of operations grows with T: some loop goes step by step, not in parallel",
    },
)

EXERCISES = (_VJP, _JOIN)
