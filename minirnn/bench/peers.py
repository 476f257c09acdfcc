"""The other libraries, each at its best usual form. A library is imported only when it is built.

Every ``build_*`` takes a cell, a shape (B, T, D, H) and the minibatches, and returns the run. Where a library's layer
is not quite the same arithmetic, the run's ``note`` says so; it is printed under the table.

Dimension letters: K minibatches, T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import copy
import importlib.metadata
import os
import time
from collections.abc import Callable
from typing import Any

from minirnn.bench.task import LEARNING_RATE, Batches, Shape, TrainRun

# Name -> the distribution that pip installs.
PEERS = {"torch": "torch", "flax": "flax", "equinox": "equinox", "haiku": "dm-haiku", "keras": "keras"}


def installed() -> dict[str, str]:
    """Name -> version of the peers that are installed; none of them is imported."""
    versions = {}
    for name, distribution in PEERS.items():
        try:
            versions[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def build(name: str, cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """The run of the peer called ``name``.

    Raises:
      ImportError: it is not installed.
    """
    return BUILDERS[name](cell, shape, batches)


def build_torch(cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """torch.nn.LSTM, GRU or RNN in eager mode with the fused Adam.

    Eager, because nn.LSTM and nn.GRU already are one call each into compiled code; torch.compile would take them apart.
    """
    import jax
    import torch

    _, _, D, H = shape
    # On the kind of device that JAX uses: a GPU against a CPU would compare nothing.
    on_gpu = jax.default_backend() == "gpu"
    device = "cuda" if on_gpu and torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():  # the caller's random state stays as it was
        torch.manual_seed(0)
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](D, H)
        model = torch.nn.ModuleDict({"layer": layer, "head": torch.nn.Linear(H, 1)}).to(device)
    pairs = [(torch.tensor(x, device=device), torch.tensor(y, device=device)) for x, y in zip(*batches)]

    def steps_of(model, pairs) -> Callable[[int], float]:
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)

        def steps(threads: int) -> float:
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            for xs, ys in pairs:
                optimizer.zero_grad(set_to_none=True)
                hs, _ = model["layer"](xs)  # (T, B, H)
                loss = torch.nn.functional.mse_loss(model["head"](hs[-1]), ys)
                loss.backward()
                optimizer.step()
            torch.set_num_threads(before)
            return loss.item()  # the only place where a GPU is waited for

        return steps

    threads, note = torch.get_num_threads(), "two biases per gate"
    if device == "cpu":
        # Its threads meet at a barrier in every operator: small layers, or a busy machine, are faster on one thread.
        threads = _fastest(steps_of(copy.deepcopy(model), pairs[:8]), sorted({1, threads}))
        note += "; on one thread or all, whichever is faster"
    if on_gpu and device == "cpu":
        note += "; no CUDA build: on the CPU, while JAX uses a GPU"
    steps = steps_of(model, pairs)
    return TrainRun(lambda: steps(threads), sum(p.numel() for p in model.parameters()), note, threads, model)


def _fastest(steps: Callable[[int], float], settings: list[int]) -> int:
    """The setting with the best of three calls, after one that is not counted."""
    seconds = {}
    for setting in settings:
        steps(setting)
        calls = []
        for _ in range(3):
            start = time.perf_counter()
            steps(setting)
            calls.append(time.perf_counter() - start)
        seconds[setting] = min(calls)
    return min(settings, key=lambda setting: seconds[setting])


def build_flax(cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """flax: linen's RNN over OptimizedLSTMCell or SimpleCell; for the GRU nnx's RNN over GRUCell.

    The faster of its two interfaces for each cell: nnx's GRU joins the gates in one product, linen's has six; the
    others are equal or a little faster in linen.
    """
    import jax

    from minirnn.bench.scan import mean_squared_error, scan_train

    if cell == "gru":
        return _build_flax_nnx_gru(shape, batches)
    import flax.linen as nn

    layer = {"lstm": nn.OptimizedLSTMCell, "rnn": nn.SimpleCell}[cell](shape[-1])
    model = nn.Sequential([nn.RNN(layer, time_major=True), lambda hs: hs[-1], nn.Dense(1)])

    def loss(params, xs, ys):
        return mean_squared_error(model.apply(params, xs), ys)

    return scan_train(loss, model.init(jax.random.key(0), batches.xs[0]), batches)


def _build_flax_nnx_gru(shape: Shape, batches: Batches) -> TrainRun:
    """In nnx's functional form: split once, merged inside the jitted scan."""
    import jax.numpy as jnp
    from flax import nnx

    from minirnn.bench.scan import mean_squared_error, scan_train

    B, _, D, H = shape
    rngs = nnx.Rngs(0)
    model = nnx.Dict(layer=nnx.RNN(nnx.GRUCell(D, H, rngs=rngs), time_major=True), head=nnx.Linear(H, 1, rngs=rngs))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, xs, ys):
        model = nnx.merge(graph, params, rest)
        hs = model["layer"](xs, initial_carry=jnp.zeros((B, H)))  # (T, B, H)
        return mean_squared_error(model["head"](hs[-1]), ys)

    return scan_train(loss, params, batches, "nnx.GRUCell, faster than linen's; has no bias b_hn")


