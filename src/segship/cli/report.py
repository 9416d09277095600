"""``segship report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import OldLayout, either, find_data, keep_apart, read_names, read_numbers
from segship.core.errors import InputError

__all__ = ["report"]

_NO_TARGET = 1

_Config = Annotated[
    Path | None, typer.Argument(help="Config of the trained network; nothing: a report of --adopted alone.")
]
_Checkpoint = Annotated[Path | None, typer.Argument(help="Its weights, where the config does not bring them.")]
_Targets = Annotated[
    str | None,
    typer.Option(
        metavar="T,T,…",
        help="Engine, precision and shape of each, as in onnxruntime_dynamic,openvino-int8_static",
    ),
]
_To = Annotated[Path, typer.Option(help="Folder for the report, the packages and what resuming needs.")]
_Dataset = Annotated[
    tuple[str, Path] | None, typer.Option(metavar="NAME ROOT", help="Data set and its folder, as for evaluate.")
]
_Split = Annotated[str | None, typer.Option(help="Part of the data set. Default: val.")]
_Images = Annotated[Path | None, typer.Option(help="Folder of images, instead of --dataset.")]
_Labels = Annotated[Path | None, typer.Option(help="Folder of their label maps.")]
_Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N images.")]
_BatchSizes = Annotated[str, typer.Option(metavar="N,N,…", help="Images in one run, for the timing.")]
_Duration = Annotated[float, typer.Option(min=0, help="Seconds of timing for each target and batch size.")]
_Calibration = Annotated[Path | None, typer.Option(help="Folder of images to fit int8 to.")]
_CalibrationLabels = Annotated[
    Path | None, typer.Option(help="Folder of their label maps: int8 is then judged by its loss of mIoU.")
]
_Threads = Annotated[int | None, typer.Option(min=1, help="Threads of each engine in the timing.")]
_Device = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[ENGINE=]DEVICE",
        help="What the engines run on: cuda:0 for all of them, ENGINE=cuda:1 for one; may be repeated. Default: "
        "cpu, or the first device of an engine that does not run there. The network itself runs on the cpu.",
    ),
]
_Workers = Annotated[int, typer.Option(min=1, help="Processes that share an evaluation.")]
_Redo = Annotated[
    list[str] | None, typer.Option(help="Target to make again; PyTorch for the network itself; may be repeated.")
]
_TimeAgain = Annotated[
    bool, typer.Option("--time-again", help="Time all targets again, so that their times are of one run.")
]
_Adopted = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PACKAGE",
        help="Package that segship adopt made, whose figures from the chip get tables of their own; may be repeated.",
    ),
]
_Pictures = Annotated[int, typer.Option(min=0, help="How many sample masks to show.")]


def report(
    config: _Config = None,
    checkpoint: _Checkpoint = None,
    *,
    targets: _Targets = None,
    to: _To,
    dataset: _Dataset = None,
    split: _Split = None,
    images: _Images = None,
    labels: _Labels = None,
    limit: _Limit = None,
    batch_sizes: _BatchSizes = "1",
    duration: _Duration = 3.0,
    calibration: _Calibration = None,
    calibration_labels: _CalibrationLabels = None,
    threads: _Threads = None,
    device: _Device = None,
    workers: _Workers = 1,
    redo: _Redo = None,
    time_again: _TimeAgain = False,
    adopted: _Adopted = None,
    pictures: _Pictures = 3,
    old_layout: OldLayout = None,
) -> None:
    """Export, verify, evaluate and time several targets, and write one page about them.

    What was made before is kept; only what is missing or has changed is made again.
    """
    from segship import report as reports
    from segship.cli import output
    from segship.sources import Source

    packages = tuple(adopted or ())
    if config is None:
        _report_of_chips(packages, to)
        return
    if targets is None:
        raise InputError(
            "no target is named: --targets onnxruntime_dynamic,…, or only --adopted PACKAGE without CONFIG"
        )
    data = find_data(either(dataset, old_layout, "--dataset", "--data"), split, images, labels, None, limit)
    request = reports.Request(
        Source(config, checkpoint),
        data,
        read_names(targets),
        to,
        timing=reports.Timing(read_numbers(batch_sizes), duration, threads),
        calibration=calibration,
        calibration_labels=calibration_labels,
        workers=workers,
        redo=tuple(redo or ()),
        retime=time_again,
        pictures=pictures,
        devices=tuple(device or ()),
        adopted=packages,
    )
    for suffix in ("html", "md", "csv", "json"):
        keep_apart(to / f"report.{suffix}", config, checkpoint)
    with output.resumable("the same command goes on"), output.stages() as progress:
        found = reports.make_report(request, progress=progress)
        paths = reports.write_report(found, to)
    for one in found.candidates:
        if one.error:
            output.warn(f"{one.name} left out: {one.error}")
    output.say(f"{paths['html']} (also .md, .csv, .json)")
    if all(one.error for one in found.candidates[1:]):
        output.fail("no target could be made: the report is of the network alone")
        raise typer.Exit(_NO_TARGET)


def _report_of_chips(packages: tuple[Path, ...], to: Path) -> None:
    from segship import report as reports
    from segship.cli import output

    if not packages:
        raise InputError("nothing to report: give CONFIG CHECKPOINT --targets …, or --adopted PACKAGE")
    paths = reports.write_chips(reports.read_adopted(packages), to)
    output.say(f"{paths['html']} (also .md, .csv, .json)")
