"""The grader graded: what it calls known mistakes, pairs of them, and random formulas. ``python figures/grader.py``.

Takes a minute or two; NumPy only. The tests try the same; the numbers stand in grader.csv.
"""

import sys
from collections import Counter
from pathlib import Path

import pandas as pd

from minirnn.inspect.figures import save_figure
from minirnn.inspect.figures_learning import grader_figure
from minirnn.learn.exercises import exercises
from minirnn.learn.grading.trial import OUTCOMES, try_pairs, try_random, try_singles
from minirnn.learn.mistakes import of_exercise

GROUPS = {
    "LSTM": lambda e: e.name.startswith("lstm"),
    "GRU, reset after": lambda e: e.name.startswith("gru_") and "before" not in e.name,
    "GRU, reset before": lambda e: e.name.startswith("gru_reset_before"),
    "vanilla RNN": lambda e: e.name.startswith("rnn"),
    "other exercises": lambda e: not e.name.startswith(("lstm", "gru", "rnn")),
}
FORMULAS = 500  # random ones, for each of the two kinds of exercises


def measure() -> pd.DataFrame:
    """Counts: rows are kinds of wrong answers, columns what was said of them."""
    told = [e for e in exercises().values() if e.solved and of_exercise(e.name)]
    told = [e for e in told if "jax" not in e.imports]  # JAX compiles for each of them: their tests try these
    rows = {}
    for kind, attempt in (("one mistake", try_singles), ("two mistakes", try_pairs)):
        for group, belongs in GROUPS.items():
            said: Counter = Counter()
            for exercise in filter(belongs, told):
                said.update(attempt(exercise).values())
            rows[f"{kind}: {group}"] = said
            print(f"{kind}: {group}", dict(said), flush=True)
    for kind in ("step_backward", "backward"):
        said = Counter()
        for cell in ("rnn", "lstm", "gru", "gru_reset_before"):
            tried = try_random(exercises()[f"{cell}_{kind}"], FORMULAS // 4, seed=1)
            said.update(outcome for _, outcome, _ in tried)
        rows[f"random formula: {'a step' if kind == 'step_backward' else 'a sequence'}"] = said
    return pd.DataFrame([{name: said[name] for name in OUTCOMES} for said in rows.values()], index=list(rows))


def main(folder: Path) -> None:
    """Measures, draws and writes the numbers beside the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = measure()
    save_figure(grader_figure(outcomes), folder / "grader.png", dpi=100)
    outcomes.to_csv(folder / "grader.csv", lineterminator="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
