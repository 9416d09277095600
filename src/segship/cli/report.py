"""``segship report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


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
    layout: Annotated[
        tuple[str, Path] | None,
        typer.Option("--data", "--layout", metavar="NAME ROOT", help="Data set and its folder, as for evaluate."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data set. Default: val.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images, instead of --data.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Folder of their label maps.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    batch_sizes: Annotated[str, typer.Option(metavar="N,N,…", help="Images in one run, for the timing.")] = "1",
    duration: Annotated[float, typer.Option(min=0, help="Seconds of timing for each target and batch size.")] = 3.0,
    calibration: Annotated[Path | None, typer.Option(help="Folder of images to fit int8 to.")] = None,
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
) -> None:
    """Export, verify, evaluate and time several targets, and write one page about them.

    What was made before is kept; only what is missing or has changed is made again.
    """
    from segship import report as reports
    from segship.cli import output
    from segship.cli.benchmark import numbers
    from segship.cli.evaluate import find_data
    from segship.evaluation import NetworkFiles

    request = reports.Request(
        config,
        checkpoint,
        tuple(name.strip() for name in targets.split(",") if name.strip()),
        to,
        str(images) if layout is None else f"{layout[0]} {split or ''}".strip(),
        numbers(batch_sizes),
        duration,
        calibration,
        threads,
        workers,
        tuple(redo or ()),
        time_again,
        pictures,
        tuple(device or ()),
    )
    with output.stages() as tell:
        spec = NetworkFiles(config, checkpoint).spec()
        data = find_data(spec, layout, split, images, labels, None, limit, labelled=True)
        found = reports.make_report(request, spec, data, tell=tell)
        paths = reports.write_report(found, to)
    for one in found.candidates:
        if one.error:
            typer.echo(f"warning: {one.name} left out: {one.error}", err=True)
    output.say(f"{paths['html']} (also .md, .csv, .json)")
