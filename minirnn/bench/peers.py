"""The other libraries that run on JAX, each at its best usual form. A library is imported only when it is built.

Every ``build_*`` takes a cell and a shape (B, T, D, H), and returns the model. Where a library's layer is not quite the
same arithmetic, the model's ``note`` says so; it is printed under the table. PyTorch is in
:mod:`minirnn.bench.pytorch`.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minirnn.bench.task import LEARNING_RATE, Shape

if TYPE_CHECKING:
    from minirnn.bench.scan import Model

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


def build_flax(cell: str, shape: Shape) -> Model:
    """flax: linen's RNN over OptimizedLSTMCell or SimpleCell; for the GRU nnx's RNN over GRUCell.

    The faster of its two interfaces for each cell: nnx's GRU joins the gates in one product, linen's has six; the
    others are equal or a little faster in linen.
    """
    import jax
    import jax.numpy as jnp

    from minirnn.bench.scan import Model, mean_squared_error

    if cell == "gru":
        return _build_flax_nnx_gru(shape)
    import flax.linen as nn

    _, _, D, H = shape
    layer = {"lstm": nn.OptimizedLSTMCell, "rnn": nn.SimpleCell}[cell](H)
    model = nn.Sequential([nn.RNN(layer, time_major=True), lambda hs: hs[-1], nn.Dense(1)])

    def loss(params, xs, ys):
        return mean_squared_error(model.apply(params, xs), ys)

    return Model(loss, _drawn(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, D)))))


def _drawn(shapes: Any) -> Any:
    """Weights of these shapes: matrices of variance 1/fan-in, biases of zero.

    A library's own initialiser would be compiled first: a second for each shape, and the times do not depend on it.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)

    def draw(leaf):
        if len(leaf.shape) < 2:
            return jnp.zeros(leaf.shape, leaf.dtype)
        return jnp.asarray(rng.standard_normal(leaf.shape) / np.sqrt(leaf.shape[0]), leaf.dtype)

    return jax.tree.map(draw, shapes)


def _build_flax_nnx_gru(shape: Shape) -> Model:
    """In nnx's functional form: split once, merged inside the jitted scan."""
    import jax.numpy as jnp
    from flax import nnx

    from minirnn.bench.scan import Model, mean_squared_error

    _, _, D, H = shape
    rngs = nnx.Rngs(0)
    model = nnx.Dict(layer=nnx.RNN(nnx.GRUCell(D, H, rngs=rngs), time_major=True), head=nnx.Linear(H, 1, rngs=rngs))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, xs, ys):
        model = nnx.merge(graph, params, rest)
        hs = model["layer"](xs, initial_carry=jnp.zeros((xs.shape[1], H)))  # (T, B, H)
        return mean_squared_error(model["head"](hs[-1]), ys)

    return Model(loss, params, "nnx.GRUCell, faster than linen's; has no bias b_hn")


def build_equinox(cell: str, shape: Shape) -> Model:
    """equinox.nn.LSTMCell or GRUCell, vmapped over the batch, in a lax.scan over time."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    from jax import lax

    from minirnn.bench.scan import Model, mean_squared_error

    _, _, D, H = shape
    key_layer, key_head = jax.random.split(jax.random.key(0))
    layer = equinox_layer(cell, D, H, key_layer)
    params, static = eqx.partition((layer, eqx.nn.Linear(H, 1, key=key_head)), eqx.is_array)

    def loss(params, xs, ys):
        layer, head = eqx.combine(params, static)
        zeros = jnp.zeros((xs.shape[1], H))

        def one_step(state, x):
            return jax.vmap(layer)(x, state), None

        state, _ = lax.scan(one_step, (zeros, zeros) if cell == "lstm" else zeros, xs)
        h = state[0] if cell == "lstm" else state  # (B, H)
        return mean_squared_error(jax.vmap(head)(h), ys)

    return Model(loss, params, "has no such cell; built from two eqx.nn.Linear" if cell == "rnn" else "")


def equinox_layer(cell: str, D: int, H: int, key: Any) -> Any:
    """A step of one example: x (D,), state -> state."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    class TanhCell(eqx.Module):
        """The cell that equinox does not have."""

        x: eqx.nn.Linear
        h: eqx.nn.Linear

        def __call__(self, x, h):
            return jnp.tanh(self.x(x) + self.h(h))

    if cell == "rnn":
        key_x, key_h = jax.random.split(key)
        return TanhCell(eqx.nn.Linear(D, H, key=key_x), eqx.nn.Linear(H, H, use_bias=False, key=key_h))
    return {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell}[cell](D, H, key=key)


