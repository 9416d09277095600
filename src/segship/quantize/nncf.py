"""int8 of engines that read ONNX, by NNCF.

The result is an ordinary ONNX file in which quantised tensors pass through QuantizeLinear and DequantizeLinear (QDQ):
every engine that reads ONNX understands it and fuses the pairs into integer kernels. Layers get their floats back by
reading what lies before the pairs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import MissingExtraError, engine_errors
from segship.onnxgraph.file import is_large, load, save
from segship.onnxgraph.kinds import kinds_of
from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.operators import operators_of, products_of_constants
from segship.onnxgraph.passes.fold_weights import fold_weights
from segship.onnxgraph.passes.name_nodes import name_nodes
from segship.onnxgraph.passes.restore_layers import restore_layers
from segship.onnxgraph.passes.signed_activations import signed_activations
from segship.onnxgraph.passes.sums_to_differences import sums_to_differences
from segship.onnxgraph.session import open_model
from segship.quantize.search import rank_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx
    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Inputs, Ranked, Reduced

__all__ = ["quantize_onnx", "to_int8"]

_ATTENTION = {"Attention", "Softmax"}
# OpenVINO 2026 gets a padded pooling wrong whose input has a zero point: DDRNet's logits moved by 4 % of the greatest,
# and by 0.8 % with its poolings in floating point. Engines compute attention as one operator in floating point only;
# with integers before it they take it apart, and SegFormer's int8 was slower than its float32.
_NEVER = ["AveragePool", "Attention"]


def quantize_onnx(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate an ONNX graph; as `segship.quantize.quantize`."""
    path = graph.path.parent / "int8" / graph.path.name  # the engine's files will have the same name
    path.parent.mkdir()
    quantized = to_int8(graph, path, inputs, symmetric=backend.INFO.symmetric)
    return _Quantized(graph, quantized, target, backend)


def to_int8(graph: Graph, path: Path, inputs: Inputs, *, symmetric: bool = False) -> Graph:
    """Write an int8 version of ``graph``.

    Activations per tensor, weights per channel in seven of the eight bits: processors without integer dot products
    (VNNI) add pairs of products in 16 bits, which eight-bit weights overflow. Softmax, attention as one operator,
    average pooling and products of constants that are no layer's weights stay in floating point; for the scales that
    NNCF gives the last, ONNX Runtime has no kernel.

    Args:
        graph: float32, ONNX.
        path: The file to write.
        inputs: The images to calibrate on.
        symmetric: Signed activations without zero points and weights in all eight bits, as GPUs want them.

    Returns:
        The graph at ``path``.

    Raises:
        MissingExtraError: NNCF is not installed.
        BackendError: NNCF refuses the graph.
    """
    nncf = _load()
    model = _original(graph)
    metadata = metadata_of(model)
    name = graph.inputs[0].name
    with (
        _within_a_message(model, path.parent) as (small, folder),
        contextlib.redirect_stdout(sys.stderr),  # its progress bars go to standard output, which is the caller's
        engine_errors("NNCF cannot quantise this network"),
    ):
        quantized = nncf.quantize(
            small,
            nncf.Dataset(inputs, lambda tensor: {name: tensor}),
            preset=nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if _ATTENTION & operators_of(model) else None,
            subset_size=len(inputs),
            ignored_scope=nncf.IgnoredScope(types=_NEVER, names=products_of_constants(model), validate=False),
            advanced_parameters=_parameters(nncf, symmetric, folder),
        )
    if symmetric:
        signed_activations(quantized)
    set_metadata(quantized, metadata)
    save(quantized, path)
    return dataclasses.replace(graph, path=path)


class _Quantized:
    def __init__(self, original: Graph, quantized: Graph, target: Target, backend: Backend) -> None:
        self._graph, self._target, self._backend = quantized, target, backend
        self._original, self._model = _original(original), load(quantized.path)
        self.kinds = kinds_of(self._model)
        self.layers = tuple(self.kinds)

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        return self._backend.convert(finish(self.graph(kept)), self._target, directory)

    def rank(self, inputs: Sequence[NDArray[np.float32]], progress: Callable[[int, int], None]) -> Ranked:
        def alone(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
            others = set(self.layers) - {name}
            return functools.partial(self._run, restore_layers(self._model, self._original, others))

        original = functools.partial(self._run, self._original)
        return rank_layers(self.layers, inputs, original, alone, progress)

    def graph(self, kept: tuple[str, ...]) -> Graph:
        if not kept:
            return self._graph
        path = self._graph.path.parent / f"kept-{len(kept)}" / self._graph.path.name
        path.parent.mkdir(exist_ok=True)
        save(restore_layers(self._model, self._original, kept), path)
        return dataclasses.replace(self._graph, path=path)

    def _run(self, model: onnx.ModelProto, image: NDArray[np.float32]) -> NDArray[np.float32]:
        from onnxruntime import GraphOptimizationLevel

        with engine_errors("the quantised graph does not run"):
            # A session for one run: optimising it would take longer than running it.
            session = open_model(model, graph_optimization_level=GraphOptimizationLevel.ORT_DISABLE_ALL)
            outputs = session.run([self._graph.outputs[0].name], {self._graph.inputs[0].name: image})
        return np.asarray(outputs[0], np.float32)


def _load() -> Any:
    # NNCF would otherwise report its use to a server of its makers.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("int8", "int8", "nncf") from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _original(graph: Graph) -> onnx.ModelProto:
    """The float32 model as NNCF is given it, each layer with a name by which it is found in what NNCF makes."""
    model = load(graph.path)
    fold_weights(model)
    sums_to_differences(model)
    name_nodes(model)
    return model


@contextlib.contextmanager
def _within_a_message(model: onnx.ModelProto, beside: Path) -> Iterator[tuple[onnx.ModelProto, str | None]]:
    """The model as NNCF takes it, and the folder of the weights that lie beside it, if any, which is in ``beside``.

    NNCF serialises the model at every step, so that weights of 2 GiB and more must lie in a file of their own.
    """
    if not is_large(model):
        yield model, None
        return
    with tempfile.TemporaryDirectory(dir=beside, prefix="segship-int8-") as folder:
        path = Path(folder) / "model.onnx"
        save(model, path)
        yield load(path, weights=False), str(Path(folder).absolute())


def _parameters(nncf: Any, symmetric: bool, folder: str | None) -> Any:
    known = nncf.quantization.advanced_parameters
    return nncf.AdvancedQuantizationParameters(
        overflow_fix=known.OverflowFix.DISABLE if symmetric else known.OverflowFix.ENABLE,
        # Left to itself, NNCF gives depthwise convolutions a scale for each channel of their input, which ONNX Runtime
        # fuses and then refuses to run.
        activations_quantization_params=known.QuantizationParameters(per_channel=False),
        backend_params={} if folder is None else {"external_data_dir": folder},
    )
