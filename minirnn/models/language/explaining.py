"""What the units of a language model follow in a text: quotes, comments, brackets, the place in the line, indentation.

A unit's activity is what it outputs after reading a character; of an LSTM the tanh of its cell state, which the output
gate has not yet hidden. A unit follows a feature as far as the two are correlated. One of many units always is, by
chance: the unit is chosen in one half of the text, and its correlation measured in the other.

Dimension letters: n characters, N symbols, T symbols, B streams, U units of all layers, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn.data.sequences import python_source
from minirnn.data.sequences.vocabulary import UNKNOWN
from minirnn.data.words import DataError, count
from minirnn.models.estimator import ParameterError
from minirnn.params import BETWEEN, LSTMState, Recurrent, chunks
from minirnn.readable import layers
from minirnn.readable.cells import CELLS

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.models.language_model import LanguageModel

FEATURES = ("inside quotes", "inside a comment", "depth of brackets", "place in the line", "indentation")
MOST = 60_000  # characters that are read
LEAST = 200
STREAMS = 32
PASSAGE = 700  # characters that are shown
DEEPEST, FURTHEST = 6, 80  # brackets and columns beyond which no more is counted


@dataclass(frozen=True)
class Explanation:
    """Which units follow what.

    Args:
      units: one row for each feature: ``layer`` and ``unit`` (from 1) of the one that follows it best, and their
        ``correlation`` in characters that it was not chosen by.
      passage: a piece of the text.
      activity: title of each of these units -> its activity (n,) along the passage, from -1 to 1.
      characters: that were read.
      notes: one sentence for each thing worth knowing.
    """

    units: pd.DataFrame
    passage: str
    activity: dict[str, np.ndarray]
    characters: int
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The one that is followed best, in words."""
        best = str(self.units["correlation"].abs().idxmax())
        row = self.units.loc[best]
        return (
            f"In {count(self.characters, 'character')}, what a unit follows best is {best}: unit {row['unit']:.0f} of "
            f"layer {row['layer']:.0f}, with a correlation of {row['correlation']:+.2f}."
        )

    def as_dict(self) -> dict[str, Any]:
        """All of it in what JSON knows."""
        return {
            "sentence": self.sentence,
            "units": [
                {"feature": str(name), "layer": int(row["layer"]), "unit": int(row["unit"])}
                | {"correlation": round(float(row["correlation"]), 6)}
                for name, row in self.units.iterrows()
            ],
            "passage": self.passage,
            "activity": {title: np.round(each, 4).tolist() for title, each in self.activity.items()},
            "characters": self.characters,
            "notes": list(self.notes),
        }


