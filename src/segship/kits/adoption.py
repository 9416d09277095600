"""What a chip returned -> a package with the figures that it gave."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import find_backend
from segship.core.errors import BackendError, InputError, VerificationError
from segship.core.files import digest, replace_directory, require_replaceable
from segship.core.kits import INPUTS, KitJob, batches_of, has_recipe
from segship.core.manifest import Accuracy, Adoption, ChipResult, Figures, is_package
from segship.core.plan import Int8
from segship.deploy.ship import ignore_progress
from segship.kits.kit import KIT, Expected, read_kit, signature
from segship.kits.outputs import OutputReader, find_results
from segship.kits.traces import trace
from segship.metrics.confusion import Scores, scores
from segship.runtime.package import Package
from segship.tools.tensors.score import score_outputs
from segship.verification.compare import Reference, compare
from segship.verification.gates import GATES, accuracy_failures, failures

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import TensorInfo
    from segship.core.kits import KitBackend, Recipe
    from segship.core.manifest import Comparison, Manifest
    from segship.kits.kit import Kit
    from segship.kits.outputs import Results
    from segship.tools.tensors.index import TensorFile
    from segship.tools.tensors.score import TensorScores

__all__ = ["Adopted", "adopt", "score_kit"]

_FAR = 0.5  # of the network's scores: what differs more, on average over fields, is no rounding
_ALIKE = 0.5  # of the distance to its own answer: an output that is so near another's is that one's
_NOISE = 1e-3  # of the scores: what is so near its own answer is that, though that of a like image may be nearer still


@dataclass(frozen=True)
class _Found:
    """The figures of the outputs for one number of images at once."""

    checks: tuple[Comparison, ...]
    agreement: float
    matrix: NDArray[np.int64] | None
    drift: float


@dataclass(frozen=True)
class Adopted:
    """A package that was made of what a chip returned.

    Attributes:
        package: The package.
        scores: Figures in percent of each number of images at once; empty where the kit has no label maps.
        network: Those of the network itself; None likewise.
        images: Number of images that were counted.
        speeds: Images per second on the chip for each number of images at once, as the vendor's tool told them.
        agreement: Least share of labels, 0-1, that the chip and the network have in common, over all inputs.
    """

    package: Package
    scores: Mapping[int, Scores]
    network: Scores | None
    images: int
    speeds: Mapping[int, float]
    agreement: float


def adopt(
    kit: str | os.PathLike[str],
    engine: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    outputs: str | os.PathLike[str],
    dtype: str | None = None,
    allow_inexact: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Adopted:
    """Make a package of an engine that somebody built and ran elsewhere, and of the outputs it gave.

    Args:
        kit: Folder that `export_kit` wrote.
        engine: The engine: a file, or a folder of files of one.
        out: Folder of the package. It appears whole or not at all.
        outputs: The folder that ``run.sh`` filled, brought back as it is.
        dtype: Of raw outputs, where the tool was told another than the kit's commands tell it.
        allow_inexact: Write the package even if a gate fails, and say so in it.
        progress: Called with the name of each stage as it begins.

    Returns:
        The package and the figures.

    Raises:
        InputError: The kit, the engine or the outputs were changed, cut off, are in another order or of another kit.
        VerificationError: The chip's outputs do not agree with the network.
    """
    tell, made, folder = progress or ignore_progress, Path(engine), Path(out)
    tell("checking the kit and what was brought back")
    opened = read_kit(Path(kit))
    opened.check_files()
    backend = _backend(opened)
    files = _engine_files(made)
    require_replaceable(folder, is_package)
    results = find_results(opened, Path(outputs), backend)
    batch = _require_engine_ran(made, files, results)
    recipe = backend.recipe(_job(opened))
    chosen = _chosen(opened, results, batch, files)
    traces = trace(opened, recipe, results, chosen)
    expected = Expected.read(opened)
    found = {}
    for count, place in chosen.items():
        reader = OutputReader(place, opened, recipe, dtype)
        found[count] = _compare(opened, expected, reader, tell)
    failed = [text for each in found.values() for text in _failures(opened, each)]
    if failed and not allow_inexact:
        raise VerificationError(f"{'; '.join(dict.fromkeys(failed))}: --allow-inexact writes it nonetheless")
    manifest = _manifest(opened, recipe, backend, results, found, tuple(dict.fromkeys(failed)))
    manifest = manifest.model_copy(update={"notes": (*manifest.notes, *traces)})
    with replace_directory(folder, replaceable=is_package) as directory:
        for name, path in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, directory / name)
        digests = {name: digest(directory / name) for name in files}
        written = manifest.model_copy(update={"files": digests}).write(directory)
    figures = {count: scores(each.matrix) for count, each in found.items() if each.matrix is not None}
    network = None if opened.matrix is None else scores(np.array(opened.matrix, np.int64))
    least = min(each.agreement for each in found.values())
    return Adopted(Package(folder, written), figures, network, opened.labelled, results.speeds, least)


def score_kit(
    kit: str | os.PathLike[str],
    outputs: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[int, TensorScores]:
    """Evaluate what a chip returned, without making a package of it.

    Args:
        kit: Folder that `export_kit` wrote, with label maps.
        outputs: The folder that ``run.sh`` filled, or one of the folders in it.
        dtype: Of raw outputs, where the tool was told another than the kit's commands tell it.
        progress: Called with (done, all) after each image.

    Returns:
        Confusion matrix and figures for each number of images at once.

    Raises:
        InputError: The kit or the outputs were changed or cut off, or there are no label maps.
    """
    opened = read_kit(Path(kit))
    opened.check_files()
    backend = _backend(opened)
    results = find_results(opened, Path(outputs), backend)
    recipe, expected = backend.recipe(_job(opened)), Expected.read(opened)
    trace(opened, recipe, results, results.folders)
    return {
        count: _evaluate(opened, expected, OutputReader(place, opened, recipe, dtype), progress)
        for count, place in results.folders.items()
    }


def _backend(kit: Kit) -> KitBackend:
    backend = find_backend(kit.manifest.target.backend)
    if not has_recipe(backend):
        raise BackendError(f"{kit.folder} is for {backend.INFO.title}, of which no kit is written")
    return backend


def _job(kit: Kit) -> KitJob:
    manifest = kit.manifest
    models = {batch: next(iter(manifest.files)) for batch in batches_of(manifest.target)}
    inputs = tuple((each.stem, each.size) for each in kit.inputs)
    calibration = sum(name.startswith("calibration/") and name.endswith(".bin") for name in kit.files or {})
    return KitJob(manifest.target, models, manifest.inputs[0], manifest.outputs[0], manifest.spec, calibration, inputs)


def _engine_files(engine: Path) -> dict[str, Path]:
    """The engine's files by the names they get in the package."""
    if engine.is_dir():
        found = {path.relative_to(engine).as_posix(): path for path in sorted(engine.rglob("*")) if path.is_file()}
    else:
        found = {engine.name: engine} if engine.is_file() else {}
    if not found or not all(path.stat().st_size for path in found.values()):
        raise InputError(f"{engine} is no engine: no such file, or an empty one")
    return found


