"""``segship predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.classes import CLASSES, read_classes
from segship.cli.options import DEVICE, either

__all__ = ["predict"]


def predict(
    package: Annotated[
        Path, typer.Argument(help="Folder written by `segship export` or MMDeploy, or a lone engine file.")
    ],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images.")],
    to: Annotated[Path, typer.Option(help="Folder for the results.")],
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the mask in the overlay.")] = 0.5,
    scores: Annotated[
        bool, typer.Option("--scores", help="Also write the class probabilities: float16 .npz, (C, H, W) as `scores`.")
    ] = False,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine.")] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES)] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Open an engine that carries code, which then runs. Only from people you trust."),
    ] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = 100_000_000,
    old_layout: Annotated[str | None, typer.Option("--layout", hidden=True)] = None,
) -> None:
    """Write the label map and an overlay of each image.

    NAME.png holds the labels with the palette embedded, NAME_overlay.jpg the mask over the image.
    """
    from segship.cli import output
    from segship.runtime import Segmentor
    from segship.runtime import predict as run
    from segship.vision.decode import find_images

    names, layout = read_classes(either(classes, old_layout, "--classes", "--layout"))
    files = find_images(images)
    segmentor = Segmentor(package, device=device, threads=threads, trust=trust, classes=names, layout=layout)
    with output.progress_bar("predicting", len(files)) as progress:
        run(segmentor, files, to, opacity=opacity, scores=scores, max_pixels=max_pixels, progress=progress)
    output.say(f"{len(files)} image{'s' * (len(files) > 1)} -> {to}")
