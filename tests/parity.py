"""How closely the halves agree, cell by cell: random cases, their gradients by different judges, relative errors.

``python tests/parity.py`` prints the worst error of every comparison (tests/table.py); the tests assert bounds on the
same functions. An error is norm-wise for each array: ||a - b|| / ||b||.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

from minirnn import fast, readable
from minirnn.params import map_state

# (cell, options of its forward)
VARIANTS = [
    ("rnn", {}),
    ("rnn", {"activation": "relu"}),
    ("rnn", {"activation": "sigmoid"}),
    ("lstm", {}),
    ("gru", {}),
    ("lstm_single_state", {}),
    ("gru_reset_before", {}),
    ("gru_two_state", {}),
    ("mingru", {}),
    ("minlstm", {}),
]
CELLS = tuple(dict.fromkeys(cell for cell, _ in VARIANTS))
STEP = 1e-30  # of the complex step: nothing is subtracted, so it may be as small as one likes


class Halves(NamedTuple):
    """The two modules of a cell. Stands for the name where the library has no such cell: see test_peephole.py."""

    readable: Any
    fast: Any


def halves(cell: str | Halves) -> Halves:
    """Both modules of a cell that is given by its name, or already by its modules."""
    return Halves(getattr(readable, cell), getattr(fast, cell)) if isinstance(cell, str) else cell


@dataclasses.dataclass
class Case:
    """Random weights, inputs, states and cotangents: nothing zero, all sizes different."""

    cell: str | Halves
    options: dict[str, Any]
    params: Any
    xs: np.ndarray  # (T, B, D)
    state: Any
    lengths: np.ndarray | None  # (B,), 0 and T among them
    dys: np.ndarray  # (T, B, H)
    dstate: Any

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """Everything that has a gradient, by name."""
        return {**named("", self.params), "xs": self.xs, **named("state0.", self.state)}

    def with_inputs(self, inputs: dict[str, np.ndarray]) -> Case:
        params = type(self.params)(*(inputs[name] for name in self.params._fields))
        state = unnamed("state0.", inputs, self.state)
        return dataclasses.replace(self, params=params, xs=inputs["xs"], state=state)


def named(prefix: str, value) -> dict[str, Any]:
    """The arrays of a NamedTuple (or one bare array, called h) by name."""
    if hasattr(value, "_fields"):
        return {prefix + name: array for name, array in zip(value._fields, value)}
    return {f"{prefix}h": value}


def unnamed(prefix: str, arrays: dict[str, Any], like):
    if hasattr(like, "_fields"):
        return type(like)(*(arrays[prefix + name] for name in like._fields))
    return arrays[f"{prefix}h"]


def make_case(cell, options=None, *, T=6, B=4, D=3, H=5, dtype=np.float64, ragged=True, seed=0) -> Case:
    rng = np.random.default_rng(seed)
    module = halves(cell).readable
    draw = lambda *shape: rng.standard_normal(shape).astype(dtype)  # noqa: E731
    params = module.init(rng, D, H, dtype)
    # Recurrent weights of scale 1/sqrt(H): larger ones are chaotic at long T. Biases random: zeros hide mistakes.
    if hasattr(params, "Wh"):
        params = params._replace(Wh=draw(*params.Wh.shape) / dtype(np.sqrt(H)))
    params = params._replace(**{name: draw(*a.shape) / 2 for name, a in params._asdict().items() if a.ndim == 1})
    lengths = None
    if ragged:
        lengths = np.concatenate([[T, 0], rng.integers(1, T, B - 2)])
    like = module.initial_state(params, B)
    state, dstate = (map_state(lambda a: draw(*a.shape), like) for _ in range(2))
    return Case(cell, options or {}, params, draw(T, B, D), state, lengths, draw(T, B, H), dstate)


# ---------------------------------------------------------------- gradients by different judges


def readable_forward(case: Case):
    module = halves(case.cell).readable
    return module.forward(case.params, case.xs, case.state, case.lengths, **case.options)


def by_hand(case: Case) -> dict[str, np.ndarray]:
    """The hand-derived gradients of the NumPy half."""
    cache = readable_forward(case)[2]
    dparams, dxs, dstate0 = halves(case.cell).readable.backward(case.dys, case.dstate, cache)
    return {**named("", dparams), "xs": dxs, **named("state0.", dstate0)}


def by_jax(case: Case) -> dict[str, np.ndarray]:
    """The gradients of the JAX half."""

    def run(inputs):
        c = case.with_inputs(inputs)
        return halves(c.cell).fast.forward(c.params, c.xs, c.state, c.lengths, **c.options)

    # Short sequences are compiled as a whole. For long ones compiling takes longer than running, and the scans alone,
    # which are compiled in any case, are shared by the tests.
    _, pullback = jax.vjp(jax.jit(run) if len(case.xs) < 64 else run, case.inputs)
    return jax.tree.map(np.asarray, pullback((case.dys, case.dstate))[0])


def jacobian_by_complex_step(case: Case, name: str) -> np.ndarray:
    """d (all outputs and final states) / d (array ``name``), one column for each of its elements."""
    array = case.inputs[name]
    columns = []
    for index in np.ndindex(array.shape):
        moved = array.astype(complex)
        moved[index] += 1j * STEP
        outputs, final, _ = readable_forward(case.with_inputs({**case.inputs, name: moved}))
        columns.append(flat(outputs, final).imag / STEP)
    return np.stack(columns, axis=1)


def jacobian_by_hand(case: Case) -> dict[str, np.ndarray]:
    """The same Jacobians from the backward pass, one row for each output."""
    outputs, final, cache = readable_forward(case)
    rows: dict[str, list] = {}
    total = flat(outputs, final).size
    for k in range(total):
        unit = np.zeros(total)
        unit[k] = 1.0
        dys, rest = unit[: outputs.size].reshape(outputs.shape), unit[outputs.size :]
        parts = np.split(rest, len(named("", final)))
        like = next(iter(named("", final).values())).shape
        dstate = unnamed("", dict(zip(named("", final), (part.reshape(like) for part in parts))), final)
        dparams, dxs, dstate0 = halves(case.cell).readable.backward(dys, dstate, cache)
        for name, d in {**named("", dparams), "xs": dxs, **named("state0.", dstate0)}.items():
            rows.setdefault(name, []).append(d.ravel())
    return {name: np.stack(row) for name, row in rows.items()}


def directional(case: Case, name: str, directions: np.ndarray) -> np.ndarray:
    """Derivatives of <dys, ys> + <dstate, state_T> along the directions, by complex step."""
    values = []
    for v in directions:
        outputs, final, _ = readable_forward(case.with_inputs({**case.inputs, name: case.inputs[name] + 1j * STEP * v}))
        weights = flat(case.dys, case.dstate)
        values.append((flat(outputs, final).imag / STEP) @ weights)
    return np.array(values)


def gates_by_hand(case: Case) -> dict[str, np.ndarray]:
    """Every named intermediate and its gradient (as ``d<name>``), from the NumPy half."""
    module = halves(case.cell).readable
    values = module.gates(case.params, case.xs, case.state, case.lengths, **case.options)
    gradients = module.gate_gradients(case.dys, case.dstate, readable_forward(case)[2])
    return {**named("", values), **named("d", gradients)}


def fast_cell(cell, options: dict[str, Any]):
    """The description of a cell in the JAX half."""
    module = halves(cell).fast
    return module.cell(**options) if cell == "rnn" else module.CELL


def engine_of(description):
    """The module that walks such a cell through time: the one that defines the type of its description."""
    return sys.modules[type(description).__module__]


def gates_by_jax(case: Case) -> dict[str, np.ndarray]:
    """The same from the JAX half: the gradient with respect to something added to each intermediate."""
    module, cell = halves(case.cell).fast, fast_cell(case.cell, case.options)
    values = module.gates(case.params, case.xs, case.state, case.lengths, **case.options)
    nudges = jax.tree.map(lambda value: value * 0, values)
    _, pullback = jax.vjp(
        lambda n: engine_of(cell).forward_nudged(cell, case.params, case.xs, n, case.state, case.lengths), nudges
    )
    (gradients,) = pullback((case.dys, case.dstate))
    return jax.tree.map(np.asarray, {**named("", values), **named("d", gradients)})


# ---------------------------------------------------------------- comparing


def flat(outputs, state) -> np.ndarray:
    return np.concatenate([np.ravel(outputs), *(np.ravel(a) for a in named("", state).values())])


def relative_error(actual, expected) -> float:
    """||actual - expected|| / ||expected||, in float64."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    difference = np.linalg.norm(np.ravel(actual.astype(np.float64) - expected.astype(np.float64)))
    scale = np.linalg.norm(np.ravel(expected.astype(np.float64)))
    return float(difference / scale) if scale else float(difference)


