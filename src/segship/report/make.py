"""Export, verify, evaluate and time each target, and put everything together."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship import bench
from segship.backends import find_backend
from segship.bench.candidate import Candidate, HowToOpen
from segship.bench.run import machine
from segship.core.errors import SegshipError
from segship.core.manifest import read_manifest
from segship.core.target import Target
from segship.core.versions import module_versions
from segship.deploy.requirements import EXPORT_MODULES
from segship.evaluation import Job, evaluate_job
from segship.evaluation.network import Eager
from segship.report import masks as pictures
from segship.report.chips import chip_rows, read_adopted
from segship.report.request import Request, network_of
from segship.report.results import ORIGINAL, Report, Store, TargetResult, now
from segship.runtime.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from segship.core.spec import ModelSpec
    from segship.evaluation import SampleSet

    Progress = Callable[[str], None]

__all__ = ["make_report"]

_TIMED = 8  # images that are timed, spread over the data


def make_report(request: Request, *, progress: Progress | None = None) -> Report:
    """Export, evaluate and time what is missing of a report, and put it together.

    A target that fails is told with its reason, and tried again the next time.

    Args:
        request: What is reported.
        progress: Called with the name of each stage as it begins.

    Returns:
        Everything that the page shows.

    Raises:
        SegshipError: The network itself cannot be evaluated, a target's name is none, a device is for none of the
            targets, or the disk is full.
    """
    progress = progress or (lambda _: None)
    request.check()
    returned = chip_rows(read_adopted(request.adopted))
    spec = request.files.spec()
    data = request.data.samples_for(spec)
    store = Store(request.to / "cells", request.redo)
    exports = {target: _export(request, store, target, progress) for target in request.targets}
    evaluations = {ORIGINAL: _evaluate(request, store, ORIGINAL, spec, data, progress)}
    if "error" in evaluations[ORIGINAL]:
        raise SegshipError(evaluations[ORIGINAL]["error"])
    usable = _succeeded(exports)
    devices = {name: request.device(name) for name in (ORIGINAL, *usable)}
    for target in usable:
        evaluations[target] = _evaluate(request, store, target, spec, data, progress)
    running = _succeeded(evaluations)
    timings = _time(request, store, running, data, progress)
    progress("drawing sample masks")
    shown = pictures.choose(data, request.pictures)
    masks = {name: pictures.draw(request, store, name, spec, shown) for name in running}
    candidates = []
    for name in (ORIGINAL, *request.targets):
        found = exports.get(name, {})  # the original is not exported
        candidates.append(
            TargetResult(
                name,
                evaluations.get(name, {}),
                timings.get(name, {}),
                size=found.get("size"),
                labels_equal=found.get("labels_equal"),
                failures=tuple(found.get("failures", ())),
                calibration=found.get("calibration"),
                error=found.get("error"),
                samples=masks.get(name, ()),
                device=devices.get(name),
            )
        )
    return Report(
        title=spec.architecture,
        files=tuple(Path(path).name for path in (request.source.config, request.source.checkpoint) if path is not None),
        data=f"{request.data}, {evaluations[ORIGINAL]['images']} images",
        classes=spec.classes,
        candidates=tuple(candidates),
        machine=machine() | {"engines": _engines(usable)},
        when=now(),
        samples=pictures.originals(request, spec, data, shown),
        palette=spec.palette,
        chips=returned,
    )


def _succeeded(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [name for name, found in results.items() if "error" not in found]


def _export(request: Request, store: Store, target: str, progress: Progress) -> dict[str, Any]:
    key = [request.files.identity(), target, str(request.calibration)]
    key += ["agreement on the calibration images"] if _is_int8(target) else []
    key += [] if request.calibration_labels is None else [str(request.calibration_labels), "reliability"]

    known = store.get(target, "export", key)
    if known is not None and _is_whole(request.package(target)):
        return known
    try:
        return store.put(target, "export", key, _make_package(request, target, progress))
    except SegshipError as error:
        return {"error": str(error)}


def _is_int8(target: str) -> bool:
    return Target.parse(target).precision == "int8"


def _make_package(request: Request, target: str, progress: Progress) -> dict[str, Any]:
    """Export one target; what its manifest says of it."""
    from segship import deploy  # imports torch

    labelled = None
    if request.calibration is not None and request.calibration_labels is not None:
        labelled = deploy.Temperature(calibration=request.calibration, labels=request.calibration_labels)
    package = deploy.export(
        request.source,
        request.package(target),
        target=target,
        int8=deploy.Int8(calibration=request.calibration, labels=request.calibration_labels)
        if _is_int8(target)
        else None,
        temperature=labelled,
        allow_inexact=True,
        progress=lambda stage: progress(f"{target}: {stage}"),
    )
    manifest = package.manifest
    equal = min((check.labels_equal for check in manifest.checks), default=None)
    judged = manifest.quantization  # int8 is judged on its calibration images; drawn scenes say little of it
    return {
        "size": sum(file.size for file in manifest.files.values()),
        "labels_equal": equal if judged is None or judged.agreement is None else judged.agreement,
        "failures": list(manifest.failures),
        "calibration": None if manifest.calibration is None else json.loads(manifest.calibration.model_dump_json()),
    }


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except SegshipError:
        return False
    return True


def _evaluate(
    request: Request, store: Store, name: str, spec: ModelSpec, data: SampleSet, progress: Progress
) -> dict[str, Any]:
    job = Job.of(network_of(request, name), spec, data)
    place = _place(request, name)
    key = [job.identity(), *place] if place else job.identity()

    def counted(done: int, every: int) -> None:
        progress(f"{name}: evaluating, {done} of {every}")

    def make() -> dict[str, Any]:
        return evaluate_job(job, spec.classes, workers=request.workers, resume=True, progress=counted).as_dict()

    return store.cached(name, "evaluate", key, make)


def _time(
    request: Request, store: Store, names: list[str], data: SampleSet, progress: Progress
) -> dict[str, dict[int, dict[str, Any]]]:
    """Time what is missing, all of it in turns, so that it may be compared."""
    step = max(1, len(data.samples) // _TIMED)
    images = [sample.image for sample in data.samples[::step]][:_TIMED]
    keys = {
        (name, batch): _timing_key(request, images, name, batch)
        for name in names
        for batch in request.timing.batch_sizes
    }
    known = {} if request.retime else {one: store.get(one[0], f"benchmark-{one[1]}", key) for one, key in keys.items()}
    missing = [one for one in keys if known.get(one) is None]
    found = {one: result for one, result in known.items() if result is not None}
    if missing:
        progress(f"timing {len(missing)} of {len(keys)} combinations")
        for one, result in _measure(request, missing, images).items():
            failed = "error" in result
            found[one] = result if failed else store.put(one[0], f"benchmark-{one[1]}", keys[one], result)
    return {name: {batch: found[one, batch] for one, batch in sorted(found) if one == name} for name in names}


def _timing_key(request: Request, images: list[Path], name: str, batch: int) -> list[Any]:
    """What a timing depends on."""
    settings = [str(request.timing.threads), [str(path) for path in images], *_place(request, name)]
    return [network_of(request, name).identity(), batch, *settings]


def _engines(targets: list[str]) -> dict[str, str]:
    """Versions of the network's own engine and of those that the targets ran on."""
    modules = (
        *EXPORT_MODULES,
        *(module for target in targets for module in find_backend(Target.parse(target).backend).INFO.modules),
    )
    return {name: version for name, version in sorted(module_versions(modules).items()) if version is not None}


def _place(request: Request, name: str) -> list[str]:
    """The device, where results do not come from the processor."""
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
    opened = [_candidate(request, name) for name in names]
    name_of = {one.name: name for one, name in zip(opened, names, strict=True)}
    measured = bench.benchmark(
        opened, batch_sizes=batches, images=images, threads=request.timing.threads, duration=request.timing.duration
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


def _candidate(request: Request, name: str) -> Candidate:
    if name != ORIGINAL:
        folder, device = request.package(name), request.device(name)
        return Candidate.open(folder, HowToOpen(device, request.timing.threads, trust=True))  # it was made here
    eager = Eager(request.source, request.timing.threads)
    pipeline = Pipeline(eager.session, eager.spec, eager.sizes)
    return Candidate(pipeline, eager.spec, eager.sizes, name=ORIGINAL, target=ORIGINAL)
