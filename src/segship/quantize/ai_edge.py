"""int8 of LiteRT: AI Edge Quantizer on the float32 ``.tflite`` file.

The file is translated once. Quantising it, all of it or all but some layers, takes less than a second, because the
tool only rewrites the file: so the search for sensitive layers is quick here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import MissingExtraError, engine_errors
from segship.quantize.search import rank_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Inputs, Ranked, Reduced

__all__ = ["quantize_tflite"]

_BITS = 8
# What LiteRT computes in integers. Softmax, the products of attention and the steps of a normalisation over the
# features (differences, roots, quotients) stay in floating point; so does PReLU, which is a difference of ReLUs here:
# XNNPACK has no ReLU of its own for integers. Concatenations would have to share one scale; in CGNet that alone cost
# 60 points of mIoU.
_INTEGER = (
    "ADD",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "CONV_2D_TRANSPOSE",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "HARD_SWISH",
    "LOGISTIC",
    "MAX_POOL_2D",
    "MEAN",
    "MUL",
    "PACK",
    "PAD",
    "PADV2",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "SPLIT",
    "STRIDED_SLICE",
    "TRANSPOSE",
    "UNPACK",
)
_NORMALISING = {"RSQRT", "SQRT"}  # where these are, the following are steps of a normalisation, too
_STEPS = {"MEAN", "MUL"}
# With a constant for each channel they are what is left of a batch normalisation, whose factors would share one scale.
_AFFINE = {"ADD", "MUL"}
_KIND = re.compile(r"(?:^| )([a-z0-9_]+)(?: \d+)?$")  # at the end of a layer's name
_CLASS = re.compile(r"_*[A-Za-z0-9]+_(?P<attribute>.+)")


def quantize_tflite(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate a network for LiteRT; as `segship.quantize.quantize`."""
    return _Quantized(graph, target, backend, inputs)


class _Quantized:
    """Weights in eight bits for each channel, activations in eight bits with a zero point; floats in and out."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        backend: Backend,
        inputs: Inputs,
    ) -> None:
        self._tool = _load()
        folder = graph.path.parent / "float32"
        folder.mkdir()
        self._engine = backend.convert(graph, target, folder)
        self._path = folder / self._engine.files[0]
        with _quiet("AI Edge Quantizer cannot read the network"):
            self._scopes, self._floats, self._kinds = _operations(self._tool, self._path)
        self.layers = tuple(self._scopes)
        self.kinds = {name: _KIND.search(name)[1] for name in self.layers}  # type: ignore[index]
        with _quiet("AI Edge Quantizer cannot calibrate the network"):
            self._ranges = _mean(self._watch(image) for image in inputs)
        for made, source in _margins(self._tool, self._path):
            if not np.isfinite(self._ranges[made]["min"]).all():
                self._ranges[made] = self._ranges[source]

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        del finish  # the file is not made of a quantised graph
        (directory / self._path.name).write_bytes(self._content(kept))
        return dataclasses.replace(self._engine, directory=directory)

    def rank(self, inputs: Sequence[NDArray[np.float32]], progress: Callable[[int, int], None]) -> Ranked:
        def alone(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
            return self._runner(self._content(set(self.layers) - {name}))

        original = self._runner(self._path.read_bytes())
        return rank_layers(self.layers, inputs, original, alone, progress)

    def _watch(self, image: NDArray[Any]) -> dict[str, Any]:
        """The least and the greatest value of each activation for one image."""
        mode = self._tool.CalibrationMode.CALIBRATION_PROFILER_BASED
        ((signature, names),) = _interpreter(self._path.read_bytes()).get_signature_list().items()
        feeds = {signature: [{names["inputs"][0]: np.ascontiguousarray(image, np.float32)}]}
        found: dict[str, Any] = self._quantizer(()).calibrate(feeds, num_threads=os.cpu_count() or 1, mode=mode)
        return found

    def _content(self, kept: Collection[str]) -> bytes:
        with _quiet("AI Edge Quantizer cannot quantise the network"):
            return bytes(self._quantizer(kept).quantize(self._ranges).quantized_model)

    def _quantizer(self, kept: Collection[str]) -> Any:
        tool = self._tool.Quantizer(str(self._path))
        for kind in self._kinds:
            tool.add_static_config(".*", kind, _BITS, _BITS)
        floats = [*self._floats, *(self._scopes[name] for name in kept)]
        if floats:
            exactly = f"^(?:{'|'.join(map(re.escape, floats))})$"
            tool.update_quantization_recipe(exactly, self._tool.Kind.ALL_SUPPORTED, algorithm_key="no_quantize")
        return tool

    def _runner(self, content: bytes) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        with engine_errors("LiteRT cannot open the quantised network"):
            model = _interpreter(content)
            model.allocate_tensors()
        source, found = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]

        def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
            with engine_errors("LiteRT cannot run the quantised network"):
                model.set_tensor(source, np.ascontiguousarray(image, np.float32))
                model.invoke()
            return np.asarray(model.get_tensor(found), np.float32)

        return run


@dataclasses.dataclass(frozen=True)
class _Tool:
    """What is used of AI Edge Quantizer."""

    Quantizer: Any
    CalibrationMode: Any
    Kind: Any
    utilities: Any


def _load() -> _Tool:
    try:
        from ai_edge_quantizer import qtyping, quantizer
        from ai_edge_quantizer.calibrator import CalibrationMode
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils
    except ImportError as error:
        raise MissingExtraError("int8 for LiteRT", "litert", "ai_edge_quantizer") from error
    return _Tool(quantizer.Quantizer, CalibrationMode, qtyping.TFLOperationName, tfl_flatbuffer_utils)


def _interpreter(content: bytes) -> Any:
    from ai_edge_litert import interpreter

    return interpreter.Interpreter(model_content=content, num_threads=os.cpu_count())


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    """The tool reports its progress on the standard streams."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), engine_errors(what):
        yield