def _require_engine_ran(engine: Path, files: Mapping[str, Path], results: Results) -> int | None:
    """Hold the engine against the digests of those that ran; the number of images it takes, where its name says so."""
    if results.engines:
        known = set(results.engines.values())
        for path in files.values():
            found = digest(path).sha256
            if found not in known:
                raise InputError(
                    f"{path} is not the engine that ran: SHA-256 {found[:12]}…, run.sh had "
                    f"{', '.join(f'{name} {value[:12]}…' for name, value in results.engines.items())}"
                )
    stem = engine.stem.rpartition("_bs")[2]
    return int(stem) if stem.isdigit() and not engine.is_dir() else None


def _chosen(kit: Kit, results: Results, batch: int | None, files: Mapping[str, Path]) -> Mapping[int, Path]:
    """The results of this engine; of a folder of several engines, all."""
    if batch is None:
        _require_match(kit, results, files)
        return results.folders
    if batch not in results.folders:
        raise InputError(
            f"{next(iter(files))} takes {batch} images at once, and there are results for "
            f"{', '.join(map(str, results.folders))}"
        )
    return {batch: results.folders[batch]}


def _require_match(kit: Kit, results: Results, files: Mapping[str, Path]) -> None:
    """Every engine has results, and every number of images at once an engine of its own, where their names tell it."""
    numbers = {name: Path(name).stem.rpartition("_bs")[2] for name in files}
    known = {name: int(text) for name, text in numbers.items() if text.isdigit()}
    for name, batch in known.items():
        if batch in batches_of(kit.manifest.target) and batch not in results.folders:
            raise InputError(
                f"the engine {name} has no results, there are those for {', '.join(map(str, results.folders))} "
                "images at once: bring all back, or name one engine"
            )
    if known and (lone := sorted(results.folders.keys() - set(known.values()))):
        raise InputError(
            f"there are results for {lone[0]} images at once, and no engine of theirs, only {', '.join(known)}: bring "
            "all back, or name one engine"
        )
    _require_different(known, files)


