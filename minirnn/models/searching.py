"""Search for the parameters of a Forecaster: seeded, random, with successive halving, on the validation rows only.

Nine configurations are drawn and trained for a ninth of the epochs; the best third go on to a third of them, and the
best of those to the end (successive halving: Jamieson and Talwalkar 2016, arXiv 1502.07943); then the next nine. The
first training of all is that of the parameters as they were given, to the end: what every other has to beat. What comes
next depends on the seed and the errors so far, never on the clock: time and the number of trainings only end the
sequence, so that it can be gone on with.

A search reads the training and the validation rows. The test rows stay for the verdict on what was found.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn._version import __version__
from minirnn.data.words import DataError
from minirnn.models import metrics, storage
from minirnn.models.checkpoint import Checkpoint
from minirnn.models.forecaster import Forecaster, ParameterError
from minirnn.models.forecasting import fitting, settings
from minirnn.models.forecasting.choosing import Choice
from minirnn.models.forecasting.fitted import Fitted
from minirnn.models.forecasting.fitting import Job
from minirnn.models.training import TrainingError

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table

BRACKET, KEEP = 9, 3  # configurations that start together; every third goes on
SPACE = (
    "cell",
    "hidden_size",
    "num_layers",
    "window",
    "strategy",
    "segment",
    "likelihood",
    "learning_rate",
    "dropout",
    "weight_decay",
)
"""The parameters that are searched, unless they are given."""


class SearchError(ValueError):
    """A budget, or a table of trials, that cannot be used; one line that says what was expected."""


@dataclass(frozen=True)
class Trial:
    """One training.

    Args:
      trial: its number, from 1.
      configuration: which parameters; 0 is those that were given, with every other at its default.
      epochs: at most so many.
      parameters: of the Forecaster, those that are searched.
      error: of the forecast on the validation rows: MAE, or MASE for several targets or series; None if it failed.
      alone: the same if the network counted in full, not only as much as the validation rows speak for it.
      share: of the network in the forecast, 0 to 1.
      seconds: that it took.
      problem: why there is no error, else an empty text.
    """

    trial: int
    configuration: int
    epochs: int
    parameters: dict[str, Any]
    error: float | None
    alone: float | None
    share: float | None
    seconds: float
    problem: str = ""

    @property
    def rank(self) -> tuple[float, float, int]:
        """The smaller the better; where no network counts for anything, by what it would do by itself."""
        worst = math.inf
        return (
            worst if self.error is None else self.error,
            worst if self.alone is None else self.alone,
            self.configuration,
        )


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
        return pd.DataFrame([_row(trial) for trial in order]).set_index("trial")

    @property
    def sentence(self) -> str:
        """What was found, how it was judged."""
        best, first = self.best_trial, self.trials[0]
        if best.error is None:
            return "No training succeeded."
        if not any(trial.configuration and trial.epochs == best.epochs for trial in self.trials):
            return (
                f"The search ended before anything else was trained to the end ({len(self.trials)} trainings): give it "
                "more time."
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
    table = base._table(frame, target, past, future, static, series)
    bench = _Bench(base, parameters, table)
    kept = _kept(out, resume, bench.identity)
    done: list[Trial] = []
    ended = "trials"
    with tempfile.TemporaryDirectory(prefix="minirnn-search-") as folder:
        sequence = _sequence(_levels(base.max_epochs))
        configuration, epochs = next(sequence)
        while trials is None or len(done) < trials:
            if len(done) < len(kept):
                trial = _replayed(kept[len(done)], len(done) + 1, configuration, epochs, bench, out)
            else:
                expected = max((t.seconds for t in done if t.epochs == epochs), default=0.0)
                if budget is not None and done and time.monotonic() - started + expected > budget:
                    ended = "budget"
                    break
                try:
                    trial = bench.run(len(done) + 1, configuration, epochs, Path(folder))
                except KeyboardInterrupt:
                    ended = "interrupted"
                    break
            done.append(trial)
            if len(done) > len(kept):
                if out is not None:
                    _write(out, done, bench.identity)
                if report is not None:
                    report(trial)
            configuration, epochs = sequence.send(trial.rank)
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
            for configuration in alive:
                ranks[configuration] = yield configuration, epochs
            alive = sorted(sorted(alive, key=ranks.__getitem__)[: max(len(alive) // KEEP, 1)])
        first += BRACKET


# ---------------------------------------------------------------- configurations


def configuration(number: int, given: dict[str, Any], windows: tuple[int, ...], seed: int) -> dict[str, Any]:
    """The parameters that are searched, as drawn for this configuration; those that are given stay.

    Args:
      number: of the configuration; 0 draws nothing.
      given: parameters of the Forecaster.
      windows: those that the rows have room for; the first is the usual one.
      seed: of the search.
    """
    found = {name: value for name, value in Forecaster().get_params().items() if name in SPACE}
    found["window"] = windows[0]
    fixed = {name: value for name, value in given.items() if name in SPACE}
    if number == 0:
        return found | fixed
    rng = np.random.default_rng([seed, number])
    window = int(fixed.get("window") or rng.choice(windows))
    segments = [n for n in (2, 3, 4, 6, 7, 8, 12, 24, 48) if 2 * n <= window]
    way = str(rng.choice(["direct", "segment", "seq2seq", "recursive"], p=[0.4, 0.25, 0.2, 0.15]))
    drawn = {
        "cell": str(rng.choice(["gru", "lstm", "rnn"], p=[0.4, 0.4, 0.2])),
        "hidden_size": int(rng.choice([8, 16, 32, 64, 128])),
        "num_layers": int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])),
        "window": window,
        "strategy": "direct" if way == "segment" else way,
        "segment": int(rng.choice(segments)) if way == "segment" and segments else None,
        "likelihood": str(rng.choice(["quantiles", "gaussian", "student"])),
        "learning_rate": float(f"{10 ** rng.uniform(-3.5, -1.8):.2g}"),
        "dropout": float(rng.choice([0.0, 0.1, 0.2, 0.4], p=[0.4, 0.2, 0.2, 0.2])),
        "weight_decay": float(rng.choice([0.0, 1e-4, 1e-3, 1e-2], p=[0.4, 0.2, 0.2, 0.2])),
    }
    found |= drawn | fixed
    # What excludes each other: what was given stays, what was drawn gives way.
    if found["segment"] is not None and "segment" not in fixed:
        layers = fixed.get("num_layers", 1) > 1
        if layers or found["strategy"] != "direct" or given.get("bidirectional") or given.get("convolution"):
            found["segment"] = None
    if found["segment"] is not None:
        found |= {"num_layers": 1, "strategy": "direct"}
    if given.get("bidirectional") and "strategy" not in fixed:
        found["strategy"] = "direct"
    return found


class _Bench:
    """The rows, and what trainings share."""

    def __init__(self, base: Forecaster, given: dict[str, Any], table: Table):
        self.base, self.given, self.table = base, given, table
        usual, horizon, _, _ = base._sizes(table)
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
            asked = Forecaster().set_params(**self.base.get_params() | {"window": window, "horizon": horizon})
            try:
                if 2 <= window <= rows // 2 and window not in found:
                    asked._sizes(self.table)
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
            job, _ = model._job(self.table)
            alike = (job.window, parameters["strategy"] == "recursive")
            kept = Checkpoint(folder / f"{number}.safetensors", every_epochs=10**9)
            fitted, history, choices = fitting.fit(
                job, choices=self.choices.get(alike), mesh=self._mesh(model, job), checkpoint=kept, resume=True
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

    def _mesh(self, model: Forecaster, job: Job):
        model.table_ = self.table
        return model._mesh(job, None)


def _error(job: Job, fitted: Fitted, choices: tuple[Choice, ...]) -> float:
    """The error on the validation rows of what was fitted on the training rows alone."""
    own = dataclasses.replace(job, horizon=fitted.encoder.horizon)  # one step, where it is fed back
    judged = dataclasses.replace(fitted, bases=fitting.fit_bases(own, choices, job.parts.train))
    least = max(base.encoder.reference.least for base in judged.bases)
    origins = job.series.origins(least, *job.parts.of("validation"), job.horizon)
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


# ---------------------------------------------------------------- the file of the trials


def _row(trial: Trial) -> dict[str, Any]:
    about = {name: getattr(trial, name) for name in ("trial", "configuration", "epochs")}
    found = {name: getattr(trial, name) for name in ("error", "alone", "share", "seconds", "problem")}
    return about | {name: trial.parameters[name] for name in SPACE} | found


def _write(path: str | os.PathLike, done: Iterable[Trial], identity: str) -> None:
    rows = [{**_row(trial), "search": identity} for trial in done]

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    storage.write_atomically(path, write)


def _kept(path: str | os.PathLike | None, resume: bool, identity: str) -> list[dict[str, Any]]:
    """The rows of an earlier search, as text."""
    if path is None or not os.path.lexists(path):
        return []
    if not resume:
        raise SearchError(f"{os.fspath(path)}: exists already; resume to go on from it, or name another file")
    foreign = SearchError(f"{os.fspath(path)}: not a table of trials of a search; name another file")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise SearchError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, csv.Error):
        raise foreign from None
    expected = {"trial", "configuration", "epochs", *SPACE, "error", "alone", "share", "seconds", "problem", "search"}
    if not rows or set(rows[0]) != expected:
        raise foreign
    for row in rows:
        if row["search"] != identity:
            raise SearchError(
                f"{os.fspath(path)}: a search over other rows or with other options; repeat the same line, or name "
                "another file"
            )
    return rows


def _replayed(row: dict[str, Any], trial: int, number: int, epochs: int, bench: _Bench, path) -> Trial:
    """A training of an earlier search; its parameters are drawn again."""
    try:
        if (int(row["trial"]), int(row["configuration"]), int(row["epochs"])) != (trial, number, epochs):
            raise ValueError("another training was expected")
        error, alone, share = (float(row[name]) if row[name] else None for name in ("error", "alone", "share"))
        return Trial(
            trial,
            number,
            epochs,
            bench.parameters(number),
            error,
            alone,
            share,
            float(row["seconds"]),
            row["problem"] or "",
        )
    except (TypeError, ValueError):
        raise SearchError(
            f"{os.fspath(path)}: line {trial + 1} does not belong there; restore the file, or name another"
        ) from None


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in sorted(given.items()) if name != "progress"}
