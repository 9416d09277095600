"""ONNX files of any origin whose output is scores (N, K, h, w) or labels (N, H, W)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper

from segship.core.artifacts import TensorInfo
from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.files import digest
from segship.core.manifest import METADATA
from segship.networks.onnx import OnnxNetwork
from segship.reading.description import Description, read_description, read_noted
from segship.reading.options import merge_options
from segship.reading.ports import fixed, is_labels, only_image, scores_or_labels, sizes_of
from segship.reading.ultralytics import read_ultralytics
from segship.sources import Loaded

if TYPE_CHECKING:
    from segship.sources import Request

__all__ = ["LOOKS_FOR", "TITLE", "load", "recognises"]

TITLE = "ONNX"
LOOKS_FOR = "an .onnx file with one image as input and scores (N, classes, h, w) or labels (N, H, W) as output"

_IMAGE = 4  # dimensions of (N, C, H, W)
_STANDARD = frozenset({"", "ai.onnx"})
_CLASSES_MISSING = (
    "the file returns labels, so the number of classes must be told: classes: [road, …], or a number, in a YAML file "
    "beside it, or --cfg-options classes=[road,…]"
)


def recognises(path: Path) -> bool:
    """Whether ``path`` is a file called ``.onnx``."""
    return path.suffix == ".onnx" and path.is_file()


def load(request: Request) -> Loaded:
    """The graph of a file, and what its description says of it.

    The description is the one named (``--spec``), else ``NAME.yaml`` beside the file, else its metadata. Options are
    laid over it; ``output_name=NAME`` chooses among several outputs.
    """
    model = _read(request.path)
    options = merge_options({}, request.options or {})
    output_name = options.pop("output_name", None)
    given, beside = _description(request, model)
    said = read_description(given, options)
    weights = {value.name for value in model.graph.initializer}
    image = only_image([_port(value) for value in model.graph.input if value.name not in weights], request.path)
    output = scores_or_labels([_port(value) for value in model.graph.output], output_name, request.path)
    if is_labels(output):
        _one_hot(model, output, said)
    else:
        kept = next(value for value in model.graph.output if value.name == output.name)
        del model.graph.output[:]
        model.graph.output.append(kept)
    sizes, channels = sizes_of(image, said.sizes), fixed(image, 1) or len(said.normalization.mean or (0, 0, 0))
    network = OnnxNetwork(model, image.name, sizes=sizes)
    outputs = network.probe(channels)
    spec, notes = said.spec(
        source="onnx", architecture=model.graph.name or request.path.stem, outputs=outputs, channels=channels
    )
    network.describe(len(spec.classes), outputs, align_corners=spec.align_corners)
    origin = {request.path.name: digest(request.path)} | {file.name: digest(file) for file in beside}
    return Loaded(spec, network, notes, origin)


def _read(path: Path) -> onnx.ModelProto:
    """The checked model, its local functions inlined.

    Raises:
        InputError: It is no ONNX file.
        UnsupportedError: It needs operators that are not part of the standard.
    """
    try:
        model = onnx.load(path)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except Exception as error:
        raise InputError(f"{path} is no ONNX file: {' '.join(str(error).split())[:200]}") from error
    foreign = sorted({f"{node.domain}::{node.op_type}" for node in _nodes(model.graph) if node.domain not in _STANDARD})
    if foreign:
        raise UnsupportedError(
            f"{path} needs custom operators, which most engines do not have: {', '.join(foreign)}. Export it again "
            "with standard operators"
        )
    return model


def _nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """All nodes, those of branches and loops included."""
    found: list[onnx.NodeProto] = []
    graphs = [graph]
    while graphs:
        for node in graphs.pop().node:
            found.append(node)
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
    return found


def _description(request: Request, model: onnx.ModelProto) -> tuple[Any, list[Path]]:
    """The description, and the file it comes from."""
    if request.description is not None:
        return request.description, [request.description] if isinstance(request.description, Path) else []
    for suffix in (".yaml", ".yml"):
        file = request.path.with_suffix(suffix)
        if file.is_file():
            return file, [file]
    metadata = {item.key: item.value for item in model.metadata_props}
    if METADATA in metadata:
        return read_noted(metadata[METADATA], request.path), []
    return read_ultralytics(metadata, request.path), []


def _one_hot(model: onnx.ModelProto, labels: TensorInfo, said: Description) -> None:
    """Let the graph return 1 for the label's class and 0 for all others, (N, K, H, W), in place of labels."""
    count = said.count
    if count is None:
        raise ConfigError(_CLASSES_MISSING)
    graph, rank = model.graph, len(labels.shape)
    constants = (
        ("segship_depth", np.array(count, np.int64)),
        ("segship_off_on", np.array([0, 1], np.float32)),
        ("segship_axis", np.array([1], np.int64)),
    )
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    source = labels.name
    if rank == _IMAGE:
        graph.node.append(helper.make_node("Squeeze", [source, "segship_axis"], ["segship_labels"]))
        source = "segship_labels"
    graph.node.append(helper.make_node("Cast", [source], ["segship_whole"], to=TensorProto.INT64))
    inputs = ["segship_whole", "segship_depth", "segship_off_on"]
    graph.node.append(helper.make_node("OneHot", inputs, ["segship_scores"], axis=1))
    del graph.output[:]
    dims = [None, count, None, None]
    graph.output.append(helper.make_tensor_value_info("segship_scores", TensorProto.FLOAT, dims))


def _port(value: onnx.ValueInfoProto) -> TensorInfo:
    """Name, type and shape of an input or output."""
    tensor = value.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = TensorProto.DataType.Name(tensor.elem_type).lower()
    return TensorInfo(
        name=value.name, dtype=dtype, shape=tuple(dim.dim_value or dim.dim_param for dim in tensor.shape.dim)
    )
