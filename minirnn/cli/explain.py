"""``minirnn explain``: why the forecast of a saved model is what it is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from minirnn.cli import UsageError, loading, note, places, positive, predict
from minirnn.cli.rows import names

if TYPE_CHECKING:
    from minirnn.models.forecasting.explanation import Explanation
    from minirnn.models.language_model import LanguageModel

EXAMPLES = """examples:
  minirnn explain report/model.safetensors load.csv              the forecast after the last row of load.csv
  minirnn explain report/model.safetensors load.csv --out why/   tables, figures and explanation.json
  minirnn explain report/model.safetensors load.csv --json
  minirnn explain report/model.safetensors                       from the rows that the model holds
  minirnn explain model/model.safetensors some.py                what the units of a language model follow

What is said: how much each row of each column adds to the forecast, compared with a window in which every column stands
at its mean over the training rows (integrated gradients; they add up to the difference, and the gap is printed); how
much larger the error gets if a column comes from another time (permutation); how far the gates of the network open, and
how long its units remember; which windows of the past look most alike to it. A model holds only the rows that its
forecast reads: without FILE neither the importance of columns nor similar windows can be told.
"""
FILES = ("explanation.json", "attributions.csv", "importance.csv", "gates.csv", "neighbours.csv")
ROWS, SHOWN = 10, 2  # rows and columns whose details are printed


def add_parser(subparsers) -> None:
    """Adds the command's options."""
    parser = subparsers.add_parser(
        "explain",
        help="say why a saved model forecasts what it does, or what the units of a text model follow",
        description="Loads a model that minirnn forecast has written with --out, or Forecaster.save, and explains what "
        "it forecasts; or one of minirnn text, and says what its units follow.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model (.safetensors)")
    parser.add_argument(
        "data", nargs="?", metavar="FILE", help="rows: CSV (also .csv.gz) or parquet; of a text model a text"
    )
    parser.add_argument(
        "--date-column", metavar="COLUMN", help="the times in FILE (default: as in the training, or found)"
    )
    parser.add_argument(
        "--missing", type=names, action="extend", metavar="CODES", help="stand for no value, as in --missing=-9999,n/a"
    )
    parser.add_argument("--target", metavar="COLUMN", help="whose forecast is explained (default: the first target)")
    parser.add_argument("--series", metavar="NAME", help="whose forecast is explained (default: the first series)")
    parser.add_argument("--by-step", action="store_true", help="attributions for each step ahead, in --json and --out")
    parser.add_argument(
        "--repeats", type=positive, default=5, metavar="N", help="how often each column is exchanged (default: 5)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the exchanges (default: 0)")
    parser.add_argument("--out", metavar="DIR", help=f"write {', '.join(FILES)} and the figures")
    parser.add_argument("--json", action="store_true", help="print what explanation.json holds, and nothing else")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    out = places.folder(arguments.out)
    for option in ("date_column", "missing"):
        if arguments.data is None and getattr(arguments, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')} belongs to a file of rows, and none was given")
    if arguments.seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {arguments.seed}")
    model = loading.load(arguments.model, "explain", "Forecaster", "LanguageModel")
    if type(model).__name__ == "LanguageModel":
        return _language_model(arguments, model)
    table = None if arguments.data is None else predict.read(arguments, model)
    try:
        explanation = model.explain(
            table,
            target=arguments.target,
            series=arguments.series,
            by_step=arguments.by_step,
            repeats=arguments.repeats,
            seed=arguments.seed,
        )
    except ValueError as error:
        raise type(error)(f"{arguments.data or arguments.model}: {error}") from None
    for line in () if table is None else table.notes:
        note(line)
    text = json.dumps(explanation.as_dict(), indent=2, allow_nan=False) + "\n"
    written = () if out is None else _write(out, explanation, text)
    if arguments.json:
        print(text, end="")
        return 0
    print(report(explanation))
    if out is not None:
        print(f"\nwritten to {out}: {', '.join(written)}")
    return 0


def _language_model(arguments: argparse.Namespace, model: LanguageModel) -> int:
    """What the units of a language model follow; its own command says it."""
    from minirnn.cli import text

    for option in ("date_column", "missing", "target", "series", "by_step"):
        if getattr(arguments, option):
            raise UsageError(f"--{option.replace('_', '-')} belongs to forecasts; {arguments.model} is a LanguageModel")
    return text.explain(arguments, model)


def report(explanation: Explanation) -> str:
    """What is printed: a sentence for each part, and its numbers."""
    e = explanation
    lines = [e.sentences["attributions"], e.completeness, ""]
    attributions = e.attributions
    lines += _table(attributions.loc[attributions.abs().sum(axis=1).nlargest(ROWS).index].sort_index(), "added by row")
    lines += ["", e.sentences["importance"], ""]
    if e.importance is not None:
        title = f"increase of the mean error on {e.importance.windows} windows of {e.judged_in}"
        lines += [*_table(e.permutation, title), ""]
        first = e.permutation.index[:SHOWN]
        blocks = e.permutation_blocks[e.permutation_blocks["column"].isin(first)]
        lines += [*_table(blocks.set_index("column"), "by rows before the last known one"), ""]
    lines += [e.sentences["gates"], ""]
    if e.share:
        lines += [*_table(e.gate_table.set_index("layer"), "how far the gates open"), ""]
        lines += [*_table(e.memory.set_index("layer"), "memory in rows, and what units do"), ""]
    lines.append(e.sentences["neighbours"])
    if e.neighbours is not None:
        shown = e.neighbours[["series", "from", "to", "distance"]]
        shown = shown if e.series else shown.drop(columns="series")
        lines += ["", *_table(shown.set_index("from"), f"similar windows of {e.past_in}")]
    lines += [f"note        {line}" for line in e.notes]
    return "\n".join(lines)


def _table(frame, title: str) -> list[str]:
    text = frame.to_string(float_format=lambda value: f"{value:,.4g}", index_names=False)
    return [title, *(f"  {line}" for line in text.splitlines())]


def _write(out: Path, explanation: Explanation, text: str) -> list[str]:
    """Writes everything, or nothing; returns the names."""
    from minirnn.inspect.figures import save_figure
    from minirnn.inspect.figures_explaining import explanation_figures
    from minirnn.models.storage import staged

    tables = {
        "attributions": explanation.attributions,
        "attributions_by_step": explanation.attributions_by_step,
        "importance": explanation.permutation,
        "importance_by_rows": explanation.permutation_blocks.set_index("column"),
        "gates": explanation.gate_table.set_index("layer"),
        "neighbours": explanation.neighbours,
    }
    try:
        with staged(out) as folder:
            (folder / "explanation.json").write_text(text, encoding="utf-8")
            for name, table in tables.items():
                if table is not None and len(table):
                    table.to_csv(folder / f"{name}.csv", lineterminator="\n")
            for name, figure in explanation_figures(explanation).items():
                save_figure(figure, folder / f"{name}.png")
            return sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise places.cannot_write(out, error) from None
