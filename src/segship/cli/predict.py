"""``segship predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segship.cli.classes import CLASSES
from segship.cli.options import DEVICE, NO_CACHE, TTA, either
from segship.cli.predicting import predict_images

__all__ = ["predict"]


def predict(
    package: Annotated[
        Path, typer.Argument(help="Folder written by `segship export` or MMDeploy, or a lone engine file.")
    ],
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images, or folders of images. Packages that stand before them take part: the mean of their scores "
            "decides."
        ),
    ],
    to: Annotated[Path, typer.Option(help="Folder for the results.")],
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of the mask in the overlay.")] = 0.5,
    scores: Annotated[
        bool, typer.Option("--scores", help="Also write the class probabilities: float16 .npz, (C, H, W) as `scores`.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Write the mask over the image as NAME_overlay.jpg.")
    ] = True,
    resume: Annotated[
        bool, typer.Option("--resume", help="Leave out images that an earlier run with the same package has done.")
    ] = False,
    device: Annotated[str | None, typer.Option(help=DEVICE)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine.")] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES)] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Open an engine that carries code, which then runs. Only from people you trust."),
    ] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = 100_000_000,
    tta: Annotated[str | None, typer.Option(help=TTA, metavar="[flip,scales=…]")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help=NO_CACHE)] = False,
    old_layout: Annotated[str | None, typer.Option("--layout", hidden=True)] = None,
) -> None:
    """Write the label map and an overlay of each image, in folders as the images are.

    NAME.png holds the labels with the palette embedded, NAME_overlay.jpg the mask over the image, index.jsonl a line
    for each image: its results, size and classes, or why there is none. Status 1: some images could not be used.
    """
    if status := predict_images(
        package, images, to, opacity=opacity, scores=scores, overlay=overlay, resume=resume, device=device,
        threads=threads, classes=either(classes, old_layout, "--classes", "--layout"), trust=trust,
        max_pixels=max_pixels, tta=tta, cache=not no_cache,
    ):  # fmt: skip
        raise typer.Exit(status)
