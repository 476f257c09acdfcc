"""One step at a time: a stream of single inputs through one layer, the answer awaited before the next input comes.

The input is a NumPy array (1, D), as a stream brings it; weights and state stay where the library keeps them (JAX's on
the device, donated to nobody). Both halves of minirnn take part, the NumPy one as ``minirnn.readable``.

Dimension letters: D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.bench import own, peers, pytorch
from minirnn.bench.compare import reason
from minirnn.bench.measure import interleaved, medians, spreads
from minirnn.bench.ratios import AS_USED, OWN, best_jax, ratios

READABLE = "minirnn.readable"
SHAPE = (1, 1, 16, 64)  # (B, T, D, H)

Step = Callable[[np.ndarray, Any], tuple[Any, Any]]  # x (1, D), state (None at first) -> y, state; y is ready


def rows(cell: str, names: Sequence[str], rounds: int = 10, warmup: int = 1, count: int = 300) -> list[dict]:
    """One row: milliseconds for a step, by library. ``count`` steps are timed together."""
    _, _, D, H = SHAPE
    xs = np.random.default_rng(0).standard_normal((count, 1, D), dtype=np.float32)
    runs: dict[str, Callable[[], object]] = {}
    failed: dict[str, str] = {}
    for name in (OWN, READABLE, *names):
        try:
            call = _run(BUILDERS[name](cell, D, H), xs)
            # A single step is too little for several threads to share.
            runs[name] = pytorch.on_threads(1)(call) if name == "torch" else call
            runs[name]()
        except Exception as error:
            if name in (OWN, READABLE):
                raise
            failed[name] = reason(error)
    seconds = interleaved(runs, rounds, warmup)
    ms = {name: value / count * 1e3 for name, value in medians(seconds).items()}
    return [
        {
            "cell": cell,
            "shape": list(SHAPE),
            "measure": "step",
            "comparison": AS_USED,
            "ms": ms,
            "spread": {name: [q / count * 1e3 for q in pair] for name, pair in spreads(seconds).items()},
            "ratio": ratios(ms),
            "best_jax": best_jax(ms),
            "steps": count,
            "rounds": rounds,
            "failed": failed,
        }
    ]


def _run(step: Step, xs: np.ndarray) -> Callable[[], object]:
    _, state = step(xs[0], None)

    def call():
        nonlocal state
        for x in xs:
            _, state = step(x, state)

    return call


def _jitted(step: Callable, params: Any, state0: Any, options: dict[str, Any] | None = None) -> Step:
    """``step(params, x, state) -> y, state`` on the device."""
    import jax

    compiled = jax.jit(step, compiler_options=options)
    params, state0 = jax.tree.map(jax.numpy.asarray, (params, state0))

    def one(x, state):
        y, state = compiled(params, x, state0 if state is None else state)
        return y.block_until_ready(), state

    return one


def _fast(cell: str, D: int, H: int) -> Step:
    module = own.module(cell)
    params = module.init(0, D, H)
    return _jitted(module.step, params, module.initial_state(params, 1), own.compiler_options() or None)


def _readable(cell: str, D: int, H: int) -> Step:
    from minirnn.readable.cells import CELLS

    module = CELLS[cell]
    params = module.init(0, D, H)
    state0 = module.initial_state(params, 1)

    def one(x, state):
        y, state, _ = module.step(params, x, state0 if state is None else state)
        return y, state

    return one


def _torch(cell: str, D: int, H: int) -> Step:
    """nn.LSTMCell, GRUCell or RNNCell, on the CPU."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}[cell](D, H)

    def one(x, state):
        with torch.inference_mode():
            state = layer(torch.from_numpy(x), state)
        return (state[0] if cell == "lstm" else state), state

    return one


def _flax(cell: str, D: int, H: int) -> Step:
    import jax
    import jax.numpy as jnp

    if cell == "gru":
        from flax import nnx

        graph, params = nnx.split(nnx.GRUCell(D, H, rngs=nnx.Rngs(0)), nnx.Param)

        def step(params, x, state):
            state, y = nnx.merge(graph, params)(state, x)
            return y, state

        return _jitted(step, params, jnp.zeros((1, H)))
    import flax.linen as nn

    layer = {"lstm": nn.OptimizedLSTMCell, "rnn": nn.SimpleCell}[cell](H)
    state0 = layer.initialize_carry(jax.random.key(0), (1, D))
    params = jax.jit(layer.init)(jax.random.key(0), state0, jnp.zeros((1, D)))

    def step_linen(params, x, state):
        state, y = layer.apply(params, state, x)
        return y, state

    return _jitted(step_linen, params, state0)


def _equinox(cell: str, D: int, H: int) -> Step:
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    params, static = eqx.partition(peers.equinox_layer(cell, D, H, jax.random.key(0)), eqx.is_array)

    def step(params, x, state):
        state = eqx.combine(params, static)(x[0], state)
        return (state[0] if cell == "lstm" else state), state

    zeros = jnp.zeros(H)
    return _jitted(step, params, (zeros, zeros) if cell == "lstm" else zeros)


def _haiku(cell: str, D: int, H: int) -> Step:
    import haiku as hk
    import jax
    import jax.numpy as jnp

    model = hk.without_apply_rng(hk.transform(lambda x, state: peers.haiku_core(cell, H)(x, state)))
    start = hk.without_apply_rng(hk.transform(lambda: peers.haiku_core(cell, H).initial_state(1)))
    state0 = start.apply({})
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, D)), state0)
    return _jitted(model.apply, params, state0)


def _keras(cell: str, D: int, H: int) -> Step:
    import jax.numpy as jnp

    keras = peers.keras_on_jax()
    layers = keras.layers
    layer = {"lstm": layers.LSTMCell, "gru": layers.GRUCell, "rnn": layers.SimpleRNNCell}[cell](H, dtype="float32")
    layer.build((1, D))
    frozen = [jnp.array(variable.value) for variable in layer.non_trainable_variables]

    def step(params, x, state):
        (y, state), _ = layer.stateless_call(params, frozen, x, state)
        return y, list(state)

    zeros = jnp.zeros((1, H))
    params = [jnp.array(variable.value) for variable in layer.trainable_variables]
    return _jitted(step, params, [zeros, zeros] if cell == "lstm" else [zeros])


BUILDERS: dict[str, Callable[[str, int, int], Step]] = {
    OWN: _fast,
    READABLE: _readable,
    "torch": _torch,
    "flax": _flax,
    "equinox": _equinox,
    "haiku": _haiku,
    "keras": _keras,
}
