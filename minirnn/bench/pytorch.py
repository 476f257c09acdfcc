"""PyTorch's layer with a dense head, in eager mode.

Eager, because nn.LSTM and nn.GRU already are one call each into compiled code; torch.compile would take them apart.

Dimension letters: T time steps, B batch, D input size, H hidden size.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minirnn.bench.task import LEARNING_RATE, Batches, Run, Shape


class Model(NamedTuple):
    """The layer and its head, and the device that they are on."""

    modules: Any  # torch.nn.ModuleDict: layer, head
    device: str
    note: str


def build(cell: str, shape: Shape) -> Model:
    """torch.nn.LSTM, GRU or RNN and torch.nn.Linear."""
    import jax
    import torch

    _, _, D, H = shape
    # On the kind of device that JAX uses: a GPU against a CPU would compare nothing.
    on_gpu = jax.default_backend() == "gpu"
    device = "cuda" if on_gpu and torch.cuda.is_available() else "cpu"
    note = "two biases per gate"
    if device == "cpu":
        note += "; on one thread or all, whichever is faster"
    if on_gpu and device == "cpu":
        note += "; no CUDA build: on the CPU, while JAX uses a GPU"
    with torch.random.fork_rng():  # the caller's random state stays as it was
        torch.manual_seed(0)
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](D, H)
        modules = torch.nn.ModuleDict({"layer": layer, "head": torch.nn.Linear(H, 1)}).to(device)
    return Model(modules, device, note)


def run(model: Model, measure: str, batches: Batches) -> Run:
    """A run of one pass (of ``task.PASSES``) over the minibatches; train steps with the fused Adam."""
    import torch

    pairs = [(torch.tensor(x, device=model.device), torch.tensor(y, device=model.device)) for x, y in zip(*batches)]
    threads = torch.get_num_threads()
    if model.device == "cpu":
        # Its threads meet at a barrier in every operator: small layers, or a busy machine, are faster on one thread.
        threads = fastest(_passes(copy.deepcopy(model.modules), measure, pairs[:4]), sorted({1, threads}))
    passes = _passes(model.modules, measure, pairs)
    parameters = sum(parameter.numel() for parameter in model.modules.parameters())
    return Run(lambda: passes(threads), parameters=parameters, note=model.note, threads=threads)


def _passes(modules: Any, measure: str, pairs: list) -> Callable[[int], float]:
    """Threads -> the loss of the last minibatch, after all of them."""
    import torch

    optimizer = torch.optim.Adam(modules.parameters(), lr=LEARNING_RATE, fused=True)

    def passes(threads: int) -> float:
        with on_threads(threads), torch.inference_mode(measure == "forward"):
            for xs, ys in pairs:
                optimizer.zero_grad(set_to_none=True)
                hs, _ = modules["layer"](xs)  # (T, B, H)
                loss = torch.nn.functional.mse_loss(modules["head"](hs[-1]), ys)
                if measure != "forward":
                    loss.backward()
                if measure == "train_step":
                    optimizer.step()
            return float(loss.item())  # the only place where a GPU is waited for

    return passes


@contextlib.contextmanager
def on_threads(count: int) -> Iterator[None]:
    """PyTorch on so many threads; afterwards on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest(passes: Callable[[int], float], settings: list[int]) -> int:
    """The setting (threads) with the best of three calls, after one that is not counted."""
    seconds = {}
    for setting in settings:
        passes(setting)
        calls = []
        for _ in range(3):
            start = time.perf_counter()
            passes(setting)
            calls.append(time.perf_counter() - start)
        seconds[setting] = min(calls)
    return min(settings, key=lambda setting: seconds[setting])
