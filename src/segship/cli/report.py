"""``segship report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.options import OldLayout, either, find_data, keep_apart, read_names, read_numbers

__all__ = ["report"]

_NO_TARGET = 1


def report(
    config: Annotated[Path, typer.Argument(help="Config of the trained network.")],
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Its weights, where the config does not bring them.")
    ] = None,
    *,
    targets: Annotated[
        str,
        typer.Option(
            metavar="T,T,…",
            help="Engine, precision and shape of each, as in onnxruntime_dynamic,openvino-int8_static",
        ),
    ],
    to: Annotated[Path, typer.Option(help="Folder for the report, the packages and what resuming needs.")],
    dataset: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="NAME ROOT", help="Data set and its folder, as for evaluate.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set. Default: val.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, instead of --dataset.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Folder of their label maps.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    batch_sizes: Annotated[str, typer.Option(metavar="N,N,…", help="Images in one run, for the timing.")] = "1",
    duration: Annotated[float, typer.Option(min=0, help="Seconds of timing for each target and batch size.")] = 3.0,
    calibration: Annotated[Path | None, typer.Option(help="Folder of images to fit int8 to.")] = None,
    calibration_labels: Annotated[
        Path | None, typer.Option(help="Folder of their label maps: int8 is then judged by its loss of mIoU.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of each engine in the timing.")] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ENGINE=]DEVICE",
            help="What the engines run on: cuda:0 for all of them, ENGINE=cuda:1 for one; may be repeated. Default: "
            "cpu, or the first device of an engine that does not run there. The network itself runs on the cpu.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share an evaluation.")] = 1,
    redo: Annotated[
        list[str] | None, typer.Option(help="Target to make again; PyTorch for the network itself; may be repeated.")
    ] = None,
    time_again: Annotated[
        bool, typer.Option("--time-again", help="Time all targets again, so that their times are of one run.")
    ] = False,
    pictures: Annotated[int, typer.Option(min=0, help="How many sample masks to show.")] = 3,
    old_layout: OldLayout = None,
) -> None:
    """Export, verify, evaluate and time several targets, and write one page about them.

    What was made before is kept; only what is missing or has changed is made again.
    """
    from segship import report as reports
    from segship.cli import output
    from segship.sources import Source

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
