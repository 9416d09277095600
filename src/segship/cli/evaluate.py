"""``segship evaluate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from segship.core.spec import ModelSpec
    from segship.evaluation import EvalOptions, Evaluation, Job
    from segship.evaluation.data import Data

__all__ = ["evaluate", "find_data"]

_DATA, _FILES, _RUN = "Data", "Files to write", "How to run"


def evaluate(
    network: Annotated[
        Path, typer.Argument(help="Folder written by `segship export` or MMDeploy, an engine file, or a config.")
    ],
    checkpoint: Annotated[Path | None, typer.Argument(help="Of a config: the trained weights.")] = None,
    layout: Annotated[
        tuple[str, Path] | None,
        typer.Option(
            metavar="NAME ROOT",
            help="A data set and its folder: cityscapes, ade20k, camvid, voc, pascal-context, coco-stuff, …; `folder` "
            "for images and label maps in folders with usual names.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Part of the data set: train, val, test. Default: val.", rich_help_panel=_DATA),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images.", rich_help_panel=_DATA)] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Folder of label maps with the images' names.", rich_help_panel=_DATA)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take only the first N images.", rich_help_panel=_DATA)
    ] = None,
    reduce_zero_label: Annotated[
        bool | None,
        typer.Option(
            "--reduce-zero-label/--keep-zero-label",
            help="Label 0 means ignore and the others move down by one. Default: as the data set has it, else as the "
            "network was trained.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="A second package to compare with.", rich_help_panel=_DATA)
    ] = None,
    boundary: Annotated[bool, typer.Option("--boundary", help="Also measure the boundary IoU.")] = False,
    eval_options: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Option of MMSegmentation's evaluator: iou_metrics=mIoU,mDice,mFscore, nan_to_num=0, beta=2, "
            "ignore_index=0, prefix=, output_dir=, format_only=; several may follow.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="The figures; - for standard output.", rich_help_panel=_FILES),
    ] = None,
    confusion: Annotated[
        list[Path] | None,
        typer.Option(help="The confusion matrix, as .csv or .png; may be repeated.", rich_help_panel=_FILES),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the predictions.", rich_help_panel=_FILES)] = None,
    out_format: Annotated[
        Literal["png", "npz", "rle"],
        typer.Option(help="Of the predictions: labels with palette, array, or run lengths.", rich_help_panel=_FILES),
    ] = "png",
    format_only: Annotated[
        bool,
        typer.Option(
            "--format-only",
            help="Count nothing, only write predictions to --out with the numbers that the data set's test server "
            "takes.",
            rich_help_panel=_FILES,
        ),
    ] = False,
    show_dir: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures: truth and prediction over the image.", rich_help_panel=_FILES),
    ] = None,
    opacity: Annotated[float, typer.Option(min=0, max=1, help="Of masks in pictures.", rich_help_panel=_FILES)] = 0.5,
    differences: Annotated[
        Path | None,
        typer.Option(
            help="With --against: folder for pictures of the images that differ most.", rich_help_panel=_FILES
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.", rich_help_panel=_RUN)] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local", help="Ray cluster that shares the work; local starts one.", rich_help_panel=_RUN
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run stopped.", rich_help_panel=_RUN)
    ] = False,
    device: Annotated[
        str, typer.Option(help="cpu, cuda:0, …; `segship doctor` lists them.", rich_help_panel=_RUN)
    ] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of one engine. Default: several images at once.", rich_help_panel=_RUN),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Open engines that carry code, which then runs.", rich_help_panel=_RUN),
    ] = False,
) -> None:
    """Measure IoU and accuracy of each class, and aAcc, mIoU, mAcc, with MMSegmentation's definitions.

    The data: --layout NAME ROOT, or --images and --labels. Samples that cannot be used are left out and named.
    """
    from segship.core.errors import InputError
    from segship.evaluation import Job, NetworkFiles, compare
    from segship.evaluation.counter import Counter
    from segship.evaluation.options import read_eval_options
    from segship.evaluation.outputs import Outputs

    options = read_eval_options(eval_options or [])
    format_only, out = format_only or options.format_only, out or options.output_dir
    if format_only and out is None:
        raise InputError("--format-only writes predictions: give --out FOLDER for them")
    if differences is not None and against is None:
        raise InputError("--differences shows where two networks differ: give --against PACKAGE")
    files = NetworkFiles(network, checkpoint, device, threads, trust)
    spec = files.spec()
    data = find_data(spec, layout, split, images, labels, reduce_zero_label, limit, labelled=not format_only)
    second = None if against is None else NetworkFiles(against, None, device, threads, trust)
    numbers = data.submission() if format_only else ()
    outputs = Outputs(spec.classes, spec.palette, out, out_format, numbers, show_dir, opacity)
    counter = Counter(
        replace(data.coding, ignore=options.ignore_index),
        len(spec.classes),
        against=second is not None,
        translate=() if second is None else compare.translation(spec, second.spec()),
        boundary=boundary,
        outputs=outputs,
        labelled=not format_only,
        bands=spec.channels if spec.pixels == "stored" else None,
    )
    job = Job(files, counter, data.samples, second)
    found = _run(job, spec, options, workers, ray, resume=resume)
    _write(job, spec, found, json_file, confusion or [], differences)


def find_data(
    spec: ModelSpec,
    layout: tuple[str, Path] | None,
    split: str | None,
    images: Path | None,
    labels: Path | None,
    reduce_zero_label: bool | None,
    limit: int | None,
    *,
    labelled: bool,
) -> Data:
    """What the options name; of ``--layout`` or ``--images`` and ``--labels``, one must be given.

    Raises:
        InputError: Neither is given, or what is named is not there.
    """
    from segship.core.errors import InputError
    from segship.evaluation import data

    if layout is not None and images is None and labels is None:
        return data.from_layout(spec, *layout, split, reduce_zero_label=reduce_zero_label, limit=limit)
    if layout is None and images is not None and labels is not None:
        return data.from_folders(spec, images, labels, reduce_zero_label=reduce_zero_label, limit=limit)
    if layout is None and images is not None and not labelled:
        return data.from_images(spec, images, limit=limit)
    raise InputError("say what to evaluate on: --layout NAME ROOT, or --images FOLDER and --labels FOLDER")


def _run(job: Job, spec: ModelSpec, options: EvalOptions, workers: int, ray: str | None, *, resume: bool) -> Evaluation:
    from segship.cli import output
    from segship.evaluation import evaluate_job

    with output.progress_bar("evaluating", len(job.samples), rate="images/s") as progress:
        return evaluate_job(
            job, spec.classes, workers=workers, ray=ray, resume=resume, options=options, progress=progress
        )


def _write(
    job: Job,
    spec: ModelSpec,
    found: Evaluation,
    json_file: Path | None,
    confusion: list[Path],
    differences: Path | None,
) -> None:
    from segship.cli import output
    from segship.evaluation.compare import draw_differences
    from segship.evaluation.matrix import write_matrix

    output.write_json(json_file, found.as_dict())
    for path in confusion:
        write_matrix(path, spec.classes, found.matrix)
    if differences is not None and found.against is not None:
        draw_differences(job, job.open()[0], found.against, differences, opacity=job.counter.outputs.opacity)
    _report_problems(found)
    if output.is_standard_output(json_file):
        return
    if not job.counter.labelled:
        output.say(f"{found.images} predictions -> {job.counter.outputs.to}")
        return
    output.print_evaluation(found)


def _report_problems(found: Evaluation) -> None:
    from segship.evaluation.tally import KINDS

    for problem in found.problems:
        text = f"warning: {KINDS[problem.kind]}: {problem.count}, the first: {problem.examples[0][1]}"
        typer.echo(text, err=True)
