"""The Forecaster: from a regular time series to a trained, judged and saved forecast."""

from __future__ import annotations

import importlib
import inspect
import os
from typing import Any

import numpy as np
import pandas as pd

from minirnn._version import __version__
from minirnn.data import DataError, Table, calendar, prepare
from minirnn.data.scaling import Scaler
from minirnn.data.splits import Split, chronological_split
from minirnn.data.table import plain_time
from minirnn.data.windows import inputs_at, targets_at
from minirnn.models import baselines, metrics, storage
from minirnn.models.checkpoint import Checkpoint
from minirnn.models.evaluation import Evaluation
from minirnn.models.training import History, train
from minirnn.params import init_network, stack


class ParameterError(ValueError):
    """A parameter out of its range, or rows that do not fit the model; one line that says what was expected."""


# Of the linear part: the strongest penalty whose validation error is within 5 % of the best (see fit).
SLACK = 0.05


class Forecaster:
    """Forecasts the next ``horizon`` values of one column from the last ``window`` rows of all numeric columns.

    What is predicted is the change from the last known value, at all steps ahead at once (a direct head). The forecast
    is the sum of that value, of a linear map of the window (ridge regression), and of what the recurrent network has
    learned to add to it: as in LSTNet (Lai et al. 2018, arXiv 1703.07015), a linear part beside the recurrent one keeps
    the scale of the output tied to that of the input. The head of the network starts at zero; a member that improves
    nothing on the validation rows stays there. ``ensemble`` members, which differ in initial weights and shuffles, are
    trained side by side and averaged.

    Each window enters as its differences from its last value in the target column, standardised values in the other
    columns, and sin and cos of the calendar's cycles.

    Args:
      cell: ``"lstm"``, ``"gru"`` or ``"rnn"``.
      hidden_size: H, units of each layer.
      num_layers: recurrent layers.
      window: rows that the network reads; None chooses by the frequency (30 days, 72 hours, 24 months, ...).
      horizon: steps ahead; None chooses by the frequency (7 days, 24 hours, 12 months, ...).
      seed: of initial weights and shuffles.
      backend: ``"fast"`` (JAX) or ``"readable"`` (NumPy, hand-derived backward pass): the same training to rounding.
      ensemble: members that are averaged.
      learning_rate: of Adam.
      batch_size: windows in a batch.
      max_epochs: at most so many.
      patience: epochs without improvement of any member on the validation rows before training ends.
      max_norm: of all gradients of a member together; larger ones are scaled down.
      validation_fraction: of the rows, after the training rows: for early stopping and every choice.
      test_fraction: of the rows, the last ones: never used in training; 0 leaves no test part.
      progress: show a progress bar on standard error.

    Attributes (after fit):
      table_: the regular series. split_: the rows of its parts. history_: of the training. devices_: how many trained.

    >>> import minirnn
    >>> frame = minirnn.data.load("air_passengers")
    >>> model = minirnn.Forecaster(horizon=3, max_epochs=1, ensemble=1).fit(frame)
    >>> model.predict().index[0]
    Timestamp('1961-01-01 00:00:00')
    """

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 32,
        num_layers: int = 1,
        window: int | None = None,
        horizon: int | None = None,
        seed: int = 0,
        backend: str = "fast",
        *,
        ensemble: int = 5,
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        max_epochs: int = 100,
        patience: int = 10,
        max_norm: float = 1.0,
        validation_fraction: float = 0.15,
        test_fraction: float = 0.25,
        progress: bool = False,
    ):
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.window = window
        self.horizon = horizon
        self.seed = seed
        self.backend = backend
        self.ensemble = ensemble
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.max_norm = max_norm
        self.validation_fraction = validation_fraction
        self.test_fraction = test_fraction
        self.progress = progress

    # ------------------------------------------------------------ parameters, as in scikit-learn

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments of the constructor, as they were given."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params) -> Forecaster:
        """Changes arguments of the constructor; an unknown one is a ParameterError."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ParameterError(f"unknown parameter {name!r}; expected one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = ", ".join(f"{k}={v!r}" for k, v in self.get_params().items() if v != defaults[k])
        return f"Forecaster({changed})"

    def _check_params(self) -> None:
        if self.cell not in ("lstm", "gru", "rnn"):
            raise ParameterError(f"unknown cell {self.cell!r}; expected lstm, gru or rnn")
        if self.backend not in ("fast", "readable"):
            raise ParameterError(f"unknown backend {self.backend!r}; expected fast or readable")
        for name in (
            "hidden_size",
            "num_layers",
            "window",
            "horizon",
            "ensemble",
            "batch_size",
            "max_epochs",
            "patience",
        ):
            value = getattr(self, name)
            optional = name in ("window", "horizon") and value is None
            if not optional and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
                raise ParameterError(f"{name} must be a whole number of at least 1, got {value!r}")
        for name in ("learning_rate", "max_norm"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} must be positive, got {getattr(self, name)!r}")
        for name, least in (("validation_fraction", "above 0"), ("test_fraction", "0 or above")):
            value = getattr(self, name)
            if not (0 <= value < 1 and (value > 0 or name == "test_fraction")):
                raise ParameterError(f"{name} must be {least} and below 1, got {value!r}")
        if not self.validation_fraction + self.test_fraction < 1:
            raise ParameterError(
                f"validation_fraction and test_fraction must leave rows for training, got "
                f"{self.validation_fraction!r} and {self.test_fraction!r}"
            )

    # ------------------------------------------------------------ fitting

    def fit(
        self,
        frame: pd.DataFrame | Table,
        target: str | None = None,
        *,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Forecaster:
        """Trains on the first rows of a series, stops by the next ones, and leaves the last ones for the test.

        Args:
          frame: a DataFrame with a DatetimeIndex, or a Table from ``minirnn.data.read_csv``.
          target: the column to forecast; None takes the only numeric column, or the last one.
          checkpoint: a file that the training is kept in after every epoch, or a
            :class:`minirnn.models.checkpoint.Checkpoint`, which says how often.
          resume: go on from that file; where there is none the training starts anew. The result is that of an
            uninterrupted training, to the last bit if as many devices train.
          devices: how many of JAX's devices share each batch; None takes as many as make the training faster. The
            result depends on their number by rounding only.
          optimizer: of optax (or of ``minirnn.readable.optimizers``), instead of Adam with ``learning_rate`` and
            ``max_norm``. No file holds it: pass the same one again to resume.

        Returns:
          self.

        Raises:
          DataError: the series cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
          CheckpointError: the checkpoint cannot be used; the message says why.
        """
        before = dict(self.__dict__)
        try:
            return self._fit(frame, target, checkpoint, resume, devices, optimizer)
        except BaseException:
            self.__dict__ = before  # a model that was fitted stays what it was, not the weights of one fit with the
            raise  # scaler and the linear part of another

    def _fit(self, frame, target, checkpoint, resume, devices, optimizer) -> Forecaster:
        self._check_params()
        table = frame if isinstance(frame, Table) else prepare(frame, target)
        if target not in (None, table.target):
            raise ParameterError(f"the table was read for the target {table.target!r}; read it again for {target!r}")
        window, horizon, split, notes = self._sizes(table)
        self._check_observed(table, split)
        self.table_, self.split_, self.horizon_, self.window_, self.notes_ = table, split, horizon, window, notes
        self.target_, self.columns_ = table.target, tuple(table.frame.columns)
        self.frequency_, self.units_, self.title_ = table.frequency, dict(table.units), table.title
        self.fitted_params_ = self.get_params()
        self.network_ = stack(self.cell, self.hidden_size, self.num_layers, horizon)
        self.scaler_ = Scaler.fit(table.frame.to_numpy()[: split.train])
        # What predict() starts from, in this process and after loading.
        self.last_rows_ = table.frame.iloc[-window:]

        training, validation = (
            self._windows(table, split.origins(part, window, horizon)) for part in ("train", "validation")
        )
        # The network learns what the linear part leaves over. A linear part that fits the training rows as closely as
        # validation allows would leave residuals unlike those of new rows; hence the stronger penalty.
        self.linear_ = baselines.Ridge.fit(_flat(training), _flat(validation), slack=SLACK)
        training, validation = (self._residual(*windows) for windows in (training, validation))

        members = []
        for k in range(self.ensemble):
            params = init_network(np.random.default_rng([self.seed, k]), self.network_, training[0].shape[2])
            members.append(params._replace(head=params.head._replace(W=np.zeros_like(params.head.W))))
        mesh = self._mesh(table, devices)
        self.members_, self.history_ = train(
            self._half(),
            self.network_,
            members,
            training,
            validation,
            rng=np.random.default_rng(self.seed),
            learning_rate=self.learning_rate,
            max_norm=self.max_norm,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            patience=self.patience,
            progress=self.progress,
            optimizer=optimizer,
            mesh=mesh,
            checkpoint=Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint,
            resume=resume,
        )
        self.devices_ = 1 if mesh is None else mesh.size
        self.notes_ = (*notes, *self.history_.notes)
        return self

    def batch_shape(self, table: Table) -> tuple[int, int, int, int]:
        """What one batch of the training will be: windows, time steps, inputs and hidden units (B, T, D, H).

        Raises:
          DataError: the series cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
        """
        self._check_params()
        window, horizon, split, _ = self._sizes(table)
        windows = len(split.origins("train", window, horizon))
        features = len(calendar.calendar_features(table.frame.index[:1], table.frequency).names)
        return min(self.batch_size, windows), window, table.frame.shape[1] + features, self.hidden_size

    def _mesh(self, table: Table, count: int | None):
        """The devices that train, None for one."""
        if self.backend == "readable":
            if count not in (None, 1):
                raise ParameterError(f"devices is {count}; the NumPy half computes on one processor")
            return None
        from minirnn.fast import devices

        if count is None:
            count = devices.default_count(self.batch_shape(table))
        return devices.mesh(count)

    def _sizes(self, table: Table) -> tuple[int, int, Split, tuple[str, ...]]:
        """Window, horizon and split; what the user did not choose shrinks where the rows are too few for it."""
        horizon = self.horizon or calendar.default_horizon(table.frequency)
        window = self.window or calendar.default_window(table.frequency, horizon)
        first = (window, horizon)
        while True:
            try:
                split = chronological_split(
                    len(table.frame), window, horizon, self.validation_fraction, self.test_fraction
                )
            except DataError:
                if self.window is None and window > max(horizon, 2):
                    window = max(horizon, window // 2, 2)
                elif self.horizon is None and horizon > 1:
                    horizon //= 2
                else:
                    raise
                continue
            if (window, horizon) == first:
                return window, horizon, split, ()
            note = (
                f"{len(table.frame)} rows are too few for window {first[0]} and horizon {first[1]}: "
                f"took window {window} and horizon {horizon}."
            )
            return window, horizon, split, (note,)

    def _check_observed(self, table: Table, split: Split) -> None:
        """Refuses a part most of whose target values had to be filled: it could neither teach nor judge."""
        known = table.observed[table.target].to_numpy()
        for name, rows in split.parts.items():
            seen = int(known[rows.start : rows.stop].sum())
            if 2 * seen < len(rows):
                start, end = (plain_time(table.frame.index[row]) for row in (rows.start, rows.stop - 1))
                raise DataError(
                    f"the {name} part ({start} to {end}) holds only {seen} of {len(rows)} values of {table.target!r}; "
                    "give rows with more values there, or other fractions"
                )

    def _half(self):
        return importlib.import_module(f"minirnn.{self.backend}.training")

    def _values(self, frame: pd.DataFrame) -> np.ndarray:
        """Standardised columns, then the calendar's features: (rows, D)."""
        features = calendar.calendar_features(frame.index, self.frequency_).values
        return np.concatenate([self.scaler_.transform(frame.to_numpy()), features], axis=1)

    def _inputs(self, values: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Windows (n, window, D) in which the target is relative to its last value."""
        inputs = inputs_at(values, origins, self.window_)
        position = self.columns_.index(self.target_)
        inputs[:, :, position] -= inputs[:, -1:, position]
        return inputs.astype(np.float32)

    def _windows(self, table: Table, origins: np.ndarray):
        """Inputs (n, window, D), changes from the last value (n, horizon), and weights, 0 where a target was filled."""
        values = self._values(table.frame)
        y = values[:, self.columns_.index(self.target_)]
        targets = targets_at(y, origins, self.horizon_) - y[origins][:, None]
        known = table.observed[self.target_].to_numpy()
        weights = targets_at(known, origins, self.horizon_)
        return self._inputs(values, origins), targets.astype(np.float32), weights.astype(np.float32)

    def _residual(self, inputs, targets, weights):
        """The same windows, with what the linear part leaves over as target."""
        return inputs, (targets - self.linear_.predict(_flatten(inputs))).astype(np.float32), weights

    # ------------------------------------------------------------ forecasting

    def _fitted(self) -> None:
        if not hasattr(self, "members_"):
            raise ParameterError("this Forecaster is not fitted yet; call fit(frame, target=...) first")

    def _forecast(self, frame: pd.DataFrame, origins: np.ndarray) -> np.ndarray:
        """Forecasts (n, horizon) in the unit of the target."""
        values = self._values(frame)
        position = self.columns_.index(self.target_)
        inputs = self._inputs(values, origins)
        half = self._half()
        state = half.start(half.make_optimizer(self.learning_rate, self.max_norm), self.members_)
        added = np.asarray(half.predict(self.network_, state, inputs), np.float64).mean(axis=0)
        change = self.linear_.predict(_flatten(inputs)) + added
        scaled = values[origins, position][:, None] + change
        return self.scaler_.inverse_column(scaled, position)

    def predict(self, frame: pd.DataFrame | Table | None = None) -> pd.DataFrame:
        """The forecast of the ``horizon`` rows that follow the last row.

        Args:
          frame: rows to start from, with the columns of the training; None starts after the last row that was given
            to :meth:`fit` (test rows included: they are known, though nothing was trained on them).

        Returns:
          A DataFrame with the times ahead as index and the column ``mean``.
        """
        self._fitted()
        rows = self.last_rows_ if frame is None else self._same_columns(frame)
        values = self._forecast(rows, np.array([len(rows) - 1]))[0]
        times = pd.date_range(rows.index[-1], periods=self.horizon_ + 1, freq=self.frequency_)[1:]
        return pd.DataFrame({"mean": values}, index=times.rename(rows.index.name))

    def _same_columns(self, frame: pd.DataFrame | Table) -> pd.DataFrame:
        table = frame if isinstance(frame, Table) else prepare(frame, self.target_)
        missing = [name for name in self.columns_ if name not in table.frame.columns]
        if missing:
            raise ParameterError(
                f"the model was trained with the column {missing[0]!r}, which is missing from the rows given"
            )
        if table.frequency != self.frequency_:
            raise ParameterError(
                f"the rows given have frequency {table.frequency}; the model was trained on {self.frequency_}"
            )
        if len(table.frame) < self.window_:
            raise ParameterError(f"{len(table.frame)} rows given; the model reads windows of {self.window_}")
        return table.frame[list(self.columns_)]

    # ------------------------------------------------------------ judging

    def evaluate(self) -> Evaluation:
        """The errors on the test rows, beside those of every naive forecast on the same rows.

        Raises:
          ParameterError: not fitted, loaded from a file (which holds no test rows), or fitted without a test part.
        """
        self._fitted()
        if not hasattr(self, "table_"):
            raise ParameterError("a loaded model holds no test rows; fit it again to evaluate it")
        table, split, horizon = self.table_, self.split_, self.horizon_
        origins = split.origins("test", self.window_, horizon)
        if not len(origins):
            raise ParameterError("there is no test part: the model was fitted with test_fraction=0")
        y, index = table.frame[self.target_].to_numpy(), pd.DatetimeIndex(table.frame.index)
        season = calendar.season_length(table.frequency)
        parts = split.parts
        climatology = baselines.Climatology.fit(y, index, table.frequency, parts["train"], parts["validation"])
        training, validation, test = (
            self._windows(table, split.origins(part, self.window_, horizon)) for part in parts
        )
        linear = baselines.Ridge.fit(_flat(training), _flat(validation)).predict(_flatten(test[0]))
        forecasts = {
            self.network_.layers[0].cell: self._forecast(table.frame, origins),
            "last_value": baselines.last_value(y, origins, horizon),
            "seasonal_naive": baselines.seasonal_naive(y, origins, horizon, season),
            "drift": baselines.drift(y, origins, horizon),
            "mean": baselines.mean(y, origins, horizon),
            "climatology": climatology.forecast(index, origins, horizon),
            "linear": y[origins][:, None] + linear * self.scaler_.std[self.columns_.index(self.target_)],
        }
        actual = targets_at(y, origins, horizon)
        known = table.observed[self.target_].to_numpy()
        counts = targets_at(known, origins, horizon)
        scale = metrics.mase_scale(y[: split.train], season, known[: split.train])
        return Evaluation(
            network=self.network_.layers[0].cell,
            target=self.target_,
            unit=self.units_.get(self.target_, ""),
            horizon=horizon,
            frequency=table.frequency,
            splits={
                name: {
                    "start": plain_time(index[rows.start]),
                    "end": plain_time(index[rows.stop - 1]),
                    "rows": len(rows),
                    "observed": int(known[rows.start : rows.stop].sum()),
                }
                for name, rows in parts.items()
                if len(rows)
            },
            test={name: metrics.table(actual, forecast, scale, counts) for name, forecast in forecasts.items()},
            origins=pd.DatetimeIndex(index[origins]),
            actual=actual,
            counts=counts,
            forecasts=forecasts,
            model={
                **{name: _plain(value) for name, value in self.fitted_params_.items() if name not in ("progress",)},
                "window": self.window_,
                "horizon": horizon,
                "season": season,
                "linear_part": True,
                "epochs": self.history_.epochs,
                "best_epochs": self.history_.best,
                "ended": self.history_.ended,
                "devices": self.devices_,
                "version": __version__,
            },
        )

    def score(self) -> float:
        """The skill on the test rows, 1 - MAE / MAE of the best other forecast; -inf where only that is perfect."""
        skill = self.evaluate().skill
        return float("-inf") if skill is None else skill

    # ------------------------------------------------------------ keeping

    def save(self, path) -> None:
        """Writes everything that :meth:`predict` needs to one ``.safetensors`` file, whole or not at all."""
        self._fitted()
        arrays = {
            "scaler.mean": self.scaler_.mean,
            "scaler.std": self.scaler_.std,
            "linear.coefficients": self.linear_.coefficients,
            "linear.intercept": self.linear_.intercept,
            "last_rows": self.last_rows_.to_numpy(),
        }
        for k, params in enumerate(self.members_):
            arrays |= storage.network_to_arrays(f"members.{k}", params)
        history = self.history_
        description = {
            # As they were when it was trained: a parameter changed since then does not describe these weights.
            "parameters": {name: _plain(value) for name, value in self.fitted_params_.items()},
            "target": self.target_,
            "columns": list(self.columns_),
            "units": self.units_,
            "title": self.title_,
            "frequency": self.frequency_,
            "window": self.window_,
            "horizon": self.horizon_,
            "index_name": str(self.last_rows_.index.name or "date"),
            "last_time": self.last_rows_.index[-1].isoformat(),
            "linear_penalty": self.linear_.penalty,
            "history": {"best": history.best, "ended": history.ended, "epochs": history.epochs},
            "devices": self.devices_,
        }
        storage.save(path, "Forecaster", arrays, description)

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Forecaster:
        model = cls().set_params(**description["parameters"])
        model._check_params()
        model.fitted_params_ = model.get_params()
        model.target_, model.columns_ = description["target"], tuple(description["columns"])
        model.units_, model.title_ = dict(description["units"]), str(description["title"])
        model.frequency_, model.notes_ = description["frequency"], ()
        model.window_, model.horizon_ = description["window"], description["horizon"]
        columns, window, horizon = len(model.columns_), model.window_, model.horizon_
        if columns != len(set(model.columns_)) or model.target_ not in model.columns_:
            raise ValueError("the columns are not distinct, or the target is not one of them")
        rows = storage.expect(arrays, "last_rows", (window, columns))  # before anything of that length is made
        times = pd.date_range(end=pd.Timestamp(description["last_time"]), periods=window, freq=model.frequency_)
        times = times.rename(description["index_name"])
        model.last_rows_ = pd.DataFrame(rows, index=times, columns=list(model.columns_))
        model.scaler_ = Scaler(*(storage.expect(arrays, f"scaler.{name}", (columns,)) for name in ("mean", "std")))
        if not (model.scaler_.std > 0).all():
            raise ValueError("scaler.std must be positive")
        inputs = columns + len(calendar.calendar_features(times, model.frequency_).names)
        model.linear_ = baselines.Ridge(
            storage.expect(arrays, "linear.coefficients", (window * inputs, horizon)),
            storage.expect(arrays, "linear.intercept", (horizon,)),
            float(description["linear_penalty"]),
        )
        model.network_ = stack(model.cell, model.hidden_size, model.num_layers, horizon)
        model.members_ = [
            storage.network_from_arrays(f"members.{k}", model.network_, inputs, arrays) for k in range(model.ensemble)
        ]
        if arrays:
            raise ValueError(f"unexpected array {sorted(arrays)[0]}")
        model.devices_ = int(description.get("devices", 1))
        kept = description["history"]
        model.history_ = History(best=list(kept["best"]), ended=str(kept["ended"]))
        model.predict()  # a file whose arrays do not fit together fails here, not later
        return model


def _flatten(inputs: np.ndarray) -> np.ndarray:
    """Windows (n, window, D) as rows (n, window * D)."""
    return inputs.reshape(len(inputs), -1)


def _flat(windows):
    """Windows as Ridge takes them."""
    inputs, targets, weights = windows
    return _flatten(inputs), targets, weights


def _plain(value):
    """A NumPy scalar as the Python number that JSON can hold."""
    return value.item() if isinstance(value, np.generic) else value
