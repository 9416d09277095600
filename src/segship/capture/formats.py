"""How a network becomes a graph, by format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from segship.capture.onnx import capture_onnx
from segship.capture.openvino_ir import capture_openvino
from segship.capture.torch_program import capture_pt2, capture_torchscript

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from segship.core.artifacts import Graph, GraphFormat
    from segship.networks.network import Network

__all__ = ["CAPTURES", "Capture"]


class Capture(Protocol):
    """Writes a network as a file."""

    def __call__(
        self,
        network: Network,
        path: Path,
        *,
        size: tuple[int, int],
        channels: int = 3,
        dynamic: bool = True,
        metadata: Mapping[str, str] | None = None,
        opset: int | None = None,
    ) -> Graph:
        """Write ``network`` to ``path``, traced at ``size``; ``opset`` matters to ONNX only."""


CAPTURES: Mapping[GraphFormat, Capture] = {
    "onnx": capture_onnx,
    "pt2": capture_pt2,
    "torchscript": capture_torchscript,
    "openvino": capture_openvino,
}
"""The function for each format."""