def explain(model: LanguageModel, texts: Sequence[str]) -> Explanation:
    """Looks for the units in texts, one after the other.

    Raises:
      ParameterError: a model of words: their characters have no activity of their own.
      DataError: the texts are too short, or none of the features varies in them.
    """
    import pandas as pd

    unit = model.fitted_params_["unit"]
    if unit == "words":
        raise ParameterError("explain needs a model of characters or bytes; this one reads words")
    texts = _shortened(texts, MOST)
    letters = sum(map(len, texts))
    if letters < LEAST:
        raise DataError(f"the text has {count(letters, 'character')}; expected at least {LEAST} to tell units apart")
    found = [features(text) for text in texts]
    feature = np.concatenate([each for each, _ in found])  # (n, F)
    active = np.concatenate([_of_characters(model, text) for text in texts])  # (n, U)
    half = letters // 2
    chosen = np.abs(correlations(active[:half], feature[:half])).argmax(axis=0)  # (F,)
    measured = correlations(active[half:], feature[half:])
    varies = [f for f in range(len(FEATURES)) if feature[:half, f].any() and feature[half:, f].std() > 0]
    if not varies:
        raise DataError("the text has no quotes, comments, brackets or lines: give a longer one")
    H = model.fitted_params_["hidden_size"]
    units = pd.DataFrame(
        {
            "layer": [int(chosen[f]) // H + 1 for f in varies],
            "unit": [int(chosen[f]) % H + 1 for f in varies],
            "correlation": [float(measured[chosen[f], f]) for f in varies],
        },
        index=[FEATURES[f] for f in varies],
    )
    start, stop = _passage("".join(texts), feature)
    activity = {
        f"{name}: layer {row['layer']:.0f}, unit {row['unit']:.0f} ({row['correlation']:+.2f})": active[
            start:stop, chosen[f]
        ]
        for f, (name, row) in zip(varies, units.iterrows())
    }
    notes = (
        []
        if all(python for _, python in found)
        else ["A text that is not Python: double quotes are taken for quotes, and comments are not looked for."]
    )
    if len(varies) < len(FEATURES):
        missing = ", ".join(name for name in FEATURES if name not in units.index)
        notes.append(f"Not in this text, or not in both halves of it: {missing}.")
    return Explanation(units, "".join(texts)[start:stop], activity, letters, tuple(notes))


def features(text: str) -> tuple[np.ndarray, bool]:
    """What holds after each character of a text (n, F), in the order of FEATURES; and whether the text is Python."""
    quotes, comments = np.zeros(len(text), bool), np.zeros(len(text), bool)
    try:
        for start, stop, kind in python_source.spans(text):
            if kind == "STRING":
                quotes[start : stop - 1] = True  # after the last quote it is over
            elif kind == "COMMENT":
                comments[start:stop] = True
        python = True
    except DataError:
        quotes = np.cumsum([c == '"' for c in text]) % 2 == 1
        python = False
    depth, column, indent, place, inside = [], [], [], 0, 0
    blank, margin = True, 0
    for c, told in zip(text, quotes | comments):
        if c == "\n":
            place, margin, blank = 0, 0, True
        else:
            place += 1
            blank = blank and c in " \t"
            margin += blank
        if not told:
            inside = max(inside + (c in "([{") - (c in ")]}"), 0)
        depth.append(min(inside, DEEPEST))
        column.append(min(place, FURTHEST))
        indent.append(margin)
    return np.stack([quotes, comments, depth, column, indent], axis=1).astype(np.float64), python


def correlations(active: np.ndarray, feature: np.ndarray) -> np.ndarray:
    """Of each unit (n, U) with each feature (n, F) -> (U, F); 0 where one of them does not vary."""

    def standard(values):
        values = values - values.mean(axis=0)
        scale = np.sqrt((values**2).sum(axis=0))
        return values / np.where(scale > 1e-9, scale, np.inf)

    return standard(active.astype(np.float64)).T @ standard(feature)


def _shortened(texts: Sequence[str], most: int) -> list[str]:
    """The first characters of texts."""
    found, left = [], most
    for text in texts:
        if left > 0 and text:
            found.append(text if len(text) <= left else text[: text.rfind("\n", 0, left) + 1] or text[:left])
            left -= len(text)
    return found


def _of_characters(model: LanguageModel, text: str) -> np.ndarray:
    """The activity (n, U) after each character of a text."""
    active = activities(model, model.vocabulary_.encode(text))
    if model.vocabulary_.unit == "characters":
        return active
    return active[np.cumsum([len(c.encode("utf-8", "surrogatepass")) for c in text]) - 1]


def activities(model: LanguageModel, symbols: np.ndarray) -> np.ndarray:
    """The activity (N, U) of all units after each symbol of a document (N,)."""
    # Each is followed by one that is asked for, the last one too.
    read = np.concatenate([[BETWEEN], symbols, [UNKNOWN]]).astype(np.int32)
    stack = [
        (layer, weights)
        for layer, weights in zip(model.network_.layers, model.weights_.layers)
        if isinstance(layer, Recurrent)
    ]
    states: list[Any] = [None] * len(stack)
    parts = []
    for chunk in chunks(read, STREAMS):
        xs, _ = layers.embedding(model.weights_.layers[0], chunk.read.T)  # (T, B, E)
        seen = []
        for index, (layer, weights) in enumerate(stack):
            xs, states[index], shown = _layer(layer.cell, weights.weights, xs, states[index])
            seen.append(shown)
        parts.append((np.concatenate(seen, axis=-1).swapaxes(0, 1), chunk.asked))  # (B, T, U)
    active, asked = (np.concatenate(each, axis=1) for each in zip(*parts))
    return active[asked][1:]  # stream after stream; without what follows the start of the document


def _layer(cell: str, weights: Any, xs: np.ndarray, state: Any) -> tuple[np.ndarray, Any, np.ndarray]:
    """Outputs (T, B, H), the state after them, and the activity (T, B, H)."""
    if cell != "lstm":
        ys, state, _ = CELLS[cell].forward(weights, xs, state)
        return ys, state, ys
    gates = CELLS[cell].gates(weights, xs, state)
    ys = gates.o * gates.tanh_c
    return ys, LSTMState(ys[-1], gates.c[-1]), gates.tanh_c


def _passage(text: str, feature: np.ndarray) -> tuple[int, int]:
    """The lines of about PASSAGE characters in which the features vary most."""
    scale = np.where(feature.std(axis=0) > 0, feature.std(axis=0), np.inf)
    places = range(0, max(1, len(text) - PASSAGE), PASSAGE // 4)
    start = max(places, key=lambda at: (feature[at : at + PASSAGE].std(axis=0) / scale).clip(max=1).sum())
    start = text.rfind("\n", 0, start) + 1 if start else 0
    stop = text.rfind("\n", start, start + PASSAGE) + 1 or start + PASSAGE
    return start, min(stop, len(text))
