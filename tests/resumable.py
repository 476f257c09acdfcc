"""A small training that can be cut off and resumed: in a test, or as a process of its own that can be killed.

``python tests/resumable.py CHECKPOINT`` says when an epoch begins and ends.
"""

import sys

import numpy as np
import optax

from minirnn import readable
from minirnn.fast import training as fast
from minirnn.models.checkpoint import Checkpoint
from minirnn.models.training import train
from minirnn.params import init_network, stack
from minirnn.readable import optimizers, training


def windows(n, T, seed):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((n, T, 2)).astype(np.float32)
    targets = np.tanh(inputs.sum(axis=1)) + 0.1 * rng.standard_normal((n, 2)).astype(np.float32)
    return inputs, targets, np.ones((n, 2), np.float32)


def run(path=None, resume=False, half=training, *, n=40, T=5, hidden_size=3, seed=0, noise=0.0, **changes):
    """Two members; ``changes`` are arguments of train."""
    network = stack("gru", hidden_size, num_layers=1, output_size=2)
    data = windows(n, T, seed=1)
    settings = {
        "rng": np.random.default_rng(seed),
        "learning_rate": 0.01,
        "max_norm": 1.0,
        "batch_size": 16,
        "max_epochs": 6,
        "patience": 50,
        "checkpoint": None if path is None else Checkpoint(path),
        "resume": resume,
        **changes,
    }
    members = [init_network(k, network, 2) for k in range(2)]
    data[0][0, 0, 0] += noise
    return train(half, network, members, data, windows(20, T, seed=2), **settings)


def momentum(learning_rate=0.05):
    """An optimiser of NumPy's half that is not its usual one."""
    return optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.sgd(learning_rate, momentum=0.9))


SCHEDULED = optax.chain(  # with counts, two moments, and accumulated gradients
    optax.clip_by_global_norm(1.0),
    optax.MultiSteps(optax.adamw(optax.cosine_decay_schedule(0.01, 400)), every_k_schedule=3).gradient_transformation(),
)
# Epochs long enough to be hit in the middle.
LONG = {"half": fast, "n": 1500, "T": 20, "hidden_size": 16, "max_epochs": 4, "optimizer": SCHEDULED}


def leaves(members):
    return [array for params in members for array in readable.optimizers.tree_leaves(params)]


if __name__ == "__main__":
    epoch = fast.epoch

    def telling(*arguments, **options):
        print("begins", flush=True)
        result = epoch(*arguments, **options)
        print("ends", flush=True)
        return result

    fast.epoch = telling
    run(sys.argv[1], **LONG)
