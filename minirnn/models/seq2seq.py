"""From sequences to sequences: translation, transliteration, dates, series."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minirnn._version import __version__
from minirnn.data.sequences import ragged
from minirnn.data.sequences.pairs import Pairs
from minirnn.models import fitting, trees
from minirnn.models.estimator import Estimator, ParameterError
from minirnn.models.parameters import check_whole, plain
from minirnn.models.training import Batches
from minirnn.models.translating import codecs, examples, jobs, saving, writing
from minirnn.models.translating.codecs import Codec
from minirnn.params import init_encoder_decoder

if TYPE_CHECKING:
    from minirnn.models.checkpoint import Checkpoint
    from minirnn.models.sequences.evaluation import Evaluation


class Attention(NamedTuple):
    """Where the decoder looked while it wrote.

    Args:
      weights: (T, S), each row adds up to 1.
      source: S symbols.
      target: T symbols, the last one ``"<end>"``.
    """

    weights: np.ndarray
    source: list[str]
    target: list[str]


class Translation(NamedTuple):
    """What was written for a source.

    Args:
      text: the target.
      log_probability: of all of its symbols and its end, given the source, in nats.
    """

    text: str
    log_probability: float


class Seq2Seq(Estimator):
    """Writes a sequence for each sequence that it reads: a translation, a transliteration, a date in another form.

    An encoder reads the source in both directions; its last states, through a dense layer, are the decoder's first
    ones. The decoder writes one symbol after another, and looks back at the source by attention (Luong et al. 2015,
    arXiv 1508.04025). In training it is fed the true symbols; the loss is the cross-entropy by target symbol, its end
    among them. Pairs of about the same lengths share a batch, so that padding costs little.

    A source symbol that the training did not hold is read as one unknown symbol. So that the network knows what to make
    of it, one training pair in twenty is trained on a second time with a tenth of its source symbols unknown; words
    that only one source holds are unknown as well. No unknown symbol is ever written. A target is at most a quarter
    longer than the longest of the training.

    Series are texts of numbers with blanks between them: each number is one of at most 256 bins, and is written as the
    centre of its bin; what that loses is in ``notes_``.

    Args:
      cell: ``"gru"``, ``"lstm"`` or ``"rnn"``.
      hidden_size: H, units of each layer and direction.
      num_layers: of the encoder, and of the decoder.
      seed: of initial weights, shuffles and dropped units.
      backend: ``"fast"`` (JAX) or ``"readable"`` (NumPy, hand-derived backward pass): the same training to rounding.
      unit: what a symbol is: ``"characters"``, ``"words"`` or ``"numbers"``; ``"auto"`` takes numbers where both sides
        are series of numbers, and characters elsewhere.
      bidirectional: read the source in both directions.
      attention: ``"bilinear"``, ``"additive"``, ``"dot"`` (only with ``bidirectional=False``) or ``"none"``.
      embedding_size: E, numbers that stand for a symbol.
      beam: hypotheses that are kept while a target is written; 1 takes the likeliest symbol at every step.
      unseen: what no other part may hold of the test part: ``"source"``, or ``"both"`` sources and targets.
      dropout: rate, of embeddings and between layers.
      weight_decay: of AdamW.
      learning_rate: of Adam; it falls to zero along a cosine until ``max_epochs``.
      batch_size: pairs in a batch.
      max_epochs: at most so many.
      patience: epochs without improvement on the validation part before training ends.
      max_norm: of all gradients together; larger ones are scaled down.
      validation_fraction: of the different sources: for early stopping.
      test_fraction: of the different sources: never used in training; 0 leaves no test part. The parts are the same
        ones for every seed.
      progress: show a progress bar on standard error.

    Attributes (after fit):
      source_, target_: the symbols of both sides. longest_: symbols of a target at most. history_: of the training.
      notes_: what was decided. devices_: how many trained. padding_: padded steps for each real one of the training,
      with buckets and in mixed batches.

    >>> words = [a + b + c for a in "abc" for b in "abc" for c in "abc"]
    >>> model = Seq2Seq(hidden_size=16, learning_rate=0.03, max_epochs=5, backend="readable")
    >>> model.fit(words, [word[::-1] for word in words]).predict(["abc"])[0] != ""
    True
    """

    def __init__(
        self,
        cell: str = "gru",
        hidden_size: int = 64,
        num_layers: int = 1,
        seed: int = 0,
        backend: str = "fast",
        *,
        unit: str = "auto",
        bidirectional: bool = True,
        attention: str = "bilinear",
        embedding_size: int = 32,
        beam: int = 1,
        unseen: str = "source",
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        learning_rate: float = 4e-3,
        batch_size: int = 64,
        max_epochs: int = 30,
        patience: int = 8,
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
        self.unit = unit
        self.bidirectional = bidirectional
        self.attention = attention
        self.embedding_size = embedding_size
        self.beam = beam
        self.unseen = unseen
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
        data: Pairs | Iterable[str],
        targets: Iterable[str] | None = None,
        *,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Seq2Seq:
        """Trains on one part of the pairs, stops by the next one, and leaves the last one for the test.

        Args:
          data: Pairs of :mod:`minirnn.data.sequences.pairs`, or sources: texts.
          targets: a text for each source, unless ``data`` holds them.
          checkpoint: a file that the training is kept in after every epoch, or a
            :class:`minirnn.models.checkpoint.Checkpoint`, which says how often.
          resume: go on from that file, to the same result; where there is none the training starts anew.
          devices: how many of JAX's devices share each batch; None takes as many as make the training faster.
          optimizer: of optax (or of ``minirnn.readable.optimizers``), instead of Adam.

        Returns:
          self.

        Raises:
          DataError: the pairs cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
          CheckpointError: the checkpoint cannot be used; the message says why.
        """
        parameters = self.get_params()
        with self._whole_or_as_before():
            job = jobs.make(parameters, data, targets)
            mesh = fitting.mesh(self.backend, lambda: jobs.batch_shape(parameters, job.pairs, None), devices)
            best, history = fitting.train_network(
                fitting.half(self.backend, "translating"),
                job.translating,
                init_encoder_decoder(self.seed, job.network),
                job.training,
                job.validation,
                parameters,
                lambda rng: Batches(*ragged.batches(rng, job.buckets, 1)),
                decay_epochs=self.max_epochs,
                dropout=self.dropout > 0,
                mesh=mesh,
                checkpoint=checkpoint,
                resume=resume,
                optimizer=optimizer,
                progress=self.progress,
            )
            self._keep(parameters, job.source, job.target, job.longest, best)
            self.job_: jobs.Job | None = job
            self.history_ = history
            self.devices_ = 1 if mesh is None else mesh.size
            lengths = examples.lengths_of(job.training)
            mixed = ragged.bucketed(lengths, self.batch_size, most=1).padding(lengths)
            self.padding_ = (job.buckets.padding(lengths), mixed) if mixed > 0 else None
            self.notes_ = (*job.notes, *history.notes)
        return self

    def _keep(self, parameters: dict[str, Any], source: Codec, target: Codec, longest: int, params: Any) -> None:
        """What a fit and a file have in common."""
        self.fitted_params_ = parameters
        self.source_, self.target_, self.longest_, self.params_ = source, target, longest, params
        self.network_ = jobs.describe(parameters, source.size, target.size)

    def batch_shape(
        self, data: Pairs | Iterable[str], targets: Iterable[str] | None = None
    ) -> tuple[int, int, int, int]:
        """What one batch of the training will be, about: pairs, steps, inputs and hidden units (B, T, D, H).

        Raises:
          DataError: the pairs cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
        """
        return jobs.batch_shape(self.get_params(), data, targets)

    # ------------------------------------------------------------ writing

    def predict(self, sources: Iterable[str], beam: int | None = None) -> list[str]:
        """The target of each source, as text.

        Args:
          sources: texts.
          beam: hypotheses that are kept; None takes the parameter's. A wider beam never finds a less likely target
            than the greedy choice: the better of the two is returned.

        Raises:
          DataError: a source is empty, or holds what is no number where numbers are read.
          ParameterError: not fitted, or beam is below 1.
        """
        ids, beam = self._read(sources, beam)
        found, _ = writing.write(self._writer(), ids, beam, judged=False)
        return [self.target_.decode(each) for each in found]

    def translate(self, sources: Iterable[str], beam: int | None = None) -> list[Translation]:
        """As :meth:`predict`, with the log-probability of each target."""
        ids, beam = self._read(sources, beam)
        found, totals = writing.write(self._writer(), ids, beam)
        return [Translation(self.target_.decode(each), float(total)) for each, total in zip(found, totals)]

    def attention_of(self, source: str, beam: int | None = None) -> Attention:
        """Where the decoder looked while it wrote the target of a source.

        Raises:
          ParameterError: the model has no attention.
        """
        (ids,), beam = self._read([source], beam)
        if self.network_.attention is None:
            raise ParameterError("the model was fitted with attention='none': there is nothing to show")
        to = self._writer()
        (target,), _ = writing.write(to, [ids], beam, judged=False)
        written = [self.target_.decode(target[k : k + 1]) for k in range(len(target))]
        return Attention(writing.attention(to, ids, target), self.source_.symbols(source), [*written, "<end>"])

    def _read(self, sources: Iterable[str], beam: int | None) -> tuple[list[np.ndarray], int]:
        self._check_fitted()
        beam = self.beam if beam is None else beam
        check_whole({"beam": beam}, {"beam": 1})
        if isinstance(sources, str):
            raise ParameterError("expected a list of sources, got one text")
        sources = list(sources)
        places = [f"source {k}" for k in range(len(sources))]
        jobs.check_texts(sources, places, "text")
        if isinstance(self.source_, codecs.Numbers):
            codecs.series(sources, places, "text")
        return [self.source_.encode(source) for source in sources], int(beam)

    def _writer(self) -> writing.Writer:
        return writing.writer(self.backend, self.network_, self.params_, self.longest_)

    # ------------------------------------------------------------ judging

    def evaluate(self) -> Evaluation:
        """Scores on the test part, beside copying the source and looking up the most similar training source.

        Raises:
          ParameterError: there is no test part; a model from a file does not hold it.
        """
        from minirnn.models.translating import judging

        self._check_fitted()
        job = self.job_
        if job is None:
            raise ParameterError("a model from a file holds no test part; fit it, then evaluate")
        if not len(job.parts.test):
            raise ParameterError("there is no test part; fit with a test_fraction above 0")
        train, test = job.pairs.take(job.parts.train), job.pairs.take(job.parts.test)
        return judging.judge(
            self.fitted_params_["cell"],
            self.source_,
            self.target_,
            train,
            test,
            self.predict(test.sources),
            splits={name: {"pairs": len(getattr(job.parts, name))} for name in ("train", "validation", "test")},
            model=self._about(),
            padding=self.padding_,
        )

    def score(self, data: Pairs | Iterable[str], targets: Iterable[str] | None = None) -> float:
        """The share of the pairs whose targets :meth:`predict` writes exactly."""
        self._check_fitted()
        pairs = jobs.pairs_of(data, targets)
        written = self.predict(pairs.sources)
        return float(np.mean([own == self.target_.plain(true) for own, true in zip(written, pairs.targets)]))

    def _about(self) -> dict[str, Any]:
        """What made this model."""
        history = self.history_
        return {name: plain(value) for name, value in self.fitted_params_.items() if name != "progress"} | {
            "unit": self.source_.unit,
            "source_symbols": self.source_.size,
            "target_symbols": self.target_.size,
            "version": __version__,
            "devices": self.devices_,
            "epochs": history.epochs,
            "best_epochs": list(history.best),
            "ended": history.ended,
            "weights": int(sum(leaf.size for leaf in trees.leaves(self.params_))),
        }

    # ------------------------------------------------------------ files

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return saving.flatten(self)

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Seq2Seq:
        return saving.restore(cls, arrays, description)
