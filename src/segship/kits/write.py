"""A trained network -> a kit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import find_backend, reference_backend
from segship.core.artifacts import Session
from segship.core.errors import BackendError, InputError
from segship.core.files import replace_directory, require_replaceable
from segship.core.kits import (
    CALIBRATION,
    CALIBRATION_ARRAY,
    CALIBRATION_LIST,
    INPUT_LIST,
    INPUTS,
    KitJob,
    as_bytes,
    early_job,
    has_recipe,
)
from segship.core.memory import release_memory
from segship.deploy import find_target
from segship.deploy.kit import describe_kit, make_graphs
from segship.deploy.requirements import able_target, require_extra
from segship.deploy.ship import ExportOptions, ignore_progress
from segship.kits.kit import Expected, Kit, KitInput, is_kit, read_kit, signature
from segship.kits.scripts import convert_script, readme, run_script
from segship.metrics.confusion import confusion_matrix
from segship.runtime.pipeline import Pipeline
from segship.sources import as_source
from segship.tools.tensors.index import Index, Packed, StoredEncoding, TensorFile
from segship.verification.inputs import first_window, spread
from segship.vision.bands import read_pixels
from segship.vision.image_files import find_images
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from segship.core.kits import KitBackend, Recipe
    from segship.core.plan import Int8, Plan
    from segship.core.spec import ModelSpec
    from segship.core.target import Target
    from segship.datasets.samples import Sample
    from segship.deploy.kit import KitGraphs
    from segship.evaluation import Data, SampleSet
    from segship.sources import Source
    from segship.verification.compare import Reference

__all__ = ["export_kit"]


def export_kit(
    source: Source | str | os.PathLike[str],
    out: str | os.PathLike[str],
    target: str | Target,
    *,
    data: Data | None = None,
    int8: Int8 | None = None,
    progress: Callable[[str], None] | None = None,
) -> Kit:
    """Write what somebody with a vendor's tools and chip needs to make an engine of a network and to run it.

    Args:
        source: The trained network: a `segship.Source`, or the config, folder or file of one that brings its weights.
        out: Folder to write; it appears whole or not at all. An older kit there is replaced, unless it holds engines or
            results.
        target: Engine, precision and shape, with the vendor's options.
        data: Images, with label maps where there are any, that the chip shall run; the network runs them here, once.
            None: scenes alone, of which no accuracy follows.
        int8: Its ``calibration`` is the folder of images that the vendor's int8 is fitted to; needed for int8.
        progress: Called with the name of each stage as it begins.

    Returns:
        The kit.

    Raises:
        SegshipError: Something cannot be read, converted or verified, or an option is missing; nothing was written.
    """
    require_extra()
    tell, folder = progress or ignore_progress, Path(out)
    chosen = able_target(find_target(target))
    backend = _backend(chosen)
    calibration = _calibration_images(chosen, int8)
    require_replaceable(folder, is_kit)
    backend.recipe(early_job(chosen, len(calibration)))
    tell("reading the network")
    loaded = as_source(source).load()
    plan = ExportOptions(target=chosen).plan(loaded)
    samples = None if data is None else data.samples_for(plan.spec)
    with replace_directory(folder, replaceable=is_kit) as directory:
        tell("capturing the network as a graph")
        made = make_graphs(loaded, plan, directory, backend)
        del loaded  # a large network's memory is needed to run its graph
        release_memory()
        _Writer(backend, plan, directory, tell).write(made, calibration, samples)
    return read_kit(folder)


def _backend(target: Target) -> KitBackend:
    backend = find_backend(target.backend)
    if not has_recipe(backend):
        raise BackendError(f"{backend.INFO.title} engines are built and run here: leave --kit out, and name OUT")
    return backend


def _calibration_images(target: Target, int8: Int8 | None) -> list[Path]:
    if target.precision != "int8":
        if int8 is not None:
            raise InputError(f"calibration is for int8, and the target is {target}: leave it out")
        return []
    if int8 is None or int8.calibration is None:
        raise InputError(f"{target} is calibrated with images: name their folder, --calibration FOLDER")
    return spread(find_images([Path(int8.calibration)]), int8.images)


class _Writer:
    """Fills the folder of a kit."""

    def __init__(self, backend: KitBackend, plan: Plan, folder: Path, tell: Callable[[str], None]) -> None:
        self._backend, self._plan, self._folder, self._tell = backend, plan, folder, tell
        self._packed = _PackedInputs(folder)

    def write(self, made: KitGraphs, calibration: Sequence[Path], samples: SampleSet | None) -> None:
        """Inputs, scripts, and kit.json last."""
        self._tell("comparing the graph with the network")
        manifest = describe_kit(made, self._plan)
        job = self._job(made, len(calibration), ())
        recipe = self._backend.recipe(job)
        self._packed.follow(recipe, self._plan.spec)
        for each in made.references:
            self._packed.add_check(each)
        matrix, labelled = self._data(made, samples)
        self._calibrate(calibration, recipe)
        inputs = tuple(self._packed.inputs)
        self._scripts(self._job(made, len(calibration), inputs), 0 if samples is None else len(samples.samples))
        self._packed.expected().write(self._folder)
        images = len(samples.samples) if samples else 0
        known = samples.layout.title if samples and samples.layout else ""
        Kit(self._folder, manifest, inputs, images, labelled, matrix, dataset=known).write()

    def _job(self, made: KitGraphs, calibration: int, inputs: Sequence[KitInput]) -> KitJob:
        first = next(iter(made.graphs.values()))
        return KitJob(
            self._plan.target,
            {batch: graph.path.name for batch, graph in made.graphs.items()},
            first.inputs[0],
            first.outputs[0],
            self._plan.spec,
            calibration,
            tuple((each.stem, each.size) for each in inputs),
        )

    def _data(self, made: KitGraphs, samples: SampleSet | None) -> tuple[tuple[tuple[int, ...], ...] | None, int]:
        """Pack a data set and let the network's graph run it; the network's own confusion matrix."""
        engine = made.engine
        count = len(self._plan.spec.classes)
        matrix, labelled, items = np.zeros((count, count), np.int64), 0, []
        if samples is None:
            return None, 0
        with reference_backend("onnx").open(engine) as session:
            batch = engine.inputs[0].shape[0]
            running = _Running(session, engine.outputs[0].name, batch if isinstance(batch, int) else 1)
            pipeline = Pipeline(running, self._plan.spec, self._plan.sizes)
            for done, sample in enumerate(samples.samples, start=1):
                self._tell(f"packing the data set, and running the network on it: {done} of {len(samples.samples)}")
                pixels = read_pixels(sample.image, self._plan.spec)
                labels = pipeline.labels(pixels, "bgr")
                items.append(self._packed.add(sample, (pixels.shape[0], pixels.shape[1]), running.taken()))
                if sample.labels is not None:
                    truth = samples.encoding.read(sample).labels
                    matrix += confusion_matrix(labels, truth, count)
                    labelled += 1
        index = Index(
            spec=self._plan.spec, sizes=self._plan.sizes, coding=StoredEncoding.of(samples.encoding), items=tuple(items)
        )
        index.write(self._folder / INPUTS)
        return (tuple(tuple(map(int, row)) for row in matrix) if labelled else None), labelled

    def _calibrate(self, images: Sequence[Path], recipe: Recipe) -> None:
        if not images:
            return
        folder = self._folder / CALIBRATION
        folder.mkdir()
        spec, names, arrays = self._plan.spec, [], []
        for number, path in enumerate(images):
            self._tell(f"packing calibration images: {number + 1} of {len(images)}")
            tensor = first_window(prepare(read_pixels(path, spec), spec).tensor, spec)
            array = _laid_out(tensor, recipe, spec)
            names.append(f"{CALIBRATION}/{number:05}.bin")
            (self._folder / names[-1]).write_bytes(array.tobytes())
            arrays.append(array)
        (self._folder / CALIBRATION_LIST).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        np.save(self._folder / CALIBRATION_ARRAY, np.concatenate(arrays))

    def _scripts(self, job: KitJob, images: int) -> None:
        made, title = self._backend.recipe(job), self._backend.INFO.title
        texts = {
            "convert.sh": convert_script(title, made),
            "run.sh": run_script(title, made),
            "README.md": readme(self._backend, job, made, images),
            INPUT_LIST: "".join(f"{each.file}\n" for each in self._packed.inputs),
            **made.files,
        }
        for name, text in texts.items():
            path = self._folder / name
            path.write_text(text, encoding="utf-8")
            if name.endswith(".sh"):
                path.chmod(0o755)


class _Running(Session):
    """A session that keeps what it was given and what it has returned."""

    def __init__(self, session: Session, output: str, batch: int) -> None:
        self._session, self._output, self._batch = session, output, batch
        self._kept: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        repeated = {name: np.repeat(value, self._batch, 0) for name, value in feeds.items()}
        found = self._session.run(repeated)[self._output][:1]
        self._kept.append((next(iter(feeds.values())), found))
        return {"logits": found}

    def taken(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Inputs and outputs since this was last asked."""
        kept, self._kept = self._kept, []
        return kept


