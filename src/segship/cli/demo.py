"""``segship demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.core.files import DEMO

if TYPE_CHECKING:
    from segship.runtime.segmentor import Segmentor

__all__ = ["demo"]

_ROWS = 4


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder for the package and the pictures.")] = Path("segship-demo"),
) -> None:
    """Export the bundled network, verify, evaluate and predict: the whole way in one command.

    Leaves the package in FOLDER/package, label maps and overlays of 16 held-out scenes in FOLDER/masks, and
    FOLDER/contact-sheet.png: image, truth and mask side by side.
    """
    from segship import deploy
    from segship.cli import output
    from segship.evaluation import evaluate, pair_files
    from segship.runtime import Segmentor, predict

    config, checkpoint = DEMO / "fast_scnn_scenes.py", DEMO / "fast_scnn_scenes.pth"
    with output.stages() as progress:
        package = deploy.export(config, checkpoint, folder / "package", progress=progress)
    output.print_checks(package.manifest.checks)
    segmentor = Segmentor(package)
    pairs = pair_files(DEMO / "images", DEMO / "labels")
    with output.progress_bar("evaluating", len(pairs)) as progress:
        result = evaluate(segmentor, pairs, progress=progress)
    output.print_evaluation(result)
    with output.progress_bar("predicting", len(pairs)) as progress:
        predict(segmentor, [image for image, _ in pairs], folder / "masks", progress=progress)
    _contact_sheet(segmentor, pairs[:_ROWS], folder / "contact-sheet.png")
    output.say(f"look at {folder / 'contact-sheet.png'} and {folder / 'masks'}")
    output.say(f"then try: segship predict {shlex.quote(str(folder / 'package'))} YOUR_IMAGE --to masks")


def _contact_sheet(segmentor: Segmentor, pairs: list[tuple[Path, Path]], path: Path) -> None:
    from segship.vision.decode import read_image, read_labels
    from segship.vision.draw import contact_sheet, write_png
    from segship.vision.palette import colorize

    palette = segmentor.spec.palette
    pictures = []
    for image, labels in pairs:
        mask = segmentor(image)
        truth = colorize(read_labels(labels), palette)
        pictures += [read_image(image)[:, :, ::-1], truth, colorize(mask, palette)]
    write_png(path, contact_sheet(pictures, titles=("image", "truth", "mask"), columns=3))
