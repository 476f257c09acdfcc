"""Training a language model of characters: one layer of 256 units, as ``minirnn text`` trains it by default.

Every library trains an embedding, a recurrent layer and a dense layer over all symbols on the same chunks of the same
streams of random characters: cross-entropy at every step, the state handed on from chunk to chunk, gradients clipped at
a norm of 1, Adam. Without dropout, whose masks differ.

Dimension letters: S chunks, T steps of a chunk, B streams, V symbols, E numbers of an embedding, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.bench import peers, pytorch
from minirnn.bench.compare import reason
from minirnn.bench.devices import devices_for
from minirnn.bench.measure import interleaved, medians, spreads
from minirnn.bench.ratios import AS_USED, OWN, best_jax, ratios
from minirnn.bench.task import LEARNING_RATE, Run, Shape

# (B, T, E, H): as `minirnn text` trains by default, and more streams in longer chunks.
SHAPES = ((32, 64, 64, 256), (64, 128, 64, 256), (64, 256, 64, 256))
SYMBOLS = 106  # V, of the standard library's source
STEPS = 1536  # S T of a call
MOST = 1.0  # norm of the gradients
SPARE = "random characters, no dropout"


def streams(shape: Shape, chunks: int, symbols: int = SYMBOLS) -> np.ndarray:
    """Random symbols (S T + 1, B), never that between documents, which minirnn does not count."""
    B, T, _, _ = shape
    return np.random.default_rng(0).integers(1, symbols, (chunks * T + 1, B)).astype(np.int32)


def rows(
    names: Sequence[str],
    rounds: int = 10,
    shape: Shape = SHAPES[0],
    chunks: int | None = None,
    available: int | None = None,
) -> list[dict]:
    """One row: milliseconds of a chunk of all streams by library, and characters per second.

    Args:
      names: of ``peers.PEERS``; only torch and Keras are built.
      rounds: timed calls of each, after one that is not counted.
      shape: (B, T, E, H)
      chunks: of a call; None: as many as have ``STEPS`` steps.
      available: devices; None: all that there are.
    """
    import jax

    B, T, _, _ = shape
    chunks = max(STEPS // T, 1) if chunks is None else chunks
    text = streams(shape, chunks)
    devices = devices_for(shape, len(jax.devices()) if available is None else available)
    runs = {OWN: _minirnn(shape, text, devices)}
    failed: dict[str, str] = {}
    builders: dict[str, Callable[[Shape, np.ndarray], Run]] = {"torch": _torch, "keras": _keras}
    for name in [name for name in builders if name in names]:
        try:
            runs[name] = builders[name](shape, text)
            runs[name]()
        except Exception as error:  # another library's fault must not cost the row
            runs.pop(name, None)
            failed[name] = reason(error)
    seconds = interleaved(runs, rounds, warmup=1)
    middle, quartiles = medians(seconds), spreads(seconds)
    ms = {name: value / chunks * 1e3 for name, value in middle.items()}
    return [
        {
            "cell": "lstm",
            "shape": list(shape),
            "measure": "text",
            "comparison": AS_USED,
            "ms": ms,
            "spread": {name: [q / chunks * 1e3 for q in each] for name, each in quartiles.items()},
            "characters_per_second": {name: round(B * T / value * 1e3) for name, value in ms.items()},
            "ratio": ratios(ms),
            "best_jax": best_jax(ms),
            "devices": {name: devices if name == OWN else 1 for name in ms},
            "minibatches": chunks,
            "rounds": rounds,
            "threads": {name: run.threads for name, run in runs.items() if run.threads},
            "notes": {name: run.note for name, run in runs.items() if run.note},
            "failed": failed,
        }
    ]


def _minirnn(shape: Shape, text: np.ndarray, devices: int) -> Run:
    """By the function that trains its models."""
    from minirnn.fast import devices as meshes
    from minirnn.fast import language
    from minirnn.params import Embedding, Language, Network, Recurrent, init_network

    B, T, E, H = shape
    description = Language(Network((Embedding(SYMBOLS, E), Recurrent("lstm", H)), SYMBOLS, read="steps"), T)
    steps = len(text) // T
    symbols = np.ascontiguousarray(text.T).reshape(-1)  # stream after stream, each of S T + 1 symbols
    starts = np.arange(B) * len(text) + np.arange(steps)[:, None] * T  # (S, B)
    mesh = meshes.mesh(devices)
    optimizer = language.make_optimizer(LEARNING_RATE, MOST)
    state = language.start(optimizer, [init_network(0, description.network, None)])
    data = language.place((symbols,), mesh)
    counts = np.ones((steps, B), np.float32)

    def call() -> float:
        nonlocal state
        state, record = language.epoch(description, optimizer, state, data, starts[None], counts, mesh=mesh)
        return float(record.losses[0, -1])

    return Run(call, note=SPARE)


def _torch(shape: Shape, text: np.ndarray) -> Run:
    """nn.Embedding, nn.LSTM and nn.Linear in eager mode, with the fused Adam."""
    import jax
    import torch

    B, T, E, H = shape
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = torch.nn.ModuleDict(
            {
                "embedding": torch.nn.Embedding(SYMBOLS, E),
                "layer": torch.nn.LSTM(E, H),
                "head": torch.nn.Linear(H, SYMBOLS),
            }
        ).to(device)
    parameters = list(modules.parameters())
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)
    symbols = torch.tensor(text, dtype=torch.long, device=device)

    def passes(threads: int, steps: int = len(text) // T) -> float:
        state: Any = None
        with pytorch.on_threads(threads):
            for start in range(0, steps * T, T):
                optimizer.zero_grad(set_to_none=True)
                hs, state = modules["layer"](modules["embedding"](symbols[start : start + T]), state)
                logits = modules["head"](hs).view(-1, SYMBOLS)
                loss = torch.nn.functional.cross_entropy(logits, symbols[start + 1 : start + T + 1].view(-1))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, MOST)
                optimizer.step()
                state = tuple(part.detach() for part in state)
            return float(loss.item())

    threads = torch.get_num_threads()
    if device == "cpu":
        threads = pytorch.fastest(lambda count: passes(count, min(4, len(text) // T)), sorted({1, threads}))
    return Run(lambda: passes(threads), note="two biases per gate; on one thread or all", threads=threads)


def _keras(shape: Shape, text: np.ndarray) -> Run:
    """Embedding, LSTM and Dense on the JAX backend, as ``stateless_call`` inside a jitted scan; with its own Adam."""
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax

    keras = peers.keras_on_jax()
    B, T, E, H = shape
    steps = len(text) // T
    given = [keras.Input((T,), dtype="int32"), keras.Input((H,)), keras.Input((H,))]
    hs, *after = keras.layers.LSTM(H, return_sequences=True, return_state=True, dtype="float32")(
        keras.layers.Embedding(SYMBOLS, E, dtype="float32")(given[0]), initial_state=given[1:]
    )
    model = keras.Model(given, [keras.layers.Dense(SYMBOLS, dtype="float32")(hs), *after])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8, global_clipnorm=MOST)
    optimizer.build(model.trainable_variables)
    values = lambda variables: [jnp.array(variable.value) for variable in variables]  # noqa: E731
    frozen = values(model.non_trainable_variables)
    read = jnp.asarray(text.T[:, :-1].reshape(B, steps, T).swapaxes(0, 1))  # (S, B, T)
    targets = jnp.asarray(text.T[:, 1:].reshape(B, steps, T).swapaxes(0, 1))

    def one_step(carry, chunk):
        params, state, handed_on = carry
        xs, ys = chunk

        def loss(params):
            (logits, *after), _ = model.stateless_call(params, frozen, [xs, *handed_on], training=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, ys).mean(), after

        (value, after), grads = jax.value_and_grad(loss, has_aux=True)(params)
        params, state = optimizer.stateless_apply(state, grads, params)
        return (params, state, after), value

    def all_steps(params, state):
        zeros = [jnp.zeros((B, H)), jnp.zeros((B, H))]
        (params, state, _), losses = lax.scan(one_step, (params, state, zeros), (read, targets))
        return params, state, losses[-1]

    jitted = jax.jit(all_steps, donate_argnums=(0, 1))
    params, state = values(model.trainable_variables), values(optimizer.variables)

    def call() -> float:
        nonlocal params, state
        params, state, last = jitted(params, state)
        return float(jax.block_until_ready(last))

    return Run(call)
