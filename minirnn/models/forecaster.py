"""The Forecaster: from regular time series to a trained, judged, explained, updated and saved forecast."""

from __future__ import annotations

import dataclasses
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.words import DataWarning, listed
from minirnn.models.estimator import Estimator, ParameterError
from minirnn.models.forecasting import fitting, frames, incoming, intervals, jobs, saving, stateful, statics, updating
from minirnn.models.forecasting.series import of_table
from minirnn.models.parameters import plain

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table
    from minirnn.models.backtest import Backtest
    from minirnn.models.checkpoint import Checkpoint
    from minirnn.models.forecasting.explanation import Explanation
    from minirnn.models.forecasting.streaming import Stream
    from minirnn.models.forecasting.updating import Update

__all__ = ["Forecaster", "ParameterError"]


class Forecaster(Estimator):
    """Forecasts the next ``horizon`` values of one or several columns from the last ``window`` rows.

    The forecast is the sum of a reference that moves with the rows (a level and a season), of a linear map of the
    window's deviations from it (ridge regression), and of what a recurrent network has learned to add. The reference
    and the linear part are chosen by cross-validation on the rows before the test part; the network starts at zero, is
    stopped by the validation rows, and counts as much as these speak for it. As in LSTNet (Lai et al. 2018, arXiv
    1703.07015), a linear part beside the recurrent one ties the scale of the output to that of the input; that the
    reference is exponential smoothing follows Smyl (2020).

    Args:
      cell: ``"gru"``, ``"lstm"`` or ``"rnn"``.
      hidden_size: H, units of each layer.
      num_layers: recurrent layers.
      window: rows that the network reads; None chooses by the frequency (30 days, 72 hours, 24 months, ...).
      horizon: steps ahead; None chooses by the frequency (7 days, 24 hours, 12 months, ...).
      seed: of initial weights, shuffles and dropped units.
      backend: ``"fast"`` (JAX) or ``"readable"`` (NumPy, hand-derived backward pass): the same training to rounding.
      strategy: ``"direct"`` (all steps ahead at once), ``"recursive"`` (one step, fed back) or ``"seq2seq"`` (a decoder
        that takes one step for each row ahead).
      segment: rows of a segment; the network then takes one step for each segment, as SegRNN (Lin et al. 2023, arXiv
        2308.11200): for long windows. On four series with windows of 132 to 365 rows a fit took at best a quarter of
        the time, and the network was never more exact for it: so None, row by row, is the default.
      bidirectional: read the window in both directions.
      convolution: width of a convolution over time in front of the recurrent layers; None for none.
      stateful: the network reads every row of a series once and carries its state, instead of reading a window anew
        for every forecast: each row of a stream then costs one step. It is trained on windows.
      likelihood: ``"quantiles"``, ``"gaussian"``, ``"student"`` or ``"none"``: what the network says beyond the mean.
        Whatever it is, intervals are calibrated on rows that it was not trained on.
      reference: ``"auto"``, or what windows are measured from: ``"last"`` value, ``"smoothing"``, ``"season"`` (that
        moves), ``"calendar"`` (a season that is fixed).
      transform: ``"auto"``, ``"none"`` or ``"log"``.
      impute: ``"auto"``, or how missing values are filled: ``"last"``, ``"linear"`` or ``"seasonal"``.
      clip_outliers: clip outliers to the limits of the training rows; they are reported in any case.
      season: rows of a season; None finds it.
      ensemble: members, trained side by side and averaged.
      dropout: rate, between layers and inside the recurrence.
      weight_decay: of AdamW.
      learning_rate: of Adam.
      batch_size: windows in a batch.
      max_epochs: at most so many.
      patience: epochs without improvement of any member on the validation rows before training ends.
      max_norm: of all gradients of a member together; larger ones are scaled down.
      validation_fraction: of the rows, after the training rows: for early stopping and every choice.
      test_fraction: of the rows, the last ones: never used in training; 0 leaves no test part.
      progress: show a progress bar on standard error.

    Attributes (after fit):
      table_: the regular series. notes_: what was decided. history_: of the training. devices_: how many trained.
      plan_: what the forecast is measured from. window_, horizon_, season_: as they were chosen.

    >>> import minirnn
    >>> frame = minirnn.data.load("air_passengers")
    >>> model = minirnn.Forecaster(horizon=3, max_epochs=1, ensemble=1).fit(frame)
    >>> model.predict().index[0]
    Timestamp('1961-01-01 00:00:00')
    """

    def __init__(
        self,
        cell: str = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        window: int | None = None,
        horizon: int | None = None,
        seed: int = 0,
        backend: str = "fast",
        *,
        strategy: str = "direct",
        segment: int | None = None,
        bidirectional: bool = False,
        convolution: int | None = None,
        stateful: bool = False,
        likelihood: str = "quantiles",
        reference: str = "auto",
        transform: str = "auto",
        impute: str = "auto",
        clip_outliers: bool = False,
        season: int | None = None,
        ensemble: int = 5,
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        learning_rate: float = 3e-3,
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
        self.strategy = strategy
        self.segment = segment
        self.bidirectional = bidirectional
        self.convolution = convolution
        self.stateful = stateful
        self.likelihood = likelihood
        self.reference = reference
        self.transform = transform
        self.impute = impute
        self.clip_outliers = clip_outliers
        self.season = season
        self.ensemble = ensemble
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
        frame: pd.DataFrame | pd.Series | np.ndarray | Table,
        target: str | list[str] | None = None,
        *,
        past: list[str] | None = None,
        future: list[str] | None = None,
        static: list[str] | None = None,
        series: str | None = None,
        valid: float | None = None,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        resume: bool = False,
        devices: int | None = None,
        optimizer: Any = None,
    ) -> Forecaster:
        """Trains on the first rows, stops and chooses by the next ones, and leaves the last ones for the test.

        Args:
          frame: a DataFrame with a DatetimeIndex (with ``series``: many series in long form), a Series, an array, or a
            Table from ``minirnn.data.read``.
          target: the column or columns to forecast; None takes the only numeric column, or the last one.
          past: columns known up to now; None takes all other numeric columns.
          future: columns known ahead: plans, holidays, forecasts of others.
          static: columns that say what a series is.
          series: the column that tells series apart.
          valid: the validation fraction of this fit, instead of the parameter's.
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
        roles = {"target": target, "past": past, "future": future, "static": static, "series": series}
        settings = self.get_params() | ({} if valid is None else {"validation_fraction": valid})
        with self._whole_or_as_before():
            return self._fit(settings, incoming.to_fit(frame, roles), None, checkpoint, resume, devices, optimizer)

    def _fit(
        self,
        settings: dict[str, Any],
        table: Table,
        start=None,
        checkpoint=None,
        resume=False,
        devices=None,
        optimizer=None,
    ) -> Forecaster:
        """Fits with these parameters on the rows before the time ``start``, or before the test part."""
        from minirnn.models.checkpoint import Checkpoint

        table, job, notes = jobs.make(settings, table, start)
        self.table_, self.parts_ = table, job.parts
        self.horizon_, self.window_, self.season_ = job.horizon, job.window, job.season
        self.roles_, self.columns_ = table.roles, table.columns
        self.frequency_, self.units_, self.title_ = table.frequency, dict(table.units), table.title
        self.date_column_, self.series_column_ = table.date_column, table.series_column
        self.static_columns_ = job.static_columns
        self.fitted_params_ = settings
        mesh = jobs.mesh(settings, table, devices)
        self.fitted_, self.history_, self.choices_ = fitting.fit(
            job,
            mesh=mesh,
            checkpoint=Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint,
            resume=resume,
            optimizer=optimizer,
            progress=self.progress,
        )
        self.plan_ = self.choices_[0].plan
        # What predict() starts from, in this process and after loading.
        rows = of_table(table, job.horizon)  # as they came, not as they may have been clipped
        self.fitted_ = fitting.calibrated_further(self.fitted_, rows, *job.parts.of("test"), self.backend)
        self.recent_ = frames.recent(rows, self.fitted_)
        self.fitted_ = stateful.carried_to(self.fitted_, rows, self.recent_)
        first, stop = job.parts.of("train")
        moments = self.history_.moments
        self.memory_: updating.Memory | None = updating.remember(self.fitted_, rows, first, stop, moments, self.seed)
        self.devices_ = 1 if mesh is None else mesh.size
        short = self.recent_.known < self.least_
        if short.any():
            names = frames.some_names(self.fitted_.names, short)
            notes += (f"{names} cannot be forecast: fewer than {self.least_} rows.",)
        seen = int((~np.isnan(self.fitted_.calibration.every)).sum(axis=(0, 1)).min())
        if seen < intervals.ENOUGH:
            notes += (f"the intervals rest on {seen} errors, which are too few to tell an interval of 95 % by.",)
        self.notes_ = (*notes, *self.history_.notes)
        return self

    @property
    def reach_(self) -> int:
        """Rows that a forecast depends on, where none is missing."""
        return self.fitted_.reach

    @property
    def least_(self) -> int:
        """Rows without which there is no forecast."""
        return self.fitted_.least

    def batch_shape(self, table: Table) -> tuple[int, int, int, int]:
        """What one batch of the training will be: windows, time steps, inputs and hidden units (B, T, D, H).

        Raises:
          DataError: the series cannot be used; the message says what to do.
          ParameterError: a parameter is out of range.
        """
        return jobs.batch_shape(self.get_params(), table)

    # ------------------------------------------------------------ forecasting

    def predict(self, frame=None, levels: tuple[float, ...] = (0.8, 0.95)) -> pd.DataFrame:
        """The forecast of the ``horizon`` rows that follow the last known row of each series.

        Args:
          frame: rows to start from, with the columns of the training (and known columns of the rows ahead, where the
            model has ``future`` columns); None starts after the last row that was given to :meth:`fit` (test rows
            included: they are known, though nothing was trained on them).
          levels: of the intervals, between 0 and 1. A model of an earlier version (format 1) has none: its forecasts
            are the mean alone, whatever the levels.

        Returns:
          A DataFrame with the times ahead as index and the columns ``mean``, ``lower_80``, ``upper_80``, ...; in long
          form, with the columns ``series`` and ``target``, where there are several of them.

        Warns:
          DataWarning: a column known ahead has no values in the rows ahead; they are filled as missing ones are.
        """
        self._check_fitted()
        levels = frames.check_levels(levels)
        levels = levels if self.fitted_.calibrated else ()
        if frame is None:
            enough = self.recent_.known >= self.least_
            rows, names, statics_ = self.recent_, self.fitted_.names, None
            if not enough.all():
                rows, names = rows.some(enough), tuple(name for name, kept in zip(names, enough) if kept)
        else:
            table = incoming.to_forecast(self, frame)
            rows, names = of_table(table, self.horizon_, self.fitted_.names), table.names
            statics_ = statics.encode(self.static_columns_, table.statics) if self.static_columns_ else None
        prepared = self.fitted_.prepare(rows, statics_)
        means, quantiles = self.fitted_.forecast(rows, rows.last, levels, self.backend, prepared)
        for line in frames.unknown_ahead(rows, self.roles_.future, self.fitted_.encoder.ahead):
            warnings.warn(line, DataWarning, stacklevel=2)
        return frames.forecast_frame(
            means.mean(axis=0),
            quantiles,
            levels,
            rows,
            names,
            self.roles_.target,
            self.horizon_,
            self.date_column_,
            several=len(self.fitted_.names) > 1,
        )

    def update(
        self,
        frame: pd.DataFrame | pd.Series | np.ndarray | Table,
        *,
        epochs: int = 20,
        learning_rate: float | None = None,
        replay: float = 1.0,
        patience: int = 3,
    ) -> Update:
        """Goes on with the training on rows that have come since, and forecasts from the last of them.

        The last quarter of the new rows is held out: training ends when no member does better on it, and what is kept
        are the weights that did best; the old ones, if none did better. The intervals learn from the errors that the
        forecasts before the update made on all new rows.

        Args:
          frame: the new rows, with the columns of the training. Rows that the model knows already are left out; missing
            rows are filled as missing values. Both is said in the notes.
          epochs: at most so many.
          learning_rate: of Adam, whose moments are kept; None takes a third of that of the training.
          replay: old windows that are trained on too, for each new one.
          patience: epochs without improvement of any member before the training ends.

        Returns:
          What was done: errors before and after, whether the new weights were kept, whether the data has drifted.

        Raises:
          ParameterError: not fitted, no row is new, or a row does not fit the model.
        """
        self._check_fitted()
        done = updating.update(
            self,
            incoming.to_update(self, frame),
            epochs=epochs,
            learning_rate=learning_rate,
            replay=replay,
            patience=patience,
        )
        self.notes_ = done.notes
        for name in ("table_", "parts_"):  # of the rows before
            self.__dict__.pop(name, None)
        return done

    def stream(
        self,
        series: str | None = None,
        levels: tuple[float, ...] = (0.8, 0.95),
        *,
        alarm: float = 0.95,
        history: bool = True,
        start=None,
    ) -> Stream:
        """A stream: ``push(row)`` gives the forecast of the rows ahead, and says whether the row is an anomaly.

        Args:
          series: which one, where there are several.
          levels: of the intervals.
          alarm: a row outside the interval of this level, of the forecast made one row before, is an anomaly.
          history: go on after the last known row; otherwise start anew, at the time ``start``.
          start: the time of the first row, without history.

        >>> import minirnn
        >>> model = minirnn.Forecaster(horizon=3, max_epochs=1, ensemble=1, reference="last")
        >>> stream = model.fit(minirnn.data.load("air_passengers")).stream()
        >>> stream.push([450.0]).mean.shape
        (3, 1)
        """
        from minirnn.models.forecasting import streaming

        self._check_fitted()
        names = self.fitted_.names
        if series is None and len(names) == 1:
            series = names[0]
        if series not in names:
            raise ParameterError(f"the model has no series {series!r}; expected one of {listed(names, 5)}")
        levels = frames.check_levels(levels)
        (alarm,) = frames.check_levels((alarm,))
        k = int(np.flatnonzero(self.recent_.which == names.index(series))[0])
        return streaming.open_stream(self, k, levels, alarm, history, start)

    # ------------------------------------------------------------ judging

    def evaluate(self) -> Backtest:
        """The errors on the test rows, beside those of every other forecast on the same rows.

        Raises:
          ParameterError: not fitted, loaded from a file (which holds no test rows), or fitted without a test part.
        """
        from minirnn.models.forecasting import judging

        self._check_fitted()
        if not hasattr(self, "table_"):
            raise ParameterError("a loaded model holds no test rows; fit it again to evaluate it")
        if not self.parts_.rows("test"):
            raise ParameterError("there is no test part: the model was fitted with test_fraction=0")
        return judging.backtest(self, self.parts_)

    def backtest(
        self,
        frame=None,
        *,
        target: str | list[str] | None = None,
        past: list[str] | None = None,
        future: list[str] | None = None,
        static: list[str] | None = None,
        series: str | None = None,
        start=None,
        stride: int = 1,
        refit: bool = False,
    ) -> Backtest:
        """Forecasts from many origins, beside every other forecast on the same rows.

        Args:
          frame: the rows, as for :meth:`fit`; None takes those that the model was fitted on.
          target: as for :meth:`fit`; likewise the other roles.
          past: as for :meth:`fit`.
          future: as for :meth:`fit`.
          static: as for :meth:`fit`.
          series: as for :meth:`fit`.
          start: the first time that is forecast: everything before it trains and validates, and a model of these
            parameters is fitted on it; None judges the test part.
          stride: origins lie so many rows apart.
          refit: fit the model, and every other forecast, anew at each origin on all rows up to it.

        Returns:
          A Backtest; the Forecaster itself stays what it was, unless it was not fitted.
        """
        from minirnn.models.forecasting import judging

        return judging.rolling(
            self,
            frame,
            {"target": target, "past": past, "future": future, "static": static, "series": series},
            start,
            stride,
            refit,
        )

    def score(self) -> float:
        """The skill on the test rows, 1 - MAE / MAE of the best other forecast; -inf where only that is perfect."""
        skill = self.evaluate().skill
        return float("-inf") if skill is None else skill

    # ------------------------------------------------------------ explaining

    def explain(
        self,
        frame=None,
        *,
        target: str | None = None,
        series: str | None = None,
        by_step: bool = False,
        repeats: int = 5,
        seed: int = 0,
    ) -> Explanation:
        """Why the forecast of :meth:`predict` is what it is.

        What each row adds to it (integrated gradients), which columns are important (permutation), what the gates of
        the network do, and which windows of the past looked alike.

        Args:
          frame: rows to start from, as for :meth:`predict`. What has to be tried on other windows is tried on these
            rows; without a frame on the test part, if the model was fitted in this process.
          target: the column whose forecast is explained; None takes the first target.
          series: the series whose forecast is explained; None takes the first one.
          by_step: attributions for each step ahead too, and not only for their mean.
          repeats: how often each column is exchanged.
          seed: of the exchanges.
        """
        from minirnn.models.forecasting import explaining

        self._check_fitted()
        self._reads_windows("explained")
        return explaining.explain(self, frame, target, series, by_step, repeats, seed)

    # ------------------------------------------------------------ keeping

    def _reads_windows(self, done: str) -> None:
        if self.fitted_.carried is not None:
            raise ParameterError(
                f"a model with stateful=True reads a whole series, not windows; it cannot be {done} yet"
            )

    def _flatten(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        return saving.flatten(self)

    def export(self, path, platforms: tuple[str, ...] = ("cpu",), levels: tuple[float, ...] = (0.8, 0.95)) -> None:
        """Writes the forecast function to a zip file that runs with JAX alone, whole or not at all.

        Missing values, the calendar, scales and intervals are part of the function. To run it:

            import zipfile
            from jax import export
            with zipfile.ZipFile("forecast.zip") as file:
                forecast = export.deserialize(bytearray(file.read("forecast.stablehlo")))
            result = forecast.call(values=values, days=days, seconds=seconds)

        ``README.txt`` and ``inputs.json`` in the file say what it takes and gives.

        Args:
          path: of the file, ``.zip``.
          platforms: where it shall run: ``"cpu"``, ``"cuda"``, ``"rocm"``, ``"tpu"``; none of them need be here.
          levels: of the intervals.
        """
        from minirnn.models.forecasting import exporting

        self._check_fitted()
        self._reads_windows("exported")
        exporting.export(self, path, platforms, levels)

    @classmethod
    def _restore(cls, arrays: dict[str, np.ndarray], description: dict[str, Any]) -> Forecaster:
        return saving.restore(cls, arrays, description)

    def _about(self) -> dict[str, Any]:
        """What made this model, for reports."""
        return {
            **{name: plain(value) for name, value in self.fitted_params_.items() if name != "progress"},
            "window": self.window_,
            "horizon": self.horizon_,
            "season": self.season_,
            "plan": dataclasses.asdict(self.plan_),
            "network_share": self.fitted_.share,
            "epochs": self.history_.epochs,
            "best_epochs": self.history_.best,
            "ended": self.history_.ended,
            "devices": self.devices_,
            "version": __version__,
        }
