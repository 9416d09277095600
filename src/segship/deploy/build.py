"""From the float32 graph to an engine of the precision that was asked for; int8 behind its gate."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from segship.backends import find_backend, reference_backend
from segship.core.artifacts import Engine
from segship.core.manifest import Quantization
from segship.quantize import quantize
from segship.quantize.search import search
from segship.runtime.pipeline import Pipeline
from segship.verification.inputs import first_window, spread
from segship.verification.int8 import Int8Judge, Measurement, calibration_samples
from segship.vision.bands import read_pixels
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Graph, Session
    from segship.core.plan import Plan
    from segship.quantize import Quantized

    Progress = Callable[[str], None]
    Verdict = tuple[Measurement, list[str]]

__all__ = ["BuiltEngine", "build_engine", "finished"]

_RANKED_ON = 2  # images; the order of the layers hardly changes with more
_TIMED = 5


@dataclasses.dataclass(frozen=True)
class BuiltEngine:
    """An engine, and what its precision cost.

    Attributes:
        engine: Its files lie in the package's folder.
        quantization: How int8 was made; None for other precisions.
        failures: What did not pass, in words.
    """

    engine: Engine
    quantization: Quantization | None = None
    failures: tuple[str, ...] = ()


def build_engine(graph: Graph, plan: Plan, directory: Path, progress: Progress) -> BuiltEngine:
    """Convert a graph to the engine of a plan.

    Args:
        graph: float32; other files may be written beside it.
        plan: Of the export.
        directory: Where the engine's files go.
        progress: Called with what is being done.

    Raises:
        SegshipError: Something is missing, or the engine cannot be built.
    """
    target, backend = plan.target, find_backend(plan.target.backend)
    if target.precision not in backend.INFO.lowered:
        return BuiltEngine(backend.convert(finished(graph, plan), target, directory))
    if target.precision == "fp16":
        from segship.onnxgraph.passes.float16 import float16
        from segship.onnxgraph.rewrite import rewrite

        half = rewrite(graph, _beside(graph, "fp16"), float16)
        return BuiltEngine(backend.convert(finished(half, plan), target, directory))
    return _Int8Build(graph, plan, progress).build(directory)


def finished(graph: Graph, plan: Plan) -> Graph:
    """Make a graph of the target's precision what the engine is built of.

    The work on images that the engine does itself is added, and the engine's own passes are applied.

    Args:
        graph: Left as it is.
        plan: Of the export.
    """
    if not plan.embed:
        return _suited(_plain(graph, plan), plan)
    from segship.onnxgraph.image import postprocess

    path, branches = _beside(graph, "whole"), find_backend(plan.target.backend).INFO.branches
    return _suited(postprocess.embed(graph, path, plan.spec, plan.embed, branches=branches), plan)


def _plain(graph: Graph, plan: Plan) -> Graph:
    """The graph as the vendor's converter reads it, where ``INFO.plain`` says so."""
    opset = find_backend(plan.target.backend).INFO.plain
    if opset is None:
        return graph
    from segship.onnxgraph.plain import plain_graph

    return plain_graph(graph, _beside(graph, "plain"), opset)


def _suited(graph: Graph, plan: Plan) -> Graph:
    """The graph as the engine's kernels want it: the passes of ``INFO.passes`` are applied."""
    passes = find_backend(plan.target.backend).INFO.passes
    if not passes:
        return graph
    from segship.onnxgraph.rewrite import apply_passes

    return apply_passes(graph, passes)


