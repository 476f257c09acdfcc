"""The next character, byte or word of a text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minirnn.data.sequences.vocabulary import Vocabulary
from minirnn.data.words import DataError
from minirnn.models import fitting, trees
from minirnn.models.estimator import Estimator, ParameterError
from minirnn.models.language import preparing, sampling
from minirnn.models.parameters import check_positive, check_whole, is_number, plain
from minirnn.models.scores.texts import bits_per_character
from minirnn.models.sequences import settings
from minirnn.models.training import History
from minirnn.params import Language, init_network

if TYPE_CHECKING:
    from minirnn.models.checkpoint import Checkpoint
    from minirnn.models.language.explaining import Explanation
    from minirnn.models.sequences.evaluation import Evaluation

UNITS = ("characters", "bytes", "words")


class LanguageModel(Estimator):
    """A recurrent network that predicts each symbol of a text from all those before it.

    It is trained by truncated backpropagation: the text is read as several streams side by side, chunk by chunk; the
    state of a stream goes on from chunk to chunk, the gradient stays within one. The learning rate rises at first and
    then falls along a cosine, to zero after the last epoch.

    Args:
      unit: what is predicted: ``"characters"``, ``"bytes"`` (of UTF-8) or ``"words"`` (without the white space).
      cell: ``"lstm"``, ``"gru"`` or ``"rnn"``.
      hidden_size: H, units of each layer.
      num_layers: recurrent layers.
      embedding_size: numbers that a symbol is read as.
      dropout: share of each layer's outputs that are dropped in training.
      window: symbols of a chunk.
      min_count: symbols that occur less often in the training part are taken for one, the unknown one.
      vocabulary_size: symbols at most, the most frequent ones; None for all.
      learning_rate: of Adam, at its highest.
      warm_up: share of the training in which the learning rate rises.
      weight_decay: of AdamW; 0 is Adam.
      batch_size: streams side by side.
      max_epochs: times that the text is read, at most; None is as often as makes eight million symbols, 8 to 100 times.
      patience: epochs without improvement on the validation part before the training ends.
      max_norm: of all gradients together; larger ones are scaled down.
      validation_fraction: share of the text that the best epoch is chosen by.
      test_fraction: share of the text that is never used, but by :meth:`evaluate`.
      seed: of the split, the initial weights, the places where chunks begin, the dropped units.
      backend: ``"fast"``, JAX, or ``"readable"``, NumPy with the hand-derived backward pass.
      progress: show a bar on standard error.

    Attributes:
      vocabulary_: the symbols and their integers.
      weights_: of the network.
      network_: its description.
      history_: what happened in training; its losses are nats for each symbol.
      parts_: documents of training, validation and test; not of a loaded model.
      notes_: what was decided about the text, one sentence each.
      devices_: how many trained.

    >>> texts = ["all work and no play makes jack a dull boy\\n" * 9] * 10
    >>> model = LanguageModel(hidden_size=16, learning_rate=0.03, max_epochs=6, batch_size=4, backend="readable")
    >>> model = model.fit(texts)
    >>> model.score(texts[0]) < 1
    True
    >>> "".join(model.generate("all work", length=7, temperature=0))
    ' and no'
    """

    def __init__(
        self,
        *,
        unit: str = "characters",
        cell: str = "lstm",
        hidden_size: int = 256,
        num_layers: int = 1,
        embedding_size: int = 64,
        dropout: float = 0.1,
        window: int = 64,
        min_count: int = 5,
        vocabulary_size: int | None = 20_000,
        learning_rate: float = 4e-3,
        warm_up: float = 0.03,
        weight_decay: float = 0.0,
        batch_size: int = 32,
        max_epochs: int | None = None,
        patience: int = 3,
        max_norm: float = 1.0,
        validation_fraction: float = 0.05,
        test_fraction: float = 0.1,
        seed: int = 0,
        backend: str = "fast",
        progress: bool = False,
    ):
        self.unit = unit
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding_size = embedding_size
        self.dropout = dropout
        self.window = window
        self.min_count = min_count
        self.vocabulary_size = vocabulary_size
        self.learning_rate = learning_rate
        self.warm_up = warm_up
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.max_norm = max_norm
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.seed = seed
        self.backend = backend
        self.progress = progress

    # ------------------------------------------------------------ fitting

    def _check(self) -> dict[str, Any]:
        parameters = self.get_params()
        settings.check(
            parameters,
            choices={"unit": UNITS},
            whole={"embedding_size": 1, "window": 1, "min_count": 1, "vocabulary_size": 1},
            optional=("vocabulary_size", "max_epochs"),
            shares=("warm_up", "validation_fraction", "test_fraction"),
        )
        check_positive(parameters, ("validation_fraction", "test_fraction"))
        if self.validation_fraction + self.test_fraction >= 1:
            raise ParameterError(
                f"validation_fraction and test_fraction must leave something to train on, got "
                f"{self.validation_fraction!r} and {self.test_fraction!r}"
            )
        return parameters

    def batch_shape(self, data: Any) -> tuple[int, int, int, int]:
        """What one batch of the training will be: streams, symbols, inputs and hidden units (B, T, D, H).

        Raises:
          ParameterError: a parameter is out of its range.
        """
        self._check()
        letters = preparing.characters(preparing.documents(data))
        streams = min(self.batch_size, max(1, letters // self.window))
        return streams, self.window, self.embedding_size, self.hidden_size

    def fit(
        self,
        data: Any,
        *,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Self:
        """Trains on texts: one, or several, or documents of :func:`minirnn.data.sequences.texts.read_texts`.

        Args:
          data: texts; whole ones are held out for validation and test, or the end of each where there are few.
          checkpoint: a file to keep the training in, after every epoch.
          resume: go on from that file, to the same result.
          devices: that share the streams; None takes as many as make it faster.
          optimizer: of the half, instead of Adam.

        Raises:
          ParameterError: a parameter is out of its range.
          DataError: there is too little text.
          TrainingError: the training diverged.
        """
        parameters = self._check()
        with self._whole_or_as_before():
            prepared = preparing.prepare(data, parameters)
            self.parts_, self.vocabulary_ = prepared.parts, prepared.vocabulary
            self.network_ = preparing.network(parameters, self.vocabulary_.size)
            window = min(self.window, len(prepared.train) - 1)
            epochs = self.max_epochs or preparing.epochs(len(prepared.train))
            mesh = fitting.mesh(self.backend, lambda: self.batch_shape(data), devices)
            self.weights_, self.history_ = fitting.train_network(
                fitting.half(self.backend, "language"),
                Language(self.network_, window),
                init_network(self.seed, self.network_, None),
                (prepared.train,),
                (prepared.validation,),
                parameters | {"max_epochs": epochs},
                preparing.drawing(len(prepared.train), self.batch_size, window),
                decay_epochs=epochs,
                warm_up=self.warm_up,
                dropout=self.dropout > 0,
                mesh=mesh,
                checkpoint=checkpoint,
                resume=resume,
                optimizer=optimizer,
                progress=self.progress,
            )
            self.fitted_params_ = parameters
            self.devices_ = 1 if mesh is None else mesh.size
            self.notes_ = (*prepared.notes, *self.history_.notes)
        return self

    # ------------------------------------------------------------ judging

    def _nats(self, sequences: Sequence[np.ndarray]) -> float:
        """What all symbols of some sequences cost together."""
        half = fitting.half(self.backend, "language")
        state = fitting.state_of(half, self.weights_)
        (mean,) = half.evaluate(self._language, state, (preparing.laid_out(sequences),))
        return float(mean) * sum(map(len, sequences))

    @property
    def _language(self) -> Language:
        return Language(self.network_, self.fitted_params_["window"])

    def score(self, text: str) -> float:
        """Bits that each character of a text costs, as the beginning of a document; less is better.

        Raises:
          DataError: the text is empty.
        """
        self._check_fitted()
        encoded = self.vocabulary_.encode(text)
        if not len(encoded):
            raise DataError(f"the text holds no {self.fitted_params_['unit']}: there is nothing to score")
        return bits_per_character(self._nats([encoded]), len(text))

    def evaluate(self) -> Evaluation:
        """The verdict on the test part, which was never used: beside n-gram models of the same symbols.

        Raises:
          ParameterError: the model was loaded: its file holds no test part.
        """
        from minirnn.models.language import judging

        self._check_fitted()
        self._check_parts()
        return judging.evaluate(self)

    def _check_parts(self) -> None:
        if not hasattr(self, "parts_"):
            raise ParameterError(
                "this model was loaded from a file, which holds no test part; fit it again to judge it"
            )

    # ------------------------------------------------------------ writing

    def generate(
        self,
        prompt: str = "",
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """What may follow a prompt, piece by piece: each is there as soon as it is found.

        Args:
          prompt: the beginning of a document; symbols that the model does not know are read as the unknown one.
          length: symbols that follow.
          temperature: 1 as the model believes; less is more careful, and 0 always takes what is most probable.
          top_k: only so many of the most probable symbols; None for all.
          seed: the same seed gives the same text.

        Raises:
          ParameterError: an argument is out of its range.
        """
        self._check_fitted()
        check_whole({"length": length, "top_k": top_k, "seed": seed}, {"length": 0, "top_k": 1, "seed": 0}, ("top_k",))
        if not is_number(temperature) or not 0 <= temperature < np.inf:
            raise ParameterError(f"temperature must be 0 or more, got {temperature!r}")
        read = self.vocabulary_.encode(prompt)
        rng = np.random.default_rng(seed)
        found = sampling.symbols(self._language, self.weights_, read, float(temperature), top_k, rng)
        return sampling.pieces(self.vocabulary_, read, islice(found, length))

    def predict(self, prompts: Sequence[str], length: int = 200) -> list[str]:
        """The most probable continuation of each prompt, symbol by symbol to the end of the line.

        Args:
          prompts: beginnings of documents.
          length: symbols at most; words have no end of line.
        """
        if isinstance(prompts, str):
            raise ParameterError("prompts is one text; expected a list of them")
        return [self._line(prompt, length) for prompt in prompts]

    def _line(self, prompt: str, length: int) -> str:
        line = ""
        for piece in self.generate(prompt, length, temperature=0):
            line += piece
            if "\n" in piece:
                break
        return line.partition("\n")[0]

    def explain(self, text: str | None = None) -> Explanation:
        """Which hidden units follow quotes, brackets, comments, the place in the line and the indentation.

        Args:
          text: in which they are looked for; None takes the test part.

        Raises:
          ParameterError: a loaded model holds no test part; a model of words has no characters.
          DataError: the text is too short.
        """
        from minirnn.models.language import explaining

        self._check_fitted()
        if text is None:
            self._check_parts()
            return explaining.explain(self, [text for _, text in self.parts_.test])
        return explaining.explain(self, [text])

    # ------------------------------------------------------------ files

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return trees.to_arrays("weights.", self.weights_), {
            "parameters": {name: plain(value) for name, value in self.fitted_params_.items() if name != "progress"},
            "vocabulary": self.vocabulary_.to_dict(),
            "history": self.history_.as_dict(),
            "notes": list(self.notes_),
            "devices": self.devices_,
        }

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Self:
        model = cls(**description["parameters"])
        parameters = model._check()
        model.vocabulary_ = Vocabulary.from_dict(description["vocabulary"])
        if model.vocabulary_.unit != model.unit:
            raise ValueError(f"a vocabulary of {model.vocabulary_.unit} in a model of {model.unit}")
        # Before any weights are made of these sizes: a damaged file may ask for a network that no memory holds.
        sizes = arrays["weights.layers[0].E"].shape[1:], arrays["weights.head.W"].shape[:1]
        least = model.hidden_size**2 * model.num_layers, model.embedding_size * model.vocabulary_.size
        held = sum(array.size for array in arrays.values())
        if sizes != ((model.embedding_size,), (model.hidden_size,)) or max(least) > held:
            raise ValueError("the weights are of another network")
        model.network_ = preparing.network(parameters, model.vocabulary_.size)
        model.weights_ = trees.from_arrays(arrays, "weights.", init_network(0, model.network_, None))
        if arrays:
            raise ValueError(f"unexpected array {next(iter(arrays))}")
        model.history_ = History.of(description["history"])
        model.notes_ = tuple(str(line) for line in description["notes"])
        model.devices_ = int(description["devices"])
        model.fitted_params_ = parameters
        return model
