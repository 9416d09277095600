"""``segship evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segship.cli.options import (
    DEVICE,
    MASK_FORMAT,
    TTA,
    Bands,
    Blend,
    MaskFormat,
    OldLayout,
    Overlap,
    Resolution,
    Scale,
    Window,
    check_json_file,
    either,
)
from segship.core.errors import InputError

if TYPE_CHECKING:
    from segship.evaluation import Evaluation, OutputFolders

__all__ = ["evaluate"]

_DATA, _FILES, _RUN = "Data", "Files to write", "How to run"

_Network = Annotated[
    Path, typer.Argument(help="Folder written by `segship export` or MMDeploy, an engine file, or a config.")
]
_Checkpoint = Annotated[Path | None, typer.Argument(help="Of a config: the trained weights.")]
_Dataset = Annotated[
    tuple[str, Path] | None,
    typer.Option(
        metavar="NAME ROOT",
        help="A data set and its folder: cityscapes, ade20k, camvid, voc, pascal-context, coco-stuff, …; `folder` "
        "for images and label maps in folders with usual names.",
        rich_help_panel=_DATA,
    ),
]
_Split = Annotated[
    str | None,
    typer.Option(help="Part of the data set: train, val, test. Default: val.", rich_help_panel=_DATA),
]
_Images = Annotated[Path | None, typer.Option(help="Folder of images.", rich_help_panel=_DATA)]
_Labels = Annotated[
    Path | None, typer.Option(help="Folder of label maps with the images' names.", rich_help_panel=_DATA)
]
_ImageSuffix = Annotated[
    str | None,
    typer.Option(help="End of images' names, as _sat.jpg; others are left out.", rich_help_panel=_DATA),
]
_LabelSuffix = Annotated[
    str | None,
    typer.Option(help="End of label maps' names, in place of the images', as _mask.png.", rich_help_panel=_DATA),
]
_Limit = Annotated[int | None, typer.Option(min=1, help="Take only the first N images.", rich_help_panel=_DATA)]
_MaxPixels = Annotated[int, typer.Option(min=1, help="Leave images with more pixels out.", rich_help_panel=_DATA)]
_ReduceZeroLabel = Annotated[
    bool | None,
    typer.Option(
        "--reduce-zero-label/--keep-zero-label",
        help="Label 0 means ignore and the others move down by one. Default: as the data set has it, else as the "
        "network was trained.",
        rich_help_panel=_DATA,
    ),
]
_Against = Annotated[Path | None, typer.Option(help="A second package to compare with.", rich_help_panel=_DATA)]
_Boundary = Annotated[bool, typer.Option("--boundary", help="Also measure the boundary IoU.")]
_EvalOptions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Option of MMSegmentation's evaluator: iou_metrics=mIoU,mDice,mFscore, nan_to_num=0, beta=2, "
        "ignore_index=0, prefix=, output_dir=, format_only=; several may follow.",
    ),
]
_JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="The figures; - for standard output.",
        callback=check_json_file,
        rich_help_panel=_FILES,
    ),
]
_Confusion = Annotated[
    list[Path] | None,
    typer.Option(help="The confusion matrix, as .csv or .png; may be repeated.", rich_help_panel=_FILES),
]
_To = Annotated[Path | None, typer.Option(help="Folder for the predictions.", rich_help_panel=_FILES)]
_Form = Annotated[
    MaskFormat | None,
    typer.Option(
        "--format",
        help=MASK_FORMAT,
        rich_help_panel=_FILES,
    ),
]
_FormatOnly = Annotated[
    bool,
    typer.Option(
        "--format-only",
        help="Count nothing, only write predictions to the folder of --to with the numbers that the data set's "
        "test server takes.",
        rich_help_panel=_FILES,
    ),
]
_ShowDir = Annotated[
    Path | None,
    typer.Option(help="Folder for pictures: truth and prediction over the image.", rich_help_panel=_FILES),
]
_Opacity = Annotated[float, typer.Option(min=0, max=1, help="Of masks in pictures.", rich_help_panel=_FILES)]
_Differences = Annotated[
    Path | None,
    typer.Option(help="With --against: folder for pictures of the images that differ most.", rich_help_panel=_FILES),
]
_Workers = Annotated[int, typer.Option(min=1, help="Processes that share the work.", rich_help_panel=_RUN)]
_Ray = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local", help="Ray cluster that shares the work; local starts one.", rich_help_panel=_RUN
    ),
]
_Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where an interrupted run stopped.", rich_help_panel=_RUN)
]
_Device = Annotated[str | None, typer.Option(help=DEVICE, rich_help_panel=_RUN)]
_Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of one engine. Default: several images at once.", rich_help_panel=_RUN),
]
_Trust = Annotated[
    bool,
    typer.Option("--trust", help="Open engines that carry code, which then runs.", rich_help_panel=_RUN),
]
_Tta = Annotated[str | None, typer.Option(help=TTA, metavar="[flip,scales=…]", rich_help_panel=_RUN)]
_OldOut = Annotated[Path | None, typer.Option("--out", hidden=True)]
_OldForm = Annotated[MaskFormat | None, typer.Option("--out-format", hidden=True)]


def evaluate(
    network: _Network,
    checkpoint: _Checkpoint = None,
    dataset: _Dataset = None,
    split: _Split = None,
    images: _Images = None,
    labels: _Labels = None,
    image_suffix: _ImageSuffix = None,
    label_suffix: _LabelSuffix = None,
    limit: _Limit = None,
    max_pixels: _MaxPixels = 100_000_000,
    reduce_zero_label: _ReduceZeroLabel = None,
    against: _Against = None,
    boundary: _Boundary = False,
    eval_options: _EvalOptions = None,
    json_file: _JsonFile = None,
    confusion: _Confusion = None,
    to: _To = None,
    form: _Form = None,
    format_only: _FormatOnly = False,
    show_dir: _ShowDir = None,
    opacity: _Opacity = 0.5,
    differences: _Differences = None,
    workers: _Workers = 1,
    ray: _Ray = None,
    resume: _Resume = False,
    device: _Device = None,
    threads: _Threads = None,
    trust: _Trust = False,
    tta: _Tta = None,
    window: Window = None,
    overlap: Overlap = None,
    blend: Blend = None,
    scale: Scale = None,
    resolution: Resolution = None,
    bands: Bands = None,
    old_layout: OldLayout = None,
    old_out: _OldOut = None,
    old_form: _OldForm = None,
) -> None:
    """Measure IoU and accuracy of each class, and aAcc, mIoU, mAcc, with MMSegmentation's definitions.

    The data: --dataset NAME ROOT, or --images and --labels. Samples that cannot be used are left out and named.
    """
    from segship.cli import output
    from segship.cli.options import find_data
    from segship.cli.scenes import scene_form
    from segship.evaluation import OutputFolders, read_eval_options
    from segship.evaluation import evaluate as run
    from segship.sources import Source

    options = read_eval_options(eval_options or [])
    named = either(dataset, old_layout, "--dataset", "--layout")
    to, form = either(to, old_out, "--to", "--out"), either(form, old_form, "--format", "--out-format")
    matrices = confusion or []
    outputs = OutputFolders(
        predictions=to,
        form=form or "png",
        submission=format_only or options.format_only,
        pictures=show_dir,
        opacity=opacity,
        differences=differences,
        files=tuple(path for path in (json_file, *matrices) if path is not None),
    )
    _require_used(outputs, form, matrices, options.output_dir)
    seen = {"overlap": overlap, "blend": blend, "scale": scale, "resolution": resolution}
    scenes = scene_form(seen, {}, window=window, bands=bands)
    given = find_data(named, split, images, labels, reduce_zero_label, limit, image_suffix, label_suffix)
    with (
        output.resumable("--resume goes on"),
        output.progress_bar("evaluating", 2, rate="images/s") as progress,
    ):
        found = run(
            network if checkpoint is None else Source(network, checkpoint),
            given,
            against=against,
            boundary=boundary,
            options=options,
            outputs=outputs,
            device=device,
            threads=threads,
            trust=trust,
            workers=workers,
            ray=ray,
            resume=resume,
            max_pixels=max_pixels,
            tta=tta,
            scene=None if scenes is None else scenes.options,
            progress=progress,
        )
    _write(found, json_file, matrices, outputs if outputs.submission else None)


def _require_used(outputs: OutputFolders, form: str | None, matrices: list[Path], output_dir: Path | None) -> None:
    """Refuse a form of predictions, and matrices, that nothing would be written in."""
    if form is not None and outputs.predictions is None and output_dir is None:
        raise InputError("--format is of predictions: give --to FOLDER for them")
    if outputs.submission and (form is not None or matrices):
        raise InputError("--format-only writes grey PNG and counts nothing: leave --format and --confusion out")


def _write(found: Evaluation, json_file: Path | None, confusion: list[Path], written: OutputFolders | None) -> None:
    """Write and print the figures; where only predictions were made, how many."""
    from segship.cli import output
    from segship.evaluation.matrix import write_matrix
    from segship.evaluation.tally import KINDS

    output.write_json(json_file, found.as_dict())
    for path in confusion:
        write_matrix(path, found.classes, found.matrix)
    for problem in found.problems:
        output.warn(f"{KINDS[problem.kind]}: {problem.count}, the first: {problem.examples[0][1]}")
    if output.is_standard_output(json_file):
        return
    if written is not None:
        output.say(f"{found.images} predictions -> {written.predictions or found.options.output_dir}")
    else:
        output.print_evaluation(found)
