"""``segship predict``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.classes import CLASSES, read_classes
from segship.cli.options import DEVICE, TTA, either
from segship.core.errors import InputError

if TYPE_CHECKING:
    from segship.runtime.predict import Predictions

__all__ = ["predict"]

_SOME_FAILED = 1
_SHOWN = 20


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
    old_layout: Annotated[str | None, typer.Option("--layout", hidden=True)] = None,
) -> None:
    """Write the label map and an overlay of each image, in folders as the images are.

    NAME.png holds the labels with the palette embedded, NAME_overlay.jpg the mask over the image, index.jsonl a line
    for each image: its results, size and classes, or why there is none. Status 1: some images could not be used.
    """
    from segship.cli import output
    from segship.runtime import Segmentor
    from segship.runtime.predict import ResultForm, predict_files

    names, layout = read_classes(either(classes, old_layout, "--classes", "--layout"))
    more = _packages_among(images)
    images = images[len(more) :]
    if not images:
        raise InputError(f"{more[-1]} is a package: after packages come images, or folders of images")
    segmentor = Segmentor(
        (package, *more), device=device, threads=threads, trust=trust, classes=names, layout=layout, tta=tta
    )
    with output.resumable("--resume goes on"), output.progress_bar("predicting", 2) as progress:
        form = ResultForm(opacity, max_pixels, overlay=overlay, scores=scores)
        found = predict_files(segmentor, images, to, form, resume=resume, progress=progress)
    _tell(found, to)


def _packages_among(paths: list[Path]) -> list[Path]:
    """The packages that ``paths`` begin with: folders with a manifest; others' engines are named alone."""
    from segship.core.manifest import MANIFEST

    return list(itertools.takewhile(lambda path: (path / MANIFEST).is_file(), paths))


def _tell(found: Predictions, to: Path) -> None:
    from segship.cli import output
    from segship.runtime.result_index import INDEX

    if found.left_out:
        kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(found.left_out.items()))
        output.say(f"left out, no images by their suffix: {kinds}")
    before = f", {found.resumed} of them by an earlier run" if found.resumed else ""
    output.say(f"{len(found.masks)} image{'s' * (len(found.masks) != 1)} -> {to}{before}")
    for reason in list(found.failed.values())[:_SHOWN]:
        output.fail(reason)
    if found.failed:
        more = f"; {to / INDEX} names all" if len(found.failed) > _SHOWN else ""
        output.fail(f"{len(found.failed)} of {len(found.masks) + len(found.failed)} images could not be used{more}")
        raise typer.Exit(_SOME_FAILED)
