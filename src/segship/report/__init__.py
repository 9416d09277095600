"""One network, many targets: accuracy and speed of each, in one page."""

from __future__ import annotations

from segship.report.make import make_report
from segship.report.page import page
from segship.report.request import Request, Timing
from segship.report.results import Report, TargetResult
from segship.report.tables import write_report

__all__ = ["Report", "Request", "TargetResult", "Timing", "make_report", "page", "write_report"]
