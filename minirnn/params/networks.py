"""Descriptions of networks, their weights, and fresh ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minirnn.params.cells import Array, Params
from minirnn.params.initialisers import INITIALISERS, glorot_uniform


class DenseParams(NamedTuple):
    """Weights of an affine map ``y = h @ W + b``."""

    W: Array  # (H, O)
    b: Array  # (O,)


class NetworkParams(NamedTuple):
    """Weights of a stack of recurrent layers and of the dense head on its last valid step."""

    layers: tuple[Params, ...]
    head: DenseParams


@dataclass(frozen=True)
class Network:
    """Description of a network: a stack of recurrent layers and a dense head on the last valid step.

    Args:
      cell: ``"rnn"``, ``"lstm"``, ``"gru"``, ``"mingru"`` or ``"minlstm"``.
      hidden_size: H, units per layer.
      num_layers: L, recurrent layers; layer l reads the outputs of layer l-1.
      output_size: O, numbers that the head gives for each sequence.
    """

    cell: str = "lstm"
    hidden_size: int = 32
    num_layers: int = 1
    output_size: int = 1


def init_dense(rng, input_size: int, output_size: int, dtype=np.float32) -> DenseParams:
    """Fresh weights of an affine map: Glorot uniform W, zero b."""
    rng = np.random.default_rng(rng)
    return DenseParams(glorot_uniform(rng, input_size, output_size).astype(dtype), np.zeros(output_size, dtype))


def init_network(rng, network: Network, input_size: int, dtype=np.float32) -> NetworkParams:
    """Fresh weights of every layer and of the head, drawn in that order from one generator.

    Raises:
      ValueError: the description names an unknown cell, or a size below 1.
    """
    if network.cell not in INITIALISERS:
        raise ValueError(f"unknown cell {network.cell!r}; expected one of {', '.join(INITIALISERS)}")
    if network.num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {network.num_layers}")
    rng = np.random.default_rng(rng)
    sizes = [input_size] + [network.hidden_size] * (network.num_layers - 1)
    layers = tuple(INITIALISERS[network.cell](rng, size, network.hidden_size, dtype) for size in sizes)
    return NetworkParams(layers, init_dense(rng, network.hidden_size, network.output_size, dtype))
