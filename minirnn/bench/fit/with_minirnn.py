"""Trains the forecaster with minirnn: ``python with_minirnn.py SERIES.npy EPOCHS WINDOWS``.

By the training loop that its models use, on as many devices as its command would make of the processor's cores.
"""

import importlib
import importlib.util
import json
import os
import sys


def main(path: str, epochs: int, windows: int) -> None:
    """Prints the losses of every epoch."""
    import numpy as np

    options = _devices()

    from minirnn.fast import training as fast
    from minirnn.models.training import train
    from minirnn.params import init_network, stack

    series = np.load(path)
    cut = np.lib.stride_tricks.sliding_window_view(series, 96 + 24, axis=0).swapaxes(1, 2)
    x, y = cut[:, :96].astype(np.float32), cut[:, 96:, 0].astype(np.float32)
    weights = np.ones_like(y)
    training, validation = ([a[part] for a in (x, y, weights)] for part in (slice(windows), slice(windows, None)))

    network = stack("lstm", 64, output_size=24)
    _, history = train(
        fast,
        network,
        [init_network(0, network, 7)],
        training,
        validation,
        rng=np.random.default_rng(0),
        learning_rate=1e-3,
        max_norm=1.0,
        batch_size=64,
        max_epochs=epochs,
        patience=epochs,
        **options,
    )
    losses = [loss for (loss,) in history.loss]
    print(json.dumps({"loss": losses, "validation": [loss for (loss,) in history.validation[1:]]}))


def _devices() -> dict:
    """A mesh as minirnn's command would make it; nothing where the library has no such rule."""
    if not importlib.util.find_spec("minirnn.fast.devices"):
        return {}
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", cores)
    devices = importlib.import_module("minirnn.fast.devices")
    return {"mesh": devices.mesh(devices.devices_for(64, 96, 7, 64, len(jax.devices())))}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