class _Int8Build:
    """int8: calibrate, quantise, judge, and give layers back until the gate holds."""

    def __init__(self, graph: Graph, plan: Plan, progress: Progress) -> None:
        self._graph, self._plan, self._progress = graph, plan, progress
        self._backend = find_backend(plan.target.backend)
        self._samples = calibration_samples(plan.int8)
        self._judge = Int8Judge(self._samples, plan.spec, plan.int8)

    def build(self, directory: Path) -> BuiltEngine:
        """Write the engine's files to ``directory``."""
        self._progress(f"calibrating int8 on {len(self._samples)} images")
        inputs = _Inputs([sample.image for sample in self._samples], self._feed)
        quantized = quantize(self._graph, self._plan.target, self._backend, inputs)
        self._progress("measuring the original network")
        original = reference_backend(self._graph.format).open(_engine_of(self._graph))
        before = self._measure(original)
        self._progress("measuring int8")
        after, failures = self._attempt(quantized, (), before)
        kept: tuple[str, ...] = ()
        slower = None
        if failures:
            kept, (after, failures) = self._search(quantized, before)
            slower = self._slowdown(quantized, kept)
        engine = quantized.build(kept, directory, lambda graph: finished(graph, self._plan))
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
        return BuiltEngine(engine, record, tuple(failures))

    def _suited(self, graph: Graph) -> Graph:
        return _suited(graph, self._plan)

    def _feed(self, path: Path) -> NDArray[np.float32]:
        spec = self._plan.spec
        return first_window(prepare(read_pixels(path, spec), spec).tensor, spec)

    def _measure(self, session: Session, before: Measurement | None = None) -> Measurement:
        with session:
            pipeline = Pipeline(session, self._plan.spec, self._plan.sizes)
            return self._judge.measure(lambda pixels: pipeline.labels(pixels, "bgr"), before)

    def _attempt(self, quantized: Quantized, kept: tuple[str, ...], before: Measurement) -> Verdict:
        with tempfile.TemporaryDirectory(dir=self._graph.path.parent) as folder:
            engine = quantized.build(kept, Path(folder), self._suited)
            after = self._measure(self._backend.open(engine), before)
        return after, self._judge.failures(before, after)

    def _search(self, quantized: Quantized, before: Measurement) -> tuple[tuple[str, ...], Verdict]:
        inputs = [self._feed(sample.image) for sample in spread(self._samples, _RANKED_ON)]

        def progress(done: int, every: int) -> None:
            self._progress(f"finding the sensitive layers: {done} of {every}")

        def attempt(kept: tuple[str, ...]) -> tuple[bool, Verdict]:
            self._progress(f"measuring int8 with {len(kept)} of {len(quantized.layers)} layers in floating point")
            verdict = self._attempt(quantized, kept, before)
            return not verdict[1], verdict

        best, _ = search(quantized.rank(inputs, progress), attempt)
        return best.kept, best.result

    def _slowdown(self, quantized: Quantized, kept: tuple[str, ...]) -> float:
        """Time with ``kept`` in floating point as a multiple of the time with nothing; interleaved, medians."""
        image = {self._graph.inputs[0].name: self._feed(self._samples[0].image)}
        times: list[list[float]] = [[], []]
        with tempfile.TemporaryDirectory(dir=self._graph.path.parent) as scratch, contextlib.ExitStack() as opened:
            sessions = []
            for name, layers in (("quantized", ()), ("chosen", kept)):
                folder = Path(scratch) / name
                folder.mkdir()
                engine = quantized.build(layers, folder, self._suited)
                sessions.append(opened.enter_context(self._backend.open(engine)))
            for _ in range(1 + _TIMED):
                for taken, session in zip(times, sessions, strict=True):
                    begin = time.perf_counter()
                    session.run(image)
                    taken.append(time.perf_counter() - begin)
        fast, slow = (statistics.median(taken[1:]) for taken in times)
        return slow / fast


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """The network's input for each of some images, made anew each time: together they are large."""

    images: list[Path]
    make: Callable[[Path], NDArray[np.float32]]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return map(self.make, self.images)

    def __len__(self) -> int:
        return len(self.images)


def _beside(graph: Graph, folder: str) -> Path:
    """A path for a version of ``graph`` with the same file name, which the engine's files will have."""
    path = graph.path.parent / folder / graph.path.name
    path.parent.mkdir()
    return path


def _engine_of(graph: Graph) -> Engine:
    return Engine(graph.path.parent, (graph.path.name,), graph.inputs, graph.outputs)
