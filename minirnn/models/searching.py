"""Search for the parameters of a Forecaster: seeded, random, with successive halving, on the validation rows only.

Nine configurations are drawn and trained for a ninth of the epochs; the best third go on to a third of them, and the
best of those to the end (successive halving: Jamieson and Talwalkar 2016, arXiv 1502.07943); then the next nine. The
first training of all is that of the parameters as they were given, to the end: what every other has to beat. What comes
next depends on the seed and the errors so far, never on the clock: time and the number of trainings only end the
sequence, so that it can be gone on with.

A search reads the training and the validation rows. The test rows stay for the verdict on what was found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.words import DataError
from minirnn.models import metrics
from minirnn.models.checkpoint import Checkpoint
from minirnn.models.configurations import configuration
from minirnn.models.forecaster import Forecaster, ParameterError
from minirnn.models.forecasting import fitting, incoming, jobs, settings
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.fitted import Fitted
from minirnn.models.forecasting.jobs import Job
from minirnn.models.training import TrainingError
from minirnn.models.trials import SearchError, Trial, replayed, row_of
from minirnn.models.trials import kept as read_trials
from minirnn.models.trials import write as write_trials

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table

BRACKET, KEEP = 9, 3  # configurations that start together; every third goes on


@dataclass(frozen=True)
class Search:
    """What a search has found.

    Args:
      trials: every training, in order.
      parameters: what was given to the Forecaster.
      metric: ``"MAE"``, or ``"MASE"`` for several targets or series.
      ended: ``"budget"``, ``"trials"`` or ``"interrupted"``.
    """

    trials: tuple[Trial, ...]
    parameters: dict[str, Any]
    metric: str
    ended: str

    @property
    def best_trial(self) -> Trial:
        """The least error among the longest trainings."""
        longest = max(trial.epochs for trial in self.trials)
        return min((trial for trial in self.trials if trial.epochs == longest), key=lambda trial: trial.rank)

    @property
    def best(self) -> dict[str, Any]:
        """Parameters of the Forecaster: ``Forecaster(**search.best)``."""
        return self.parameters | self.best_trial.parameters

    @property
    def gain(self) -> float | None:
        """1 - error / error of the parameters that were given, on the validation rows."""
        own, given = self.best_trial.error, self.trials[0].error
        return 1 - own / given if own is not None and given else None

    @property
    def table(self) -> pd.DataFrame:
        """A row for each training, the best first: the longest, and of these the least error."""
        import pandas as pd

        order = sorted(self.trials, key=lambda trial: (-trial.epochs, *trial.rank))
        return pd.DataFrame([row_of(trial) for trial in order]).set_index("trial")

    @property
    def sentence(self) -> str:
        """What was found, how it was judged."""
        best, first = self.best_trial, self.trials[0]
        if best.error is None:
            return "No training succeeded."
        if not any(trial.configuration and trial.epochs == best.epochs for trial in self.trials):
            return (
                f"The search ended before anything else was trained to the end ({len(self.trials)} trainings): give it "
                f"more {'trials' if self.ended == 'trials' else 'time'}."
            )
        if best.configuration == 0:
            return (
                f"Nothing that was tried is better on the validation rows than what was given ({self.metric} "
                f"{best.error:.4g}, {len(self.trials)} trainings)."
            )
        than = "" if first.error is None else f" against {first.error:.4g} of what was given"
        if best.share == 0:
            return (
                f"The best forecast of {len(self.trials)} trainings ({self.metric} {best.error:.4g}{than} on the "
                "validation rows) does without its network: choose by something else than its parameters."
            )
        return (
            f"The best of {len(self.trials)} trainings has {self.metric} {best.error:.4g}{than} on the validation "
            "rows, which chose it: only the test rows, which no search has seen, say what it is worth."
        )


def search(
    frame: pd.DataFrame | pd.Series | np.ndarray | Table,
    target: str | list[str] | None = None,
    *,
    past: list[str] | None = None,
    future: list[str] | None = None,
    static: list[str] | None = None,
    series: str | None = None,
    budget: float | None = 300.0,
    trials: int | None = None,
    out: str | os.PathLike | None = None,
    resume: bool = False,
    report: Callable[[Trial], None] | None = None,
    **parameters: Any,
) -> Search:
    """Looks for better parameters of a Forecaster.

    Args:
      frame: the rows, as for :meth:`minirnn.Forecaster.fit`.
      target: as there.
      past: as there.
      future: as there.
      static: as there.
      series: as there.
      budget: seconds; no training begins that would probably end later. None: only ``trials`` ends the search.
      trials: at most so many trainings, those of an earlier search that is resumed included.
      out: a CSV file with every training so far, written whole after each of them.
      resume: go on from that file, to the same sequence of trainings; anew where there is none.
      report: called with each new Trial.
      **parameters: of the Forecaster: these are given, and not searched. ``seed`` is also that of the search,
        ``max_epochs`` that of the longest trainings.

    Returns:
      A Search: its ``table``, and ``best``, parameters for a Forecaster.

    Raises:
      SearchError: the budget or the file cannot be used.
      ParameterError: a parameter is unknown or out of its range.
      DataError: the rows cannot be used.
    """
    if budget is not None and not 0 < budget < math.inf:
        raise SearchError(f"budget must be a positive number of seconds, got {budget!r}")
    if trials is not None and (isinstance(trials, bool) or not isinstance(trials, int) or trials < 1):
        raise SearchError(f"trials must be a whole number of at least 1, got {trials!r}")
    if budget is None and trials is None:
        raise SearchError("a search needs an end: give a budget in seconds, or a number of trials")
    if resume and out is None:
        raise SearchError("resume needs the file of the trials")
    started = time.monotonic()
    base = Forecaster().set_params(**parameters)
    settings.check(base.get_params())
    table = incoming.to_fit(
        frame, {"target": target, "past": past, "future": future, "static": static, "series": series}
    )
    bench = _Bench(base, parameters, table)
    kept = read_trials(out, resume, bench.identity)
    done: list[Trial] = []
    ended = "trials"
    with tempfile.TemporaryDirectory(prefix="minirnn-search-") as folder:
        sequence = _sequence(_levels(base.max_epochs))
        number, epochs = next(sequence)
        while trials is None or len(done) < trials:
            if len(done) < len(kept):
                again = bench.parameters(number)
                trial = replayed(kept[len(done)], len(done) + 1, number, epochs, again, out or "")
            else:
                expected = max((t.seconds for t in done if t.epochs == epochs), default=0.0)
                if budget is not None and done and time.monotonic() - started + expected > budget:
                    ended = "budget"
                    break
                try:
                    trial = bench.run(len(done) + 1, number, epochs, Path(folder))
                except KeyboardInterrupt:
                    ended = "interrupted"
                    break
            done.append(trial)
            if len(done) > len(kept):
                if out is not None:
                    write_trials(out, done, bench.identity)
                if report is not None:
                    report(trial)
            number, epochs = sequence.send(trial.rank)
    if not done:
        raise KeyboardInterrupt
    return Search(tuple(done), parameters, bench.metric, ended)


def _levels(most: int) -> tuple[int, ...]:
    """The epochs of each round of a bracket."""
    return tuple(sorted({max(most // KEEP**k, 1) for k in range(3)}))


def _sequence(levels: tuple[int, ...]) -> Generator[tuple[int, int], tuple[float, float, int], None]:
    """(configuration, epochs) of one training after the other; is sent the rank of each."""
    yield 0, levels[-1]
    first = 1
    while True:
        alive = list(range(first, first + BRACKET))
        for epochs in levels:
            ranks = {}
            for number in alive:
                ranks[number] = yield number, epochs
            alive = sorted(sorted(alive, key=ranks.__getitem__)[: max(len(alive) // KEEP, 1)])
        first += BRACKET


class _Bench:
    """The rows, and what trainings share."""

    def __init__(self, base: Forecaster, given: dict[str, Any], table: Table):
        self.base, self.given, self.table = base, given, table
        usual, horizon, _, _ = jobs.sizes(base.get_params(), table)
        self.windows = self._windows(usual, horizon)
        self.metric = "MAE" if len(table.roles.target) == table.series == 1 else "MASE"
        self.identity = self._identity()
        # By window, and whether one step is forecast: they do not depend on the network.
        self.choices: dict[tuple[int, bool], tuple[Choice, ...]] = {}

    def _windows(self, usual: int, horizon: int) -> tuple[int, ...]:
        """The usual window, and others that the rows have room for, each at most half of the training rows."""
        found = [usual]
        rows = int((np.diff(self.table.bounds)).max() * (1 - self.base.validation_fraction - self.base.test_fraction))
        for window in (usual // 2, usual * 3 // 2, usual * 2, usual * 3):
            try:
                if 2 <= window <= rows // 2 and window not in found:
                    jobs.sizes(self.base.get_params() | {"window": window, "horizon": horizon}, self.table)
                    found.append(window)
            except DataError:
                continue
        return tuple(found)

    def _identity(self) -> str:
        """What decides the sequence and its errors, in few letters."""
        table = self.table
        text = json.dumps(
            [__version__, table.columns, table.roles.target, table.names, table.frequency, _plain(self.given)]
        )
        parts = [text.encode(), table.values.tobytes(), table.bounds.tobytes(), np.asarray(table.starts).tobytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

    def parameters(self, number: int) -> dict[str, Any]:
        """Of a configuration."""
        return configuration(number, self.given, self.windows, self.base.seed)

    def run(self, trial: int, number: int, epochs: int, folder: Path) -> Trial:
        """One training, gone on from where that of fewer epochs ended."""
        started, parameters = time.monotonic(), self.parameters(number)
        model = Forecaster().set_params(
            **self.base.get_params() | parameters | {"max_epochs": epochs, "progress": False}
        )
        error = alone = share = None
        problem = ""
        try:
            table, job, _ = jobs.make(model.get_params(), self.table)
            alike = (job.window, parameters["strategy"] == "recursive")
            kept = Checkpoint(folder / f"{number}.safetensors", every_epochs=10**9)
            mesh = jobs.mesh(model.get_params(), table, None)
            fitted, history, choices = fitting.fit(
                job, choices=self.choices.get(alike), mesh=mesh, checkpoint=kept, resume=True
            )
            self.choices[alike] = choices
            if history.ended == "interrupted":
                raise KeyboardInterrupt
            share = fitted.share
            error, alone = (_error(job, each, choices) for each in (fitted, dataclasses.replace(fitted, share=1.0)))
        except (TrainingError, DataError, ParameterError) as failure:
            if number == 0 and not isinstance(failure, TrainingError):
                raise
            problem = " ".join(str(failure).split())
        return Trial(trial, number, epochs, parameters, error, alone, share, time.monotonic() - started, problem)


def _error(job: Job, fitted: Fitted, choices: tuple[Choice, ...]) -> float:
    """The error on the validation rows of what was fitted on the training rows alone."""
    own = dataclasses.replace(job, horizon=fitted.encoder.horizon)  # one step, where it is fed back
    judged = dataclasses.replace(fitted, bases=fitting.fit_bases(own, choices, job.parts.train))
    origins = job.series.origins(judged.least, *job.parts.of("validation"), job.horizon)
    means, _ = judged.forecast(job.series, origins, (), job.settings["backend"])
    C = job.targets
    actual = job.series.values[origins[:, None] + np.arange(1, job.horizon + 1)][..., :C]
    known = ~np.isnan(actual)
    truth, forecast = np.where(known, actual, 0.0), means.mean(axis=0)
    if C == len(job.names) == 1:
        return metrics.mae(truth, forecast, known)
    which = np.searchsorted(job.series.bounds, origins, side="right") - 1
    scales = np.array([[_scale(job, k, c) for c in range(C)] for k in range(len(job.names))])
    found = metrics.mase(truth, forecast, np.broadcast_to(scales[which][:, None, :], truth.shape), known)
    return metrics.mae(truth, forecast, known) if found is None else found


def _scale(job: Job, k: int, c: int) -> float:
    values = job.series.values[job.parts.first[k] : job.parts.train[k], c]
    known = ~np.isnan(values)
    return metrics.mase_scale(np.where(known, values, 0.0), job.season, known)


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sorted(given.items()) if name != "progress"}
