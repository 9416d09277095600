"""From files to figures."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError
from segship.core.files import require_apart
from segship.datasets.samples import pair_up
from segship.evaluation.cluster import count_on_ray
from segship.evaluation.data import Data
from segship.evaluation.differences import draw_differences
from segship.evaluation.job import Job
from segship.evaluation.network import NetworkFiles, OpenNetwork
from segship.evaluation.options import EvalOptions
from segship.evaluation.outputs import OutputFolders
from segship.evaluation.result import Evaluation
from segship.evaluation.state import Ledger, ledger_path
from segship.evaluation.workers import count_in_processes
from segship.rasters.gdal import rasterio
from segship.sources import Source
from segship.vision.decode import MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.evaluation.network import Evaluable, Labeller
    from segship.evaluation.tally import Tally
    from segship.runtime.augmentation import Tta
    from segship.runtime.scene_plan import SceneOptions

    Progress = Callable[[int, int], None]

__all__ = ["evaluate", "evaluate_job", "pair_files"]


def pair_files(images: Path, labels: Path, limit: int | None = None) -> list[tuple[Path, Path]]:
    """Pair each image of a folder with the label map of the same name; every image must have one.

    Args:
        images: Folder of images.
        labels: Folder of label maps, as `segship.datasets.samples.pair_up` finds them.
        limit: Take only so many images.

    Returns:
        Image and label map of each, sorted by path.

    Raises:
        InputError: A folder is missing, or images have no label map; the message names the first.
    """
    samples = pair_up(images, labels, limit)
    missing = [sample for sample in samples if sample.labels is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(samples)} images have no label map; the first is {missing[0].image}: "
            f"no {labels / missing[0].name}.png"
        )
    return [(sample.image, sample.labels) for sample in samples if sample.labels is not None]


def evaluate(
    network: str | os.PathLike[str] | Source | Labeller,
    data: Data | Sequence[tuple[Path, Path]],
    *,
    against: str | os.PathLike[str] | Source | Labeller | None = None,
    boundary: bool = False,
    options: EvalOptions | None = None,
    outputs: OutputFolders | None = None,
    device: str | None = None,
    threads: int | None = None,
    trust: bool = False,
    workers: int = 1,
    ray: str | None = None,
    resume: bool = False,
    zero_is_ignore: bool | None = None,
    max_pixels: int = MAX_PIXELS,
    tta: Tta = None,
    scene: SceneOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict every image and count its pixels by class, with MMSegmentation's definitions.

    The counts are saved every few seconds, so that a run that was interrupted can be resumed.

    Args:
        network: A package or its path; a `segship.Source`, which PyTorch runs; or an opened `segship.Segmentor`.
        data: What to evaluate on; or image and label map of each sample.
        against: A second network, of the same classes, to compare with.
        boundary: Also measure the boundary IoU.
        options: How the figures are made; None: as MMSegmentation's evaluator makes them by default.
        outputs: What to write for each image; None: nothing.
        device: ``cpu``, ``cuda:0``, …; None: ``cpu``, or the first device of an engine that does not run there.
        threads: Threads of one engine; None: several images at once.
        trust: Open engines that carry code, which then runs.
        workers: Processes that share the work.
        ray: Address of a Ray cluster that shares the work; ``local`` starts one.
        resume: Go on where an interrupted run of the same evaluation stopped.
        zero_is_ignore: Of pairs: whether label 0 means "ignore" and the others move down by one; None: as the package
            says. For other data, `Data` has ``reduce_zero_label``.
        max_pixels: Leave images with more pixels out.
        tta: Test-time augmentation of both networks, as of `segship.Segmentor`.
        scene: How rasters are seen by windows: every image is one then. None: those are that `segship.predict` takes
            for such, as it sees them.
        progress: Called with (done, all) after each image.

    Returns:
        The figures, identical for any number of workers. Samples that cannot be used are left out and named.

    Raises:
        InputError: No sample can be used, no pixel counts, a file would be written over one that is read or that no
            evaluation wrote, or options contradict each other; the message names the first reason.
        SegshipError: A network cannot be opened or run, or a result cannot be written.

    Examples:
        >>> import segship
        >>> found = segship.evaluate("package", segship.Data.folders("images", "labels"))
        >>> found.images, round(found.scores.mIoU)
        (2, 100)
    """
    if workers > 1 and ray is not None:
        raise InputError("workers and ray both say who shares the work: give one of them")
    chosen = _data(data, zero_is_ignore)
    figures = options or EvalOptions()
    folders = _folders(outputs or OutputFolders(), figures)
    _require_written(folders, boundary=boundary, against=against is not None, labelled=chosen.labelled)
    alone = (device, threads, tta, ray) != (None,) * 4 or trust or workers > 1 or resume
    how = NetworkFiles(Path(), None, device, threads, trust, tta=tta)
    first = _evaluable(network, how, alone=alone)
    second = None if against is None else _evaluable(against, how, alone=alone)
    _require_windows(scene, (first, second), labelled=not folders.submission)
    spec = first.spec()
    chosen = chosen.ending(first.name_ends()) if isinstance(first, NetworkFiles) else chosen
    job = Job.of(
        first,
        spec,
        chosen.samples_for(spec),
        against=second,
        boundary=boundary,
        ignore=figures.ignore_index,
        outputs=folders,
        max_pixels=max_pixels,
        scene=scene,
    )
    written = job.counter.outputs
    require_apart(written.paths(job.samples), job.files())
    written.claim(job.samples, resume=resume)
    found = evaluate_job(job, spec.classes, workers=workers, ray=ray, resume=resume, options=figures, progress=progress)
    written.list_results(job.samples)
    _draw_differences(job, found, folders.differences)
    return found