def _operations(tool: _Tool, path: Path) -> tuple[dict[str, str], list[str], list[Any]]:
    """The layers that are quantised, by name, with what the tool calls them; those that never are; and their kinds."""
    model = tool.utilities.read_model(str(path))
    names = tool.utilities.TFL_OP_CODE_TO_NAME
    kinds = [names.get(code.builtinCode) for code in model.operatorCodes]
    chosen = _chosen([kind for kind in kinds if kind is not None])
    tensors = model.subgraphs[0].tensors
    constant = {index for index, tensor in enumerate(tensors) if model.buffers[tensor.buffer].data is not None}
    scopes: dict[str, str] = {}
    floats: list[str] = []
    seen: Counter[str] = Counter()
    for operation in model.subgraphs[0].operators:
        kind = kinds[operation.opcodeIndex]
        if kind not in chosen:
            continue
        scope = tool.utilities.get_op_scope(operation, tensors)
        if kind.value in _AFFINE and constant.intersection(operation.inputs):
            floats.append(scope)
            continue
        name = f"{_module(scope)} {kind.value.lower()}".strip()
        seen[name] += 1
        scopes[name if seen[name] == 1 else f"{name} {seen[name]}"] = scope
    for inner in model.subgraphs[1:]:  # what an operation does with numbers one by one, which no calibration sees
        floats.extend(tool.utilities.get_op_scope(operation, inner.tensors) for operation in inner.operators)
    return scopes, floats, list(dict.fromkeys(chosen))


def _margins(tool: _Tool, path: Path) -> Iterator[tuple[str, str]]:
    """Names of the tensors that a margin has made, each with that of the tensor inside it.

    Max pooling pads with minus infinity, of which a range has an infinite scale. The least number of the range of what
    is inside is never greater than a maximum, and so stands for it.
    """
    model = tool.utilities.read_model(str(path))
    names, tensors = tool.utilities.TFL_OP_CODE_TO_NAME, model.subgraphs[0].tensors
    for operation in model.subgraphs[0].operators:
        if getattr(names.get(model.operatorCodes[operation.opcodeIndex].builtinCode), "value", "") == "PADV2":
            source, made = (tensors[index].name.decode() for index in (operation.inputs[0], operation.outputs[0]))
            yield made, source


def _chosen(kinds: list[Any]) -> list[Any]:
    """The kinds of operations that are quantised; the steps of a normalisation, where there is one, are not."""
    steps = _STEPS if any(kind.value in _NORMALISING for kind in kinds) else set()
    return [kind for kind in kinds if kind.value in _INTEGER and kind.value not in steps]


def _module(scope: str) -> str:
    """The module of the network that an operation comes from: ``decode_head.convs.0.bn``.

    The tool's name for it joins, for each module on the way, the class and the attribute, separated by slashes; of
    operations that became one there are several, separated by semicolons.
    """
    parts = (part.rsplit(".", 1)[-1] for part in scope.split(";", maxsplit=1)[0].split("/"))
    found = (_CLASS.fullmatch(part) for part in parts)
    return ".".join(match["attribute"] for match in found if match)


def _mean(found: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Ranges whose ends are the means of those of all images: one odd image does not widen them."""
    every = list(found)
    return {
        name: {end: np.mean([one[name][end] for one in every], axis=0) for end in ("min", "max")} if value else value
        for name, value in every[0].items()
    }
