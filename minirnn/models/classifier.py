"""A label for each sequence: numeric windows of unequal length, or text."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.sequences import ragged
from minirnn.data.sequences.labelled import Form, Labelled
from minirnn.models import fitting, trees
from minirnn.models.classifying import jobs, network, saving
from minirnn.models.classifying.encoders import Encoder, Texts
from minirnn.models.classifying.examples import examples
from minirnn.models.estimator import Estimator, ParameterError
from minirnn.models.parameters import plain
from minirnn.models.scores.labels import temperature
from minirnn.models.sequences import reading
from minirnn.models.training import Batches

if TYPE_CHECKING:
    from minirnn.models.checkpoint import Checkpoint
    from minirnn.models.sequences.evaluation import Evaluation

OF_TEXTS = ("unit", "embedding_size", "vocabulary_size")  # parameters that say nothing of numbers


class Classifier(Estimator):
    """A label for each sequence: of numbers, in windows of any lengths, or of characters or words.

    Recurrent layers read the sequence, by default in both directions; what they say of its steps is made one vector
    (``pooling``), and a dense layer makes probabilities of it. These are calibrated: one temperature divides all
    logits, that with the least log loss on the validation part (Guo et al. 2017, arXiv 1706.04599). Sequences of about
    the same length share a batch, so that padding costs little.

    Numbers are standardised by the mean and the standard deviation of each column in the training part; a missing value
    is read as the mean, and nothing tells the network that it was missing. Words are read in small letters. Symbols
    that occur only once in the training part are read as one unknown symbol, whose embedding is trained so.

    Args:
      cell: ``"gru"``, ``"lstm"`` or ``"rnn"``.
      hidden_size: H, units of each layer and direction.
      num_layers: recurrent layers.
      bidirectional: read each sequence in both directions.
      pooling: ``"attention"`` (a mean whose weights are learned), ``"mean"``, or ``"last"``: where each direction ends;
        None takes ``"last"`` for numbers and ``"attention"`` for texts.
      memory: for up to so many steps units keep what they hold when training begins, as an event long ago needs it (see
        :func:`minirnn.models.classifying.network.fresh`); None leaves the usual biases. Not of an RNN: it has no gates.
      unit: of texts: ``"words"``, ``"characters"`` or ``"bytes"``.
      embedding_size: of the vectors that stand for symbols.
      vocabulary_size: different symbols at most; rarer ones are unknown.
      class_weights: ``"balanced"`` lets every class count the same, however rare it is: in the training loss, and where
        :meth:`predict` decides. Probabilities are those of the classes as they are frequent in any case.
      dropout: rate, of features: behind the embedding and behind every recurrent layer.
      weight_decay: of AdamW.
      learning_rate: of Adam.
      batch_size: sequences in a batch.
      max_epochs: at most so many.
      patience: epochs without improvement on the validation part before training ends.
      max_norm: of all gradients together; larger ones are scaled down.
      validation_fraction: of the examples: for early stopping and the temperature.
      test_fraction: of the examples: never used in training; 0 leaves no test part. The parts are cut by time where the
        examples have times, else by chance, class by class; the same ones for every seed.
      seed: of initial weights, shuffles and dropped units.
      backend: ``"fast"`` (JAX) or ``"readable"`` (NumPy, hand-derived backward pass): the same training to rounding.
      progress: show a progress bar on standard error.

    Attributes (after fit):
      classes_: the classes, sorted; (C,). history_: of the training. notes_: what was decided. devices_: how many
      trained. temperature_: by which logits are divided. padding_: padded steps for each real one of the training, with
      buckets and in mixed batches.

    >>> import numpy as np
    >>> waves = [np.sin(np.arange(length) * rate) for length in range(10, 40) for rate in (0.5, 1.5)]
    >>> model = Classifier(hidden_size=8, learning_rate=0.03, max_epochs=10, backend="readable")
    >>> _ = model.fit(waves, ["slow", "fast"] * 30)
    >>> model.predict([np.sin(np.arange(25) * 0.5)]).tolist(), model.predict_proba(waves).shape
    (['slow'], (60, 2))
    """

    def __init__(
        self,
        cell: str = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        seed: int = 0,
        backend: str = "fast",
        *,
        bidirectional: bool = True,
        pooling: str | None = None,
        memory: int | None = None,
        unit: str = "words",
        embedding_size: int = 32,
        vocabulary_size: int = 20_000,
        class_weights: str | None = None,
        dropout: float = 0.3,
        weight_decay: float = 0.0,
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        max_epochs: int = 100,
        patience: int = 10,
        max_norm: float = 1.0,
        validation_fraction: float = 0.15,
        test_fraction: float = 0.15,
        progress: bool = False,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.seed = seed
        self.backend = backend
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.memory = memory
        self.unit = unit
        self.embedding_size = embedding_size
        self.vocabulary_size = vocabulary_size
        self.class_weights = class_weights
        self.dropout = dropout
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
        data: Labelled | Iterable[Any],
        y: Iterable[Any] | None = None,
        *,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Classifier:
        """Trains on one part of the examples, stops and calibrates by the next one, and leaves the last for the test.

        Args:
          data: a Labelled of :mod:`minirnn.data`; or texts; or sequences of numbers (T,) or (T, D), of any lengths.
          y: the labels, texts or integers, unless ``data`` holds them.
          checkpoint: a file that the training is kept in after every epoch, or a
            :class:`minirnn.models.checkpoint.Checkpoint`, which says how often.
          resume: go on from that file, to the same result; where there is none the training starts anew.
          devices: how many of JAX's devices share each batch; None takes as many as make the training faster.
          optimizer: of optax (or of ``minirnn.readable.optimizers``), instead of Adam.

        Returns:
          self.

        Raises:
          DataError: the examples cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
          CheckpointError: the checkpoint cannot be used; the message says why.
        """
        parameters = self.get_params()
        with self._whole_or_as_before():
            job = jobs.make(parameters, data, y)
            train, labels = job.rows("train")
            half = fitting.half(self.backend, "labelling")
            mesh = fitting.mesh(self.backend, lambda: job.batch_shape, devices)
            best, history = fitting.train_network(
                half,
                job.labelling,
                network.fresh(job.network, job.encoder.input_size, self.seed, self.memory),
                network.training_data(train, labels, job.weights),
                network.portions(*job.rows("validation"), job.weights),
                parameters,
                lambda rng: Batches(*ragged.batches(rng, job.buckets, 1)),
                dropout=self.dropout > 0,
                mesh=mesh,
                checkpoint=checkpoint,
                resume=resume,
                optimizer=optimizer,
                progress=self.progress,
            )
            self._keep(parameters, job.classes, job.encoder, job.weights, best, job.data.form)
            self.job_: jobs.Job | None = job
            self.history_ = history
            self.devices_ = 1 if mesh is None else mesh.size
            even = len(np.unique(train.lengths)) == 1
            mixed = network.mixed_padding(train.lengths, self.batch_size)
            self.padding_ = None if even else (job.buckets.padding(train.lengths), mixed)
            self.temperature_ = 1.0
            validation, true = job.rows("validation")
            self.temperature_ = temperature(self._logits(validation), true)
            self.notes_ = (*job.data.notes, *job.notes, *history.notes)
        return self

    def _keep(
        self,
        parameters: dict[str, Any],
        classes: tuple[Any, ...],
        encoder: Encoder,
        weights: np.ndarray,
        params: Any,
        form: Form | None,
    ) -> None:
        """What a fit and a file have in common."""
        symbols = encoder.vocabulary.size if isinstance(encoder, Texts) else None
        self.fitted_params_ = parameters
        self.classes_ = np.array(classes)
        self.encoder_, self.weights_, self.params_, self.form_ = encoder, weights, params, form
        self.network_ = network.describe(parameters, len(classes), symbols)

    def batch_shape(self, data: Labelled | Iterable[Any], y: Iterable[Any] | None = None) -> tuple[int, int, int, int]:
        """What the largest batch of the training will be: sequences, steps, inputs and hidden units (B, T, D, H).

        Raises:
          DataError: the examples cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
        """
        return jobs.make(self.get_params(), data, y).batch_shape

    # ------------------------------------------------------------ predicting

    @property
    def reads_texts(self) -> bool:
        """Whether it was fitted to texts, and not to sequences of numbers."""
        self._check_fitted()
        return isinstance(self.encoder_, Texts)

    def predict_proba(self, data: Labelled | Iterable[Any]) -> np.ndarray:
        """The calibrated probability of each class of :attr:`classes_`, (n, C) in float64.

        Raises:
          DataError: an example is not like those of the training.
        """
        self._check_fitted()
        found = examples(data)
        if isinstance(found[0], str) != self.reads_texts:
            raise ParameterError(f"the model was fitted to {'texts' if self.reads_texts else 'sequences of numbers'}")
        return self._probabilities(self.encoder_.encode(found))

    def predict(self, data: Labelled | Iterable[Any]) -> np.ndarray:
        """The label of each example, (n,): the most probable class, balanced if ``class_weights`` are."""
        probabilities = self.predict_proba(data)
        return self.classes_[self.decided(probabilities)]

    def score(self, data: Labelled | Iterable[Any], y: Iterable[Any] | None = None) -> float:
        """The accuracy of :meth:`predict` on labelled examples."""
        true = data.labels if isinstance(data, Labelled) and y is None else y
        if true is None:
            raise ParameterError("there are no labels: pass y, or a Labelled")
        predicted = self.predict(data)
        true = [str(label) for label in true]
        if len(true) != len(predicted):
            raise ParameterError(f"{len(predicted):,} examples and {len(true):,} labels")
        return float(np.mean([str(label) == own for label, own in zip(predicted, true)]))

    def _logits(self, encoded: ragged.Ragged) -> np.ndarray:
        """Of the classes as they are frequent (n, C): what weights added in training is taken away."""
        half = fitting.half(self.backend, "labelling")
        return reading.logits(half, self.network_, self.params_, encoded).astype(np.float64) - np.log(self.weights_)

    def _probabilities(self, encoded: ragged.Ragged) -> np.ndarray:
        return np.exp(reading.log_softmax(self._logits(encoded) / self.temperature_))

    def decided(self, probabilities: np.ndarray) -> np.ndarray:
        """The number of the class that each row is decided for."""
        return np.argmax(probabilities * self.weights_, axis=1)

    # ------------------------------------------------------------ judging

    def evaluate(self) -> Evaluation:
        """Scores on the test part, beside those of the majority class and of nearest neighbours or naive Bayes.

        Raises:
          ParameterError: there is no test part; a model from a file does not hold it.
        """
        from minirnn.models.classifying import judging, parts

        self._check_fitted()
        job = self.job_
        if job is None:
            raise ParameterError("a model from a file holds no test part; fit it, then evaluate")
        if not len(job.parts.test):
            raise ParameterError("there is no test part; fit with a test_fraction above 0")
        probabilities = self._probabilities(job.rows("test")[0])
        return judging.judge(
            self.fitted_params_["cell"],
            [str(name) for name in self.classes_],
            parts.of(job),
            probabilities,
            self.weights_,
            texts=self.reads_texts,
            model=self._about(),
            padding=self.padding_,
        )

    def _about(self) -> dict[str, Any]:
        """What made this model."""
        history = self.history_
        unused = ("progress",) if self.reads_texts else ("progress", *OF_TEXTS)
        return {name: plain(value) for name, value in self.fitted_params_.items() if name not in unused} | {
            "pooling": "last" if self.network_.read == "ends" else self.network_.read,
            "version": __version__,
            "devices": self.devices_,
            "epochs": history.epochs,
            "best_epochs": list(history.best),
            "ended": history.ended,
            "temperature": self.temperature_,
            "weights": int(sum(leaf.size for leaf in trees.leaves(self.params_))),
        }

    # ------------------------------------------------------------ files

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return saving.flatten(self)

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Classifier:
        model = cls(**description["parameters"])
        jobs.check(model.get_params())
        kept = saving.restore(arrays, description)
        model._keep(description["parameters"], *kept)
        model.temperature_, model.history_, model.notes_, model.devices_ = saving.training(description)
        model.job_, model.padding_ = None, None
        return model
