"""The report of a forecast, from its chapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minirnn.inspect.report import ahead, compared, explained, made, tested
from minirnn.inspect.report.markup import shortened
from minirnn.inspect.report.page import page
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
    title = f"Forecast of {', '.join(shortened(target, 40) for target in backtest.targets[:3])}"
    title += f" and {len(backtest.targets) - 3} more" if len(backtest.targets) > 3 else ""
    return page(title, ahead.verdict(subject), chapters, made.footer(subject))
