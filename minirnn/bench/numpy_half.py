"""Forward and backward pass of the NumPy half, timed in turns with PyTorch's layer on the same numbers.

A pass is: outputs of the whole sequence, then the gradients with respect to weights and inputs from a given gradient of
every output. float32, no update.

Dimension letters: B batch, T time steps, D input size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from minirnn.bench import measure
from minirnn.bench.ratios import geometric_mean
from minirnn.bench.task import Shape

SHAPES: tuple[Shape, ...] = (
    (32, 100, 16, 64),
    (64, 128, 64, 256),
    (128, 24, 1, 32),
    (1, 1000, 16, 128),
    (32, 336, 8, 128),
    (20, 35, 200, 200),
)


def passes(cell: str, shape: Shape, torch: bool) -> dict[str, Callable[[], object]]:
    """Name -> one forward and backward pass, for minirnn's NumPy half and, if wanted, for PyTorch."""
    from minirnn.readable.cells import CELLS

    B, T, D, H = shape
    rng = np.random.default_rng(0)
    module = CELLS[cell]
    params = module.init(0, D, H)
    xs, dys = (rng.standard_normal((T, B, size), dtype=np.float32) for size in (D, H))

    def ours():
        _, _, cache = module.forward(params, xs)
        return module.backward(dys, None, cache)

    return {"minirnn": ours} | ({"torch": _torch_pass(cell, params, xs, dys)} if torch else {})


def _torch_pass(cell, params, xs, dys):
    import torch

    from minirnn.convert import to_torch

    layer = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](xs.shape[2], dys.shape[2])
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch((params,)).items()})
    inputs, cotangent = torch.tensor(xs, requires_grad=True), torch.tensor(dys)

    def theirs():
        layer.zero_grad()
        inputs.grad = None
        outputs, _ = layer(inputs)
        outputs.backward(cotangent)
        return inputs.grad

    return theirs


def run(
    cells: Iterable[str], shapes: Iterable[Shape], torch: bool, rounds: int, warmup: int, progress: Callable = list
) -> dict:
    """Median seconds of every cell and shape, the ratios to PyTorch, and the machine."""
    rows = []
    for cell, shape in progress([(cell, shape) for cell in cells for shape in shapes]):
        seconds = measure.medians(measure.interleaved(passes(cell, shape, torch), rounds, warmup))
        rows.append({"cell": cell, "shape": list(shape), "seconds": seconds})
        if torch:
            rows[-1]["ratio"] = seconds["minirnn"] / seconds["torch"]
    means = {}
    if torch:
        for cell in dict.fromkeys(row["cell"] for row in rows):
            means[cell] = geometric_mean(row["ratio"] for row in rows if row["cell"] == cell)
    return {"rows": rows, "geometric_means": means, "machine": measure.machine()}


def render(result: dict) -> str:
    """The result as text: milliseconds, and minirnn / torch."""
    lines = ["forward and backward pass of minirnn.readable, milliseconds, float32", ""]
    lines.append(f"{'cell':5} {'B, T, D, H':22} {'minirnn':>9} {'torch':>9} {'ratio':>6}")
    for row in result["rows"]:
        times = [
            f"{1e3 * row['seconds'][name]:9.2f}" if name in row["seconds"] else f"{'-':>9}"
            for name in ("minirnn", "torch")
        ]
        ratio = f"{row['ratio']:6.2f}" if "ratio" in row else f"{'-':>6}"
        lines.append(f"{row['cell']:5} {', '.join(map(str, row['shape'])):22} {' '.join(times)} {ratio}")
    lines += [f"{cell:5} {'geometric mean':42} {mean:6.2f}" for cell, mean in result["geometric_means"].items()]
    machine = result["machine"]
    lines += ["", f"{machine['cores']} cores, {machine['processor']}; numpy {machine['versions']['numpy']}"]
    return "\n".join(lines)