class _PackedInputs:
    """Inputs in files named by their numbers: some vendors' tools cut a name at its first point."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inputs: list[KitInput] = []
        self._signatures: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[Any]] = []
        self._logits: dict[str, NDArray[np.float32]] = {}
        (folder / INPUTS).mkdir()

    def follow(self, recipe: Recipe, spec: ModelSpec) -> None:
        """Lay inputs out as a recipe says."""
        self._recipe, self._spec = recipe, spec

    def add_check(self, reference: Reference) -> None:
        """Pack an input whose scores are all kept."""
        written = self._write(reference.image, reference.logits, reference.name, check=True)
        self._logits[written.stem] = reference.logits

    def add(
        self,
        sample: Sample,
        size: tuple[int, int],
        pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    ) -> Packed:
        """Pack an image of a data set, window by window where the network slides."""
        files = []
        for tensor, logits in pairs:
            written = self._write(tensor, logits, sample.name, check=False)
            files.append(TensorFile(file=Path(written.file).name, shape=tensor.shape))
        return Packed(
            name=sample.name,
            image=str(sample.image.absolute()),
            labels=None if sample.labels is None else str(sample.labels.absolute()),
            table=None if sample.table is None else dict(sample.table),
            size=size,
            inputs=tuple(files),
        )

    def _write(self, tensor: NDArray[np.float32], logits: NDArray[np.float32], image: str, *, check: bool) -> KitInput:
        height, width = tensor.shape[2:]
        folder = f"{INPUTS}/{height}x{width}" if self._by_size else INPUTS
        entry = KitInput(f"{folder}/{len(self.inputs):05}.bin", image, (height, width), check)
        path = self._folder / entry.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(_laid_out(tensor, self._recipe, self._spec).tobytes())
        self.inputs.append(entry)
        self._signatures.append(signature(logits))
        self._labels.append(_labels(logits))
        return entry

    @property
    def _by_size(self) -> bool:
        return self._recipe.by_size

    def expected(self) -> Expected:
        """What the network answers to all inputs."""
        return Expected(np.stack(self._signatures), tuple(self._labels), self._logits)


def _labels(logits: NDArray[np.float32]) -> NDArray[Any]:
    kind = np.uint8 if logits.shape[1] <= 256 else np.uint16  # noqa: PLR2004
    labels: NDArray[Any] = logits[0].argmax(0) if logits.shape[1] > 1 else logits[0, 0] > 0
    return labels.astype(kind)


def _laid_out(tensor: NDArray[np.float32], recipe: Recipe, spec: ModelSpec) -> NDArray[Any]:
    if recipe.pixels:
        spec.require_common("A chip that is given bytes")
        return as_bytes(tensor, spec.normalization.mean, spec.normalization.std)
    axes = (0, 2, 3, 1) if recipe.layout == "nhwc" else (0, 1, 2, 3)
    return np.ascontiguousarray(tensor.transpose(axes), "<f4")
