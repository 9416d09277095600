"""What several subcommands print: progress bars, tables, JSON."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console

from segship.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from segship.core.manifest import Check
    from segship.evaluate import Evaluation

__all__ = ["CONSOLE", "MESSAGES", "print_checks", "print_evaluation", "progress_bar", "stages", "write_json"]

CONSOLE = Console()
"""Results: standard output."""

MESSAGES = Console(stderr=True)
"""Progress and remarks: standard error."""


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, moved by calling the yielded function with (done, all)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=MESSAGES, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A spinner on standard error whose text is set by calling the yielded function."""
    with MESSAGES.status("starting") as status:
        yield status.update


def write_json(path: Path | None, data: Any) -> None:
    """Write ``data`` to ``path``, or to standard output where the path is ``-``; None writes nothing."""
    if path is None:
        return
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if str(path) == "-":
        CONSOLE.file.write(text)
    else:
        write_atomically(path, text.encode())


def print_checks(checks: tuple[Check, ...]) -> None:
    """The comparison of an engine with its network."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="engine against network")
    table.add_column("input")
    table.add_column("image")
    for name in ("labels equal", "max Δ", "mean Δ"):
        table.add_column(name, justify="right")
    for check in checks:
        figures = f"{check.labels_equal:.4%}", f"{check.max_difference:.1e}", f"{check.mean_difference:.1e}"
        table.add_row("x".join(map(str, check.input)), check.image, *figures)
    CONSOLE.print(table)
    CONSOLE.print("Δ: difference of the logits, as a share of the greatest logit", style="dim")


def print_evaluation(evaluation: Evaluation) -> None:
    """Per-class figures, then the three that stand for all."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{evaluation.images} images")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    table.add_column("Acc", justify="right")
    for name, iou, accuracy in zip(evaluation.classes, evaluation.scores.IoU, evaluation.scores.Acc, strict=True):
        table.add_row(name, f"{iou:.2f}", f"{accuracy:.2f}")
    CONSOLE.print(table)
    totals = evaluation.scores
    CONSOLE.print(f"aAcc {totals.aAcc:.2f}   mIoU {totals.mIoU:.2f}   mAcc {totals.mAcc:.2f}", highlight=False)