def _require_different(known: Mapping[str, int], files: Mapping[str, Path]) -> None:
    """No engine is another one's file."""
    first: dict[str, str] = {}
    for name, batch in known.items():
        if known[same := first.setdefault(digest(files[name]).sha256, name)] != batch:
            raise InputError(f"the engines {same} and {name} are the same file: one was copied over the other")


def _compare(kit: Kit, expected: Expected, reader: OutputReader, tell: Callable[[str], None]) -> _Found:
    """Hold every output against the network's own, and evaluate those of the data set."""
    checks, equal, pixels, drift = [], 0, 0, 0.0
    for number, entry in enumerate(kit.inputs):
        tell(f"comparing the outputs: {number + 1} of {len(kit.inputs)}")
        logits = reader.read(number, _shape(kit, expected, number))
        drift = max(drift, _drift_in_order(kit, expected, number, logits))
        labels = expected.labels[number]
        if entry.check:
            blank = np.broadcast_to(np.float32(0), (1, kit.manifest.spec.channels, *entry.size))
            reference = Reference(entry.image, blank, expected.logits[entry.stem])
            checks.append(compare(reference, logits, kit.manifest.spec))
        else:
            equal += int(np.count_nonzero(_decided(logits) == labels))
            pixels += labels.size

    def told(done: int, every: int) -> None:
        tell(f"evaluating: {done} of {every}")

    matrix = _evaluate(kit, expected, reader, told).matrix if kit.labelled else None
    least = min((check.labels_equal for check in checks), default=1.0)
    return _Found(tuple(checks), min(least, equal / pixels if pixels else 1.0), matrix, drift)


def _shape(kit: Kit, expected: Expected, number: int) -> tuple[int, int, int, int]:
    scores_ = 1 if kit.manifest.spec.output == "sigmoid" else len(kit.manifest.spec.classes)
    height, width = expected.labels[number].shape
    return 1, scores_, height, width


def _decided(logits: NDArray[np.float32]) -> NDArray[Any]:
    labels: NDArray[Any] = logits[0].argmax(0) if logits.shape[1] > 1 else logits[0, 0] > 0
    return labels


def _drift_in_order(kit: Kit, expected: Expected, number: int, logits: NDArray[np.float32]) -> float:
    """How far an output is from the network's answer, as a share of that.

    Raises:
        InputError: It is nearer the network's answer to another input, so that it is that one's.
    """
    distances = np.linalg.norm(expected.signatures - signature(logits), axis=1)
    nearest = int(distances.argmin())
    size = float(np.linalg.norm(expected.signatures[number]))
    if distances[number] > _NOISE * size and distances[nearest] < _ALIKE * distances[number]:
        raise InputError(
            f"the output of {kit.inputs[number].file} is that of {kit.inputs[nearest].file}: the outputs are in "
            "another order than the inputs; run run.sh again"
        )
    return float(distances[number]) / size if size else 0.0


