"""``segship tune``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.classes import with_classes
from segship.cli.options import (
    Classes,
    IgnoreUnknown,
    JsonFile,
    Normalize,
    find_normalize,
    keep_apart,
    read_names,
    split_paths,
)
from segship.core.errors import InputError

if TYPE_CHECKING:
    from segship.deploy.tune import Tried, Tuning
    from segship.sources import Source

__all__ = ["run_tuning", "tune"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?")
_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, None: 1}


def _read_duration(text: str) -> float:
    """``20min``, ``90s``, ``1h`` or a number of seconds, in seconds.

    Raises:
        InputError: It is something else, or nothing.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not seconds:
        raise InputError(f"--budget {text!r:.60} is no time: 20min, 90s or 1h")
    return seconds


_Paths = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE [CHECKPOINT] OUT", help="As for `segship export`."),
]
_Calibration = Annotated[
    Path | None,
    typer.Option(
        help="Folder of images like those the network will see: int8 is fitted to them, and all is judged and "
        "timed on them.",
        metavar="FOLDER",
    ),
]
_Labels = Annotated[
    Path | None,
    typer.Option(
        help="Folder of their label maps. Without it, the labels shared with the network are counted.",
        metavar="FOLDER",
    ),
]
_CalibrationImages = Annotated[int, typer.Option(min=1, help="At most so many of them, spread over the folder.")]
_Budget = Annotated[str, typer.Option(metavar="TIME", help="How long it may take: 90s, 20min, 1h.")]
_MaxDrop = Annotated[float, typer.Option(min=0, help="Points that mIoU may change, up or down.")]
_Prefer = Annotated[str, typer.Option(metavar="speed|size|accuracy", help="What is chosen of what passes.")]
_Engines = Annotated[str, typer.Option(metavar="E,E,…", help="Only these engines. Default: all that work here.")]
_Embed = Annotated[str, typer.Option(metavar="pre,post", help="As for `segship export`.")]
_To = Annotated[
    Path | None,
    typer.Option(help="Folder for the record, the plot and what resuming needs. Default: OUT.tune beside OUT."),
]
_CfgOptions = Annotated[list[str] | None, typer.Option(help="As for `segship export`.")]
_Source = Annotated[str | None, typer.Option(help="As for `segship export`.")]
_Spec = Annotated[Path | None, typer.Option(help="As for `segship export`.")]
_Trust = Annotated[
    bool,
    typer.Option("--trust", help="As for `segship export`; engines whose files carry code are tried, too."),
]


def tune(
    paths: _Paths,
    calibration: _Calibration = None,
    labels: _Labels = None,
    calibration_images: _CalibrationImages = 64,
    budget: _Budget = "20min",
    max_drop: _MaxDrop = 0.5,
    prefer: _Prefer = "speed",
    engines: _Engines = "",
    embed: _Embed = "",
    to: _To = None,
    cfg_options: _CfgOptions = None,
    source: _Source = None,
    spec: _Spec = None,
    classes: Classes = None,
    trust: _Trust = False,
    normalize: Normalize = None,
    ignore_unknown: IgnoreUnknown = False,
    json_file: JsonFile = None,
) -> None:
    """Find the fastest package that is right on this machine, by measuring.

    Engines, precisions, shapes and threads are tried, the cheapest first, each behind the gates of an export, and timed
    in turns from the image to the mask. The same command goes on where an interrupted one was, within the same budget.
    """
    from segship.sources import Source

    config, checkpoint, out = split_paths(paths, source)
    keep_apart(json_file, config, checkpoint, spec)
    given = Source(
        config,
        checkpoint,
        source=source,
        cfg_options=cfg_options,
        spec=with_classes(spec, classes),
        trust=trust,
        ignore_unknown=ignore_unknown,
        normalize=find_normalize(normalize),
    )
    run_tuning(
        given,
        out,
        json_file,
        calibration=calibration,
        labels=labels,
        images=calibration_images,
        budget=_read_duration(budget),
        max_drop=max_drop,
        prefer=prefer,
        engines=read_names(engines),
        embed=embed,
        to=to,
    )


