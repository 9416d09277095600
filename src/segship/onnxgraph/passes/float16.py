"""float16: weights and arithmetic at half the width, inputs and outputs as they were."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from onnx import TensorProto

from segship.core.errors import MissingExtraError
from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.passes.drop_unused import drop_unused

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

__all__ = ["float16"]


def float16(model: onnx.ModelProto, kept: Sequence[str] = ()) -> bool:
    """Compute in float16. ONNX Runtime's own converter does it; what float16 cannot hold it keeps in float32.

    Args:
        model: float32; changed in place. Its inputs and outputs stay float32.
        kept: Names of nodes that stay in float32.

    Returns:
        True.

    Raises:
        MissingExtraError: ONNX Runtime came without its converter.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise MissingExtraError("float16 graphs", "export", "onnxruntime.transformers") from error
    metadata = metadata_of(model)
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    half = convert_float_to_float16(
        model, keep_io_types=True, disable_shape_infer=not kept, node_block_list=list(kept) or None
    )
    OnnxModel(half).topological_sort()
    if half is not model:  # types had to be inferred, to put casts around what is kept
        model.CopyFrom(half)
        _join(model)
    set_metadata(model, metadata)
    return True


def _join(model: onnx.ModelProto) -> None:
    """Let nodes that stay in float32 hand their values to one another as they are, not by way of float16."""
    casts = {node.output[0]: node for node in model.graph.node if node.op_type == "Cast"}
    kinds = {name: next(each.i for each in node.attribute if each.name == "to") for name, node in casts.items()}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if kinds.get(name) != TensorProto.FLOAT:
                continue
            half = casts[name].input[0]
            if kinds.get(half) == TensorProto.FLOAT16:
                node.input[index] = casts[half].input[0]
    drop_unused(model)
