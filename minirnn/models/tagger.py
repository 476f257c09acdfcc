"""A label for each step of a sequence, and the spans that they make."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.sequences import ragged
from minirnn.data.sequences.spans import LabelSet, Span
from minirnn.data.sequences.tagged import UNITS, TaggedSequences
from minirnn.data.words import DataError
from minirnn.models import fitting, trees
from minirnn.models.estimator import Estimator, ParameterError
from minirnn.models.parameters import check_shares, check_switches, plain
from minirnn.models.scores import spans as scores
from minirnn.models.sequences import settings
from minirnn.models.tagging import batching, decoding, inputs, judging, parts, reading, windows
from minirnn.models.training import Batches, History
from minirnn.params import Labelling, Tagged

if TYPE_CHECKING:
    from minirnn.models.checkpoint import Checkpoint
    from minirnn.models.sequences.evaluation import Evaluation

_OPEN = {  # what None stands for
    "characters": {"embedding_size": 32, "max_epochs": 8},
    "words": {"embedding_size": 64, "max_epochs": 30},
}


class Tagger(Estimator):
    """Finds spans in sequences: tokens in source, names in sentences. Every character, or every word, gets a tag.

    Tags are IOB2: ``B-X`` begins a span of type X, ``I-X`` goes on with it, ``O`` is outside. A recurrent network says
    how probable each tag is at each step; of all sequences of tags that IOB2 allows, the most probable one is taken
    (the algorithm of Viterbi), so that no ``I-X`` ever stands without its ``B-X``.

    Long sequences are read in windows. A step counts in the one window where it has at least ``context`` steps to both
    sides, or all that its sequence has. Characters are read as symbols. Words are read as symbols, as features (small
    and capital letters, digits, signs, endings), and letter by letter by a recurrent network of its own, which says
    something of words that the training did not have (Lample et al. 2016, arXiv 1603.01360).

    Args:
      cell: ``"lstm"``, ``"gru"`` or ``"rnn"``.
      hidden_size: H, units of each layer and direction.
      num_layers: recurrent layers.
      seed: of initial weights, shuffles, dropped units and the draw of the parts.
      backend: ``"fast"`` (JAX) or ``"readable"`` (NumPy, hand-derived backward pass): the same training to rounding.
      bidirectional: read in both directions; otherwise a tag depends on what stands before it alone.
      embedding_size: of a character or word; None is 32 of a character and 64 of a word.
      letter_size: of the embedding of a word's letters, and units of each direction of their network.
      window: steps of a window that count.
      context: steps before them, and behind them if the network is bidirectional, that are only read.
      dropout: rate, before the recurrent layers, between them and behind them.
      word_dropout: rate at which words are unknown in training, so that the network learns to do without them.
      weight_decay: of AdamW.
      learning_rate: of Adam; it falls to zero along a cosine over ``max_epochs``.
      batch_size: windows or sentences in a batch.
      max_epochs: at most so many; None is 8 for characters and 30 for words.
      patience: epochs without improvement on the validation part before training ends.
      max_norm: of all gradients together; larger ones are scaled down.
      validation_fraction: of the characters or sentences: for early stopping.
      test_fraction: likewise, for the verdict alone; 0 leaves no test part. Data may bring a test part of their own.
      progress: show a progress bar on standard error.

    Attributes (after fit):
      labels_: the tags. inputs_: the vocabularies. parts_: training, validation and test part, not in a file.
      history_: of the training. notes_: what was decided. devices_: how many trained. padding_: see Evaluation.

    >>> from minirnn.data.sequences import tagged
    >>> tags = [["O", "O", "B-N", "I-N"], ["B-N", "O"], ["O", "B-N", "O"]]
    >>> data = tagged.of_tags(["ab12", "7b", "a5a"] * 20, tags * 20)
    >>> model = Tagger(hidden_size=8, max_epochs=20, learning_rate=0.05, batch_size=8, backend="readable").fit(data)
    >>> model.predict(["b42a"])
    [[Span(start=1, stop=3, type='N')]]
    """

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 96,
        num_layers: int = 1,
        seed: int = 0,
        backend: str = "fast",
        *,
        bidirectional: bool = True,
        embedding_size: int | None = None,
        letter_size: int = 25,
        window: int = 400,
        context: int = 200,
        dropout: float = 0.2,
        word_dropout: float = 0.1,
        weight_decay: float = 0.0,
        learning_rate: float = 8e-3,
        batch_size: int = 32,
        max_epochs: int | None = None,
        patience: int = 5,
        max_norm: float = 1.0,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        progress: bool = False,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.seed = seed
        self.backend = backend
        self.bidirectional = bidirectional
        self.embedding_size = embedding_size
        self.letter_size = letter_size
        self.window = window
        self.context = context
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.max_norm = max_norm
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.progress = progress

    # ------------------------------------------------------------ fitting

    def fit(
        self,
        data: TaggedSequences,
        *,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Tagger:
        """Trains on the training part, stops by the validation part, and leaves the test part alone.

        Args:
          data: from :mod:`minirnn.data.sequences.tagged`: its ``of_tags``, ``read_sentences``, ``read_python`` or
            ``library``.
          checkpoint: a file that the training is kept in after every epoch, or a
            :class:`minirnn.models.checkpoint.Checkpoint`, which says how often.
          resume: go on from that file, to the same result; where there is none the training starts anew.
          devices: how many of JAX's devices share each batch; None takes as many as make the training faster.
          optimizer: of optax (or of ``minirnn.readable.optimizers``), instead of Adam.

        Raises:
          DataError: the sequences cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
          CheckpointError: the checkpoint cannot be used; the message says why.
        """
        about = self._resolved(data.unit)
        with self._whole_or_as_before():
            found = parts.split(data, self.validation_fraction, self.test_fraction, self.seed)
            if not any(tags.any() for tags in found.train.tags):
                raise DataError("the training part holds no span: every tag in it is 'O'")
            self.fitted_params_, self.unit_, self.labels_, self.parts_ = about, data.unit, data.labels, found
            self.column_ = data.column
            self.inputs_ = inputs.of(data.unit).of(found.train.sequences)
            self.network_ = self.inputs_.network(about, data.labels.size)
            training, validation = self._windows(found.train), self._windows(found.validation)
            buckets = batching.bucketed(training.lengths, self.batch_size)
            self.padding_ = batching.padding(training.lengths, buckets)
            mesh = fitting.mesh(self.backend, lambda: self.batch_shape(data), devices)
            self.params_, self.history_ = fitting.train_network(
                fitting.half(self.backend, "labelling"),
                Labelling(self.network_, tuple(size for (size,) in buckets.sizes)),
                self.inputs_.init(self.seed, self.network_),
                training,
                batching.portions(validation),
                about,
                lambda rng: Batches(*ragged.batches(rng, buckets, 1)),
                decay_epochs=about["max_epochs"],
                dropout=bool(self.dropout or (data.unit == "words" and self.word_dropout)),
                mesh=mesh,
                checkpoint=checkpoint,
                resume=resume,
                optimizer=optimizer,
                progress=self.progress,
            )
            self.devices_ = 1 if mesh is None else mesh.size
            self.notes_ = (*self._decided(data), *self.history_.notes)
        return self

    def batch_shape(self, data: TaggedSequences) -> tuple[int, int, int, int]:
        """What one batch of the training will be: windows, time steps, inputs and hidden units (B, T, D, H)."""
        about = self._resolved(data.unit)
        longest = max(map(len, data.sequences), default=1)
        steps = min(longest, self.window + sum(self._context))
        if data.unit == "words":  # most sentences are far shorter than the longest one
            steps = min(steps, 2 * max(1, data.steps // max(1, len(data))))
        return self.batch_size, steps, about["embedding_size"], self.hidden_size

    def _resolved(self, unit: str) -> dict[str, Any]:
        """The parameters, with what None stands for; a ParameterError where one is out of range."""
        check(self.get_params())
        return {
            name: _OPEN[unit].get(name) if value is None else plain(value) for name, value in self.get_params().items()
        }

    @property
    def _context(self) -> tuple[int, int]:
        about = getattr(self, "fitted_params_", None) or self.get_params()
        return about["context"], about["context"] if about["bidirectional"] else 0

    def _windows(self, part: TaggedSequences) -> Tagged:
        lengths = np.array([len(sequence) for sequence in part.sequences])
        found = windows.cut(lengths, self.window, *self._context)
        return Tagged(*found, self.inputs_.values(part.sequences), np.concatenate(part.tags).astype(np.int32))

    def _decided(self, data: TaggedSequences) -> list[str]:
        longest = max(map(len, data.sequences))
        notes = [
            "Every tag is found where the network has read at least "
            + " and ".join(f"{n:,} {self.unit_} {where}" for n, where in zip(self._context, ("before", "behind")) if n)
            + " it, or all that there are."
        ]
        return notes if longest > self.window + sum(self._context) else []

    # ------------------------------------------------------------ tagging

    def predict(self, sequences: Sequence[str | Sequence[str]]) -> list[list[Span]]:
        """The spans of texts, or of sentences as sequences of words: (start, stop, type) each.

        Raises:
          ParameterError: they are not what the model was fitted on.
        """
        return [self.labels_.spans(tags) for tags in self.predict_labels(sequences)]

    def predict_tags(self, sequences: Sequence[str | Sequence[str]]) -> list[list[str]]:
        """The IOB2 tag of each character or word."""
        return [self.labels_.decode(tags) for tags in self.predict_labels(sequences)]

    def predict_labels(self, sequences: Sequence[str | Sequence[str]]) -> list[np.ndarray]:
        """The tags as integers of ``labels_``, int32 (T,) for each sequence."""
        return decoding.best(self.log_probabilities(sequences), self.labels_)

    def log_probabilities(self, sequences: Sequence[str | Sequence[str]]) -> list[np.ndarray]:
        """The logarithm of the probability of each tag at each step, (T, L) for each sequence."""
        self._check_fitted()
        if isinstance(sequences, str):
            raise ParameterError("expected a list of sequences, got a single text: put it into a list")
        wanted = "texts" if self.unit_ == "characters" else "sequences of words"
        for sequence in sequences:
            if isinstance(sequence, str) != (self.unit_ == "characters"):
                raise ParameterError(f"this model was fitted on {wanted}, got a {type(sequence).__name__}")
        return reading.log_probabilities(
            self.inputs_, self.network_, self.params_, sequences, self._context, self.backend
        )

    def score(self, data: TaggedSequences) -> float:
        """The F1 of the spans of other sequences, all types together (the one number of CoNLL)."""
        return scores.micro_f1(data.spans(), self.predict(data.sequences))

    def evaluate(self) -> Evaluation:
        """The verdict: spans found in the test part, beside a simple baseline.

        Raises:
          ParameterError: the model has no test part: it was loaded, or fitted without one.
        """
        self._check_fitted()
        if not hasattr(self, "parts_"):
            raise ParameterError("a loaded model holds no test part: use score(data), or fit again")
        if not len(self.parts_.test):
            raise ParameterError("there is no test part: fit with a test_fraction above 0, or with data that bring one")
        return judging.evaluate(self, self.parts_)

    def about(self) -> dict[str, Any]:
        """What made the network: parameters, sizes, seed, version, how the training ended."""
        return {
            **{name: value for name, value in self.fitted_params_.items() if name != "progress"},
            "unit": self.unit_,
            "weights": sum(leaf.size for leaf in trees.leaves(self.params_)),
            "devices": self.devices_,
            "epochs": self.history_.epochs,
            "best_epochs": self.history_.best,
            "ended": self.history_.ended,
            "version": __version__,
        }

    # ------------------------------------------------------------ files

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return trees.to_arrays("network.", self.params_), {
            "parameters": self.fitted_params_,
            "given": {name: plain(value) for name, value in self.get_params().items()},
            "unit": self.unit_,
            "types": list(self.labels_.types),
            "column": self.column_,
            "inputs": self.inputs_.to_dict(),
            "history": self.history_.as_dict(),
            "notes": list(self.notes_),
            "devices": self.devices_,
        }

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Tagger:
        model = cls(**description["given"])
        about, unit = dict(description["parameters"]), description["unit"]
        if unit not in UNITS or set(about) != set(model.get_params()):
            raise ValueError("the description is not that of a Tagger")
        check(about)
        check(model.get_params())
        model.fitted_params_, model.unit_ = about, unit
        model.labels_ = LabelSet(tuple(description["types"]))
        model.column_ = int(description["column"])
        if model.column_ < 0:
            raise ValueError(f"the column of the words is {model.column_}")
        model.inputs_ = inputs.of(unit).from_dict(description["inputs"])
        # Before anything of these sizes is made: a hostile file may ask for more than there is memory.
        sizes = [
            about["hidden_size"] ** 2 * about["num_layers"],
            about["embedding_size"] * model.inputs_.vocabulary.size,
        ]
        if isinstance(model.inputs_, inputs.Words):
            sizes += [about["letter_size"] ** 2, about["letter_size"] * model.inputs_.letters.size]
        if max(sizes) > sum(array.size for array in arrays.values()):
            raise ValueError("the parameters ask for more weights than there are")
        model.network_ = model.inputs_.network(about, model.labels_.size)
        model.params_ = trees.from_arrays(arrays, "network.", model.inputs_.init(0, model.network_))
        if arrays:
            raise ValueError(f"unknown arrays: {', '.join(sorted(arrays))[:80]}")
        model.history_ = History.of(description["history"])
        model.notes_ = tuple(map(str, description["notes"]))
        model.devices_ = int(description["devices"])
        return model


def check(parameters: dict[str, Any]) -> None:
    """Refuses the first parameter of a Tagger that is out of its range."""
    whole = {"embedding_size": 1, "letter_size": 1, "window": 1, "context": 0}
    settings.check(parameters, whole=whole, optional=("embedding_size", "max_epochs"), shares=("word_dropout",))
    check_shares(parameters, ("validation_fraction", "test_fraction"), above=("validation_fraction",))
    check_switches(parameters, ("bidirectional", "progress"))
    if parameters["validation_fraction"] + parameters["test_fraction"] >= 1:
        raise ParameterError("validation_fraction and test_fraction leave nothing to train on; make them smaller")
