"""Networks of every kind with random numbers, and their gradients by different judges."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from parity import STEP, relative_error, worst

from minirnn import fast, readable
from minirnn.params import (
    Convolution,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    Network,
    Recurrent,
    Residual,
    stack,
)

# Feature -> (description, input size). Every feature alone, and two with nearly everything.
NETWORKS: dict[str, tuple[Network, int | None]] = {
    "one layer": (stack("rnn", 5, 1, 2), 3),
    "three layers": (stack("lstm", 5, 3, 2), 3),
    "bidirectional": (Network((Recurrent("lstm", 5, bidirectional=True),), 2, "mean"), 3),
    "bidirectional, sum": (Network((Recurrent("gru", 5, True, "sum"),), 2, "steps"), 3),
    "bidirectional, mean": (Network((Recurrent("gru_two_state", 5, True, "mean"),), 2, "last"), 3),
    "dropout": (stack("gru", 5, 2, 2, dropout=0.4), 3),
    "recurrent dropout": (stack("lstm", 5, 2, 2, recurrent_dropout=0.4, bidirectional=True, read="mean"), 3),
    "recurrent dropout, reset before": (stack("gru_reset_before", 5, 1, 2, recurrent_dropout=0.4), 3),
    "embedding": (Network((Embedding(9, 4), Recurrent("gru", 5)), 2), None),
    "convolution, causal": (Network((Convolution(4, 3), Recurrent("gru", 5)), 2), 3),
    "convolution, same": (Network((Recurrent("gru", 5), Convolution(4, 4, "same", "tanh")), 2, "steps"), 3),
    "layer norm": (Network((Recurrent("gru", 5), LayerNorm()), 2, "steps"), 3),
    "dense": (Network((Dense(4, "sigmoid"), Recurrent("lstm_single_state", 5)), 2), 3),
    "residual": (Network((Residual((Recurrent("rnn", 3, activation="relu"), Dense(3))),), 2, "mean"), 3),
    "learned initial state": (Network((Recurrent("lstm", 5, True, learn_initial_state=True),), 2, "steps"), 3),
    "both ends": (Network((Recurrent("gru", 5, True), Dropout(0.3)), 2, "ends"), 3),
    "attention": (Network((Recurrent("lstm", 5, True), Dropout(0.3)), 2, "attention"), 3),
    "no recurrent layer": (Network((), 2, "mean"), 3),
    "all at once": (
        Network(
            (
                Embedding(9, 4),
                Dropout(0.2),
                Convolution(6, 3, "same"),
                Recurrent("lstm", 3, True, recurrent_dropout=0.3, learn_initial_state=True),
                Residual((LayerNorm(), Recurrent("gru", 6, learn_initial_state=True), Dropout(0.5))),
                LayerNorm(),
                Convolution(5, 2, "causal", "sigmoid"),
                Recurrent("gru_reset_before", 4, True, "mean"),
            ),
            3,
            "steps",
        ),
        None,
    ),
}


@dataclasses.dataclass
class NetworkCase:
    """Random numbers for one network; ``key`` is the dropout key."""

    network: Network
    inputs: dict[str, Any]  # everything that has a gradient: params, xs (unless symbols), state (unless learned)
    symbols: np.ndarray | None
    lengths: np.ndarray | None
    doutputs: np.ndarray
    dstate: Any
    key: int = 7

    def run(self, half, inputs):
        xs = inputs["xs"] if self.symbols is None else self.symbols
        return half.network.forward(
            self.network, inputs["params"], xs, inputs.get("state"), self.lengths, dropout_key=self.key
        )


def make_network_case(feature: str, *, T=7, dtype=np.float64, ragged=True, seed=0, given_state=True) -> NetworkCase:
    network, D = NETWORKS[feature]
    rng = np.random.default_rng(seed)
    draw = lambda a: (rng.standard_normal(np.shape(a)) / 2).astype(dtype)  # noqa: E731
    B = 6
    params = jax.tree.map(draw, readable.network.init(rng, network, D, dtype))
    lengths = np.array([T, 0, 3, T - 2, 1, 2]) if ragged else None
    symbols = rng.integers(0, 9, (T, B)) if D is None else None
    xs = draw(np.zeros((T, B, D))) if D is not None else None
    if ragged:  # what the padding holds must not matter
        padding = np.arange(T)[:, None] >= lengths
        if D is None:
            symbols[padding] = 99
        else:
            xs[padding] = np.nan
    learns = "initial" in feature or "all" in feature
    probe = symbols if D is None else np.zeros((T, B, D), dtype)
    outputs, state, _ = readable.network.forward(network, params, probe * 0)
    inputs = {"params": params} | ({} if D is None else {"xs": xs})
    if given_state and not learns:
        inputs["state"] = jax.tree.map(draw, state)
    return NetworkCase(network, inputs, symbols, lengths, draw(outputs), jax.tree.map(draw, state))


def network_by_hand(case: NetworkCase):
    """Outputs, states and gradients of the NumPy half, by name."""
    outputs, state, cache = case.run(readable, case.inputs)
    dparams, dxs, dstate0 = readable.network.backward(case.doutputs, case.dstate, cache)
    gradients = {"params": dparams, "xs": dxs, "state": dstate0}
    return by_name((outputs, state)), by_name({name: gradients[name] for name in case.inputs})


def network_by_jax(case: NetworkCase):
    """The same from the JAX half."""
    values, pullback = jax.vjp(jax.jit(lambda inputs: case.run(fast, inputs)), case.inputs)
    return by_name(values), by_name(pullback((case.doutputs, case.dstate))[0])


def network_jax_error(case: NetworkCase, bound: float) -> float:
    """The worst relative error of any output, state or gradient of the NumPy half, taking JAX's for exact."""
    errors = []
    for ours, theirs in zip(network_by_hand(case), network_by_jax(case)):
        assert {a.dtype for a in [*ours.values(), *theirs.values()]} == {case.doutputs.dtype}
        errors.append(worst(ours, theirs, bound))
    return max(errors)


def network_complex_step_error(case: NetworkCase, bound=1e-12, directions=4) -> float:
    """The worst relative error of the hand-derived gradient of any array, along random directions."""
    _, gradients = network_by_hand(case)
    leaves, tree = jax.tree.flatten(case.inputs)
    rng = np.random.default_rng(1)
    largest = 0.0
    for index, (name, gradient) in enumerate(gradients.items()):
        exact, ours = [], []
        for _ in range(directions):
            v = rng.standard_normal(leaves[index].shape)
            moved = [leaf + 1j * STEP * v if k == index else leaf for k, leaf in enumerate(leaves)]
            outputs, state, _ = case.run(readable, jax.tree.unflatten(tree, moved))
            pairs = zip(jax.tree.leaves((outputs, state)), jax.tree.leaves((case.doutputs, case.dstate)))
            exact.append(sum((np.imag(value) / STEP * d).sum() for value, d in pairs))
            ours.append(np.nansum(gradient * v))
        error = relative_error(np.array(ours), np.array(exact))
        if not error <= bound:
            raise AssertionError(f"{name}: relative error {error:.3g} > {bound:.3g}")
        largest = max(largest, error)
    return largest


def by_name(tree) -> dict[str, np.ndarray]:
    """The arrays of a tree under their paths, such as ``.layers[0].weights.Wx``."""
    return {jax.tree_util.keystr(path): np.asarray(a) for path, a in jax.tree_util.tree_leaves_with_path(tree)}
