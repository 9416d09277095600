"""ONNX files of any origin whose output is scores (N, K, h, w) or labels (N, H, W)."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper

from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.files import digest
from segship.core.manifest import METADATA
from segship.core.spec import SizeRule
from segship.models.onnx_network import OnnxNetwork
from segship.reading.description import Description, read_description, read_noted
from segship.reading.options import merge_options
from segship.sources import Loaded

if TYPE_CHECKING:
    from segship.sources import Request

__all__ = ["LOOKS_FOR", "TITLE", "load", "recognises"]

TITLE = "ONNX"
LOOKS_FOR = "an .onnx file with one image as input and scores (N, classes, h, w) or labels (N, H, W) as output"

_IMAGE = 4  # dimensions of (N, C, H, W)
_LABELS = 3
_MAXIMUM_NAMES = 2**20
_INTEGERS = {TensorProto.INT64, TensorProto.INT32, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16}
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
    image = _only_image(model, request.path)
    output = _output(model, output_name, request.path)
    labels = _labels(output)
    if labels:
        _one_hot(model, output, said)
    else:
        del model.graph.output[:]
        model.graph.output.append(output)
    sizes, channels = _sizes(image, said), _fixed(image, 1) or len(said.normalization.mean or (0, 0, 0))
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
    return _ultralytics(metadata, request.path), []


def _ultralytics(metadata: dict[str, str], path: Path) -> dict[str, Any] | None:
    """What Ultralytics notes in its exports; None for files of others."""
    if metadata.get("author") != "Ultralytics":
        return None
    task = metadata.get("task")
    if task not in {"semantic", "sem"}:
        raise UnsupportedError(f"{path} is a network for the task {task!r} of Ultralytics; semantic ones are provided")
    names, size = _literal(metadata.get("names", "{}"), dict), _literal(metadata.get("imgsz", "[]"), list)
    said: dict[str, Any] = {"normalization": {"channel_order": "rgb", "max_pixel_value": 255}}
    said["architecture"] = metadata.get("description", path.stem)
    if names:
        said["classes"] = [str(names[key]) for key in sorted(names)]
    if len(size) == 2:  # noqa: PLR2004
        said["geometry"] = [{"kind": "resize", "height": size[0], "width": size[1]}]
    return said


def _literal(text: str, kind: type[Any]) -> Any:
    """A Python literal of that kind, or an empty one."""
    if len(text) > _MAXIMUM_NAMES:
        return kind()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()


def _only_image(model: onnx.ModelProto, path: Path) -> onnx.ValueInfoProto:
    """The input.

    Raises:
        UnsupportedError: It is not one float32 image (N, C, H, W).
    """
    weights = {value.name for value in model.graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or not _is_image(inputs[0]):
        found = "; ".join(map(_shown, inputs)) or "nothing"
        raise UnsupportedError(f"{path} takes {found}; expected one float32 image (N, channels, H, W)")
    return inputs[0]


def _is_image(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or len(tensor.shape.dim) != _IMAGE:
        return False
    return not (_fixed(value, 3) in {1, 3, 4} and _fixed(value, 1) not in {1, 3, 4})  # channels last


def _output(model: onnx.ModelProto, name: Any, path: Path) -> onnx.ValueInfoProto:
    """The output that holds scores or labels.

    Raises:
        UnsupportedError: None does, or several might.
    """
    every: list[onnx.ValueInfoProto] = list(model.graph.output)
    chosen = [value for value in every if value.name == name] if name is not None else every
    fitting = [value for value in chosen if _labels(value) or _scores(value)]
    if len(fitting) == 1:
        return fitting[0]
    found = "; ".join(map(_shown, every))
    how = (
        "choose one with --cfg-options output_name=NAME" if len(fitting) > 1 else "export it again without what follows"
    )
    raise UnsupportedError(
        f"{path} returns {found}; expected one output of float32 scores (N, classes, h, w) or whole-numbered labels "
        f"(N, H, W): {how}"
    )


def _scores(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.elem_type == TensorProto.FLOAT and len(tensor.shape.dim) == _IMAGE


def _labels(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    rank = len(tensor.shape.dim)
    return tensor.elem_type in _INTEGERS and (rank == _LABELS or (rank == _IMAGE and _fixed(value, 1) == 1))


def _one_hot(model: onnx.ModelProto, labels: onnx.ValueInfoProto, said: Description) -> None:
    """Let the graph return 1 for the label's class and 0 for all others, (N, K, H, W), in place of labels."""
    count = said.count
    if count is None:
        raise ConfigError(_CLASSES_MISSING)
    graph, rank = model.graph, len(labels.type.tensor_type.shape.dim)
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


def _sizes(image: onnx.ValueInfoProto, said: Description) -> SizeRule:
    """What the file's input allows; where it leaves height and width free, what the description says."""
    height, width = _fixed(image, 2), _fixed(image, 3)
    batch = _fixed(image, 0)
    if height and width:
        return SizeRule(fixed=(height, width), batch=batch)
    if height or width:
        raise UnsupportedError(
            f"the input is {_shown(image)}: only one of height and width is free, expected both or none"
        )
    return said.sizes.model_copy(update={"batch": batch})


def _fixed(value: onnx.ValueInfoProto, axis: int) -> int | None:
    """The length of an axis, or None where it is free."""
    dims = value.type.tensor_type.shape.dim
    return (dims[axis].dim_value or None) if axis < len(dims) else None


def _shown(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type).lower()
    shape = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in tensor.shape.dim)
    return f"{value.name}: {kind} ({shape})"
