"""What a file holds of a classifier, and how it becomes one again.

What a file says is not to be trusted: whatever does not fit raises a KeyError, TypeError or ValueError, of which
:func:`minirnn.models.storage.load` makes one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.sequences.labelled import Form
from minirnn.models import storage, trees
from minirnn.models.classifying import network
from minirnn.models.classifying.encoders import Encoder, Numbers, Texts
from minirnn.models.parameters import plain
from minirnn.models.training import History
from minirnn.params import init_network

if TYPE_CHECKING:
    from minirnn.models.classifier import Classifier


def flatten(model: Classifier) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and what JSON knows."""
    arrays, encoder = model.encoder_.flatten()
    arrays = {**arrays, **trees.to_arrays("network.", model.params_), "class_weights": model.weights_}
    return arrays, {
        "parameters": {name: plain(value) for name, value in model.fitted_params_.items()},
        "classes": model.classes_.tolist(),
        "texts": model.reads_texts,
        "encoder": encoder,
        "form": None if model.form_ is None else model.form_._asdict(),
        "temperature": model.temperature_,
        "history": model.history_.as_dict(),
        "notes": list(model.notes_),
        "devices": model.devices_,
    }


def restore(
    arrays: dict[str, np.ndarray], description: dict[str, Any]
) -> tuple[tuple[Any, ...], Encoder, np.ndarray, Any, Form | None]:
    """Classes, encoder, weights of the classes, weights of the network, form; the parameters have been checked."""
    parameters, classes = description["parameters"], description["classes"]
    kind = type(classes[0])
    if kind not in (str, int) or any(type(name) is not kind for name in classes) or sorted(set(classes)) != classes:
        raise ValueError("classes are different texts or integers, sorted")
    encoder: Encoder = (Texts if description["texts"] else Numbers).restore(arrays, description["encoder"])
    symbols = encoder.vocabulary.size if isinstance(encoder, Texts) else None
    least = parameters["hidden_size"] ** 2 * parameters["num_layers"]
    least += parameters["embedding_size"] * (symbols or 0)
    if least > sum(array.size for array in arrays.values()):  # before room is made for them
        raise ValueError("the file holds fewer weights than its parameters say")
    template = init_network(0, network.describe(parameters, len(classes), symbols), encoder.input_size)
    params = trees.from_arrays(arrays, "network.", template)
    weights = storage.expect(arrays, "class_weights", (len(classes),))
    if not (weights > 0).all():
        raise ValueError("class weights are positive")
    if arrays:
        raise ValueError(f"unknown arrays: {', '.join(sorted(arrays))[:80]}")
    form = description["form"]
    return tuple(classes), encoder, weights, params, None if form is None else Form.of(form)


def training(description: dict[str, Any]) -> tuple[float, History, tuple[str, ...], int]:
    """Temperature, history, notes, and how many devices trained."""
    temperature = float(description["temperature"])
    if not 0 < temperature < np.inf:
        raise ValueError("the temperature is positive")
    notes = tuple(str(line) for line in description["notes"])
    return temperature, History.of(description["history"]), notes, int(description["devices"])