def _require_windows(scene: SceneOptions | None, networks: Sequence[Evaluable | None], *, labelled: bool) -> None:
    """Refuse windows over rasters where networks cannot see these so."""
    if scene is None:
        return
    rasterio()
    if any(isinstance(one, NetworkFiles) and not one.is_package for one in networks):
        raise InputError(
            "rasters are seen by windows by packages: export the network, or leave --window and the like out"
        )
    if not labelled:
        raise InputError("--format-only reads no raster by windows: `segship predict` does, and writes its labels")


def _data(data: Data | Sequence[tuple[Path, Path]], zero_is_ignore: bool | None) -> Data:
    if not isinstance(data, Data):
        return Data.pairs(data, reduce_zero_label=zero_is_ignore)
    if zero_is_ignore is not None:
        raise InputError("zero_is_ignore is for pairs: Data has reduce_zero_label")
    return data


def _draw_differences(job: Job, found: Evaluation, folder: Path | None) -> None:
    """Draw the images that two networks differ most on, where pictures of them are asked for."""
    if folder is not None and found.against is not None:
        draw_differences(job, job.open()[0], found.against, folder)


def _folders(outputs: OutputFolders, options: EvalOptions) -> OutputFolders:
    """What is written, with what MMSegmentation's own options say of it."""
    return replace(
        outputs,
        submission=outputs.submission or options.format_only,
        predictions=outputs.predictions or options.output_dir,
    )


def _require_written(folders: OutputFolders, *, boundary: bool, against: bool, labelled: bool) -> None:
    """Require that what is asked for can be made of the data and the networks there are."""
    if folders.submission and folders.predictions is None:
        raise InputError("--format-only writes predictions: give --to FOLDER for them (in Python, predictions=FOLDER)")
    if folders.differences is not None and not against:
        raise InputError("--differences shows where two networks differ: give --against PACKAGE (in Python, against=…)")
    if not labelled and not folders.submission:
        raise InputError(
            "the data has no label maps: give --labels FOLDER, or --format-only to write predictions alone "
            "(in Python, Data.folders or submission=True)"
        )
    if folders.submission and (boundary or against):
        raise InputError("--format-only counts nothing: leave --boundary and --against out")


def _evaluable(network: str | os.PathLike[str] | Source | Labeller, how: NetworkFiles, *, alone: bool) -> Evaluable:
    if isinstance(network, (str, os.PathLike, Source)):
        return NetworkFiles.of(network, how.device, how.threads, trust=how.trust, tta=how.tta)
    if alone:
        raise InputError(
            "an opened network is evaluated as it is, in this process: device, threads, trust, tta, workers, ray and "
            "resume are for paths and sources"
        )
    return OpenNetwork(network)


def evaluate_job(
    job: Job,
    classes: tuple[str, ...],
    *,
    workers: int = 1,
    ray: str | None = None,
    resume: bool = False,
    engines: Sequence[Any] | None = None,
    options: EvalOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a network as a job says, in this process or in several.

    The counts are saved every few seconds, so that a run that was interrupted can be resumed.

    Args:
        job: The evaluation.
        classes: Name of each class.
        workers: Number of processes; 1: this one.
        ray: Address of a Ray cluster that does the work, or ``local``.
        resume: Go on from what an interrupted run of the same evaluation has counted.
        engines: The networks, if they are open already.
        options: How the figures are made; None: as MMSegmentation's evaluator makes them by default.
        progress: Called with (done, all) as samples are counted.

    Returns:
        The figures, identical for any number of workers.

    Raises:
        InputError: No sample can be used; the message names the first reason.
        SegshipError: A network cannot be opened or run, or a result cannot be written.
    """
    total, identity = len(job.samples), job.identity()
    ledger = Ledger(job.counter.empty(), total, None if identity is None else ledger_path(identity))
    resumed = ledger.done if resume and ledger.resume() else 0
    begin = time.perf_counter()

    def done(places: Sequence[int], tally: Tally) -> None:
        ledger.add(places, tally)
        if progress is not None:
            progress(ledger.done, total)

    if progress is not None and resumed:
        progress(resumed, total)
    try:
        if ray is not None:
            count_on_ray(job, ledger.left(), ray, done)
        elif workers > 1:
            count_in_processes(job, ledger.left(), workers, done)
        else:
            job.count(engines or job.open(), ledger.left(), lambda place, tally: done([place], tally))
    except BaseException:
        ledger.save()
        raise
    ledger.forget()
    seconds = time.perf_counter() - begin
    second = "" if job.against is None else str(job.against)
    found = Evaluation.of(
        ledger.tally, classes, job.samples, second=second, seconds=seconds, resumed=resumed, options=options
    )
    return _useful(found, labelled=job.counter.labelled)


def _useful(found: Evaluation, *, labelled: bool) -> Evaluation:
    if found.images == 0:
        reasons = "; ".join(f"{entry.kind}: {entry.examples[0][1]}" for entry in found.problems)
        raise InputError(f"no image could be evaluated ({reasons or 'there is none'})")
    if labelled and not found.matrix.any():
        reasons = "; ".join(f"{entry.kind}: {entry.examples[0][1]}" for entry in found.problems)
        raise InputError(
            f"no pixel of the {found.images} label maps is of a class, so that there is nothing to count "
            f"({reasons or 'all are ignored'}): are these the label maps, and of this data set?"
        )
    return found