def worst(actual: dict[str, Any], expected: dict[str, Any], bound: float) -> float:
    """The largest error over all arrays; an AssertionError names the first array, and step, that is out of bounds."""
    assert set(actual) == set(expected)
    errors = {name: relative_error(actual[name], expected[name]) for name in actual}
    for name, error in errors.items():
        if not error <= bound:
            where = ""
            if np.ndim(expected[name]) == 3:
                per_step = np.abs(np.asarray(actual[name]) - np.asarray(expected[name])).max(axis=(1, 2))
                where = f" at t={int(np.argmax(~(per_step <= bound * np.abs(expected[name]).max())))}"
            raise AssertionError(f"{name}{where}: relative error {error:.3g} > {bound:.3g}; all: {errors}")
    return max(errors.values())


def float32_bound(T: int) -> float:
    return 1e-5 * max(1.0, np.sqrt(T / 32))


def complex_step_error(case: Case, bound=1e-12, directions=0) -> float:
    """NumPy's backward against the complex step: the full Jacobian, or along random directions."""
    if not directions:
        exact = {name: jacobian_by_complex_step(case, name) for name in case.inputs}
        return worst(jacobian_by_hand(case), exact, bound)
    rng = np.random.default_rng(1)
    gradient = by_hand(case)
    actual, exact = {}, {}
    for name, array in case.inputs.items():
        vs = rng.standard_normal((directions, *array.shape))
        exact[name] = directional(case, name, vs)
        actual[name] = np.array([(gradient[name] * v).sum() for v in vs])
    return worst(actual, exact, bound)


if __name__ == "__main__":
    import table

    table.main()
