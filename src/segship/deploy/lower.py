"""From the float32 graph to an engine of the precision that was asked for, behind a gate."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import reference_backend
from segship.core.artifacts import Engine
from segship.core.errors import InputError, SegshipWarning
from segship.core.manifest import Accuracy, Quantization
from segship.datasets.samples import Sample, pair_up
from segship.deploy.samples import first_window, spread
from segship.metrics.confusion import confusion_matrix, reduce_zero_label, scores
from segship.quantize import quantize
from segship.quantize.gate import Gate
from segship.quantize.search import search
from segship.runtime.pipeline import Pipeline
from segship.vision.bands import read_pixels
from segship.vision.decode import find_images, read_labels
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Graph, Session
    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Target
    from segship.quantize import Quantized

__all__ = ["Lowered", "Lowering", "lower"]

_FEW = 16
_RANKED_ON = 2  # images; the order of the layers hardly changes with more
_TIMED = 5


@dataclasses.dataclass(frozen=True)
class Lowering:
    """How a precision below fp32 is made and judged.

    Attributes:
        calibration: Folder of images whose value ranges int8 is fitted to.
        labels: Folder of their label maps; with it, int8 is judged by IoU.
        images: At most so many images, spread over the folder.
        gate: What int8 may cost on labelled images.
        agreement: Least share of pixels, in the masks of the calibration images, that int8 must leave as they were,
            where there are no labels.
        allow_inexact: Write the package even if a gate fails, and say so in it.
    """

    calibration: Path | None = None
    labels: Path | None = None
    images: int = 64
    gate: Gate = dataclasses.field(default_factory=Gate)
    agreement: float = 0.98
    allow_inexact: bool = False


@dataclasses.dataclass(frozen=True)
class Lowered:
    """An engine, and what its precision cost.

    Attributes:
        engine: Its files lie in the package's folder.
        quantization: How int8 was made; None for other precisions.
        failures: What did not pass, in words.
    """

    engine: Engine
    quantization: Quantization | None = None
    failures: tuple[str, ...] = ()


def lower(
    graph: Graph,
    target: Target,
    backend: Backend,
    directory: Path,
    how: Lowering,
    *,
    spec: ModelSpec,
    sizes: SizeRule,
    tell: Callable[[str], None],
    finish: Callable[[Graph], Graph] = lambda graph: graph,
) -> Lowered:
    """Convert ``graph`` for ``target``.

    Args:
        graph: float32; other files may be written beside it.
        target: Engine, precision and shape.
        backend: The engine's module.
        directory: Where the engine's files go.
        how: How a lower precision is made and judged.
        spec: What the network expects.
        sizes: Which sizes it takes.
        tell: Called with what is being done.
        finish: Changes the graph at last, when its precision is the target's.

    Raises:
        SegshipError: Something is missing, or the engine cannot be built.
    """
    if target.precision not in backend.INFO.lowered:
        return Lowered(backend.convert(_suited(finish(graph), backend), target, directory))
    if target.precision == "fp16":
        from segship.onnxgraph.passes.float16 import float16
        from segship.onnxgraph.rewrite import rewrite

        half = rewrite(graph, _beside(graph, "fp16"), float16)
        return Lowered(backend.convert(_suited(finish(half), backend), target, directory))
    return _Integer(graph, target, backend, how, spec, sizes, tell).build(directory, finish)


class _Integer:
    """int8: calibrate, quantise, judge, and give layers back until the gate holds."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        backend: Backend,
        how: Lowering,
        spec: ModelSpec,
        sizes: SizeRule,
        tell: Callable[[str], None],
    ) -> None:
        self._graph, self._target, self._backend, self._how = graph, target, backend, how
        self._spec, self._sizes, self._tell = spec, sizes, tell
        self._samples = _samples(how)
        self._judge = _Judge(self._samples, spec, sizes, how)

    def build(self, directory: Path, finish: Callable[[Graph], Graph]) -> Lowered:
        """Write the engine's files to ``directory``, of the graph that ``finish`` makes of the quantised one."""
        self._tell(f"calibrating int8 on {len(self._samples)} images")
        inputs = _Inputs([sample.image for sample in self._samples], self._feed)
        quantized = quantize(self._graph, self._target, self._backend, inputs)
        self._tell("measuring the original network")
        reference = reference_backend(self._graph.format)
        before = self._judge.measure(reference.open(_engine_of(self._graph)))
        self._tell("measuring int8")
        after, failures = self._attempt(quantized, (), before)
        kept: tuple[str, ...] = ()
        slower = None
        if failures:
            kept, (after, failures) = self._search(quantized, before)
            slower = self._slowdown(quantized, kept)
        engine = quantized.build(kept, directory, lambda graph: _suited(finish(graph), self._backend))
        record = Quantization(
            images=len(self._samples),
            labelled=self._judge.labelled,
            layers=len(quantized.layers),
            kept=kept,
            slowdown=slower,
            before=before.accuracy,
            after=after.accuracy,
            agreement=after.agreement,
        )
        return Lowered(engine, record, tuple(failures))

    def _suited(self, graph: Graph) -> Graph:
        return _suited(graph, self._backend)

    def _feed(self, path: Path) -> NDArray[np.float32]:
        return first_window(prepare(read_pixels(path, self._spec), self._spec).tensor, self._spec)

    def _attempt(self, quantized: Quantized, kept: tuple[str, ...], before: _Measured) -> tuple[_Measured, list[str]]:
        with tempfile.TemporaryDirectory(dir=self._graph.path.parent) as folder:
            session = self._backend.open(quantized.build(kept, Path(folder), self._suited))
            after = self._judge.measure(session, before)
        return after, self._judge.failures(before, after)

    def _search(self, quantized: Quantized, before: _Measured) -> tuple[tuple[str, ...], tuple[_Measured, list[str]]]:
        inputs = [self._feed(sample.image) for sample in spread(self._samples, _RANKED_ON)]

        def progress(done: int, every: int) -> None:
            self._tell(f"finding the sensitive layers: {done} of {every}")

        def attempt(kept: tuple[str, ...]) -> tuple[bool, tuple[_Measured, list[str]]]:
            self._tell(f"measuring int8 with {len(kept)} of {len(quantized.layers)} layers in floating point")
            verdict = self._attempt(quantized, kept, before)
            return not verdict[1], verdict

        best, _ = search(quantized.rank(inputs, progress), attempt)
        return best.kept, best.result

    def _slowdown(self, quantized: Quantized, kept: tuple[str, ...]) -> float:
        """Time with ``kept`` in floating point as a multiple of the time with nothing; interleaved, medians."""
        image = {self._graph.inputs[0].name: self._feed(self._samples[0].image)}
        times: list[list[float]] = [[], []]
        with tempfile.TemporaryDirectory(dir=self._graph.path.parent) as scratch:
            sessions = []
            for name, layers in (("quantized", ()), ("chosen", kept)):
                folder = Path(scratch) / name
                folder.mkdir()
                sessions.append(self._backend.open(quantized.build(layers, folder, self._suited)))
            for _ in range(1 + _TIMED):
                for taken, session in zip(times, sessions, strict=True):
                    begin = time.perf_counter()
                    session.run(image)
                    taken.append(time.perf_counter() - begin)
        fast, slow = (statistics.median(taken[1:]) for taken in times)
        return slow / fast


