"""``segship evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["evaluate"]


def evaluate(
    package: Annotated[Path, typer.Argument(help="Folder written by `segship export`.")],
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    labels: Annotated[Path, typer.Option(help="Folder of label maps with the images' names.")],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures to this file; - for standard output."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first N images.")] = None,
    reduce_zero_label: Annotated[
        bool | None,
        typer.Option(
            "--reduce-zero-label/--keep-zero-label",
            help="Label 0 means ignore and the others move down by one. Default: as the network was trained.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda:0, …; `segship doctor` lists them.")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine.")] = None,
) -> None:
    """Measure IoU and accuracy of each class, and aAcc, mIoU, mAcc, with MMSegmentation's definitions."""
    from segship.cli import output  # noqa: PLC0415
    from segship.evaluate import evaluate as run  # noqa: PLC0415
    from segship.evaluate import pair_files  # noqa: PLC0415
    from segship.runtime.segmentor import Segmentor  # noqa: PLC0415

    pairs = pair_files(images, labels, limit)
    segmentor = Segmentor(package, device=device, threads=threads)
    with output.progress_bar("evaluating", len(pairs)) as progress:
        result = run(segmentor, pairs, zero_is_ignore=reduce_zero_label, progress=progress)
    output.write_json(json_file, result.as_dict())
    if not output.is_standard_output(json_file):
        output.print_evaluation(result)
