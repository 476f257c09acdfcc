"""Compares the numbers behind fresh figures with those of this folder: ``python figures/compare.py FRESH [--quick]``.

Exit status 1 and a line for each figure whose numbers are no longer those that are shown.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
# Measured times, and trainings at rates so large that rounding decides: the columns are compared, not the numbers.
COLUMNS = {"08_numpy_to_scan", "18_train_it_fast"}
SHORTER = {"09_memory_tasks", "10_forecasting_honestly", "12_looking_inside", "14_seq2seq", "16_custom_vjp"}
# Relative and absolute differences that other machines may make; where rounding is amplified, by how much.
USUAL = (0.02, 1e-9)
TOLERANCES = {
    "forecast": (0.0, 0.03),  # the last digit
    # Trained in single precision: other processors round otherwise, and hundreds of updates carry it on.
    "05_lstm_forward": (0.1, 0.1),
    "11_character_text": (0.05, 0.05),
    "13_tagging": (0.3, 1e-3),
    "15_attention_backward": (0.3, 0.05),
    "19_reading_sources_critically": (0.1, 1e-3),
}
LOGARITHMIC = {"02_gradient_checking": 1.5, "04_vanishing_and_exploding": 0.1}  # digits: what is drawn on a log scale


def difference(name: str, fresh: pd.DataFrame, shown: pd.DataFrame, quick: bool) -> str:
    """What differs, in one line; empty if nothing does."""
    if quick and name in SHORTER:  # less was trained: other numbers, and other units to be shown
        return "" if len(fresh.columns) == len(shown.columns) else f"has {len(fresh.columns)} columns"
    if list(fresh.columns) != list(shown.columns):
        return f"has the columns {', '.join(fresh)}; shown are {', '.join(shown)}"
    if name in COLUMNS:
        return ""
    if len(fresh) != len(shown):
        return f"has {len(fresh)} rows; shown are {len(shown)}"
    for column in shown:
        new, old = fresh[column], shown[column]
        if not pd.api.types.is_numeric_dtype(old) or not pd.api.types.is_numeric_dtype(new):
            if list(new.astype(str)) != list(old.astype(str)):
                return f"differs in {column}"
            continue
        new, old = new.to_numpy(float), old.to_numpy(float)
        if not np.array_equal(np.isnan(new), np.isnan(old)):
            return f"{column} is missing at other places"
        known = ~np.isnan(old)
        new, old = new[known], old[known]
        if name in LOGARITHMIC:
            with np.errstate(divide="ignore"):
                apart = np.abs(np.log10(np.abs(new) + 1e-18) - np.log10(np.abs(old) + 1e-18))
            if (apart > LOGARITHMIC[name]).any():
                return f"{column} differs by {apart.max():.2g} digits; allowed are {LOGARITHMIC[name]:g}"
            continue
        relative, absolute = TOLERANCES.get(name, USUAL)
        apart = np.abs(new - old) - absolute - relative * np.abs(old)
        if (apart > 0).any():
            row = int(apart.argmax())
            return f"{column} is {new[row]:g} in row {row}; shown is {old[row]:g}"
    return ""


def main(folder: Path, quick: bool) -> int:
    """Compares every table of a folder; the exit status."""
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        print(f"{folder} holds no table", file=sys.stderr)
        return 1
    differs = 0
    for path in tables:
        if not (HERE / path.name).exists():
            words = "is not in figures/"
        else:
            words = difference(path.stem, pd.read_csv(path), pd.read_csv(HERE / path.name), quick)
        if words:
            differs += 1
            print(
                f"{path.stem}: {words}; make it anew with: python figures/make.py --only {path.stem}", file=sys.stderr
            )
    print(f"{len(tables)} tables, {differs} differ")
    return 1 if differs else 0


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    if len(arguments) != 1:
        sys.exit("usage: python figures/compare.py FRESH [--quick]")
    sys.exit(main(Path(arguments[0]), "--quick" in sys.argv))
