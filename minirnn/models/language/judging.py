"""How well a language model predicts texts that it has not seen, beside n-gram models of the same symbols."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.words import count
from minirnn.models.language.preparing import characters, encode
from minirnn.models.parameters import plain
from minirnn.models.scores.texts import bits_per_character, perplexity
from minirnn.models.sequences.evaluation import Evaluation
from minirnn.models.simple.ngrams import NgramModel
from minirnn.models.trees import leaves

if TYPE_CHECKING:
    from minirnn.models.language_model import LanguageModel

BITS, PERPLEXITY = "bits per character", "perplexity"
ORDER = 5


def evaluate(model: LanguageModel) -> Evaluation:
    """The verdict on the test part. What the n-gram models may choose, they choose by the validation part."""
    import pandas as pd

    parts, vocabulary = model.parts_, model.vocabulary_
    encoded = {name: encode(vocabulary, getattr(parts, name)) for name in parts._fields}
    symbols = {name: sum(map(len, sequences)) for name, sequences in encoded.items()}
    letters = {name: characters(getattr(parts, name)) for name in parts._fields}
    nats = {title(model): model._nats(encoded["test"])}
    for name, simple in _simple(encoded, vocabulary.size):
        nats[name] = simple.bits(encoded["test"]) * math.log(2) * symbols["test"]
    scores = pd.DataFrame(
        {
            BITS: [bits_per_character(each, letters["test"]) for each in nats.values()],
            PERPLEXITY: [perplexity(each, symbols["test"]) for each in nats.values()],
        },
        index=list(nats),
    )
    return Evaluation(
        scores=scores,
        ranked_by=BITS,
        lower_is_better=True,
        sentence=sentence(scores, len(parts.test), letters["test"]),
        splits={
            name: {
                "documents": len(getattr(parts, name)),
                "characters": letters[name],
                **({} if vocabulary.unit == "characters" else {vocabulary.unit: symbols[name]}),
            }
            for name in parts._fields
        },
        model=about(model),
    )


def title(model: LanguageModel) -> str:
    """The network in a table: ``LSTM, 256 units``."""
    settings = model.fitted_params_
    layers = f"{settings['num_layers']} x " if settings["num_layers"] > 1 else ""
    return f"{settings['cell'].upper()}, {layers}{settings['hidden_size']} units"


def about(model: LanguageModel) -> dict[str, Any]:
    """What made the network's row."""
    history = model.history_
    return {
        "version": __version__,
        **{name: plain(value) for name, value in model.fitted_params_.items() if name != "progress"},
        "symbols": model.vocabulary_.size,
        "weights": sum(leaf.size for leaf in leaves(model.weights_)),
        "devices": model.devices_,
        "epochs": history.epochs,
        "best_epochs": list(history.best),
        "ended": history.ended,
    }


def _simple(encoded: dict[str, list[np.ndarray]], size: int) -> list[tuple[str, NgramModel]]:
    """The stronger of two 5-gram models, and how often each symbol occurs; fitted on all but the test."""
    known = encoded["train"] + encoded["validation"]
    tried = [NgramModel(ORDER, smoothing).fit(encoded["train"], size) for smoothing in ("kneser-ney", "witten-bell")]
    best = min(tried, key=lambda each: each.bits(encoded["validation"]))
    best = NgramModel(ORDER, best.smoothing).fit(known, size)
    return [(best.title, best), ("symbols by themselves", NgramModel(1).fit(known, size))]


def sentence(scores, documents: int, letters: int) -> str:
    """The verdict in words."""
    own, best = scores[BITS].iloc[0], scores[BITS].iloc[1:].min()
    name = scores[BITS].iloc[1:].idxmin()
    where = f"of {count(documents, 'unseen text')} ({count(letters, 'character')})"
    if own < best:
        return (
            f"The network needs {own:.3f} bits for each character {where}, {100 * (1 - own / best):.0f} % fewer than "
            f"the best simpler model ({name}: {best:.3f})."
        )
    return (
        f"The network needs {own:.3f} bits for each character {where} and does not beat the best simpler model "
        f"({name}: {best:.3f}): take the simpler one, or train on more text."
    )
