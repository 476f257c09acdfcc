"""Exercises with JAX: a scan over time, and a map over networks.

The numbers are judged by the NumPy half, in 64 bits whatever JAX is set to: a mistake of 1e-6 is then told from
rounding, and the setting holds for the length of a call only. How an answer goes about it (is there a Python loop? who
derives?) is read off the traced program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirnn import random, readable
from minirnn.learn.exercises import traced
from minirnn.learn.exercises.exercise import Exercise
from minirnn.learn.exercises.recurrent import weights
from minirnn.learn.recurrent import LESSONS, step_text
from minirnn.params import RNNParams

T, B, D, H, N = 6, 3, 5, 4, 2  # all different: an array that is turned round has another shape
_TRACED, _COUNTS = (7, 11), (2, 3)  # numbers of steps, and of networks, with which programs are traced
_SIZES: dict[str, int | tuple[int, ...]] = {"T": (T, *_TRACED), "B": B, "D": D, "H": H, "3H": 3 * H}
_RIGHT = "64-bit numbers agree to about 1e-15 (||yours - right|| / ||right||); checks compute in 64 bits."


# ---------------------------------------------------------------- a scan over time


def _scan_text() -> str:
    lines = step_text(LESSONS["gru"]).splitlines()
    body = [line for line in lines[lines.index('    """', 2) + 1 :] if not line.strip().startswith(("#", "return"))]
    # Numbers in brackets are no labels: these lines are given.
    given = [traced.in_jax(re.sub(r"# ([A-Z]\d+)$", r"# (\1)", line)) for line in body]
    return "\n".join(
        [
            "def step(h_prev, x, Wx, Wh, b, b_hn):",
            '    """One step of the GRU: h_prev (B, H), x (B, D) -> h (B, H)."""',
            *given,
            "    return h",
            "",
            "",
            "# What compiles the function below?",
            "@jax.jit  # [jit]",
            "def forward(xs, h0, Wx, Wh, b, b_hn):",
            '    """The GRU over whole sequences.',
            "",
            "      xs    (T, B, D)  inputs, time first",
            "      h0    (B, H)     state before the first step",
            "      Wx    (D, 3H)    Wh (H, 3H), b (3H,), b_hn (H,): weights, blocks r, z, n",
            "",
            "    Returns hs (T, B, H), the state after every step, and h_T (B, H), that after the last one.",
            '    """',
            "",
            "    def one_step(h_prev, x):",
            "        h = step(h_prev, x, Wx, Wh, b, b_hn)  # [step]",
            "        # What the next step gets, and what is kept of this one:",
            "        return h, h  # [carry and output]",
            "",
            "    # lax.scan walks along the first axis:",
            "    h_T, hs = lax.scan(one_step, h0, xs)  # [scan]",
            '    return {"hs": hs, "h_T": h_T}',
            "",
        ]
    )


def _scan_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    params = weights(LESSONS["gru"], rng)
    given = {"xs": rng.standard_normal((T, B, D)), "h0": rng.standard_normal((B, H))}
    return {"values": {**given, **params._asdict()}}


def _scan_truth(given: dict[str, Any]) -> dict[str, np.ndarray]:
    params = readable.gru.init(0, D, H)._replace(**{name: given[name] for name in LESSONS["gru"].weights})
    hs, h_T, _ = readable.gru.forward(params, given["xs"], given["h0"])
    return {"hs": hs, "h_T": h_T, **traced.all_well("one loop", "compiled", "dtype")}


def _scan_program(function: Callable[..., Any], length: int, dtype: str = "float64") -> tuple[Callable, list[Any]]:
    names = ("xs", "h0", "Wx", "Wh", "b", "b_hn")
    sizes = ((length, B, D), (B, H), (D, 3 * H), (H, 3 * H), (3 * H,), (H,))
    return (lambda *a: function(**dict(zip(names, a)))), [traced.abstract(size, dtype) for size in sizes]


def _scan_traits(function: Callable[..., Any]) -> dict[str, float]:
    short, long = (traced.trace(*_flat(_scan_program(function, length))) for length in _TRACED)
    heavy = {"dot_general", *traced.LOOPS}
    dtypes = []
    for dtype in ("float32", "float64"):
        made = traced.shapes(*_flat(_scan_program(function, _TRACED[0], dtype)))
        dtypes += [each.dtype == dtype for each in (made.values() if isinstance(made, Mapping) else made)]
    return {
        "one loop": float(traced.operations(short) == traced.operations(long)),
        "compiled": float(not traced.outside_of_jit(short) & heavy),
        "dtype": float(all(dtypes)),
    }