def _evaluate(
    kit: Kit, expected: Expected, reader: OutputReader, progress: Callable[[int, int], None] | None
) -> TensorScores:
    places = {Path(entry.file).name: number for number, entry in enumerate(kit.inputs)}

    def read(tensor: TensorFile) -> NDArray[np.float32]:
        number = places[tensor.file]
        return reader.read(number, _shape(kit, expected, number))

    return score_outputs(kit.folder / INPUTS, read, progress=progress)


def _failures(kit: Kit, found: _Found) -> list[str]:
    """The gate of the target's precision, and of int8 the loss of IoU where there are label maps."""
    precision = kit.manifest.target.precision
    failed = failures(found.checks, precision)
    if found.drift > _FAR and not failed:
        failed.append(
            f"the scores are not those of the network: they differ by {found.drift:.0%} of their size, as behind a "
            "softmax, another scale or another layer"
        )
    if precision == "int8" and found.matrix is not None and kit.matrix is not None:
        before, after = (_accuracy(kit, matrix) for matrix in (np.array(kit.matrix, np.int64), found.matrix))
        return [*failed, *accuracy_failures(before, after, Int8())]
    if found.agreement < GATES[precision] and not failed:
        failed.append(
            f"{precision}: {found.agreement:.3%} of the labels are equal to the network's (gate {GATES[precision]:.2%})"
        )
    return failed


def _accuracy(kit: Kit, matrix: NDArray[np.int64]) -> Accuracy:
    figures, classes = scores(matrix), kit.manifest.spec.classes
    known = {name: float(value) for name, value in zip(classes, figures.IoU, strict=True) if np.isfinite(value)}
    return Accuracy(mIoU=float(figures.mIoU), IoU=known)


def _manifest(
    kit: Kit,
    recipe: Recipe,
    backend: KitBackend,
    results: Results,
    found: Mapping[int, _Found],
    failed: Sequence[str],
) -> Manifest:
    manifest = kit.manifest
    batch, first = next(iter(found.items()))
    fixed = not backend.free(manifest.target)
    inputs, outputs = (
        (_batched(tensor, batch if fixed else None),) for tensor in (manifest.inputs[0], manifest.outputs[0])
    )
    notes = [*manifest.notes]
    if not results.sealed:
        notes.append("the outputs came without digests: a change of them on the way was not noticed unless it shows")
    notes += [f"{name} tells no time that is known here: no speed is taken from it" for name in results.untimed]
    return manifest.model_copy(
        update={
            "inputs": inputs,
            "outputs": outputs,
            "options": dict(recipe.options),
            "checks": first.checks,
            "adopted": _adoption(kit, results, found),
            "state": "built, not verified here" if failed else "verified on the engine",
            "failures": tuple(failed),
            "notes": tuple(notes),
        }
    )


def _adoption(kit: Kit, results: Results, found: Mapping[int, _Found]) -> Adoption:
    figures = {batch: _figures(each.matrix) for batch, each in found.items()}
    return Adoption(
        kit=digest(kit.folder / KIT).sha256,
        sealed=results.sealed,
        inputs=len(kit.inputs),
        images=kit.labelled,
        dataset=kit.dataset,
        agreement=min(each.agreement for each in found.values()),
        network=_figures(None if kit.matrix is None else np.array(kit.matrix, np.int64)),
        results=tuple(
            ChipResult(batch=batch, figures=figures.get(batch), images_per_second=results.speeds.get(batch))
            for batch in sorted({*figures, *results.speeds})
        ),
    )


def _figures(matrix: NDArray[np.int64] | None) -> Figures | None:
    if matrix is None:
        return None
    found = scores(matrix)
    return Figures(aAcc=float(found.aAcc), mIoU=float(found.mIoU), mAcc=float(found.mAcc))


def _batched(tensor: TensorInfo, batch: int | None) -> TensorInfo:
    return tensor if batch is None else tensor.model_copy(update={"shape": (batch, *tensor.shape[1:])})
