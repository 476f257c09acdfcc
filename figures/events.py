"""An event 100 or more steps back: which cells still know of it at the end. ``python figures/events.py [FOLDER]``.

Sequences of 101 to 150 steps, in which one marked step, at least 100 steps before the end, carries the class. The
network reads forward only and its last state alone decides: what it knows of the event it has carried all the way.
``memory`` lets the gates of the LSTM and of the GRU keep, at first, what they hold; an RNN has no gates.
"""

import sys
from pathlib import Path

import pandas as pd

from minirnn import Classifier
from minirnn.data.sequences.events import event_task

DISTANCE, SEEDS = 100, 3
CELLS = {
    "LSTM": {"cell": "lstm", "memory": DISTANCE},
    "GRU": {"cell": "gru", "memory": DISTANCE},
    "GRU, usual biases": {"cell": "gru"},
    "RNN": {"cell": "rnn"},
}


def measure() -> pd.DataFrame:
    """The accuracy on the test part, by cell and seed."""
    task = event_task(2000, steps=150, distance=DISTANCE, anywhere=True, ragged=True, seed=7)
    rows = []
    for name, cell in CELLS.items():
        for seed in range(SEEDS):
            model = Classifier(
                **cell,
                seed=seed,
                bidirectional=False,
                pooling="last",
                dropout=0.0,
                learning_rate=0.01,
                max_epochs=15,
                patience=15,
            ).fit(task)
            scores = model.evaluate().scores.iloc[0]
            rows.append({"network": name, "seed": seed, "accuracy": scores["accuracy"], "log loss": scores["log loss"]})
            print(f"{name:<18} seed {seed}  accuracy {scores['accuracy']:.3f}", flush=True)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    measure().round(4).to_csv(folder / "events.csv", index=False, lineterminator="\n")
