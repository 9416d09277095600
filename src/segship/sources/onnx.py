"""ONNX files of any origin whose output is scores (N, K, h, w) or labels (N, H, W)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, InputError, UnsupportedError
from segship.core.files import digest
from segship.core.manifest import METADATA
from segship.networks.onnx import OnnxNetwork
from segship.onnxgraph.file import load as load_model
from segship.onnxgraph.metadata import metadata_of
from segship.onnxgraph.operators import foreign_operators
from segship.onnxgraph.passes.inline_functions import inline_functions
from segship.onnxgraph.passes.one_hot_labels import one_hot_labels
from segship.onnxgraph.ports import inputs_of, outputs_of, select_output
from segship.reading.description import read_description, read_noted
from segship.reading.options import merge_options
from segship.reading.ports import fixed, is_labels, only_image, scores_or_labels, sizes_of
from segship.reading.ultralytics import read_ultralytics
from segship.sources import Loaded

if TYPE_CHECKING:
    import onnx

    from segship.sources import Request

__all__ = ["LOOKS_FOR", "TITLE", "load", "recognises"]

TITLE = "ONNX"
LOOKS_FOR = "an .onnx file with one image as input and scores (N, classes, h, w) or labels (N, H, W) as output"

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
    image = only_image(inputs_of(model), request.path)
    output = scores_or_labels(outputs_of(model), output_name, request.path)
    if not is_labels(output):
        select_output(model, output.name)
    elif said.count is not None:
        one_hot_labels(model, output, said.count)
    else:
        raise ConfigError(_CLASSES_MISSING)
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
        model = load_model(path)
        inline_functions(model)
    except Exception as error:
        raise InputError(f"{path} is no ONNX file: {' '.join(str(error).split())[:200]}") from error
    foreign = foreign_operators(model)
    if foreign:
        raise UnsupportedError(
            f"{path} needs custom operators, which most engines do not have: {', '.join(foreign)}. Export it again "
            "with standard operators"
        )
    return model


def _description(request: Request, model: onnx.ModelProto) -> tuple[Any, list[Path]]:
    """The description, and the file it comes from."""
    if request.description is not None:
        return request.description, [request.description] if isinstance(request.description, Path) else []
    for suffix in (".yaml", ".yml"):
        file = request.path.with_suffix(suffix)
        if file.is_file():
            return file, [file]
    metadata = metadata_of(model)
    if METADATA in metadata:
        return read_noted(metadata[METADATA], request.path), []
    return read_ultralytics(metadata, request.path), []
