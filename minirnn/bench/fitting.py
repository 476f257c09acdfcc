"""Wall time of training a forecaster: whole processes, with imports and compilation. See :mod:`minirnn.bench.fit`."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minirnn.bench.measure import interleaved, medians
from minirnn.bench.ratios import AS_USED, OWN, best_jax, ratios

SCRIPTS = {OWN: "with_minirnn.py", "torch": "with_torch.py", "keras": "with_keras.py"}
SHAPE = (64, 96, 7, 64)  # (B, T, D, H)
EPOCHS, TRAINING, VALIDATION = 20, 10_000, 2_000


def series(rows: int) -> np.ndarray:
    """Seven columns: sums of a daily and a slower wave of their own, and noise."""
    rng = np.random.default_rng(0)
    time = np.arange(rows)[:, None]
    phase, period = rng.uniform(0, 2 * np.pi, (2, 7)), rng.uniform(60, 200, 7)
    waves = np.sin(2 * np.pi * time / 24 + phase[0]) + np.sin(2 * np.pi * time / period + phase[1])
    return (waves / 2 + rng.normal(0, 0.2, (rows, 7))).astype(np.float32)


def rows(
    names: Sequence[str], rounds: int = 1, epochs: int = EPOCHS, training: int = TRAINING, validation: int = VALIDATION
) -> list[dict]:
    """One row: milliseconds of the whole training, by library; and the losses that each one reached."""
    scripts = {name: script for name, script in SCRIPTS.items() if name in (OWN, *names)}
    failed: dict[str, str] = {}
    reached: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npy"
        np.save(path, series(training + validation + 96 + 24 - 1))

        def run(name: str) -> None:
            if name in failed:
                return
            script = Path(__file__).parent / "fit" / SCRIPTS[name]
            done = subprocess.run(
                [sys.executable, str(script), str(path), str(epochs), str(training)],
                capture_output=True,
                text=True,
                env=_environment(),
            )
            if done.returncode == 0:
                reached[name] = json.loads(done.stdout)
            elif name == OWN:
                raise RuntimeError(f"{script.name} failed:\n{done.stderr}")
            else:
                failed[name] = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]

        seconds = interleaved({name: functools.partial(run, name) for name in scripts}, rounds, warmup=0)
    ms = {name: 1e3 * value for name, value in medians(seconds).items() if name not in failed}
    return [
        {
            "cell": "lstm",
            "shape": list(SHAPE),
            "measure": "fit",
            "comparison": AS_USED,
            "ms": ms,
            "ratio": ratios(ms),
            "best_jax": best_jax(ms),
            "epochs": epochs,
            "windows": [training, validation],
            "rounds": rounds,
            "reached": {name: losses["validation"][-1] for name, losses in reached.items()},
            "failed": failed,
        }
    ]


def _environment() -> dict[str, str]:
    """This process's own, and this minirnn where it is not installed."""
    here = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])}
