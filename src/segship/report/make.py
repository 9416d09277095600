"""Export, verify, evaluate and time each target, and put everything together."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from segship import bench
from segship.bench.run import machine
from segship.bench.subject import Subject
from segship.core.errors import SegshipError
from segship.core.manifest import read_manifest
from segship.evaluation import Job, evaluate_job
from segship.evaluation.counter import Counter
from segship.evaluation.network import Eager
from segship.report import samples
from segship.report.cells import ORIGINAL, Candidate, Report, Store, now
from segship.report.request import Request, network_of
from segship.runtime.pipeline import Pipeline
from segship.vision.bands import stored_bands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from segship.core.spec import ModelSpec
    from segship.evaluation.data import Data

    Tell = Callable[[str], None]

__all__ = ["make_report"]

_TIMED = 8  # images that are timed, spread over the data


def make_report(request: Request, spec: ModelSpec, data: Data, *, tell: Tell | None = None) -> Report:
    """Make what is missing of a report, and put it together.

    A target that fails is told with its reason, and tried again the next time.

    Args:
        request: What is reported.
        spec: Of the network.
        data: What is evaluated on.
        tell: Called with the name of each stage as it begins.

    Returns:
        Everything that the page shows.

    Raises:
        SegshipError: The network itself cannot be evaluated, a target's name is none, a device is for none of the
            targets, or the disk is full.
    """
    say = tell or (lambda _: None)
    request.check()
    store = Store(request.to / "cells", request.redo)
    exports = {target: _export(request, store, target, say) for target in request.targets}
    evaluations = {ORIGINAL: _evaluate(request, store, ORIGINAL, spec, data, say)}
    if "error" in evaluations[ORIGINAL]:
        raise SegshipError(evaluations[ORIGINAL]["error"])
    usable = [target for target in request.targets if "error" not in exports[target]]
    devices = {name: request.device(name) for name in (ORIGINAL, *usable)}
    for target in usable:
        evaluations[target] = _evaluate(request, store, target, spec, data, say)
    running = [name for name, found in evaluations.items() if "error" not in found]
    timings = _time(request, store, running, data, say)
    say("drawing sample masks")
    shown = samples.choose(data, request.pictures)
    masks = {name: samples.draw(request, store, name, spec, shown) for name in running}
    candidates = [
        Candidate(
            ORIGINAL,
            evaluations[ORIGINAL],
            timings[ORIGINAL],
            samples=masks[ORIGINAL],
            device=devices[ORIGINAL],
        )
    ]
    for target in request.targets:
        found = exports[target]
        candidates.append(
            Candidate(
                target,
                evaluations.get(target, {}),
                timings.get(target, {}),
                size=found.get("size"),
                labels_equal=found.get("labels_equal"),
                failures=tuple(found.get("failures", ())),
                error=found.get("error"),
                samples=masks.get(target, ()),
                device=devices.get(target),
            )
        )
    return Report(
        title=spec.architecture,
        files=tuple(path.name for path in (request.config, request.checkpoint) if path is not None),
        data=f"{request.data_name}, {evaluations[ORIGINAL]['images']} images",
        classes=spec.classes,
        candidates=tuple(candidates),
        machine=machine(),
        when=now(),
        samples=samples.originals(request, spec, data, shown),
    )


def _export(request: Request, store: Store, target: str, say: Tell) -> dict[str, Any]:
    folder = request.package(target)
    key = [request.files.identity(), target, str(request.calibration)]

    def make() -> dict[str, Any]:
        from segship import deploy  # imports torch

        lowering = deploy.Lowering(request.calibration, allow_inexact=True)
        package = deploy.export(
            request.config,
            request.checkpoint,
            folder,
            target=target,
            lowering=lowering,
            on_stage=lambda stage: say(f"{target}: {stage}"),
        )
        manifest = package.manifest
        return {
            "size": sum(file.size for file in manifest.files.values()),
            "labels_equal": min((check.labels_equal for check in manifest.checks), default=None),
            "failures": list(manifest.failures),
        }

    known = store.get(target, "export", key)
    if known is not None and _is_whole(folder):
        return known
    try:
        return store.put(target, "export", key, make())
    except SegshipError as error:
        return {"error": str(error)}


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except SegshipError:
        return False
    return True


def _evaluate(request: Request, store: Store, name: str, spec: ModelSpec, data: Data, say: Tell) -> dict[str, Any]:
    job = Job(
        network_of(request, name), Counter(data.coding, len(spec.classes), bands=stored_bands(spec)), data.samples
    )
    place = _place(request, name)
    key = [job.identity(), *place] if place else job.identity()

    def progress(done: int, every: int) -> None:
        say(f"{name}: evaluating, {done} of {every}")

    def make() -> dict[str, Any]:
        return evaluate_job(job, spec.classes, workers=request.workers, resume=True, progress=progress).as_dict()

    return store.cell(name, "evaluate", key, make)


def _time(
    request: Request, store: Store, names: list[str], data: Data, say: Tell
) -> dict[str, dict[int, dict[str, Any]]]:
    """Time what is missing, all of it in turns, so that it may be compared."""
    step = max(1, len(data.samples) // _TIMED)
    images = [sample.image for sample in data.samples[::step]][:_TIMED]

    def key(name: str, batch: int) -> list[Any]:
        settings = [str(request.threads), [str(path) for path in images], *_place(request, name)]
        return [network_of(request, name).identity(), batch, *settings]

    found: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in names}
    missing = []
    for name in names:
        for batch in request.batch_sizes:
            known = None if request.retime else store.get(name, f"benchmark-{batch}", key(name, batch))
            if known is None:
                missing.append((name, batch))
            else:
                found[name][batch] = known
    if missing:
        say(f"timing {len(missing)} of {len(names) * len(request.batch_sizes)} combinations")
        for (name, batch), result in _measure(request, missing, images).items():
            kept = "error" not in result
            found[name][batch] = store.put(name, f"benchmark-{batch}", key(name, batch), result) if kept else result
    return {name: dict(sorted(timings.items())) for name, timings in found.items()}


def _place(request: Request, name: str) -> list[str]:
    """What else a cell depends on where it is not made on the processor."""
    device = request.device(name)
    return [] if device == "cpu" else [device]


def _measure(
    request: Request, missing: list[tuple[str, int]], images: list[Path]
) -> dict[tuple[str, int], dict[str, Any]]:
    """Those with the same batch sizes run in turns; so nothing is timed that is not missing."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(name for name, _ in missing):
        groups.setdefault(tuple(batch for other, batch in missing if other == name), []).append(name)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for batches, names in groups.items():
        try:
            found |= _measure_together(request, names, batches, images)
        except SegshipError as error:
            # Where nothing at all could be measured, the message begins with what the row says anyway.
            reason = str(error).removeprefix(f"nothing could be measured: {request.package(names[0])}: ")
            found |= {(name, batch): {"error": reason} for name in names for batch in batches}
    return found


