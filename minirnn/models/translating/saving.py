"""A Seq2Seq as arrays and JSON, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.models import storage, trees
from minirnn.models.parameters import plain
from minirnn.models.training import History
from minirnn.models.translating import codecs, jobs
from minirnn.params import init_encoder_decoder

MOST = 2**20  # symbols of a target: more would only be written by mistake


def flatten(model) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a fitted model, and what JSON knows of it."""
    arrays = trees.to_arrays("network.", model.params_)
    for side, codec in (("source", model.source_), ("target", model.target_)):
        if isinstance(codec, codecs.Numbers):
            arrays[f"{side}.centres"] = codec.centres
    return arrays, {
        "parameters": {name: plain(value) for name, value in model.fitted_params_.items()},
        "source": model.source_.to_dict(),
        "target": model.target_.to_dict(),
        "longest": model.longest_,
        "history": model.history_.as_dict(),
        "notes": list(model.notes_),
        "devices": model.devices_,
    }


def restore(kind: type, arrays: dict[str, np.ndarray], description: dict[str, Any]):
    """The reverse of :func:`flatten`.

    Raises:
      KeyError: something is missing.
      ValueError: something does not fit together.
    """
    parameters = description["parameters"]
    model = kind(**parameters)
    jobs.check(model.get_params())
    held = sum(array.size for array in arrays.values())
    H, E, layers = (parameters[name] for name in ("hidden_size", "embedding_size", "num_layers"))
    source, target = (_codec(arrays, side, description[side]) for side in ("source", "target"))
    if source.unit != target.unit:
        raise ValueError(f"sources are {source.unit} and targets {target.unit}")
    if target_special(target) != codecs.TARGET:
        raise ValueError("targets have no start and end")
    if H * H * layers > held or E * (source.size + target.size) > held:
        raise ValueError("the file holds fewer weights than its parameters say")  # before room is made for them
    template = init_encoder_decoder(0, jobs.describe(parameters, source.size, target.size))
    params = trees.from_arrays(arrays, "network.", template)
    if arrays:
        raise ValueError(f"unknown arrays: {', '.join(sorted(arrays))[:80]}")
    longest = description["longest"]
    if type(longest) is not int or not 1 <= longest <= MOST:
        raise ValueError(f"longest is {longest!r}")
    model._keep(parameters, source, target, longest, params)
    model.history_ = History.of(description["history"])
    model.notes_ = tuple(str(line) for line in description["notes"])
    model.devices_ = int(description["devices"])
    model.job_, model.padding_ = None, None
    return model


def target_special(codec: codecs.Codec) -> tuple[str, ...]:
    """The special symbols of a side."""
    return codec.special if isinstance(codec, codecs.Numbers) else codec.vocabulary.special


def _codec(arrays: dict[str, np.ndarray], side: str, content: dict[str, Any]) -> codecs.Codec:
    numbers = content["unit"] == "numbers"
    return codecs.of_dict(content, storage.expect(arrays, f"{side}.centres", (None,)) if numbers else None)
