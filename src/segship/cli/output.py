"""What several subcommands print: lines, progress bars, tables, JSON. Rich is imported only where it is drawn with.

Names that come from files are printed as they are, never taken for markup of rich or commands of the terminal.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, printable
from segship.core.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TextIO

    from rich.console import Console

    from segship.core.calibration import Calibration
    from segship.core.manifest import Comparison, Manifest, Quantization
    from segship.evaluation import Evaluation
    from segship.metrics.confusion import Scores
    from segship.runtime.package import Package

__all__ = [
    "fail",
    "hint",
    "is_standard_output",
    "is_verbose",
    "print_calibration",
    "print_checks",
    "print_evaluation",
    "print_quantization",
    "print_written",
    "progress_bar",
    "resumable",
    "say",
    "set_verbosity",
    "show",
    "staged_bar",
    "stages",
    "warn",
    "write_json",
]

_UNBROKEN = 1 << 16  # characters in a line, where no terminal has to show it
_SHOWN = ("IoU", "Acc")  # in the terminal, where nobody says which


class _Verbosity:
    """What is told on standard error: how much, as ``-q`` and ``-v`` say, and after an interruption."""

    quiet = False
    verbose = False
    hint = ""  # how to go on after an interruption


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set how much is told on standard error, for the whole process.

    Args:
        quiet: Neither progress nor warnings.
        verbose: A line for each stage, with the time it begins at; and tracebacks of errors.
    """
    _Verbosity.quiet, _Verbosity.verbose = quiet, verbose


def is_verbose() -> bool:
    """Whether tracebacks are told."""
    return _Verbosity.verbose


