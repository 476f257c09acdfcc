"""The page of the report, from its chapters."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from minirnn.inspect.report import ahead, compared, explained, made, tested
from minirnn.inspect.report.markup import shortened, text
from minirnn.inspect.report.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

    from minirnn.data.table import Table

CHAPTERS = {
    "forecast": ("Forecast", ahead.forecast),
    "others": ("Against other forecasts", compared.others),
    "intervals": ("Can the intervals be trusted?", tested.intervals),
    "errors": ("Errors over time", tested.residuals),
    "explanation": ("What moved the forecast", explained.explained),
    "data": ("What was decided about the data", made.data),
    "model": ("The model and its training", made.model),
    "repeat": ("How to repeat it", made.repeat),
}


def report_html(
    *,
    table: Table,
    backtest: Any,
    forecast: pd.DataFrame,
    history: Any = None,
    notes: Sequence[str] = (),
    source: str = "",
    command: str = "",
    explanation: Any = None,
) -> str:
    """The report as the text of an HTML page. Equal arguments give equal pages: it holds no date.

    Args:
      table: the rows.
      backtest: the verdict, a :class:`minirnn.models.backtest.Backtest` or what has its attributes.
      forecast: what ``predict`` gives: the columns ``mean``, ``lower_80``, ..., and ``series`` and ``target`` where
        there are several.
      history: of the training, with ``loss``, ``validation`` and ``best``; None leaves its curve out.
      notes: what was decided, one sentence each; the table's own need not be among them.
      source: where the data came from, in words.
      command: what was typed to get here.
      explanation: what ``explain`` gives, or None, which leaves the chapter out: ``target``, ``unit``, ``series``,
        ``horizon``, ``share``, ``history``, ``forecast``, the frames ``attributions`` (time x column), ``permutation``
        (increase, spread), ``gate_table`` and ``neighbours``, ``sentences`` for each, and ``completeness``.
    """
    subject = Subject(table, backtest, forecast, history, notes, source, command, explanation)
    chapters = [(name, title, write(subject, name, title)) for name, (title, write) in CHAPTERS.items()]
    chapters = [each for each in chapters if each[2]]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in chapters)
    title = f"Forecast of {', '.join(shortened(target, 40) for target in backtest.targets[:3])}"
    title += f" and {len(backtest.targets) - 3} more" if len(backtest.targets) > 3 else ""
    style = files("minirnn.inspect.report").joinpath("style.css").read_text(encoding="utf-8")
    parts = [ahead.verdict(subject), f'<nav aria-label="Contents"><ul>{links}</ul></nav>', *(c[2] for c in chapters)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + f"\n</main>\n<footer>{made.footer(subject)}</footer>\n</body>\n</html>\n"
    )
