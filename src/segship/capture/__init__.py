"""From a network to a graph: one function for every format.

ONNX is written by a tracer of our own (`segship.capture.trace`); what the tracer refuses, torch's own exporter takes
(`segship.capture.torch_onnx`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.capture.options import CaptureOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from segship.core.artifacts import Graph, GraphFormat
    from segship.networks.network import Network

__all__ = ["CaptureOptions", "capture"]


def capture(network: Network, path: Path, options: CaptureOptions, *, format: GraphFormat = "onnx") -> Graph:
    """Write ``network`` as a graph that returns low-resolution logits.

    Args:
        network: In eval mode, on the CPU.
        path: The file to write. An ONNX file of 2 GiB and more keeps its weights in ``<name>.data`` beside it.
        options: The size of the example, what stays free, and what is written into the file.
        format: ``"onnx"``, ``"pt2"`` (torch.export), ``"torchscript"``, or ``"openvino_ir"`` for a network that is a
            model of OpenVINO's.

    Returns:
        The graph: input ``image`` float32 (batch, channels, height, width), output ``logits`` float32
        (batch, classes, h, w).

    Raises:
        UnsupportedError: The network uses an operator that standard ONNX has not.
        BackendError: OpenVINO cannot write its model, or cannot fix its size.
    """
    return _writer(format)(network, path, options)


def _writer(format: GraphFormat) -> Callable[[Network, Path, CaptureOptions], Graph]:
    """The function that writes a format; it is loaded when it is asked for, as torch.export takes seconds."""
    if format == "onnx":
        from segship.capture.onnx import write_onnx

        return write_onnx
    if format == "openvino_ir":
        from segship.capture.openvino_ir import write_openvino

        return write_openvino
    from segship.capture.torch_program import write_pt2, write_torchscript

    return write_pt2 if format == "pt2" else write_torchscript