def build_equinox(cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """equinox.nn.LSTMCell or GRUCell, vmapped over the batch, in a lax.scan over time."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from jax import lax

    from minirnn.bench.scan import mean_squared_error, scan_train

    B, _, D, H = shape
    key_x, key_h, key_head = jax.random.split(jax.random.key(0), 3)
    zeros = jnp.zeros((B, H))
    layer: Any
    state0: Any
    if cell == "rnn":
        linear_x = eqx.nn.Linear(D, H, key=key_x)
        layer, state0 = (linear_x, eqx.nn.Linear(H, H, use_bias=False, key=key_h)), zeros
    elif cell == "gru":
        layer, state0 = eqx.nn.GRUCell(D, H, key=key_x), zeros
    else:
        layer, state0 = eqx.nn.LSTMCell(D, H, key=key_x), (zeros, zeros)
    params, static = eqx.partition((layer, eqx.nn.Linear(H, 1, key=key_head)), eqx.is_array)

    def loss(params, xs, ys):
        layer, head = eqx.combine(params, static)

        def step(x, state):  # of one example: x (D,)
            return jnp.tanh(layer[0](x) + layer[1](state)) if cell == "rnn" else layer(x, state)

        def one_step(state, x):
            return jax.vmap(step)(x, state), None

        state, _ = lax.scan(one_step, state0, xs)
        h = state[0] if cell == "lstm" else state  # (B, H)
        return mean_squared_error(jax.vmap(head)(h), ys)

    note = "has no such cell; built from two eqx.nn.Linear" if cell == "rnn" else ""
    return scan_train(loss, params, batches, note)


def build_haiku(cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """hk.LSTM, hk.GRU or a tanh core of two hk.Linear, in hk.dynamic_unroll."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    from minirnn.bench.scan import mean_squared_error, scan_train

    B, _, _, H = shape

    class TanhRNN(hk.RNNCore):
        """hk.VanillaRNN with tanh in place of its built-in ReLU."""

        def __call__(self, inputs, state):
            h = jnp.tanh(hk.Linear(H)(inputs) + hk.Linear(H, with_bias=False)(state))
            return h, h

        def initial_state(self, batch_size):
            return jnp.zeros((batch_size, H))

    def network(xs):
        core = TanhRNN() if cell == "rnn" else {"lstm": hk.LSTM, "gru": hk.GRU}[cell](H)
        hs, _ = hk.dynamic_unroll(core, xs, core.initial_state(B))  # (T, B, H)
        return hk.Linear(1)(hs[-1])

    model = hk.without_apply_rng(hk.transform(network))

    def loss(params, xs, ys):
        return mean_squared_error(model.apply(params, xs), ys)

    note = {
        "lstm": "",
        "gru": "resets before the product (has no other GRU): one product more inside the step",
        "rnn": "its own VanillaRNN is ReLU; built from two hk.Linear",
    }[cell]
    return scan_train(loss, model.init(jax.random.key(0), batches.xs[0]), batches, note)


def build_keras(cell: str, shape: Shape, batches: Batches) -> TrainRun:
    """keras.layers.LSTM, GRU or SimpleRNN on the JAX backend, as ``stateless_call`` inside the jitted scan.

    This is the custom loop of Keras's own guide for JAX. ``model.fit`` and ``train_on_batch`` (also jitted) dispatch
    every step from Python: measured twice as slow at (32, 24, 1, 32) and a tenth slower at (32, 100, 16, 64).
    """
    import jax
    import numpy as np

    keras = _keras_on_jax()

    from minirnn.bench.scan import carry_on, mean_squared_error

    B, T, D, H = shape
    layers = keras.layers
    layer = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}[cell](H, dtype="float32")
    inputs = keras.Input((T, D), batch_size=B, dtype="float32")
    model = keras.Sequential([inputs, layer, layers.Dense(1, dtype="float32")])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)  # the epsilon of the others
    optimizer.build(model.trainable_variables)

    def values(variables):
        return [jax.numpy.array(variable.value) for variable in variables]

    def loss(trainable, frozen, xs, ys):
        prediction, frozen = model.stateless_call(trainable, frozen, xs, training=True)
        return mean_squared_error(prediction, ys), frozen

    def train_step(state, batch):
        trainable, frozen, opt_state = state
        (value, frozen), grads = jax.value_and_grad(loss, has_aux=True)(trainable, frozen, *batch)
        trainable, opt_state = optimizer.stateless_apply(opt_state, grads, trainable)
        return (trainable, frozen, opt_state), value

    state = values(model.trainable_variables), values(model.non_trainable_variables), values(optimizer.variables)
    # Keras takes (B, T, D): turned once, before anything is timed.
    batch_major = batches._replace(xs=np.ascontiguousarray(batches.xs.swapaxes(1, 2)))  # (K, B, T, D)
    note = "two biases per gate" if cell == "gru" else ""
    return carry_on(train_step, state, batch_major, model.count_params(), note)


def _keras_on_jax():
    """Keras, which takes its backend from the environment when first imported; the environment stays as it was."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "jax"
    try:
        import keras
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    if keras.backend.backend() != "jax":
        raise RuntimeError(f"Keras was imported with the backend {keras.backend.backend()}; the comparison needs jax")
    return keras


BUILDERS: dict[str, Callable[[str, Shape, Batches], TrainRun]] = {
    "torch": build_torch,
    "flax": build_flax,
    "equinox": build_equinox,
    "haiku": build_haiku,
    "keras": build_keras,
}