def _measure_together(
    request: Request, names: list[str], batches: tuple[int, ...], images: list[Path]
) -> dict[tuple[str, int], dict[str, Any]]:
    subjects = [_subject(request, name) for name in names]
    name_of = {subject.name: name for subject, name in zip(subjects, names, strict=True)}
    measured = bench.benchmark(
        subjects, batch_sizes=batches, images=images, threads=request.threads, duration=request.duration
    )
    load = measured.machine["load"]
    run = now() if load is None else f"{now()}, load {load:.1f}"
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for refusal in measured.refusals:
        found[name_of[refusal.package], refusal.batch] = {"error": refusal.reason}
    for entry in measured.measurements:
        name = name_of[entry.package]
        found[name, entry.batch] = asdict(replace(entry, package=name)) | {"run": run}
    return found


def _subject(request: Request, name: str) -> Subject:
    if name != ORIGINAL:
        folder, device = request.package(name), request.device(name)
        return Subject.open(folder, device=device, threads=request.threads, trust=True)  # it was made here
    eager = Eager(request.config, request.checkpoint, request.threads)
    pipeline = Pipeline(eager.session, eager.spec, eager.sizes)
    return Subject(pipeline, eager.spec, eager.sizes, name=ORIGINAL, target=ORIGINAL)
