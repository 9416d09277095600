"""From files to figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError
from segship.datasets.coding import Coding
from segship.datasets.samples import Sample, pair_up
from segship.evaluation.cluster import count_on_ray
from segship.evaluation.counter import Counter, count_all
from segship.evaluation.result import Evaluation
from segship.evaluation.state import Ledger, ledger_path
from segship.evaluation.workers import count_in_processes
from segship.vision.bands import stored_bands

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segship.evaluation.job import Job
    from segship.evaluation.network import Labeller
    from segship.evaluation.options import EvalOptions
    from segship.evaluation.tally import Tally

    Progress = Callable[[int, int], None]

__all__ = ["evaluate", "evaluate_job", "pair_files"]


def pair_files(images: Path, labels: Path, limit: int | None = None) -> list[tuple[Path, Path]]:
    """Each image of a folder with the label map of the same name; every image must have one.

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
    segmentor: Labeller,
    pairs: Sequence[tuple[Path, Path]],
    *,
    zero_is_ignore: bool | None = None,
    options: EvalOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict every image and count its pixels by class.

    Args:
        segmentor: An opened package.
        pairs: Image and label map of each sample.
        zero_is_ignore: Whether label 0 means "ignore" and the others move down by one; None: as the package says.
        options: How the figures are made; None: as MMSegmentation's evaluator makes them by default.
        progress: Called with (done, all) after each image.

    Returns:
        The figures. Samples that cannot be used are left out and named.

    Raises:
        InputError: No sample can be used; the message names the first reason.

    Examples:
        >>> from pathlib import Path
        >>> from segship import Segmentor
        >>> from segship.evaluation import evaluate, pair_files
        >>> found = evaluate(Segmentor("package"), pair_files(Path("images"), Path("labels")))
        >>> found.images, round(found.scores.mIoU)
        (2, 100)
    """
    spec = segmentor.spec
    reduce = spec.reduce_zero_label if zero_is_ignore is None else zero_is_ignore
    ignore = None if options is None else options.ignore_index
    coding = Coding(len(spec.classes), reduce, spec.palette, ignore=ignore)
    counter = Counter(coding, len(spec.classes), bands=stored_bands(spec))
    samples = tuple(Sample(image.stem, image, labels) for image, labels in pairs)
    ledger = Ledger(counter.empty(), len(samples))
    begin = time.perf_counter()

    def done(place: int, tally: Tally) -> None:
        ledger.add([place], tally)
        if progress is not None:
            progress(ledger.done, len(samples))

    count_all(counter, [(segmentor,)], samples, ledger.left(), done)
    seconds = time.perf_counter() - begin
    found = Evaluation.of(ledger.tally, spec.classes, samples, seconds=seconds, options=options)
    return _useful(found)


def evaluate_job(
    job: Job,
    classes: tuple[str, ...],
    *,
    workers: int = 1,
    ray: str | None = None,
    resume: bool = False,
    lanes: Sequence[Any] | None = None,
    options: EvalOptions | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate as a job says, in this process or in several.

    The counts are saved every few seconds, so that a run that was interrupted can be resumed.

    Args:
        job: The evaluation.
        classes: Name of each class.
        workers: Number of processes; 1: this one.
        ray: Address of a Ray cluster that does the work, or ``local``.
        resume: Go on from what an interrupted run of the same evaluation has counted.
        lanes: The networks, if they are open already.
        options: How the figures are made; None: as MMSegmentation's evaluator makes them by default.
        progress: Called with (done, all) as samples are counted.

    Returns:
        The figures, identical for any number of workers.

    Raises:
        InputError: No sample can be used; the message names the first reason.
        SegshipError: A network cannot be opened or run, or a result cannot be written.
    """
    total = len(job.samples)
    ledger = Ledger(job.counter.empty(), total, ledger_path(job.identity()))
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
            job.count(lanes or job.open(), ledger.left(), lambda place, tally: done([place], tally))
    except BaseException:
        ledger.save()
        raise
    ledger.forget()
    seconds = time.perf_counter() - begin
    second = "" if job.against is None else str(job.against.path)
    found = Evaluation.of(
        ledger.tally, classes, job.samples, second=second, seconds=seconds, resumed=resumed, options=options
    )
    return _useful(found)


def _useful(found: Evaluation) -> Evaluation:
    if found.images == 0:
        reasons = "; ".join(f"{entry.kind}: {entry.examples[0][1]}" for entry in found.problems)
        raise InputError(f"no image could be evaluated ({reasons or 'there is none'})")
    return found
