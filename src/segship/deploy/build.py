"""From the float32 graph to an engine of the precision that was asked for; reduced ones behind their gates."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from segship.backends import DEFAULT, find_backend, reference_backend, runs_here
from segship.core.artifacts import Engine
from segship.core.manifest import Quantization
from segship.deploy.give_back import GivingBack
from segship.deploy.lower import build_lower, can_mix
from segship.quantize import ReducedGraph, quantize
from segship.runtime.pipeline import Pipeline
from segship.verification.inputs import first_window, spread
from segship.verification.int8 import Int8Judge, Measurement, calibration_samples
from segship.vision.bands import read_pixels
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Graph, Session
    from segship.core.plan import Plan
    from segship.core.target import Target
    from segship.quantize import Ranked, Reduced
    from segship.verification.compare import Reference

    Progress = Callable[[str], None]

__all__ = ["BuiltEngine", "build_engine", "finished", "to_quantize"]

_RANKED_ON = 2  # images; the order of the layers hardly changes with more
_JUDGED_AS_GRAPH = (
    "int8 was judged by its graph on the processor, which rounds as the engine does and may sum in another order: "
    "nothing here runs the engine"
)


@dataclasses.dataclass(frozen=True)
class BuiltEngine:
    """An engine, and what its precision cost.

    Attributes:
        engine: Its files lie in the package's folder.
        quantization: How int8 was made, or what of another precision stays in float32; None where there is nothing
            to say.
        failures: What did not pass, in words.
        note: What a user should know of how the precision was judged; empty: nothing.
    """

    engine: Engine
    quantization: Quantization | None = None
    failures: tuple[str, ...] = ()
    note: str = ""


def build_engine(
    graph: Graph, plan: Plan, directory: Path, expected: Sequence[Reference], progress: Progress
) -> BuiltEngine:
    """Convert a graph to the engine of a plan.

    Args:
        graph: float32; other files may be written beside it.
        plan: Of the export.
        directory: Where the engine's files go.
        expected: The inputs of the verification, with the network's own logits.
        progress: Called with what is being done.

    Raises:
        SegshipError: Something is missing, or the engine cannot be built.
    """
    target, backend = plan.target, find_backend(plan.target.backend)
    if can_mix(graph, plan):
        # Before it is lowered: constants are folded on the processor, which puts float32 between float16's layers.
        graph = _plain(graph, plan)
        made = build_lower(graph, plan, directory, expected, lambda lower: _with_images(lower, plan), progress)
        return BuiltEngine(*made)
    if target.precision not in backend.INFO.lowered:
        return BuiltEngine(backend.convert(finished(graph, plan), target, directory))
    return _Int8Build(graph, plan, progress).build(directory)


def finished(graph: Graph, plan: Plan) -> Graph:
    """Make a graph of the target's precision what the engine is built of.

    The work on images that the engine does itself is added, and the engine's own passes are applied.

    Args:
        graph: Left as it is.
        plan: Of the export.
    """
    return _with_images(_plain(graph, plan), plan)


def to_quantize(graph: Graph, plan: Plan) -> Graph:
    """Make a float32 graph what int8 is calibrated on, by the passes of ``INFO.int8_passes``.

    Args:
        graph: Left as it is.
        plan: Of the export.
    """
    return _rewritten(_plain(graph, plan), find_backend(plan.target.backend).INFO.int8_passes)


def _with_images(graph: Graph, plan: Plan) -> Graph:
    """The graph with the work on images that the engine does itself, and with the engine's own passes."""
    if not plan.embed:
        return _suited(graph, plan)
    from segship.onnxgraph.image import postprocess

    path, branches = _beside(graph, "whole"), find_backend(plan.target.backend).INFO.branches
    return _suited(postprocess.embed(graph, path, plan.spec, plan.embed, branches=branches), plan)


def _plain(graph: Graph, plan: Plan) -> Graph:
    """The graph as the vendor's converter reads it, where ``INFO.plain`` says so."""
    opset = find_backend(plan.target.backend).INFO.plain
    if opset is None or any(isinstance(side, str) for side in graph.inputs[0].shape):
        return graph
    from segship.onnxgraph.plain import plain_graph

    return plain_graph(graph, _beside(graph, "plain"), opset)


def _suited(graph: Graph, plan: Plan) -> Graph:
    """The graph as the engine's kernels want it: the passes of ``INFO.passes`` are applied."""
    return _rewritten(graph, find_backend(plan.target.backend).INFO.passes)