def run_tuning(
    given: Source,
    out: Path,
    json_file: Path | None,
    *,
    calibration: Path | None,
    labels: Path | None,
    images: int,
    budget: float | None = None,
    max_drop: float = 0.5,
    prefer: str = "speed",
    engines: tuple[str, ...] = (),
    embed: str = "",
    to: Path | None = None,
) -> None:
    """Tune with a progress bar, and print what was found.

    Args:
        given: The network.
        out: Folder to write the package to.
        json_file: Where all of it is written as JSON, besides.
        calibration: As for `segship.tune`, as are the others.
        labels: See there.
        images: See there.
        budget: Seconds; None: the default.
        max_drop: See there.
        prefer: See there.
        engines: See there.
        embed: See there.
        to: See there.
    """
    from segship.cli import output
    from segship.deploy.tune import BUDGET, read_prefer
    from segship.deploy.tune import tune as run

    if labels is None:
        output.warn("no --labels: candidates are judged by the labels that they share with the network in fp32")
    with output.resumable("the same command goes on"), output.staged_bar("tuning") as progress:
        found = run(
            given,
            out,
            calibration=calibration,
            labels=labels,
            images=images,
            budget=budget or BUDGET,
            max_drop=max_drop,
            prefer=read_prefer(prefer),
            engines=engines,
            embed=embed or (),
            to=to,
            trust=given.trust,
            progress=progress,
        )
    output.write_json(json_file, found.as_dict())
    if not output.is_standard_output(json_file):
        _print_tuning(found)


def _print_tuning(found: Tuning) -> None:
    """The Pareto front as a table, what else passed, why the rest did not, and what was written.

    Args:
        found: What tuning found.
    """
    from segship.cli import output

    front = sorted((one for one in found.tried if one.front), key=_milliseconds)
    others = sorted((one for one in found.tried if one.state == "passed" and not one.front), key=_milliseconds)
    _print_table("Pareto front, from the image to the mask", front, found)
    if others:
        _print_table("passed, and beaten in every respect", others, found)
    for one in found.tried:
        if one.state != "passed":
            output.say(f"{one.state}: {one.target}: {one.reason}")
    settings = found.settings
    judged = "mIoU" if settings["labels"] else "labels kept against the network in fp32"
    output.say(
        f"judged by {judged} on {len(settings['images'])} images, timed on {settings['processors']} x "
        f"{settings['processor']}"
    )
    if not found.finished:
        output.say(f"the budget of {settings['budget']:g} s was over before everything was tried")
    drawn = found.picture if found.picture is not None else 'no plot: pip install "segship[plots]"'
    output.say(f"{found.report / 'tune.json'}, {drawn}")
    threads = "" if not found.chosen.threads else f", {found.chosen.threads} threads"
    output.print_written(found.package, drawn=False, more=threads)


def _print_table(title: str, rows: list[Tried], found: Tuning) -> None:
    from rich import box
    from rich.table import Table

    from segship.cli import output

    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("target", no_wrap=True)
    for name in ("threads", "ms", "quartiles", "mIoU", "Δ", "labels kept", "MB", "MiB of memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in rows:
        timing = one.timing
        table.add_row(
            f"{one.target} *" if one.target == found.chosen.target else one.target,
            str(one.threads or "own"),
            "" if timing is None else f"{timing.milliseconds:.1f}",
            "" if timing is None else f"{timing.low:.1f}-{timing.high:.1f}",
            "" if one.mIoU is None else f"{one.mIoU:.2f}",
            "" if one.change is None else f"{one.change:+.2f}",
            "" if one.agreement is None else f"{one.agreement:.3%}",
            f"{one.size / 1e6:.2f}",
            "" if one.memory is None else f"{one.memory:.0f}",
        )
    output.show(table)


def _milliseconds(one: Tried) -> float:
    return one.timing.milliseconds if one.timing is not None else float("inf")
