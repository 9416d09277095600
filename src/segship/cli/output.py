"""What several subcommands print: lines, progress bars, tables, JSON. Rich is imported only where it is drawn with."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import typer

from segship.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from segship.core.manifest import Check
    from segship.evaluate import Evaluation

__all__ = [
    "is_standard_output",
    "print_checks",
    "print_evaluation",
    "progress_bar",
    "say",
    "show",
    "stages",
    "write_json",
]


def say(text: str) -> None:
    """One line of result, on standard output."""
    typer.echo(text)


def show(drawing: Any) -> None:
    """A table or another drawing of rich, on standard output."""
    from rich.console import Console  # noqa: PLC0415

    Console().print(drawing)


@contextlib.contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error, moved by calling what it yields with (done, all); none for a single item."""
    if total <= 1:
        yield None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, every: bar.update(task, completed=done, total=every)


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A spinner on standard error whose text is set by calling what it yields."""
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status("starting") as status:
        yield status.update


def is_standard_output(path: Path | None) -> bool:
    """Whether ``--json`` names standard output."""
    return str(path) == "-"


def write_json(path: Path | None, data: Any) -> None:
    """Write ``data`` to ``path``, or to standard output where the path is ``-``; None writes nothing."""
    if path is None:
        return
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if is_standard_output(path):
        typer.echo(text, nl=False)
    else:
        write_atomically(path, text.encode())


def print_checks(checks: tuple[Check, ...]) -> None:
    """The comparison of an engine with its network."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="engine against network", caption="Δ: of the logits, as a share of the greatest logit")
    table.add_column("input")
    table.add_column("image")
    for name in ("labels equal", "max Δ", "mean Δ"):
        table.add_column(name, justify="right")
    for check in checks:
        figures = f"{check.labels_equal:.4%}", f"{check.max_difference:.1e}", f"{check.mean_difference:.1e}"
        table.add_row("x".join(map(str, check.input)), check.image, *figures)
    show(table)


def print_evaluation(evaluation: Evaluation) -> None:
    """Per-class figures, then the three that stand for all."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{evaluation.images} images")
    table.add_column("class")
    table.add_column("IoU", justify="right")
    table.add_column("Acc", justify="right")
    for name, iou, accuracy in zip(evaluation.classes, evaluation.scores.IoU, evaluation.scores.Acc, strict=True):
        table.add_row(name, f"{iou:.2f}", f"{accuracy:.2f}")
    show(table)
    totals = evaluation.scores
    say(f"aAcc {totals.aAcc:.2f}   mIoU {totals.mIoU:.2f}   mAcc {totals.mAcc:.2f}")
