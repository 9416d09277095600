"""One network, many targets: accuracy and speed of each, in one page."""

from __future__ import annotations

from segship.report.cells import Candidate, Report
from segship.report.make import make_report
from segship.report.page import page
from segship.report.request import Request
from segship.report.tables import write_report

__all__ = ["Candidate", "Report", "Request", "make_report", "page", "write_report"]
