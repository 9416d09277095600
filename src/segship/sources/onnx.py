"""ONNX files of any origin whose output is scores (N, K, h, w) or labels (N, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.errors import InputError, UnsupportedError, one_line
from segship.core.files import digest
from segship.networks.onnx import OnnxNetwork
from segship.onnxgraph.bounds import require_bounded, require_onnx, require_text
from segship.onnxgraph.file import load as load_model
from segship.onnxgraph.first_operators import range_of_pixels
from segship.onnxgraph.metadata import metadata_of
from segship.onnxgraph.operators import foreign_operators
from segship.onnxgraph.passes.channels_first import channels_first
from segship.onnxgraph.passes.inline_functions import inline_functions
from segship.onnxgraph.ports import inputs_of, outputs_of, select_output
from segship.reading.graph_description import LocatedDescription, describe_graph, find_description
from segship.reading.ultralytics import read_ultralytics
from segship.sources import Framework, Loaded

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from segship.sources import LoadRequest

__all__ = ["FRAMEWORK", "load", "recognises"]


def recognises(path: Path) -> bool:
    """Return whether ``path`` is a file called ``.onnx``."""
    return path.suffix == ".onnx" and path.is_file()


def load(request: LoadRequest) -> Loaded:
    """Read the graph of a file, and what its description says of it.

    The description is the one named (``--spec``), else ``NAME.yaml`` beside the file, else its metadata. Options are
    laid over it; ``output_name=NAME`` chooses among several outputs.
    """
    path, model = request.path, _read(request.path)
    metadata = metadata_of(model)
    found = find_description(request.description, path, metadata) or LocatedDescription(
        read_ultralytics(metadata, path), place=f"{path.name}: metadata"
    )
    ports = inputs_of(model), outputs_of(model)
    graph = describe_graph(
        path, ports, found, request.options, request.normalize, lambda image: range_of_pixels(model, image)
    )
    select_output(model, graph.output.name)
    if graph.last:
        channels_first(model, graph.image.name)
    network = OnnxNetwork(model, inputs_of(model)[0].name, sizes=graph.sizes)
    spec, notes, provenance = graph.settle(network, "onnx", model.graph.name or path.stem)
    origin = {file.name: digest(file) for file in (path, *found.files)}
    return Loaded(spec, network, notes, origin, provenance=provenance)


def _read(path: Path) -> onnx.ModelProto:
    """The checked model, its local functions inlined.

    Raises:
        InputError: It is no ONNX file.
        UnsupportedError: It needs operators that are not part of the standard, or computes without bound.
    """
    require_onnx(path)
    try:
        model = load_model(path)
        require_text(model)
        require_bounded(model)
        inline_functions(model)
    except UnsupportedError as error:
        raise UnsupportedError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path} is no ONNX file: {one_line(error, joined=True)}") from error
    foreign = foreign_operators(model)
    if foreign:
        raise UnsupportedError(
            f"{path} needs custom operators, which most engines do not have: {', '.join(foreign)}. Export it again "
            "with standard operators"
        )
    return model


FRAMEWORK = Framework(
    "ONNX",
    "an .onnx file with one image as input and scores (N, classes, h, w) or labels (N, H, W) as output",
    recognises,
    load,
    asks=True,
)
