"""int8 of engines that read ONNX: NNCF calibrates the graph, layers get their floats back inside it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import onnx

from segship.core.errors import BackendError
from segship.quantize.fold import fold_weights
from segship.quantize.integer import to_int8
from segship.quantize.layers import quantized_layers, restore
from segship.quantize.sensitivity import rank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize.quantized import Quantized

__all__ = ["quantize"]


def quantize(
    graph: Graph, target: Target, backend: Backend, samples: Sequence[Any], feed: Callable[[Any], NDArray[Any]]
) -> Quantized:
    """As `segship.quantize.quantized.quantize`, of an ONNX graph."""
    path = _beside(graph, "int8")
    quantized = to_int8(graph, path, samples, feed, symmetric=backend.INFO.symmetric)
    return _Quantized(graph, quantized, target, backend)


class _Quantized:
    def __init__(self, original: Graph, quantized: Graph, target: Target, backend: Backend) -> None:
        self._graph, self._target, self._backend = quantized, target, backend
        self._original, self._model = fold_weights(onnx.load(original.path)), onnx.load(quantized.path)
        self.layers = quantized_layers(self._model)

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        return self._backend.convert(finish(self._with(kept)), self._target, directory)

    def rank(self, inputs: Sequence[NDArray[np.float32]], progress: Callable[[int, int], None]) -> list[str]:
        return [name for name, _ in rank(self._model, self._original, inputs, self._run, progress)]

    def _with(self, kept: tuple[str, ...]) -> Graph:
        if not kept:
            return self._graph
        path = self._graph.path.parent / f"kept-{len(kept)}" / self._graph.path.name
        path.parent.mkdir(exist_ok=True)
        onnx.save_model(restore(self._model, self._original, kept), path)
        return dataclasses.replace(self._graph, path=path)

    def _run(self, model: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # A session for one run: optimising it would take longer than running it.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        names = [self._graph.outputs[0].name]
        try:
            session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            logits: NDArray[np.float32] = session.run(names, {self._graph.inputs[0].name: image})[0]
        except Exception as error:
            raise BackendError(f"the quantised graph does not run: {str(error).strip()[:300]}") from error
        return logits


def _beside(graph: Graph, folder: str) -> Path:
    """A path for a version of ``graph`` with the same file name, which the engine's files will have."""
    path = graph.path.parent / folder / graph.path.name
    path.parent.mkdir()
    return path