def _tell(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """One line of warning, on standard error."""
    if not _Verbosity.quiet:
        _tell(f"warning: {' '.join(text.split())}")


def fail(text: str) -> None:
    """One line of an error that does not end the subcommand, on standard error."""
    _tell(f"error: {' '.join(text.split())}")


@contextlib.contextmanager
def resumable(hint: str) -> Iterator[None]:
    """Let an interruption inside be told with ``hint``, which says how to go on."""
    _Verbosity.hint = f"; {hint}"
    yield
    _Verbosity.hint = ""


def hint() -> str:
    """How to go on, for the end of the line that tells of an interruption; empty where that is not possible."""
    return _Verbosity.hint


def say(text: str) -> None:
    """One line of result, on standard output."""
    with _printing():
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()


def show(drawing: Any) -> None:
    """A table or another drawing of rich, on standard output; lines are broken only to fit a terminal."""
    with _printing():
        _console(sys.stdout).print(drawing)


@contextlib.contextmanager
def _printing() -> Iterator[None]:
    """Say of what cannot be printed that it is standard output's fault; a reader that has gone wants no word."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"cannot write to standard output: {error.strerror or error}") from error


def _console(stream: TextIO) -> Console:
    """A console that prints texts as they are."""
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(printable(text), **options)

    width = None if stream.isatty() else _UNBROKEN
    return Plain(file=stream, markup=False, emoji=False, highlight=False, width=width)


@contextlib.contextmanager
def progress_bar(title: str, total: int, *, rate: str = "") -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error, moved by calling what it yields with (done, all).

    There is none for a single item, and where standard error is no terminal.

    Args:
        title: What is going on.
        total: How many items there are.
        rate: Unit of the speed to show, ``"images/s"``; empty: it is not shown.
    """
    if total <= 1 or _Verbosity.quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    described = TextColumn("{task.description}", markup=False)
    columns = described, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    speed = (TextColumn(f"{{task.fields[speed]}} {rate}"),) if rate else ()
    with Progress(*columns, *speed, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(printable(title), total=total, speed="")
        before, begin = -1, time.monotonic()

        def move(done: int, every: int) -> None:
            nonlocal before
            before = done if before < 0 else before  # what an earlier run had done took no time of this one
            pace = (done - before) / max(time.monotonic() - begin, 1e-3)
            bar.update(task, completed=done, total=every, speed=f"{pace:.1f}")

        yield move


@contextlib.contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """A spinner on a terminal's standard error whose text is set by calling what it yields.

    With ``-v`` there is a line for each text instead.
    """
    begin = time.monotonic()
    if _Verbosity.verbose:
        yield lambda text: _tell(f"{time.monotonic() - begin:7.1f} s  {text}")
        return
    if _Verbosity.quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.text import Text

    with _console(sys.stderr).status("starting") as status:
        yield lambda text: status.update(Text(printable(text)))


@contextlib.contextmanager
def staged_bar(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on a terminal's standard error with what is being done; called with (text, done, all).

    With ``-v`` there is a line for each text instead.

    Args:
        title: What is going on.
    """
    if _Verbosity.verbose or _Verbosity.quiet or not sys.stderr.isatty():
        with stages() as tell:
            yield lambda text, done, every: tell(f"{done} of {every}  {text}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    described = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[what]}", markup=False)
    columns = described[0], BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), described[1]
    with Progress(*columns, console=_console(sys.stderr), transient=True) as bar:
        task = bar.add_task(printable(title), total=None, what="")
        yield lambda text, done, every: bar.update(task, completed=done, total=every, what=printable(text))


def is_standard_output(path: Path | None) -> bool:
    """Whether ``--json`` names standard output."""
    return str(path) == "-"


def write_json(path: Path | None, data: Any) -> None:
    """Write ``data`` to ``path``, or to standard output where the path is ``-``; None writes nothing."""
    if path is None:
        return
    # Half a surrogate pair, as in names that are no UTF-8, is written as JSON escapes it.
    text = json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    encoded = text.encode("utf-8", "backslashreplace")
    if is_standard_output(path):
        import typer

        with _printing():
            typer.echo(encoded, nl=False)
    else:
        write_atomically(path, encoded)


def _finite(data: Any) -> Any:
    """The same with null for NaN and infinity, which JSON has no number for."""
    if isinstance(data, dict):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def print_checks(checks: tuple[Comparison, ...]) -> None:
    """The comparison of an engine with its network, where there was one."""
    if not checks:
        return
    from rich.table import Table

    table = Table(title="engine against network", caption="Δ: of the logits, as a share of the greatest logit")
    table.add_column("input")
    table.add_column("image")
    for name in ("labels equal", "max Δ", "mean Δ"):
        table.add_column(name, justify="right")
    for check in checks:
        figures = f"{check.labels_equal:.4%}", f"{check.max_difference:.1e}", f"{check.mean_difference:.1e}"
        table.add_row("x".join(map(str, check.input)), check.image, *figures)
    show(table)
    for check in checks:
        if check.exact is not None:
            say(f"float64 decided on {check.image} at {'x'.join(map(str, check.input))}: {check.exact.in_words()}")


def print_quantization(quantization: Quantization | None, precision: str) -> None:
    """What a precision was made from, what it kept in floating point, and what it costs on labelled images."""
    if quantization is None:
        return
    record = quantization
    if record.before is not None and record.after is not None:
        from rich.table import Table

        table = Table(title=f"IoU on {record.labelled} labelled images")
        table.add_column("class")
        for name in ("network", precision, "Δ"):
            table.add_column(name, justify="right")
        rows = [("mIoU", record.before.mIoU, record.after.mIoU)]
        rows += [(name, old, record.after.IoU.get(name, 0.0)) for name, old in record.before.IoU.items()]
        for name, old, new in rows:
            table.add_row(name, f"{old:.2f}", f"{new:.2f}", f"{new - old:+.2f}")
        show(table)
    if record.agreement is not None:
        say(f"{precision}: {record.agreement:.3%} of the pixels of {record.images} images keep their label")
    _print_times(record, precision)
    if record.kept:
        cost = f", which takes {record.slowdown:.2f} times as long as all in {precision}" if record.slowdown else ""
        say(f"{len(record.kept)} of {record.layers} layers stay in floating point for the gate{cost}:")
        say(f"  {', '.join(record.kept)}")


def print_calibration(calibration: Calibration | None, *, diagram: bool = False) -> None:
    """The temperatures of the scores, and the expected calibration error before and after.

    Args:
        calibration: Of the manifest.
        diagram: Also tell the reliability diagram.
    """
    if calibration is None:
        return
    from rich.table import Table

    fits = [fit for fit in (calibration.network, calibration.engine) if fit is not None]
    table = Table(title=f"scores, calibrated on {calibration.pixels} pixels of {calibration.images} images")
    table.add_column("precision")
    for name in ("temperature", "ECE before", "ECE after"):
        table.add_column(name, justify="right")
    for fit in fits:
        low, high = min(fit.temperatures), max(fit.temperatures)
        spread = f"{low:.3f}" if len(fit.temperatures) == 1 else f"{low:.3f}-{high:.3f}, of each class"
        table.add_row(fit.precision, spread, f"{fit.before.ece:.2%}", f"{fit.after.ece:.2%}")
    show(table)
    for fit in fits if diagram else ():
        for when, found in (("before", fit.before), ("after", fit.after)):
            table = Table(title=f"reliability of {fit.precision}, {when}")
            for name in ("confidence", "accuracy", "pixels"):
                table.add_column(name, justify="right")
            for one in found.bins:
                table.add_row(f"{one.confidence:.1%}", f"{one.accuracy:.1%}", str(one.pixels))
            show(table)


def _print_times(record: Quantization, precision: str) -> None:
    if record.unpaid:
        say(f"{len(record.unpaid)} of {record.layers} layers stay in floating point, where they are faster here")
    if record.worth is not None:
        verdict = f"does not pay here: it takes {record.worth:.2f}" if record.worth > 1 else f"takes {record.worth:.2f}"
        say(f"{precision} {verdict} of the time in float32")


def print_written(package: Package, *, drawn: bool, more: str = "") -> None:
    """The end of an export, however its target was chosen: what is known of the package.

    Args:
        package: What was written.
        drawn: Whether only drawn scenes were compared.
        more: Stands behind the target.
    """
    from segship.core.provenance import RANDOM_WEIGHTS

    manifest = package.manifest
    for failure in manifest.failures:
        say(f"NOT EXACT: {failure}")
    for note in manifest.notes:
        say(f"note: {note}")
    verdict = "written although a gate failed" if manifest.failures else _verdict(manifest, drawn=drawn)
    random = manifest.provenance is not None and manifest.provenance.random_weights
    say(f"{package.path}: {manifest.target}{more}, {verdict}{f'; {RANDOM_WEIGHTS}' if random else ''}")
    if manifest.provenance is not None and (assumed := manifest.provenance.assumptions(manifest.spec)):
        say(f"assumed: {'; '.join(assumed)}")


def _verdict(manifest: Manifest, *, drawn: bool) -> str:
    """What is known of the package: what ran it, unless that is the engine itself, and on which images."""
    standing = manifest.standing.removesuffix(" on the engine")
    return f"{standing} on drawn scenes; --images FOLDER for yours" if drawn and manifest.checks else standing


def print_evaluation(evaluation: Evaluation) -> None:
    """Per-class figures, then those that stand for all: IoU and Acc, or the ones that were asked for."""
    from rich.table import Table

    table = Table(title=f"{evaluation.images} images")
    table.add_column("class")
    asked = evaluation.columns
    figures = _SHOWN if len(asked) == len(evaluation.scores.per_class) else tuple(asked)
    columns = {name: asked[name] for name in figures}
    if evaluation.boundary is not None:
        columns["boundary IoU"] = evaluation.boundary
    if evaluation.against is not None:
        other = evaluation.against.scores.per_class
        columns |= {f"Δ {name}": other[name] - asked[name] for name in figures}
    for column in columns:
        table.add_column(column, justify="right")
    for row, name in enumerate(evaluation.classes):
        table.add_row(name, *(_cell(values[row], signed="Δ" in column) for column, values in columns.items()))
    show(table)
    say(_means(evaluation.scores, figures))
    if evaluation.against is not None:
        second = evaluation.against
        say(f"{_means(second.scores, figures)}   ({second.name}; {second.agreement:.4f} % of the pixels agree)")
        for name, share in second.images[:5]:
            say(f"  {share:6.2f} % differ in {name}")


def _cell(value: float, *, signed: bool) -> str:
    return "nan" if value != value else f"{value:+.2f}" if signed else f"{value:.2f}"  # noqa: PLR0124  (only NaN is)


def _means(scores: Scores, figures: tuple[str, ...]) -> str:
    return "   ".join(f"{name} {scores.means[name]:.2f}" for name in ("aAcc", *(f"m{name}" for name in figures)))