def _flat(program: tuple[Callable, list[Any]]) -> tuple[Any, ...]:
    function, arguments = program
    return (function, *arguments)


@traced.viewed(_SIZES)
def _scan_view(names: Mapping[str, Any]) -> Callable[..., Any]:
    function, seen = names["forward"], dict[str, float]()

    def tried(**given: Any) -> Any:
        seen.update(seen or _scan_traits(function))  # first, so that JAX says what it would say of compiled code
        with traced.eager():
            answer = function(**traced.arrays(given))
        return {**answer, **seen} if isinstance(answer, Mapping) else answer

    return tried


_ONE_LOOP = "the program grows with {}: a Python loop is written out turn by turn, and compiles ever longer"
_SCAN = Exercise(
    name="jax_scan",
    title="JAX: a loop over time as lax.scan",
    task="The step is given; the loop over time is yours. Write it with lax.scan, so that the compiled program is of "
    "one size for any number of steps, and compile it. Time is the first axis of xs. Returned are all states and the "
    "last one.",
    difficulty=2,
    minutes=15,
    before=("gru_step", "tutorial 08"),
    equations="G1-G5",
    text=_scan_text,
    function="forward",
    cases=_scan_cases,
    required=("hs", "h_T"),
    hints=(
        "A scan needs a function of two arguments: what a step hands to the next (the carry), and its inputs.",
        "It returns two things as well: the new carry, and what is to be kept of this step. Here both are h.",
        "lax.scan(one_step, h0, xs) returns the last carry and everything that was kept, stacked along time; "
        "@jax.jit above the function compiles it.",
    ),
    errors=_RIGHT,
    imports=("jax",),
    points={"one loop": 3, "compiled": 1, "dtype": 1},
    truth=_scan_truth,
    library=traced.library,
    view=_scan_view,
    traits={
        "one loop": _ONE_LOOP.format("the number of steps"),
        "compiled": "products or loops stand outside of any jit: compile forward as a whole, with jax.jit",
        "dtype": "32-bit numbers in have to give 32-bit numbers out, and 64-bit ones 64-bit ones: a dtype is fixed "
        "somewhere",
    },
)


# ---------------------------------------------------------------- a map over networks

_VMAP_TEXT = '''def initial(key, D, H):
    """Random weights of one network: one draw, since a key is good for one."""
    drawn = (jax.random.uniform(key, (D + H + 1, H), jnp.float32) - 0.5).astype(float)
    return {"Wx": drawn[:D], "Wh": drawn[D:-1], "b": drawn[-1]}


def noisy(key, xs):
    """The inputs with some noise."""
    return xs + (jax.random.uniform(key, xs.shape, jnp.float32) - 0.5)


def loss(weights, x, target):
    """Of one network and one sequence: x (T, D), target (H,) -> how far its last state is from the target."""

    def one_step(h, x_t):
        return jnp.tanh(x_t @ weights["Wx"] + h @ weights["Wh"] + weights["b"]), None

    h_T, _ = lax.scan(one_step, jnp.zeros(target.shape), x)
    return jnp.mean((h_T - target) ** 2)


def ensemble(key, xs, targets, count):
    """The loss, and its gradient, of every network of an ensemble on every sequence.

      key      a key of jax.random
      xs       (T, B, D)  inputs, time first
      targets  (B, H)
      count    N, the number of networks

    The key is split into (2, N): the first row of keys is for the weights of the N networks, the second one for the
    noise of their inputs. Returns losses (N, B), dWx (N, B, D, H), dWh (N, B, H, H) and db (N, B, H).
    """
    D, H = xs.shape[-1], targets.shape[-1]
    weight_keys, noise_keys = jax.random.split(key, (2, count))  # [keys]
    # Of all networks, N in front:
    weights = jax.vmap(lambda key: initial(key, D, H))(weight_keys)  # [weights]
    noise = jax.vmap(noisy, in_axes=(0, None))(noise_keys, xs)  # [noise]
    # Loss and gradient of one network on every sequence, and then of every network:
    by_sequence = jax.vmap(jax.value_and_grad(loss), in_axes=(None, 1, 0))  # [sequences]
    losses, gradients = jax.vmap(by_sequence, in_axes=(0, 0, None))(weights, noise, targets)  # [members]
    return {"losses": losses, "dWx": gradients["Wx"], "dWh": gradients["Wh"], "db": gradients["b"]}
'''


