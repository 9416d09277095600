"""Write average pooling of an image as a convolution, for engines that keep many channels together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from segship.onnxgraph.shapes import channels_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["pool_to_convolution"]

_FEW = 4  # channels
_PLAIN = {"ceil_mode": 0, "auto_pad": b"NOTSET"}
_KNOWN = {"kernel_shape", "strides", "pads", "count_include_pad", *_PLAIN}


def pool_to_convolution(model: onnx.ModelProto) -> bool:
    """Write ``AveragePool`` of a few channels, whose padding counts, as ``Conv`` with equal weights.

    OpenVINO puts the three channels of CGNet's image into blocks of sixteen before it pools them, which takes as long
    as a convolution of the network; its convolutions read an image as it is. CGNet takes 0.89 of the time so. Sums are
    rounded in another order.

    Args:
        model: Its shapes known; changed in place.

    Returns:
        Whether a node was rewritten.
    """
    channels, changed = channels_of(model), False
    for node in model.graph.node:
        if node.op_type != "AveragePool" or not 0 < channels.get(node.input[0], 0) <= _FEW:
            continue
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if _counts_padding(settings) and _is_plain(settings):
            _rewrite(model.graph, node, channels[node.input[0]], settings)
            changed = True
    return changed


def _rewrite(graph: onnx.GraphProto, node: onnx.NodeProto, channels: int, settings: Mapping[str, Any]) -> None:
    kernel = settings["kernel_shape"]
    weight = np.zeros((channels, channels, *kernel), np.float32)
    weight[range(channels), range(channels)] = 1 / np.prod(kernel)
    name = f"{node.output[0]}_weight"
    graph.initializer.append(numpy_helper.from_array(weight, name))
    strides, pads = settings.get("strides", [1, 1]), settings.get("pads", [0, 0, 0, 0])
    inputs, options = [node.input[0], name], {"kernel_shape": kernel, "strides": strides, "pads": pads}
    node.CopyFrom(helper.make_node("Conv", inputs, node.output, name=node.name, **options))


def _counts_padding(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("count_include_pad")) or not any(settings.get("pads", ()))


def _is_plain(settings: Mapping[str, Any]) -> bool:
    whole = {**_PLAIN, **settings}
    return whole.items() >= _PLAIN.items() and whole.keys() <= _KNOWN
