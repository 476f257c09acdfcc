"""``report.html``: one page that says how good a forecast is and how it came to be, without network and script."""

from minirnn.inspect.report.page import report_html

__all__ = ["report_html"]
