"""The network of a classifier, and what it is trained on.

Dimension letters: n sequences, N steps of all of them, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.data.sequences.ragged import Ragged, bucketed
from minirnn.params import (
    GRU_GATES,
    LSTM_GATES,
    Directions,
    Dropout,
    Embedding,
    Labelled,
    Network,
    NetworkParams,
    Recurrent,
    gate_block,
    init_network,
)

MOST = 256  # sequences of a validation part that are read at a time
SHAPES = 4  # lengths at most that they are padded to


def describe(parameters: Mapping[str, Any], classes: int, symbols: int | None) -> Network:
    """The description of the network.

    Args:
      parameters: of the model.
      classes: C.
      symbols: of the vocabulary; None where sequences are numbers.
    """
    drop = (Dropout(parameters["dropout"]),) if parameters["dropout"] else ()
    recurrent = Recurrent(parameters["cell"], parameters["hidden_size"], bidirectional=parameters["bidirectional"])
    first = () if symbols is None else (Embedding(symbols, parameters["embedding_size"]), *drop)
    layers = (*first, *(recurrent, *drop) * parameters["num_layers"])
    ends = "ends" if parameters["bidirectional"] else "last"
    pooling = parameters["pooling"] or ("last" if symbols is None else "attention")
    read = ends if pooling == "last" else pooling
    return Network(layers, classes, read)


def fresh(network: Network, input_size: int | None, seed: int, memory: int | None) -> NetworkParams:
    """Fresh weights; with ``memory``, units that at first keep what they hold for up to so many steps.

    In each step a unit keeps t / (1 + t) of it, t drawn uniformly from 1 to ``memory`` (Tallec and Ollivier 2018, arXiv
    1804.11188): the bias of an LSTM's forget gate is log t, that of its input gate -log t, and that of a GRU's update
    gate -log t. With the usual biases half of a GRU's state is gone after one step, and no gradient comes back from an
    event a hundred steps ago.

    Args:
      network: the description.
      input_size: D, or None for symbols.
      seed: of all that is drawn.
      memory: steps, at least 2; None leaves the usual biases.
    """
    params = init_network(seed, network, input_size)
    if memory is None:
        return params
    rng = np.random.default_rng([seed, 2])
    for layer, own in zip(network.layers, params.layers):
        if isinstance(layer, Recurrent):
            for weights in own.weights if isinstance(own.weights, Directions) else (own.weights,):
                H = layer.hidden_size
                bias = np.log(rng.uniform(1, memory, H)).astype(weights.b.dtype)
                if layer.cell == "lstm":
                    weights.b[gate_block("f", LSTM_GATES, H)] = bias
                    weights.b[gate_block("i", LSTM_GATES, H)] = -bias
                else:
                    weights.b[gate_block("z", GRU_GATES, H)] = -bias
    return params


def balance(labels: np.ndarray, classes: int, class_weights: str | None) -> np.ndarray:
    """What each class counts (C,): 1, or balanced so that all classes together count the same, whatever their number.

    A class that the training part does not hold cannot be balanced: it counts 1, or the little that there is of it in
    the validation part would decide when to stop.

    >>> balance(np.array([0, 0, 0, 1]), 2, "balanced").round(2)
    array([0.67, 2.  ])
    """
    if class_weights is None:
        return np.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 1.0)


def training_data(data: Ragged, labels: np.ndarray, weights: np.ndarray) -> Labelled:
    """What an epoch takes; ``labels`` (n,), ``weights`` (C,) of the classes."""
    return Labelled(data.starts, data.lengths, labels.astype(np.int32), weights[labels].astype(np.float32), data.values)


def portions(data: Ragged, labels: np.ndarray, weights: np.ndarray) -> tuple[Labelled, ...]:
    """The validation part in portions of about the same length."""
    kinds = bucketed(data.lengths, MOST, SHAPES).kinds
    whole = training_data(data, labels, weights)
    return tuple(
        whole._replace(
            starts=whole.starts[own], lengths=whole.lengths[own], labels=whole.labels[own], weights=whole.weights[own]
        )
        for own in (kinds == kind for kind in range(kinds.max() + 1))
    )


def mixed_padding(lengths: np.ndarray, batch_size: int) -> float:
    """Padded steps for each real one if batches were mixed at random: what buckets are measured against."""
    order = np.random.default_rng(0).permutation(lengths)
    size = min(batch_size, len(order))
    batches = np.resize(order, -(-len(order) // size) * size).reshape(-1, size)
    return float(batches.max(axis=1).sum() * size / lengths.sum() - 1)
