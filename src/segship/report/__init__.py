"""One network, many targets: accuracy and speed of each, in one page; and what chips elsewhere returned."""

from __future__ import annotations

from segship.report.chips import ChipRow, chip_rows, read_adopted, write_chips
from segship.report.make import make_report
from segship.report.page import page
from segship.report.request import Request, Timing
from segship.report.results import Report, TargetResult
from segship.report.tables import write_report

__all__ = [
    "ChipRow",
    "Report",
    "Request",
    "TargetResult",
    "Timing",
    "chip_rows",
    "make_report",
    "page",
    "read_adopted",
    "write_chips",
    "write_report",
]
