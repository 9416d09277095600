"""fp16 and bf16 with some layers in float32, of engines that read ONNX."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import engine_errors
from segship.onnxgraph.file import load, save
from segship.onnxgraph.passes.name_nodes import name_nodes
from segship.onnxgraph.rewrite import rewrite
from segship.onnxgraph.session import open_model
from segship.onnxgraph.units import find_units, rounded, values_of
from segship.quantize.search import rank_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Ranked, Reduced

__all__ = ["round_onnx"]


def round_onnx(graph: Graph, target: Target, backend: Backend) -> Reduced:
    """Prepare a network for fp16 or bf16; any of its layers can be given back to float32.

    Args:
        graph: float32, ONNX; other files are written beside it.
        target: Engine, precision and shape.
        backend: The engine's module; it makes the precision itself, or gets a graph of it (``INFO.lowered``).

    Returns:
        As `segship.quantize.quantize` does.
    """
    path = graph.path.parent / target.precision / graph.path.name  # the engine's files will have the same name
    path.parent.mkdir()
    return _Rounded(rewrite(graph, path, name_nodes), target, backend)


class _Rounded:
    """What a unit suffers is found by rounding what it sees and computing in float32, whatever the engine."""

    def __init__(self, graph: Graph, target: Target, backend: Backend) -> None:
        self._graph, self._target, self._backend = graph, target, backend
        self._model = load(graph.path)
        self._units = find_units(self._model)
        self.layers = tuple(self._units)
        self.kinds: dict[str, str] = {}  # no layer is slower in half of the bits

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        nodes = tuple(node for name in kept for node in self._units[name])
        graph = self._graph
        if self._target.precision in self._backend.INFO.lowered:
            graph = self._lowered(nodes, f"kept-{len(kept)}")
            return self._backend.convert(finish(graph), self._target, directory)
        kept = nodes + values_of(self._model, nodes)
        return self._backend.convert(dataclasses.replace(finish(graph), kept=kept), self._target, directory)

    def rank(self, inputs: Sequence[NDArray[np.float32]], progress: Callable[[int, int], None]) -> Ranked:
        def alone(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
            return functools.partial(self._run, rounded(self._model, self._units[name], self._target.precision))

        original = functools.partial(self._run, self._model)
        return rank_layers(self.layers, inputs, original, alone, progress)

    def _lowered(self, nodes: tuple[str, ...], folder: str) -> Graph:
        from segship.onnxgraph.passes.float16 import float16

        path = self._graph.path.parent / folder / self._graph.path.name
        path.parent.mkdir(exist_ok=True)
        model = load(self._graph.path)
        float16(model, nodes)
        save(model, path)
        return dataclasses.replace(self._graph, path=path)

    def _run(self, model: onnx.ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
        from onnxruntime import GraphOptimizationLevel

        with engine_errors("the rounded graph does not run"):
            # A session for two runs: optimising it would take longer, and take the rounding away.
            session = open_model(model, graph_optimization_level=GraphOptimizationLevel.ORT_DISABLE_ALL)
            outputs = session.run([self._graph.outputs[0].name], {self._graph.inputs[0].name: image})
        return np.asarray(outputs[0], np.float32)