def _suited(graph: Graph, backend: Backend) -> Graph:
    """The graph as the engine's kernels want it: the passes of ``INFO.passes`` are applied."""
    if not backend.INFO.passes:
        return graph
    from segship.onnxgraph.rewrite import apply_passes

    return apply_passes(graph, backend.INFO.passes)


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """The network's input for each of some images, made anew each time: together they are large."""

    images: list[Path]
    make: Callable[[Path], NDArray[np.float32]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return map(self.make, self.images)

    def __len__(self) -> int:
        return len(self.images)


@dataclasses.dataclass(frozen=True, eq=False)
class _Measured:
    """What an engine makes of the calibration images."""

    masks: list[NDArray[Any]]
    accuracy: Accuracy | None
    agreement: float | None


class _Judge:
    """Masks of the calibration images, and IoU where they have labels."""

    def __init__(self, samples: Sequence[Sample], spec: ModelSpec, sizes: SizeRule, how: Lowering) -> None:
        self._samples, self._spec, self._sizes, self._how = samples, spec, sizes, how
        self.labelled = sum(sample.labels is not None for sample in samples)

    def measure(self, session: Session, before: _Measured | None = None) -> _Measured:
        """Run every image."""
        pipeline = Pipeline(session, self._spec, self._sizes)
        masks = [pipeline.labels(read_pixels(sample.image, self._spec), "bgr") for sample in self._samples]
        agreement = None
        if before is not None:
            equal = [float((new == old).mean()) for new, old in zip(masks, before.masks, strict=True)]
            agreement = float(np.mean(equal))
        return _Measured(masks, self._accuracy(masks), agreement)

    def failures(self, before: _Measured, after: _Measured) -> list[str]:
        """What does not pass."""
        if before.accuracy is not None and after.accuracy is not None:
            return self._how.gate.failures(before.accuracy, after.accuracy)
        if after.agreement is not None and after.agreement < self._how.agreement:
            wanted = self._how.agreement
            return [f"int8: {after.agreement:.2%} of the pixels keep their label (gate {wanted:.0%}; no labels given)"]
        return []

    def _accuracy(self, masks: list[NDArray[Any]]) -> Accuracy | None:
        if not self.labelled:
            return None
        classes = self._spec.classes
        matrix = np.zeros((len(classes), len(classes)), np.int64)
        for sample, mask in zip(self._samples, masks, strict=True):
            if sample.labels is not None:
                truth = read_labels(sample.labels)
                truth = reduce_zero_label(truth) if self._spec.reduce_zero_label else truth
                matrix += confusion_matrix(mask, truth, len(classes))
        found = scores(matrix)
        named = zip(classes, found.IoU, strict=True)
        return Accuracy(mIoU=float(found.mIoU), IoU={name: float(iou) for name, iou in named if not np.isnan(iou)})


def _samples(how: Lowering) -> list[Sample]:
    if how.calibration is None:
        raise InputError(
            "int8 needs images to find the range of every value: --calibration FOLDER, "
            f"{how.images} or more images like those the network will see"
        )
    if how.labels is not None:
        found = [sample for sample in pair_up(how.calibration, how.labels) if sample.labels is not None]
    else:
        found = [Sample(file.stem, file, None) for file in find_images([how.calibration])]
    if not found:
        raise InputError(f"none of the images of {how.calibration} has a label map in {how.labels}")
    chosen = spread(found, how.images)
    if len(chosen) < _FEW:
        warnings.warn(
            f"int8 is calibrated on {len(chosen)} images; with fewer than {_FEW}, values it never saw are cut off",
            SegshipWarning,
            stacklevel=2,
        )
    return chosen


def _beside(graph: Graph, folder: str) -> Path:
    """A path for a version of ``graph`` with the same file name, which the engine's files will have."""
    path = graph.path.parent / folder / graph.path.name
    path.parent.mkdir()
    return path


def _engine_of(graph: Graph) -> Engine:
    return Engine(graph.path.parent, (graph.path.name,), graph.inputs, graph.outputs)
