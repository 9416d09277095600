"""From a network that is a model of OpenVINO to a file of the same kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.artifacts import Graph, TensorInfo
from segship.core.errors import engine_errors
from segship.onnxgraph.conventions import INPUT, OUTPUT

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from segship.capture.options import CaptureOptions
    from segship.networks.network import Network

__all__ = ["write_openvino"]

_FREE = {INPUT: ("batch", "channels", "height", "width"), OUTPUT: ("batch", "classes", "logits_height", "logits_width")}


def write_openvino(network: Network, path: Path, options: CaptureOptions) -> Graph:
    """Write ``network``, which holds a model of OpenVINO, as ``.xml`` and ``.bin``; see `segship.capture.capture`.

    Args:
        network: One whose ``graph_format`` is ``"openvino"``.
        path: The ``.xml`` to write.
        options: Size and channels of a graph that is not dynamic. A backend writes the metadata into its engine.

    Raises:
        BackendError: The model cannot be written, or cannot take that size alone.
    """
    import openvino

    shape = None if options.dynamic else (1, options.channels, *options.size)
    model: Any = network.openvino_model(shape)  # type: ignore[operator]
    with engine_errors("OpenVINO cannot write the model", last=True):
        openvino.save_model(model, str(path), compress_to_fp16=False)
    ends = ((INPUT, model.inputs[0]), (OUTPUT, model.outputs[0]))
    image, logits = (_tensor(name, port) for name, port in ends)
    return Graph(path, "openvino_ir", (image,), (logits,), options.metadata)


def _tensor(name: str, port: Any) -> TensorInfo:
    sides = zip(_FREE[name], port.partial_shape, strict=True)
    shape = tuple(free if side.is_dynamic else side.get_length() for free, side in sides)
    return TensorInfo(name=name, dtype="float32", shape=shape)