def _vmap_cases(rng: np.random.Generator) -> dict[str, dict[str, Any]]:
    key = np.array([0, rng.integers(1 << 31)], np.uint32)
    xs, targets = rng.standard_normal((T, B, D)), rng.uniform(-1, 1, (B, H))
    return {"values": {"key": key, "xs": xs, "targets": targets, "count": N}}


def _uniform(key: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``jax.random.uniform`` in 32 bits: 23 random bits behind the point of a number between 1 and 2, less 1."""
    words = (random.bits(key, shape) >> 9) | np.float32(1).view(np.uint32)
    return (words.view(np.float32) - np.float32(1)).astype(np.float64)


def _vmap_truth(given: dict[str, Any]) -> dict[str, np.ndarray]:
    """By the NumPy half, one network and one sequence at a time, random bits included."""
    xs, targets, count = given["xs"], given["targets"], given["count"]
    keys = random.split(given["key"], 2 * count)
    losses = np.empty((count, B))
    rows: dict[str, list[np.ndarray]] = {"dWx": [], "dWh": [], "db": []}
    for n in range(count):
        drawn = _uniform(keys[n], (D + H + 1, H)) - 0.5
        params = RNNParams(Wx=drawn[:D], Wh=drawn[D:-1], b=drawn[-1])
        inputs = xs + (_uniform(keys[count + n], xs.shape) - 0.5)
        for k in range(B):
            hs, h_T, cache = readable.rnn.forward(params, inputs[:, k : k + 1])
            losses[n, k] = np.mean((h_T - targets[k]) ** 2)
            gradient, _, _ = readable.rnn.backward(np.zeros_like(hs), 2 * (h_T - targets[k]) / H, cache)
            for name, value in gradient._asdict().items():
                rows[f"d{name}"].append(value)
    stacked = {name: np.stack(parts).reshape(count, B, *parts[0].shape) for name, parts in rows.items()}
    return {"losses": losses, **stacked, **traced.all_well("one program")}


@traced.viewed(_SIZES)
def _vmap_view(names: Mapping[str, Any]) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    function, seen = names["ensemble"], dict[str, float]()

    def program(key: np.ndarray, count: int) -> Any:
        wrapped = lambda xs, targets: function(jax.random.wrap_key_data(jnp.asarray(key)), xs, targets, count)  # noqa: E731
        return traced.trace(wrapped, traced.abstract((T, B, D)), traced.abstract((B, H)))

    def tried(key: np.ndarray, xs: np.ndarray, targets: np.ndarray, count: int) -> Any:
        if not seen:
            few, many = (traced.operations(program(key, each)) for each in _COUNTS)
            seen["one program"] = float(few == many)
        with traced.eager():
            arrays = traced.arrays({"xs": xs, "targets": targets})
            answer = function(jax.random.wrap_key_data(jnp.asarray(key)), arrays["xs"], arrays["targets"], count)
        return {**answer, **seen} if isinstance(answer, Mapping) else answer

    return tried


_VMAP = Exercise(
    name="jax_vmap",
    title="JAX: many networks, and the gradient of every sequence, with vmap",
    task="One network and one sequence are given: initial draws weights, noisy adds noise, loss says how far off the "
    "last state is. Make of them the losses and gradients of N networks on B sequences, with jax.vmap and without a "
    "Python loop. in_axes says for each argument which of its axes is mapped: xs is (T, B, D). And mind the keys.",
    difficulty=3,
    minutes=20,
    before=("jax_scan", "tutorial 18"),
    equations="R1-R2",
    text=lambda: _VMAP_TEXT,
    function="ensemble",
    cases=_vmap_cases,
    required=("losses", "dWx", "dWh", "db"),
    hints=(
        "jax.random.split(key, (2, count)) gives two rows of keys. What is drawn with one key is always the same.",
        "Two maps, one inside of the other: over the sequences (the network stays: None), and over the networks.",
        "jax.vmap(jax.value_and_grad(loss), in_axes=(None, 1, 0)) maps over the sequences: axis 1 of xs, axis 0 of the "
        "targets. Map that once more over the networks, whose weights and inputs have N in front.",
    ),
    errors=_RIGHT,
    imports=("jax", "jax.grad", "jax.value_and_grad"),
    truth=_vmap_truth,
    library=traced.library,
    view=_vmap_view,
    traits={"one program": _ONE_LOOP.format("the number of networks")},
)

EXERCISES = (_SCAN, _VMAP)
