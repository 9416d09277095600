"""A network whose right mask is known without any: the class is the greatest of red, green and blue after a 3x3 mean.

As nodes of ONNX and as a torch module; what a case is about is put around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["CLASSES", "FLAG", "Colours", "node", "value", "write_onnx"]

CLASSES = ["red", "green", "blue"]
WEIGHTS = np.zeros((3, 3, 3, 3), np.float32)
WEIGHTS[range(3), range(3)] = 1 / 9

FLAG = np.zeros((48, 60, 3), np.uint8)
"""Three upright stripes of red, green and blue, which are no pure colours."""
FLAG[:, :20], FLAG[:, 20:40], FLAG[:, 40:] = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def value(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def write_onnx(
    path: Path,
    *after: onnx.NodeProto,
    output: onnx.ValueInfoProto | None = None,
    image: onnx.ValueInfoProto | None = None,
    before: tuple[onnx.NodeProto, ...] = (),
    **constants: Any,
) -> Path:
    """The colour network, ``x`` -> ``y``, with what comes ``before`` and ``after`` it."""
    nodes = [*before, node("Conv", "x weight", "y", pads=[1, 1, 1, 1]), *after]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    graph = helper.make_graph(
        nodes,
        "colours",
        [image or value("x", "N", 3, "H", "W")],
        [output or value("y", "N", 3, "H", "W")],
        [numpy_helper.from_array(WEIGHTS, "weight"), *tensors],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


class Colours(nn.Module):
    """The colour network, and a function of its scores and of the image."""

    def __init__(self, after: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.conv.weight.data.copy_(_tensor(WEIGHTS))
        self._after = after

    def forward(self, x: Tensor) -> Any:
        return self._after(self.conv(x))


def _tensor(array: NDArray[np.float32]) -> Tensor:
    import torch

    return torch.from_numpy(array)
