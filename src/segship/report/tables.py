"""The report as Markdown, CSV and JSON, and all of it as files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from segship.core.files import write_atomically
from segship.report import chips
from segship.report.page import HEADS, cell, columns, page
from segship.report.results import rows

if TYPE_CHECKING:
    from pathlib import Path

    from segship.report.results import Report

__all__ = ["as_csv", "as_markdown", "write_report"]

_TEXTS = {"target", "device", "note"}  # columns of words


def as_csv(report: Report) -> str:
    """The table with full precision, one row for each target and batch size."""
    text = io.StringIO()
    table = rows(report)
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def as_markdown(report: Report) -> str:
    """The table as it stands on the page, for a README or a pull request."""
    lines = [f"# {report.title}", "", f"{', '.join(report.files)}; {report.data}; {report.when}.", ""]
    table = rows(report)
    names = columns(table)
    lines.append("| " + " | ".join(HEADS[name] for name in names) + " |")
    lines.append("|" + "|".join("---" if name in _TEXTS else "---:" for name in names) + "|")
    lines += ["| " + " | ".join(_plain(cell(name, row[name])) for name in names) + " |" for row in table]
    lines += ["", "## IoU of each class", ""]
    shown = [one for one in report.candidates if one.evaluation.get("classes")]
    lines.append("| class | " + " | ".join(one.name for one in shown) + " |")
    lines.append("|---|" + "---:|" * len(shown))
    for place, name in enumerate(report.classes):
        values = (cell("mIoU", one.evaluation["classes"][place]["IoU"]) for one in shown)
        lines.append(f"| {_plain(name)} | " + " | ".join(values) + " |")
    if report.chips:
        lines += ["", "## On chips elsewhere", "", chips.as_markdown(report.chips)]
    machine = report.machine
    lines += ["", f"Timed on {machine.get('processors')} x {machine.get('processor')}, from image file to mask.", ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_report(report: Report, folder: Path) -> dict[str, Path]:
    """Write ``report.html``, ``report.md``, ``report.csv`` and ``report.json``.

    Args:
        report: What was found.
        folder: Where to.

    Returns:
        Each file by its suffix.

    Raises:
        InputError: A file cannot be written.
    """
    data: Any = asdict(report)
    texts = {
        "html": page(report),
        "md": as_markdown(report),
        "csv": as_csv(report),
        "json": json.dumps(data, indent=1, default=str, ensure_ascii=False) + "\n",
    }
    paths = {suffix: folder / f"report.{suffix}" for suffix in texts}
    for suffix, text in texts.items():
        write_atomically(paths[suffix], text.encode())
    return paths