def _rewritten(graph: Graph, passes: tuple[str, ...]) -> Graph:
    if not passes:
        return graph
    from segship.onnxgraph.rewrite import apply_passes

    return apply_passes(graph, passes)


class _Int8Build:
    """int8: calibrate, quantise, judge, and give layers back until the gate holds."""

    def __init__(self, graph: Graph, plan: Plan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._backend = find_backend(plan.target.backend)
        self._graph = to_quantize(graph, plan)
        self._samples = calibration_samples(plan.int8)
        self._judge = Int8Judge(self._samples, plan.spec, plan.int8)

    def build(self, directory: Path) -> BuiltEngine:
        """Write the engine's files to ``directory``."""
        self._progress(f"calibrating int8 on {len(self._samples)} images")
        inputs = _Inputs([sample.image for sample in self._samples], self._feed)
        quantized = quantize(self._graph, self._plan.target, self._backend, inputs)
        self._progress("measuring the original network")
        with reference_backend(self._graph.format).open(_engine_of(self._graph)) as original:
            before = self._measure(original)
        judged, target = self._judged_as(quantized)
        runs = judged is quantized
        giving = GivingBack(
            judged,
            target,
            self._graph.path.parent,
            self._suited,
            lambda _, session: self._judged(session, before),
            self._progress,
        )
        image = self._feed(self._samples[0].image)
        timed = runs and not _is_simulated(self._backend)
        longest = self._plan.layer_timing
        unpaid, worth = giving.leave_unpaid(image, longest) if timed and longest else ((), None)
        kept, after, failures = giving.search(self._ranked_on)
        slower = giving.slowdown(kept, image) if kept and timed else None
        layers = tuple(dict.fromkeys((*unpaid, *kept)))
        engine = quantized.build(layers, directory, lambda graph: _with_images(graph, self._plan))
        record = Quantization(
            images=len(self._samples),
            labelled=self._judge.labelled,
            layers=len(quantized.layers),
            kept=kept,
            unpaid=unpaid,
            worth=worth,
            slowdown=slower,
            before=before.accuracy,
            after=after.accuracy,
            agreement=after.agreement,
        )
        return BuiltEngine(engine, record, failures, "" if runs else _JUDGED_AS_GRAPH)

    def _judged_as(self, quantized: Reduced) -> tuple[Reduced, Target]:
        """What is run in the engine's place where no device here runs it, and the target that opens that."""
        target = self._plan.target
        known = not self._backend.INFO.unverified or runs_here(self._backend, target.options)
        if known or not isinstance(quantized, ReducedGraph):
            return quantized, target
        return _Graphs(quantized, target), target.model_copy(update={"backend": DEFAULT})

    def _suited(self, graph: Graph) -> Graph:
        return _suited(graph, self._plan)

    def _feed(self, path: Path) -> NDArray[np.float32]:
        spec = self._plan.spec
        return first_window(prepare(read_pixels(path, spec), spec).tensor, spec)

    def _measure(self, session: Session, before: Measurement | None = None) -> Measurement:
        pipeline = Pipeline(session, self._plan.spec, self._plan.sizes)
        return self._judge.measure(lambda pixels: pipeline.labels(pixels, "bgr"), before)

    def _judged(self, session: Session, before: Measurement) -> tuple[Measurement, list[str]]:
        after = self._measure(session, before)
        return after, self._judge.failures(before, after)

    def _ranked_on(self) -> list[NDArray[np.float32]]:
        return [self._feed(sample.image) for sample in spread(self._samples, _RANKED_ON)]


class _Graphs:
    """A reduced network that is judged by its graphs, on the processor, because nothing here runs its engines."""

    def __init__(self, reduced: ReducedGraph, target: Target) -> None:
        self._reduced, self._target = reduced, target
        self.layers, self.kinds = reduced.layers, reduced.kinds

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        return find_backend(DEFAULT).convert(finish(self._reduced.graph(kept)), self._target, directory)

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> Ranked:
        return self._reduced.rank(inputs, progress)


def _is_simulated(backend: Backend) -> bool:
    """Whether what runs here is a simulator, whose times say nothing of the chip's."""
    return any(device.simulator for device in backend.probe() if device.name == backend.INFO.default_device)


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
    path.parent.mkdir(exist_ok=True)
    return path


def _engine_of(graph: Graph) -> Engine:
    return Engine(graph.path.parent, (graph.path.name,), graph.inputs, graph.outputs)
