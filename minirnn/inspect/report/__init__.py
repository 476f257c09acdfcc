"""``report.html``: one page that says how good a forecast is and how it came to be, without network and script."""

from minirnn.inspect.report.forecast import report_html

__all__ = ["report_html"]