def build_haiku(cell: str, shape: Shape) -> Model:
    """hk.LSTM, hk.GRU or a tanh core of two hk.Linear, in hk.dynamic_unroll."""
    import haiku as hk
    import jax
    import jax.numpy as jnp

    from minirnn.bench.scan import Model, mean_squared_error

    _, _, D, H = shape

    def network(xs):
        core = haiku_core(cell, H)
        hs, _ = hk.dynamic_unroll(core, xs, core.initial_state(xs.shape[1]))  # (T, B, H)
        return hk.Linear(1)(hs[-1])

    model = hk.without_apply_rng(hk.transform(network))

    def loss(params, xs, ys):
        return mean_squared_error(model.apply(params, xs), ys)

    note = {
        "lstm": "",
        "gru": "resets before the product (has no other GRU): one product more inside the step",
        "rnn": "its own VanillaRNN is ReLU; built from two hk.Linear",
    }[cell]
    return Model(loss, _drawn(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, D)))), note)


def haiku_core(cell: str, H: int) -> Any:
    """Its core; called inside ``hk.transform``."""
    import haiku as hk
    import jax.numpy as jnp

    class TanhRNN(hk.RNNCore):
        """hk.VanillaRNN with tanh in place of its built-in ReLU."""

        def __call__(self, inputs, state):
            h = jnp.tanh(hk.Linear(H)(inputs) + hk.Linear(H, with_bias=False)(state))
            return h, h

        def initial_state(self, batch_size):
            return jnp.zeros((batch_size, H))

    return TanhRNN() if cell == "rnn" else {"lstm": hk.LSTM, "gru": hk.GRU}[cell](H)


def build_keras(cell: str, shape: Shape) -> Model:
    """keras.layers.LSTM, GRU or SimpleRNN on the JAX backend, as ``stateless_call`` inside the jitted scan.

    This is the custom loop of Keras's own guide for JAX, with its own Adam. ``model.fit`` and ``train_on_batch`` (also
    jitted) dispatch every step from Python: measured twice as slow at (32, 24, 1, 32) and a tenth slower at
    (32, 100, 16, 64).
    """
    import jax.numpy as jnp

    keras = keras_on_jax()

    from minirnn.bench.scan import Model, Optimizer, mean_squared_error

    _, T, D, H = shape
    layers = keras.layers
    layer = {"lstm": layers.LSTM, "gru": layers.GRU, "rnn": layers.SimpleRNN}[cell](H, dtype="float32")
    model = keras.Sequential([keras.Input((T, D), dtype="float32"), layer, layers.Dense(1, dtype="float32")])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)  # the epsilon of the others
    optimizer.build(model.trainable_variables)

    def values(variables):
        return [jnp.array(variable.value) for variable in variables]

    frozen = values(model.non_trainable_variables)  # nothing that training would change: no dropout, no statistics

    def loss(params, xs, ys):
        prediction, _ = model.stateless_call(params, frozen, xs, training=True)
        return mean_squared_error(prediction, ys)

    def update(grads, state, params):
        return optimizer.stateless_apply(state, grads, params)

    return Model(
        loss,
        values(model.trainable_variables),
        note="two biases per gate" if cell == "gru" else "",
        optimizer=Optimizer(lambda params: values(optimizer.variables), update),
        batch_major=True,
    )


def keras_on_jax() -> Any:
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


# Those that run on JAX.
BUILDERS: dict[str, Callable[[str, Shape], Model]] = {
    "flax": build_flax,
    "equinox": build_equinox,
    "haiku": build_haiku,
    "keras": build_keras,
}
