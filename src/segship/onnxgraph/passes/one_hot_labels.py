"""Let a graph that returns labels return scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx

    from segship.core.artifacts import TensorInfo

__all__ = ["one_hot_labels"]

_IMAGE = 4  # dimensions of (N, C, H, W)


def one_hot_labels(model: onnx.ModelProto, labels: TensorInfo, classes: int) -> bool:
    """Return 1 for the label's class and 0 for all others, (N, K, H, W), in place of labels.

    Args:
        model: The model; changed in place. The scores become its only output.
        labels: The output that holds labels, (N, H, W) or (N, 1, H, W).
        classes: Number of classes.

    Returns:
        True.
    """
    graph = model.graph
    constants = (
        ("segship_depth", np.array(classes, np.int64)),
        ("segship_off_on", np.array([0, 1], np.float32)),
        ("segship_axis", np.array([1], np.int64)),
    )
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants)
    source = labels.name
    if len(labels.shape) == _IMAGE:
        graph.node.append(helper.make_node("Squeeze", [source, "segship_axis"], ["segship_labels"]))
        source = "segship_labels"
    graph.node.append(helper.make_node("Cast", [source], ["segship_whole"], to=TensorProto.INT64))
    inputs = ["segship_whole", "segship_depth", "segship_off_on"]
    graph.node.append(helper.make_node("OneHot", inputs, ["segship_scores"], axis=1))
    del graph.output[:]
    dims = [None, classes, None, None]
    graph.output.append(helper.make_tensor_value_info("segship_scores", TensorProto.FLOAT, dims))
    return True
